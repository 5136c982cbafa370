"""Policy values are right on average, their intervals hold as often as they say, and the gate keeps bad ones back."""

import numpy as np
import pytest
from scipy.special import expit

from training.policy_value import DR, IPS, SNIPS, LoggedRewards, policy_values


def _log(seed: int, customers: int = 700, per_customer: int = 3):
    """Rewards of a customer share a mood, so that rows are not independent; the target likes action 2 for x > 0."""
    random = np.random.default_rng(seed)
    x = random.normal(size=customers).repeat(per_customer)
    mood = random.normal(size=customers).repeat(per_customer)
    rows = len(x)
    score = np.column_stack([np.full(rows, 0.5), 0.5 * x, -0.5 * x])
    chance = np.exp(score) / np.exp(score).sum(axis=1, keepdims=True)
    action = (chance.cumsum(axis=1) > random.random(rows)[:, None]).argmax(axis=1)
    mean = np.column_stack([np.zeros(rows), expit(x), 0.5 + 0.8 * x])
    reward = mean[np.arange(rows), action] + mood + random.normal(0, 0.5, rows)
    chosen = np.where(x > 0, 2, 0)
    log = LoggedRewards(action, np.arange(customers).repeat(per_customer), chance[np.arange(rows), action], reward)
    return log, chosen, mean


TRUTH = 0.5 * (0.5 + 0.8 * np.sqrt(2 / np.pi))


def test_values_are_unbiased_and_intervals_cover_as_often_as_they_say():
    covered = dict.fromkeys((DR, SNIPS, IPS), 0)
    values: dict[str, list[float]] = {name: [] for name in covered}
    logs = 400
    for seed in range(logs):
        log, chosen, mean = _log(seed)
        # A wrong model: DR must not need a right one.
        (value,) = policy_values(log, {"target": chosen}, 0.5 * mean + 0.3, 0.95)
        for name in covered:
            estimate = value.estimates[name]
            values[name].append(estimate.value)
            covered[name] += estimate.lower <= TRUTH <= estimate.upper
    for name, found in values.items():
        error = np.std(found) / np.sqrt(logs)
        assert abs(np.mean(found) - TRUTH) < 4 * error, name
        # 0.95 ± 3 standard errors of 400 trials, and a little for the variance's own small-sample error.
        assert 0.91 <= covered[name] / logs <= 0.985, name


def test_intervals_that_ignored_customers_would_be_too_narrow():
    log, chosen, mean = _log(0)
    clustered = policy_values(log, {"target": chosen}, mean, 0.95)[0].doubly_robust
    apart = LoggedRewards(log.action, np.arange(len(log.action)), log.propensity, log.reward)
    naive = policy_values(apart, {"target": chosen}, mean, 0.95)[0].doubly_robust
    assert clustered is not None
    assert naive is not None
    assert clustered.value == naive.value
    assert clustered.upper - clustered.lower > 1.15 * (naive.upper - naive.lower)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda log, chosen: (log, np.full_like(chosen, 3)), "effective sample size 0"),
        (lambda log, chosen: (_with(log, propensity=np.full(len(chosen), np.nan)), chosen), "no propensities"),
        (lambda log, chosen: (_with(log, propensity=np.ones(len(chosen))), chosen), "covers no such choice"),
        (lambda log, chosen: (_with(log, propensity=_tailed(log)), chosen), "largest 1 % of weights"),
    ],
)
def test_the_gate_shows_no_number_and_says_why(change, reason):
    log, chosen, mean = _log(3)
    mean = np.column_stack([mean, mean[:, 0]])
    log, chosen = change(log, chosen)
    other = np.zeros_like(chosen)
    first, second = policy_values(log, {"other": other, "target": chosen}, mean, 0.9)
    value = second if first.estimates else first
    assert not value.estimates
    assert value.doubly_robust is None
    assert value.lead is None
    assert any(reason in each for each in value.refused)


def test_a_lead_is_the_difference_of_values_and_steadier_than_either():
    log, chosen, mean = _log(11)
    # The rival differs at one decision in twenty.
    rival = np.where(np.arange(len(chosen)) % 20 == 0, 1, chosen)
    first, second, same = policy_values(log, {"target": chosen, "rival": rival, "same": chosen}, mean, 0.95)
    assert first.lead is None
    assert second.lead is not None
    assert same.lead is not None
    assert first.doubly_robust is not None
    assert second.doubly_robust is not None
    assert second.lead.value == pytest.approx(first.doubly_robust.value - second.doubly_robust.value)
    assert second.lead.error < 0.6 * first.doubly_robust.error
    assert (same.lead.value, same.lead.error) == (0.0, 0.0)


def _with(log, *, propensity):
    return LoggedRewards(log.action, log.customer, propensity, log.reward)


def _tailed(log):
    result = log.propensity.copy()
    result[::97] = 1e-4
    return result
