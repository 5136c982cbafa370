"""Estimators of policy value against truth that can be counted, their special cases, and what the tuning takes."""

from itertools import product

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import softmax

from contract.errors import UsageError
from training.off_policy import (
    PolicyLog,
    Terms,
    direct,
    doubly_robust,
    estimate,
    ips,
    shrunk_dr,
    snips,
    standard_error,
    switch_dr,
)
from training.off_policy_tuning import slope, smallest_error, strengths, thresholds, tuned_shrunk, tuned_switch

CHANCE = np.array([[0.2, 0.5, 0.3], [0.6, 0.1, 0.3]])
MEAN = np.array([[0.1, 0.7, 0.4], [0.5, 0.2, 0.9]])
POLICY = np.array([[0.0, 0.25, 0.75], [0.5, 0.5, 0.0]])
TRUTH = float((POLICY * MEAN).sum(axis=1).mean())


def every_log(predicted):
    """Each possible log of the two decisions with its probability: 9 pairs of actions, 4 of outcomes."""
    for actions in product(range(3), repeat=2):
        for rewards in product((0.0, 1.0), repeat=2):
            taken = np.array(actions)
            mean = MEAN[np.arange(2), taken]
            chance = CHANCE[np.arange(2), taken]
            p = np.prod(chance * np.where(np.array(rewards) == 1, mean, 1 - mean))
            yield float(p), PolicyLog(np.array(rewards), taken, chance, POLICY, predicted, np.arange(2))


def expectation(estimator, predicted):
    return sum(p * estimator(log).value for p, log in every_log(predicted))


@pytest.mark.parametrize("predicted", [np.zeros((2, 3)), MEAN, np.full((2, 3), 7.0)])
def test_ips_and_dr_are_unbiased_over_all_logs_whatever_the_model_says(predicted):
    assert expectation(ips, predicted) == pytest.approx(TRUTH, abs=1e-12)
    assert expectation(doubly_robust, predicted) == pytest.approx(TRUTH, abs=1e-12)


def test_the_direct_method_is_as_right_as_its_model():
    assert expectation(direct, MEAN) == pytest.approx(TRUTH, abs=1e-12)
    assert expectation(direct, MEAN + 1) == pytest.approx(TRUTH + 1, abs=1e-12)


def test_what_switching_and_shrinking_leave_out_is_their_bias():
    """E[ŵ (r − q)] over the logs: DR's correction with the weights that are left."""
    predicted = np.zeros((2, 3))
    weight = POLICY / CHANCE
    for estimator, left in (
        (lambda log: switch_dr(log, 2.0), np.where(weight <= 2.0, weight, 0.0)),
        (lambda log: shrunk_dr(log, 0.5), 0.5 * weight / (weight**2 + 0.5)),
    ):
        expected = float((CHANCE * left * MEAN).sum(axis=1).mean())
        assert expected < TRUTH - 0.01
        assert expectation(estimator, predicted) == pytest.approx(expected, abs=1e-12)


