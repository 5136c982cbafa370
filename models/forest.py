"""A LightGBM model text as arrays that one kernel evaluates, equal to LightGBM's raw score to the bit; trains nothing.

What the kernel cannot evaluate exactly is refused with a reason, and the caller asks LightGBM itself.

Rows are float32, which a comparison with the next lower float32 of a threshold tells apart as LightGBM's double does.
"""

import re
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import cached_property
from itertools import pairwise
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from contract.errors import ArtefactError
from features.blocks import read_only
from models.artefact import Floats, Matrix
from models.forest_kernel import (
    ABOVE,
    ABOVE_ZERO_LEFT,
    FILLED,
    NOT_AMONG,
    NOT_BELOW,
    NOT_BELOW_ZERO_RIGHT,
    SHARED,
    VECTOR,
    evaluate,
    evaluate_few,
)

_VERSION: Final = "v4"
_WORD: Final = 32
_CATEGORICAL, _DEFAULT_LEFT, _MISSING = 1, 2, 12
_NONE, _ZERO, _NAN = 0, 1, 2
FEW_CUSTOMERS: Final = 16
"""Below it a customer's actions, not the customers, lie side by side."""
CUSTOMERS_WORTH_A_THREAD: Final = 4_000
"""Below it, some milliseconds of work, another thread costs more than it saves."""


class UnreadableError(ValueError):
    """The model holds what the kernel does not evaluate; the message says what."""


