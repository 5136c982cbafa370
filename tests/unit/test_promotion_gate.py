"""The champion changes only by the written rule, and every refusal says why."""

import numpy as np

from contract.loading import load_params
from features.demographic import Column
from training.evaluation import Judged, area_under_curve, base_rates, calibration_error, measure
from training.groups import GroupRows, group_growth
from training.off_policy import Estimate
from training.promotion import BASE_RATES, CHALLENGER, CHAMPION, Contest, Growth, first_verdict, later_verdict

RULE = load_params().promotion
ACTIONS = ("none", "email")


def _judged(rows=20_000, **distort):
    random = np.random.default_rng(0)
    truth = random.beta(2, 20, rows)
    action = random.integers(0, 2, rows)
    outcome = (random.random(rows) < truth).astype(np.int8)
    return Judged(action, outcome, {name: change(truth, action) for name, change in distort.items()})


def _flat(truth, action):
    return np.full(len(truth), truth.mean())


def _true(truth, action):
    return truth


def _better(**further):
    return Contest(_judged(**{CHALLENGER: _true, CHAMPION: _flat}), **further)


def test_the_first_model_must_beat_the_base_rates():
    good = _judged(**{CHALLENGER: _true, BASE_RATES: _flat})
    bad = _judged(**{CHALLENGER: lambda t, a: 1 - t, BASE_RATES: _flat})
    assert first_verdict(good, ACTIONS, 15).promoted
    assert not first_verdict(bad, ACTIONS, 15).promoted
    same = _judged(**{CHALLENGER: _flat, BASE_RATES: _flat})
    assert not first_verdict(same, ACTIONS, 15).promoted


def test_a_later_model_must_gain():
    better = _better()
    assert later_verdict(better, ACTIONS, 15, RULE).promoted
    worse = Contest(_judged(**{CHALLENGER: _flat, CHAMPION: _true}))
    assert not later_verdict(worse, ACTIONS, 15, RULE).promoted
    more = RULE.model_copy(update={"min_log_loss_gain": 1.0})
    assert not later_verdict(better, ACTIONS, 15, more).promoted


def test_a_policy_must_earn_more_with_the_stated_confidence():
    sure, unsure, worse = (Estimate(value, 0.01, np.nan, np.nan) for value in (0.02, 0.01, -0.001))
    assert later_verdict(_better(lead=sure), ACTIONS, 15, RULE).promoted
    refused = later_verdict(_better(lead=unsure), ACTIONS, 15, RULE)
    assert not refused.promoted
    assert "+0.01000 EUR a decision more, with 90% confidence at least -0.00282" in refused.text
    evens = RULE.model_copy(update={"confidence": 0.5})
    assert later_verdict(_better(lead=unsure), ACTIONS, 15, evens).promoted
    assert not later_verdict(_better(lead=worse), ACTIONS, 15, evens).promoted
    margin = RULE.model_copy(update={"min_value_gain_eur": 0.01})
    assert not later_verdict(_better(lead=sure), ACTIONS, 15, margin).promoted
    lenient = evens.model_copy(update={"min_value_gain_eur": -0.01})
    assert later_verdict(_better(lead=worse), ACTIONS, 15, lenient).promoted


def test_where_the_log_carries_no_value_the_verdict_says_so_and_the_rest_decides():
    verdict = later_verdict(_better(no_lead=("no propensities are logged",)), ACTIONS, 15, RULE)
    assert verdict.promoted
    assert "policy values are not compared: no propensities are logged" in verdict.text


def test_a_group_that_is_treated_worse_stops_a_model_and_chance_does_not():
    hurt = _better(groups={"region: north": Growth(0.02, 0.005), "region: south": Growth(-0.1, 0.005)})
    verdict = later_verdict(hurt, ACTIONS, 15, RULE)
    assert not verdict.promoted
    assert "log loss of region: north grows by 0.0200" in verdict.text
    assert "south" not in verdict.text
    assert later_verdict(_better(groups={"region: north": Growth(0.02, 0.05)}), ACTIONS, 15, RULE).promoted
    assert later_verdict(_better(groups={"region: north": Growth(0.004, 0.0001)}), ACTIONS, 15, RULE).promoted


def test_the_growth_of_a_group_is_that_of_its_own_rows():
    rows = 8_000
    truth = np.full(rows, 0.3)
    outcome = (np.random.default_rng(1).random(rows) < truth).astype(np.int8)
    region = np.arange(rows) % 2
    ours = np.where(region == 0, 0.6, truth)
    compared = GroupRows(ours, truth, outcome, np.arange(rows) // 8)
    found = group_growth((Column("region", "level", ("north", "south")),), region[:, None].astype(float), compared)
    seen = outcome[region == 0]
    loss = -np.mean(np.where(seen, np.log(0.6 / 0.3), np.log(0.4 / 0.7)))
    assert np.isclose(found["region: north"].mean, loss)
    assert found["region: north"].error > 0
    assert found["region: south"] == Growth(0.0, 0.0)
    few = GroupRows(ours[:300], truth[:300], outcome[:300], np.arange(300) // 8)
    assert group_growth((Column("region", "level", ("north", "south")),), region[:300, None] * 1.0, few) == {}


def test_a_channel_that_loses_calibration_stops_a_model_that_gains_in_all():
    hurt = _judged(
        **{CHALLENGER: lambda t, a: np.where(a == 1, t + 0.03, t), CHAMPION: lambda t, a: np.full(len(t), 0.3)}
    )
    calm = RULE.model_copy(update={"max_calibration_loss": 0.0})
    against_true = _judged(
        **{
            CHALLENGER: lambda t, a: np.where(a == 1, t + 0.03, t),
            CHAMPION: lambda t, a: np.where(a == 1, t.mean(), 0.5),
        }
    )
    assert later_verdict(Contest(hurt), ACTIONS, 15, calm).promoted
    verdict = later_verdict(Contest(against_true), ACTIONS, 15, calm)
    assert not verdict.promoted
    assert "calibration error of email grows" in verdict.text


def test_too_few_shared_rows_refuse():
    verdict = later_verdict(Contest(_judged(100, **{CHALLENGER: _true, CHAMPION: _flat})), ACTIONS, 15, RULE)
    assert not verdict.promoted
    assert "only 100 decisions" in verdict.text


def test_measures_on_cases_done_by_hand():
    outcome = np.array([0, 0, 1, 1])
    assert area_under_curve(np.array([0.1, 0.4, 0.35, 0.8]), outcome) == 0.75
    assert area_under_curve(np.array([0.5] * 4), outcome) == 0.5
    assert area_under_curve(np.array([0.5] * 4), np.ones(4)) is None
    assert np.isclose(calibration_error(np.array([0.1, 0.1, 0.8, 0.8]), outcome, 2), 0.15)
    assert np.isclose(measure(np.array([0.5] * 4), outcome, 2).log_loss, np.log(2))
    rates = base_rates(np.array([0] * 90 + [1] * 10), np.array([0] * 90 + [1] * 10), 3)
    assert rates[0] < rates[2] == 0.1 < rates[1] < 1
