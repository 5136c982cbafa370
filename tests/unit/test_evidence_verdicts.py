"""The log's word is taken for what it carries: randomised, adjusted, associational or unmeasured."""

import numpy as np
import pytest

from contract.loading import load_params
from models.evidence import Log, judge_evidence

ROWS = 8000
_OUTBOUND = "direction: outbound, medium: digital, consent: true"
_GONE = "email: null, sms: null, push: null, phone: null, mail: null, social: null"
PARAMS = load_params(
    [],
    [f"channels={{{_GONE}, one: {{{_OUTBOUND}, records: [clicked]}}, two: {{{_OUTBOUND}, records: [delivered]}}}}"],
)


def _log(action, propensity=np.nan, estimated=np.nan, response=None):
    random = np.random.default_rng(1)
    n = len(action)
    return Log(
        action=np.asarray(action),
        time_us=np.arange(n) * 1_000_000,
        response=(random.random(n) < 0.1).astype(np.int64) if response is None else response,
        propensity=np.broadcast_to(np.asarray(propensity, dtype=float), (n,)),
        estimated=np.full((n, 3), estimated, dtype=float),
    )


def _verdicts(log, params=PARAMS):
    return {each.action: each for each in judge_evidence(log, params)}


def _uniform(seed=0):
    return np.random.default_rng(seed).integers(0, 3, ROWS)


def test_three_arms_with_logged_thirds_are_randomised():
    found = _verdicts(_log(_uniform(), propensity=1 / 3))
    assert {each.verdict for each in found.values()} == {"randomised"}
    assert found["one"].decisions == int((_uniform() == 1).sum())


def test_without_logged_propensities_overlap_makes_it_adjusted():
    assert {each.verdict for each in _verdicts(_log(_uniform(), estimated=1 / 3)).values()} == {"adjusted"}


def test_without_overlap_in_estimates_it_is_associational():
    found = _verdicts(_log(_uniform(), estimated=0.001))
    assert {each.verdict for each in found.values()} == {"associational"}
    assert "overlap" in found["one"].reason


def test_a_channel_that_is_the_calendar_is_associational_and_named_so():
    action = np.where(np.arange(ROWS) < ROWS // 3, 1, _uniform())
    found = _verdicts(_log(action, estimated=1 / 3))
    assert found["one"].verdict == "associational"
    assert "calendar" in found["one"].reason


def test_without_anybody_left_alone_no_channel_claims_an_effect():
    action = np.random.default_rng(0).integers(1, 3, ROWS)
    found = _verdicts(_log(action, propensity=0.5))
    assert found["none"].verdict == "unmeasured"
    assert found["one"].verdict == "associational"
    assert "nobody was deliberately left without contact" in found["one"].reason


def test_propensities_that_contradict_the_log_are_not_believed():
    found = _verdicts(_log(_uniform(), propensity=0.1))
    assert found["one"].verdict == "associational"
    assert "add up to" in found["one"].reason


def test_a_channel_with_few_decisions_is_unmeasured():
    action = _uniform()
    action[action == 1] = 0
    action[:50] = 1
    found = _verdicts(_log(action, propensity=0.5))
    assert found["one"].verdict == "unmeasured"
    assert "50 decisions" in found["one"].reason


@pytest.mark.parametrize(("channel", "words"), [("one", "ever tied"), ("two", "records no")])
def test_a_channel_that_never_shows_the_outcome_is_unmeasured_not_zero(channel, words):
    params = PARAMS.model_copy(update={"objective": "inform"})
    action = _uniform()
    log = _log(action, propensity=1 / 3, response=np.zeros(ROWS, dtype=np.int64))
    found = _verdicts(log, params)
    assert found[channel].verdict == "unmeasured"
    assert words in found[channel].reason
