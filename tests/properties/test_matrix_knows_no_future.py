"""From raw tables to the matrix: nothing at or after a row's as_of moves a byte, and every context gives the same."""

from dataclasses import replace
from datetime import timedelta

import numpy as np
import numpy.typing as npt
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from contract.errors import ArtefactError, UsageError
from contract.loading import load_params
from features.events import NO_CATEGORY, Spine
from features.matrix import FeatureSet, learn_features
from features.spine import batch_spine, candidates, decision_spine
from features.timeline import build_timeline
from tests.properties.raw_histories import CUSTOMERS, DAY_US, DAYS, START_US, Opened, raw_history

PARAMS = load_params(
    assignments=[
        "features.min_category_customers=1",
        "tables.customers.features=[birth_year, gender, signup_at, loyal, income]",
    ]
)
SEEDS = st.integers(0, 2**32 - 1)


@pytest.fixture(scope="module")
def learned(tmp_path_factory):
    """Features learned once, from a history that has every code the others have."""
    opened = raw_history(PARAMS, 0, 3_000).opened()
    timeline = build_timeline(opened, PARAMS, tmp_path_factory.mktemp("learned") / "t")
    return learn_features(opened, timeline, PARAMS)


def rows_at(moment_us):
    """Every customer with every action of interest, at one moment."""
    return candidates(np.arange(CUSTOMERS), moment_us, 1, [0, 1, 2, 4])


def matrix(shown, features, spine, folder, **how):
    opened = shown.opened() if not isinstance(shown, Opened) else shown
    timeline = build_timeline(opened, PARAMS, folder, codebook=features.codebook)
    return features.matrix(timeline, spine, features.demographic.table(opened, timeline), **how)


def changed_future(shown, moment_us, rng):
    """The same past; of the future one third gone, one third moved, and new events from the moment itself on."""
    frame = shown.interactions
    future = frame.occurred_at.astype("int64") >= moment_us
    fate = rng.integers(0, 3, len(frame))
    moved = frame[future & (fate == 1)].copy()
    moved["occurred_at"] = pd.to_datetime(moment_us + rng.integers(0, 9 * DAY_US, len(moved)), unit="us").astype(
        "datetime64[us]"
    )
    new = raw_history(PARAMS, int(rng.integers(2**32)), 40).interactions
    new["occurred_at"] = pd.to_datetime(moment_us + rng.choice([0, 1, DAY_US], len(new)), unit="us").astype(
        "datetime64[us]"
    )
    parts = [frame[~future], frame[future & (fate == 0)], moved, new]
    return shown.with_rows(pd.concat(parts, ignore_index=True).sample(frac=1, random_state=int(rng.integers(1000))))


@settings(max_examples=25)
@given(seed=SEEDS, rows=st.integers(0, 200), day=st.integers(0, DAYS), tick_us=st.sampled_from([1_000_000, 1]))
def test_the_future_moves_no_byte(learned, seed, rows, day, tick_us, tmp_path_factory):
    shown = raw_history(PARAMS, seed, rows, tick_us=tick_us)
    moment_us = START_US + day * DAY_US
    folder = tmp_path_factory.mktemp("future")
    before = matrix(shown, learned, rows_at(moment_us), folder / "a")
    after = matrix(
        changed_future(shown, moment_us, np.random.default_rng(seed)), learned, rows_at(moment_us), folder / "b"
    )
    assert before.tobytes() == after.tobytes()


def test_the_past_does_move_it(learned, tmp_path):
    """Else the test above could not fail."""
    shown = raw_history(PARAMS, 1, 200)
    earlier = shown.with_rows(shown.interactions.assign(occurred_at=shown.interactions.occurred_at - timedelta(days=3)))
    spine = rows_at(START_US + 30 * DAY_US)
    assert (
        matrix(shown, learned, spine, tmp_path / "a").tobytes()
        != matrix(earlier, learned, spine, tmp_path / "b").tobytes()
    )


@settings(max_examples=15)
@given(seed=SEEDS, rows=st.integers(20, 250))
def test_a_decision_is_seen_as_the_batch_at_its_as_of_sees_it(learned, seed, rows, tmp_path_factory):
    """Training keeps all events and asks in the past; scoring at that moment never had the later ones."""
    shown = raw_history(PARAMS, seed, rows)
    folder = tmp_path_factory.mktemp("decisions")
    opened = shown.opened()
    timeline = build_timeline(opened, PARAMS, folder / "all", codebook=learned.codebook)
    spine = decision_spine(opened, timeline, PARAMS).spine
    if not len(spine):
        return
    trained = learned.matrix(timeline, spine, learned.demographic.table(opened, timeline))
    at = int(np.random.default_rng(seed).integers(len(spine)))
    one = Spine(*(getattr(spine, name)[at : at + 1] for name in ("customer", "as_of_us", "action", "category")))
    as_of = shown.as_of + timedelta(microseconds=int(one.as_of_us[0]) - START_US) - timedelta(days=DAYS)
    scored = matrix(replace(shown, as_of=as_of), learned, one, folder / "then")
    assert scored.tobytes() == trained[at : at + 1].tobytes()


