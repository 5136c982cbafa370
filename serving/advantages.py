"""By how much an option beats what a customer would choose without it: the compiled loops that rank for rounding."""

from collections.abc import Callable

import numba
import numpy as np
import numpy.typing as npt

from serving.demand import reduce_row
from serving.sets import Actions, Counts, Floats, Rules, Scratch, Segments, best_set


def _advantages(
    gain: Floats, cost: Floats, segment: Segments, rate: Floats, toll: Floats, wanted: Floats, option: int
) -> Floats:
    """(n,) how much `option` beats each customer's next best (none has 0) in reduced gain; -inf where closed.

    And where no minimum needs it: `wanted` (S, k).
    """
    n, k = gain.shape
    result = np.full(n, -np.inf)
    for row in range(n):
        paid = row if cost.shape[0] > 1 else 0
        part = segment[row] if segment.shape[0] > 1 else 0
        if gain[row, option] == -np.inf or not wanted[part, option]:
            continue
        other = 0.0
        for each in range(k):
            if each != option:
                other = max(other, gain[row, each] - rate[part, each] * cost[paid, each] - toll[part, each])
        result[row] = gain[row, option] - rate[part, option] * cost[paid, option] - toll[part, option] - other
    return result


def _set_advantages(
    gain: Floats,
    cost: Floats,
    segment: Segments,
    rate: Floats,
    toll: Floats,
    wanted: npt.NDArray[np.bool_],
    option: int,
    rules: Rules,
    scratch: Scratch,
) -> Floats:
    """As `_advantages`, of the best set with `option` over the best one without it."""
    result = np.full(gain.shape[0], -np.inf)
    for row in range(gain.shape[0]):
        paid = row if cost.shape[0] > 1 else 0
        part = segment[row] if segment.shape[0] > 1 else 0
        if gain[row, option] == -np.inf or not wanted[part, option]:
            continue
        reduce_row(gain, cost, rate, toll, row, paid, part, scratch)
        own = scratch.reduced[option]
        scratch.reduced[option] = -np.inf
        without = best_set(rules, rules.contacts, scratch)
        # Worth more than all others together, so that it is in the best set.
        more = 1.0 + abs(own)
        for each in range(gain.shape[1]):
            more += max(0.0, scratch.reduced[each]) + max(0.0, scratch.gross[option])
        scratch.reduced[option] = own + more
        result[row] = best_set(rules, rules.contacts, scratch) - more - without
    return result


def _second_options(
    rows: Counts, gain: Floats, cost: Floats, segment: Segments, rate: Floats, toll: Floats, choice: Actions
) -> Counts:
    """The next best option after `choice` of each of `rows`; -1 where that is no contact."""
    result = np.full(len(rows), -1, dtype=np.int64)
    for position in range(len(rows)):
        row = rows[position]
        paid = row if cost.shape[0] > 1 else 0
        part = segment[row] if segment.shape[0] > 1 else 0
        best = 0.0
        for option in range(gain.shape[1]):
            reduced = gain[row, option] - rate[part, option] * cost[paid, option] - toll[part, option]
            if option != choice[row] and reduced > best:
                best = reduced
                result[position] = option
    return result


advantages: Callable[..., Floats] = numba.njit(nogil=True, cache=True, error_model="numpy")(_advantages)
set_advantages: Callable[..., Floats] = numba.njit(nogil=True, cache=True, error_model="numpy")(_set_advantages)
second_options: Callable[..., Counts] = numba.njit(nogil=True, cache=True, error_model="numpy")(_second_options)
