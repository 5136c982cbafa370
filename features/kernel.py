"""The sweep itself: one loop over events in time that every selection of features shares; knows no feature by name.

`compiler` writes all that is particular into two arrays, `words` (uint32) and `reals` (float64), whose layout is
declared here and read nowhere else; so another selection of features compiles nothing. The constants stand in this
file because Numba's cache is renewed by the change of the file that holds the function.

Every accumulator from which something is subtracted is an integer, so the order of arrival and expiry cannot change a
bit. Nothing depends on the order of events tied in time.
"""

import math
from collections.abc import Callable
from typing import Any, Final

import numba
import numpy as np
import numpy.typing as npt

# Sections of `words`, then of `reals`; section s is [words[2 s], words[2 s + 1]).
SIZES, KEYS, INSTRUCTIONS, FOLLOWS, GAP_MASKS, QUARTERS = range(6)
COUNT_VIEWS, WIDE_VIEWS, REAL_VIEWS, VIEW_SOURCES, LISTS = range(6, 11)
EMIT_COUNT, EMIT_AGE, EMIT_RATIO, EMIT_WIDE, EMIT_MEAN, EMIT_PART, EMIT_DECAY, EMIT_ENTROPY = range(11, 19)
EMIT_LATEST, EMIT_TOP, EMIT_CIRCLE, EMIT_GAP, EMIT_DAYS, EMIT_VALUE, EMIT_OTHER = range(19, 26)
SPANS, TEMPLATE, FACTORS, LOGS = range(26, 30)
SECTIONS: Final = 30

# SIZES: how many cells the state has, and how many codes, actions and categories (with "none") the program knows.
N_COUNTS, N_WIDE, N_REAL, N_CODES, N_ACTIONS, N_CATEGORIES, NEEDS_FLAGS = range(7)

# KEYS: 16 words a code, so that all that admission and expiry need lies in one cache line: four counters, four "last"
# cells (padded with the dummy), begin and end of its instructions on admission, and six bounds of those on expiry.
KEY_WORDS: Final = 16
COUNT_LANES: Final = 0
LAST_LANES: Final = 4
LANES: Final = 4
ADMIT: Final = 8
EXPIRE: Final = 10
WINDOWS: Final = 4
LOOKBACK: Final = 4
"""Index of the lookback among the spans, after the four windows."""

# INSTRUCTIONS: four words (operation, cell, operand, span). What does not fit the lanes, or is not a count or a time.
INSTRUCTION_WORDS: Final = 4
(
    ADD_CENTS,
    ADD_COUNT,
    ADD_HOUR,
    ADD_DECAYED,
    STREAK_UP,
    STREAK_END,
    KEEP_PREVIOUS,
    ADD_FOLLOWED,
    ADD_GAP,
    MARK_DAY,
    KEEP_VALUE,
    KEEP_LAST,
) = range(12)

# Cells of the state that every program has: where padding goes, and what a relative set shows without action.
DUMMY_COUNT: Final = 0
ZERO_COUNT: Final = 4
DUMMY_REAL: Final = 0
NEVER: Final = 1
ZERO_REAL: Final = 2
ZERO_WIDE: Final = 0
WIDEST: Final = 5
FIRST_FREE_COUNT: Final = 8
FIRST_FREE_REAL: Final = 4
HOUR_CELLS, DECAY_CELLS, GAP_CELLS, DAY_CELLS = 4, 2, 5, 2

CALENDAR_HOUR, CALENDAR_WEEKDAY, CALENDAR_MONTH, TENURE = range(4)
GAP_IS_MEAN, GAP_IS_SPREAD, GAP_IS_FIRST = range(3)
CIRCLE_IS_MEAN, CIRCLE_IS_CONCENTRATION = range(2)

DAY_US: Final = 86_400_000_000
HOUR_US: Final = 3_600_000_000
QUARTER_US: Final = 900_000_000
MINUTE_US: Final = 60_000_000
MINUTES_PER_DAY: Final = 1440.0
HOUR_SCALE: Final = float(1 << 20)
"""Cosine and sine of the hour are kept in this fixed point, so that they can be subtracted exactly."""
MIN_CONCENTRATION: Final = 1e-6
"""Below it the mean direction is rounding, and the mean hour NaN."""

