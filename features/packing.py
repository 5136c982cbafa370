"""How outputs and instructions are put next to each other, so that the kernel's loops are tight; knows no feature."""

import math
from collections.abc import Sequence
from typing import TypeVar

import numpy as np

from features import layout as k

Instruction = tuple[int, int, int]
T = TypeVar("T")


def n_log_n(count: int) -> list[float]:
    """The products n ln n for n from 0 to `count` - 1; 0 ln 0 is 0."""
    return [0.0, *(n * math.log(n) for n in range(1, count))]


def padded(cells: list[int], dummies: Sequence[int]) -> list[int]:
    """What the lanes hold of the cells: as many as there are lanes, the rest dummies, one a lane."""
    return [*cells[: k.LANES], *dummies[len(cells) :]]


def together(instructions: list[Instruction]) -> list[Instruction]:
    """Instructions in order, with those for neighbouring flags made one."""
    found: list[Instruction] = []
    for operation, cell, operand in instructions:
        if operation == k.ADD_FOLLOWED and found and found[-1][0] == operation and sum(found[-1][1:3]) == cell:
            found[-1] = (operation, found[-1][1], found[-1][2] + operand)
        else:
            found.append((operation, cell, operand))
    return found


def quarters() -> list[int]:
    """Cosine and sine of the middle of each quarter of an hour, in fixed point; two's complement in 32 bits."""
    angles = (np.arange(96) + 0.5) * (2 * np.pi / 96)
    fixed = np.rint(np.stack([np.cos(angles), np.sin(angles)], axis=1) * k.HOUR_SCALE).astype(np.int32)
    return [int(value) for value in fixed.ravel().view(np.uint32)]


def arrays(outputs: list[T], width: int) -> list[T]:
    """Outputs of `width` values each as so many arrays one after the other: all first values, all second ones."""
    return [value for at in range(width) for value in outputs[at::width]]


def runs(outputs: list[int]) -> list[tuple[int, int, int]]:
    """Outputs (column, cell) merged to (column, cell, length) where both are consecutive, so that one loop copies."""
    merged: list[tuple[int, int, int]] = []
    for column, cell in sorted(zip(outputs[::2], outputs[1::2], strict=True)):
        if merged and (column, cell) == (merged[-1][0] + merged[-1][2], merged[-1][1] + merged[-1][2]):
            merged[-1] = (*merged[-1][:2], merged[-1][2] + 1)
        else:
            merged.append((column, cell, 1))
    return merged


def paired(outputs: list[int]) -> list[int]:
    """Outputs (begin and end of a list, column, rank 0 or 1) merged to (begin, end, column of rank 0, of rank 1).

    Different features may have one source (all empty lists are alike): each column then gets a place of its own.
    """
    merged: dict[tuple[int, int], list[list[int]]] = {}
    for begin, end, column, rank in zip(*(outputs[at::4] for at in range(4)), strict=True):
        pairs = merged.setdefault((begin, end), [])
        free = next((pair for pair in pairs if pair[rank] == k.NO_COLUMN), None)
        if free is None:
            free = [k.NO_COLUMN, k.NO_COLUMN]
            pairs.append(free)
        free[rank] = column
    return [word for bounds, pairs in merged.items() for columns in pairs for word in (*bounds, *columns)]
