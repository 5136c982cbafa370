"""How responses come: shares of a known truth, probabilities that stay the same, effects known more closely."""

from dataclasses import replace

import numpy as np
import pytest
from numpy.testing import assert_allclose
from scipy.optimize import approx_fprime

from models.marks import Came, Marks, fit_marks, unmarked
from models.random_effects import Contacts
from training.additive import Rates, Seen

MEAN_DELAY = 2 / 7
"""Of responses that contacts bring, in shares of the horizon; what comes by itself is spread evenly."""
BY_ITSELF, BROUGHT = (0.1, 0.0), (0.7, 0.2)
"""Shares of responses that are tied to the send, by channel."""


def by_contact(random, n):
    """Delays of responses that a contact brings: exponential, cut off at the horizon."""
    return -MEAN_DELAY * np.log1p(-random.random(n) * -np.expm1(-1 / MEAN_DELAY))


def drawn(random, base, excess, action):
    """How the first of both streams responded."""
    own = np.where(random.random(len(base)) < -np.expm1(-base), first_even(random, base), np.inf)
    # At these rates a second response of the stream hardly ever comes, so the first is a response at random.
    helped = np.where(random.random(len(base)) < -np.expm1(-excess), by_contact(random, len(base)), np.inf)
    first = np.minimum(own, helped)
    share = np.where(helped < own, np.array([0.0, *BROUGHT])[action], np.array([0.0, *BY_ITSELF])[action])
    came = np.isfinite(first)
    return Came(np.where(came, first, np.nan).astype(np.float32), came & (random.random(len(base)) < share))


def first_even(random, base):
    """The first of a Poisson stream that is known to have any."""
    return -np.log1p(-random.random(len(base)) * -np.expm1(-base)) / base


def world(seed, n, channels=2):
    random = np.random.default_rng(seed)
    action = random.integers(0, 1 + channels, n)
    base = 0.05 * np.exp(0.3 * random.normal(size=n))
    excess = np.where(action > 0, 0.03, 0.0)
    came = drawn(random, base, excess, action)
    return Seen(action, np.isfinite(came.delay).astype(np.int8), came), Rates(base, excess)


def test_shares_are_those_of_the_truth():
    seen, rates = world(0, 400_000)
    found = rates.marks(seen, 2)
    assert_allclose([*found.alone.sum(axis=1), *found.brought.sum(axis=1)], 1.0)
    edges = np.concatenate([[0.0], found.edges, [1.0]])
    alone, brought = (shares.reshape(len(shares), -1, 2) for shares in (found.alone, found.brought))
    assert_allclose(alone.sum(axis=2), np.tile(np.diff(edges), (3, 1)), atol=0.015)
    truth = np.diff(np.expm1(-edges / MEAN_DELAY) / np.expm1(-1 / MEAN_DELAY))
    assert_allclose(brought.sum(axis=2), [truth, truth], atol=0.03)
    assert_allclose(alone[:, :, 0].sum(axis=1), [0.0, *BY_ITSELF], atol=0.02)
    assert_allclose(brought[:, :, 0].sum(axis=1), BROUGHT, atol=0.05)


def test_where_nothing_is_tied_only_the_delay_tells():
    seen, rates = world(7, 400_000)
    seen.came.tied[:] = False
    found = rates.marks(seen, 2)
    assert found.alone.shape == (3, 1 + len(found.edges))
    assert found.brought.shape == (2, 1 + len(found.edges))


def test_ties_that_everybody_has_alike_say_nothing():
    """A shop that ties whatever follows a message learns no more from that than from the delay."""
    seen, rates = world(8, 400_000)
    random = np.random.default_rng(8)
    came = np.isfinite(seen.came.delay) & (seen.action > 0)
    claimed = replace(seen, came=Came(seen.came.delay, came & (random.random(len(came)) < 0.6)))
    untied = replace(seen, came=Came(seen.came.delay, np.zeros_like(came)))
    with_ties, without = (rates.expected_without(each, rates.marks(each, 2))[came].mean() for each in (claimed, untied))
    assert with_ties == pytest.approx(without, rel=0.005)
    split = rates.marks(claimed, 2).alone.reshape(3, -1, 2)[1:, :, 0].sum(axis=1)
    assert_allclose(split, 0.6, atol=0.03)


def test_few_responses_say_nothing():
    seen, rates = world(1, 2_000)
    assert len(rates.marks(seen, 2).edges) == 0
    first = seen.came.rows(np.zeros(9_000, np.int64))
    alone = fit_marks(np.zeros(9_000, np.int64), first, np.ones(9_000), np.zeros(9_000), 3)
    assert alone.brought.shape == (3, 1)


