from itertools import pairwise, product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from contract.errors import RefusedError
from serving.allocation import allocate, offers_of, value_of
from serving.hashing import customer_hashes
from serving.limit_table import limit_table
from serving.limits import NO_CAPACITY, Limits
from serving.rounding import holds

UNIT = np.array([0.002, 0.06, 0.0005, 2.5, 0.85, 0.03, 0.4, 1.2])


def world(n, k, seed, *, tight=1.0, minimums=True, ties=False):
    """Gains, costs, limits and ties in which capacities, budget and minimums bind."""
    rng = np.random.default_rng(seed)
    unit = UNIT[:k]
    worth = rng.gamma(1.5, 0.6, (n, 1)) * rng.gamma(1.2, 0.5, (n, k))
    gain = worth * np.linspace(0.6, 1.6, k) * np.sqrt(unit / UNIT.mean() + 0.3) - unit
    if ties:
        gain = np.round(gain, 1)
    gain[rng.random((n, k)) < 0.3] = -np.inf
    capacity = np.full(k, NO_CAPACITY)
    capped = rng.random(k) < 0.6
    capacity[capped] = (rng.uniform(0.02, 0.2, k) * n * tight).astype(np.int64)[capped]
    minimum = np.zeros(k, dtype=np.int64)
    if minimums:
        minimum = np.minimum((rng.random(k) < 0.3) * (rng.uniform(0, 0.08, k) * n).astype(np.int64), capacity)
    budget = rng.uniform(0.05, 0.4) * n * tight + float(minimum @ unit)
    names = tuple(f"channel{index}" for index in range(k))
    tie = customer_hashes([f"c{row}" for row in range(n)])
    return gain, unit[None, :], Limits(names, budget, capacity, minimum), tie


def solved(gain, cost, limits, tie, exact_below=10_000):
    """The allocation of one campaign without groups."""
    return allocate(offers_of(gain, cost), limit_table(limits)[0], tie, exact_below)


def kept(found, gain, cost, limits):
    """Whether every limit is held."""
    return holds(found.picks, offers_of(gain, cost), limit_table(limits)[0])


def enumerated(gain, cost, limits):
    """The best value over every assignment, or None where none holds the limits."""
    n, k = gain.shape
    best = None
    offers, table = offers_of(gain, cost), limit_table(limits)[0]
    for actions in product(range(-1, k), repeat=n):
        action = np.array(actions, dtype=np.int16)
        rows = np.flatnonzero(action >= 0)
        if np.isfinite(gain[rows, action[rows]]).all() and holds(action[:, None], offers, table):
            best = max(value_of(action[:, None], offers, table), -np.inf if best is None else best)
    return best


@settings(max_examples=60)
@given(st.integers(0, 10**6), st.integers(1, 5), st.integers(1, 3), st.booleans(), st.booleans())
def test_tiny_plans_equal_the_best_of_all_assignments(seed, n, k, varying, free_budget):
    rng = np.random.default_rng(seed)
    gain = np.round(rng.normal(0.3, 1, (n, k)), 1)
    gain[rng.random((n, k)) < 0.25] = -np.inf
    cost = np.round(rng.uniform(0, 2, (n if varying else 1, k)), 2)
    minimum = (rng.random(k) < 0.3).astype(np.int64)
    capacity = np.maximum(minimum, rng.integers(0, n + 1, k))
    budget = np.inf if free_budget else float(np.round(rng.uniform(0, 1.5 * n), 2))
    limits = Limits(tuple("abc"[:k]), budget, capacity, minimum)
    best = enumerated(gain, cost, limits)
    tie = customer_hashes([str(row) for row in range(n)])
    if best is None:
        with pytest.raises(RefusedError, match="limits"):
            solved(gain, cost, limits, tie)
        return
    found = solved(gain, cost, limits, tie)
    assert kept(found, gain, cost, limits)
    assert found.value_eur == pytest.approx(best, abs=1e-6)
    assert found.bound_eur >= best - 1e-9
    assert found.method == "exact"


