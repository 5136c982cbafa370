"""The contact preference is what equal contact would show, whoever the sender favoured."""

import lightgbm as lgb
import numpy as np

from models.answers import Sends, fit_answers, refit_answers
from models.boosting import Recipe
from models.preference import exposure_weights
from models.tables import Table
from models.trees import shares_of

RECIPE = Recipe(trees=60, leaves=8, rows_per_leaf=50, learning_rate=0.15, feature_fraction=1.0)
RATE = np.array([[0.3, 0.1, 0.2], [0.1, 0.3, 0.2]])
"""Answers of two kinds of customers, who like opposite channels."""


def _sends(seed: int, rows: int = 40_000) -> Sends:
    """The sender favours channel 0, and most of all with those who do not like it."""
    random = np.random.default_rng(seed)
    kind = random.integers(0, 2, rows)
    chance = np.array([[0.80, 0.10, 0.10], [0.94, 0.03, 0.03]])
    channel = (chance[kind].cumsum(axis=1) > random.random(rows)[:, None]).argmax(axis=1)
    answered = random.random(rows) < RATE[kind, channel]
    table = Table(np.column_stack([kind, channel]).astype(np.float32), ["kind", "action"], ["action"], np.arange(rows))
    return Sends(table, channel, answered)


def _shares(fitted):
    """(2, 3): what is said of either kind."""
    rows = np.column_stack([np.repeat([0, 1], 3), np.tile([0, 1, 2], 2)])
    return shares_of(np.asarray(lgb.Booster(model_str=fitted.text).predict(rows)).reshape(2, 3))


def test_answers_by_channel_recover_the_truth_whoever_the_sender_favours():
    fitted = fit_answers(_sends(0), _sends(1), RECIPE, [0, 1, 2, 3], least=10, seed=0, threads=1)
    assert fitted.classes == (0, 1, 2), "a channel that nobody answered on is no class"
    truth = RATE / RATE.sum(axis=1, keepdims=True)
    assert np.abs(_shares(fitted) - truth).max() < 0.05
    assert np.abs(_shares(refit_answers(fitted, _sends(2), RECIPE, least=10, seed=0, threads=1)) - truth).max() < 0.05
    answered = _sends(0).channel[_sends(0).answered]
    assert np.bincount(answered).argmax() == 0, "most answers come by the channel that the sender favours"
    assert _shares(fitted)[1].argmax() == 1, "and yet it is not what the second kind prefers"


def test_with_hardly_any_sends_shares_are_fixed_rates_and_sum_to_one():
    few = _sends(0, 400)
    fitted = fit_answers(few, few, RECIPE, [0, 1, 2, 3], least=2, seed=0, threads=1)
    assert fitted.text is None
    assert fitted.fixed is not None
    assert np.isclose(sum(fitted.fixed), 1)
    rate = (np.bincount(few.channel[few.answered], minlength=3) / np.bincount(few.channel))[list(fitted.classes)]
    assert np.allclose(fitted.fixed, rate / rate.sum(), atol=0.05)
    nobody = few.rows(np.array([], dtype=np.int64))
    assert fit_answers(nobody, nobody, RECIPE, [0, 1, 2, 3], least=5, seed=0, threads=1).fixed == (0.25,) * 4
    assert refit_answers(fitted, few, RECIPE, least=2, seed=0, threads=1) is fitted


def test_exposure_weights_are_clipped_have_mean_one_and_leave_the_unknown_out():
    weight = exposure_weights(np.array([0.5, 1e-9, 0.02, np.nan]))
    assert weight[1] == weight[2]
    assert weight[3] == 0
    assert np.isclose(weight.mean(), 1)
