"""What another budget would have earned: the best value under every budget, from one set of prices to the next.

The value of the best plan as a function of its budget is concave, and its slope is the budget's price; the dual bound
(serving.dual) gives it to within the gap that a plan of that size has. Where customers are many, a sample of them by
hash stands for all, with limits in proportion, and values are scaled so that the curve passes through the plan. Decides
nothing.
"""

from dataclasses import dataclass

import numpy as np
from scipy.sparse import csr_array, vstack

from serving.clashes import least_eur
from serving.demand import Offers, add_demand
from serving.dual import dual_value, solve_prices
from serving.hashing import Hashes
from serving.limit_table import LimitRow, LimitTable
from serving.sets import Floats

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


@dataclass(frozen=True)
class _Budgeted:
    """Limits with a budget for the whole plan among them, at place `at`; own: the one that was set, else inf."""

    limits: LimitTable
    at: int
    own: float

    @classmethod
    def of(cls, limits: LimitTable) -> "_Budgeted":
        for at, row in enumerate(limits.rows):
            if row == LimitRow("budget", row.bound):
                return cls(limits, at, float(limits.bound[at]))
        everything = csr_array(np.ones((1, limits.cells.shape[1])))
        added = LimitTable(
            (*limits.rows, LimitRow("budget", np.inf)),
            csr_array(vstack([limits.cells, everything])),
            np.append(limits.bound, 0.0),
            np.append(limits.sign, 1.0),
            np.append(limits.money, True),
            limits.shape,
            limits.channels,
        )
        return cls(added, len(limits.rows), np.inf)

    def within(self, budget_eur: float) -> LimitTable:
        """All limits, with this budget."""
        bound = self.limits.bound.copy()
        bound[self.at] = budget_eur
        return self.limits.with_bounds(bound)

    def scaled(self, share: float) -> "_Budgeted":
        """The limits of a part of the customers; minimums rounded down."""
        limits = self.limits
        contacts = np.where(limits.sign < 0, np.floor(limits.bound * share), np.rint(limits.bound * share))
        bound = np.where(limits.money, limits.bound * share, contacts)
        return _Budgeted(limits.with_bounds(bound), self.at, self.own * share)


def frontier(offers: Offers, limits: LimitTable, tie: Hashes, start: Floats) -> Frontier:
    """The curve from the least budget that meets the minimums to the one that is enough.

    Args:
        offers: of n customers.
        limits: of the part of the plan; those but the budget stay.
        tie: (n,) uint64 hash of each customer, which chooses the sample.
        start: (l,) prices of the plan.
    """
    if not len(offers):
        return Frontier.none("there is nobody to contact")
    n, bound = len(offers), dual_value(offers, limits, start)
    budgeted = _Budgeted.of(limits)
    start = start if len(start) == len(budgeted.limits.rows) else np.append(start, 0.0)
    if n > MOST_CUSTOMERS:
        rows = np.flatnonzero(tie < np.uint64(2**64 / n * MOST_CUSTOMERS))
        offers, tie, budgeted = offers.rows(rows), tie[rows], budgeted.scaled(len(rows) / n)
    share = len(offers) / n
    # More than can be spent, and finite, so that the price 0 times it is 0.
    plenty = float(offers.cost.max()) * len(offers) * offers.rules.contacts
    free = np.where(np.arange(len(start)) == budgeted.at, 0.0, start)
    price = solve_prices(offers, budgeted.within(plenty), tie, free)
    enough = float(add_demand(offers, *budgeted.limits.toll(price))[2].sum())
    if enough / share < LEAST_EUR:
        return Frontier.none("no contact that is worth making costs anything")
    own = budgeted.own if np.isfinite(budgeted.own) else plenty
    here = dual_value(offers, budgeted.within(own), solve_prices(offers, budgeted.within(own), tie, start))
    scale = bound / here if share < 1 else 1.0
    minimums = np.flatnonzero(budgeted.limits.least > 0).tolist()
    least = least_eur(offers, budgeted.limits, minimums, budgeted.at) if minimums else 0.0
    points = []
    for budget in _budgets(least, enough, budgeted.own)[::-1]:
        within = budgeted.within(float(budget))
        price = solve_prices(offers, within, tie, price)
        points.append(
            FrontierPoint(float(budget) / share, dual_value(offers, within, price) * scale, float(price[budgeted.at]))
        )
    return Frontier(tuple(points[::-1]), len(offers), enough / share)


def _budgets(least: float, enough: float, own: float) -> Floats:
    """Ascending: closer together where budgets are small and the curve bends, the plan's own among them."""
    most = max(least, BEYOND * enough)
    if np.isfinite(own):
        most = max(most, own)
    grid = least + (most - least) * np.linspace(0, 1, POINTS) ** 2
    return np.unique(np.concatenate([grid, [enough], [own] if np.isfinite(own) and own >= least else []]))
