"""Prices of limits by Lagrangian duality, and the bound that certifies a plan; assigns nobody.

The plan maximises sum gain·x over 0/1 assignments x with at most one channel a customer, cost·x within the budget and
each channel's contacts between its minimum and its capacity. Pricing the budget at λ ≥ 0 per EUR, capacities at α ≥ 0
and minimums at β ≥ 0 per contact lets every customer choose alone; for any prices

    D(λ, α, β) = λ·budget + α·capacity − β·minimum + Σ_i max(0, max_c gain_ic − λ·cost_ic − α_c + β_c)

is at least the value of every plan (Fisher 1981, Management Science 27(1), section 2). D is convex; L-BFGS-B
(Byrd, Lu, Nocedal, Zhu 1995) minimises it from its subgradient, which is each limit less its use.
"""

from dataclasses import dataclass

import numpy as np
from scipy.optimize import minimize

from serving.demand import Counts, Floats, Survey, add_demand, settle_choices, survey
from serving.hashing import Hashes
from serving.limits import NO_CAPACITY, Limits

SAMPLE_CUSTOMERS = 50_000
SIEVE_ABOVE = 4 * SAMPLE_CUSTOMERS
MAX_SIEVES = 6
REACH_ERRORS = 3.0
EDGE = 1e-6
MAX_STEPS = 300
FUNCTION_TOLERANCE = 1e-11


@dataclass(frozen=True)
class Prices:
    """What one more unit of each limit is worth: budget in EUR per EUR; capacity, minimum (k,) in EUR a contact.

    A minimum's price is what one contact fewer to be made would save.
    """

    budget: float
    capacity: Floats
    minimum: Floats

    @classmethod
    def none(cls, channels: int) -> "Prices":
        """The prices where nothing binds."""
        return cls(0.0, np.zeros(channels), np.zeros(channels))

    @property
    def toll(self) -> Floats:
        """(k,) EUR a contact on each channel is charged, beside the budget's price: capacity less minimum."""
        return self.capacity - self.minimum


def dual_value(gain: Floats, cost: Floats, limits: Limits, prices: Prices) -> float:
    """D at `prices`, EUR: no plan of these customers within these limits is worth more.

    Args:
        gain: (n, k) EUR net of cost; -inf where the customer may not be contacted.
        cost: (n, k) or (1, k) EUR.
        limits: of the plan.
        prices: any, at least 0.
    """
    count = np.zeros(gain.shape[1], dtype=np.int64)
    surplus, _ = add_demand(gain, cost, prices.budget, prices.toll, count)
    return surplus + _fixed_part(limits, prices)


def _fixed_part(limits: Limits, prices: Prices) -> float:
    """λ·budget + α·capacity − β·minimum, where a limit that is none has the price 0."""
    budget = prices.budget * limits.budget_eur if prices.budget > 0 else 0.0
    return budget + float(prices.capacity @ limits.capacity) - float(prices.minimum @ limits.minimum)


def solve_prices(gain: Floats, cost: Floats, limits: Limits, tie: Hashes, start: Prices | None = None) -> Prices:
    """Prices that minimise D; started from those of a sample of 50,000 customers where there are many more.

    Args:
        gain: (n, k) float64 EUR net of cost, C-contiguous; -inf where the customer may not be contacted.
        cost: (n, k) or (1, k) EUR.
        limits: of the plan; must be feasible, or the prices of minimums stop at a bound.
        tie: (n,) uint64 hash of each customer, which chooses the sample.
        start: prices to begin with.
    """
    n = len(gain)
    if n <= SIEVE_ABOVE:
        return _minimised(_Pool.of(gain, cost), limits, start)
    if start is None:
        rows = np.flatnonzero(tie < np.uint64(2**64 / n * SAMPLE_CUSTOMERS))
        sample = _Pool.of(gain[rows], cost[rows] if len(cost) > 1 else cost)
        start = _minimised(sample, _share(limits, len(rows) / n), None)
    extent = survey(gain, cost)
    reach = _reach(gain, cost, start, extent)
    for _ in range(MAX_SIEVES):
        found = _minimised(_sieved(gain, cost, start, extent, reach), limits, start, reach)
        if _inside(extent, start, found, reach):
            return found
        start = found
    return _minimised(_Pool.of(gain, cost), limits, start)