@dataclass(frozen=True)
class Forest:
    """Trees as arrays; `SEGMENTS`, `SPLITS` and `TREES` of `forest_kernel` say what each holds.

    classes: of the model, 1 for a binary one. own: whether any tree reads a column of the action's own.
    """

    classes: int
    shared_columns: npt.NDArray[np.int32]
    own_columns: npt.NDArray[np.int32]
    trees: npt.NDArray[np.int32]
    segments: npt.NDArray[np.int32]
    splits: npt.NDArray[np.int32]
    threshold: npt.NDArray[np.float32]
    kept: npt.NDArray[np.uint32]
    categories: npt.NDArray[np.uint32]
    value: npt.NDArray[np.float64]

    @property
    def own(self) -> bool:
        """Whether the score depends on the action."""
        return len(self.own_columns) > 0

    @classmethod
    def parsed(cls, text: str, places: Sequence[int] | None = None) -> "Forest":
        """The forest of a model text.

        Args:
            text: as LightGBM writes it.
            places: where each of the model's columns lies: i, column i of the customer's shared ones; ~i, column i of
                the action's own. By default all are shared, in the model's order.

        Raises:
            UnreadableError: it is of another version, linear, averaged, or holds an unknown kind of split.
        """
        head = text[: text.index("\nTree=")] if "\nTree=" in text else text[: text.index("\nend of trees")]
        facts = dict(line.split("=", 1) for line in head.splitlines() if "=" in line)
        if facts.get("version") != _VERSION:
            raise UnreadableError(f"the text has version {facts.get('version')}; read is {_VERSION}")
        if "average_output" in head.splitlines():
            raise UnreadableError("its trees are averaged")
        columns = int(facts["max_feature_idx"]) + 1
        layout = _Layout(range(columns) if places is None else places)
        for tree in _trees(text):
            layout.add(tree)
        return layout.forest(int(facts["num_tree_per_iteration"]))

    @cached_property
    def needed(self) -> tuple[int, int]:
        """Least width of the shared and of the own matrix."""
        return int(self.shared_columns.max(initial=-1)) + 1, int(self.own_columns.max(initial=-1)) + 1

    def raw(self, shared: Matrix, own: Matrix | None = None, *, threads: int = 1) -> Floats:
        """(n, actions, classes) LightGBM's raw scores.

        Args:
            shared: (n, p) columns that all actions of a customer share.
            own: (n * actions, q) the actions' own columns, a customer's rows side by side; None is one action without.
            threads: among which customers are split; the result does not depend on it.

        Raises:
            ArtefactError: a matrix lacks columns, or the rows do not fit together.
        """
        n = len(shared)
        own = np.empty((n, 0), np.float32) if own is None else own
        actions = len(own) // n if n else 1
        if shared.shape[1] < self.needed[0] or own.shape[1] < self.needed[1] or len(own) != n * actions:
            raise ArtefactError(
                f"model: reads {self.needed[0]} shared and {self.needed[1]} own columns, found matrices of shape "
                f"{shared.shape} and {own.shape}; compute them with the bundle's own feature set"
            )
        out = np.empty((n, actions, self.classes))
        parts = min(threads, 1 + n // CUSTOMERS_WORTH_A_THREAD)
        if parts == 1:
            self._fill(shared, own, actions, out)
            return out
        bounds = [n * part // parts for part in range(parts + 1)]
        with ThreadPoolExecutor(parts) as pool:
            work = [
                pool.submit(self._fill, shared[a:b], own[a * actions : b * actions], actions, out[a:b])
                for a, b in pairwise(bounds)
            ]
            for each in work:
                each.result()
        return out

    def _fill(self, shared: Matrix, own: Matrix, actions: int, out: Floats) -> None:
        run = evaluate_few if len(out) < FEW_CUSTOMERS else evaluate
        run(_readable(shared), _readable(own), actions, *self._tables, out)

    @cached_property
    def _tables(self) -> tuple[npt.NDArray[Any], ...]:
        trees = (self.trees, self.segments, self.splits, self.threshold, self.kept, self.categories, self.value)
        return (self.shared_columns, self.own_columns, *trees)


def prepare() -> None:
    """Load the compiled kernels, or compile them where no cache holds them, before the first rows.

    Compiling takes about eight seconds, once an installation; loading some tenths of one.
    """
    forest = Forest.parsed(_NO_TREES)
    for customers in (1, FEW_CUSTOMERS):
        forest.raw(np.zeros((customers, 0), np.float32))


def _readable(rows: Matrix) -> Matrix:
    return read_only(np.asarray(rows, np.float32, order="C"))


_NO_TREES: Final = f"tree\nversion={_VERSION}\nnum_tree_per_iteration=1\nmax_feature_idx=-1\n\nend of trees"


def _trees(text: str) -> Iterator[dict[str, str]]:
    body = text[: text.index("\nend of trees")]
    for part in re.split(r"^Tree=\d+$", body, flags=re.MULTILINE)[1:]:
        yield dict(line.split("=", 1) for line in part.strip().splitlines())


_Node = tuple[int, int, np.float32, int, int]
_NOTHING: Final[_Node] = (0, ABOVE, np.float32(np.inf), 0, 0)
_ALL: Final = 0xFFFF_FFFF


@dataclass
class _Layout:
    """Collects trees in the form that the kernel reads."""

    places: Sequence[int]
    slots: dict[int, int] = field(default_factory=dict)
    trees: list[tuple[int, int]] = field(default_factory=list)
    segments: list[tuple[int, ...]] = field(default_factory=list)
    splits: list[tuple[int, int, int, int]] = field(default_factory=list)
    threshold: list[np.float32] = field(default_factory=list)
    kept: list[int] = field(default_factory=list)
    categories: list[int] = field(default_factory=list)
    value: list[float] = field(default_factory=list)

    def add(self, fields: dict[str, str]) -> None:
        """One tree, its leaves numbered from left to right."""
        if fields.get("is_linear", "0") != "0":
            raise UnreadableError("its leaves hold linear models")
        values = [float(each) for each in fields["leaf_value"].split()]
        if int(fields["num_leaves"]) == 1:
            self._begin(own=False)
            self.segments.append((*[len(self.splits)] * 6, len(self.value)))
            self.value.append(values[0])
            return
        left, right = ([int(each) for each in fields[side].split()] for side in ("left_child", "right_child"))
        order, spans = _in_order(left, right)
        nodes = self._nodes(fields)
        self._begin(own=any(self.places[column] < 0 for column, *_ in nodes))
        for word in reversed(range((len(order) - 1) // _WORD + 1)):
            self._segment(word * _WORD, nodes, spans)
        self.value += [values[leaf] for leaf in order]

    def _begin(self, *, own: bool) -> None:
        self.trees.append((len(self.segments), int(own)))

    def _nodes(self, fields: dict[str, str]) -> list[_Node]:
        """Column, kind, threshold and begin and end of the categories' bits, of each inner node."""
        columns = [int(each) for each in fields["split_feature"].split()]
        types = [int(each) for each in fields["decision_type"].split()]
        thresholds = [float(each) for each in fields["threshold"].split()]
        base = len(self.categories)
        self.categories += [int(each) for each in fields.get("cat_threshold", "").split()]
        bounds = [base + int(each) for each in fields.get("cat_boundaries", "").split()]
        nodes = []
        for column, type_, threshold in zip(columns, types, thresholds, strict=True):
            if type_ & _CATEGORICAL:
                which = int(threshold)
                nodes.append((column, NOT_AMONG, np.float32(0), bounds[which], bounds[which + 1]))
            else:
                nodes.append((column, _kind(type_, threshold), _float32_below(threshold), 0, 0))
        return nodes

    def _segment(self, first: int, nodes: list[_Node], spans: list[tuple[int, int]]) -> None:
        """Up to 32 leaves from `first` on, and the splits that can take any of them away."""
        relevant = [
            (self.places[node[0]] < 0, node[1] == NOT_AMONG, node, begin, end)
            for node, (begin, end) in zip(nodes, spans, strict=True)
            if begin < first + _WORD and end > first
        ]
        starts = [len(self.splits)]
        for own, categorical in ((False, False), (False, True), (True, False), (True, True)):
            for *_, node, begin, end in (each for each in relevant if each[:2] == (own, categorical)):
                taken = sum(1 << (leaf - first) for leaf in range(max(begin, first), min(end, first + _WORD)))
                self._split(node, ~taken & _ALL)
            starts.append(len(self.splits))
            if len(starts) == FILLED + 1:
                for _ in range(-(starts[FILLED] - starts[SHARED]) % VECTOR):
                    self._split(_NOTHING, _ALL)
                starts.append(len(self.splits))
        self.segments.append((*starts, len(self.value) + first))

    def _split(self, node: _Node, kept: int) -> None:
        column, kind, threshold, bits, bits_end = node
        self.splits.append((0 if node is _NOTHING else self._slot(column), kind, bits, bits_end))
        self.threshold.append(threshold)
        self.kept.append(kept)

    def _slot(self, column: int) -> int:
        """Where the kernel's block holds the column, counted apart for shared and own ones."""
        place = self.places[column]
        if place not in self.slots:
            self.slots[place] = sum((other < 0) == (place < 0) for other in self.slots)
        return self.slots[place]

    def forest(self, classes: int) -> Forest:
        """All that was added, read-only as the kernel takes it."""
        self._begin(own=False)
        ints: list[tuple[Any, tuple[int, ...]]] = [
            ([place for place in self.slots if place >= 0], (-1,)),
            ([~place for place in self.slots if place < 0], (-1,)),
            (self.trees, (-1, 2)),
            (self.segments, (-1, 7)),
            (list(zip(*self.splits, strict=True)), (4, -1)),
        ]
        tables = [read_only(np.array(values, np.int32).reshape(shape)) for values, shape in ints]
        columns: tuple[npt.NDArray[Any], ...] = (
            np.array(self.threshold, np.float32),
            np.array(self.kept, np.uint32),
            np.array(self.categories, np.uint32),
            np.array(self.value, np.float64),
        )
        return Forest(classes, *tables, *map(read_only, columns))


def _in_order(left: list[int], right: list[int]) -> tuple[list[int], list[tuple[int, int]]]:
    """The leaves from left to right, and of each inner node which of them lie on its left: [begin, end)."""
    order: list[int] = []
    begin, middle = [0] * len(left), [0] * len(left)
    waiting: list[tuple[int, bool]] = [(0, False)]
    while waiting:
        node, left_done = waiting.pop()
        if node < 0:
            order.append(~node)
        elif left_done:
            middle[node] = len(order)
            waiting.append((right[node], False))
        else:
            begin[node] = len(order)
            waiting += [(node, True), (left[node], False)]
    return order, list(zip(begin, middle, strict=True))


def _kind(decision_type: int, threshold: float) -> int:
    """How LightGBM decides a numerical split (Tree::NumericalDecision), missing values included."""
    missing, default_left = (decision_type & _MISSING) >> 2, bool(decision_type & _DEFAULT_LEFT)
    if missing == _ZERO:
        return ABOVE_ZERO_LEFT if default_left else NOT_BELOW_ZERO_RIGHT
    if missing == _NAN:
        return ABOVE if default_left else NOT_BELOW
    if missing != _NONE:
        raise UnreadableError(f"a split has decision type {decision_type}")
    return ABOVE if threshold >= 0 else NOT_BELOW  # a missing value is read as zero


def _float32_below(threshold: float) -> np.float32:
    """The largest float32 that is not above; for every float32 x, x <= it exactly where x <= threshold."""
    with np.errstate(over="ignore"):
        nearest = np.float32(threshold)
    return nearest if float(nearest) <= threshold else np.nextafter(nearest, np.float32(-np.inf))
