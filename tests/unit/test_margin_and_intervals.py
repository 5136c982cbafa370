"""Margins are shrunk so that no basket decides; intervals hold as often as they say, and more widely for newcomers."""

import numpy as np
import pytest
from scipy.special import expit

from models.calibration import logit
from models.intervals import LONG, NEWCOMER, SHORT, History, fit_intervals
from models.margin import Margin, fit_margin, fixed_margin


def _customers(between: float, within: float, rows: int = 8000):
    """Past baskets and the margin (0.3 of a basket) of customers whose means differ by `between` (log sd)."""
    random = np.random.default_rng(0)
    own = 50 * np.exp(between * random.normal(size=rows) - between**2 / 2)
    count = random.poisson(2, rows)
    noise = np.exp(within * random.normal(size=(rows, 8)) - within**2 / 2)
    value = (own[:, None] * noise * (np.arange(8) < count[:, None])).sum(axis=1)
    margin = 0.3 * own * np.exp(within * random.normal(size=rows) - within**2 / 2)
    return np.column_stack([value, count]).astype(np.float32), margin, 0.3 * own


def test_unlike_customers_are_told_apart_and_like_ones_are_not():
    unlike, margin, truth = _customers(between=0.8, within=0.3)
    found = fit_margin(unlike, margin, 0, 1)
    assert np.abs(found.expected(unlike) - truth).mean() < 0.6 * np.abs(margin.mean() - truth).mean()
    like, margin, _ = _customers(between=0.0, within=1.0)
    shrunk = fit_margin(like, margin, 0, 1)
    assert shrunk.strength > 20 * found.strength
    assert shrunk.expected(like).std() < 0.1 * shrunk.expected(like).mean()


def test_means_are_right_and_one_basket_does_not_decide():
    matrix, margin, _ = _customers(between=0.5, within=0.5)
    found = fit_margin(matrix, margin, 0, 1)
    assert found.expected(matrix).mean() == pytest.approx(margin.mean(), rel=0.02)
    matrix[0] = (1e7, 1)
    assert found.expected(matrix)[0] <= found.scale * max(found.cap, found.prior)
    with_giant = fit_margin(matrix, margin, 0, 1)
    assert np.allclose(with_giant.expected(matrix), found.expected(matrix), rtol=0.1)
    newcomer = np.array([[0, 0], [np.nan, np.nan]], np.float32)
    assert np.allclose(found.expected(newcomer), found.scale * found.prior)


def test_fixed_worth_and_missing_columns():
    matrix = np.zeros((3, 2), np.float32)
    assert fixed_margin(2.5).expected(matrix).tolist() == [2.5] * 3
    assert fit_margin(matrix, np.array([1.0, 2.0, 3.0]), None, None).expected(matrix).tolist() == [2.0] * 3
    assert fit_margin(matrix[:0], np.array([]), 0, 1).expected(matrix).tolist() == [0.0] * 3
    again = Margin.model_validate_json(fit_margin(matrix + 1, np.ones(3), 0, 1).model_dump_json())
    assert np.allclose(again.expected(matrix + 1), 1)


TAU = np.array([0.5, 0.25, 0.1])


def _held_out(seed: int, groups: int = 400):
    """Groups of 200 like predictions, each off by a logit error of its own with the stratum's deviation."""
    random = np.random.default_rng(seed)
    stratum = random.integers(0, 3, groups).repeat(200)
    p = np.sort(expit(random.normal(-1.5, 0.8, groups)))
    error = random.normal(size=groups) * TAU[stratum[::200]]
    truth = expit(logit(p) + error).repeat(200)
    predicted = np.clip(p.repeat(200) + random.normal(0, 1e-6, groups * 200), 1e-4, 1 - 1e-4)
    outcome = (random.random(len(truth)) < truth).astype(np.int8)
    return predicted, outcome, stratum, truth


def test_intervals_cover_the_truth_of_groups_and_newcomers_get_wider_ones():
    p, outcome, stratum, _ = _held_out(0)
    action = np.zeros(len(p), dtype=np.int64)
    found = fit_intervals(p, outcome, action, stratum, np.arange(len(p)), 1)
    tau = np.array(found.tau[0])
    assert np.all(np.diff(tau) < 0)
    assert np.allclose(tau, TAU, atol=0.08)
    covered: dict[int, list[float]] = {NEWCOMER: [], SHORT: [], LONG: []}
    for seed in range(0, 24, 2):
        p, outcome, stratum, _ = _held_out(seed)
        found = fit_intervals(p, outcome, action, stratum, np.arange(len(p)), 1)
        fresh, _, stratum, truth = _held_out(seed + 1)
        lower, upper = found.response(fresh, action, stratum, 0.9)
        for each, shares in covered.items():
            shares.append(((lower <= truth) & (truth <= upper))[stratum == each].mean())
    for shares in covered.values():
        assert np.mean(shares) == pytest.approx(0.9, abs=0.04)


def test_perfect_predictions_get_narrow_intervals_and_copies_of_a_customer_prove_nothing():
    random = np.random.default_rng(3)
    p = expit(random.normal(-2, 1, 40_000))
    outcome = (random.random(len(p)) < p).astype(np.int8)
    action, stratum = np.zeros(len(p), dtype=np.int64), np.ones(len(p), dtype=np.int64)
    narrow = fit_intervals(p, outcome, action, stratum, np.arange(len(p)), 1)
    assert narrow.tau[0][SHORT] < 0.1
    rows = np.arange(800).repeat(50)
    copied = fit_intervals(p[rows], outcome[rows], action[rows], stratum[rows], rows, 1)
    assert copied.tau[0][SHORT] < 0.5


def test_bounds_hold_the_prediction_and_stay_probabilities():
    no_rows = np.zeros(0, dtype=np.int64)
    found = fit_intervals(np.zeros(0), no_rows, no_rows, no_rows, no_rows, 2)
    p, zero = np.array([0.0, 1e-9, 0.5, 1.0]), np.zeros(4, dtype=np.int64)
    lower, upper = found.response(p, zero, zero, 0.9)
    assert ((lower >= 0) & (lower <= p) & (p <= upper) & (upper <= 1)).all()
    low, high = found.uplift(p, p[::-1], zero + 1, zero, 0.9)
    assert ((low >= -1) & (low <= p - p[::-1]) & (p - p[::-1] <= high) & (high <= 1)).all()


def test_history_sorts_newcomers_from_the_known():
    matrix = np.array([[0, 0], [np.nan, np.nan], [1, 2], [9, 9]], np.float32)
    assert History(columns=(0, 1), long_from=5).stratum(matrix).tolist() == [NEWCOMER, NEWCOMER, SHORT, LONG]
    assert History(columns=(), long_from=5).stratum(matrix).tolist() == [SHORT] * 4
