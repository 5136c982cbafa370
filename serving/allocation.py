"""The best whole decisions under all limits, with a bound that says how far from the best they can be at most.

Prices (serving.dual) and rounding (serving.rounding) carry any size; below a size, and where customers are few enough
for single decisions to matter, the unsettled core is solved by HiGHS (serving.exact). Reads and writes nothing.
"""

from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from contract.errors import RefusedError
from serving.clashes import require_feasible
from serving.demand import Offers, compact_cost, rank_choices, survey
from serving.dual import dual_value, solve_prices
from serving.exact import Core, core_of, core_prices, solve_core
from serving.hashing import Hashes
from serving.limit_table import ONE_SEGMENT, LimitTable, Prices
from serving.rounding import holds, round_choices, tally
from serving.sets import Actions, Floats, Rules, Segments, single_contact

EXACT_BELOW = 10_000
POLISH_BELOW = 200_000
CLOSE_ENOUGH = 5e-6
CORE_CUSTOMERS = (200, 600)
POLISH_NODES = 200
EXACT_CORE_SETS = 60_000
ROUND_OFF = 1e-12

Method = Literal["exact", "dual"]


@dataclass(frozen=True)
class Allocation:
    """Whom to contact on which options.

    picks: (n, m) int16 options of each customer, -1 for none. value_eur: sum of net gains. bound_eur: no plan within
    the limits is worth more (float64 dual bound). gap: (bound − value) / |bound|, 0 where both are 0; certified, at
    least 0. prices: of the limits. method: `exact` where the optimum is proven, else `dual`.
    """

    picks: Actions
    value_eur: float
    bound_eur: float
    gap: float
    prices: Prices
    method: Method

    @property
    def action(self) -> Actions:
        """(n,) the first option of each customer; all there is with one contact a customer."""
        return self.picks[:, 0]


@dataclass(frozen=True)
class _Task:
    offers: Offers
    limits: LimitTable
    tie: Hashes


@dataclass(frozen=True)
class _Found:
    picks: Actions
    value_eur: float
    bound_eur: float
    price: Floats
    method: Method = "dual"

    @property
    def gap(self) -> float:
        return relative_gap(self.value_eur, self.bound_eur)


def offers_of(gain: Floats, cost: Floats, segment: Segments = ONE_SEGMENT, rules: Rules | None = None) -> Offers:
    """Offers with arrays as the compiled loops want them; one contact a customer unless `rules` say otherwise.

    Args:
        gain: (n, k) EUR net of cost; -inf where the customer may not be contacted, never NaN or +inf.
        cost: (n, k) or (1, k) EUR, at least 0.
        segment: (n,) or (1,) of each customer (`serving.limit_table.limit_table`).
        rules: which contacts of one customer go together.
    """
    gain = np.ascontiguousarray(gain, dtype=np.float64)
    cost = compact_cost(np.ascontiguousarray(cost, dtype=np.float64), survey(gain, cost))
    return Offers(gain, cost, segment, rules or single_contact(gain.shape[1]))


def allocate(
    offers: Offers, limits: LimitTable, tie: Hashes, exact_below: int = EXACT_BELOW, start: Floats | None = None
) -> Allocation:
    """The plan that maximises the sum of net gains, every limit held.

    Nobody is contacted at a net loss but to meet a minimum. Customers that differ in nothing but their id are served
    in order of `tie`. Rows in one fixed order (by customer) give the same bytes, whatever the order of their source.

    Args:
        offers: of n customers (`offers_of`).
        limits: budgets, capacities and minimums (`serving.limit_table.limit_table`).
        tie: (n,) uint64 hash of each customer (`serving.hashing.customer_hashes`).
        exact_below: customers below which the optimum is sought to the end.
        start: (l,) prices of an earlier, similar plan.

    Raises:
        RefusedError: naming a smallest set of limits that clash.
    """
    require_feasible(offers, limits)
    task = _Task(offers, limits, tie)
    found = _rounded(task, solve_prices(offers, limits, tie, start))
    if len(offers) < exact_below:
        found = _exact(task, found)
    elif len(offers) < POLISH_BELOW:
        found = _polished(task, found)
    if not holds(found.picks, offers, limits):
        raise RefusedError(
            "the limits leave so little room that no plan was found that holds them all; lower a minimum, or raise "
            "the budget or a capacity"
        )
    prices = limits.prices(found.price)
    return Allocation(found.picks, found.value_eur, found.bound_eur, found.gap, prices, found.method)


