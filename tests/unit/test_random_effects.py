"""Random effects against a known truth, an independent optimiser, and a channel that hardly ever sends."""

import numpy as np
import pytest
from scipy.optimize import minimize

from models.effects import answer_probability
from models.random_effects import Contacts, Differences, Layout, _solved, _State, fit_differences, fit_random_effects
from models.random_effects import _Precisions as Precisions

TERMS = 6
PLAIN = Layout(group=np.zeros(TERMS, np.int64), view=np.full(TERMS, -1), channel=np.full(TERMS, -1))


def drawn(rng, rows, intercept, weights, base=0.03):
    design = rng.normal(size=(rows, TERMS)).astype(np.float32)
    rate = base + np.exp(np.minimum(intercept + design @ weights, 0.5))
    return Contacts(design, (rng.random(rows) < -np.expm1(-rate)).astype(np.float64), np.full(rows, base))


def world(seed, rows):
    """Channels that mean much the same by every term."""
    rng = np.random.default_rng(seed)
    common = np.array([0.8, -0.5, 0.0, 0.0, 0.3, 0.0])
    weights = [common + rng.normal(0, 0.1, TERMS) for _ in rows]
    return [drawn(rng, n, -3.0, w) for n, w in zip(rows, weights, strict=True)], weights


def test_recovers_what_each_term_means():
    contacts, weights = world(0, (60_000, 60_000, 60_000))
    found = fit_random_effects(contacts, PLAIN)
    assert found.iterations < 15
    assert np.abs(found.weights - np.array(weights).T).max() < 0.12
    assert np.abs(found.intercept - (-3.0)).max() < 0.12


def test_where_nothing_comes_by_itself_answers_are_recovered_too():
    """What the contact preference learns: shares of answers, with a channel that hardly ever sent."""
    rng = np.random.default_rng(7)
    means = [np.array([0.8, -0.5, 0.0, 0.0, 0.3, 0.0]) + rng.normal(0, 0.1, TERMS) for _ in range(3)]
    rows, intercepts = (60_000, 60_000, 300), np.array([-2.0, -3.0, -2.5])
    contacts = [drawn(rng, n, a, w, base=0.0) for n, a, w in zip(rows, intercepts, means, strict=True)]
    found = fit_random_effects(contacts, PLAIN)
    design = rng.normal(size=(2_000, TERMS))

    def shares(intercept, weights):
        answer = answer_probability(np.exp(intercept + design @ weights))
        return answer / answer.sum(axis=1, keepdims=True)

    true, said = shares(intercepts, np.array(means).T), shares(found.intercept, found.weights)
    assert np.abs(said - true).mean() < 0.03
    assert (said.argmax(axis=1) == true.argmax(axis=1)).mean() > 0.93


def test_a_channel_with_few_sends_borrows_from_the_others():
    contacts, weights = world(1, (60_000, 60_000, 150))
    found = fit_random_effects(contacts, PLAIN)
    alone = fit_random_effects(contacts[2:], PLAIN)
    wrong = np.abs(found.weights[:, 2] - weights[2]).mean()
    assert wrong < 0.15
    assert wrong < 0.5 * np.abs(alone.weights[:, 0] - weights[2]).mean()


def test_a_channel_without_contacts_gets_the_usual_effects():
    contacts, _ = world(2, (40_000, 40_000))
    nobody = Contacts(np.zeros((0, TERMS), np.float32), np.zeros(0), np.zeros(0))
    found = fit_random_effects([*contacts, nobody], PLAIN)
    assert np.allclose(found.weights[:, 2], found.weights[:, :2].mean(axis=1), atol=0.15)


def test_a_term_that_tells_nothing_is_drawn_to_zero():
    rng = np.random.default_rng(3)
    contacts = [drawn(rng, 3_000, -3.0, np.zeros(TERMS)) for _ in range(4)]
    found = fit_random_effects(contacts, PLAIN)
    assert np.abs(found.weights).max() < 0.12


def test_the_evidence_tells_groups_that_mean_something_from_those_that_do_not():
    """The first three terms mean the same on every channel, the next another thing on each, the last nothing."""
    rng = np.random.default_rng(9)
    layout = Layout(group=np.array([0, 0, 0, 1, 1, 2]), view=np.full(TERMS, -1), channel=np.full(TERMS, -1))
    common = np.array([0.6, -0.4, 0.3, 0.0, 0.0, 0.0])
    weights = [common + np.array([0, 0, 0, *rng.normal(0, 0.4, 2), 0]) for _ in range(4)]
    found = fit_random_effects([drawn(rng, 40_000, -3.0, w) for w in weights], layout)
    assert 0.25 < found.size[0] < 0.8
    assert 0.15 < found.size[1] < 0.8
    assert found.size[2] < 0.06
    assert np.abs(found.weights[5]).max() < 0.03


