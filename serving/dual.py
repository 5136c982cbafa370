"""Prices of limits by Lagrangian duality, and the bound that certifies a plan; assigns nobody.

The plan maximises the sum of gains over each customer's allowed set of contacts x_i, with every limit l of the table
held: use_l(x) at most, or at least, bound_l. Pricing each limit at y_l ≥ 0 lets every customer choose alone; for any
prices, with σ_l = 1 at most and −1 at least,

    D(y) = Σ_l σ_l·y_l·bound_l + Σ_i max over allowed sets of (gain_i(x) − Σ_l σ_l·y_l·use_l(x))

is at least the value of every plan (Fisher 1981, Management Science 27(1), section 2). D is convex; L-BFGS-B
(Byrd, Lu, Nocedal, Zhu 1995) minimises it from its subgradient, which is σ_l·(bound_l − use_l).
"""

from dataclasses import dataclass

import numpy as np
from scipy.optimize import minimize

from serving.demand import Offers, Survey, add_demand, settle_choices, survey
from serving.hashing import Hashes
from serving.limit_table import LimitTable
from serving.sets import Counts, Floats

SAMPLE_CUSTOMERS = 50_000
SIEVE_ABOVE = 4 * SAMPLE_CUSTOMERS
MAX_SIEVES = 6
REACH_ERRORS = 3.0
EDGE = 1e-6
MAX_STEPS = 300
FUNCTION_TOLERANCE = 1e-11


def dual_value(offers: Offers, limits: LimitTable, price: Floats) -> float:
    """D at `price` (l,) ≥ 0, EUR: no plan of these customers within these limits is worth more."""
    surplus, _, _ = add_demand(offers, *limits.toll(price))
    return surplus + limits.fixed_part(price)


def solve_prices(offers: Offers, limits: LimitTable, tie: Hashes, start: Floats | None = None) -> Floats:
    """(l,) prices that minimise D; started from those of a sample of 50,000 customers where there are many more.

    Args:
        offers: of n customers, gain C-contiguous float64.
        limits: of the plan; must be feasible, or the prices of minimums stop at a bound.
        tie: (n,) uint64 hash of each customer, which chooses the sample.
        start: prices to begin with, of an earlier plan with the same rows of limits.
    """
    n = len(offers)
    if n <= SIEVE_ABOVE:
        return _minimised(_Pool.of(offers, limits), limits, start)
    rows = np.flatnonzero(tie < np.uint64(2**64 / n * SAMPLE_CUSTOMERS))
    price = _minimised(_Pool.of(offers.rows(rows), limits), limits.scaled(len(rows) / n), start)
    extent = survey(offers.gain, offers.cost)
    step, reach = _reach(offers, limits, price, extent)
    for _ in range(MAX_SIEVES):
        found = _minimised(_sieved(offers, limits, price, extent, reach), limits, price, step)
        # Where no price stopped at the edge of its step, the least D of the pool is that of all customers.
        if (np.abs(found - price) <= (1.0 - EDGE) * step).all():
            return found
        price = found
    return _minimised(_Pool.of(offers, limits), limits, price)


@dataclass(frozen=True)
class _Pool:
    """Customers who may choose anew, and what those who keep their choice add: contacts and EUR per cell, gains."""

    offers: Offers
    extent: Survey
    kept_count: Counts
    kept_spent: Floats
    kept_gain: float

    @classmethod
    def of(cls, offers: Offers, limits: LimitTable) -> "_Pool":
        none = np.zeros(limits.shape)
        return cls(offers, survey(offers.gain, offers.cost), none.astype(np.int64), none, 0.0)

    def demand(self, limits: LimitTable, price: Floats) -> tuple[float, Floats]:
        """The sum of reduced gains, and the use of each limit, at `price`."""
        rate, toll = limits.toll(price)
        surplus, count, spent = add_demand(self.offers, rate, toll)
        kept = self.kept_gain - float((rate * self.kept_spent).sum()) - float((toll * self.kept_count).sum())
        return surplus + kept, limits.use(count + self.kept_count, spent + self.kept_spent)


