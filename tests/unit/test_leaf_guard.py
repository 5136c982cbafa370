"""Ten customers stand behind every leaf, and the model text holds no column's extremes."""

import lightgbm as lgb
import numpy as np
import pytest

from models.boosting import Recipe, boost, dataset, guarded
from models.leaves import clear_feature_infos, customers_per_leaf, guard_leaves
from models.tables import Table

RECIPE = Recipe(trees=12, leaves=15, rows_per_leaf=20, feature_fraction=1.0, learning_rate=0.3)


def _table(rows_per_customer: int, customers: int = 300):
    """A customer's rows are alike, so that splits single customers out; the second column is a code."""
    random = np.random.default_rng(0)
    own = np.column_stack(
        [random.normal(size=customers), random.integers(0, 6, customers), random.normal(size=customers)]
    )
    customer = np.repeat(np.arange(customers), rows_per_customer)
    label = random.random(customers)[customer] + 0.1 * random.random(len(customer))
    matrix = own[customer].astype(np.float32)
    matrix[::17, 2] = np.nan
    return Table(matrix, ["x", "code", "z"], ["code"], customer), label


def _fitted(table, label, classes, **changed):
    y = (label > 0.5).astype(int) if classes == 1 else (label * 2.7).astype(int)
    return boost(
        dataset(table, y, None, 1), RECIPE.model_copy(update=changed), classes=classes, watched=None, seed=0, threads=1
    )[0]


@pytest.mark.parametrize("classes", [1, 3])
def test_leaves_of_few_customers_are_undone(classes):
    table, label = _table(rows_per_customer=40)
    booster = _fitted(table, label, classes)
    before = customers_per_leaf(booster, table, 1)
    assert before[before > 0].min() < 10, "the case must need the guard"
    model = guard_leaves(booster, table, 10, 1)
    after = lgb.Booster(model_str=model.text)
    leaf = np.asarray(after.predict(table.matrix, pred_leaf=True)).reshape(len(table.matrix), -1)
    for tree in range(leaf.shape[1]):
        for node in np.unique(leaf[:, tree]):
            assert len(np.unique(table.customer[leaf[:, tree] == node])) >= 10
    assert model.undone_splits > 0
    assert model.fewest_customers >= 10


def test_rows_of_healthy_leaves_keep_their_prediction():
    table, label = _table(rows_per_customer=40)
    booster = _fitted(table, label, 1, trees=1)
    counts = customers_per_leaf(booster, table, 1)
    leaf = booster.predict(table.matrix, pred_leaf=True).reshape(len(table.matrix), -1)
    model = guard_leaves(booster, table, 10, 1)
    sibling = _untouched(booster, counts)
    kept = np.all([np.isin(leaf[:, t], sibling[t]) for t in range(leaf.shape[1])], axis=0)
    assert kept.any()
    assert model.undone_splits > 0
    again = lgb.Booster(model_str=model.text).predict(table.matrix)
    assert np.array_equal(again[kept], booster.predict(table.matrix)[kept])


def _untouched(booster, counts):
    """Per tree the leaves whose sibling is no leaf of fewer than ten customers, nor they themselves."""
    frame = booster.trees_to_dataframe()
    result = []
    for tree, nodes in frame.groupby("tree_index"):
        leaves = nodes[nodes.left_child.isna()]
        number = leaves.node_index.str.split("-L").str[1].astype(int)
        few = counts[tree, number] < 10
        hurt = set(leaves.parent_index[few])
        result.append(number[~leaves.parent_index.isin(hurt)].to_numpy())
    return result


def test_a_tree_of_too_few_customers_becomes_one_leaf():
    table, label = _table(rows_per_customer=40, customers=12)
    model = guard_leaves(_fitted(table, label, 1), table, 10, 1)
    after = lgb.Booster(model_str=model.text)
    assert len(np.unique(after.predict(table.matrix))) == 1
    assert model.fewest_customers == 12


def test_a_healthy_model_is_only_cleared():
    table, label = _table(rows_per_customer=1, customers=4000)
    booster = _fitted(table, label, 1, rows_per_leaf=150)
    model = guarded(booster, RECIPE.trees, table, 10, 1)
    assert model.undone_splits == 0
    assert np.array_equal(lgb.Booster(model_str=model.text).predict(table.matrix), booster.predict(table.matrix))


def test_no_extreme_is_left_in_the_text_and_predictions_stay():
    table, label = _table(rows_per_customer=3)
    table.matrix[5, 0] = 98765.5
    booster = _fitted(table, label, 1)
    assert "98765" in booster.model_to_string()
    text = clear_feature_infos(booster.model_to_string())
    assert "98765" not in text
    probe = np.vstack([table.matrix, [[1e9, 77, np.nan], [-1e9, -1, 3], [np.nan, np.nan, np.nan]]]).astype(np.float32)
    again = lgb.Booster(model_str=text)
    for options in ({}, {"pred_contrib": True}, {"pred_leaf": True}):
        assert np.array_equal(again.predict(probe, **options), booster.predict(probe, **options))


@pytest.mark.parametrize("classes", [1, 3])
def test_on_both_sides_of_every_threshold_stand_ten_customers(classes):
    """So a threshold lies within the tenth lowest and the tenth highest customer, and is nobody's extreme."""
    table, label = _table(rows_per_customer=40)
    table.matrix[:40, 0] = 1e6
    model = guard_leaves(_fitted(table, label, classes), table, 10, 1)
    thresholds = _thresholds(lgb.Booster(model_str=model.text).dump_model())
    assert {feature for feature, _ in thresholds} >= {0, 2}
    for feature, threshold in thresholds:
        values = table.matrix[:, feature]
        for side in (values <= threshold, values > threshold):
            assert len(np.unique(table.customer[side])) >= 10
    assert "1000000" not in model.text


def _thresholds(dumped):
    """(feature, threshold) of every split by size."""
    found, waiting = [], [tree["tree_structure"] for tree in dumped["tree_info"]]
    while waiting:
        node = waiting.pop()
        if "threshold" in node:
            if node["decision_type"] == "<=":
                found.append((node["split_feature"], node["threshold"]))
            waiting += [node["left_child"], node["right_child"]]
    return found
