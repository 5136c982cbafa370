"""Which limits cannot be held together, and the smallest set of them, in words; chooses nobody.

Customers that the minimums cannot tell apart (same segment, same open options that some minimum counts) are one
pattern, so that the question is a small linear programme: contacts x[pattern, option] at least 0, at most m a customer.
Where it has no solution, the limits with a multiplier in the proof (Farkas 1902; found by the elastic programme, which
pays for each broken limit: Chinneck and Dravnieks 1991, ORSA Journal on Computing 3(2)) clash already; those that can
go one by one are dropped, and where limits are few, all smaller sets are tried. The programme knows no whole numbers
and, where costs differ within an option, the cheapest only, so that a set it names does clash; what it lets pass may
still be refused later.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import combinations

import numpy as np
import numpy.typing as npt
from scipy.optimize import linprog
from scipy.sparse import coo_array, csr_array, hstack, vstack

from contract.errors import RefusedError
from serving.demand import Offers
from serving.limit_table import LimitRow, LimitTable
from serving.sets import Counts, Floats

INFEASIBLE = 2
NONZERO = 1e-7
TRIED_SETS = 400
"""Programmes at most that are solved to find a smaller set than an irreducible one."""


@dataclass(frozen=True)
class _Programme:
    """Variables are cells of patterns: cell (v,) in the table, pattern (v,), cost (v,) EUR at least; size (p,)
    customers.
    """

    limits: LimitTable
    cell: Counts
    pattern: Counts
    cost: Floats
    size: Counts
    contacts: int

    def uses(self, rows: Counts) -> csr_array:
        """(rows, v) what each variable uses of some limits."""
        counted = csr_array(self.limits.cells[rows][:, self.cell])
        money = self.limits.money[rows].astype(np.float64)[:, None]
        return csr_array(counted.multiply(1.0 - money) + counted.multiply(money).multiply(self.cost[None, :]))

    def people(self) -> csr_array:
        """(patterns, v)."""
        every = np.arange(len(self.cell))
        shape = (len(self.size), len(self.cell))
        return csr_array(coo_array((np.ones(len(every)), (self.pattern, every)), shape=shape))

    def bounds(self) -> list[tuple[float, float]]:
        """Of each variable: nobody is contacted twice on one option."""
        return [(0.0, float(each)) for each in self.size[self.pattern]]


def require_feasible(offers: Offers, limits: LimitTable, who: str = "customers") -> None:
    """Passes where some assignment holds all limits, as far as the linear programme tells.

    Args:
        offers: gain (n, k) is -inf where a customer may not be contacted.
        limits: to be held.
        who: what the n rows are, for the message.

    Raises:
        RefusedError: naming a smallest set of limits that clash, the figures and the remedy.
    """
    if not limits.has_minimums:
        return
    programme = _programme(offers, limits)
    if len(chosen := _clash(programme)):
        raise RefusedError(f"the limits cannot be held together: {_in_words(programme, chosen, who)}")
    if len(offers.cost) > 1:
        for text in _above_budget(offers, limits):
            raise RefusedError(f"the limits cannot be held together: {text}")


def smallest_clash(offers: Offers, limits: LimitTable) -> tuple[LimitRow, ...]:
    """The limits that the linear programme names; none where it finds no clash. Arguments as in `require_feasible`."""
    return tuple(limits.rows[each] for each in _clash(_programme(offers, limits)))


def _clash(programme: _Programme) -> Counts:
    if _feasible(programme, np.arange(len(programme.limits.rows))):
        return np.zeros(0, dtype=np.int64)
    return _smallest(programme, _irreducible(programme, _proof(programme)))


def _programme(offers: Offers, limits: LimitTable) -> _Programme:
    wanted = np.flatnonzero(limits.needed.any(axis=0))
    open_cells = offers.gain[:, wanted] > -np.inf
    if len(offers.segment) > 1:
        open_cells &= limits.needed[:, wanted][offers.segment]
    number = np.zeros(len(offers), dtype=np.int64)
    if len(offers.segment) > 1:
        number += offers.segment
    first = np.zeros(0, dtype=np.int64)
    for column in range(len(wanted)):
        number = 2 * number + open_cells[:, column]
        if column % 16 == 15 or column == len(wanted) - 1:
            _, first, number = np.unique(number, return_index=True, return_inverse=True)
            number = number.reshape(-1)
    size = np.bincount(number, minlength=len(first)).astype(np.int64)
    pattern, place = np.nonzero(open_cells[first])
    option = wanted[place]
    cell = offers.segments(first[pattern]) * limits.shape[1] + option
    cost = offers.cost[0, option] if len(offers.cost) == 1 else _cheapest(offers, open_cells, wanted)[option]
    return _Programme(limits, cell.astype(np.int64), pattern, cost, size, offers.rules.contacts)


def _cheapest(offers: Offers, open_cells: npt.NDArray[np.bool_], wanted: Counts) -> Floats:
    """(k,) EUR of the cheapest open contact on each option."""
    result = np.zeros(offers.cost.shape[1])
    result[wanted] = np.where(open_cells, offers.cost[:, wanted], np.inf).min(axis=0, initial=np.inf)
    return np.where(np.isfinite(result), result, 0.0)


def _system(programme: _Programme, rows: Counts) -> tuple[csr_array, Floats]:
    """Left and right side of ≤ for the customers and some limits."""
    limits = programme.limits
    sign = limits.sign[rows][:, None]
    right = np.where(limits.sign[rows] > 0, limits.most[rows], -limits.least[rows])
    left = csr_array(vstack([programme.people(), csr_array(programme.uses(rows).multiply(sign))]))
    return left, np.concatenate([programme.size * float(programme.contacts), right])


def _feasible(programme: _Programme, rows: Counts) -> bool:
    if not len(programme.cell):
        return not (programme.limits.least[rows] > 0).any()
    left, right = _system(programme, rows)
    found = linprog(np.zeros(len(programme.cell)), A_ub=left, b_ub=right, bounds=programme.bounds())
    return bool(found.status != INFEASIBLE)


def _proof(programme: _Programme) -> Counts:
    """Limits that clash, by the multipliers of the elastic programme."""
    rows = np.arange(len(programme.limits.rows))
    if not len(programme.cell):
        return np.flatnonzero(programme.limits.least)[:1]
    left, right = _system(programme, rows)
    people = len(programme.size)
    breaks = coo_array((-np.ones(len(rows)), (people + rows, rows)), shape=(len(right), len(rows)))
    price = np.concatenate([np.zeros(len(programme.cell)), np.ones(len(rows))])
    bounds = [*programme.bounds(), *[(0.0, None)] * len(rows)]
    found = linprog(price, A_ub=csr_array(hstack([left, breaks])), b_ub=right, bounds=bounds)
    proof = np.flatnonzero(np.abs(found.ineqlin.marginals[people:]) > NONZERO)
    return rows if _feasible(programme, proof) else proof


def _irreducible(programme: _Programme, rows: Counts) -> Counts:
    """Limits of `rows` of which every one is needed for the clash; capacities and budgets are dropped first."""
    order = rows[np.argsort(programme.limits.sign[rows] < 0, kind="stable")]
    for limit in order:
        fewer = rows[rows != limit]
        if not _feasible(programme, fewer):
            rows = fewer
    return rows


def _smallest(programme: _Programme, rows: Counts) -> Counts:
    """A smaller set that clashes, where limits are few enough to try them all."""
    least = programme.limits.least
    every, tried = range(len(least)), 0
    for size in range(1, len(rows)):
        for chosen in combinations(every, size):
            if not (least[list(chosen)] > 0).any():
                continue
            tried += 1
            if tried > TRIED_SETS:
                return rows
            if not _feasible(programme, np.array(chosen)):
                return np.array(chosen)
    return rows


def _in_words(programme: _Programme, chosen: Counts, who: str) -> str:
    limits = programme.limits
    minimums = [int(each) for each in chosen if limits.sign[each] < 0]
    others = [int(each) for each in chosen if limits.sign[each] > 0]
    named, one = _named(limits, minimums), len(minimums) == 1
    it = "it" if one else "one of them"
    if not others and _apart(limits, minimums):
        counted = np.asarray(programme.uses(np.array(minimums)).sum(axis=0)).reshape(-1) > 0
        people = programme.size[np.unique(programme.pattern[counted])].sum()
        need = int(limits.least[minimums].sum())
        if programme.contacts == 1 and need > people:
            return (
                f"{named} {'needs' if one else 'together need'} {need:,} {who} who may be contacted there, but there "
                f"are {people:,}; lower {it}"
            )
    if len(others) == 1 and not limits.money[others[0]] and one and limits.bound[others[0]] < limits.least[minimums[0]]:
        capacity = limits.rows[others[0]]
        return f"{named} is above capacity {capacity.text}; lower the minimum or raise the capacity"
    if len(others) == 1 and limits.money[others[0]]:
        return _budget_text(limits, minimums, _least_eur(programme, minimums, others[0]), limits.rows[others[0]])
    return _stuck(programme, minimums, others, who)


def _budget_text(limits: LimitTable, minimums: list[int], eur: float, budget: LimitRow) -> str:
    one = len(minimums) == 1
    whose = f"the budget {budget.where}".strip()
    return (
        f"{_named(limits, minimums)} {'needs' if one else 'together need'} {eur:,.2f} EUR but {whose} is "
        f"{budget.bound:,.2f} EUR; lower {'it' if one else 'one of them'} or raise the budget"
    )


def _least_eur(programme: _Programme, minimums: list[int], budget: int) -> float:
    """EUR of a budget that the minimums cost at least."""
    left, right = _system(programme, np.array(minimums))
    price = programme.uses(np.array([budget])).toarray().reshape(-1)
    return float(linprog(price, A_ub=left, b_ub=right, bounds=programme.bounds()).fun)


def _stuck(programme: _Programme, minimums: list[int], others: list[int], who: str) -> str:
    """How far the last minimum gets while the others of the set are held."""
    limits = programme.limits
    last, rest = minimums[-1], [*minimums[:-1], *others]
    most = _most_contacts(programme, last, rest)
    held = [f"{limits.rows[each].kind} {limits.rows[each].text}" for each in rest]
    within = f" while {' and '.join(held)} {'is' if len(held) == 1 else 'are'} held" if held else ""
    return (
        f"minimum {limits.rows[last].text} is out of reach{within}: {most:,} contacts of these {who} at most; lower a "
        "minimum or raise what stands against it"
    )


def least_eur(offers: Offers, limits: LimitTable, minimums: list[int], budget: int) -> float:
    """EUR of a budget that some minimums cost at least: the cheapest contacts of those that share no cell, summed."""
    return _cheapest_sum(offers, limits, minimums, budget)[1]


def _cheapest_sum(offers: Offers, limits: LimitTable, minimums: list[int], budget: int) -> tuple[list[int], float]:
    """The fewest minimums, dearest first, whose cheapest contacts exceed the budget, or all; and what those cost."""
    least = {each: _cheapest_eur(offers, limits, each, budget) for each in minimums}
    chosen: list[int] = []
    total = 0.0
    for limit in sorted(least, key=lambda each: -least[each]):
        if total <= limits.most[budget] and _apart(limits, [*chosen, limit]):
            chosen.append(limit)
            total += least[limit]
    return sorted(chosen), total


def _most_contacts(programme: _Programme, minimum: int, held: list[int]) -> int:
    """How many contacts a minimum can have while the limits `held` are."""
    if not len(programme.cell):
        return 0
    left, right = _system(programme, np.array(held, dtype=np.int64))
    goal = -programme.uses(np.array([minimum])).toarray().reshape(-1)
    found = linprog(goal, A_ub=left, b_ub=right, bounds=programme.bounds())
    return int(np.floor(-found.fun + NONZERO))


def _above_budget(offers: Offers, limits: LimitTable) -> Iterator[str]:
    """Where costs differ: the cheapest contacts of the minimums against each budget."""
    minimums = [int(each) for each in np.flatnonzero(limits.least)]
    for budget in np.flatnonzero(limits.money):
        chosen, total = _cheapest_sum(offers, limits, minimums, int(budget))
        if total > limits.most[budget]:
            yield _budget_text(limits, chosen, total, limits.rows[budget])


def _cheapest_eur(offers: Offers, limits: LimitTable, minimum: int, budget: int) -> float:
    counted = limits.cells[[minimum]].toarray().reshape(limits.shape) > 0
    charged = limits.cells[[budget]].toarray().reshape(limits.shape)
    options = np.flatnonzero(counted.any(axis=0))
    parts = offers.segments(np.arange(len(offers)))
    there = counted[:, options][parts] & (offers.gain[:, options] > -np.inf)
    costs = (offers.cost[:, options] * charged[:, options][parts])[there]
    count = min(int(limits.least[minimum]), len(costs))
    return float(np.partition(costs, count - 1)[:count].sum()) if count else 0.0


def _apart(limits: LimitTable, chosen: list[int]) -> bool:
    """Whether no cell is counted by two of the limits."""
    return bool(np.asarray(limits.cells[chosen].sum(axis=0)).max(initial=0.0) <= 1.0)


def _named(limits: LimitTable, minimums: list[int]) -> str:
    names = [limits.rows[each].text for each in minimums]
    return ("minimum " if len(names) == 1 else "minimums ") + " and ".join(names)
