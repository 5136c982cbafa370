"""Evaluates parsed trees over blocks of rows without a branch on data; knows no column by name.

Every split is looked at, and takes from a word of 32 bits the leaves that a row can no longer reach; the lowest bit
left is the row's leaf (QuickScorer: Lucchese et al., SIGIR 2015; over vectors of rows: Lucchese et al., SIGIR 2016).
So all rows of a block do the same work, and the compiler turns each loop over them into vector instructions.

Splits on columns that are the same for all actions of a customer are looked at once per customer, the others once per
action; each action then adds the trees' values in the trees' order, so that the sum is the same to the bit.
"""

from typing import Any, Final, Protocol

import numba
import numpy as np
import numpy.typing as npt

LANES: Final = 128
"""Customers in a block: what the block holds of some hundred columns fits the second cache."""
_PAD: Final = 16
"""Floats between columns, so that they do not all fall on the same lines of the first cache."""
VECTOR: Final = 16
"""Splits or actions that one vector instruction looks at."""
_TINY: Final = np.float32(1e-35)
"""LightGBM reads what is not larger as zero (kZeroThreshold)."""

# What sends a row to the right: above the threshold; not at or below it, also when missing; the same two with zero and
# missing going left, or right; a category that is not among those of the split.
ABOVE, NOT_BELOW, ABOVE_ZERO_LEFT, NOT_BELOW_ZERO_RIGHT, NOT_AMONG = range(5)

# SEGMENTS: the leaves of a tree 32 at a time, last first, by their splits: on shared columns from SHARED, then empty
# ones that fill a vector from FILLED, categorical ones from SHARED_CATEGORICAL; on the action's own columns from OWN,
# categorical ones from OWN_CATEGORICAL, to END. LEAF is the place of the first leaf's value. SPLITS, a column each:
# slot of the column, kind, begin and end of the categories' bits. TREES: begin of the segments, and whether any split
# reads an own column.
SHARED, FILLED, SHARED_CATEGORICAL, OWN, OWN_CATEGORICAL, END, LEAF = range(7)
SLOT, KIND, BITS, BITS_END = range(4)

U: Final = np.uint64


@numba.njit(inline="always")
def _transposed(
    rows: npt.NDArray[Any],
    first: int,
    step: int,
    n: int,
    columns: npt.NDArray[Any],
    block: npt.NDArray[Any],
    base: Any,
    stride: Any,
) -> None:
    """Columns of rows first, first + step, … one after another, with what LightGBM takes for zero as zero."""
    for c in range(n):
        row = first + c * step
        for j in range(columns.size):
            value = rows[row, columns[j]]
            block[base + U(j) * stride + U(c)] = np.float32(0.0) if abs(value) <= _TINY else value


@numba.njit(inline="always")
def _goes_right(value: Any, limit: Any, kind: int) -> Any:
    """The four numerical kinds in one expression."""
    default = (value != value) | ((kind >= ABOVE_ZERO_LEFT) & (value == np.float32(0.0)))
    default_right = (kind == NOT_BELOW) | (kind == NOT_BELOW_ZERO_RIGHT)
    return (default & default_right) | (~default & (value > limit))


@numba.njit(inline="always")
def _among(value: Any, begin: int, end: int, categories: npt.NDArray[Any]) -> Any:
    inside = (value > np.float32(-1.0)) & (value < np.float32(32 * (end - begin)))
    code = np.uint32(np.int32(value if inside else np.float32(0.0)))
    word = categories[U(begin) + U(code >> np.uint32(5))]
    return inside & ((word >> (code & np.uint32(31))) & np.uint32(1) == np.uint32(1))


@numba.njit(inline="always")
def _trailing_zeros(word: Any) -> Any:
    """Zeros below the lowest one among 32 bits, by counting the ones below it (Knuth, TAOCP 4A, 7.1.3)."""
    bits = (U(word) & (~U(word) + U(1))) - U(1)
    bits = bits - ((bits >> U(1)) & U(0x55555555))
    bits = (bits & U(0x33333333)) + ((bits >> U(2)) & U(0x33333333))
    bits = (bits + (bits >> U(4))) & U(0x0F0F0F0F)
    return np.int32(((bits * U(0x01010101)) >> U(24)) & U(63))


