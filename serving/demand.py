"""What customers would choose at given prices: the compiled loops under prices and plans; optimises nothing.

All arrays are over n customers and k options (an option is a campaign and a channel). gain: (n, k) EUR net of cost,
-inf where the customer may not be contacted; cost: (n, k) EUR, or (1, k) where each option costs the same for all;
segment: (n,) or (1,); rate, toll: (S, k) EUR per EUR of cost and EUR a contact that a segment is charged. The reduced
gain of customer i on option o is gain_io − rate_so·cost_io − toll_so; no contact has 0. Which contacts of one customer
go together, and what a further one is worth, `serving.sets` says.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numba
import numpy as np
import numpy.typing as npt

from serving.sets import NO_CHANNEL, Actions, Counts, Floats, Rules, Scratch, Segments, best_set, gross_gain, scratch_of


def _best_option(
    gain: Floats, cost: Floats, rate: Floats, toll: Floats, row: int, paid: int, part: int
) -> tuple[float, int]:
    """The largest reduced gain above 0, and its option; (0, -1) where no contact is best."""
    best = 0.0
    choice = -1
    for option in range(gain.shape[1]):
        reduced = gain[row, option] - rate[part, option] * cost[paid, option] - toll[part, option]
        if reduced > best:
            best = reduced
            choice = option
    return best, choice


best_option: Callable[..., tuple[float, int]] = numba.njit(nogil=True, cache=True, error_model="numpy")(_best_option)


def _reduce(
    gain: Floats, cost: Floats, rate: Floats, toll: Floats, row: int, paid: int, part: int, scratch: Scratch
) -> None:
    """Fills the reduced and the gross gain of each option."""
    for option in range(gain.shape[1]):
        value = gain[row, option]
        scratch.reduced[option] = value - rate[part, option] * cost[paid, option] - toll[part, option]
        scratch.gross[option] = value + cost[paid, option]


reduce_row: Callable[..., None] = numba.njit(nogil=True, cache=True, error_model="numpy")(_reduce)


def _add_demand(
    gain: Floats,
    cost: Floats,
    segment: Segments,
    rate: Floats,
    toll: Floats,
    rules: Rules,
    scratch: Scratch,
    count: Counts,
    spent: Floats,
) -> float:
    """Lets each customer choose alone; adds contacts and EUR per cell, returns the sum of reduced gains."""
    varies = 1 if cost.shape[0] > 1 else 0
    grouped = 1 if segment.shape[0] > 1 else 0
    picks = scratch.picks
    surplus = 0.0
    for row in range(gain.shape[0]):
        paid, part = row * varies, segment[row * grouped]
        if rules.contacts == 1:
            value, choice = best_option(gain, cost, rate, toll, row, paid, part)
            if choice >= 0:
                surplus += value
                count[part, choice] += 1
                spent[part, choice] += cost[paid, choice]
            continue
        reduce_row(gain, cost, rate, toll, row, paid, part, scratch)
        surplus += best_set(rules, rules.contacts, scratch)
        for slot in range(rules.contacts):
            option = picks[slot]
            if option >= 0:
                count[part, option] += 1
                spent[part, option] += cost[paid, option]
    return surplus


def _rank_single(
    gain: Floats, cost: Floats, segment: Segments, rate: Floats, toll: Floats, choice: Actions, regret: Floats
) -> None:
    varies = 1 if cost.shape[0] > 1 else 0
    grouped = 1 if segment.shape[0] > 1 else 0
    for row in range(gain.shape[0]):
        paid, part = row * varies, segment[row * grouped]
        best = -np.inf
        second = -np.inf
        best_choice = -1
        for option in range(gain.shape[1]):
            reduced = gain[row, option] - rate[part, option] * cost[paid, option] - toll[part, option]
            if reduced > best:
                second = best
                best = reduced
                best_choice = option
            elif reduced > second:
                second = reduced
        if best > 0.0:
            choice[row, 0] = best_choice
            regret[row] = best - max(0.0, second)
        else:
            choice[row, 0] = NO_CHANNEL
            regret[row] = best


def _rank_sets(
    gain: Floats,
    cost: Floats,
    segment: Segments,
    rate: Floats,
    toll: Floats,
    rules: Rules,
    scratch: Scratch,
    choice: Actions,
    regret: Floats,
) -> None:
    """Regret is what the set loses when its last, least contact is closed; without a set, the best reduced gain."""
    varies = 1 if cost.shape[0] > 1 else 0
    grouped = 1 if segment.shape[0] > 1 else 0
    for row in range(gain.shape[0]):
        reduce_row(gain, cost, rate, toll, row, row * varies, segment[row * grouped], scratch)
        value = best_set(rules, rules.contacts, scratch)
        weakest = -1
        for slot in range(rules.contacts):
            option = scratch.picks[slot]
            choice[row, slot] = option
            if option >= 0 and (weakest < 0 or scratch.reduced[option] < scratch.reduced[weakest]):
                weakest = option
        if weakest < 0:
            regret[row] = scratch.reduced.max()
            continue
        scratch.reduced[weakest] = -np.inf
        regret[row] = value - best_set(rules, rules.contacts, scratch)


def _settle_single(
    gain: Floats,
    cost: Floats,
    segment: Segments,
    rate: Floats,
    toll: Floats,
    reach: Floats,
    near: npt.NDArray[np.bool_],
    count: Counts,
    spent: Floats,
) -> float:
    varies = 1 if cost.shape[0] > 1 else 0
    grouped = 1 if segment.shape[0] > 1 else 0
    gained = 0.0
    for row in range(gain.shape[0]):
        paid, part = row * varies, segment[row * grouped]
        best, choice = best_option(gain, cost, rate, toll, row, paid, part)
        sure = best - reach[part, choice] if choice >= 0 else 0.0
        unsettled = choice >= 0 and sure <= 0.0
        for option in range(gain.shape[1]):
            reduced = gain[row, option] - rate[part, option] * cost[paid, option] - toll[part, option]
            if option != choice and reduced + reach[part, option] >= sure:
                unsettled = True
        near[row] = unsettled
        if choice >= 0 and not unsettled:
            count[part, choice] += 1
            spent[part, choice] += cost[paid, choice]
            gained += gain[row, choice]
    return gained


def _settle_sets(
    gain: Floats,
    cost: Floats,
    segment: Segments,
    rate: Floats,
    toll: Floats,
    rules: Rules,
    scratch: Scratch,
    reach: Floats,
    near: npt.NDArray[np.bool_],
    count: Counts,
    spent: Floats,
) -> float:
    """A set is settled where it stays the best with its own options worth less, and all others more, by their reach."""
    varies = 1 if cost.shape[0] > 1 else 0
    grouped = 1 if segment.shape[0] > 1 else 0
    first = np.empty(rules.contacts, dtype=np.int64)
    gained = 0.0
    for row in range(gain.shape[0]):
        paid, part = row * varies, segment[row * grouped]
        reduce_row(gain, cost, rate, toll, row, paid, part, scratch)
        best_set(rules, rules.contacts, scratch)
        first[:] = scratch.picks
        scratch.reduced[:] += reach[part]
        for slot in range(rules.contacts):
            if first[slot] >= 0:
                scratch.reduced[first[slot]] -= 2.0 * reach[part, first[slot]]
        best_set(rules, rules.contacts, scratch)
        near[row] = (first != scratch.picks).any()
        if near[row]:
            continue
        gained += gross_gain(rules, first, scratch.gross)
        for slot in range(rules.contacts):
            option = first[slot]
            if option >= 0:
                gained -= cost[paid, option]
                count[part, option] += 1
                spent[part, option] += cost[paid, option]
    return gained


def _survey_rows(gain: Floats, cost: Floats, low: Floats, high: Floats) -> tuple[float, int, float]:
    """Lowest and highest cost per option among open cells; sum and count of positive best gains; largest |gain|."""
    n, k = gain.shape
    varies = 1 if cost.shape[0] > 1 else 0
    total = 0.0
    positive = 0
    largest = 0.0
    for row in range(n):
        best = 0.0
        for option in range(k):
            value = gain[row, option]
            if value > -np.inf:
                paid = cost[row * varies, option]
                low[option] = min(low[option], paid)
                high[option] = max(high[option], paid)
                largest = max(largest, abs(value))
                best = max(best, value)
        if best > 0.0:
            total += best
            positive += 1
    return total, positive, largest


_demand: Callable[..., float] = numba.njit(nogil=True, cache=True, error_model="numpy")(_add_demand)
_rank_one: Callable[..., None] = numba.njit(nogil=True, cache=True, error_model="numpy")(_rank_single)
_rank_many: Callable[..., None] = numba.njit(nogil=True, cache=True, error_model="numpy")(_rank_sets)
_settle_one: Callable[..., float] = numba.njit(nogil=True, cache=True, error_model="numpy")(_settle_single)
_settle_many: Callable[..., float] = numba.njit(nogil=True, cache=True, error_model="numpy")(_settle_sets)
_survey: Callable[..., tuple[float, int, float]] = numba.njit(nogil=True, cache=True, error_model="numpy")(_survey_rows)


@dataclass(frozen=True)
class Offers:
    """What n customers may be offered on k options: gain, cost, segment as above, and which contacts go together."""

    gain: Floats
    cost: Floats
    segment: Segments
    rules: Rules

    def __len__(self) -> int:
        return len(self.gain)

    def rows(self, rows: Counts | npt.NDArray[np.bool_]) -> "Offers":
        """The offers of some customers."""
        cost = self.cost[rows] if len(self.cost) > 1 else self.cost
        segment = self.segment[rows] if len(self.segment) > 1 else self.segment
        return Offers(self.gain[rows], cost, segment, self.rules)

    def segments(self, rows: Counts) -> Segments:
        """(len(rows),) the segment of each of `rows`."""
        found: Segments = self.segment[rows] if len(self.segment) > 1 else np.zeros(len(rows), dtype=np.int32)
        return found

    def costs(self, rows: Counts, options: npt.NDArray[np.signedinteger]) -> Floats:
        """EUR of each pair of row and option."""
        found: Floats = self.cost[rows, options] if len(self.cost) != 1 else self.cost[0, options]
        return found


@dataclass(frozen=True)
class Survey:
    """How large the numbers are: positive best gains (sum EUR, count), largest |gain| EUR, costs per option (k,)."""

    positive_eur: float
    positive: int
    largest_eur: float
    low_cost: Floats
    high_cost: Floats

    @property
    def typical_eur(self) -> float:
        """The mean positive best gain; 1 where there is none."""
        return self.positive_eur / self.positive if self.positive else 1.0


def survey(gain: Floats, cost: Floats) -> Survey:
    """One pass over all cells that may be contacted."""
    low, high = np.full(gain.shape[1], np.inf), np.full(gain.shape[1], -np.inf)
    total, positive, largest = _survey(gain, cost, low, high)
    return Survey(total, positive, largest, np.where(low < np.inf, low, 0.0), np.where(high > -np.inf, high, 0.0))


def compact_cost(cost: Floats, found: Survey) -> Floats:
    """`cost` as (1, k) where each option costs the same for all who may be contacted on it, else as it is."""
    if len(cost) != 1 and np.array_equal(found.low_cost, found.high_cost):
        return found.low_cost[None, :].copy()
    return cost


def add_demand(offers: Offers, rate: Floats, toll: Floats) -> tuple[float, Counts, Floats]:
    """The sum of reduced gains, and contacts and EUR per cell (S, k), where each customer chooses alone."""
    count, spent = np.zeros(toll.shape, dtype=np.int64), np.zeros(toll.shape)
    scratch = scratch_of(offers.rules)
    args = (offers.gain, offers.cost, offers.segment, rate, toll, offers.rules, scratch, count, spent)
    return _demand(*args), count, spent


def rank_choices(offers: Offers, rate: Floats, toll: Floats) -> tuple[Actions, Floats]:
    """Each customer's best options (n, m), `NO_CHANNEL` none, and (n,) by how much they beat the next best.

    Where no contact is best, regret is the best reduced gain over the options, at most 0.
    """
    choice = np.full((len(offers), offers.rules.contacts), NO_CHANNEL, dtype=np.int16)
    regret = np.empty(len(offers))
    args = (offers.gain, offers.cost, offers.segment, rate, toll)
    if offers.rules.contacts == 1:
        _rank_one(*args, choice, regret)
    else:
        _rank_many(*args, offers.rules, scratch_of(offers.rules), choice, regret)
    return choice, regret


def settle_choices(
    offers: Offers, rate: Floats, toll: Floats, reach: Floats
) -> tuple[npt.NDArray[np.bool_], Counts, Floats, float]:
    """(n,) whose best options could change if each reduced gain moved by up to `reach` (S, k) EUR.

    And of the others the contacts and EUR per cell (S, k) and the sum of gains.
    """
    near = np.empty(len(offers), dtype=np.bool_)
    count, spent = np.zeros(toll.shape, dtype=np.int64), np.zeros(toll.shape)
    args = (offers.gain, offers.cost, offers.segment, rate, toll)
    if offers.rules.contacts == 1:
        gained = _settle_one(*args, reach, near, count, spent)
    else:
        gained = _settle_many(*args, offers.rules, scratch_of(offers.rules), reach, near, count, spent)
    return near, count, spent, gained
