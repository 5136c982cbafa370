"""Contributions add up to the raw score exactly, and the strongest are those that move it."""

import lightgbm as lgb
import numpy as np
import pytest
from scipy.special import expit

from models.boosting import Recipe, boost, dataset, guarded
from models.explanation import explain
from models.tables import Table


@pytest.fixture(scope="module")
def fitted():
    random = np.random.default_rng(0)
    rows = 6_000
    matrix = random.normal(size=(rows, 5)).astype(np.float32)
    matrix[:, 3] = random.integers(0, 4, rows)
    matrix[random.random(rows) < 0.2, 1] = np.nan
    chance = expit(-1 + 2 * matrix[:, 0] + np.where(matrix[:, 3] == 2, 1.5, 0))
    label = (random.random(rows) < chance).astype(np.int8)
    table = Table(matrix, ["strong", "gaps", "noise", "kind", "idle"], ["kind"], np.arange(rows, dtype=np.int64))
    recipe = Recipe(trees=30, rows_per_leaf=30, feature_fraction=1.0)
    booster, trees, _ = boost(dataset(table, label, None, 1), recipe, classes=1, watched=None, seed=0, threads=1)
    # The guard undoes splits, so the counts in the text are those that it wrote.
    model = guarded(booster, trees, table, 200, 1)
    assert model.undone_splits > 0
    return lgb.Booster(model_str=model.text), matrix


def test_contributions_are_additive_to_the_raw_score(fitted):
    booster, matrix = fitted
    found = explain(booster, matrix)
    np.testing.assert_allclose(found.raw, booster.predict(matrix, raw_score=True), rtol=0, atol=1e-12)
    np.testing.assert_allclose(expit(found.raw), booster.predict(matrix), rtol=0, atol=1e-12)
    assert np.ptp(found.start) == 0


def test_one_row_is_explained_as_among_many(fitted):
    booster, matrix = fitted
    many, one = explain(booster, matrix[:50]), explain(booster, matrix[7:8])
    np.testing.assert_array_equal(one.contribution[0], many.contribution[7])
    assert explain(booster, matrix[:0]).raw.shape == (0,)


def test_the_strongest_columns_come_first_and_an_idle_one_adds_nothing(fitted):
    booster, matrix = fitted
    found = explain(booster, matrix)
    chosen = found.strongest(2)
    size = np.abs(found.contribution)
    kept = np.take_along_axis(size, chosen, axis=1)
    assert (kept[:, 0] >= kept[:, 1]).all()
    assert (kept[:, 0] == size.max(axis=1)).all()
    assert size.mean(axis=0).argmax() == 0
    assert found.strongest(99).shape == matrix.shape
    # Raising the strong column raises its contribution.
    order = np.argsort(matrix[:, 0])
    low, high = found.contribution[order[:500], 0].mean(), found.contribution[order[-500:], 0].mean()
    assert low < -0.5 < 0.5 < high
