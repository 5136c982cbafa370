"""The champion changes only by the written rule, and every refusal says why."""

import numpy as np

from contract.loading import load_params
from training.evaluation import Judged, area_under_curve, base_rates, calibration_error, measure
from training.promotion import BASE_RATES, CHALLENGER, CHAMPION, first_verdict, later_verdict

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


def test_the_first_model_must_beat_the_base_rates():
    good = _judged(**{CHALLENGER: _true, BASE_RATES: _flat})
    bad = _judged(**{CHALLENGER: lambda t, a: 1 - t, BASE_RATES: _flat})
    assert first_verdict(good, ACTIONS, 15).promoted
    assert not first_verdict(bad, ACTIONS, 15).promoted
    same = _judged(**{CHALLENGER: _flat, BASE_RATES: _flat})
    assert not first_verdict(same, ACTIONS, 15).promoted


def test_a_later_model_must_gain():
    better = _judged(**{CHALLENGER: _true, CHAMPION: _flat})
    assert later_verdict(better, ACTIONS, 15, RULE).promoted
    worse = _judged(**{CHALLENGER: _flat, CHAMPION: _true})
    assert not later_verdict(worse, ACTIONS, 15, RULE).promoted
    more = RULE.model_copy(update={"min_log_loss_gain": 1.0})
    assert not later_verdict(better, ACTIONS, 15, more).promoted


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
    assert later_verdict(hurt, ACTIONS, 15, calm).promoted
    verdict = later_verdict(against_true, ACTIONS, 15, calm)
    assert not verdict.promoted
    assert "calibration error of email grows" in verdict.text


def test_too_few_shared_rows_refuse():
    verdict = later_verdict(_judged(100, **{CHALLENGER: _true, CHAMPION: _flat}), ACTIONS, 15, RULE)
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
