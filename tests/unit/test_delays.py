"""How soon responses come: shares of a known truth, probabilities that stay the same, effects known more closely."""

import numpy as np
import pytest
from numpy.testing import assert_allclose
from scipy.optimize import approx_fprime

from models.delays import Delays, fit_delays, untimed
from models.random_effects import Contacts
from training.additive import Rates, Seen

MEAN_DELAY = 2 / 7
"""Of responses that contacts bring, in shares of the horizon; what comes by itself is spread evenly."""


def by_contact(random, n):
    """Delays of responses that a contact brings: exponential, cut off at the horizon."""
    return -MEAN_DELAY * np.log1p(-random.random(n) * -np.expm1(-1 / MEAN_DELAY))


def drawn(random, base, excess):
    """(n,) after which share of the horizon the first of both streams responded, NaN for none."""
    own = np.where(random.random(len(base)) < -np.expm1(-base), first_even(random, base), np.inf)
    # At these rates a second response of the stream hardly ever comes, so the first is a response at random.
    helped = np.where(random.random(len(base)) < -np.expm1(-excess), by_contact(random, len(base)), np.inf)
    first = np.minimum(own, helped)
    return np.where(np.isfinite(first), first, np.nan).astype(np.float32)


def first_even(random, base):
    """The first of a Poisson stream that is known to have any."""
    return -np.log1p(-random.random(len(base)) * -np.expm1(-base)) / base


def world(seed, n, channels=2):
    random = np.random.default_rng(seed)
    action = random.integers(0, 1 + channels, n)
    base = 0.05 * np.exp(0.3 * random.normal(size=n))
    excess = np.where(action > 0, 0.03, 0.0)
    delay = drawn(random, base, excess)
    return Seen(action, np.isfinite(delay).astype(np.int8), delay), Rates(base, excess)


def test_shares_are_those_of_the_truth():
    seen, rates = world(0, 400_000)
    found = rates.delays(seen, 2)
    assert_allclose([found.alone.sum(), *found.brought.sum(axis=1)], 1.0)
    edges = np.concatenate([[0.0], found.edges, [1.0]])
    assert_allclose(found.alone, np.diff(edges), atol=0.015)
    truth = np.diff(np.expm1(-edges / MEAN_DELAY) / np.expm1(-1 / MEAN_DELAY))
    assert_allclose(found.brought, [truth, truth], atol=0.03)


def test_few_responses_say_nothing():
    seen, rates = world(1, 2_000)
    assert len(rates.delays(seen, 2).edges) == 0
    alone = fit_delays(np.zeros(9_000, np.int64), seen.delay[:1].repeat(9_000), np.ones(9_000), np.zeros(9_000), 3)
    assert alone.brought.shape == (3, 1)


def test_what_came_by_itself_is_told_from_what_a_contact_brought():
    seen, rates = world(2, 400_000)
    contacted = seen.action > 0
    delays = rates.delays(seen, 2)
    came = rates.expected_without(seen, delays)
    # As many as come by themselves, whatever is known of the delay, and the more the later.
    assert came[contacted].mean() == pytest.approx(rates.base[contacted].mean(), rel=0.02)
    assert rates.expected_without(seen, untimed(2))[contacted].mean() == pytest.approx(
        rates.base[contacted].mean(), rel=0.02
    )
    soon, late = (came[contacted & (seen.delay >= a) & (seen.delay < b)].mean() for a, b in ((0, 0.1), (0.8, 1)))
    assert soon < 0.5 < 0.85 < late
    assert (came[~np.isfinite(seen.delay)] == 0).all()


def test_the_bins_share_out_the_probability_of_the_horizon():
    random = np.random.default_rng(3)
    shares = random.dirichlet(np.ones(5), 2)
    base, excess = 0.4, 0.3
    rate = base * shares[0] + excess * shares[1]
    first = np.exp(rate - np.cumsum(rate)) * -np.expm1(-rate)
    assert first.sum() == pytest.approx(-np.expm1(-base - excess))


def contacts_of(seen, base, design, channel, delays):
    own = np.flatnonzero(seen.action == channel)
    outcome = seen.response[own].astype(float)
    at = delays.bins(seen.delay[own])
    return Contacts(design[own], outcome, base[own], at, delays.alone, delays.brought[channel - 1])


def loss_of(contacts, theta):
    """The negative log likelihood in words: waited until its bin, and responded in it; or never responded."""
    extra = np.exp(theta[0] + contacts.design @ theta[1:])
    rate = np.outer(contacts.base, contacts.alone) + np.outer(extra, contacts.brought)
    before = np.cumsum(rate, axis=1) - rate
    rows = np.arange(len(rate))
    some = np.log(-np.expm1(-rate[rows, contacts.at])) - before[rows, contacts.at]
    return -np.where(contacts.outcome > 0, some, -rate.sum(axis=1)).sum()


def test_the_score_is_the_slope_of_the_likelihood():
    seen, rates = world(4, 4_000)
    random = np.random.default_rng(4)
    design = random.normal(size=(4_000, 2)).astype(np.float32)
    even = np.linspace(0, 1, 6)
    delays = Delays(even[1:-1], np.diff(even), random.dirichlet(np.ones(5), 2))
    contacts = contacts_of(seen, rates.base, design, 1, delays)
    theta = np.array([-3.0, 0.2, -0.1])
    slope = approx_fprime(theta, lambda at: loss_of(contacts, at), 1e-6)
    assert_allclose(contacts.sums(theta[0], theta[1:]).score, -slope, rtol=1e-3, atol=1e-2)


def test_the_information_is_the_variance_of_the_score():
    random = np.random.default_rng(5)
    n, draws = 400, 4_000
    even = np.linspace(0, 1, 5)
    delays = Delays(even[1:-1], np.diff(even), random.dirichlet(np.ones(4), 1))
    base, extra = np.full(n, 0.3), np.full(n, 0.2)
    rate = base[:, None] * delays.alone + extra[:, None] * delays.brought[0]
    first = np.exp(rate - np.cumsum(rate, axis=1)) * -np.expm1(-rate)
    chances = np.append(first[0], 1 - first[0].sum())
    scores = []
    for _ in range(draws):
        at = random.choice(5, n, p=chances)
        outcome = (at < 4).astype(float)
        at = np.minimum(at, 3)
        design = np.zeros((n, 1), np.float32)
        scores.append(
            Contacts(design, outcome, base, at, delays.alone, delays.brought[0]).sums(np.log(0.2), np.zeros(1))
        )
    information = scores[0].information[0, 0]
    assert np.mean([each.score[0] for each in scores]) == pytest.approx(0.0, abs=4 * np.sqrt(information / draws))
    assert np.var([each.score[0] for each in scores]) == pytest.approx(information, rel=0.08)


def test_knowing_the_delay_tells_more_of_what_a_contact_adds():
    """Information about an effect grows by a third or so, where responses to contacts come after two days of seven."""
    seen, rates = world(6, 400_000, channels=1)
    design = np.random.default_rng(6).normal(size=(400_000, 1)).astype(np.float32)
    timed, plain = (
        contacts_of(seen, rates.base, design, 1, delays).sums(np.log(0.03), np.zeros(1)).information[1, 1]
        for delays in (rates.delays(seen, 1), untimed(1))
    )
    assert 1.2 < timed / plain < 1.6
