"""Intervals hold as often as they say in worlds whose errors are known, for response and uplift, and suit newcomers."""

from dataclasses import dataclass

import numpy as np
import pytest
from scipy.special import expit

from models.calibration import logit
from models.intervals import LONG, NEWCOMER, SHORT, HeldOut, History, Intervals, fit_intervals
from models.moments import Pairs, paired

ACTIONS, CAMPAIGNS, ROWS, GROUP = 3, 24, 20_000, 200


@dataclass(frozen=True)
class Errors:
    """Standard deviations of logit errors: of a campaign, shared by actions or not; of a level; between customers."""

    campaign: float = 0.0
    shared: float = 0.0
    level: float = 0.0
    between: float = 0.0


def drawn(errors, seed, rows=ROWS):
    """Held-out decisions, and of a new campaign (p, truth), each (2,000, ACTIONS)."""
    random = np.random.default_rng(seed)
    levels = random.normal(0, errors.level, (ACTIONS, 10))

    def truth(p, action, common, own, customers):
        level = np.clip((10 * expit(1.5 * (logit(p) + 1.8))).astype(int), 0, 9)
        return expit(logit(p) + common + own + levels[action, level] + customers)

    p = expit(random.normal(-1.8, 0.8, rows))
    action, campaign = random.integers(0, ACTIONS, rows), random.integers(0, CAMPAIGNS, rows)
    shared = random.normal(0, errors.shared, CAMPAIGNS)
    own = random.normal(0, errors.campaign, (CAMPAIGNS, ACTIONS))
    customer = np.arange(rows) // 3
    between = random.normal(0, errors.between, rows)[customer]
    real = truth(p, action, shared[campaign], own[campaign, action], between)
    held = HeldOut(
        probability=p,
        outcome=(random.random(rows) < real).astype(np.int8),
        action=action,
        stratum=np.full(rows, SHORT),
        customer=customer,
        campaign=campaign,
        period=np.arange(rows) % 3,
    )
    base = random.normal(-1.8, 0.8, 2_000)
    fresh = expit(np.column_stack([base - 0.3, base, base + 0.2]))
    news, newer = random.normal(0, errors.shared), random.normal(0, errors.campaign, ACTIONS)
    own_taste = random.normal(0, errors.between, 2_000)
    reals = [truth(fresh[:, a], a, news, newer[a], own_taste) for a in range(ACTIONS)]
    return held, fresh, np.column_stack(reals)


