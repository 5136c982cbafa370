"""Reasons for scores, one customer or many: complete, in order, additive, and none where nothing was measured."""

import lightgbm as lgb
import numpy as np
import pandas as pd
import pytest

from contract.loading import load_params
from features.demographic import Column, DemographicEncoder
from features.events import Codebook
from features.matrix import ACTION, CAMPAIGN_CATEGORY, FeatureSet
from models.bundle import RESPONSE
from models.evidence import Evidence
from serving.explanations import EXPLANATION_SCHEMA, REST, START, Explainer
from serving.scores import Stamp
from tests.unit.test_bundle_files import bundle  # noqa: F401  a fixture

PARAMS = load_params()
STAMP = Stamp("spring", 0, "v1")
ACTIONS = len(PARAMS.outbound) + 1


def evidence(name, verdict):
    return Evidence(action=name, verdict=verdict, reason="", decisions=1, responses=1, overlap=1.0)


@pytest.fixture
def explainer(bundle):  # noqa: F811
    columns = (Column("taste", "number"),)
    codebook = Codebook((), ("garden",), tuple(PARAMS.channels), PARAMS.outbound)
    features = FeatureSet((), DemographicEncoder(columns), (ACTION, CAMPAIGN_CATEGORY), codebook, 1, (7.0,), 730.0, {})
    said = {"sms": "unmeasured"}
    verdicts = [
        evidence("none", "randomised"),
        *(evidence(each, said.get(each, "adjusted")) for each in PARAMS.outbound),
    ]
    manifest = bundle.manifest.model_copy(update={"evidence": tuple(verdicts)})
    return Explainer.of(type(bundle)(manifest, bundle.texts), features, 2)


def rows_of(customers):
    random = np.random.default_rng(0)
    rows = np.repeat(random.normal(size=(customers, 3)).astype(np.float32), ACTIONS, axis=0)
    rows[:, 1] = np.tile(np.arange(ACTIONS), customers)
    rows[:, 2] = 0
    return rows


def test_every_measured_channel_has_reasons_that_add_up(explainer):
    rows = rows_of(5)
    table = explainer.table(list("abcde"), rows, STAMP)
    assert table.schema == EXPLANATION_SCHEMA
    found = table.to_pandas()
    measured = [name for name in PARAMS.outbound if name != "sms"]
    assert found.groupby("customer_id", sort=False)["channel"].unique().map(list).to_list() == [measured] * 5
    raw = np.asarray(lgb.Booster(model_str=explainer.bundle.texts[RESPONSE]).predict(rows, raw_score=True))
    raw = raw.reshape(5, ACTIONS)
    keep = [1 + PARAMS.outbound.index(name) for name in measured]
    summed = found.groupby(["customer_id", "channel"], sort=False)["contribution"].sum().to_numpy()
    np.testing.assert_allclose(summed, raw[:, keep].ravel(), rtol=0, atol=1e-12)
    assert found["rank"].to_list() == [0, 1, 2, 3] * (len(found) // 4)
    assert set(found.loc[found["rank"] == 0, "words"]) == {START}
    assert set(found.loc[found["rank"] == 3, "words"]) == {REST}
    strongest = found.pivot_table(index=["customer_id", "channel"], columns="rank", values="contribution").abs()
    assert (strongest[1] >= strongest[2]).all()
    assert "contacted on email" in set(found.loc[found["channel"] == "email", "words"])


def test_one_customer_is_explained_as_among_many(explainer):
    rows = rows_of(5)
    many = explainer.table(list("abcde"), rows, STAMP).to_pandas()
    one = explainer.table(["c"], rows[2 * ACTIONS : 3 * ACTIONS], STAMP).to_pandas()
    pd.testing.assert_frame_equal(one, many[many["customer_id"] == "c"].reset_index(drop=True))
    assert explainer.table([], rows[:0], STAMP).num_rows == 0


def test_spoken_reasons_are_the_strongest_of_the_table(explainer):
    rows = rows_of(3)[ACTIONS : 2 * ACTIONS]
    table = explainer.table(["b"], rows, STAMP).to_pandas()
    table = table[table["rank"].isin((1, 2))]
    spoken = explainer.reasons(rows)
    assert list(spoken) == [name for name in PARAMS.outbound if name != "sms"]
    for channel, reasons in spoken.items():
        own = table[table["channel"] == channel]
        assert [each.words for each in reasons] == own["words"].to_list()
        assert [each.factor for each in reasons] == own["factor"].to_list()