@settings(max_examples=40)
@given(st.integers(0, 10**6), st.sampled_from([1, 7, 60, 400, 3_000]), st.integers(1, 8), st.booleans())
def test_no_limit_is_ever_broken_and_the_bound_holds(seed, n, k, ties):
    gain, cost, limits, tie = world(n, k, seed, ties=ties)
    try:
        found = solved(gain, cost, limits, tie, exact_below=0)
    except RefusedError:
        assert limits.minimum.any()
        return
    assert kept(found, gain, cost, limits)
    rows = np.flatnonzero(found.action >= 0)
    chosen = gain[rows, found.action[rows]]
    assert np.isfinite(chosen).all()
    assert found.gap >= 0
    assert found.value_eur <= found.bound_eur + 1e-9 * abs(found.bound_eur)
    losing = np.bincount(found.action[rows][chosen < 0], minlength=k)
    contacts = np.bincount(found.action[rows], minlength=k)
    assert ((losing == 0) | (contacts <= limits.minimum)).all(), "a loss beyond what a minimum demands"
    assert (limits.minimum[found.action[rows][chosen <= 0]] > 0).all(), "a contact that earns nothing"


@pytest.mark.parametrize("seed", range(4))
def test_from_ten_thousand_customers_on_the_gap_is_below_a_hundredth_of_a_percent(seed):
    gain, cost, limits, tie = world(10_000 + 7_000 * seed, 8, seed)
    found = solved(gain, cost, limits, tie)
    assert kept(found, gain, cost, limits)
    assert found.gap < 1e-4


@pytest.mark.parametrize("seed", range(2))
def test_many_customers_are_priced_from_those_who_are_undecided(seed):
    """A sample's prices of rare contacts are far off: the steps from there must lead to the prices of all."""
    gain, cost, limits, tie = world(250_000, 8, seed)
    rare = np.where(np.arange(8) == 7, 400, limits.capacity)
    limits = Limits(limits.channels, limits.budget_eur, np.maximum(rare, limits.minimum), limits.minimum)
    found = solved(gain, cost, limits, tie)
    assert kept(found, gain, cost, limits)
    assert found.gap < 1e-5


def test_more_budget_is_never_worth_less():
    gain, cost, limits, tie = world(120, 4, 5, minimums=False)
    values = [
        solved(gain, cost, Limits(limits.channels, budget, limits.capacity, limits.minimum), tie).value_eur
        for budget in (0.0, 1.0, 5.0, 10.0, 20.0, 40.0, 1_000.0, np.inf)
    ]
    assert all(low <= high + 1e-6 for low, high in pairwise(values))
    assert values[0] < values[-1]


def test_the_same_input_gives_the_same_bytes():
    gain, cost, limits, tie = world(12_000, 6, 2, ties=True)
    one, other = solved(gain, cost, limits, tie), solved(gain.copy(), cost.copy(), limits, tie.copy())
    assert one.action.tobytes() == other.action.tobytes()
    assert one.gap == other.gap


@pytest.mark.parametrize("exact_below", [0, 1_000])
def test_equals_are_served_in_order_of_their_hash(exact_below):
    tie = customer_hashes([f"c{row}" for row in range(200)])
    limits = Limits(("a", "b"), np.inf, np.array([30, 50]), np.zeros(2, dtype=np.int64))
    found = solved(np.tile([2.0, 1.0], (200, 1)), np.zeros((1, 2)), limits, tie, exact_below=exact_below)
    served = np.argsort(tie)
    assert np.bincount(found.action[served[:80]], minlength=2).tolist() == [30, 50]
    assert (found.action[served[80:]] == -1).all()
    assert found.gap == 0 if exact_below else found.gap < 0.01


def test_the_price_of_a_limit_is_what_one_more_brings():
    gain, cost, limits, tie = world(6_000, 6, 7, minimums=False)
    base = solved(gain, cost, limits, tie)
    more = Limits(limits.channels, limits.budget_eur + 10.0, limits.capacity, limits.minimum)
    earned = solved(gain, cost, more, tie).value_eur - base.value_eur
    assert base.prices.budget > 0
    assert earned / 10.0 == pytest.approx(base.prices.budget, rel=0.05)


def test_nobody_to_contact_is_a_plan_of_nothing():
    limits = Limits(("a", "b"), 5.0, np.array([1, NO_CAPACITY]), np.zeros(2, dtype=np.int64))
    for gain in (np.zeros((0, 2)), np.full((3, 2), -np.inf), np.full((3, 2), -1.0)):
        found = solved(gain, np.zeros((1, 2)), limits, customer_hashes(["x"] * len(gain)))
        assert (found.action == -1).all()
        assert (found.value_eur, found.gap) == (0.0, 0.0)
