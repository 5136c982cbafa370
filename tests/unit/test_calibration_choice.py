"""A calibration is chosen only where it helps, and helps on rows that it never saw."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import expit, softmax

from models.calibration import (
    Beta,
    Isotonic,
    MatrixScaling,
    Platt,
    Temperature,
    Unchanged,
    VectorScaling,
    among,
    binary_log_losses,
    logit,
)
from models.calibration_fit import choose_binary, choose_multiclass, clustered_mean


def _binary(seed: int, distort, rows: int = 6000):
    random = np.random.default_rng(seed)
    truth = expit(random.normal(-2, 1, rows))
    outcome = (random.random(rows) < truth).astype(np.int8)
    return distort(truth), outcome, truth


@pytest.mark.parametrize("seed", range(8))
def test_calibrated_probabilities_are_left_alone_or_not_harmed(seed):
    p, outcome, _ = _binary(seed, lambda t: t)
    chosen = choose_binary(p, outcome, np.arange(len(p)) // 3)
    fresh, fresh_outcome, _ = _binary(seed + 100, lambda t: t, 40_000)
    before = binary_log_losses(fresh, fresh_outcome).mean()
    assert binary_log_losses(chosen.apply(fresh), fresh_outcome).mean() <= before + 3e-4


@pytest.mark.parametrize(
    "distort", [lambda t: expit(2 * logit(t) + 1), lambda t: t**0.5, lambda t: np.where(t < 0.1, t / 3, t)]
)
def test_distorted_probabilities_are_mended(distort):
    p, outcome, _ = _binary(1, distort, 20_000)
    chosen = choose_binary(p, outcome, np.arange(len(p)) // 3)
    fresh, fresh_outcome, truth = _binary(2, distort, 20_000)
    assert chosen.kind != "none"
    assert binary_log_losses(chosen.apply(fresh), fresh_outcome).mean() < binary_log_losses(fresh, fresh_outcome).mean()
    assert np.abs(chosen.apply(fresh) - truth).mean() < np.abs(fresh - truth).mean()


def test_a_bend_at_one_end_is_what_beta_is_for():
    """The odds of a beta map: no slope and shift of the logit gives them."""
    beta = Beta(a=0.3, b=2.5, c=-0.5)
    random = np.random.default_rng(5)
    p = expit(random.normal(0, 2.5, 30_000))
    outcome = (random.random(len(p)) < beta.apply(p)).astype(np.int8)
    chosen = choose_binary(p, outcome, np.arange(len(p)))
    assert chosen.kind == "beta"
    assert np.abs(chosen.apply(p) - beta.apply(p)).mean() < 0.01


def _multiclass(seed: int, distort, rows: int = 6000):
    random = np.random.default_rng(seed)
    truth = softmax(random.normal(size=(rows, 4)) * 1.5, axis=1)
    label = (truth.cumsum(axis=1) > random.random(rows)[:, None]).argmax(axis=1)
    return distort(truth), label


def _loss(p, label):
    return -np.log(p[np.arange(len(label)), label]).mean()


MIXED = np.eye(4) + 0.5 * np.eye(4)[[1, 0, 3, 2]]


@pytest.mark.parametrize(
    ("distort", "kinds"),
    [
        (lambda t: t, {"none"}),
        (lambda t: softmax(3 * np.log(t), axis=1), {"temperature", "vector", "matrix"}),
        (lambda t: softmax(np.log(t) + np.array([1.0, -1.0, 0.0, 0.5]), axis=1), {"vector", "matrix"}),
        (lambda t: softmax(np.log(t) @ MIXED, axis=1), {"matrix"}),
    ],
)
def test_multiclass_shares_are_mended_by_the_map_that_fits(distort, kinds):
    p, label = _multiclass(3, distort)
    chosen = choose_multiclass(p, label, np.ones(len(label)), np.arange(len(label)) // 2)
    fresh, fresh_label = _multiclass(4, distort)
    assert chosen.kind in kinds
    assert _loss(chosen.apply(fresh), fresh_label) <= _loss(fresh, fresh_label) + 1e-9


def test_a_few_customers_choose_nothing():
    assert choose_binary(np.full(40, 0.9), np.zeros(40), np.zeros(40, dtype=np.int64)).kind == "none"


PROBABILITIES = st.lists(st.floats(0, 1), min_size=1, max_size=30).map(np.array)


@given(PROBABILITIES)
def test_binary_maps_are_monotone_and_stay_probabilities(p):
    knots = Isotonic(score=(0.1, 0.4, 0.8), probability=(0.05, 0.3, 0.9))
    for each in (Unchanged(), Platt(slope=0.7, intercept=-0.4), Beta(a=0.4, b=2.0, c=-1.0), knots):
        out = each.apply(np.sort(p))
        assert ((out >= 0) & (out <= 1)).all()
        assert (np.diff(out) >= 0).all()


@given(st.floats(0.1, 10), st.lists(st.floats(-2, 2), min_size=3, max_size=3))
def test_multiclass_maps_sum_to_one_and_survive_json(temperature, intercept):
    p = np.array([[0.2, 0.3, 0.5], [1.0, 0.0, 0.0]])
    matrix = MatrixScaling(weight=((1, 0.2, 0), (0, 2, 0), (0.1, 0, 1)), intercept=tuple(intercept))
    vector = VectorScaling(slope=(1, 2, 0.5), intercept=tuple(intercept))
    for each in (Temperature(temperature=temperature), vector, matrix):
        assert np.allclose(each.apply(p).sum(axis=1), 1)
        again = type(each).model_validate_json(each.model_dump_json())
        assert np.array_equal(again.apply(p), each.apply(p))


def test_clustered_error_of_copied_rows_is_that_of_one_copy():
    value = np.random.default_rng(0).normal(size=200)
    once = clustered_mean(value, np.ones(200), np.arange(200))
    copied = clustered_mean(np.repeat(value, 9), np.ones(1800), np.repeat(np.arange(200), 9))
    assert copied == pytest.approx(once)
    assert once[1] == pytest.approx(value.std() / np.sqrt(200))


def test_an_answer_that_was_not_possible_says_nothing_of_the_share():
    """The third class could seldom occur; its share is right all the same, and only whoever knows that sees it."""
    rng = np.random.default_rng(11)
    shares = rng.dirichlet([2.0, 2.0, 2.0], 4_000)
    possible = rng.random(shares.shape) < np.array([1.0, 0.9, 0.2])
    told = among(shares, possible)
    label = (told.cumsum(axis=1) < rng.random((len(told), 1))).sum(axis=1)
    given = (shares, label, np.ones(len(label)), np.arange(len(label)))
    assert choose_multiclass(*given, possible).kind == "none"
    misled = choose_multiclass(*given)
    assert misled.apply(shares)[:, 2].mean() < 0.5 * shares[:, 2].mean()
