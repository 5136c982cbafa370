"""Logged propensities are the frequencies of the actions, over thousands of draws, while limits bind."""

from dataclasses import dataclass, replace
from functools import cache

import numpy as np
import pytest

from contract.params import PlanLimit
from serving.allocation import offers_of
from serving.demand import Offers
from serving.exploration import decide, design, eligible_in
from serving.hashing import customer_hashes
from serving.limit_table import Groups, LimitTable, limit_table
from serving.limits import NO_CAPACITY, Limits
from serving.quotas import exploration_quota
from serving.roles import EXPLORE, HOLDOUT, INELIGIBLE, PLAN, Drawn, Randomness, draw_roles, explore_chance
from serving.rounding import holds
from serving.sets import several_contacts, single_contact
from serving.thompson import thompson_weights, uniform_weights

SEEDS = 2_000
UNIT = np.array([0.1, 0.5, 2.0])


@dataclass(frozen=True)
class World:
    """A small audience with what it may be offered, its limits and the randomness of its plan."""

    offers: Offers
    limits: LimitTable
    tie: np.ndarray
    weights: np.ndarray
    shares: Randomness

    def draws(self, seeds):
        fixed = design(self.offers, self.weights, self.limits, self.tie, self.shares)
        args = (self.offers, self.limits, self.tie, fixed)
        return [decide(*args, replace(self.shares, seed=seed)) for seed in range(seeds)]

    def design(self):
        return design(self.offers, self.weights, self.limits, self.tie, self.shares)

    def decided(self, drawn=None, fixed=None):
        return decide(self.offers, self.limits, self.tie, fixed or self.design(), self.shares, drawn)


def small_world(kind, n=60, seed=0, shares=(0.15, 0.25, 0.3)):
    """Budget, capacities, minimum and exploration quotas all bind; `kind` says what is beyond the plain case."""
    rng = np.random.default_rng(seed)
    campaigns = ("spring", "summer") if kind in ("two campaigns", "two contacts") else ("spring",)
    k = 3 * len(campaigns)
    cost = np.tile(UNIT, len(campaigns))[None, :]
    gain = rng.gamma(1.5, 1.0, (n, k)) * np.tile([0.4, 0.8, 1.6], len(campaigns)) - cost
    gain[rng.random((n, k)) < 0.3] = -np.inf
    gain[:2] = -np.inf
    gain[2:8, 3:] = -np.inf
    further: tuple[PlanLimit, ...] = ()
    groups = None
    if kind == "groups":
        groups = Groups({"region": rng.choice(np.array(["north", "south"], dtype=object), n)})
        north = {"region": "north"}
        further = (
            PlanLimit(channel="b", group=north, at_most=5),
            PlanLimit(channel="a", group=north, at_least=5),
            PlanLimit(group=north, budget_eur=10.0),
        )
    limits = Limits(("a", "b", "c"), 30.0, np.array([NO_CAPACITY, 12, 9]), np.array([8, 0, 0]), further)
    table, segment = limit_table(limits, campaigns, groups)
    rules = single_contact(k)._replace(
        campaign=np.repeat(np.arange(len(campaigns)), 3), moment=np.zeros(len(campaigns))
    )
    if kind == "two contacts":
        rules = several_contacts(2, rules.campaign, np.array([0.0, 72.0]), 48.0, 0.5)
    offers = offers_of(gain, cost, segment, rules)
    weights = uniform_weights(gain)[:, :-1]
    weights = np.hstack([weights, np.zeros((n, len(campaigns)), dtype=np.float32)])
    if kind == "thompson":
        weights = thompson_weights(gain, rng.uniform(0.2, 1.5, gain.shape))
    control = 0.1 if kind == "two campaigns" else 0.0
    tie = customer_hashes([f"c{row}" for row in range(n)])
    holdout, explore, most = shares
    return World(offers, table, tie, weights, Randomness(holdout, explore, most, campaigns, 0, control))


KINDS = ("plain", "groups", "thompson", "two campaigns", "two contacts")


@cache
def simulated(kind):
    world = small_world(kind)
    return world, world.draws(SEEDS)


