"""Rows that are handed out in blocks teach exactly what the same rows in one matrix teach."""

from dataclasses import dataclass

import lightgbm as lgb
import numpy as np
import pytest

from contract.errors import UsageError
from models import boosting
from models.boosting import Batches, Recipe, boost, dataset, guarded, predicted, sampled_rows
from models.leaves import customers_per_leaf
from models.tables import BLOCK_ROWS, Table, mapped

RECIPE = Recipe(trees=15, leaves=15, rows_per_leaf=20)


@dataclass(frozen=True)
class Streamed(Table):
    """The same rows in uneven blocks, in a buffer that is used again."""

    def blocks(self):
        sizes = np.random.default_rng(1).integers(1, 2 * BLOCK_ROWS, 100)
        buffer = np.empty((2 * BLOCK_ROWS, len(self.names)), np.float32)
        at = 0
        for size in sizes:
            part = self.matrix[at : at + size]
            if len(part) == 0:
                return
            buffer[: len(part)] = part
            yield buffer[: len(part)]
            buffer[:] = -1
            at += len(part)


@pytest.fixture(scope="module")
def rows():
    random = np.random.default_rng(0)
    n = 3 * BLOCK_ROWS + 17
    matrix = random.normal(size=(n, 6)).astype(np.float32)
    matrix[:, 1] = random.integers(0, 5, n)
    matrix[random.random(n) < 0.3, 2] = np.nan
    matrix[:, 3] = random.poisson(0.05, n)
    label = (matrix[:, 0] + (matrix[:, 1] == 2) + random.normal(size=n) > 0.5).astype(np.int8)
    customer = np.sort(random.integers(0, n // 5, n))
    names = ["a", "code", "c", "rare", "e", "f"]
    return Streamed(matrix, names, ["code"], customer), Table(matrix, names, ["code"], customer), label


@pytest.fixture
def few_sampled(monkeypatch):
    monkeypatch.setattr(boosting, "_LEAST_SAMPLED", 5_000)


@pytest.mark.parametrize("threads", [1, 2])
def test_a_dataset_of_blocks_gives_the_model_of_the_matrix(rows, few_sampled, threads):
    streamed, table, label = rows
    sample = sampled_rows(len(label))
    assert len(sample) < len(label) / 3
    reference = boosting._binned(table.rows(sample), label[sample], None, threads)
    weight = 1.0 + label
    whole = lgb.Dataset(
        table.matrix,
        label.astype(np.float32),
        weight=weight,
        reference=reference,
        params=reference.get_params(),
    ).construct()
    texts = {
        boost(data, RECIPE, classes=1, watched=None, seed=0, threads=threads)[0].model_to_string()
        for data in (whole, *(dataset(each, label, weight, threads) for each in (streamed, table, streamed)))
    }
    assert len(texts) == 1


def test_the_leaf_guard_counts_the_same_in_blocks_and_in_any_order(rows, few_sampled):
    streamed, table, label = rows
    booster = boost(dataset(table, label, None, 1), RECIPE, classes=1, watched=None, seed=0, threads=1)[0]
    shuffled = table.rows(np.random.default_rng(3).permutation(len(label)))
    counts = [customers_per_leaf(booster, each, 1) for each in (table, streamed, shuffled)]
    leaf = np.asarray(booster.predict(table.matrix, pred_leaf=True))
    assert counts[0][3, 2] == len(np.unique(table.customer[leaf[:, 3] == 2]))
    assert np.array_equal(counts[0], counts[1])
    assert np.array_equal(counts[0], counts[2])
    least = int(np.median(counts[0]))
    models = [guarded(booster, RECIPE.trees, each, least, 1) for each in (table, streamed)]
    assert models[0].undone_splits > 0
    assert models[0] == models[1]


def test_predictions_by_block_are_those_of_the_matrix(rows, few_sampled):
    streamed, table, label = rows
    booster = boost(dataset(table, label, None, 1), RECIPE, classes=1, watched=None, seed=0, threads=1)[0]
    assert np.array_equal(predicted(booster.model_to_string(), streamed, 1), booster.predict(table.matrix))
    nobody = table.rows(np.zeros(0, np.int64))
    assert mapped(nobody, lambda block: block[:, 0]).shape == (0,)


def test_the_sample_is_spread_evenly_and_bounded():
    assert np.array_equal(sampled_rows(10), np.arange(10))
    assert len(sampled_rows(0)) == 0
    for rows, size in ((50_000, 50_000), (250_000, 62_500), (10_000_000, 200_000)):
        sample = sampled_rows(rows)
        assert len(sample) == size
        assert np.ptp(np.diff(sample)) <= 1
        assert sample[-1] >= rows - rows // size - 1


def test_rows_out_of_order_are_refused(rows):
    batches = Batches(rows[0])
    assert np.array_equal(batches[0:100], rows[1].matrix[:100], equal_nan=True)
    with pytest.raises(UsageError, match="expected a slice from row 100 on"):
        batches[50:150]
    with pytest.raises(UsageError, match="needs a Dataset with reference="):
        batches[100]
