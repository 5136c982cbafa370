"""Numbers that the contact effects read from a customer's row: smoothed rates, counts, values, levels and cells.

A term is a statement of data: which columns, which arithmetic, which scale. A kernel reads all terms of a row at once,
the same in training and for one customer, so that both give the same bits. No term keeps anybody's extreme: what lies
further than five standard deviations out counts as five.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final, Literal

import numba
import numpy as np
import numpy.typing as npt

from models.artefact import Artefact, Floats, Matrix

_RATE, _PER, _COUNT, _VALUE, _LEVEL, _CELL = range(6)
_KINDS: Final = ("rate", "per", "count", "value", "level", "cell")
_STANDARDISED: Final = _KINDS[:_LEVEL]
_LEAST_SPREAD: Final = 1e-6
_FAR: Final = 5.0
_ROWS: Final = 32
"""Rows in a block: what a block reads and writes stays in the first caches."""


class Term(Artefact):
    """One number of a row.

    rate: log((k + strength · usual) / (n + strength)) − log usual of k in n trials, the two columns: a share or rate
    drawn to the usual one as if by `strength` more trials. per: the same where the first column is k / n. count:
    log(1 + k). value: the column itself. level: 1 where lower ≤ column < upper, else 0. cell: 1 where two columns lie
    so. All but levels and cells are standardised by center and scale; a missing value counts as the center, a missing
    count as 0, a missing level as no level.

    columns: names. group: terms whose coefficients are thought to be of one size. channel, view: a term that tells of
    one outbound channel by what it tells (`answers`), for what all channels' own histories have in common.
    """

    kind: Literal["rate", "per", "count", "value", "level", "cell"]
    columns: tuple[str, ...]
    group: str
    channel: str | None = None
    view: str | None = None
    usual: float = 1.0
    strength: float = 0.0
    bounds: tuple[tuple[float, float], ...] = ()
    center: float = 0.0
    scale: float = 1.0


def columns_of(terms: Iterable[Term]) -> frozenset[str]:
    """Names of the columns that terms read."""
    return frozenset(name for term in terms for name in term.columns)


@dataclass(frozen=True, eq=False)
class Reader:
    """Terms bound to the columns of a matrix, as the kernel wants them; T terms.

    kind: (T,); columns: (T, 2), the second -1 where a term reads one; numbers: (T, 6), of levels and cells their
    bounds, else usual, strength, what stands for a missing value, how far is far, center, scale.
    """

    kind: npt.NDArray[np.int8]
    columns: npt.NDArray[np.int64]
    numbers: Floats

    @classmethod
    def of(cls, terms: Sequence[Term], places: Mapping[str, int]) -> "Reader":
        """The terms over a matrix whose columns lie at `places`, which names every column that a term reads."""
        pairs = [[*(places[name] for name in term.columns), -1][:2] for term in terms]
        numbers = np.array([_numbers(term) for term in terms]).reshape(len(terms), 6)
        kinds = np.array([_KINDS.index(term.kind) for term in terms], dtype=np.int8)
        return cls(kinds, np.array(pairs, dtype=np.int64).reshape(len(terms), 2), numbers)

    def design(self, matrix: Matrix) -> Matrix:
        """(n, T) the terms of each row of (n, p)."""
        out = np.empty((len(matrix), len(self.kind)), np.float32)
        _design(matrix, self.kind, self.columns, self.numbers, out)
        return out

    def sums(self, matrix: Matrix, intercept: Floats, weights: Floats) -> Floats:
        """(n, c) of intercept (c,) + terms · weights (T, c); summed in one order, whatever n."""
        out = np.empty((len(matrix), len(intercept)))
        _sums(matrix, self.kind, self.columns, self.numbers, intercept, weights, out)
        return out


def _numbers(term: Term) -> tuple[float, ...]:
    if term.kind in _STANDARDISED:
        return (term.usual, term.strength, 0.0, _FAR, term.center, term.scale)
    flat = [number for pair in term.bounds for number in pair]
    return (*flat, *([0.0] * (6 - len(flat))))


@numba.njit(inline="always", error_model="numpy")
def _term(kind, first, second, n):  # type: ignore[no-untyped-def]  # pragma: no cover  compiled
    """One term of one row from the values of its columns and its numbers."""
    if kind == _LEVEL:
        return 1.0 * ((n[0] <= first) & (first < n[1]))
    if kind == _CELL:
        return 1.0 * ((n[0] <= first) & (first < n[1]) & (n[2] <= second) & (second < n[3]))
    if kind == _VALUE:
        if np.isnan(first):
            return n[2]
        found = first
    else:
        found = 0.0 if np.isnan(first) else first
        if kind == _COUNT:
            found = np.log1p(found)
        else:
            trials = 0.0 if np.isnan(second) else second
            found *= trials if kind == _PER else 1.0
            found = np.log((found + n[1] * n[0]) / (trials + n[1]) / n[0])
    return min(n[3], max(-n[3], (found - n[4]) / n[5]))


@numba.njit(cache=True, nogil=True, error_model="numpy")
def _design(matrix, kind, columns, numbers, out):  # type: ignore[no-untyped-def]  # pragma: no cover  compiled
    """Fills out (n, T)."""
    for begin in range(0, len(matrix), _ROWS):
        end = min(begin + _ROWS, len(matrix))
        for t in range(len(kind)):
            first, second, what, n = columns[t, 0], max(columns[t, 1], 0), kind[t], numbers[t]
            for i in range(begin, end):
                out[i, t] = _term(what, float(matrix[i, first]), float(matrix[i, second]), n)


@numba.njit(cache=True, nogil=True, error_model="numpy")
def _sums(matrix, kind, columns, numbers, intercept, weights, out):  # type: ignore[no-untyped-def]  # pragma: no cover  compiled
    """Fills out (n, c), of every row term after term."""
    for begin in range(0, len(matrix), _ROWS):
        end = min(begin + _ROWS, len(matrix))
        out[begin:end] = intercept
        for t in range(len(kind)):
            first, second, what, n = columns[t, 0], max(columns[t, 1], 0), kind[t], numbers[t]
            for i in range(begin, end):
                found = _term(what, float(matrix[i, first]), float(matrix[i, second]), n)
                if found != 0.0:
                    for c in range(len(intercept)):
                        out[i, c] += found * weights[t, c]


def standardised(terms: Sequence[Term], design: Matrix) -> tuple[Term, ...]:
    """The terms with center and scale as found in a `raw` design (n, T); those that never vary are left out."""
    kept = []
    for term, column in zip(terms, design.T, strict=True):
        found = column[np.isfinite(column)].astype(np.float64)
        spread = float(found.std()) if len(found) else 0.0
        if spread < _LEAST_SPREAD:
            continue
        update = {"center": float(found.mean()), "scale": spread} if term.kind in _STANDARDISED else {}
        kept.append(term.model_copy(update=update))
    return tuple(kept)


def raw(reader: Reader) -> Reader:
    """The same terms before center and scale, nothing cut off, what is missing missing: to learn center and scale."""
    numbers = reader.numbers.copy()
    numbers[reader.kind < _LEVEL, 2:] = (np.nan, np.inf, 0.0, 1.0)
    return replace(reader, numbers=numbers)