@numba.njit(inline="always")
def _cut(
    live: npt.NDArray[Any],
    n: int,
    block: npt.NDArray[Any],
    base: Any,
    split: int,
    splits: npt.NDArray[Any],
    threshold: npt.NDArray[Any],
    kept: npt.NDArray[Any],
    categories: npt.NDArray[Any],
    stride: Any,
) -> None:
    """Take from each row's live leaves those left of the split where the row goes right."""
    column = base + U(splits[SLOT, split]) * stride
    kind, limit, keep = splits[KIND, split], threshold[split], kept[split]
    if kind == ABOVE:
        for c in range(U(n)):
            live[c] = live[c] & keep if block[column + c] > limit else live[c]
    elif kind == NOT_BELOW:
        for c in range(U(n)):
            live[c] = live[c] if block[column + c] <= limit else live[c] & keep
    elif kind == NOT_AMONG:
        begin, end = splits[BITS, split], splits[BITS_END, split]
        for c in range(U(n)):
            live[c] = live[c] if _among(block[column + c], begin, end, categories) else live[c] & keep
    elif kind == ABOVE_ZERO_LEFT:
        for c in range(U(n)):
            value = block[column + c]
            live[c] = live[c] & keep if (value > limit) & (value != np.float32(0.0)) else live[c]
    else:
        for c in range(U(n)):
            value = block[column + c]
            live[c] = live[c] if (value <= limit) & (value != np.float32(0.0)) else live[c] & keep


@numba.njit(inline="always")
def _settled(
    live: npt.NDArray[Any],
    n: int,
    lowest: npt.NDArray[Any],
    bits: npt.NDArray[Any],
    place: int,
    leaf: npt.NDArray[Any],
    base: Any,
) -> None:
    """The place of each row's lowest live leaf, by the exponent of its bit as a float; rows without any keep theirs."""
    for c in range(U(n)):
        lowest[c] = np.float32(live[c] & (~live[c] + np.uint32(1)))
    for c in range(U(n)):
        found = np.int32(place - 127) + (bits[c] >> np.int32(23))
        leaf[base + c] = found if live[c] != np.uint32(0) else leaf[base + c]


def _evaluate(  # noqa: C901 - one body: the blocks would be passed on at every split
    shared: npt.NDArray[np.float32],
    own: npt.NDArray[np.float32],
    actions: int,
    shared_columns: npt.NDArray[np.int32],
    own_columns: npt.NDArray[np.int32],
    trees: npt.NDArray[np.int32],
    segments: npt.NDArray[np.int32],
    splits: npt.NDArray[np.int32],
    threshold: npt.NDArray[np.float32],
    kept: npt.NDArray[np.uint32],
    categories: npt.NDArray[np.uint32],
    value: npt.NDArray[np.float64],
    out: npt.NDArray[np.float64],
) -> None:
    customers, classes = out.shape[0], out.shape[2]
    lanes = min(customers, LANES)
    stride = U(lanes + _PAD)
    block = np.empty(U(shared_columns.size) * stride, np.float32)
    own_size = U(own_columns.size) * stride
    own_block = np.empty(U(actions) * own_size, np.float32)
    reached, live = np.empty(stride, np.uint32), np.empty(stride, np.uint32)
    lowest = np.empty(stride, np.float32)
    bits = lowest.view(np.int32)
    leaf = np.zeros(U(actions) * stride, np.int32)
    total = np.empty(U(classes * actions) * stride, np.float64)
    for first in range(0, customers, LANES):
        n = min(LANES, customers - first)
        _transposed(shared, first, 1, n, shared_columns, block, U(0), stride)
        for a in range(actions):
            _transposed(own, first * actions + a, actions, n, own_columns, own_block, U(a) * own_size, stride)
        total[:] = 0.0
        for tree in range(trees.shape[0] - 1):
            shown = actions if trees[tree, 1] else 1
            for s in range(trees[tree, 0], trees[tree + 1, 0]):
                reached[:] = np.uint32(0xFFFFFFFF)
                for split in range(segments[s, SHARED], segments[s, FILLED]):
                    _cut(reached, n, block, U(0), split, splits, threshold, kept, categories, stride)
                for split in range(segments[s, SHARED_CATEGORICAL], segments[s, OWN]):
                    _cut(reached, n, block, U(0), split, splits, threshold, kept, categories, stride)
                for a in range(shown):
                    live[:] = reached
                    for split in range(segments[s, OWN], segments[s, END]):
                        _cut(live, n, own_block, U(a) * own_size, split, splits, threshold, kept, categories, stride)
                    _settled(live, n, lowest, bits, segments[s, LEAF], leaf, U(a) * stride)
            for a in range(actions):
                to = U((tree % classes) * actions + a) * stride
                base = U(a) * stride if shown > 1 else U(0)
                for c in range(U(n)):
                    total[to + c] += value[U(leaf[base + c])]
        for c in range(n):
            for a in range(actions):
                for k in range(classes):
                    out[first + c, a, k] = total[U(k * actions + a) * stride + U(c)]


