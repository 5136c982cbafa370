"""Finds the columns that tell nothing: constant ones, and copies of another; looks at values only, never at an outcome.

A column is judged by the bits of its float32 values, missing ones included, so that 0.0 and -0.0 differ: what is left
out is exactly what no model could use.
"""

from collections.abc import Collection, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

Matrix = npt.NDArray[np.float32]
Words = npt.NDArray[np.uint32]


@dataclass(frozen=True)
class Selection:
    """Columns by what was found, each in the order given; `duplicate_of` names for each copy the column that stays."""

    kept: tuple[str, ...]
    constant: tuple[str, ...] = ()
    duplicate_of: Mapping[str, str] = field(default_factory=dict)

    @property
    def dropped(self) -> tuple[str, ...]:
        """All that is left out."""
        return (*self.constant, *self.duplicate_of)

    @property
    def suspects(self) -> tuple[str, ...]:
        """All that is left out, and what the copies are copies of: on more rows, no other column can be left out."""
        return tuple(dict.fromkeys((*self.dropped, *self.duplicate_of.values())))


def telling_columns(
    names: Sequence[str],
    blocks: Iterable[Matrix],
    *,
    always: Collection[str] = (),
    groups: Mapping[str, Hashable] | None = None,
) -> Selection:
    """Which columns tell something over all rows of the blocks; none is left out where there are no rows.

    Args:
        names: of the p columns.
        blocks: of (n, p) float32 each; a block may lie in a buffer that is used again.
        always: columns that stay, whatever they hold.
        groups: of columns, by name; only columns of the same group are compared with one another.

    >>> two = np.array([[1, 5, 1], [2, 5, 2]], np.float32)
    >>> telling_columns(["a", "b", "c"], [two])
    Selection(kept=('a',), constant=('b',), duplicate_of={'c': 'a'})
    """
    # Columns that stay come first, so that the others are copies of them and not they of others.
    order = sorted(range(len(names)), key=lambda i: names[i] not in always)
    by_group: dict[Hashable, list[int]] = {}
    for i in order:
        by_group.setdefault(None if groups is None else groups.get(names[i]), []).append(i)
    alike = list(by_group.values())
    first: Words | None = None
    steady = np.ones(len(names), dtype=bool)
    for block in blocks:
        if len(block) == 0:
            continue
        words = np.ascontiguousarray(block).view(np.uint32)
        first = words[0].copy() if first is None else first
        steady &= _steady(words, first, steady)
        alike = [part for members in alike for part in _parted(words, members)]
    if first is None:
        return Selection(tuple(names))
    constant = [name for i, name in enumerate(names) if steady[i] and name not in always]
    copies = {
        names[i]: names[members[0]]
        for members in alike
        for i in members[1:]
        if not steady[i] and names[i] not in always
    }
    out = {*constant, *copies}
    return Selection(
        kept=tuple(name for name in names if name not in out),
        constant=tuple(constant),
        duplicate_of={name: copies[name] for name in names if name in copies},
    )


def _steady(words: Words, first: Words, open_: npt.NDArray[np.bool_]) -> npt.NDArray[np.bool_]:
    """Which of the open columns hold the first value in all rows."""
    columns = np.flatnonzero(open_)
    result = np.zeros(len(open_), dtype=bool)
    result[columns] = (words[:, columns] == first[columns]).all(axis=0)
    return result


def _parted(words: Words, members: list[int]) -> list[list[int]]:
    """Columns that were alike so far, parted by what they hold here; those that are alone need no more looks."""
    if len(members) < 2:
        return []
    parts: dict[bytes, list[int]] = {}
    for i in members:
        parts.setdefault(words[:, i].tobytes(), []).append(i)
    return [part for part in parts.values() if len(part) > 1]
