"""The limits of a plan as rows over cells, one form for all of them; chooses nobody and reads no file.

A cell is a pair of segment and option. An option is a campaign and a channel; a segment is the set of customers whom
the same groups of the limits hold. A limit is a set of cells and a bound: contacts, or EUR, there at most or at least.
With no groups there is one segment, with one campaign an option is a channel, so that the plain case is the same case.

    use_l = Σ over the cells of l of contacts (or of EUR),   toll of a cell = Σ over its limits of ±price
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Literal

import numpy as np
import numpy.typing as npt

from contract.params import PlanLimit
from serving.limits import NO_CAPACITY, Limits, with_slack
from serving.sets import Counts, Floats, Segments

if TYPE_CHECKING:
    from scipy.sparse import csr_array

Kind = Literal["budget", "capacity", "minimum"]
ONE_SEGMENT = np.zeros(1, dtype=np.int32)


@dataclass(frozen=True)
class LimitRow:
    """One limit in words: bound in EUR (budget) or contacts; channel, campaign and group None or empty mean all."""

    kind: Kind
    bound: float
    channel: str | None = None
    campaign: str | None = None
    group: tuple[tuple[str, str], ...] = ()

    @property
    def where(self) -> str:
        """Channel, campaign and group, as a person writes them; empty for the whole plan."""
        narrowed = [f"campaign={self.campaign}"] if self.campaign is not None else []
        narrowed += [f"{column}={value}" for column, value in self.group]
        return " ".join(
            [*([self.channel] if self.channel else []), *([f"({', '.join(narrowed)})"] if narrowed else [])]
        )

    @property
    def name(self) -> str:
        """E.g. `minimum phone (shift=late)`."""
        return f"{self.kind} {self.where}".strip()

    @property
    def text(self) -> str:
        """The place with the bound, e.g. `phone (shift=late)=20`."""
        amount = f"{self.bound:,.2f} EUR" if self.kind == "budget" else f"{self.bound:.0f}"
        return f"{self.where}={amount}" if self.where else f"{amount} in all"


@dataclass(frozen=True)
class Prices:
    """What one more unit of each limit is worth, in EUR a contact or, of a budget, EUR per EUR.

    each: (l,) by row of the table; a minimum's price is what one contact fewer to be made would save. budget, capacity
    and minimum (per channel) are those of the limits of the whole plan, 0 where there is none.
    """

    each: Floats
    budget: float
    capacity: Floats
    minimum: Floats


@dataclass(frozen=True)
class LimitTable:
    """All limits over S segments and k options.

    rows: in words. cells: (l, S·k) 0/1. bound: (l,) contacts or EUR. sign: (l,) 1 at most, -1 at least. money: (l,)
    whether EUR are counted. shape: (S, k). channels: of the plan, to which `Prices` names prices.
    """

    rows: tuple[LimitRow, ...]
    cells: "csr_array"
    bound: Floats
    sign: Floats
    money: npt.NDArray[np.bool_]
    shape: tuple[int, int]
    channels: tuple[str, ...]

    @cached_property
    def _by_cell(self) -> "csr_array":
        turned = self.cells.T.tocsr()
        turned.sort_indices()
        return turned

    @cached_property
    def members(self) -> tuple[Counts, Counts]:
        """The limits of each cell, as offsets (S·k + 1,) into rows of the table."""
        return self._by_cell.indptr.astype(np.int64), self._by_cell.indices.astype(np.int64)

    @cached_property
    def most(self) -> Floats:
        """(l,) what may be used at most, with the slack that binary fractions of EUR need; inf of a minimum."""
        return np.where(self.sign < 0, np.inf, np.where(self.money, with_slack(self.bound), self.bound))

    @cached_property
    def least(self) -> Floats:
        """(l,) contacts at least; 0 of others."""
        return np.where(self.sign < 0, self.bound, 0.0)

    @cached_property
    def needed(self) -> npt.NDArray[np.bool_]:
        """(S, k) cells that some minimum counts."""
        return np.asarray(self.cells.T @ (self.least > 0)).reshape(self.shape) > 0

    @property
    def has_minimums(self) -> bool:
        """Whether anything must be used at least."""
        return bool((self.least > 0).any())

    def toll(self, price: Floats) -> tuple[Floats, Floats]:
        """(S, k) EUR per EUR of cost, and (S, k) EUR a contact, that a cell is charged at `price` (l,)."""
        by_cell = self._by_cell
        rate = by_cell @ np.where(self.money, price, 0.0)
        toll = by_cell @ np.where(self.money, 0.0, self.sign * price)
        return np.ascontiguousarray(rate.reshape(self.shape)), np.ascontiguousarray(toll.reshape(self.shape))

    def upper_toll(self, price: Floats) -> tuple[Floats, Floats]:
        """As `toll`, without what minimums pay."""
        return self.toll(np.where(self.sign > 0, price, 0.0))

    def size_of_move(self, step: Floats) -> tuple[Floats, Floats]:
        """As `toll`, of moves of the prices (l,), whatever their direction."""
        by_cell = self._by_cell
        rate, toll = by_cell @ np.where(self.money, step, 0.0), by_cell @ np.where(self.money, 0.0, step)
        return rate.reshape(self.shape), toll.reshape(self.shape)

    def covers(self) -> npt.NDArray[np.bool_]:
        """(l, k) whether a limit counts an option in some segment."""
        cells = self.cells.tocoo()
        result = np.zeros((len(self.rows), self.shape[1]), dtype=np.bool_)
        result[cells.row, cells.col % self.shape[1]] = True
        return result

    def use(self, count: Counts, spent: Floats) -> Floats:
        """(l,) contacts or EUR of each limit, from contacts and EUR per cell, (S, k) each."""
        contacts = self.cells @ count.reshape(-1).astype(np.float64)
        used: Floats = np.where(self.money, self.cells @ spent.reshape(-1), contacts)
        return used

    def fixed_part(self, price: Floats) -> float:
        """Σ ±price·bound, where a limit that is none has the price 0."""
        return float((self.sign * price * self.bound).sum())

    def holds(self, use: Floats) -> bool:
        """Whether a use keeps every limit."""
        return bool((use <= self.most).all() and (use >= self.least).all())

    def with_bounds(self, bound: Floats) -> "LimitTable":
        """The same limits with other bounds (l,)."""
        return LimitTable(self.rows, self.cells, bound, self.sign, self.money, self.shape, self.channels)

    def scaled(self, share: float) -> "LimitTable":
        """The limits of a part of the customers; contacts are rounded."""
        return self.with_bounds(np.where(self.money, self.bound * share, np.rint(self.bound * share)))

    def prices(self, price: Floats) -> Prices:
        """`price` (l,) with the names of the limits that a plan without groups and campaigns has."""
        budget, capacity, minimum = 0.0, np.zeros(len(self.channels)), np.zeros(len(self.channels))
        for row, value in zip(self.rows, price, strict=True):
            if row.campaign is not None or row.group:
                continue
            if row.kind == "budget":
                budget += float(value) if row.channel is None else 0.0
            elif row.channel is not None:
                target = capacity if row.kind == "capacity" else minimum
                target[self.channels.index(row.channel)] += value
        return Prices(price, budget, capacity, minimum)


@dataclass(frozen=True)
class Groups:
    """Which group each of n customers is in: columns by name, (n,) str objects, None where unknown."""

    columns: Mapping[str, npt.NDArray[np.object_]]


def limit_table(
    limits: Limits, campaigns: Sequence[str | None] = (None,), groups: Groups | None = None
) -> tuple[LimitTable, Segments]:
    """The table of declared limits, and the segment of each customer, (n,) or (1,) where there is only one.

    Args:
        limits: as declared (`serving.limits.limits_of`).
        campaigns: of the plan; options are ordered by campaign, then channel.
        groups: of the customers; every column that a limit names must be there.
    """
    # A server that decides by saved prices needs no table.
    from scipy.sparse import csr_array

    rows = limit_rows(limits)
    conditions = sorted({row.group for row in rows if row.group})
    inside, segment = _segments(conditions, groups)
    options = [(campaign, channel) for campaign in campaigns for channel in limits.channels]
    parts = []
    for row in rows:
        there = inside[:, conditions.index(row.group)] if row.group else np.ones(len(inside), dtype=np.bool_)
        counted = [row.campaign in (None, campaign) and row.channel in (None, channel) for campaign, channel in options]
        parts.append(np.outer(there, counted).reshape(-1))
    size = len(inside) * len(options)
    cells = csr_array(np.array(parts, dtype=np.float64).reshape(len(rows), size))
    table = LimitTable(
        rows,
        cells,
        np.array([row.bound for row in rows]),
        np.array([-1.0 if row.kind == "minimum" else 1.0 for row in rows]),
        np.array([row.kind == "budget" for row in rows], dtype=np.bool_),
        (len(inside), len(options)),
        limits.channels,
    )
    return table, segment


def limit_rows(limits: Limits) -> tuple[LimitRow, ...]:
    """Budget, capacities, minimums, then the further limits in their order."""
    rows = [LimitRow("budget", limits.budget_eur)] if np.isfinite(limits.budget_eur) else []
    named = list(zip(limits.channels, limits.capacity, limits.minimum, strict=True))
    rows += [LimitRow("capacity", float(most), name) for name, most, _ in named if most < NO_CAPACITY]
    rows += [LimitRow("minimum", float(least), name) for name, _, least in named if least > 0]
    for each in limits.further:
        rows += _further(each)
    return tuple(rows)


def _further(limit: PlanLimit) -> list[LimitRow]:
    group = tuple(sorted(limit.group.items()))
    kinds: tuple[tuple[Kind, float | None], ...] = (
        ("budget", limit.budget_eur),
        ("capacity", limit.at_most),
        ("minimum", limit.at_least or None),
    )
    return [
        LimitRow(kind, float(bound), limit.channel, limit.campaign, group) for kind, bound in kinds if bound is not None
    ]


def _segments(
    conditions: Sequence[tuple[tuple[str, str], ...]], groups: Groups | None
) -> tuple[npt.NDArray[np.bool_], Segments]:
    """(S, number of conditions) which hold in each segment, and the segment of each customer."""
    if not conditions or groups is None:
        return np.zeros((1, len(conditions)), dtype=np.bool_), ONE_SEGMENT
    number = np.zeros(len(next(iter(groups.columns.values()))), dtype=np.int64)
    patterns = np.zeros((1, 0), dtype=np.bool_)
    for condition in conditions:
        holds = np.ones(len(number), dtype=np.bool_)
        for column, value in condition:
            holds &= groups.columns[column] == value
        found, number = np.unique(2 * number + holds, return_inverse=True)
        number = number.reshape(-1)
        patterns = np.hstack([patterns[found // 2], (found % 2 == 1)[:, None]])
    return patterns, number.astype(np.int32)
