"""What another budget would have earned: the best value under every budget, from one set of prices to the next.

The value of the best plan as a function of its budget is concave, and its slope is the budget's price; the dual bound
(serving.dual) gives it to within the gap that a plan of that size has. Where customers are many, a sample of them by
hash stands for all, with limits in proportion, and values are scaled so that the curve passes through the plan. Decides
nothing.
"""

from dataclasses import dataclass, replace

import numpy as np

from serving.demand import Floats, add_demand
from serving.dual import Prices, dual_value, solve_prices
from serving.hashing import Hashes
from serving.limits import NO_CAPACITY, Limits, minimums_cost_eur

MOST_CUSTOMERS = 50_000
POINTS = 16
LEAST_EUR = 0.005
BEYOND = 1.25


@dataclass(frozen=True)
class FrontierPoint:
    """With this budget, the net value of the best plan and what the budget's last euro earns, all EUR."""

    budget_eur: float
    net_eur: float
    price: float


@dataclass(frozen=True)
class Frontier:
    """The curve of the plan's part, by rising budget; or, without points, why there is none.

    customers: on whom it was computed. enough_eur: the budget beyond which nothing more is earned.
    """

    points: tuple[FrontierPoint, ...]
    customers: int
    enough_eur: float
    missing: str | None = None

    @classmethod
    def none(cls, reason: str) -> "Frontier":
        """No curve, and why."""
        return cls((), 0, 0.0, reason)


def frontier(gain: Floats, cost: Floats, limits: Limits, tie: Hashes, start: Prices) -> Frontier:
    """The curve from the least budget that meets the minimums to the one that is enough.

    Args:
        gain: (n, k) EUR net of cost, -inf where the customer may not be contacted.
        cost: (n, k) or (1, k) EUR.
        limits: of the part of the plan; those but the budget stay.
        tie: (n,) uint64 hash of each customer, which chooses the sample.
        start: prices of the plan.
    """
    if not len(gain):
        return Frontier.none("there is nobody to contact")
    n, bound = len(gain), dual_value(gain, cost, limits, start)
    if n > MOST_CUSTOMERS:
        rows = np.flatnonzero(tie < np.uint64(2**64 / n * MOST_CUSTOMERS))
        gain, cost, tie = gain[rows], cost[rows] if len(cost) > 1 else cost, tie[rows]
        limits = _in_proportion(limits, len(rows) / n)
    share = len(gain) / n
    free = replace(limits, budget_eur=np.inf)
    prices = solve_prices(gain, cost, free, tie, Prices(0.0, start.capacity, start.minimum))
    enough = _spent(gain, cost, prices)
    least = float(minimums_cost_eur(gain > -np.inf, cost, limits).sum())
    if enough / share < LEAST_EUR:
        return Frontier.none("no contact that is worth making costs anything")
    scale = bound / dual_value(gain, cost, limits, solve_prices(gain, cost, limits, tie, start)) if share < 1 else 1.0
    points = []
    for budget in _budgets(least, enough, limits.budget_eur)[::-1]:
        within = replace(limits, budget_eur=float(budget))
        prices = solve_prices(gain, cost, within, tie, prices)
        value = dual_value(gain, cost, within, prices)
        points.append(FrontierPoint(float(budget) / share, value * scale, prices.budget))
    return Frontier(tuple(points[::-1]), len(gain), enough / share)


def _budgets(least: float, enough: float, own: float) -> Floats:
    """Ascending: closer together where budgets are small and the curve bends, the plan's own among them."""
    most = max(least, BEYOND * enough)
    if np.isfinite(own):
        most = max(most, own)
    grid = least + (most - least) * np.linspace(0, 1, POINTS) ** 2
    return np.unique(np.concatenate([grid, [enough], [own] if np.isfinite(own) and own >= least else []]))


def _spent(gain: Floats, cost: Floats, prices: Prices) -> float:
    count = np.zeros(gain.shape[1], dtype=np.int64)
    return float(add_demand(gain, cost, prices.budget, prices.toll, count)[1])


def _in_proportion(limits: Limits, share: float) -> Limits:
    capacity = np.where(limits.capacity < NO_CAPACITY, np.rint(limits.capacity * share), NO_CAPACITY)
    return replace(
        limits,
        budget_eur=limits.budget_eur * share,
        capacity=capacity.astype(np.int64),
        minimum=np.floor(limits.minimum * share).astype(np.int64),
    )