@dataclass(frozen=True)
class _Pool:
    """Customers who may choose anew (gain, cost), and what those who keep their choice add: counts, EUR, gains."""

    gain: Floats
    cost: Floats
    extent: Survey
    kept_count: Counts
    kept_spent: float
    kept_gain: float

    @classmethod
    def of(cls, gain: Floats, cost: Floats) -> "_Pool":
        return cls(gain, cost, survey(gain, cost), np.zeros(gain.shape[1], dtype=np.int64), 0.0, 0.0)

    def demand(self, prices: Prices) -> tuple[float, Counts, float]:
        """The sum of reduced gains, contacts per channel and EUR spent at `prices`."""
        count = np.zeros(len(self.kept_count), dtype=np.int64)
        surplus, spent = add_demand(self.gain, self.cost, prices.budget, prices.toll, count)
        kept = self.kept_gain - prices.budget * self.kept_spent - float(prices.toll @ self.kept_count)
        return surplus + kept, count + self.kept_count, spent + self.kept_spent


def _reach(gain: Floats, cost: Floats, prices: Prices, extent: Survey) -> Floats:
    """(k,) EUR by which reduced gains may move: a few standard errors of a price that was found on the sample.

    The fewer contacts a channel has there, the less is known of its price.
    """
    count = np.zeros(gain.shape[1], dtype=np.int64)
    add_demand(gain, cost, prices.budget, prices.toll, count)
    sampled = np.maximum(1.0, count * (SAMPLE_CUSTOMERS / len(gain)))
    reach: Floats = REACH_ERRORS * extent.typical_eur / np.sqrt(sampled)
    return reach


def _sieved(gain: Floats, cost: Floats, prices: Prices, extent: Survey, reach: Floats) -> _Pool:
    """Those whose choice may change while each channel's reduced gains move by less than its reach (k,) EUR."""
    near, kept = np.empty(len(gain), dtype=np.bool_), np.zeros(gain.shape[1], dtype=np.int64)
    spent, gained = settle_choices(gain, cost, prices.budget, prices.toll, reach, near, kept)
    rows = np.flatnonzero(near)
    return _Pool(gain[rows], cost[rows] if len(cost) > 1 else cost, extent, kept, spent, gained)


def _steps(extent: Survey, reach: Floats) -> tuple[float, Floats]:
    """How far the budget's price, and each toll, may move so that no reduced gain moves beyond its reach."""
    costs = extent.high_cost
    paid = costs > 0
    budget = float((reach[paid] / costs[paid]).min()) / 3.0 if paid.any() else np.inf
    return budget, reach / 3.0


def _inside(extent: Survey, start: Prices, found: Prices, reach: Floats) -> bool:
    """Whether no price stopped at the edge of its step: then the least D of the pool is that of all customers."""
    budget, toll = _steps(extent, reach)
    within = 1.0 - EDGE
    return (
        abs(found.budget - start.budget) <= within * budget
        and bool((np.abs(found.capacity - start.capacity) <= within * toll).all())
        and bool((np.abs(found.minimum - start.minimum) <= within * toll).all())
    )


def _share(limits: Limits, share: float) -> Limits:
    capacity = np.where(limits.capacity < NO_CAPACITY, np.rint(limits.capacity * share), NO_CAPACITY)
    minimum = np.rint(limits.minimum * share)
    return Limits(limits.channels, limits.budget_eur * share, capacity.astype(np.int64), minimum.astype(np.int64))