def drawn(seed, n=400, k=4, model=0.5):
    random = np.random.default_rng(seed)
    chance = softmax(random.normal(size=(n, k)), axis=1)
    action = (chance.cumsum(axis=1) > random.random(n)[:, None]).argmax(axis=1)
    mean = random.gamma(1.0, 1.0, (n, k))
    reward = mean[np.arange(n), action] * random.exponential(1.0, n)
    policy = softmax(2 * random.normal(size=(n, k)), axis=1)
    cluster = random.integers(0, n // 3, n)
    return PolicyLog(reward, action, chance[np.arange(n), action], policy, model * mean, cluster)


@given(st.integers(0, 10_000))
def test_special_cases_are_equal(seed):
    log = drawn(seed, n=60)
    without_model = PolicyLog(log.reward, log.action, log.propensity, log.policy, 0 * log.predicted, log.cluster)
    same = [
        (doubly_robust(without_model), ips(log)),
        (shrunk_dr(log, 0.0), direct(log)),
        (switch_dr(log, 0.0), direct(log)),
        (shrunk_dr(log, np.inf), doubly_robust(log)),
        (switch_dr(log, np.inf), doubly_robust(log)),
        (switch_dr(log, log.weight.max()), doubly_robust(log)),
    ]
    for one, other in same:
        assert one.value == pytest.approx(other.value, rel=1e-12)
        np.testing.assert_allclose(one.influence, other.influence, rtol=0, atol=1e-9)
    assert shrunk_dr(log, 1e12).value == pytest.approx(doubly_robust(log).value, rel=1e-6)
    assert log.reward.min() <= snips(log).value <= log.reward.max()


@given(st.integers(0, 10_000))
def test_influence_is_the_derivative_by_a_rows_weight(seed):
    """Taking one row twice moves the value by its influence over n + 1, up to second order."""
    log = drawn(seed, n=2_000)
    twice = np.append(np.arange(2_000), seed % 2_000)
    more = PolicyLog(*(getattr(log, name)[twice] for name in vars_of(log)))
    for estimator in (ips, snips, direct, doubly_robust, lambda each: shrunk_dr(each, 1.0)):
        terms = estimator(log)
        step = terms.influence[seed % 2_000] / 2_001
        assert terms.influence.sum() == pytest.approx(0, abs=1e-6)
        assert estimator(more).value - terms.value == pytest.approx(step, rel=0.02, abs=1e-9)


def vars_of(log):
    return ("reward", "action", "propensity", "policy", "predicted", "cluster")


def test_snips_does_not_move_when_all_rewards_move_together():
    log = drawn(3)
    moved = PolicyLog(log.reward + 5, log.action, log.propensity, log.policy, log.predicted, log.cluster)
    assert snips(moved).value == pytest.approx(snips(log).value + 5)
    assert ips(moved).value != pytest.approx(ips(log).value + 5, abs=1e-3)


def test_a_copy_of_every_row_in_its_cluster_adds_no_certainty():
    log = drawn(1)
    n = len(log)
    copy = np.concatenate([np.arange(n), np.arange(n)])
    doubled = PolicyLog(*(getattr(log, name)[copy] for name in vars_of(log)))
    once, twice = (estimate(doubly_robust(each), each.clusters, 0.9) for each in (log, doubled))
    assert vars(twice) == pytest.approx(vars(once))
    apart = standard_error(doubly_robust(doubled), np.arange(2 * n))
    assert apart < 0.85 * once.error


def test_tuning_keeps_the_model_where_it_is_right_and_leaves_it_where_it_is_not():
    right, wrong = drawn(5, n=4_000, model=1.0), drawn(5, n=4_000, model=-4.0)
    for tuned, grid in ((tuned_shrunk, strengths), (tuned_switch, thresholds)):
        kept, left = tuned(right), tuned(wrong)
        assert standard_error(kept.terms, right.clusters) < 0.6 * standard_error(doubly_robust(right), right.clusters)
        width = standard_error(doubly_robust(wrong), wrong.clusters)
        assert abs(left.terms.value - doubly_robust(wrong).value) < 4 * width < abs(direct(wrong).value)
        assert kept.parameter in grid(right)


def test_slope_takes_the_last_that_agrees_with_all_wider_ones():
    """Clusters of one row, so that the width is a known multiple of the influences' spread."""
    clusters = np.arange(101)
    unit = np.resize([1.0, -1.0], 101) - 1 / 101

    def terms(value, error):
        return Terms(value, unit * error * np.sqrt(101))

    near = [terms(0.0, 1.0), terms(1.0, 0.5), terms(1.2, 0.1)]
    far = [terms(0.0, 1.0), terms(1.0, 0.5), terms(5.0, 0.1)]
    assert slope(near, clusters) == 2
    assert slope(far, clusters) == 1
    assert slope([terms(9.0, 0.5), terms(0.0, 1.0)], clusters) == 1
    assert smallest_error(near, near[0], clusters) == 0
    assert smallest_error([terms(0.0, 1.0), terms(0.4, 0.5)], terms(0.0, 1.0), clusters) == 1


def test_faults_of_a_log_are_named_together():
    log = drawn(0, n=5)
    with pytest.raises(UsageError, match=r"action: found .* expected 0 to 3; propensity: .*; policy: .*; reward or"):
        PolicyLog(log.reward * np.nan, log.action + 9, log.propensity - 1, log.policy * 2, log.predicted, log.cluster)
    with pytest.raises(UsageError, match="5 rewards, but 4 rows of action"):
        PolicyLog(log.reward, log.action[:4], log.propensity, log.policy, log.predicted, log.cluster)
