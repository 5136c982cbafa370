"""The sweep itself: one loop over events in time that every selection of features shares; knows no feature by name.

All that is particular to a program stands in two arrays, `words` (uint32) and `reals` (float64), as `layout` says; so
another selection of features compiles nothing.

Every accumulator from which something is subtracted is an integer, so the order of arrival and expiry cannot change a
bit. Nothing depends on the order of events tied in time.
"""

import math

import numba
import numpy as np
import numpy.typing as npt

from features import layout as k
from features.compiled import Compiled, part
from features.elementary import LOG_SCALE, U, decay, direction, later_bits, log_amount, looked_up, month, ones, reduced
from features.fours import add_amount, add_to_four_sets, add_to_set, copy_four, note_entered, show_four


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
    sizes = part(words, words, k.SIZES)
    if sizes[k.LAYOUT] != k.FINGERPRINT:
        return k.STALE, 0
    keys, places = part(words, words, k.KEYS), part(words, words, k.PLACES_OF_CODES)
    instructions, follows = part(words, words, k.INSTRUCTIONS), part(words, words, k.FOLLOWS)
    gap_masks, quarters = part(words, words, k.GAP_MASKS), part(words, words, k.QUARTERS)
    lists, n_codes = part(words, words, k.LISTS), sizes[k.N_CODES]
    emit_count, emit_cell = part(words, words, k.EMIT_COUNT), part(words, words, k.EMIT_CELL)
    emit_four, emit_quotients = part(words, words, k.EMIT_FOUR), part(words, words, k.EMIT_QUOTIENTS)
    emit_quotient, emit_prior = part(words, words, k.EMIT_QUOTIENT), part(words, words, k.EMIT_PRIOR)
    emit_age, emit_ratio = part(words, words, k.EMIT_AGE), part(words, words, k.EMIT_RATIO)
    emit_wide, emit_mean = part(words, words, k.EMIT_WIDE), part(words, words, k.EMIT_MEAN)
    emit_part, emit_decay = part(words, words, k.EMIT_PART), part(words, words, k.EMIT_DECAY)
    emit_entropy, emit_latest = part(words, words, k.EMIT_ENTROPY), part(words, words, k.EMIT_LATEST)
    emit_top, emit_hour = part(words, words, k.EMIT_TOP), part(words, words, k.EMIT_HOUR)
    emit_gap, emit_days = part(words, words, k.EMIT_GAP), part(words, words, k.EMIT_DAYS)
    emit_value, emit_streak = part(words, words, k.EMIT_VALUE), part(words, words, k.EMIT_STREAK)
    emit_other, emit_length = part(words, words, k.EMIT_OTHER), part(words, words, k.EMIT_LENGTH)
    emit_moment, emit_typical = part(words, words, k.EMIT_MOMENT), part(words, words, k.EMIT_TYPICAL)
    template, factors = part(words, reals, k.TEMPLATE), part(words, reals, k.FACTORS)
    logs, decays, ratios = part(words, reals, k.LOGS), part(words, reals, k.DECAYS), part(words, reals, k.RATIOS)
    spans = part(words, reals, k.SPANS)

    # Four cells can be read from each, and four quotients.
    counts = np.zeros(sizes[k.N_COUNTS] + 3, np.int32)
    inside, entered = np.zeros(k.WINDOWS, np.int32), np.zeros(k.WINDOWS, np.int32)
    wide, real = np.zeros(sizes[k.N_WIDE], np.int64), np.empty(sizes[k.N_REAL], np.float64)
    flags, n_rhythms = np.zeros(64, np.uint64), sizes[k.N_RHYTHMS]
    waiting = np.empty(flags.size * n_rhythms + 1, np.uint64)
    waiting_cell = np.empty(flags.size * n_rhythms + 1, np.uint64)
    n_ratios = U(emit_ratio.size // 2)
    aboves, belows = np.empty(n_ratios, np.int32), np.empty(n_ratios, np.int32)
    terms, quotients = np.empty(n_ratios, np.float64), np.empty(n_ratios + U(3), np.float32)
    terms[:] = ratios[U(2) * n_ratios :]
    # A whole number of vectors, so that none of them is left to a slower loop.
    n_decays = U(emit_decay.size // 3)
    n_padded = (n_decays + U(3)) // U(4) * U(4)
    ages, sums = np.zeros(n_padded, np.float64), np.zeros(n_padded, np.float64)
    series, steps = np.zeros(n_padded, np.float64), np.zeros(n_padded, np.int32)
    lows, tails = np.empty(k.WINDOWS + 1, np.int64), np.empty(k.WINDOWS + 1, np.uint64)
    flat, width, row = out.reshape(out.size), U(out.shape[1]), 0
    while row < customer.size:
        number, local = customer[row], customer[row] - first_customer
        if local < 0 or local >= offsets.size - 1:
            return k.UNKNOWN_CUSTOMER, row
        start, end = U(offsets[local]), U(offsets[local + 1])
        head = start
        counts[:] = 0
        wide[:] = 0
        real[:] = template
        tails[:] = start
        if end - start > flags.size:
            flags = np.zeros(2 * (end - start), np.uint64)
            waiting = np.empty(flags.size * n_rhythms + 1, np.uint64)
            waiting_cell = np.empty(flags.size * n_rhythms + 1, np.uint64)
        previous = as_of_us[row]
        while row < customer.size and customer[row] == number:
            as_of = as_of_us[row]
            if as_of < previous:
                return k.UNSORTED_ROWS, row
            previous = as_of
            for w in range(k.WINDOWS + 1):
                lows[w] = as_of - np.int64(spans[w])

            # What was admitted for an earlier row and is now too old leaves its windows.
            for w in range(k.WINDOWS + 1):
                tail, low = tails[w], lows[w]
                while tail < head and time_us[tail] < low:
                    key = U(places[U(code[tail])])
                    if w < k.WINDOWS:
                        for lane in range(k.COUNT_LANES, k.COUNT_LANES + k.LANES):
                            counts[U(keys[key + U(lane)]) + U(w)] -= 1
                    bound = key + U(k.LEAVE if w < k.WINDOWS else k.LAPSE)
                    for p in range(U(keys[bound]), U(keys[bound + U(1)])):
                        at = p * U(k.INSTRUCTION_WORDS)
                        operation = instructions[at]
                        cell, operand = U(instructions[at + U(1)]), U(instructions[at + U(2)])
                        if operation == k.ADD_CENTS:
                            wide[cell + U(w)] -= cents[tail]
                        elif operation == k.ADD_COUNT:
                            counts[cell + U(w)] -= 1
                        elif operation == k.ADD_FOLLOWED:
                            fired = flags[tail - start] >> cell
                            for flag in range(cell, cell + operand):
                                counts[U(follows[flag * U(k.FOLLOW_WORDS)]) + U(w)] -= np.int32(fired & U(1))
                                fired >>= U(1)
                        elif operation == k.ADD_STREAK:
                            if not (np.float64(time_us[tail]) <= real[operand]):
                                wide[cell] -= 1
                        elif operation == k.ADD_LOG:
                            wide[cell + U(k.LOG_AMOUNTS)] -= log_amount(cents[tail])
                            wide[cell + U(k.AMOUNTS)] -= 1
                        elif operation == k.ADD_RHYTHM:
                            t = time_us[tail]
                            quarter = U(t % k.DAY_US // k.QUARTER_US) * U(2)
                            wide[cell + U(k.EVENTS)] -= 1
                            wide[cell + U(k.EAST)] -= np.int64(np.int32(quarters[quarter]))
                            wide[cell + U(k.NORTH)] -= np.int64(np.int32(quarters[quarter + U(1)]))
                            wide[cell + U(k.WEEKENDS)] -= np.int64((t // k.DAY_US + 3) % 7 >= 5)
                            if wide[cell + U(k.EVENTS)] > 0:
                                later = tail + U(1)
                                while later + U(1) < head and not ((gap_masks[U(code[later])] >> operand) & U(1)):
                                    later += U(1)
                                gap = time_us[later] // k.MINUTE_US - t // k.MINUTE_US
                                wide[cell + U(k.GAPS)] -= gap
                                wide[cell + U(k.SQUARED_GAPS)] -= gap * gap
                                wide[cell + U(k.FIRST_TIME)] = time_us[later]
                    tail += U(1)
                tails[w] = tail

            # Events before as_of come in; one that is already too old for a window never enters it.
            low4, before, n_waiting, n_kept = lows[4], head, U(0), U(0)
            entered[:] = 0
            while head < end:
                t = time_us[head]
                if t >= as_of:
                    break
                if code[head] >= n_codes:
                    return k.UNKNOWN_CODE, row
                key = U(places[U(code[head])])
                time = np.float64(t)
                note_entered(t, lows, inside, entered)
                kept = U(t >= low4)
                day = np.int64(U(t) // U(k.DAY_US))
                fired = U(0)
                for p in range(U(keys[key + U(k.ADMIT)]), U(keys[key + U(k.ADMIT + 1)])):
                    at = p * U(k.INSTRUCTION_WORDS)
                    operation = instructions[at]
                    cell, operand = U(instructions[at + U(1)]), U(instructions[at + U(2)])
                    if operation == k.ADD_DECAYED:
                        real[cell] = real[cell] * decay((time - real[cell + U(1)]) * factors[operand], decays) + 1.0
                        real[cell + U(1)] = time
                    elif operation == k.ADD_RHYTHM:
                        waiting[n_waiting], waiting_cell[n_waiting] = head, cell
                        n_waiting += kept
                    elif operation == k.ADD_STREAK:
                        if t >= low4 and not (time <= real[operand]):
                            going = not (np.float64(wide[cell + U(1)]) <= real[operand])
                            wide[cell] = wide[cell] + 1 if going else 1
                            wide[cell + U(1)] = t
                    elif operation == k.KEEP_PREVIOUS:
                        if real[operand] < time:
                            real[cell] = real[operand]
                    elif operation == k.ADD_FOLLOWED:
                        for flag in range(cell, cell + operand):
                            at = flag * U(k.FOLLOW_WORDS)
                            last, earlier = real[U(follows[at + U(1)])], real[U(follows[at + U(2)])]
                            hit = time - (earlier if last == time else last) <= factors[U(follows[at + U(3)])]
                            fired |= U(hit) << flag
                            add_to_set(counts, U(follows[at]) if hit else U(k.DUMMY_COUNTS[0]), inside)
                        flags[head - start] = fired
                    elif operation == k.ADD_CENTS:
                        add_amount(wide, cell, cents[head], inside)
                    elif operation == k.ADD_LOG:
                        wide[cell + U(k.LOG_AMOUNTS)] += log_amount(cents[head]) * np.int64(kept)
                        wide[cell + U(k.AMOUNTS)] += np.int64(kept)
                    elif operation == k.MARK_DAY:
                        wide[cell] = np.int64(later_bits(U(wide[cell]), U(day - wide[cell + U(1)])) | U(1))
                        wide[cell + U(1)] = day
                    elif operation == k.KEEP_VALUE:
                        if real[operand] != time or cents[head] > wide[cell]:
                            wide[cell] = cents[head]
                    elif operation == k.ADD_COUNT:
                        add_to_set(counts, cell, inside)
                    elif operation == k.KEEP_LAST:
                        real[cell] = time
                lane0, lane1, lane2, lane3 = keys[key], keys[key + U(1)], keys[key + U(2)], keys[key + U(3)]
                add_to_four_sets(counts, U(lane0), U(lane1), U(lane2), U(lane3), inside)
                for lane in range(k.LAST_LANES, k.LAST_LANES + k.LANES):
                    real[U(keys[key + U(lane)])] = time
                cell = U(keys[key + U(k.RHYTHM_LANE)])
                waiting[n_waiting], waiting_cell[n_waiting] = head, cell
                n_waiting += U(cell != k.NO_RHYTHM) & kept
                cell = U(keys[key + U(k.DAY_LANE)])
                wide[cell] = np.int64(later_bits(U(wide[cell]), U(day - wide[cell + U(1)])) | U(1))
                wide[cell + U(1)] = day
                n_kept += kept
                head += U(1)
            # In a loop of its own, so that the one above need not guess which events have a rhythm.
            for i in range(n_waiting):
                t, cell = time_us[waiting[i]], waiting_cell[i]
                day, minute = np.int64(U(t) // U(k.DAY_US)), np.int64(U(t) // U(k.MINUTE_US))
                quarter = U(t - day * k.DAY_US) // U(k.QUARTER_US) * U(2)
                known = wide[cell + U(k.EVENTS)] > 0
                gap = minute - wide[cell + U(k.LAST_MINUTE)] if known else np.int64(0)
                wide[cell + U(k.GAPS)] += gap
                wide[cell + U(k.SQUARED_GAPS)] += gap * gap
                wide[cell + U(k.FIRST_TIME)] = wide[cell + U(k.FIRST_TIME)] if known else t
                wide[cell + U(k.EVENTS)] += 1
                wide[cell + U(k.EAST)] += np.int64(np.int32(quarters[quarter]))
                wide[cell + U(k.NORTH)] += np.int64(np.int32(quarters[quarter + U(1)]))
                wide[cell + U(k.WEEKENDS)] += np.int64(U(day + 3) % U(7) >= U(5))
                wide[cell + U(k.LAST_MINUTE)] = minute
            came = head - before
            tails[k.LOOKBACK] += came - n_kept
            for w in range(k.WINDOWS):
                tails[w] += came - U(entered[w])

            # Relative sets show the row's own action or category; then every output is the same as any other.
            acted, themed = np.int64(action[row]), np.int64(category[row]) + 1
            if acted < 0 or acted >= sizes[k.N_ACTIONS]:
                return k.UNKNOWN_ACTION, row
            if themed < 0 or themed >= sizes[k.N_CATEGORIES]:
                return k.UNKNOWN_CATEGORY, row
            for per in range(2):
                level = U(themed) + U(1) if per else U(acted) + U(1)
                at = U(words[2 * (k.COUNT_VIEWS + per)]) + U(1)
                n_views = U(words[at - U(1)])
                for i in range(at, at + n_views):
                    copy_four(counts, U(words[i]), counts, U(words[i + level * n_views]))
                at = U(words[2 * (k.WIDE_VIEWS + per)]) + U(1)
                n_views = U(words[at - U(1)])
                for i in range(at, at + n_views):
                    wide[U(words[i])] = wide[U(words[i + level * n_views])]
                at = U(words[2 * (k.REAL_VIEWS + per)]) + U(1)
                n_views = U(words[at - U(1)])
                for i in range(at, at + n_views):
                    real[U(words[i])] = real[U(words[i + level * n_views])]

            now, horizon = np.float64(as_of), np.float64(low4)
            today, oldest, base = as_of // k.DAY_US, max(low4, np.int64(1)) * k.PLACES, U(row) * width
            # In three loops, for the second then divides several at a time.
            for j in range(U(0), U(emit_prior.size), U(2)):
                at = U(emit_prior[j])
                terms[at] = ratios[at] * real[U(emit_prior[j + U(1)])]
            for j in range(n_ratios):
                aboves[j] = counts[U(emit_ratio[j])]
                belows[j] = counts[U(emit_ratio[n_ratios + j])]
            for j in range(n_ratios):
                below = belows[j] * ratios[n_ratios + j] + ratios[j]
                quotient = (aboves[j] + terms[j]) / below
                quotients[j] = np.float32(quotient if below > 0.0 else np.nan)
            for j in range(U(0), U(emit_quotients.size), U(2)):
                copy_four(flat, base + U(emit_quotients[j]), quotients, U(emit_quotients[j + U(1)]))
            for j in range(U(0), U(emit_quotient.size), U(2)):
                flat[base + U(emit_quotient[j])] = quotients[U(emit_quotient[j + U(1)])]
            # Four at a time; what stands beyond a run of fewer is written over by what comes later.
            for j in range(U(0), U(emit_four.size), U(2)):
                show_four(counts, U(emit_four[j + U(1)]), flat, base + U(emit_four[j]))
            for j in range(U(0), U(emit_count.size), U(3)):
                to, cell = base + U(emit_count[j]), U(emit_count[j + U(1)])
                for i in range(U(emit_count[j + U(2)])):
                    flat[to + i] = np.float32(counts[cell + i])
            for j in range(U(0), U(emit_cell.size), U(2)):
                flat[base + U(emit_cell[j])] = np.float32(counts[U(emit_cell[j + U(1)])])
            for j in range(U(0), U(emit_age.size), U(3)):
                to, cell = base + U(emit_age[j]), U(emit_age[j + U(1)])
                for i in range(U(emit_age[j + U(2)])):
                    last = real[cell + i]
                    flat[to + i] = np.float32((now - last) * (1.0 / k.DAY_US) if last >= horizon else np.nan)
            for j in range(U(0), U(emit_moment.size), U(2)):
                last = real[U(emit_moment[j + U(1)])]
                value = (now - last) * (1.0 / k.DAY_US) if last >= horizon else np.nan
                flat[base + U(emit_moment[j])] = np.float32(value)
            for j in range(U(0), U(emit_wide.size), U(3)):
                value = wide[U(emit_wide[j + U(1)])] * factors[U(emit_wide[j + U(2)])]
                flat[base + U(emit_wide[j])] = np.float32(value)
            for j in range(U(0), U(emit_mean.size), U(4)):
                value = np.float64(wide[U(emit_mean[j + U(1)])]) * factors[U(emit_mean[j + U(3)])]
                flat[base + U(emit_mean[j])] = np.float32(value / counts[U(emit_mean[j + U(2)])])
            for j in range(U(0), U(emit_part.size), U(3)):
                flat[base + U(emit_part[j])] = np.float32(wide[U(emit_part[j + U(1)])] / wide[U(emit_part[j + U(2)])])
            for j in range(n_decays):
                cell = U(emit_decay[U(3) * j + U(1)])
                last = real[cell + U(1)]
                ages[j] = (now - last) * factors[U(emit_decay[U(3) * j + U(2)])]
                sums[j] = real[cell] * np.float64(last >= horizon)
            for j in range(n_padded):
                steps[j], series[j] = reduced(ages[j])
            for j in range(n_decays):
                flat[base + U(emit_decay[U(3) * j])] = np.float32(sums[j] * looked_up(steps[j], series[j], decays))
            for j in range(U(0), U(emit_entropy.size), U(3)):
                total, summed = np.int64(0), 0.0
                for i in range(U(emit_entropy[j + U(1)]), U(emit_entropy[j + U(2)])):
                    n = np.int64(counts[U(lists[i])])
                    total += n
                    summed += logs[U(n)] if n < logs.size else n * math.log(n)
                if total > 0:
                    whole = logs[U(total)] if total < logs.size else total * math.log(total)
                    flat[base + U(emit_entropy[j])] = np.float32(max(0.0, whole - summed) / total)
                else:
                    flat[base + U(emit_entropy[j])] = np.float32(np.nan)
            for j in range(U(0), U(emit_latest.size), U(4)):
                # The time and, for ties, the place in the list, in one integer: two maxima without a branch.
                first = second = np.int64(k.PLACES - 1)
                begin = np.int64(emit_latest[j])
                for i in range(U(begin), U(emit_latest[j + U(1)]), U(2)):
                    last = real[U(lists[i])]
                    place = np.int64(begin + k.PLACES - 1 - np.int64(i))
                    seen = np.int64(last if last > 0.0 else 0.0) * k.PLACES + place
                    second = max(second, min(first, seen))
                    first = max(first, seen)
                for rank in range(U(2)):
                    seen, column = second if rank else first, emit_latest[j + U(2) + rank]
                    if column != k.NO_COLUMN:
                        at = U(begin + k.PLACES - seen % k.PLACES)
                        level_at = np.float32(lists[at])
                        flat[base + U(column)] = level_at if seen >= oldest else np.float32(np.nan)
            for j in range(U(0), U(emit_top.size), U(3)):
                best, top = np.int32(0), np.float32(np.nan)
                for i in range(U(emit_top[j + U(1)]), U(emit_top[j + U(2)]), U(2)):
                    count, level_at = counts[U(lists[i])], np.float32(lists[i + U(1)])
                    top = level_at if count > best else top
                    best = count if count > best else best
                flat[base + U(emit_top[j])] = top
            for j in range(U(0), U(emit_hour.size), U(2)):
                cell = U(emit_hour[j + U(1)])
                east, north = np.float64(wide[cell + U(k.EAST)]), np.float64(wide[cell + U(k.NORTH)])
                least = np.float64(wide[cell + U(k.EVENTS)]) * (k.HOUR_SCALE * k.MIN_CONCENTRATION)
                hour = direction(north, east) * (12.0 / math.pi)
                hour = hour + 24.0 if hour < 0.0 else hour
                known = east * east + north * north >= least * least
                flat[base + U(emit_hour[j])] = np.float32(hour if known else np.nan)
            for j in range(U(0), U(emit_length.size), U(2)):
                cell = U(emit_length[j + U(1)])
                east, north = np.float64(wide[cell + U(k.EAST)]), np.float64(wide[cell + U(k.NORTH)])
                most = np.float64(wide[cell + U(k.EVENTS)]) * k.HOUR_SCALE
                flat[base + U(emit_length[j])] = np.float32(math.sqrt(east * east + north * north) / most)
            for j in range(U(0), U(emit_gap.size), U(3)):
                cell, shown = U(emit_gap[j + U(1)]), emit_gap[j + U(2)]
                gaps = np.float64(wide[cell + U(k.EVENTS)] - 1)
                value = np.nan
                if shown == k.GAP_IS_FIRST and gaps >= 0:
                    value = (now - np.float64(wide[cell + U(k.FIRST_TIME)])) * (1.0 / k.DAY_US)
                elif shown != k.GAP_IS_FIRST and gaps >= 1:
                    value = np.float64(wide[cell + U(k.GAPS)]) / gaps
                    if shown == k.GAP_IS_SPREAD:
                        value = math.sqrt(max(0.0, np.float64(wide[cell + U(k.SQUARED_GAPS)]) / gaps - value * value))
                    value /= k.MINUTES_PER_DAY
                flat[base + U(emit_gap[j])] = np.float32(value)
            for j in range(U(0), U(emit_days.size), U(3)):
                cell, span = U(emit_days[j + U(1)]), U(emit_days[j + U(2)])
                step = today - wide[cell + U(1)]
                bits = (U(wide[cell]) << U(step)) & ((U(1) << span) - U(1)) if step < 64 else U(0)
                flat[base + U(emit_days[j])] = np.float32(ones(bits))
            for j in range(U(0), U(emit_value.size), U(4)):
                value = np.float64(wide[U(emit_value[j + U(1)])]) * factors[U(emit_value[j + U(3)])]
                known = real[U(emit_value[j + U(2)])] >= horizon
                flat[base + U(emit_value[j])] = np.float32(value if known else np.nan)
            for j in range(U(0), U(emit_typical.size), U(2)):
                cell = U(emit_typical[j + U(1)])
                value = 1.0 / decay(wide[cell + U(k.LOG_AMOUNTS)] / wide[cell + U(k.AMOUNTS)] / LOG_SCALE, decays) - 1.0
                flat[base + U(emit_typical[j])] = np.float32(value if wide[cell + U(k.AMOUNTS)] > 0 else np.nan)
            for j in range(U(0), U(emit_streak.size), U(3)):
                cell = U(emit_streak[j + U(1)])
                going = not (np.float64(wide[cell + U(1)]) <= real[U(emit_streak[j + U(2)])])
                flat[base + U(emit_streak[j])] = np.float32(wide[cell] * np.int64(going))
            for j in range(U(0), U(emit_other.size), U(2)):
                which = emit_other[j + U(1)]
                value = np.nan
                if which == k.CALENDAR_HOUR:
                    value = np.float64(as_of - today * k.DAY_US) * (1.0 / k.HOUR_US)
                elif which == k.CALENDAR_WEEKDAY:
                    value = np.float64((today + 3) % 7)
                elif which == k.CALENDAR_MONTH:
                    value = np.float64(month(today))
                elif tails[k.LOOKBACK] < head:
                    value = (now - np.float64(time_us[tails[k.LOOKBACK]])) * (1.0 / k.DAY_US)
                flat[base + U(emit_other[j])] = np.float32(value)
            row += 1
    return k.OK, 0


run_sweep: Compiled = numba.njit(nogil=True, cache=True, error_model="numpy")(_sweep)
"""Compiled when first called, about eight seconds, and kept in Numba's cache: beside this file, or NUMBA_CACHE_DIR."""