def _reach(offers: Offers, limits: LimitTable, price: Floats, extent: Survey) -> tuple[Floats, Floats]:
    """(l,) how far each price may move, a few standard errors of what was found on the sample; (S, k) EUR by which
    reduced gains then move at most.

    The fewer contacts a limit has in the sample, the less is known of its price.
    """
    _, count, spent = add_demand(offers, *limits.toll(price))
    sampled = SAMPLE_CUSTOMERS / len(offers)
    typical = REACH_ERRORS * extent.typical_eur
    use = np.maximum(1.0, limits.use(count, spent) * sampled)
    per_option = typical / np.sqrt(np.maximum(1.0, count.sum(axis=0) * sampled))
    paid = extent.high_cost > 0
    per_eur = np.divide(per_option, extent.high_cost, out=np.full(len(paid), np.inf), where=paid)
    money = np.where(limits.covers(), per_eur, np.inf).min(axis=1, initial=np.inf)
    step = np.where(limits.money, money, typical / np.sqrt(use)) / 3.0
    step = np.where(np.isfinite(step), step, 1.0)
    rate, toll = limits.size_of_move(step)
    return step, rate * extent.high_cost + toll


def _sieved(offers: Offers, limits: LimitTable, price: Floats, extent: Survey, reach: Floats) -> _Pool:
    """Those whose choice may change while each reduced gain moves by less than its reach (S, k) EUR."""
    near, count, spent, gained = settle_choices(offers, *limits.toll(price), reach)
    return _Pool(offers.rows(np.flatnonzero(near)), extent, count, spent, gained)


@dataclass(frozen=True)
class _Variables:
    """The limits that can bind, `rows` of the table, as one vector; `scale` EUR (or EUR per EUR) a unit."""

    rows: Counts
    scale: Floats
    upper: Floats

    def price(self, vector: Floats, limits: int) -> Floats:
        result = np.zeros(limits)
        result[self.rows] = vector * self.scale
        return result

    def vector(self, price: Floats) -> Floats:
        return np.clip(price[self.rows] / self.scale, 0.0, self.upper)


def _variables(pool: _Pool, limits: LimitTable) -> _Variables:
    extent = pool.extent
    typical = extent.typical_eur
    paid = float(extent.high_cost.mean()) if len(extent.high_cost) else 0.0
    per_eur = typical / paid if paid > 0 else 1.0
    possible = (len(pool.offers) + pool.kept_count.sum()) * pool.offers.rules.contacts
    rows = np.flatnonzero(limits.money | (limits.sign < 0) | (limits.bound < possible))
    # Beyond this toll nobody more is drawn to an option; minimums out of reach would otherwise have no least price.
    dearest = 4.0 * (extent.largest_eur + per_eur * float(extent.high_cost.max(initial=0.0))) + typical
    scale = np.where(limits.money[rows], per_eur, typical)
    return _Variables(rows, scale, np.where(limits.sign[rows] < 0, dearest / typical, np.inf))


def _minimised(pool: _Pool, limits: LimitTable, start: Floats | None, step: Floats | None = None) -> Floats:
    """The least D of the pool, each price within its `step` (l,) around `start`."""
    count = len(limits.rows)
    variables = _variables(pool, limits)
    if not len(variables.rows) or not len(pool.offers):
        return np.zeros(count)
    size = max(pool.extent.positive_eur, 1e-9)
    signed = limits.sign[variables.rows] * variables.scale

    def objective(vector: Floats) -> tuple[float, Floats]:
        price = variables.price(vector, count)
        surplus, use = pool.demand(limits, price)
        slack = (limits.bound - use)[variables.rows] * signed
        return (surplus + limits.fixed_part(price)) / size, slack / size

    first = variables.vector(np.zeros(count) if start is None else start)
    low, high = np.zeros(len(first)), variables.upper
    if start is not None and step is not None:
        low, high = variables.vector(start - step), variables.vector(start + step)
    options = {"maxiter": MAX_STEPS, "ftol": FUNCTION_TOLERANCE, "gtol": 0.0, "maxcor": 20}
    bounds = list(zip(low, high, strict=True))
    found = minimize(objective, first, jac=True, method="L-BFGS-B", bounds=bounds, options=options)
    return variables.price(found.x, count)
