"""Which learner is taken: the best by log loss, and among those as good the cheapest to score."""

import numpy as np

from contract.params import LearnerName
from training.learners import ADDITIVE, DOUBLY_ROBUST, JOINT, choose_learner

N = 4_000
CUSTOMER = np.arange(N)


def taken(gaps, noise=0.02):
    """Losses that differ by these gaps, with noise whose mean is 0 to the last digit."""
    waves = [np.where(np.arange(N) // 2**i % 2 == 0, noise, -noise) for i in range(3)]
    losses = [0.2 + gap + wave for gap, wave in zip(gaps, waves, strict=True)]
    names: tuple[LearnerName, ...] = (JOINT, ADDITIVE, DOUBLY_ROBUST)
    at, contenders = choose_learner(names, losses, CUSTOMER)
    assert [each.taken for each in contenders] == [i == at for i in range(3)]
    return names[at]


def test_the_best_wins_where_it_is_clearly_better():
    assert taken((0.0, 0.01, 0.01)) == JOINT
    assert taken((0.01, 0.01, 0.0)) == DOUBLY_ROBUST


def test_among_those_as_good_the_cheapest_to_score_wins():
    assert taken((0.0, 0.0, 0.0), noise=1.0) == ADDITIVE
    assert taken((0.0, 0.01, 0.0), noise=0.001) == DOUBLY_ROBUST


def test_a_lead_that_may_be_chance_is_none():
    """The standard error of these differences is 0.00045."""
    assert taken((0.0, 0.0007, 0.0007)) == ADDITIVE
    assert taken((0.0, 0.0012, 0.0012)) == JOINT


def test_rows_of_one_customer_count_as_one():
    """A lead that rests on few customers is no lead."""
    loss = np.full(N, 0.2)
    other = loss - np.where(np.arange(N) < N // 2, 0.004, -0.002)
    few, many = np.arange(N) // (N // 4), np.arange(N)
    assert choose_learner((JOINT, ADDITIVE), (other, loss), few)[0] == 1
    assert choose_learner((JOINT, ADDITIVE), (other, loss), many)[0] == 0
