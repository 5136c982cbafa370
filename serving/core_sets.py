"""Which sets of contacts are within reach of each customer's best at given prices; solves nothing."""

from collections.abc import Callable
from dataclasses import dataclass

import numba
import numpy as np
import numpy.typing as npt

from serving.demand import Offers, reduce_row
from serving.limit_table import LimitTable
from serving.sets import (
    NO_CHANNEL,
    Actions,
    Counts,
    Floats,
    Rules,
    Scratch,
    Segments,
    best_set,
    fits,
    gross_gain,
    scratch_of,
    sort_candidates,
)


@dataclass(frozen=True)
class CoreSets:
    """rows (v,), picks (v, m), gain (v,) EUR net of each set; optional (n,), settled (n, m) of each customer."""

    rows: Counts
    picks: Actions
    gain: Floats
    optional: npt.NDArray[np.bool_]
    settled: Actions


def _within(
    rules: Rules, scratch: Scratch, candidates: int, least: float, found: int, row: int, rows: Counts, picks: Actions
) -> int:
    """Goes through all allowed sets of the candidates worth `least` or more; writes those for which there is room.

    Returns how many sets there are by then, `found` before included.
    """
    depth = 0
    scratch.counts[:] = 0
    scratch.following[0] = 0
    scratch.partial[0] = 0.0
    while depth >= 0:
        at = scratch.following[depth]
        if depth == rules.contacts or at == candidates:
            depth -= 1
            if depth >= 0:
                scratch.counts[rules.campaign[scratch.stack[depth]]] -= 1
            continue
        scratch.following[depth] = at + 1
        option = scratch.order[at]
        campaign = rules.campaign[option]
        scratch.counts[campaign] += 1
        if not fits(rules, scratch.counts):
            scratch.counts[campaign] -= 1
            continue
        lost = (1.0 - rules.kept[scratch.counts[campaign] - 1]) * max(scratch.gross[option], 0.0)
        value = scratch.partial[depth] + scratch.reduced[option] - lost
        scratch.stack[depth] = option
        if value >= least:
            if found < len(rows):
                rows[found] = row
                picks[found, : depth + 1] = scratch.stack[: depth + 1]
            found += 1
        depth += 1
        scratch.partial[depth] = value
        scratch.following[depth] = at + 1
    return found


within: Callable[..., int] = numba.njit(nogil=True, cache=True, error_model="numpy")(_within)


def _collect(
    gain: Floats,
    cost: Floats,
    segment: Segments,
    rate: Floats,
    toll: Floats,
    needed: npt.NDArray[np.bool_],
    rules: Rules,
    scratch: Scratch,
    slack: float,
    rows: Counts,
    picks: Actions,
    optional: npt.NDArray[np.bool_],
    settled: Actions,
) -> int:
    """Fills all arrays as far as there is room for sets; returns how many sets there are."""
    total = 0
    for row in range(gain.shape[0]):
        paid = row if cost.shape[0] > 1 else 0
        part = segment[row] if segment.shape[0] > 1 else 0
        reduce_row(gain, cost, rate, toll, row, paid, part, scratch)
        best = best_set(rules, rules.contacts, scratch)
        for slot in range(rules.contacts):
            settled[row, slot] = scratch.picks[slot]
        for option in range(gain.shape[1]):
            if gain[row, option] <= 0.0 and not needed[part, option]:
                scratch.reduced[option] = -np.inf
        optional[row] = best <= slack
        before = total
        # An option that alone falls short by more than the slack does so in every set.
        candidates = sort_candidates(scratch, np.nextafter(-slack, -np.inf))
        total = within(rules, scratch, candidates, best - slack, total, row, rows, picks)
        if total - before + optional[row] <= 1:
            picks[before:total] = -1
            total = before
        else:
            settled[row] = -1
    return total


_collected: Callable[..., int] = numba.njit(nogil=True, cache=True, error_model="numpy")(_collect)


def _net_gains(rows: Counts, picks: Actions, gain: Floats, cost: Floats, rules: Rules, scratch: Scratch) -> Floats:
    result = np.empty(len(rows))
    for place in range(len(rows)):
        row = rows[place]
        paid = row if cost.shape[0] > 1 else 0
        for option in range(gain.shape[1]):
            scratch.gross[option] = gain[row, option] + cost[paid, option]
        result[place] = gross_gain(rules, picks[place], scratch.gross)
        for slot in range(rules.contacts):
            if picks[place, slot] >= 0:
                result[place] -= cost[paid, picks[place, slot]]
    return result


_net: Callable[..., Floats] = numba.njit(nogil=True, cache=True, error_model="numpy")(_net_gains)


def core_sets(offers: Offers, limits: LimitTable, price: Floats, slack: float) -> CoreSets:
    """All sets whose reduced gain at `price` is within `slack` EUR of their customer's best.

    Of customers with more than one choice, no contact included; a set that earns nothing only where a minimum counts
    it. The others are settled.
    """
    n, m = len(offers), offers.rules.contacts
    scratch = scratch_of(offers.rules)
    optional, settled = np.empty(n, dtype=np.bool_), np.empty((n, m), dtype=np.int16)
    rate, toll = limits.toll(price)
    args = (offers.gain, offers.cost, offers.segment, rate, toll, limits.needed, offers.rules, scratch, slack)
    room = 4 * n
    while True:
        rows, picks = np.empty(room, dtype=np.int64), np.full((room, m), NO_CHANNEL, dtype=np.int16)
        total = _collected(*args, rows, picks, optional, settled)
        if total <= room:
            break
        room = total
    rows, picks = rows[:total], picks[:total]
    gain = _net(rows, picks, offers.gain, offers.cost, offers.rules, scratch)
    return CoreSets(rows, picks, gain, optional, settled)
