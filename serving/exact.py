"""Closes the gap that prices and rounding leave: HiGHS on the few decisions that are not settled; rounds nothing.

A channel whose reduced gain falls short of the customer's best by more than the gap between bound and incumbent is in
no better plan (reduced-cost fixing: Nemhauser and Wolsey 1988, section II.5.1). What remains is usually a small core;
solving it to the end solves the whole problem exactly.
"""

import ctypes
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
from scipy.optimize import Bounds, LinearConstraint, linprog, milp
from scipy.sparse import coo_array, csc_array, vstack

from serving.demand import NO_CHANNEL, Actions, Counts, Floats, rank_choices
from serving.dual import Prices
from serving.limits import NO_CAPACITY, Limits
from serving.rounding import holds, used

MAX_NODES = 1_000
MAX_WORK = 500_000
"""Branch-and-bound nodes, and nodes × cells; counts and not a time, so that the same input gives the same plan on every
machine."""

BUDGET_TOLERANCE = 2e-6
"""HiGHS holds rows to 1e-6: a core whose plan oversteps the budget by that is solved again so much below it."""

OPTIMAL = 0
STDOUT = 1


@dataclass(frozen=True)
class Core:
    """The unsettled part: cells (row, channel) that may be chosen, of customers who may also get none if `optional`.

    rows: (v,) customer of each cell, channels: (v,), gain, cost: (v,) EUR; optional: (n,) per customer.
    settled: (n,) int16 actions of the others, `NO_CHANNEL` in the core.
    """

    rows: Counts
    channels: Counts
    gain: Floats
    cost: Floats
    optional: npt.NDArray[np.bool_]
    settled: Actions


def core_of(gain: Floats, cost: Floats, limits: Limits, prices: Prices, slack: float) -> Core:
    """Cells whose reduced gain is within `slack` EUR of their customer's best; single ones are settled."""
    choice, _ = rank_choices(gain, cost, prices.budget, prices.toll)
    reduced = gain - prices.budget * cost - prices.toll
    best = np.maximum(reduced.max(axis=1, initial=0.0), 0.0)
    sensible = np.where(limits.minimum > 0, gain > -np.inf, gain > 0.0)
    near = (reduced >= (best - slack)[:, None]) & sensible
    optional = best <= slack
    open_rows = (near.sum(axis=1) + optional) > 1
    cells = np.argwhere(near & open_rows[:, None])
    rows, channels = cells[:, 0], cells[:, 1]
    paid = cost[rows, channels] if len(cost) > 1 else cost[0, channels]
    settled = np.where(open_rows, NO_CHANNEL, choice).astype(np.int16)
    return Core(rows, channels, gain[rows, channels], paid, optional, settled)


def _constraints(core: Core, cost: Floats, limits: Limits) -> tuple[csc_array, Floats, Floats]:
    """Rows of the core's problem and their lower and upper bounds: customers, then channels, then the budget."""
    k, cells = len(limits.channels), np.arange(len(core.rows))
    customers, numbers = np.unique(core.rows, return_inverse=True)
    count, spent = used(core.settled, cost, k)
    ones = np.ones(len(cells))
    parts = [coo_array((ones, (numbers, cells)), shape=(len(customers), len(cells)))]
    lower = [np.where(core.optional[customers], 0.0, 1.0)]
    upper = [np.ones(len(customers))]
    bound = np.flatnonzero((limits.capacity < NO_CAPACITY) | (limits.minimum > 0))
    if len(bound):
        place = np.full(k, -1)
        place[bound] = np.arange(len(bound))
        inside = place[core.channels] >= 0
        index = (place[core.channels[inside]], cells[inside])
        parts.append(coo_array((ones[inside], index), shape=(len(bound), len(cells))))
        lower.append((limits.minimum - count)[bound].astype(float))
        capacity = np.where(limits.capacity < NO_CAPACITY, limits.capacity - count, np.inf)
        upper.append(capacity[bound].astype(float))
    if np.isfinite(limits.budget_eur):
        index = (np.zeros(len(cells), dtype=np.int64), cells)
        parts.append(coo_array((core.cost, index), shape=(1, len(cells))))
        lower.append(np.array([-np.inf]))
        upper.append(np.array([limits.spendable_eur - spent]))
    return csc_array(vstack(parts)), np.concatenate(lower), np.concatenate(upper)


