"""The curve of value by budget is concave, its slope is the price, and the plan lies on it."""

from dataclasses import replace

import numpy as np
import pytest

from serving.allocation import allocate, offers_of
from serving.dual import solve_prices
from serving.frontier import frontier
from serving.hashing import mixed
from serving.limit_table import limit_table
from serving.limits import NO_CAPACITY, Limits

COST = np.array([[0.01, 1.0, 3.0]])
LIMITS = Limits(("email", "sms", "phone"), 450.0, np.array([NO_CAPACITY, 350, 75]), np.zeros(3, dtype=np.int64))


def instance(n=2_000, seed=0):
    rng = np.random.default_rng(seed)
    gain = rng.gamma(1.0, 1.0, (n, 3)) * [0.5, 2.0, 4.0] - COST
    gain[rng.random((n, 3)) < 0.2] = -np.inf
    return offers_of(gain, COST), mixed(np.arange(n, dtype=np.uint64))


def table(limits=LIMITS):
    return limit_table(limits)[0]


def planned(offers, limits, tie):
    return allocate(offers, table(limits), tie)


def test_the_curve_rises_ever_less_and_passes_through_plans():
    offers, tie = instance()
    plan = planned(offers, LIMITS, tie)
    found = frontier(offers, table(), tie, plan.prices.each)
    budget = np.array([each.budget_eur for each in found.points])
    net = np.array([each.net_eur for each in found.points])
    price = np.array([each.price for each in found.points])
    assert (np.diff(budget) > 0).all()
    assert (np.diff(net) >= -1e-6).all()
    slope = np.diff(net) / np.diff(budget)
    assert (np.diff(slope) <= 1e-6).all()
    assert (slope <= price[:-1] + 1e-3).all()
    assert (slope >= price[1:] - 1e-3).all()
    own = int(np.flatnonzero(budget == LIMITS.budget_eur)[0])
    assert net[own] == pytest.approx(plan.value_eur, rel=1e-4)
    other = planned(offers, replace(LIMITS, budget_eur=float(budget[6])), tie)
    assert other.value_eur <= net[6] + 1e-6
    assert net[6] == pytest.approx(other.value_eur, rel=1e-3)
    free = planned(offers, replace(LIMITS, budget_eur=np.inf), tie)
    assert net[-1] == pytest.approx(free.value_eur, rel=1e-4)
    assert found.enough_eur == pytest.approx(COST[0, free.picks[free.picks >= 0]].sum(), rel=0.01)


def test_a_sample_of_many_customers_tells_the_same(monkeypatch):
    offers, tie = instance(40_000)
    limits = replace(LIMITS, budget_eur=9_000.0, capacity=np.array([NO_CAPACITY, 7_000, 1_500]))
    start = solve_prices(offers, table(limits), tie)
    whole = frontier(offers, table(limits), tie, start)
    monkeypatch.setattr("serving.frontier.MOST_CUSTOMERS", 10_000)
    sampled = frontier(offers, table(limits), tie, start)
    assert sampled.customers < 11_000
    at = [each.budget_eur for each in whole.points]
    close = np.interp(at, [p.budget_eur for p in sampled.points], [p.net_eur for p in sampled.points])
    assert close[3:] == pytest.approx([each.net_eur for each in whole.points][3:], rel=0.015)
    own = next(each for each in sampled.points if each.budget_eur == pytest.approx(limits.budget_eur))
    assert own.net_eur == pytest.approx(np.interp(limits.budget_eur, at, [p.net_eur for p in whole.points]), rel=1e-3)


def test_budgets_below_what_minimums_cost_are_not_asked():
    offers, tie = instance()
    floor = replace(LIMITS, minimum=np.array([0, 200, 0]))
    found = frontier(offers, table(floor), tie, np.zeros(len(table(floor).rows)))
    assert found.points[0].budget_eur == pytest.approx(200.0)


def test_there_is_no_curve_where_nothing_costs():
    offers, tie = instance(50)
    none = np.zeros(len(table().rows))
    found = frontier(offers_of(offers.gain, np.zeros((1, 3))), table(), tie, none)
    assert found.points == ()
    assert found.missing == "no contact that is worth making costs anything"
    assert frontier(offers.rows(np.arange(0)), table(), tie[:0], none).missing == "there is nobody to contact"