def covered(lower, upper, truth, by):
    """Share of groups of 200 like predictions whose mean truth lies between the mean bounds."""
    groups = np.array_split(np.argsort(by, kind="stable"), len(by) // GROUP)
    return np.mean([lower[rows].mean() <= truth[rows].mean() <= upper[rows].mean() for rows in groups])


WORLDS = (
    Errors(campaign=0.25),
    Errors(shared=0.3, campaign=0.1),
    Errors(level=0.2),
    Errors(campaign=0.15, shared=0.1, level=0.1, between=0.5),
)


def test_nine_of_ten_groups_lie_within_nominal_nine_of_ten():
    """Groups of one campaign and action err together, so that only many worlds show the coverage."""
    responses, uplifts = [], []
    for seed in range(60):
        held, p, truth = drawn(WORLDS[seed % len(WORLDS)], 100 + seed)
        found = fit_intervals(held, ACTIONS)
        for a in range(ACTIONS):
            action, stratum = np.full(len(p), a), np.full(len(p), SHORT)
            responses.append(covered(*found.response(p[:, a], action, stratum, 0.9), truth[:, a], p[:, a]))
            if a:
                bounds = found.uplift(p[:, a], p[:, 0], action, stratum, 0.9)
                uplifts.append(covered(*bounds, truth[:, a] - truth[:, 0], p[:, a] - p[:, 0]))
    assert np.mean(responses) == pytest.approx(0.9, abs=0.04)
    assert np.mean(uplifts) == pytest.approx(0.9, abs=0.04)


def test_pairs_find_the_variance_whatever_the_noise_of_the_outcomes():
    estimates = []
    for seed in range(20):
        held, _, _ = drawn(Errors(campaign=0.3, between=0.6), seed)
        p = held.probability
        pairs = paired(held.outcome - p, p * (1 - p), held.campaign * ACTIONS + held.action, held.customer)
        estimates.append(pairs.estimate)
    assert np.mean(estimates) == pytest.approx(0.3**2, abs=0.02)
    assert np.std(estimates) == pytest.approx(float(pairs.error(0.3**2)), rel=0.5)


def test_pairs_are_those_that_differ_in_what_is_asked():
    random = np.random.default_rng(4)
    z, v = random.normal(size=60), random.uniform(0.1, 1, 60)
    unit, one, other = (random.integers(0, 4, 60) for _ in range(3))
    found = paired(z, v, unit, one, other)
    for at, number in enumerate(found.unit):
        asked = [
            (i, j)
            for i in np.flatnonzero(unit == number)
            for j in np.flatnonzero(unit == number)
            if one[i] != one[j] and other[i] != other[j]
        ]
        assert found.product[at] == pytest.approx(sum(z[i] * z[j] for i, j in asked))
        assert found.weight[at] == pytest.approx(sum(v[i] * v[j] for i, j in asked))


def test_newcomers_get_wider_intervals_where_history_tells_much():
    random = np.random.default_rng(2)
    held, _, _ = drawn(Errors(campaign=0.1), 1)
    stratum = random.integers(0, 3, ROWS)
    own = 0.2 * (stratum == SHORT) + 0.6 * (stratum == LONG)
    p = expit(logit(held.probability) + own * random.normal(size=ROWS))
    outcome = (random.random(ROWS) < p).astype(np.int8)
    told = HeldOut(p, outcome, held.action, stratum, held.customer, held.campaign, held.period)
    tau = np.array(fit_intervals(told, ACTIONS).tau)
    assert (np.diff(tau, axis=1) <= 0).all()
    assert (tau[:, NEWCOMER] > tau[:, LONG]).all()


def test_what_actions_share_leaves_the_uplift_narrow():
    tau = ((0.3,) * 3,) * 2
    p, alone, zero = np.array([0.2]), np.array([0.18]), np.zeros(1, np.int64)
    apart = Intervals(tau=tau, own=tau, shared=0.0).uplift(p, alone, zero + 1, zero, 0.9)
    shared = Intervals(tau=tau, own=((0.01,) * 3,) * 2, shared=0.3).uplift(p, alone, zero + 1, zero, 0.9)
    assert shared[1] - shared[0] < 0.2 * (apart[1] - apart[0])


def test_perfect_predictions_get_narrow_intervals_and_few_rows_wide_ones():
    held, _, _ = drawn(Errors(), 3, rows=60_000)
    few, _, _ = drawn(Errors(), 3, rows=600)
    assert max(max(row) for row in fit_intervals(held, ACTIONS).tau) < 0.12
    assert fit_intervals(few, ACTIONS).tau[0][SHORT] > 0.15


def test_no_rows_at_all_leave_the_prior_and_bounds_stay_probabilities():
    no_rows = np.zeros(0, dtype=np.int64)
    found = fit_intervals(HeldOut(np.zeros(0), no_rows, no_rows, no_rows, no_rows, no_rows, no_rows), 2)
    assert np.isfinite(found.tau).all()
    p, zero = np.array([0.0, 1e-9, 0.5, 1.0]), np.zeros(4, dtype=np.int64)
    lower, upper = found.response(p, zero, zero, 0.9)
    assert ((lower >= 0) & (lower <= p) & (p <= upper) & (upper <= 1)).all()
    low, high = found.uplift(p, p[::-1], zero + 1, zero, 0.9)
    assert ((low >= -1) & (low <= p - p[::-1]) & (p - p[::-1] <= high) & (high <= 1)).all()
    assert Pairs(no_rows, np.zeros(0), np.zeros(0)).near(0.02) == 0.02


def test_history_sorts_newcomers_from_the_known():
    matrix = np.array([[0, 0], [np.nan, np.nan], [1, 2], [9, 9]], np.float32)
    assert History(columns=(0, 1), long_from=5).stratum(matrix).tolist() == [NEWCOMER, NEWCOMER, SHORT, LONG]
    assert History(columns=(), long_from=5).stratum(matrix).tolist() == [SHORT] * 4


def test_errors_of_what_was_learned_fall_with_the_decisions_that_teach_and_shared_ones_do_not():
    held = drawn(Errors(campaign=0.2, shared=0.2), 7)[0]
    whole, half = fit_intervals(held, ACTIONS), fit_intervals(held, ACTIONS, taught=0.5)
    assert half.shared == whole.shared
    assert np.allclose(np.square(half.own)[:, LONG], 0.5 * np.square(whole.own)[:, LONG], rtol=0.1)
    assert np.all(np.array(half.tau) < np.array(whole.tau))
    assert np.all(np.array(half.tau) > half.shared)
