"""How a program's tables are laid out: what the compiler writes and the kernel reads; holds numbers only.

`words` (uint32) and `reals` (float64) carry everything that is particular to a program, so another selection of
features compiles nothing.
"""

import zlib
from typing import Final

from features import elementary, fours
from features.compiled import fingerprint_of, part

# Sections of `words`, then of `reals`; section s is [words[2 s], words[2 s + 1]).
SIZES, KEYS, INSTRUCTIONS, FOLLOWS, GAP_MASKS, QUARTERS = range(6)
COUNT_VIEWS, WIDE_VIEWS, REAL_VIEWS, LISTS = 6, 8, 10, 12
"""Views are two sections, of the row's action and then of its category: how many there are, their cells, and for each
action or category the cells that they show then."""
EMIT_COUNT, EMIT_AGE, EMIT_RATIO, EMIT_WIDE, EMIT_MEAN, EMIT_PART, EMIT_DECAY, EMIT_ENTROPY = range(13, 21)
EMIT_LATEST, EMIT_TOP, EMIT_HOUR, EMIT_GAP, EMIT_DAYS, EMIT_VALUE, EMIT_STREAK, EMIT_OTHER = range(21, 29)
EMIT_CELL, EMIT_LENGTH, EMIT_PRIOR, EMIT_MOMENT, EMIT_FOUR, EMIT_QUOTIENTS, EMIT_QUOTIENT = range(29, 36)
EMIT_TYPICAL, PLACES_OF_CODES = 36, 37
SPANS, TEMPLATE, FACTORS, LOGS, DECAYS, RATIOS = range(38, 44)
SECTIONS: Final = 44
NO_COLUMN: Final = 0xFFFF_FFFF
SHORTEST_RUN: Final = 8
"""Neighbouring counters or times shorter than this are shown one by one."""
PLACES: Final = 512
"""Words of a list of channels and their levels, at most; times in microseconds times this stay below 2^63."""

# SIZES: the fingerprint, how many cells the state has, how many codes, actions and categories (with "none") the
# program knows, and how many rhythms a code has at most.
LAYOUT, N_COUNTS, N_WIDE, N_REAL, N_CODES, N_ACTIONS, N_CATEGORIES, N_RHYTHMS = range(8)

# KEYS: 16 words, so that all that admission and expiry need lies in one cache line: four counters and four "last" cells
# (padded with dummies); where the instructions begin on admission, on leaving one of the windows and on leaving the
# lookback, and where these end; the cell of the days and that of the rhythm. Codes that do the same share them, so that
# they stay in the cache: PLACES_OF_CODES says where those of a code are.
KEY_WORDS: Final = 16
COUNT_LANES: Final = 0
LAST_LANES: Final = 4
LANES: Final = 4
ADMIT: Final = 8
LEAVE: Final = 9
LAPSE: Final = 10
DAY_LANE: Final = 12
RHYTHM_LANE: Final = 13
WINDOWS: Final = 4
LOOKBACK: Final = 4
"""Index of the lookback among the spans, after the four windows."""

# INSTRUCTIONS: three words (operation, cell, operand). What does not fit the lanes, or has none. On admission
# ADD_RHYTHM only notes the event.
# ADD_FOLLOWED takes a first flag in place of a cell and a number of flags; FOLLOWS holds for each flag a counter, the
# cells of the last and the previous time, and the factor with the span.
INSTRUCTION_WORDS: Final = 3
FOLLOW_WORDS: Final = 4
(
    ADD_CENTS,
    ADD_COUNT,
    ADD_RHYTHM,
    ADD_DECAYED,
    ADD_STREAK,
    KEEP_PREVIOUS,
    ADD_FOLLOWED,
    MARK_DAY,
    KEEP_VALUE,
    KEEP_LAST,
    ADD_LOG,
) = range(11)

# Cells of the state that every program has: where padding goes, and what a relative set shows without action.
# Each lane has a dummy of its own, lest an addition wait for that of the lane before.
DUMMY_COUNTS: Final = (0, 4, 8, 12)
ZERO_COUNT: Final = 16
FIRST_FREE_COUNT: Final = 20
DUMMY_REAL: Final = 0
NEVER: Final = 1
ZERO_REAL: Final = 2
FIRST_FREE_REAL: Final = 4
ZERO_WIDE: Final = 0
NO_RHYTHM: Final = 0
DUMMY_DAYS: Final = 8
FIRST_FREE_WIDE: Final = 10
RHYTHM_CELLS, DECAY_CELLS, STREAK_CELLS, DAY_CELLS = 8, 2, 2, 2
EVENTS, EAST, NORTH, WEEKENDS, GAPS, SQUARED_GAPS, LAST_MINUTE, FIRST_TIME = range(8)
"""Cells of a rhythm: gaps are in minutes."""
AMOUNT_CELLS: Final = 2
LOG_AMOUNTS, AMOUNTS = range(2)
"""Cells of amounts: their logarithms together, as `elementary.log_amount` has them, and how many there are."""

CALENDAR_HOUR, CALENDAR_WEEKDAY, CALENDAR_MONTH, TENURE = range(4)
GAP_IS_MEAN, GAP_IS_SPREAD, GAP_IS_FIRST = range(3)

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
STALE: Final = -1
"""The compiled kernel has another layout than the program."""

COMPILED_IN: Final = (elementary.FINGERPRINT, fours.FINGERPRINT, fingerprint_of(part))
"""Of the functions that are compiled into the kernel."""

FINGERPRINT: Final = zlib.crc32(
    repr(sorted((name, value) for name, value in vars().items() if name.isupper())).encode()
)
"""Of all that is above. A kernel compiled and cached with other numbers sees that it is not that of the program."""