@dataclass(frozen=True)
class _Variables:
    """The limits that can bind, as one vector: [budget], capacities, minimums; `scale` EUR (or EUR per EUR) a unit."""

    budget: bool
    capped: Counts
    floored: Counts
    scale: Floats
    upper: Floats

    def prices(self, vector: Floats, channels: int) -> Prices:
        values = vector * self.scale
        first = int(self.budget)
        capacity, minimum = np.zeros(channels), np.zeros(channels)
        capacity[self.capped] = values[first : first + len(self.capped)]
        minimum[self.floored] = values[first + len(self.capped) :]
        return Prices(float(values[0]) if self.budget else 0.0, capacity, minimum)

    def vector(self, prices: Prices) -> Floats:
        values = [prices.budget] if self.budget else []
        whole = np.concatenate([values, prices.capacity[self.capped], prices.minimum[self.floored]])
        return np.clip(whole / self.scale, 0.0, self.upper)

    def slack(self, limits: Limits, count: Counts, spent: float) -> Floats:
        """The subgradient: each limit less its use; for minimums the use less the limit."""
        budget = [limits.budget_eur - spent] if self.budget else []
        over = limits.capacity[self.capped] - count[self.capped]
        under = count[self.floored] - limits.minimum[self.floored]
        return np.concatenate([budget, over, under]) * self.scale


def _variables(pool: _Pool, limits: Limits) -> _Variables:
    extent = pool.extent
    typical = extent.typical_eur
    paid = float(extent.high_cost.mean())
    per_eur = typical / paid if paid > 0 else 1.0
    capped = np.flatnonzero(limits.capacity < len(pool.gain) + pool.kept_count.sum())
    floored = np.flatnonzero(limits.minimum)
    # Beyond this toll nobody more is drawn to a channel; minimums out of reach would otherwise have no least price.
    dearest = 4.0 * (extent.largest_eur + per_eur * float(extent.high_cost.max())) + typical
    scale = np.full(len(capped) + len(floored), typical)
    upper = np.full(len(scale), np.inf)
    upper[len(capped) :] = dearest / typical
    if not np.isfinite(limits.budget_eur):
        return _Variables(False, capped, floored, scale, upper)
    return _Variables(True, capped, floored, np.concatenate([[per_eur], scale]), np.concatenate([[np.inf], upper]))


def _around(variables: _Variables, start: Prices, budget: float, toll: Floats) -> tuple[Floats, Floats]:
    """Lower and upper bounds of the variables, a step around `start`."""
    below = Prices(max(0.0, start.budget - budget), start.capacity - toll, start.minimum - toll)
    above = Prices(start.budget + budget, start.capacity + toll, start.minimum + toll)
    return variables.vector(below), variables.vector(above)


def _minimised(pool: _Pool, limits: Limits, start: Prices | None, reach: Floats | None = None) -> Prices:
    """The least D of the pool, within the steps that `reach` allows around `start`."""
    k = len(limits.channels)
    variables = _variables(pool, limits)
    if not len(variables.scale) or not len(pool.gain):
        return Prices.none(k)
    size = max(pool.extent.positive_eur, 1e-9)

    def objective(vector: Floats) -> tuple[float, Floats]:
        prices = variables.prices(vector, k)
        surplus, count, spent = pool.demand(prices)
        return (surplus + _fixed_part(limits, prices)) / size, variables.slack(limits, count, spent) / size

    first = variables.vector(start or Prices.none(k))
    options = {"maxiter": MAX_STEPS, "ftol": FUNCTION_TOLERANCE, "gtol": 0.0, "maxcor": 20}
    low, high = np.zeros(len(first)), variables.upper
    if start is not None and reach is not None:
        low, high = _around(variables, start, *_steps(pool.extent, reach))
    bounds = list(zip(low, high, strict=True))
    found = minimize(objective, first, jac=True, method="L-BFGS-B", bounds=bounds, options=options)
    return variables.prices(found.x, k)
