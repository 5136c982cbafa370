from dataclasses import replace

import numpy as np
import pytest

from serving.exploration import (
    EXPLORE,
    HOLDOUT,
    INELIGIBLE,
    PLAN,
    Randomness,
    decide,
    design,
    draw_roles,
    exploration_quota,
)
from serving.hashing import customer_hashes
from serving.limits import NO_CAPACITY, Limits
from serving.rounding import holds

SEEDS = 2_000


def small_world(n=60, k=3, seed=0):
    rng = np.random.default_rng(seed)
    unit = np.array([[0.1, 0.5, 2.0]])
    gain = rng.gamma(1.5, 1.0, (n, k)) * np.array([0.4, 0.8, 1.6]) - unit
    open_cells = rng.random((n, k)) < 0.7
    open_cells[:2] = False
    gain[~open_cells] = -np.inf
    limits = Limits(("a", "b", "c"), 30.0, np.array([NO_CAPACITY, 12, 9]), np.array([8, 0, 0]))
    return gain, unit, open_cells, limits, customer_hashes([f"c{row}" for row in range(n)])


@pytest.fixture(scope="module")
def simulated():
    """2,000 draws of one small audience with budget, capacities, minimum and exploration quotas all binding."""
    gain, cost, open_cells, limits, tie = small_world()
    shares = Randomness(0.15, 0.25, 0.3, "spring", 0)
    fixed = design(gain, cost, open_cells, limits, tie, shares)
    draws = [decide(gain, cost, open_cells, tie, fixed, replace(shares, seed=seed)) for seed in range(SEEDS)]
    return gain, cost, limits, fixed, draws


def test_over_all_seeds_actions_come_as_often_as_logged(simulated):
    gain, _, _, _, draws = simulated
    n, k = gain.shape
    taken, logged, variance = np.zeros((n, k + 1)), np.zeros((n, k + 1)), np.zeros((n, k + 1))
    for draw in draws:
        taken[np.arange(n), draw.action + 1] += 1
        logged += draw.propensity
        variance += draw.propensity * (1 - draw.propensity)
    impossible = logged == 0
    assert (taken[impossible] == 0).all()
    random = variance > 5
    z = (taken - logged)[random] / np.sqrt(variance[random])
    assert random.sum() > 100
    assert np.abs(z).max() < 4.5
    assert z.std() == pytest.approx(1.0, abs=0.15)
    assert z.mean() == pytest.approx(0.0, abs=0.15)


def test_inverse_propensity_estimates_are_unbiased(simulated):
    gain, _, _, _, draws = simulated
    n, k = gain.shape
    outcome = np.random.default_rng(1).random((n, k + 1))
    always = np.all([draw.propensity[:, 1] > 0 for draw in draws], axis=0)
    estimates = []
    for draw in draws:
        hit = (draw.action == 0) & always
        estimates.append((outcome[hit, 1] / draw.propensity[hit, 1]).sum())
    assert always.sum() > 10
    error = np.std(estimates) / np.sqrt(SEEDS)
    assert np.mean(estimates) == pytest.approx(outcome[always, 1].sum(), abs=4 * error)


def test_no_draw_breaks_a_limit(simulated):
    _, cost, limits, _, draws = simulated
    assert all(holds(draw.action, cost, limits) for draw in draws)


def test_limits_bind_so_that_the_simulation_means_something(simulated):
    _, _, limits, fixed, draws = simulated
    counts = np.array([np.bincount(draw.action[draw.action >= 0], minlength=3) for draw in draws])
    assert counts[:, 2].mean() > 0.7 * limits.capacity[2]
    assert (fixed.quota.weight < 1).any(), "no channel is thinned"
    moving = np.std([draw.planned for draw in draws], axis=0) > 0
    assert moving.sum() > 5, "nobody's plan depends on the others' roles"


def test_vectors_sum_to_one_and_the_taken_action_was_possible(simulated):
    gain, _, _, _, draws = simulated
    for draw in draws[:200]:
        assert draw.propensity.sum(axis=1) == pytest.approx(1.0)
        taken = draw.propensity[np.arange(len(gain)), draw.action + 1]
        assert ((taken > 0) & (taken <= 1 + 1e-12)).all()
        assert (draw.propensity[:, 1:][~np.isfinite(gain)] == 0).all()
        assert (draw.role[:2] == INELIGIBLE).all()
        assert (draw.action[:2] == -1).all()


def test_what_the_plan_would_do_does_not_depend_on_the_customers_own_role():
    """The definition of an exact counterfactual: changing one customer's draw leaves its logged vector as it is."""
    gain, cost, open_cells, limits, tie = small_world(seed=4)
    shares = Randomness(0.2, 0.3, 0.4, "autumn", 3)
    fixed = design(gain, cost, open_cells, limits, tie, shares)
    roles = draw_roles(tie, open_cells.any(axis=1), shares)
    base = decide(gain, cost, open_cells, tie, fixed, shares)
    assert {PLAN, EXPLORE, HOLDOUT} <= set(roles.tolist())
    for row in range(len(tie)):
        for forced in (PLAN, EXPLORE, HOLDOUT):
            if roles[row] == INELIGIBLE:
                continue
            changed = roles.copy()
            changed[row] = forced
            again = decide(gain, cost, open_cells, tie, fixed, shares, roles=changed)
            assert again.propensity[row].tolist() == base.propensity[row].tolist()


def test_roles_stay_when_the_audience_grows_and_differ_between_campaigns():
    ids = [f"c{row}" for row in range(3_000)]
    everyone = np.ones(3_000, dtype=bool)
    shares = Randomness(0.1, 0.1, 0.1, "spring", 0)
    many = draw_roles(customer_hashes(ids), everyone, shares)
    few = draw_roles(customer_hashes(ids[::3]), everyone[::3], shares)
    assert (many[::3] == few).all()
    other = draw_roles(customer_hashes(ids), everyone, replace(shares, campaign="summer"))
    both = ((many == HOLDOUT) & (other == HOLDOUT)).mean()
    assert (many == HOLDOUT).mean() == pytest.approx(0.1, abs=0.02)
    assert both == pytest.approx(0.01, abs=0.008)


def test_exploration_is_uniform_where_no_limit_hinders_it():
    gain, cost, open_cells, limits, tie = small_world(n=4_000)
    free = Limits(limits.channels, np.inf, np.full(3, NO_CAPACITY), np.zeros(3, dtype=np.int64))
    shares = Randomness(0.0, 0.5, 0.1, "spring", 0)
    draw = decide(gain, cost, open_cells, tie, design(gain, cost, open_cells, free, tie, shares), shares)
    width = open_cells.sum(axis=1, keepdims=True)
    planned = np.zeros((len(tie), 4))
    planned[np.arange(len(tie)), draw.planned + 1] = 0.5
    expected = 0.5 * open_cells / np.maximum(width, 1)
    chosen = width[:, 0] > 0
    assert (draw.propensity - planned)[chosen, 1:] == pytest.approx(expected[chosen])


def test_exploration_leaves_minimums_and_most_of_every_limit_to_the_plan():
    _, cost, open_cells, _, _ = small_world(n=2_000)
    limits = Limits(("a", "b", "c"), 100.0, np.array([50, 400, 10]), np.array([48, 0, 10]))
    quota = exploration_quota(open_cells, cost, limits, Randomness(0.0, 0.3, 0.1, "x", 0))
    assert quota.contacts.tolist()[0] <= 2
    assert quota.contacts[2] == 0
    assert quota.eur.sum() <= 10.0 + 1e-9
