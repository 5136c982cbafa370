"""Closes the gap that prices and rounding leave: HiGHS on the few decisions that are not settled; rounds nothing.

A set of contacts whose reduced gain falls short of the customer's best by more than the gap between bound and incumbent
is in no better plan (reduced-cost fixing: Nemhauser and Wolsey 1988, section II.5.1). What remains is usually a small
core; solving it to the end solves the whole problem exactly. Its variables are sets, so that whatever the rules say of
sets holds in it too.
"""

import ctypes
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.optimize import Bounds, LinearConstraint, linprog, milp
from scipy.sparse import coo_array, csc_array, vstack

from serving.core_sets import core_sets
from serving.demand import Offers
from serving.limit_table import LimitTable
from serving.rounding import holds, tally
from serving.sets import Actions, Counts, Floats

MAX_NODES = 1_000
MAX_WORK = 500_000
"""Branch-and-bound nodes, and nodes × sets; counts and not a time, so that the same input gives the same plan on every
machine."""

BUDGET_TOLERANCE = 2e-6
"""HiGHS holds rows to 1e-6: a core whose plan oversteps a budget by that is solved again so much below it."""

OPTIMAL = 0
STDOUT = 1


@dataclass(frozen=True)
class Core:
    """The unsettled part: sets that may be chosen, of customers who may also get none if `optional`.

    rows: (v,) customer of each set, picks: (v, m) its options, gain: (v,) EUR net; optional: (n,) per customer.
    settled: (n, m) options of the others, `NO_CHANNEL` in the core.
    """

    rows: Counts
    picks: Actions
    gain: Floats
    optional: npt.NDArray[np.bool_]
    settled: Actions


def core_of(offers: Offers, limits: LimitTable, price: Floats, slack: float) -> Core:
    """Sets whose reduced gain is within `slack` EUR of their customer's best; single ones are settled."""
    found = core_sets(offers, limits, price, slack)
    return Core(found.rows, found.picks, found.gain, found.optional, found.settled)


def _constraints(core: Core, offers: Offers, limits: LimitTable) -> tuple[csc_array, Floats, Floats, int]:
    """Rows of the core's problem, their lower and upper bounds, and how many of them are customers; limits follow."""
    sets = np.arange(len(core.rows))
    customers, numbers = np.unique(core.rows, return_inverse=True)
    count, spent, _ = tally(offers, core.settled, limits.shape)
    use = limits.use(count, spent)
    parts = [coo_array((np.ones(len(sets)), (numbers, sets)), shape=(len(customers), len(sets)))]
    at, contact = np.nonzero(core.picks >= 0)
    option = core.picks[at, contact].astype(np.int64)
    cell = offers.segments(core.rows[at]) * limits.shape[1] + option
    shape = (limits.shape[0] * limits.shape[1], len(sets))
    contacts = csc_array(coo_array((np.ones(len(at)), (cell, at)), shape=shape))
    eur = csc_array(coo_array((offers.costs(core.rows[at], option), (cell, at)), shape=shape))
    kind = limits.money.astype(np.float64)[:, None]
    parts.append(coo_array(limits.cells.multiply(1.0 - kind) @ contacts + limits.cells.multiply(kind) @ eur))
    lower = [np.where(core.optional[customers], 0.0, 1.0), np.where(limits.sign < 0, limits.bound - use, -np.inf)]
    upper = [np.ones(len(customers)), limits.most - use]
    return csc_array(vstack(parts)), np.concatenate(lower), np.concatenate(upper), len(customers)


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


def solve_core(core: Core, offers: Offers, limits: LimitTable, nodes: int = MAX_NODES) -> tuple[Actions | None, bool]:
    """Options (n, m) of the whole plan that are best within the core and hold all limits, or None; whether proven."""
    if not len(core.rows):
        return (core.settled, True) if holds(core.settled, offers, limits) else (None, False)
    picks, proven = _solved(core, offers, limits, nodes)
    if picks is not None and not holds(picks, offers, limits):
        below = np.where(limits.money, np.maximum(0.0, limits.bound - BUDGET_TOLERANCE), limits.bound)
        picks, proven = _solved(core, offers, limits.with_bounds(below), nodes)[0], False
    return (picks, proven) if picks is not None and holds(picks, offers, limits) else (None, False)


def _solved(core: Core, offers: Offers, limits: LimitTable, nodes: int) -> tuple[Actions | None, bool]:
    matrix, lower, upper, _ = _constraints(core, offers, limits)
    options = {"mip_rel_gap": 0.0, "node_limit": max(1, min(nodes, MAX_WORK // len(core.rows)))}
    bounds = Bounds(np.zeros(len(core.rows)), np.ones(len(core.rows)))
    rows = LinearConstraint(matrix, lower, upper)
    with _silenced_library():
        found = milp(-core.gain, integrality=np.ones(len(core.rows)), bounds=bounds, constraints=rows, options=options)
    if found.x is None:
        return None, False
    picks = core.settled.copy()
    taken = found.x > 0.5
    picks[core.rows[taken]] = core.picks[taken]
    return picks, found.status == OPTIMAL


def core_prices(core: Core, offers: Offers, limits: LimitTable) -> Floats | None:
    """(l,) prices of the core's linear relaxation: better than a subgradient method's where customers are few."""
    if not len(core.rows):
        return None
    matrix, lower, upper, customers = _constraints(core, offers, limits)
    high, low = np.isfinite(upper), np.isfinite(lower)
    stacked = csc_array(vstack([matrix[high], -matrix[low]]))
    found = linprog(-core.gain, A_ub=stacked, b_ub=np.concatenate([upper[high], -lower[low]]), bounds=(0, 1))
    if found.status != OPTIMAL:
        return None
    worth = np.maximum(0.0, -found.ineqlin.marginals)
    above, below = np.zeros(len(upper)), np.zeros(len(upper))
    above[high], below[low] = worth[: high.sum()], worth[high.sum() :]
    price: Floats = np.where(limits.sign > 0, above[customers:], below[customers:])
    return price