def frequencies(world, draws):
    """How often each option, and no contact in each campaign, was taken, logged, and with which variance."""
    offers = world.offers
    n, k = offers.gain.shape
    campaigns = len(world.shares.campaigns)
    taken, logged, variance = (np.zeros((n, k + campaigns)) for _ in range(3))
    for draw in draws:
        hit = np.zeros((n, k + campaigns), dtype=bool)
        rows, slots = np.nonzero(draw.picks >= 0)
        hit[rows, draw.picks[rows, slots]] = True
        for campaign in range(campaigns):
            hit[:, k + campaign] = ~hit[:, :k][:, offers.rules.campaign == campaign].any(axis=1)
        vector = np.hstack([draw.chance, draw.none])
        taken += hit
        logged += vector
        variance += vector * (1 - vector)
    return taken, logged, variance


@pytest.mark.parametrize("kind", KINDS)
def test_over_all_seeds_actions_come_as_often_as_logged(kind):
    world, draws = simulated(kind)
    taken, logged, variance = frequencies(world, draws)
    assert (taken[logged == 0] == 0).all()
    random = variance > 5
    z = (taken - logged)[random] / np.sqrt(variance[random])
    assert random.sum() > 100
    assert np.abs(z).max() < 4.5
    assert z.std() == pytest.approx(1.0, abs=0.15)
    assert z.mean() == pytest.approx(0.0, abs=0.15)


@pytest.mark.parametrize("kind", KINDS)
def test_no_draw_breaks_a_limit_and_limits_bind(kind):
    world, draws = simulated(kind)
    assert all(most_held(draw.picks, world) for draw in draws)
    counts = np.array([np.isin(draw.picks, (2, 5)).sum() for draw in draws])
    assert counts.mean() > 0.6 * 9
    assert (world.design().quota.weight < 1).any(), "no channel is thinned"
    moving = np.std([draw.answers[:, 0, 0] for draw in draws], axis=0) > 0
    assert moving.sum() > 5, "nobody's plan depends on the others' roles"


def most_held(picks, world):
    """Whether capacities and budgets are held; minimums are the plan's alone to meet."""
    limits = world.limits
    return holds(picks, world.offers, limits.with_bounds(np.where(limits.sign < 0, 0.0, limits.bound)))


def test_inverse_propensity_estimates_are_unbiased():
    world, draws = simulated("plain")
    outcome = np.random.default_rng(1).random(len(world.tie))
    always = np.all([draw.chance[:, 0] > 0 for draw in draws], axis=0)
    estimates = []
    for draw in draws:
        hit = (draw.picks[:, 0] == 0) & always
        estimates.append((outcome[hit] / draw.chance[hit, 0]).sum())
    assert always.sum() > 10
    error = np.std(estimates) / np.sqrt(SEEDS)
    assert np.mean(estimates) == pytest.approx(outcome[always].sum(), abs=4 * error)


@pytest.mark.parametrize("kind", KINDS)
def test_vectors_sum_to_one_and_the_taken_action_was_possible(kind):
    world, draws = simulated(kind)
    for draw in draws[:200]:
        for campaign in range(len(world.shares.campaigns)):
            own = draw.chance[:, world.offers.rules.campaign == campaign]
            total = draw.none[:, campaign] + own.sum(axis=1)
            assert (total >= 1 - 1e-12).all()
            if world.offers.rules.contacts == 1:
                assert total == pytest.approx(1.0)
        rows, slots = np.nonzero(draw.picks >= 0)
        assert (draw.chance[rows, draw.picks[rows, slots]] > 0).all()
        assert (draw.chance <= 1 + 1e-12).all()
        assert (draw.chance[~np.isfinite(world.offers.gain)] == 0).all()
        assert (draw.drawn.role[:2] == INELIGIBLE).all()
        assert (draw.picks[:2] == -1).all()


@pytest.mark.parametrize("kind", KINDS)
def test_what_the_plan_would_do_does_not_depend_on_the_customers_own_role(kind):
    """The definition of an exact counterfactual: changing one customer's draw leaves its logged vector as it is."""
    world = small_world(kind, seed=4, shares=(0.2, 0.3, 0.4))
    eligible = eligible_in(world.offers)
    roles = draw_roles(world.tie, eligible, world.shares)
    fixed = world.design()
    base = world.decided(fixed=fixed)
    assert {PLAN, EXPLORE, HOLDOUT} <= set(roles.role.ravel().tolist())
    for row in range(2, len(world.tie)):
        for campaign in np.flatnonzero(eligible[row]):
            for forced in (PLAN, EXPLORE, HOLDOUT):
                changed = roles.role.copy()
                changed[row, campaign] = forced
                again = world.decided(Drawn(changed, roles.control), fixed)
                assert again.chance[row].tolist() == base.chance[row].tolist()
                assert again.none[row].tolist() == base.none[row].tolist()


