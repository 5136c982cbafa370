"""What customers would choose at given prices: the compiled loops under prices and plans; optimises nothing.

All arrays are over n customers and k channels. gain: (n, k) EUR net of cost, -inf where the customer may not be
contacted; cost: (n, k) EUR, or (1, k) where each channel costs the same for all; toll: (k,) EUR a contact is charged.
The reduced gain of customer i on channel c is gain_ic − budget_price·cost_ic − toll_c; no contact has 0.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numba
import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Counts = npt.NDArray[np.int64]
Actions = npt.NDArray[np.int16]

NO_CHANNEL = -1


def _add_demand(gain: Floats, cost: Floats, budget_price: float, toll: Floats, count: Counts) -> tuple[float, float]:
    """Lets each customer choose alone; adds contacts to `count`, returns the sums of reduced gains and of costs."""
    n, k = gain.shape
    varies = 1 if cost.shape[0] > 1 else 0
    surplus = 0.0
    spent = 0.0
    for row in range(n):
        best = 0.0
        choice = -1
        for channel in range(k):
            reduced = gain[row, channel] - budget_price * cost[row * varies, channel] - toll[channel]
            if reduced > best:
                best = reduced
                choice = channel
        if choice >= 0:
            surplus += best
            spent += cost[row * varies, choice]
            count[choice] += 1
    return surplus, spent


def _rank_choices(
    gain: Floats, cost: Floats, budget_price: float, toll: Floats, choice: Actions, regret: Floats
) -> None:
    """Each customer's best action, and by how much it beats the next best; where none is best, regret is negative.

    For a customer whose best is a channel, regret is its reduced gain less that of the next best (none has 0); for
    one whose best is no contact, it is the best reduced gain over the channels, at most 0.
    """
    n, k = gain.shape
    varies = 1 if cost.shape[0] > 1 else 0
    for row in range(n):
        best = -np.inf
        second = -np.inf
        best_channel = -1
        for channel in range(k):
            reduced = gain[row, channel] - budget_price * cost[row * varies, channel] - toll[channel]
            if reduced > best:
                second = best
                best = reduced
                best_channel = channel
            elif reduced > second:
                second = reduced
        if best > 0.0:
            choice[row] = best_channel
            regret[row] = best - max(0.0, second)
        else:
            choice[row] = -1
            regret[row] = best


def _settle_choices(
    gain: Floats,
    cost: Floats,
    budget_price: float,
    toll: Floats,
    reach: Floats,
    near: npt.NDArray[np.bool_],
    count: Counts,
) -> tuple[float, float]:
    """Marks in `near` whose best action could change if each reduced gain moved by up to `reach` (k,) EUR.

    For the others adds the contacts to `count` and returns the sums of their costs and gains.
    """
    n, k = gain.shape
    varies = 1 if cost.shape[0] > 1 else 0
    spent = 0.0
    gained = 0.0
    for row in range(n):
        best = 0.0
        choice = -1
        for channel in range(k):
            reduced = gain[row, channel] - budget_price * cost[row * varies, channel] - toll[channel]
            if reduced > best:
                best = reduced
                choice = channel
        sure = best - reach[choice] if choice >= 0 else 0.0
        unsettled = choice >= 0 and sure <= 0.0
        for channel in range(k):
            reduced = gain[row, channel] - budget_price * cost[row * varies, channel] - toll[channel]
            if channel != choice and reduced + reach[channel] >= sure:
                unsettled = True
        near[row] = unsettled
        if choice >= 0 and not unsettled:
            count[choice] += 1
            spent += cost[row * varies, choice]
            gained += gain[row, choice]
    return spent, gained


def _survey_rows(gain: Floats, cost: Floats, low: Floats, high: Floats) -> tuple[float, int, float]:
    """Lowest and highest cost per channel among open cells; sum and count of positive best gains; largest |gain|."""
    n, k = gain.shape
    varies = 1 if cost.shape[0] > 1 else 0
    total = 0.0
    positive = 0
    largest = 0.0
    for row in range(n):
        best = 0.0
        for channel in range(k):
            value = gain[row, channel]
            if value > -np.inf:
                paid = cost[row * varies, channel]
                low[channel] = min(low[channel], paid)
                high[channel] = max(high[channel], paid)
                largest = max(largest, abs(value))
                best = max(best, value)
        if best > 0.0:
            total += best
            positive += 1
    return total, positive, largest


add_demand: Callable[..., tuple[float, float]] = numba.njit(nogil=True, cache=True, error_model="numpy")(_add_demand)
_rank: Callable[..., None] = numba.njit(nogil=True, cache=True, error_model="numpy")(_rank_choices)
settle_choices: Callable[..., tuple[float, float]] = numba.njit(nogil=True, cache=True, error_model="numpy")(
    _settle_choices
)
_survey: Callable[..., tuple[float, int, float]] = numba.njit(nogil=True, cache=True, error_model="numpy")(_survey_rows)


@dataclass(frozen=True)
class Survey:
    """How large the numbers are: positive best gains (sum EUR, count), largest |gain| EUR, costs per channel (k,)."""

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
    """`cost` as (1, k) where each channel costs the same for all who may be contacted on it, else as it is."""
    if len(cost) != 1 and np.array_equal(found.low_cost, found.high_cost):
        return found.low_cost[None, :].copy()
    return cost


def rank_choices(gain: Floats, cost: Floats, budget_price: float, toll: Floats) -> tuple[Actions, Floats]:
    """(n,) each customer's best channel (`NO_CHANNEL` none) and (n,) its regret, as `_rank_choices` says."""
    choice, regret = np.empty(len(gain), dtype=np.int16), np.empty(len(gain))
    _rank(gain, cost, budget_price, toll, choice, regret)
    return choice, regret
