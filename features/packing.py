"""How outputs and instructions are put next to each other, so that the kernel's loops are tight; knows no feature."""

import math
from collections.abc import Container, Sequence
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


def long_runs(outputs: list[int]) -> tuple[list[int], list[int]]:
    """Outputs (column, cell) as long runs (column, cell, length), which one loop copies, and those outside them."""
    long, short = list[int](), list[int]()
    for column, cell, length in runs(outputs):
        if length >= k.SHORTEST_RUN:
            long += (column, cell, length)
        else:
            short += (word for at in range(length) for word in (column + at, cell + at))
    return long, short


def in_fours(outputs: list[int], free: Container[int]) -> tuple[list[int], list[int]]:
    """Outputs (column, cell) as the first ones of four consecutive outputs, by ascending column, and as what remains.

    Of the four, as many are right as are consecutive in both; the others stand in columns that must be `free`: those of
    the program in which nothing is yet. Four cells can be read from each.

    >>> in_fours([0, 20, 1, 21, 2, 30, 5, 40], range(6))
    ([0, 20, 2, 30], [5, 40])
    """
    fours, rest = list[int](), list[int]()
    for column, cell, length in runs(outputs):
        for at in range(0, length, 4):
            held = min(4, length - at)
            if all(column + at + beyond in free for beyond in range(held, 4)):
                fours += (column + at, cell + at)
            else:
                rest += (word for i in range(at, at + held) for word in (column + i, cell + i))
    return fours, rest


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
