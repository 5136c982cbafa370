"""The best whole decisions under all limits, with a bound that says how far from the best they can be at most.

Prices (serving.dual) and rounding (serving.rounding) carry any size; below a size, and where customers are few enough
for single decisions to matter, the unsettled core is solved by HiGHS (serving.exact). Reads and writes nothing.
"""

from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from contract.errors import RefusedError
from serving.demand import Actions, Floats, compact_cost, rank_choices, survey
from serving.dual import Prices, dual_value, solve_prices
from serving.exact import Core, core_of, core_prices, solve_core
from serving.hashing import Hashes
from serving.limits import Limits, require_feasible
from serving.rounding import holds, round_choices, total_gain

EXACT_BELOW = 10_000
POLISH_BELOW = 200_000
CLOSE_ENOUGH = 5e-6
CORE_CUSTOMERS = (200, 600)
POLISH_NODES = 200
EXACT_CORE_CELLS = 60_000
ROUND_OFF = 1e-12

Method = Literal["exact", "dual"]


@dataclass(frozen=True)
class Allocation:
    """Whom to contact on which channel.

    action: (n,) int16 column of the channel, -1 for no contact.
    value_eur: sum of net gains. bound_eur: no plan within the limits is worth more (float64 dual bound).
    gap: (bound − value) / |bound|, 0 where both are 0; certified, at least 0.
    prices: of the limits. method: `exact` where the optimum is proven, else `dual`.
    """

    action: Actions
    value_eur: float
    bound_eur: float
    gap: float
    prices: Prices
    method: Method


def allocate(
    gain: Floats, cost: Floats, limits: Limits, tie: Hashes, exact_below: int = EXACT_BELOW, start: Prices | None = None
) -> Allocation:
    """The plan that maximises the sum of net gains, at most one contact a customer, every limit held.

    Nobody is contacted at a net loss but to meet a minimum. Customers that differ in nothing but their id are served
    in order of `tie`. Rows in one fixed order (by customer) give the same bytes, whatever the order of their source.

    Args:
        gain: (n, k) float64 EUR net of cost, k channels in the order of `limits.channels`; -inf where the customer may
            not be contacted, never NaN or +inf.
        cost: (n, k) or (1, k) float64 EUR, at least 0.
        limits: budget, capacities and minimums.
        tie: (n,) uint64 hash of each customer (`serving.hashing.customer_hashes`).
        exact_below: customers below which the optimum is sought to the end.
        start: prices of an earlier, similar plan.

    Raises:
        RefusedError: naming a smallest set of limits that clash.
    """
    gain = np.ascontiguousarray(gain, dtype=np.float64)
    cost = compact_cost(np.ascontiguousarray(cost, dtype=np.float64), survey(gain, cost))
    if limits.minimum.any():
        require_feasible(gain > -np.inf, cost, limits)
    prices = solve_prices(gain, cost, limits, tie, start)
    found = _rounded(gain, cost, limits, prices, tie)
    if len(gain) < exact_below:
        found = _exact(gain, cost, limits, found, tie)
    elif len(gain) < POLISH_BELOW:
        found = _polished(gain, cost, limits, found, tie)
    if not holds(found.action, cost, limits):
        raise RefusedError(
            "the limits leave so little room that no plan was found that holds them all; lower a minimum, or raise "
            "the budget or a capacity"
        )
    return found


def relative_gap(value_eur: float, bound_eur: float) -> float:
    """(bound − value) / |bound|, at least 0; differences below float64 round-off count as none."""
    distance = bound_eur - value_eur
    size = max(abs(bound_eur), abs(value_eur))
    if not np.isfinite(distance):
        return np.inf
    return 0.0 if distance <= ROUND_OFF * size or size == 0 else distance / size


def _rounded(gain: Floats, cost: Floats, limits: Limits, prices: Prices, tie: Hashes) -> Allocation:
    action = round_choices(gain, cost, limits, prices, tie).action
    value = total_gain(action, gain) if holds(action, cost, limits) else -np.inf
    bound = dual_value(gain, cost, limits, prices)
    return Allocation(action, value, bound, relative_gap(value, bound), prices, "dual")


def _polished(gain: Floats, cost: Floats, limits: Limits, found: Allocation, tie: Hashes) -> Allocation:
    """Solves ever larger cores around the undecided customers until the gap is closed; never worsens `found`."""
    for customers in CORE_CUSTOMERS:
        if found.gap <= CLOSE_ENOUGH:
            return found
        found = _better(gain, cost, limits, found, tie, _reach(gain, cost, found.prices, customers))
    return found


def _reach(gain: Floats, cost: Floats, prices: Prices, customers: int) -> float:
    """EUR by which so many customers at most prefer their best action."""
    _, regret = rank_choices(gain, cost, prices.budget, prices.toll)
    near = np.sort(np.abs(regret[regret > -np.inf]))
    return float(near[min(customers, len(near) - 1)]) if len(near) else 0.0


def _better(gain: Floats, cost: Floats, limits: Limits, found: Allocation, tie: Hashes, slack: float) -> Allocation:
    core = core_of(gain, cost, limits, found.prices, slack)
    prices = core_prices(core, cost, limits)
    if prices is not None and (bound := dual_value(gain, cost, limits, prices)) < found.bound_eur:
        found = replace(found, prices=prices, bound_eur=bound)
        core = core_of(gain, cost, limits, prices, slack)
    action, _ = solve_core(core, cost, limits, POLISH_NODES)
    if action is not None and (value := total_gain(action, gain)) > found.value_eur:
        found = replace(found, action=_equals_by_hash(gain, cost, core, action, tie), value_eur=value)
    return replace(found, gap=relative_gap(found.value_eur, found.bound_eur))


def _exact(gain: Floats, cost: Floats, limits: Limits, found: Allocation, tie: Hashes) -> Allocation:
    """The proven optimum, or the best that the node limit allows, which the method then says."""
    found = _polished(gain, cost, limits, found, tie)
    slack = found.bound_eur - found.value_eur
    core = core_of(gain, cost, limits, found.prices, slack + ROUND_OFF * max(1.0, abs(found.bound_eur)))
    if len(core.rows) > EXACT_CORE_CELLS:
        return found
    action, proven = solve_core(core, cost, limits)
    if action is None:
        return found
    value = total_gain(action, gain)
    if value < found.value_eur:
        action, value = found.action, found.value_eur
    action = _equals_by_hash(gain, cost, core, action, tie)
    bound = value if proven else found.bound_eur
    return Allocation(action, value, bound, relative_gap(value, bound), found.prices, "exact" if proven else "dual")


def _equals_by_hash(gain: Floats, cost: Floats, core: Core, action: Actions, tie: Hashes) -> Actions:
    """Among the core's customers with equal gains and costs, contacts go to the lowest hashes, by order of channels."""
    rows = np.unique(core.rows)
    if not len(rows):
        return action
    cells = np.hstack([gain[rows], cost[rows]]) if len(cost) > 1 else gain[rows]
    _, group = np.unique(cells, axis=0, return_inverse=True)
    group = group.reshape(-1)
    rank = np.where(action[rows] < 0, np.iinfo(np.int16).max, action[rows])
    result = action.copy()
    result[rows[np.lexsort((tie[rows], group))]] = action[rows[np.lexsort((rank, group))]]
    return result
