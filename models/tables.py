"""Rows to learn from, handed out block by block, so that nobody needs them all at once; knows no model.

Where rows come from a matrix or are computed on demand makes no difference to any result.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol, TypeVar

import numpy as np
import numpy.typing as npt

from models.artefact import Ints, Matrix

BLOCK_ROWS = 16_384
_Cell = TypeVar("_Cell", bound=np.generic)


class Rows(Protocol):
    """Rows (n, p) float32 with the columns' names, and the customer of each row (n,)."""

    @property
    def names(self) -> Sequence[str]:
        """All columns, in order."""

    @property
    def categorical(self) -> Sequence[str]:
        """Those that hold codes without order."""

    @property
    def customer(self) -> Ints:
        """(n,), numbers."""

    @property
    def matrix(self) -> Matrix:
        """All rows at once; for as many as memory has room for."""

    def blocks(self) -> Iterator[Matrix]:
        """All rows in order, some at a time; a block holds until the next one is asked for."""

    def rows(self, keep: Ints) -> "Rows":
        """The given rows."""

    def columns(self, keep: Sequence[int]) -> "Rows":
        """The given columns, of all rows."""


@dataclass(frozen=True)
class Table:
    """Rows that lie in memory."""

    matrix: Matrix
    names: Sequence[str]
    categorical: Sequence[str]
    customer: Ints

    def blocks(self) -> Iterator[Matrix]:
        """All rows in order, some at a time."""
        return (self.matrix[at : at + BLOCK_ROWS] for at in range(0, len(self.matrix), BLOCK_ROWS))

    def rows(self, keep: Ints) -> "Table":
        """The given rows."""
        return Table(self.matrix[keep], self.names, self.categorical, self.customer[keep])

    def columns(self, keep: Sequence[int]) -> "Table":
        """The given columns, of all rows."""
        names = [self.names[i] for i in keep]
        matrix = np.ascontiguousarray(self.matrix[:, list(keep)])
        return Table(matrix, names, [name for name in names if name in self.categorical], self.customer)


def places_of(names: Sequence[str]) -> dict[str, int]:
    """At which column of a matrix each name lies."""
    return {name: place for place, name in enumerate(names)}


def column_of(table: Rows, name: str) -> Matrix:
    """(n,) the column of this name."""
    return table.columns([list(table.names).index(name)]).matrix[:, 0]


def mapped(table: Rows, function: Callable[[Matrix], npt.NDArray[_Cell]]) -> npt.NDArray[_Cell]:
    """A function of rows over all rows: (n, …) of what it gives for each block, one after another."""
    parts = [function(block) for block in table.blocks()]
    return np.concatenate(parts) if parts else function(np.zeros((0, len(table.names)), np.float32))
