"""What actions share is computed once, and what comes out is to the bit what whole rows give: columns and scores."""

import lightgbm as lgb
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from contract.loading import load_params
from features.candidates import CandidateFeatures
from features.matrix import learn_features
from features.spine import candidates
from features.timeline import UNKNOWN_CUSTOMER, build_timeline
from models.bundle import CONTACT, RESPONSE, Bundle
from models.joint import Joint, Parts
from models.response import Learned
from tests.properties.raw_histories import CUSTOMERS, DAY_US, DAYS, START_US, raw_history
from tests.unit.test_bundle_files import PARAMS as BUNDLE_PARAMS
from tests.unit.test_bundle_files import bundle  # noqa: F401  a fixture

PARAMS = load_params(assignments=["features.min_category_customers=1"])
ACTIONS = (0, 1, 2, 4)


@pytest.fixture(scope="module")
def learned(tmp_path_factory):
    opened = raw_history(PARAMS, 0, 3_000).opened()
    return learn_features(opened, build_timeline(opened, PARAMS, tmp_path_factory.mktemp("learned") / "t"), PARAMS)


@settings(max_examples=20)
@given(seed=st.integers(0, 2**32 - 1), rows=st.integers(0, 200), day=st.integers(1, DAYS), block=st.integers(1, 9))
def test_both_halves_are_the_columns_of_whole_rows(learned, seed, rows, day, block, tmp_path_factory):
    opened = raw_history(PARAMS, seed, rows).opened()
    timeline = build_timeline(opened, PARAMS, tmp_path_factory.mktemp("halves") / "t", codebook=learned.codebook)
    customers = learned.demographic.table(opened, timeline)
    known = np.flatnonzero(np.random.default_rng(seed).random(CUSTOMERS) < 0.7)
    numbers = np.concatenate([np.full(seed % 3, UNKNOWN_CUSTOMER), known]).astype(np.int64)
    as_of_us = START_US + day * DAY_US
    whole = learned.matrix(timeline, candidates(numbers, as_of_us, 1, ACTIONS), customers)
    halves = CandidateFeatures.of(learned, ACTIONS)
    assert 0 < len(halves.own.names) < len(learned.names)
    asked = 0
    for part, shared, own in halves.blocks(timeline, numbers, customers, as_of_us, 1, block_customers=block):
        assert part.start == asked
        asked = part.stop
        expected = whole[part.start * len(ACTIONS) : part.stop * len(ACTIONS)]
        for names, found in ((halves.shared.names, np.repeat(shared, len(ACTIONS), axis=0)), (halves.own.names, own)):
            columns = [learned.names.index(name) for name in names]
            assert found.tobytes() == np.ascontiguousarray(expected[:, columns]).tobytes()
    assert asked == len(numbers)


def test_scores_of_the_halves_are_those_of_whole_rows(bundle):  # noqa: F811
    random = np.random.default_rng(0)
    actions = len(BUNDLE_PARAMS.outbound) + 1
    rows = np.repeat(random.normal(size=(40, 3)).astype(np.float32), actions, axis=0)
    rows[:, 1] = np.tile(np.arange(actions), 40)
    joint = bundle.joint(["taste", "campaign_category"], ["action"])
    shared, own = rows[::actions, [0, 2]], rows[:, [1]]
    assert np.array_equal(joint.response(shared, own).ravel(), bundle.predict_response(rows))
    assert np.array_equal(joint.contact(shared, own), bundle.contact_preference(rows))
    assert np.array_equal(joint.engagement(shared), bundle.engagement_preference(rows[::actions]))
    assert np.array_equal(joint.worth(shared), bundle.expected_margin(rows[::actions]))
    assert np.array_equal(joint.stratum(shared), bundle.manifest.history.stratum(rows[::actions]))


def test_what_the_forest_refuses_lightgbm_evaluates(bundle):  # noqa: F811
    random = np.random.default_rng(0)
    rows = random.normal(size=(500, 3)).astype(np.float32)
    data = lgb.Dataset(rows, rows[:, 0] + rows[:, 1] > 0, params={"verbosity": -1})
    text = lgb.train({"objective": "binary", "verbosity": -1, "linear_tree": True}, data, 4).model_to_string()
    parts = Parts(Learned(text, None, bundle.manifest.response_calibration), None, None)
    joint = Joint(bundle.manifest, parts, ("taste", "campaign_category"), ("action",))
    assert "linear" in joint.refused["response"]
    shared, own = rows[:, [0, 2]], rows[:, [1]]
    plain = Joint(bundle.manifest, parts, bundle.names)
    expected = np.asarray(lgb.Booster(model_str=text).predict(rows))
    calibrated = bundle.manifest.response_calibration.apply(expected)
    assert np.allclose(joint.response(shared, own)[:, 0], calibrated, rtol=1e-12)
    assert np.array_equal(joint.response(shared, own), plain.response(rows))


@pytest.mark.parametrize("linear", [False, True])
def test_columns_that_no_model_reads_need_not_be_there(bundle, linear):  # noqa: F811
    random = np.random.default_rng(1)
    actions = len(BUNDLE_PARAMS.outbound) + 1
    customers = random.normal(size=(40, 5)).astype(np.float32)
    customers[::9, 0] = np.nan
    rows = np.repeat(customers, actions, axis=0)
    rows[:, 1] = np.tile(np.arange(actions), 40)
    columns = rows.copy()
    columns[:, 3:] = 0.0  # no split can tell them apart
    options = {"objective": "binary", "verbosity": -1, "linear_tree": linear, "min_data_in_leaf": 5}
    label = np.nan_to_num(rows[:, 0]) + rows[:, 1] / actions > 0.5
    data = lgb.Dataset(columns, label, params={"verbosity": -1, "linear_tree": linear})
    text = lgb.train(options, data, 4).model_to_string()
    manifest = bundle.manifest
    wider = manifest.model_copy(
        update={
            "names": (*bundle.names, "idle", "own_idle"),
            "contact": manifest.contact.model_copy(update={"columns": (0, 1, 2, 3, 4)}),
        }
    )
    unread = Bundle.assembled(wider, {RESPONSE: text, CONTACT: text})
    assert unread.read == {"taste", "action", "campaign_category"}
    joint = unread.joint(["campaign_category", "taste"], ["action"])
    assert ("response" in joint.refused) == linear
    shared, own = np.ascontiguousarray(rows[::actions, [2, 0]]), rows[:, [1]]
    assert np.array_equal(joint.response(shared, own).ravel(), unread.predict_response(rows))
    assert np.array_equal(joint.contact(shared, own), unread.contact_preference(rows))
    assert np.array_equal(joint.worth(shared), unread.expected_margin(rows[::actions]))