def test_what_came_by_itself_is_told_from_what_a_contact_brought():
    seen, rates = world(2, 400_000)
    contacted = seen.action > 0
    alone = rates.expected_without(seen, rates.marks(seen, 2))
    # As many as come by themselves, whatever is known; the more the later, and few of those that are tied.
    assert alone[contacted].mean() == pytest.approx(rates.base[contacted].mean(), rel=0.02)
    assert rates.expected_without(seen, unmarked(2))[contacted].mean() == pytest.approx(
        rates.base[contacted].mean(), rel=0.02
    )
    delay, tied = seen.came
    soon, late = (alone[contacted & ~tied & (delay >= a) & (delay < b)].mean() for a, b in ((0, 0.1), (0.8, 1)))
    assert soon < 0.65 < 0.85 < late
    assert alone[(seen.action == 2) & tied & (delay < 0.1)].mean() < 0.15
    assert (alone[~np.isfinite(delay)] == 0).all()


def test_the_bins_share_out_the_probability_of_the_horizon():
    random = np.random.default_rng(3)
    shares = random.dirichlet(np.ones(5), 2)
    base, excess = 0.4, 0.3
    rate = base * shares[0] + excess * shares[1]
    first = np.exp(rate - np.cumsum(rate)) * -np.expm1(-rate)
    assert first.sum() == pytest.approx(-np.expm1(-base - excess))


def even_marks(random, bins, channels):
    """Marks of bins as long as each other, nothing tied."""
    even = np.linspace(0, 1, bins + 1)
    return Marks(even[1:-1], np.tile(np.diff(even), (1 + channels, 1)), random.dirichlet(np.ones(bins), channels))


def contacts_of(seen, base, design, channel, marks):
    own = np.flatnonzero(seen.action == channel)
    outcome = seen.response[own].astype(float)
    at = marks.of(seen.came.rows(own))
    return Contacts(design[own], outcome, base[own], at, marks.alone[channel], marks.brought[channel - 1])


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
    contacts = contacts_of(seen, rates.base, design, 1, even_marks(random, 5, 2))
    theta = np.array([-3.0, 0.2, -0.1])
    slope = approx_fprime(theta, lambda at: loss_of(contacts, at), 1e-6)
    assert_allclose(contacts.sums(theta[0], theta[1:]).score, -slope, rtol=1e-3, atol=1e-2)


def test_the_information_is_the_variance_of_the_score():
    random = np.random.default_rng(5)
    n, draws = 400, 4_000
    marks = even_marks(random, 4, 1)
    base, extra = np.full(n, 0.3), np.full(n, 0.2)
    rate = base[:, None] * marks.alone[1] + extra[:, None] * marks.brought[0]
    first = np.exp(rate - np.cumsum(rate, axis=1)) * -np.expm1(-rate)
    chances = np.append(first[0], 1 - first[0].sum())
    scores = []
    for _ in range(draws):
        at = random.choice(5, n, p=chances)
        outcome = (at < 4).astype(float)
        at = np.minimum(at, 3)
        design = np.zeros((n, 1), np.float32)
        scores.append(
            Contacts(design, outcome, base, at, marks.alone[1], marks.brought[0]).sums(np.log(0.2), np.zeros(1))
        )
    information = scores[0].information[0, 0]
    assert np.mean([each.score[0] for each in scores]) == pytest.approx(0.0, abs=4 * np.sqrt(information / draws))
    assert np.var([each.score[0] for each in scores]) == pytest.approx(information, rel=0.08)


def test_knowing_the_marks_tells_more_of_what_a_contact_adds():
    """Information about an effect grows by a third or so, where responses to contacts come after two days of seven, and
    many times where most of them are tied and few others are.
    """
    seen, rates = world(6, 400_000, channels=1)
    untied = replace(seen, came=Came(seen.came.delay, np.zeros_like(seen.came.tied)))
    design = np.random.default_rng(6).normal(size=(400_000, 1)).astype(np.float32)
    tied, timed, plain = (
        contacts_of(each, rates.base, design, 1, marks).sums(np.log(0.03), np.zeros(1)).information[1, 1]
        for each, marks in ((seen, rates.marks(seen, 1)), (untied, rates.marks(untied, 1)), (seen, unmarked(1)))
    )
    assert 1.2 < timed / plain < 1.6 < tied / plain