LOGS_UP_TO: Final = 4096
"""Counts below it find n ln n in a table."""

OK, UNKNOWN_CUSTOMER, UNSORTED_ROWS, UNKNOWN_ACTION, UNKNOWN_CATEGORY, UNKNOWN_CODE = range(6)


@numba.njit(inline="always")
def _part(words: npt.NDArray[Any], array: npt.NDArray[Any], section: int) -> npt.NDArray[Any]:
    return array[words[2 * section] : words[2 * section + 1]]


@numba.njit(inline="always")
def _ones(bits: np.uint64) -> np.uint64:
    """Number of ones among 64 bits (Knuth, TAOCP 4A, 7.1.3)."""
    bits = bits - ((bits >> np.uint64(1)) & np.uint64(0x5555555555555555))
    bits = (bits & np.uint64(0x3333333333333333)) + ((bits >> np.uint64(2)) & np.uint64(0x3333333333333333))
    bits = (bits + (bits >> np.uint64(4))) & np.uint64(0x0F0F0F0F0F0F0F0F)
    return (bits * np.uint64(0x0101010101010101)) >> np.uint64(56)


@numba.njit(inline="always")
def _month(day: int) -> int:
    """Month, 1 to 12, of a day since 1970-01-01 (Hinnant, "chrono-compatible low-level date algorithms")."""
    shifted = day + 719_468
    day_of_era = shifted % 146_097
    year_of_era = (day_of_era - day_of_era // 1_460 + day_of_era // 36_524 - day_of_era // 146_096) // 365
    day_of_year = day_of_era - (365 * year_of_era + year_of_era // 4 - year_of_era // 100)
    month = (5 * day_of_year + 2) // 153
    return month + 3 if month < 10 else month - 9


U: Final = np.uint64


def _sweep(  # noqa: C901 - one body: helpers that take arrays cost more than the loop itself
    words: npt.NDArray[np.uint32],
    reals: npt.NDArray[np.float64],
    first_customer: int,
    offsets: npt.NDArray[np.int64],
    time_us: npt.NDArray[np.int64],
    code: npt.NDArray[np.uint16],
    cents: npt.NDArray[np.int64],
    customer: npt.NDArray[np.int64],
    as_of_us: npt.NDArray[np.int64],
    action: npt.NDArray[np.int16],
    category: npt.NDArray[np.int16],
    out: npt.NDArray[np.float32],
) -> tuple[int, int]:
    sizes, keys = _part(words, words, SIZES), _part(words, words, KEYS)
    instructions, follows = _part(words, words, INSTRUCTIONS), _part(words, words, FOLLOWS)
    gap_masks, quarters = _part(words, words, GAP_MASKS), _part(words, words, QUARTERS)
    count_views, wide_views = _part(words, words, COUNT_VIEWS), _part(words, words, WIDE_VIEWS)
    real_views, sources = _part(words, words, REAL_VIEWS), _part(words, words, VIEW_SOURCES)
    lists, emit_count = _part(words, words, LISTS), _part(words, words, EMIT_COUNT)
    emit_age, emit_ratio = _part(words, words, EMIT_AGE), _part(words, words, EMIT_RATIO)
    emit_wide, emit_mean = _part(words, words, EMIT_WIDE), _part(words, words, EMIT_MEAN)
    emit_part, emit_decay = _part(words, words, EMIT_PART), _part(words, words, EMIT_DECAY)
    emit_entropy, emit_latest = _part(words, words, EMIT_ENTROPY), _part(words, words, EMIT_LATEST)
    emit_top, emit_circle = _part(words, words, EMIT_TOP), _part(words, words, EMIT_CIRCLE)
    emit_gap, emit_days = _part(words, words, EMIT_GAP), _part(words, words, EMIT_DAYS)
    emit_value, emit_other = _part(words, words, EMIT_VALUE), _part(words, words, EMIT_OTHER)
    spans, template = _part(words, reals, SPANS), _part(words, reals, TEMPLATE)
    factors, logs = _part(words, reals, FACTORS), _part(words, reals, LOGS)

    n_codes, needs_flags = sizes[N_CODES], sizes[NEEDS_FLAGS] != 0
    counts = np.zeros(sizes[N_COUNTS], np.int32)
    wide = np.zeros(sizes[N_WIDE], np.int64)
    real = np.empty(sizes[N_REAL], np.float64)
    flags = np.zeros(64, np.uint64)
    lows = np.empty(WINDOWS + 1, np.int64)
    tails = np.empty(WINDOWS + 1, np.int64)
    flat = out.reshape(out.size)
    width = U(out.shape[1])
    row = 0
    while row < customer.size:
        number = customer[row]
        local = number - first_customer
        if local < 0 or local >= offsets.size - 1:
            return UNKNOWN_CUSTOMER, row
        start, end = offsets[local], offsets[local + 1]
        head = start
        counts[:] = 0
        wide[:] = 0
        real[:] = template
        tails[:] = start
        if needs_flags and end - start > flags.size:
            flags = np.zeros(2 * (end - start), np.uint64)
        previous = as_of_us[row]
        while row < customer.size and customer[row] == number:
            as_of = as_of_us[row]
            if as_of < previous:
                return UNSORTED_ROWS, row
            previous = as_of
            for w in range(WINDOWS + 1):
                lows[w] = as_of - np.int64(spans[w])

            # What was admitted for an earlier row and is now too old leaves its windows.
            for w in range(WINDOWS + 1):
                tail, low = tails[w], lows[w]
                while tail < head and time_us[tail] < low:
                    key = U(code[tail]) * U(KEY_WORDS)
                    if w < WINDOWS:
                        for lane in range(COUNT_LANES, COUNT_LANES + LANES):
                            counts[U(keys[key + U(lane)]) + U(w)] -= np.int32(1)
                    for p in range(U(keys[key + U(EXPIRE + w)]), U(keys[key + U(EXPIRE + w + 1)])):
                        at = p * U(INSTRUCTION_WORDS)
                        operation = instructions[at]
                        cell, operand = U(instructions[at + U(1)]), U(instructions[at + U(2)])
                        if operation == ADD_CENTS:
                            wide[cell] -= cents[tail]
                        elif operation == ADD_COUNT:
                            counts[cell + U(w)] -= np.int32(1)
                        elif operation == ADD_HOUR:
                            quarter = U(time_us[tail] % DAY_US // QUARTER_US) * U(2)
                            wide[cell] -= 1
                            wide[cell + U(1)] -= np.int64(np.int32(quarters[quarter]))
                            wide[cell + U(2)] -= np.int64(np.int32(quarters[quarter + U(1)]))
                            wide[cell + U(3)] -= np.int64((time_us[tail] // DAY_US + 3) % 7 >= 5)
                        elif operation == STREAK_UP:
                            if not (np.float64(time_us[tail]) <= real[operand]):
                                wide[cell] -= 1
                        elif operation == ADD_FOLLOWED:
                            if (flags[tail - start] >> U(follows[operand + U(2)])) & U(1):
                                counts[cell + U(w)] -= np.int32(1)
                        elif operation == ADD_GAP:
                            wide[cell] -= 1
                            if wide[cell] > 0:
                                later = tail + 1
                                while later < head - 1 and not ((gap_masks[U(code[later])] >> operand) & U(1)):
                                    later += 1
                                gap = time_us[later] // MINUTE_US - time_us[tail] // MINUTE_US
                                wide[cell + U(1)] -= gap
                                wide[cell + U(2)] -= gap * gap
                                wide[cell + U(4)] = time_us[later]
                    tail += 1
                tails[w] = tail

            # Events before as_of come in; one that is already too old for a window never enters it.
            low0, low1, low2, low3, low4 = lows[0], lows[1], lows[2], lows[3], lows[4]
            old0 = old1 = old2 = old3 = old4 = np.int64(0)
            while head < end:
                t = time_us[head]
                if t >= as_of:
                    break
                if code[head] >= n_codes:
                    return UNKNOWN_CODE, row
                key = U(code[head]) * U(KEY_WORDS)
                time = np.float64(t)
                in0, in1 = np.int32(t >= low0), np.int32(t >= low1)
                in2, in3 = np.int32(t >= low2), np.int32(t >= low3)
                fired = U(0)
                for p in range(U(keys[key + U(ADMIT)]), U(keys[key + U(ADMIT + 1)])):
                    at = p * U(INSTRUCTION_WORDS)
                    operation = instructions[at]
                    cell, operand = U(instructions[at + U(1)]), U(instructions[at + U(2)])
                    current = t >= lows[U(instructions[at + U(3)])]
                    if operation == ADD_DECAYED:
                        if real[cell] == 0.0:
                            real[cell] = 1.0
                        else:
                            real[cell] = real[cell] * math.exp((real[cell + U(1)] - time) * factors[operand]) + 1.0
                        real[cell + U(1)] = time
                    elif operation == ADD_HOUR:
                        if current:
                            quarter = U(t % DAY_US // QUARTER_US) * U(2)
                            wide[cell] += 1
                            wide[cell + U(1)] += np.int64(np.int32(quarters[quarter]))
                            wide[cell + U(2)] += np.int64(np.int32(quarters[quarter + U(1)]))
                            wide[cell + U(3)] += np.int64((t // DAY_US + 3) % 7 >= 5)
                    elif operation == STREAK_UP:
                        if current and not (time <= real[operand]):
                            wide[cell] += 1
                    elif operation == STREAK_END:
                        wide[cell] = 0
                    elif operation == KEEP_PREVIOUS:
                        if real[operand] < time:
                            real[cell] = real[operand]
                    elif operation == ADD_FOLLOWED:
                        earlier = real[U(follows[operand])]
                        if earlier == time:
                            earlier = real[U(follows[operand + U(1)])]
                        if time - earlier <= factors[U(follows[operand + U(3)])]:
                            fired |= U(1) << U(follows[operand + U(2)])
                            counts[cell] += in0
                            counts[cell + U(1)] += in1
                            counts[cell + U(2)] += in2
                            counts[cell + U(3)] += in3
                    elif operation == ADD_GAP:
                        if current:
                            minute = t // MINUTE_US
                            if wide[cell] > 0:
                                gap = minute - wide[cell + U(3)]
                                wide[cell + U(1)] += gap
                                wide[cell + U(2)] += gap * gap
                            else:
                                wide[cell + U(4)] = t
                            wide[cell] += 1
                            wide[cell + U(3)] = minute
                    elif operation == ADD_CENTS:
                        if current:
                            wide[cell] += cents[head]
                    elif operation == MARK_DAY:
                        day = t // DAY_US
                        step = day - wide[cell + U(1)]
                        bits = U(wide[cell])
                        wide[cell] = np.int64((bits << U(step)) | U(1)) if step < 64 else 1
                        wide[cell + U(1)] = day
                    elif operation == KEEP_VALUE:
                        if real[operand] != time or cents[head] > wide[cell]:
                            wide[cell] = cents[head]
                    elif operation == ADD_COUNT:
                        counts[cell] += in0
                        counts[cell + U(1)] += in1
                        counts[cell + U(2)] += in2
                        counts[cell + U(3)] += in3
                    elif operation == KEEP_LAST:
                        real[cell] = time
                if needs_flags:
                    flags[head - start] = fired
                for lane in range(COUNT_LANES, COUNT_LANES + LANES):
                    cell = U(keys[key + U(lane)])
                    counts[cell] += in0
                    counts[cell + U(1)] += in1
                    counts[cell + U(2)] += in2
                    counts[cell + U(3)] += in3
                for lane in range(LAST_LANES, LAST_LANES + LANES):
                    real[U(keys[key + U(lane)])] = time
                old0 += np.int64(t < low0)
                old1 += np.int64(t < low1)
                old2 += np.int64(t < low2)
                old3 += np.int64(t < low3)
                old4 += np.int64(t < low4)
                head += 1
            tails[0] += old0
            tails[1] += old1
            tails[2] += old2
            tails[3] += old3
            tails[4] += old4

            # Relative sets show the row's own action or category; then every output is the same as any other.
            acted, themed = np.int64(action[row]), np.int64(category[row]) + 1
            if acted < 0 or acted >= sizes[N_ACTIONS]:
                return UNKNOWN_ACTION, row
            if themed < 0 or themed >= sizes[N_CATEGORIES]:
                return UNKNOWN_CATEGORY, row
            for k in range(U(0), U(count_views.size), U(3)):
                level = U(themed) if count_views[k + U(1)] else U(acted)
                cell, source = U(count_views[k]), U(sources[U(count_views[k + U(2)]) + level])
                for w in range(U(WINDOWS)):
                    counts[cell + w] = counts[source + w]
            for k in range(U(0), U(wide_views.size), U(3)):
                level = U(themed) if wide_views[k + U(1)] else U(acted)
                wide[U(wide_views[k])] = wide[U(sources[U(wide_views[k + U(2)]) + level])]
            for k in range(U(0), U(real_views.size), U(3)):
                level = U(themed) if real_views[k + U(1)] else U(acted)
                real[U(real_views[k])] = real[U(sources[U(real_views[k + U(2)]) + level])]

            now, horizon = np.float64(as_of), np.float64(low4)
            base = U(row) * width
            for k in range(U(0), U(emit_count.size), U(3)):
                to, cell = base + U(emit_count[k]), U(emit_count[k + U(1)])
                for i in range(U(emit_count[k + U(2)])):
                    flat[to + i] = np.float32(counts[cell + i])
            for k in range(U(0), U(emit_age.size), U(3)):
                to, cell = base + U(emit_age[k]), U(emit_age[k + U(1)])
                for i in range(U(emit_age[k + U(2)])):
                    last = real[cell + i]
                    flat[to + i] = np.float32((now - last) * (1.0 / DAY_US) if last >= horizon else np.nan)
            for k in range(U(0), U(emit_ratio.size), U(5)):
                factor = U(emit_ratio[k + U(4)])
                pseudo = factors[factor]
                above = counts[U(emit_ratio[k + U(1)])] + pseudo * real[U(emit_ratio[k + U(3)])]
                below = counts[U(emit_ratio[k + U(2)])] * factors[factor + U(1)] + pseudo
                flat[base + U(emit_ratio[k])] = np.float32(above / below)
            for k in range(U(0), U(emit_wide.size), U(3)):
                value = np.float64(wide[U(emit_wide[k + U(1)])]) * factors[U(emit_wide[k + U(2)])]
                flat[base + U(emit_wide[k])] = np.float32(value)
            for k in range(U(0), U(emit_mean.size), U(4)):
                value = np.float64(wide[U(emit_mean[k + U(1)])]) * factors[U(emit_mean[k + U(3)])]
                flat[base + U(emit_mean[k])] = np.float32(value / counts[U(emit_mean[k + U(2)])])
            for k in range(U(0), U(emit_part.size), U(3)):
                whole = np.float64(wide[U(emit_part[k + U(2)])])
                flat[base + U(emit_part[k])] = np.float32(np.float64(wide[U(emit_part[k + U(1)])]) / whole)
            for k in range(U(0), U(emit_decay.size), U(3)):
                cell = U(emit_decay[k + U(1)])
                last = real[cell + U(1)]
                value = 0.0
                if last >= horizon:
                    value = real[cell] * math.exp((last - now) * factors[U(emit_decay[k + U(2)])])
                flat[base + U(emit_decay[k])] = np.float32(value)
            for k in range(U(0), U(emit_entropy.size), U(3)):
                total, summed = np.int64(0), 0.0
                for i in range(U(emit_entropy[k + U(1)]), U(emit_entropy[k + U(2)])):
                    n = np.int64(counts[U(lists[i])])
                    total += n
                    summed += logs[U(n)] if n < logs.size else n * math.log(n)
                if total > 0:
                    whole = logs[U(total)] if total < logs.size else total * math.log(total)
                    flat[base + U(emit_entropy[k])] = np.float32(max(0.0, whole - summed) / total)
                else:
                    flat[base + U(emit_entropy[k])] = np.float32(np.nan)
            for k in range(U(0), U(emit_latest.size), U(4)):
                best, second = horizon - 1.0, horizon - 1.0
                best_level, second_level = np.nan, np.nan
                for i in range(U(emit_latest[k + U(1)]), U(emit_latest[k + U(2)]), U(2)):
                    last = real[U(lists[i])]
                    if last > best:
                        second, second_level = best, best_level
                        best, best_level = last, np.float64(lists[i + U(1)])
                    elif last > second:
                        second, second_level = last, np.float64(lists[i + U(1)])
                level_shown = best_level if emit_latest[k + U(3)] == 1 else second_level
                flat[base + U(emit_latest[k])] = np.float32(level_shown)
            for k in range(U(0), U(emit_top.size), U(3)):
                most, top = np.int32(0), np.nan
                for i in range(U(emit_top[k + U(1)]), U(emit_top[k + U(2)]), U(2)):
                    if counts[U(lists[i])] > most:
                        most, top = counts[U(lists[i])], np.float64(lists[i + U(1)])
                flat[base + U(emit_top[k])] = np.float32(top)
            for k in range(U(0), U(emit_circle.size), U(3)):
                cell = U(emit_circle[k + U(1)])
                east, north = np.float64(wide[cell + U(1)]), np.float64(wide[cell + U(2)])
                value = math.sqrt(east * east + north * north) / (np.float64(wide[cell]) * HOUR_SCALE)
                if emit_circle[k + U(2)] == CIRCLE_IS_MEAN:
                    hour = math.atan2(north, east) * (12.0 / math.pi)
                    value = (hour + 24.0 if hour < 0.0 else hour) if value >= MIN_CONCENTRATION else np.nan
                flat[base + U(emit_circle[k])] = np.float32(value)
            for k in range(U(0), U(emit_gap.size), U(3)):
                cell, shown = U(emit_gap[k + U(1)]), emit_gap[k + U(2)]
                gaps = np.float64(wide[cell] - 1)
                value = np.nan
                if shown == GAP_IS_FIRST and gaps >= 0:
                    value = (now - np.float64(wide[cell + U(4)])) * (1.0 / DAY_US)
                elif shown != GAP_IS_FIRST and gaps >= 1:
                    value = np.float64(wide[cell + U(1)]) / gaps
                    if shown == GAP_IS_SPREAD:
                        value = math.sqrt(max(0.0, np.float64(wide[cell + U(2)]) / gaps - value * value))
                    value /= MINUTES_PER_DAY
                flat[base + U(emit_gap[k])] = np.float32(value)
            for k in range(U(0), U(emit_days.size), U(3)):
                cell, span = U(emit_days[k + U(1)]), U(emit_days[k + U(2)])
                step = as_of // DAY_US - wide[cell + U(1)]
                bits = (U(wide[cell]) << U(step)) & ((U(1) << span) - U(1)) if step < 64 else U(0)
                flat[base + U(emit_days[k])] = np.float32(_ones(bits))
            for k in range(U(0), U(emit_value.size), U(4)):
                value = np.float64(wide[U(emit_value[k + U(1)])]) * factors[U(emit_value[k + U(3)])]
                known = real[U(emit_value[k + U(2)])] >= horizon
                flat[base + U(emit_value[k])] = np.float32(value if known else np.nan)
            for k in range(U(0), U(emit_other.size), U(2)):
                which = emit_other[k + U(1)]
                value = np.nan
                if which == CALENDAR_HOUR:
                    value = np.float64(as_of % DAY_US) * (1.0 / HOUR_US)
                elif which == CALENDAR_WEEKDAY:
                    value = np.float64((as_of // DAY_US + 3) % 7)
                elif which == CALENDAR_MONTH:
                    value = np.float64(_month(as_of // DAY_US))
                elif tails[LOOKBACK] < head:
                    value = (now - np.float64(time_us[tails[LOOKBACK]])) * (1.0 / DAY_US)
                flat[base + U(emit_other[k])] = np.float32(value)
            row += 1
    return OK, 0


run_sweep: Callable[..., tuple[int, int]] = numba.njit(nogil=True, cache=True, error_model="numpy")(_sweep)
"""Compiled when first called, about six seconds, and kept in Numba's cache beside this file or in NUMBA_CACHE_DIR.

It takes read-only arrays only, so that there is one signature. Returns a status and the row it is about.
"""