def test_roles_stay_when_the_audience_grows_and_differ_between_campaigns():
    ids = [f"c{row}" for row in range(3_000)]
    everyone = np.ones((3_000, 2), dtype=bool)
    shares = Randomness(0.1, 0.1, 0.1, ("spring", "summer"), 0, control_share=0.2)
    many = draw_roles(customer_hashes(ids), everyone, shares)
    few = draw_roles(customer_hashes(ids[::3]), everyone[::3], shares)
    assert (many.role[::3] == few.role).all()
    assert (many.control[::3] == few.control).all()
    other = draw_roles(customer_hashes(ids), everyone, replace(shares, campaigns=("autumn", "winter")))
    assert (many.control == other.control).all(), "the control group is the same in all campaigns"
    assert many.control.mean() == pytest.approx(0.2, abs=0.03)
    both = (many.role == HOLDOUT).all(axis=1).mean()
    assert (many.role == HOLDOUT).mean() == pytest.approx(0.1, abs=0.02)
    assert both == pytest.approx(0.01, abs=0.008)


def test_the_control_group_is_contacted_by_nobody():
    _, draws = simulated("two campaigns")
    for draw in draws[:100]:
        assert (draw.picks[draw.drawn.control] == -1).all()
    assert np.mean([draw.drawn.control.mean() for draw in draws]) == pytest.approx(0.1, abs=0.01)


def free_world(kind, n=4_000):
    world = small_world(kind, n, shares=(0.0, 0.5, 0.1))
    free = Limits(("a", "b", "c"), np.inf, np.full(3, NO_CAPACITY), np.zeros(3, dtype=np.int64))
    return replace(world, limits=limit_table(free, world.shares.campaigns)[0])


@pytest.mark.parametrize("kind", ["plain", "thompson"])
def test_exploration_is_by_its_weights_where_no_limit_hinders_it(kind):
    world = free_world(kind)
    draw = world.decided()
    every = np.arange(len(world.tie))
    planned = np.zeros((len(world.tie), 4))
    planned[every, draw.answers[:, 0, 0]] = 0.5
    expected = 0.5 * world.weights / np.maximum(world.weights.sum(axis=1, keepdims=True), 1)
    reached = eligible_in(world.offers)[:, 0]
    assert (np.hstack([draw.chance, draw.none]) - planned)[reached] == pytest.approx(expected[reached])


def test_thompson_weights_are_how_often_each_draw_is_best():
    mean = np.array([[1.0, 0.5, -np.inf], [-2.0, -3.0, -9.0], [0.3, 0.3, 0.3]])
    error = np.array([[0.5, 1.0, 1.0], [0.1, 0.1, 0.1], [0.0, 0.2, 0.4]])
    found = thompson_weights(mean, error)
    found = found / found.sum(axis=1, keepdims=True)
    draws = mean[:, None] + error[:, None] * np.random.default_rng(5).standard_normal((200_000, 3))
    best = np.concatenate([draws, np.zeros((3, 200_000, 1))], axis=2).argmax(axis=2)
    truth = np.stack([np.bincount(each, minlength=4) for each in best]) / 200_000
    assert found == pytest.approx(truth, abs=0.06)
    assert found[1].tolist() == [0, 0, 0, 1], "what surely loses money is not tried"
    assert found[0, 2] == 0


def test_exploration_leaves_minimums_and_most_of_every_limit_to_the_plan():
    world = small_world("plain", n=2_000)
    limits, _ = limit_table(Limits(("a", "b", "c"), 100.0, np.array([50, 400, 10]), np.array([48, 0, 10])))
    chance = explore_chance(eligible_in(world.offers), Randomness(0.0, 0.3, 0.1, ("x",), 0))
    quota = exploration_quota(world.weights, chance, world.offers, limits, 0.1)
    by_name = dict(zip([row.name for row in limits.rows], quota.total, strict=True))
    assert by_name["capacity a"] <= 2
    assert by_name["capacity c"] == 0
    assert by_name["budget"] <= 10.0 + 1e-9