@settings(max_examples=15)
@given(seed=SEEDS, rows=st.integers(0, 300), block=st.integers(1, 9), threads=st.integers(1, 3))
def test_blocks_and_threads_change_nothing(learned, seed, rows, block, threads, tmp_path_factory):
    opened = raw_history(PARAMS, seed, rows).opened()
    folder = tmp_path_factory.mktemp("blocks")
    timeline = build_timeline(opened, PARAMS, folder / "t", codebook=learned.codebook, group_events=30)
    spine = candidates(np.array([-1, 0, 2, 3, 5]), START_US + 40 * DAY_US, 0, [0, 1, 3])
    customers = learned.demographic.table(opened, timeline)
    whole = learned.matrix(timeline, spine, customers)
    parts: list[npt.NDArray[np.float32]] = []
    for at, part in learned.iterate(timeline, spine, customers, block_rows=block, threads=threads):
        assert at.start == sum(len(each) for each in parts)
        parts.append(part.copy())
    assert np.concatenate(parts).tobytes() == whole.tobytes()


def test_a_selection_gives_the_columns_of_the_whole(learned, tmp_path):
    shown = raw_history(PARAMS, 2, 300)
    spine = rows_at(START_US + 30 * DAY_US)
    whole = matrix(shown, learned, spine, tmp_path / "a")
    names = [learned.names[-1], "gender", learned.names[5], learned.names[40], "action"]
    few = learned.select(names)
    assert few.names == tuple(name for name in learned.names if name in names)
    columns = [learned.names.index(name) for name in few.names]
    assert matrix(shown, few, spine, tmp_path / "b").tobytes() == whole[:, columns].tobytes()
    assert matrix(shown, learned.select(["action"]), spine, tmp_path / "c").tolist() == [[0], [1], [2], [4]] * CUSTOMERS
    with pytest.raises(UsageError, match="'gendr'; nearest: gender"):
        learned.select(["gendr"])


def test_an_unknown_customer_is_one_without_events_and_demographics(learned, tmp_path):
    shown = raw_history(PARAMS, 3, 100)
    spine = batch_spine(np.array([-1, CUSTOMERS - 1]), START_US)
    nobody, silent = matrix(shown, learned, spine, tmp_path / "t")
    swept = len(learned.features)
    assert nobody[:swept].tobytes() == silent[:swept].tobytes()
    assert np.isnan(nobody[swept : swept + len(learned.demographic.names)]).all()


def test_the_set_survives_as_json(learned, tmp_path):
    text = learned.to_json()
    back = FeatureSet.from_json(text)
    assert back == learned
    assert back.to_json() == text
    shown = raw_history(PARAMS, 4, 200)
    spine = rows_at(START_US + 20 * DAY_US)
    assert (
        matrix(shown, back, spine, tmp_path / "a").tobytes() == matrix(shown, learned, spine, tmp_path / "b").tobytes()
    )
    assert FeatureSet.from_json(learned.select(["tenure"]).to_json()).names == ("tenure",)
    for broken in ("{", "{}", text.replace('"version":2', '"version":7'), text.replace('"Tenure"', '"Tenancy"')):
        with pytest.raises(ArtefactError, match="train again"):
            FeatureSet.from_json(broken)


def test_every_column_is_described(learned):
    described = learned.describe()
    assert tuple(each.name for each in described) == learned.names
    assert len(set(learned.names)) == len(learned.names)
    assert all(each.meaning and each.unit for each in described)
    assert {"action", "campaign_category", "gender", "loyal"} <= set(learned.categorical)
    assert "age" not in learned.categorical
    assert "action" in learned.candidate
    assert "tenure" not in learned.candidate


def test_a_category_unknown_to_training_is_missing(learned, tmp_path):
    later = learned.on(replace(learned.codebook, categories=(*learned.codebook.categories, "toys")))
    opened = raw_history(PARAMS, 5, 50).opened()
    opened.connection.execute("INSERT INTO campaigns VALUES ('new', 'bulk', 'toys')")
    timeline = build_timeline(opened, PARAMS, tmp_path / "t", codebook=learned.codebook)
    assert timeline.codebook.categories == later.codebook.categories
    customers = learned.demographic.table(opened, timeline)
    for category, expected in ((0, 0), (1, 1), (2, np.nan), (NO_CATEGORY, np.nan)):
        block = learned.select(["campaign_category"]).matrix(
            timeline, candidates(np.arange(2), START_US, category, [1]), customers
        )
        np.testing.assert_array_equal(block[:, 0], [expected] * 2)


def test_a_foreign_codebook_and_unsorted_rows_are_refused(learned, tmp_path):
    opened = raw_history(PARAMS, 6, 30).opened()
    timeline = build_timeline(opened, PARAMS, tmp_path / "t")
    customers = learned.demographic.table(opened, timeline)
    with pytest.raises(UsageError, match="not a continuation"):
        learned.matrix(timeline, rows_at(START_US), customers)
    timeline = build_timeline(opened, PARAMS, tmp_path / "t", codebook=learned.codebook)
    for numbers in ([3, 1], [0, CUSTOMERS]):
        with pytest.raises(UsageError, match="do not ascend or exceed"):
            learned.matrix(timeline, batch_spine(np.array(numbers), START_US), customers)