def test_a_view_of_the_own_history_is_learned_across_channels():
    """Term c tells of channel c's own answers; on other channels it means nothing."""
    rng = np.random.default_rng(4)
    layout = Layout(
        group=np.zeros(TERMS, np.int64), view=np.array([0, 0, 0, -1, -1, -1]), channel=np.array([0, 1, 2, -1, -1, -1])
    )
    contacts = [drawn(rng, n, -3.0, 0.7 * (np.arange(TERMS) == c)) for c, n in enumerate((50_000, 50_000, 300))]
    found = fit_random_effects(contacts, layout)
    assert found.weights[2, 2] == pytest.approx(0.7, abs=0.2)
    assert np.abs(found.weights[2, :2]).max() < 0.15


def test_the_mode_is_that_of_an_independent_optimiser():
    """With the precisions held, Fisher scoring ends where L-BFGS does, on the same penalised likelihood."""
    contacts, _ = world(5, (2_000, 1_500))
    precision = Precisions(np.array([20.0]), np.zeros(0), np.array([50.0]))
    owns = [PLAIN.own(c) for c in range(2)]
    start = np.full(2, -3.0)
    state = _State(start.copy(), np.zeros(TERMS), np.zeros(0), np.zeros((2, TERMS)))
    for _ in range(60):
        sums = [each.sums(state.intercept[c], state.common + state.apart[c]) for c, each in enumerate(contacts)]
        moved, _spread = _solved(sums, state, precision, PLAIN, owns, start)
        state = _State(*(old + step for old, step in zip(state, moved, strict=True)))

    def loss(theta):
        intercept, common, apart = theta[:2], theta[2 : 2 + TERMS], theta[2 + TERMS :].reshape(2, TERMS)
        found = 0.125 * ((intercept - start) ** 2).sum() + 10.0 * (common**2).sum() + 25.0 * (apart**2).sum()
        for c, each in enumerate(contacts):
            rate = each.base + np.exp(intercept[c] + each.design @ (common + apart[c]))
            found -= (each.outcome * np.log(-np.expm1(-rate)) - (1 - each.outcome) * rate).sum()
        return found

    other = minimize(loss, np.concatenate([start, np.zeros(3 * TERMS)]), method="L-BFGS-B", options={"maxiter": 2_000})
    mine = np.concatenate([state.intercept, state.common, state.apart.ravel()])
    assert loss(mine) <= other.fun + 1e-6
    assert np.abs(mine - other.x).max() < 0.02


def guessed(rng, rows, intercept, weights, noise=0.3):
    design = rng.normal(size=(rows, TERMS)).astype(np.float32)
    spread = noise * rng.uniform(0.5, 3.0, rows)
    return Differences.of(design, intercept + design @ weights + spread * rng.normal(size=rows), spread**-2)


def test_differences_recover_effects_of_either_sign():
    rng = np.random.default_rng(6)
    weights = [np.array([0.02, -0.03, 0.0, 0.01, 0.0, 0.0]) + rng.normal(0, 0.004, TERMS) for _ in range(3)]
    channels = [guessed(rng, 60_000, a, w) for a, w in zip((0.02, -0.01, 0.0), weights, strict=True)]
    found = fit_differences(channels, PLAIN, 0.02)
    assert found.intercept == pytest.approx([0.02, -0.01, 0.0], abs=0.004)
    assert np.abs(found.weights - np.array(weights).T).max() < 0.004


def test_differences_of_few_rows_borrow_from_the_others():
    rng = np.random.default_rng(7)
    common = np.array([0.05, -0.05, 0.0, 0.0, 0.03, 0.0])
    channels = [guessed(rng, rows, 0.02, common) for rows in (60_000, 60_000, 200)]
    nobody = Differences.of(np.zeros((0, TERMS), np.float32), np.zeros(0), np.zeros(0))
    found = fit_differences([*channels, nobody], PLAIN, 0.02)
    assert np.abs(found.weights[:, 2:] - common[:, None]).max() < 0.015
    assert found.intercept[3] == pytest.approx(0.02, abs=0.01)


def test_differences_weigh_the_rows_as_an_independent_solution_does():
    """With next to no prior, one channel alone is weighted least squares."""
    rng = np.random.default_rng(8)
    design = rng.normal(size=(5_000, TERMS)).astype(np.float32)
    guess, weight = rng.normal(size=5_000) + design[:, 0], rng.uniform(0.1, 2.0, 5_000)
    each = Differences.of(design, guess, weight)
    at = np.zeros(1 + TERMS)
    for _ in range(2):
        score, information = each.sums(at[0], at[1:])
        at = at + np.linalg.solve(information, score)
    root = np.sqrt(weight)[:, None]
    whole = np.column_stack([np.ones(5_000), design])
    other = np.linalg.lstsq(whole * root, guess * root[:, 0], rcond=None)[0]
    assert at == pytest.approx(other, abs=1e-9)
