"""The contact preference is what equal contact would show, whoever the sender favoured."""

import lightgbm as lgb
import numpy as np

from models.boosting import Recipe
from models.preference import Labelled, exposure_weights, fit_preference, refit_preference
from models.tables import Table

RECIPE = Recipe(trees=60, leaves=4, rows_per_leaf=50, learning_rate=0.15, feature_fraction=1.0)


def _answers(seed: int, rows: int = 40_000):
    """Two kinds of customers that like opposite channels; the sender mails nearly everybody by channel 0."""
    random = np.random.default_rng(seed)
    kind = random.integers(0, 2, rows)
    rate = np.where(kind[:, None] == 1, [0.1, 0.3, 0.2], [0.3, 0.1, 0.2])
    sender = np.array([0.85, 0.05, 0.10])
    sent = random.choice(3, rows, p=sender)
    answered = random.random(rows) < rate[np.arange(rows), sent]
    table = Table(kind[answered, None].astype(np.float32), ["kind"], [], np.flatnonzero(answered))
    return table, sent[answered], sender[sent[answered]], rate / rate.sum(axis=1, keepdims=True), kind[answered]


def _fitted(weigh: bool):
    parts = []
    for seed in (0, 1):
        table, label, propensity, _, _ = _answers(seed)
        parts.append(Labelled(table, label, exposure_weights(propensity) if weigh else np.ones(len(label))))
    return fit_preference(parts[0], parts[1], RECIPE, [0, 1, 2, 3], least=10, seed=0, threads=1), parts


def _error(fitted) -> float:
    table, _, _, _, kind = _answers(2)
    raw = np.asarray(lgb.Booster(model_str=fitted.text).predict(table.matrix))
    truth = np.where(kind[:, None] == 1, [1, 3, 2], [3, 1, 2]) / 6
    return float(np.abs(fitted.calibration.apply(raw) - truth).mean())


def test_weights_by_propensity_recover_the_truth_and_equal_weights_do_not():
    weighted, parts = _fitted(weigh=True)
    assert weighted.classes == (0, 1, 2), "a channel that nobody answered on is no class"
    assert _error(weighted) < 0.03
    assert _error(_fitted(weigh=False)[0]) > 0.15
    again = refit_preference(weighted, parts[0], RECIPE, least=10, seed=0, threads=1)
    assert _error(again) < 0.03


def test_with_hardly_any_answers_shares_are_fixed_and_sum_to_one():
    table, label, propensity, _, _ = _answers(0, 300)
    few = Labelled(table, label, exposure_weights(propensity))
    fitted = fit_preference(few, few, RECIPE, [0, 1, 2, 3], least=5, seed=0, threads=1)
    assert fitted.text is None
    assert fitted.fixed is not None
    assert np.isclose(sum(fitted.fixed), 1)
    nobody = few.rows(np.array([], dtype=np.int64))
    assert fit_preference(nobody, nobody, RECIPE, [0, 1, 2, 3], least=5, seed=0, threads=1).fixed == (0.25,) * 4


def test_exposure_weights_are_clipped_have_mean_one_and_leave_the_unknown_out():
    weight = exposure_weights(np.array([0.5, 1e-9, 0.02, np.nan]))
    assert weight[1] == weight[2]
    assert weight[3] == 0
    assert np.isclose(weight.mean(), 1)
