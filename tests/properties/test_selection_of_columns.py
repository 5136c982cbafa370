"""Columns are left out exactly where they tell nothing; what stays is computed as before, byte by byte."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from contract.loading import load_params
from features.matrix import FeatureSet, learn_features
from features.selection import telling_columns
from features.spine import candidates
from features.timeline import build_timeline
from tests.adapters.synthetic_log import synthetic_log
from tests.properties.raw_histories import CUSTOMERS, DAY_US, DAYS, START_US, raw_history
from training.columns import select_columns
from training.splits import Split
from training.study import Study, usable_rows

PARAMS = load_params(assignments=["features.min_category_customers=1"])
SEEDS = st.integers(0, 2**32 - 1)


def bits(column):
    return np.ascontiguousarray(column, dtype=np.float32).tobytes()


def cut(matrix, sizes):
    """The rows in blocks of any sizes, in a buffer that is used again."""
    at = 0
    buffer = np.empty((len(matrix), matrix.shape[1]), np.float32)
    for size in (*sizes, len(matrix)):
        part = matrix[at : at + size]
        buffer[: len(part)] = part
        yield buffer[: len(part)]
        at += len(part)
        buffer[:] = -1


@given(seed=SEEDS, rows=st.integers(1, 60), sizes=st.lists(st.integers(0, 20), max_size=6))
def test_constants_and_copies_are_found_and_nothing_else(seed, rows, sizes):
    random = np.random.default_rng(seed)
    matrix = random.choice(np.array([0.0, 1.0, np.nan], np.float32), (rows, 12), p=[0.45, 0.5, 0.05])
    matrix[:, 3], matrix[:, 4] = np.nan, 7.0
    matrix[:, 9], matrix[:, 11] = matrix[:, 2], matrix[:, 4]
    names = [f"c{i}" for i in range(12)]
    found = telling_columns(names, cut(matrix, sizes))
    whole = {name: bits(matrix[:, i]) for i, name in enumerate(names)}
    constant = {name for i, name in enumerate(names) if len({bits(v) for v in matrix[:, i]}) == 1}
    assert set(found.constant) == constant
    telling = [whole[name] for name in names if name not in constant]
    assert sorted(whole[name] for name in found.kept) == sorted(set(telling))
    for name, other in found.duplicate_of.items():
        assert whole[name] == whole[other]
        assert other in found.kept
    assert sorted((*found.kept, *found.dropped)) == sorted(names)


def test_what_must_stay_stays_and_is_what_the_others_are_copies_of():
    matrix = np.array([[1, 1, 5, 1], [2, 2, 5, 2]], np.float32)
    found = telling_columns(["a", "b", "action", "d"], [matrix], always=["action", "b"])
    assert found.kept == ("b", "action")
    assert found.duplicate_of == {"a": "b", "d": "b"}
    apart = telling_columns(["a", "b", "action", "d"], [matrix], groups={"a": 1, "b": 2})
    assert apart.kept == ("a", "b", "d")
    assert telling_columns(["a"], []).kept == ("a",)


@pytest.fixture(scope="module")
def learned(tmp_path_factory):
    opened = raw_history(PARAMS, 0, 3_000).opened()
    return learn_features(opened, build_timeline(opened, PARAMS, tmp_path_factory.mktemp("learned") / "t"), PARAMS)


@settings(max_examples=20)
@given(seed=SEEDS, rows=st.integers(0, 200), day=st.integers(1, DAYS))
def test_the_selected_set_computes_the_same_bytes(learned, seed, rows, day, tmp_path_factory):
    opened = raw_history(PARAMS, seed, rows).opened()
    timeline = build_timeline(opened, PARAMS, tmp_path_factory.mktemp("selected") / "t", codebook=learned.codebook)
    customers = learned.demographic.table(opened, timeline)
    spine = candidates(np.arange(CUSTOMERS), START_US + day * DAY_US, 1, [0, 1, 2, 4])
    whole = learned.matrix(timeline, spine, customers)
    found = telling_columns(learned.names, [whole], always=learned.row_columns)
    kept = FeatureSet.from_json(learned.select(found.kept).to_json())
    assert kept.names == found.kept
    assert "action" in kept.names
    assert "campaign_category" in kept.names
    columns = [learned.names.index(name) for name in kept.names]
    assert kept.matrix(timeline, spine, customers).tobytes() == np.ascontiguousarray(whole[:, columns]).tobytes()


@pytest.mark.parametrize("sample_rows", [50_000, 600])
def test_only_rows_that_learn_decide(sample_rows, monkeypatch):
    """A column that varies only later is left out; one that varies outside the sample stays."""
    monkeypatch.setattr("training.columns._SAMPLE_ROWS", sample_rows)
    log = synthetic_log(PARAMS)
    customer = log.decisions.spine.customer
    learn, later = np.flatnonzero(customer < 1000), np.flatnonzero(customer >= 1000)
    hashes = np.random.default_rng(0).random(1500)
    sampled_last = int(np.argmax((hashes[:1000] * 2.0**21) % 1.0))

    def judged(taste):
        about = log.about.copy()
        about[:, 2] = taste
        nothing = np.zeros(0, np.int64)
        split = Split(learn, later, nothing, nothing, 0, 0, np.zeros(1500, bool), "")
        profile = PARAMS.training.profiles["quick"]
        usable = usable_rows(log.decisions, PARAMS)
        study = Study(log.decisions, replace(log, about=about), split, hashes, PARAMS, profile, usable)
        return select_columns(study, learn)

    varies_later = judged(np.where(np.arange(1500) < 1000, 1.0, np.arange(1500)))
    assert varies_later.constant == ("taste",)
    assert "campaign_category" in varies_later.kept
    assert judged(np.where(np.arange(1500) == sampled_last, 2.0, 1.0)).constant == ()