def _evaluate_few(  # noqa: C901 - one body, as above
    shared: npt.NDArray[np.float32],
    own: npt.NDArray[np.float32],
    actions: int,
    shared_columns: npt.NDArray[np.int32],
    own_columns: npt.NDArray[np.int32],
    trees: npt.NDArray[np.int32],
    segments: npt.NDArray[np.int32],
    splits: npt.NDArray[np.int32],
    threshold: npt.NDArray[np.float32],
    kept: npt.NDArray[np.uint32],
    categories: npt.NDArray[np.uint32],
    value: npt.NDArray[np.float64],
    out: npt.NDArray[np.float64],
) -> None:
    """The same with a customer's actions side by side in place of customers: for few of them."""
    classes = out.shape[2]
    lanes = U((actions + VECTOR - 1) // VECTOR * VECTOR)
    one = np.empty(shared_columns.size, np.float32)
    block = np.zeros(U(own_columns.size) * lanes, np.float32)
    live = np.empty(lanes, np.uint32)
    leaf = np.zeros(lanes, np.int32)
    for customer in range(out.shape[0]):
        _transposed(shared, customer, 1, 1, shared_columns, one, U(0), U(1))
        _transposed(own, customer * actions, 1, actions, own_columns, block, U(0), lanes)
        out[customer] = 0.0
        for tree in range(trees.shape[0] - 1):
            shown = U(actions) if trees[tree, 1] else U(1)
            for s in range(trees[tree, 0], trees[tree + 1, 0]):
                reached = np.uint32(0xFFFFFFFF)
                for split in range(U(segments[s, SHARED]), U(segments[s, SHARED_CATEGORICAL])):
                    right = _goes_right(one[U(splits[SLOT, split])], threshold[split], splits[KIND, split])
                    reached &= kept[split] if right else np.uint32(0xFFFFFFFF)
                for split in range(U(segments[s, SHARED_CATEGORICAL]), U(segments[s, OWN])):
                    among = _among(
                        one[U(splits[SLOT, split])], splits[BITS, split], splits[BITS_END, split], categories
                    )
                    reached &= kept[split] | (np.uint32(0) - np.uint32(among))
                for a in range(lanes):
                    live[a] = reached
                for split in range(U(segments[s, OWN]), U(segments[s, OWN_CATEGORICAL])):
                    column, kind = U(splits[SLOT, split]) * lanes, splits[KIND, split]
                    limit, keep = threshold[split], kept[split]
                    for a in range(lanes):
                        live[a] &= keep if _goes_right(block[column + a], limit, kind) else np.uint32(0xFFFFFFFF)
                for split in range(U(segments[s, OWN_CATEGORICAL]), U(segments[s, END])):
                    column, begin, end = U(splits[SLOT, split]) * lanes, splits[BITS, split], splits[BITS_END, split]
                    for a in range(lanes):
                        among = _among(block[column + a], begin, end, categories)
                        live[a] &= np.uint32(0xFFFFFFFF) if among else kept[split]
                for a in range(shown):
                    found = segments[s, LEAF] + _trailing_zeros(live[a])
                    leaf[a] = found if live[a] != np.uint32(0) else leaf[a]
            for a in range(U(actions)):
                out[customer, a, U(tree % classes)] += value[U(leaf[a if shown > U(1) else U(0)])]


class Evaluation(Protocol):
    """A compiled kernel; takes read-only inputs only, so that there is one signature; releases the GIL."""

    def __call__(self, *inputs: Any) -> None:
        """Fill the last array given."""


evaluate: Evaluation = numba.njit(nogil=True, cache=True, error_model="numpy")(_evaluate)
evaluate_few: Evaluation = numba.njit(nogil=True, cache=True, error_model="numpy")(_evaluate_few)
"""Compiled when first called, some seconds each, and kept in Numba's cache: beside this file, or NUMBA_CACHE_DIR."""
