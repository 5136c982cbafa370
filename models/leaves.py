"""Holds every leaf of a LightGBM text model to a least number of distinct customers; never changes a healthy leaf.

`min_data_in_leaf` counts rows, and one customer can own many. After training, leaves are counted in customers; where
one has too few, the split above it is undone: its subtree becomes one leaf with the value that LightGBM stored for that
node. The text is edited and no model is fitted again. `feature_infos`, which hold each column's extremes, are cleared.
"""

import re
from dataclasses import dataclass

import lightgbm as lgb
import numba
import numpy as np

from models.artefact import Ints
from models.tables import Rows

_NODE_FIELDS = ("split_feature", "split_gain", "threshold", "decision_type", "left_child", "right_child")
_INNER_FIELDS = ("internal_value", "internal_weight", "internal_count")
_LEAF_FIELDS = ("leaf_value", "leaf_weight", "leaf_count")


@dataclass(frozen=True)
class GuardedModel:
    """A model text whose every leaf stands on enough customers, and how many splits had to be undone for it."""

    text: str
    undone_splits: int
    fewest_customers: int


@numba.njit(cache=True)
def _count_customers(leaf, customer, count, seen):  # type: ignore[no-untyped-def]  # pragma: no cover  compiled
    """Adds distinct customers per (tree, leaf); rows ascend by customer, so a change of customer is a new one."""
    rows, trees = leaf.shape
    for i in range(rows):
        for t in range(trees):
            node = leaf[i, t]
            if seen[t, node] != customer[i]:
                seen[t, node] = customer[i]
                count[t, node] += 1


def customers_per_leaf(booster: lgb.Booster, table: Rows, threads: int) -> Ints:
    """Distinct customers in each leaf, (n_trees, most leaves).

    Args:
        booster: the model.
        table: the training rows, with customers in any order.
        threads: of the prediction.
    """
    if np.any(np.diff(table.customer) < 0):
        table = table.rows(np.argsort(table.customer, kind="stable"))
    leaves = max((tree["num_leaves"] for tree in booster.dump_model()["tree_info"]), default=1)
    count = np.zeros((booster.num_trees(), leaves), dtype=np.int64)
    seen = np.full(count.shape, -1, dtype=np.int64)
    start = 0
    for block in table.blocks():
        leaf = np.asarray(booster.predict(block, pred_leaf=True, num_threads=threads)).astype(np.int32)
        _count_customers(leaf.reshape(len(block), -1), table.customer[start : start + len(block)], count, seen)
        start += len(block)
    return count


def guard_leaves(booster: lgb.Booster, table: Rows, least: int, threads: int) -> GuardedModel:
    """The booster as text, with every split undone that led to a leaf of fewer than `least` distinct customers.

    The table holds the rows that the booster was trained on.
    """
    text = clear_feature_infos(booster.model_to_string())
    counts = customers_per_leaf(booster, table, threads)
    undone = 0
    # A merged leaf holds the customers of both parts but could, with overlapping parts, still be too small: repeat.
    while True:
        used = [counts[t, : _leaves_of(tree)] for t, tree in enumerate(_trees(text))]
        if all(len(each) == 1 or each.min() >= least for each in used):
            fewest = min((int(each.min()) for each in used), default=0)
            return GuardedModel(text, undone, fewest)
        text, more = _prune(text, counts, least)
        undone += more
        counts = customers_per_leaf(lgb.Booster(model_str=text), table, threads)


def clear_feature_infos(text: str) -> str:
    """The model text without any column's minimum and maximum; predictions do not read them."""

    def cleared(match: re.Match[str]) -> str:
        return "feature_infos=" + " ".join(["none"] * len(match.group(1).split(" ")))

    return re.sub(r"^feature_infos=(.*)$", cleared, text, count=1, flags=re.MULTILINE)


def _trees(text: str) -> list[str]:
    body = text[text.index("\nTree=") + 1 : text.index("\nend of trees")]
    return [part for part in re.split(r"(?=^Tree=\d+$)", body, flags=re.MULTILINE) if part]


def _leaves_of(tree: str) -> int:
    return int(_fields(tree)["num_leaves"])


def _fields(tree: str) -> dict[str, str]:
    return dict(line.split("=", 1) for line in tree.strip().split("\n"))


def _prune(text: str, counts: Ints, least: int) -> tuple[str, int]:
    trees, undone = [], 0
    for tree, count in zip(_trees(text), counts, strict=True):
        pruned, more = _prune_tree(tree, count, least)
        trees.append(pruned)
        undone += more
    head = text[: text.index("\nTree=") + 1]
    tail = text[text.index("\nend of trees") + 1 :]
    sizes = " ".join(str(len(tree.encode())) for tree in trees)
    head = re.sub(r"^tree_sizes=.*$", f"tree_sizes={sizes}", head, count=1, flags=re.MULTILINE)
    return head + "".join(trees) + tail, undone


def _prune_tree(tree: str, count: Ints, least: int) -> tuple[str, int]:
    fields = _fields(tree)
    if int(fields["num_leaves"]) == 1:
        return tree, 0
    left = [int(child) for child in fields["left_child"].split()]
    right = [int(child) for child in fields["right_child"].split()]
    doomed = {
        node for node in range(len(left)) for child in (left[node], right[node]) if child < 0 and count[~child] < least
    }
    if not doomed:
        return tree, 0
    return _rebuilt(fields, left, right, doomed) + "\n\n\n", len(doomed)


def _rebuilt(fields: dict[str, str], left: list[int], right: list[int], doomed: set[int]) -> str:
    """The tree with every doomed node turned into a leaf that bears the node's own value, weight and count."""
    nodes: list[int] = []
    leaves: list[int] = []  # of old leaves their ~number, of doomed nodes their number
    new_left: list[int] = []
    new_right: list[int] = []

    def visit(child: int) -> int:
        if child < 0 or child in doomed:
            leaves.append(child)
            return ~(len(leaves) - 1)
        mine = len(nodes)
        nodes.append(child)
        new_left.append(0)
        new_right.append(0)
        new_left[mine] = visit(left[child])
        new_right[mine] = visit(right[child])
        return mine

    visit(0)
    old = {name: fields[name].split() for name in (*_NODE_FIELDS, *_INNER_FIELDS, *_LEAF_FIELDS)}
    if not nodes:
        return _constant(fields, old["internal_value"][0])
    new = {name: [old[name][node] for node in nodes] for name in (*_NODE_FIELDS, *_INNER_FIELDS)}
    new |= {"left_child": [str(n) for n in new_left], "right_child": [str(n) for n in new_right]}
    for leaf_name, inner_name in zip(_LEAF_FIELDS, _INNER_FIELDS, strict=True):
        new[leaf_name] = [old[leaf_name][~leaf] if leaf < 0 else old[inner_name][leaf] for leaf in leaves]
    result = fields | {name: " ".join(values) for name, values in new.items()} | {"num_leaves": str(len(leaves))}
    return "\n".join(f"{name}={value}" for name, value in result.items())


def _constant(fields: dict[str, str], value: str) -> str:
    """A tree that is one leaf, as LightGBM writes it."""
    empty = dict.fromkeys((*_NODE_FIELDS, *_INNER_FIELDS, "leaf_weight"), "")
    result = {"Tree": fields["Tree"], "num_leaves": "1", "num_cat": "0", **empty, "leaf_value": value}
    result |= {"leaf_count": fields["internal_count"].split()[0], "is_linear": "0", "shrinkage": "1"}
    return "\n".join(f"{name}={value}" for name, value in result.items())