def relative_gap(value_eur: float, bound_eur: float) -> float:
    """(bound − value) / |bound|, at least 0; differences below float64 round-off count as none."""
    distance = bound_eur - value_eur
    size = max(abs(bound_eur), abs(value_eur))
    if not np.isfinite(distance):
        return np.inf
    return 0.0 if distance <= ROUND_OFF * size or size == 0 else distance / size


def value_of(picks: Actions, offers: Offers, limits: LimitTable) -> float:
    """EUR that the contacts bring net of their cost."""
    return tally(offers, picks, limits.shape)[2]


def _rounded(task: _Task, price: Floats) -> _Found:
    offers, limits = task.offers, task.limits
    value = -np.inf
    for every_minimum in (False, True):
        picks = round_choices(offers, limits, price, task.tie, every_minimum=every_minimum)[:, 0].copy()
        if holds(picks, offers, limits):
            value = value_of(picks, offers, limits)
            break
    return _Found(picks, value, dual_value(offers, limits, price), price)


def _polished(task: _Task, found: _Found) -> _Found:
    """Solves ever larger cores around the undecided customers until the gap is closed; never worsens `found`."""
    for customers in CORE_CUSTOMERS:
        if found.gap <= CLOSE_ENOUGH:
            return found
        found = _better(task, found, _reach(task, found.price, customers))
    return found


def _reach(task: _Task, price: Floats, customers: int) -> float:
    """EUR by which so many customers at most prefer their best action."""
    _, regret = rank_choices(task.offers, *task.limits.toll(price))
    near = np.sort(np.abs(regret[regret > -np.inf]))
    return float(near[min(customers, len(near) - 1)]) if len(near) else 0.0


def _better(task: _Task, found: _Found, slack: float) -> _Found:
    offers, limits = task.offers, task.limits
    core = core_of(offers, limits, found.price, slack)
    price = core_prices(core, offers, limits)
    if price is not None and (bound := dual_value(offers, limits, price)) < found.bound_eur:
        found = replace(found, price=price, bound_eur=bound)
        core = core_of(offers, limits, price, slack)
    picks, _ = solve_core(core, offers, limits, POLISH_NODES)
    if picks is not None and (value := value_of(picks, offers, limits)) > found.value_eur:
        found = replace(found, picks=_equals_by_hash(task, core, picks), value_eur=value)
    return found


def _exact(task: _Task, found: _Found) -> _Found:
    """The proven optimum, or the best that the node limit allows, which the method then says."""
    found = _polished(task, found)
    slack = found.bound_eur - found.value_eur
    core = core_of(task.offers, task.limits, found.price, slack + ROUND_OFF * max(1.0, abs(found.bound_eur)))
    if len(core.rows) > EXACT_CORE_SETS:
        return found
    picks, proven = solve_core(core, task.offers, task.limits)
    if picks is None:
        return found
    value = value_of(picks, task.offers, task.limits)
    if value < found.value_eur:
        picks, value = found.picks, found.value_eur
    picks = _equals_by_hash(task, core, picks)
    bound = value if proven else found.bound_eur
    return _Found(picks, value, bound, found.price, "exact" if proven else "dual")


def _equals_by_hash(task: _Task, core: Core, picks: Actions) -> Actions:
    """Among the core's customers with equal gains, costs and limits, contacts go to the lowest hashes, by options."""
    rows = np.unique(core.rows)
    if not len(rows):
        return picks
    part = task.offers.rows(rows)
    alike: list[Floats] = [part.gain, task.offers.segments(rows)[:, None].astype(np.float64)]
    alike += [part.cost] if len(part.cost) > 1 else []
    _, group = np.unique(np.hstack(alike), axis=0, return_inverse=True)
    group = group.reshape(-1)
    rank = np.where(picks[rows] < 0, np.iinfo(np.int16).max, picks[rows])
    result = picks.copy()
    by_option = np.lexsort((*rank.T[::-1], group))
    result[rows[np.lexsort((task.tie[rows], group))]] = picks[rows[by_option]]
    return result