@contextmanager
def _silenced_library() -> Iterator[None]:
    """Keeps what compiled code prints off the process's standard output; this build of HiGHS prints a stray line."""
    library = ctypes.CDLL(None)
    sys.stdout.flush()
    library.fflush(None)
    try:
        output = os.dup(STDOUT)
    except OSError:
        yield
        return
    nowhere = os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(nowhere, STDOUT)
        yield
    finally:
        library.fflush(None)
        os.dup2(output, STDOUT)
        os.close(nowhere)
        os.close(output)


def solve_core(core: Core, cost: Floats, limits: Limits, nodes: int = MAX_NODES) -> tuple[Actions | None, bool]:
    """Actions (n,) of the whole plan that are best within the core and hold all limits, or None; and whether proven."""
    if not len(core.rows):
        return (core.settled, True) if holds(core.settled, cost, limits) else (None, False)
    action, proven = _solved(core, cost, limits, nodes)
    if action is not None and not holds(action, cost, limits):
        below = replace(limits, budget_eur=max(0.0, limits.budget_eur - BUDGET_TOLERANCE))
        action, proven = _solved(core, cost, below, nodes)[0], False
    return (action, proven) if action is not None and holds(action, cost, limits) else (None, False)


def _solved(core: Core, cost: Floats, limits: Limits, nodes: int) -> tuple[Actions | None, bool]:
    matrix, lower, upper = _constraints(core, cost, limits)
    options = {"mip_rel_gap": 0.0, "node_limit": max(1, min(nodes, MAX_WORK // len(core.rows)))}
    bounds = Bounds(np.zeros(len(core.rows)), np.ones(len(core.rows)))
    rows = LinearConstraint(matrix, lower, upper)
    with _silenced_library():
        found = milp(-core.gain, integrality=np.ones(len(core.rows)), bounds=bounds, constraints=rows, options=options)
    if found.x is None:
        return None, False
    action = core.settled.copy()
    taken = found.x > 0.5
    action[core.rows[taken]] = core.channels[taken]
    return action, found.status == OPTIMAL


def core_prices(core: Core, cost: Floats, limits: Limits) -> Prices | None:
    """Prices of the core's linear relaxation: better than a subgradient method's where customers are few."""
    if not len(core.rows):
        return None
    matrix, lower, upper = _constraints(core, cost, limits)
    high, low = np.isfinite(upper), np.isfinite(lower)
    stacked = csc_array(vstack([matrix[high], -matrix[low]]))
    found = linprog(-core.gain, A_ub=stacked, b_ub=np.concatenate([upper[high], -lower[low]]), bounds=(0, 1))
    if found.status != OPTIMAL:
        return None
    worth = np.maximum(0.0, -found.ineqlin.marginals)
    per_row = np.zeros((2, len(upper)))
    per_row[0, high], per_row[1, low] = worth[: high.sum()], worth[high.sum() :]
    return _named(per_row, len(np.unique(core.rows)), limits)


def _named(per_row: Floats, customers: int, limits: Limits) -> Prices:
    """Prices from the multipliers (upper, lower) of the rows that `_constraints` builds."""
    k = len(limits.channels)
    bound = np.flatnonzero((limits.capacity < NO_CAPACITY) | (limits.minimum > 0))
    capacity, minimum = np.zeros(k), np.zeros(k)
    capacity[bound], minimum[bound] = per_row[:, customers : customers + len(bound)]
    both = np.minimum(capacity, minimum)
    budget = per_row[0, -1] if np.isfinite(limits.budget_eur) else 0.0
    return Prices(float(budget), capacity - both, minimum - both)
