"""Groups, campaigns and several contacts: never a broken limit, the best of all plans where all can be tried."""

from itertools import pairwise, product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmarks.parts.general_plans import general_instance
from contract.errors import RefusedError
from contract.params import PlanLimit
from serving.allocation import allocate, offers_of, value_of
from serving.clashes import require_feasible, smallest_clash
from serving.demand import add_demand
from serving.dual import dual_value
from serving.hashing import customer_hashes
from serving.limit_table import Groups, limit_table
from serving.limits import NO_CAPACITY, Limits
from serving.rounding import holds


def allowed_sets(offers, row):
    """Every allowed set of a customer, options most valuable first, by the definition of the rules."""
    rules = offers.rules
    options = [option for option in range(offers.gain.shape[1]) if offers.gain[row, option] > -np.inf]
    found: list[tuple[int, ...]] = [()]
    for chosen in product([False, True], repeat=len(options)):
        picks = [option for option, taken in zip(options, chosen, strict=True) if taken]
        if 0 < len(picks) <= rules.contacts and spaced(rules, picks):
            found.append(tuple(picks))
    return [each + (-1,) * (rules.contacts - len(each)) for each in found]


def spaced(rules, picks):
    """Whether no two contacts are nearer than the gap: those of a campaign follow each other from its moment on."""
    moments = sorted(
        rules.moment[campaign] + place * rules.gap
        for campaign in set(rules.campaign[picks].tolist())
        for place in range(int((rules.campaign[picks] == campaign).sum()))
    )
    return all(later - earlier >= rules.gap - 1e-9 for earlier, later in pairwise(moments))


def enumerated(offers, table):
    """The best value over every plan, or None where none holds the limits."""
    best = None
    for picks in product(*(allowed_sets(offers, row) for row in range(len(offers)))):
        plan = np.array(picks, dtype=np.int16).reshape(len(offers), offers.rules.contacts)
        if holds(plan, offers, table):
            value = value_of(plan, offers, table)
            best = value if best is None else max(best, value)
    return best


@settings(max_examples=60)
@given(st.integers(0, 10**6), st.integers(1, 4), st.sampled_from([1, 2]), st.sampled_from([1, 2]))
def test_tiny_general_plans_equal_the_best_of_all(seed, n, campaigns, contacts):
    offers, table, tie = general_instance(n, seed, channels=2, campaigns=campaigns, contacts=contacts, tight=True)
    best = enumerated(offers, table)
    if best is None:
        with pytest.raises(RefusedError, match="limits"):
            allocate(offers, table, tie)
        return
    found = allocate(offers, table, tie)
    assert holds(found.picks, offers, table)
    assert found.value_eur == pytest.approx(best, abs=1e-6)
    assert found.bound_eur >= best - 1e-9


@settings(max_examples=30)
@given(st.integers(0, 10**6), st.sampled_from([1, 9, 80, 700]), st.integers(1, 4), st.integers(1, 3), st.booleans())
def test_no_general_limit_is_ever_broken(seed, n, channels, campaigns, several):
    offers, table, tie = general_instance(n, seed, channels, campaigns, contacts=3 if several else 1)
    try:
        found = allocate(offers, table, tie, exact_below=0)
    except RefusedError:
        assert table.has_minimums
        return
    assert holds(found.picks, offers, table)
    assert found.value_eur <= found.bound_eur + 1e-9 * abs(found.bound_eur)
    for row in range(n):
        picks = [int(option) for option in found.picks[row] if option >= 0]
        assert np.isfinite(offers.gain[row, picks]).all()
        assert len(set(picks)) == len(picks)
        assert spaced(offers.rules, picks)


@pytest.mark.parametrize(("campaigns", "contacts"), [(1, 1), (2, 1), (1, 2), (2, 2)])
def test_from_ten_thousand_customers_on_the_gap_is_small(campaigns, contacts):
    offers, table, tie = general_instance(12_000, 3, 4, campaigns, contacts)
    found = allocate(offers, table, tie)
    assert holds(found.picks, offers, table)
    assert found.gap < 1e-4


@pytest.mark.parametrize(("campaigns", "contacts"), [(2, 1), (2, 2)])
def test_prices_and_rounding_alone_come_close(campaigns, contacts, monkeypatch):
    """As for audiences that are too large for any core to be solved."""
    monkeypatch.setattr("serving.allocation.POLISH_BELOW", 0)
    offers, table, tie = general_instance(12_000, 8, 8, campaigns, contacts)
    found = allocate(offers, table, tie, exact_below=0)
    assert holds(found.picks, offers, table)
    assert found.gap < 1e-3


@settings(max_examples=40)
@given(st.integers(0, 10**6), st.integers(1, 3), st.integers(1, 3))
def test_alone_each_customer_takes_its_best_allowed_set(seed, campaigns, contacts):
    offers, table, _ = general_instance(8, seed, 3, campaigns, contacts)
    price = np.random.default_rng(seed).gamma(1.0, 0.1, len(table.rows))
    rate, toll = table.toll(price)
    truth = 0.0
    for row in range(len(offers)):
        part = offers.segments(np.array([row]))[0]
        worth = []
        for picks in allowed_sets(offers, row):
            chosen = [option for option in picks if option >= 0]
            plan = np.full((len(offers), offers.rules.contacts), -1, dtype=np.int16)
            plan[row] = picks
            charged = sum(rate[part, each] * offers.cost[0, each] + toll[part, each] for each in chosen)
            worth.append(value_of(plan, offers, table) - charged)
        truth += max(worth)
    assert add_demand(offers, rate, toll)[0] == pytest.approx(truth)
    assert dual_value(offers, table, price) == pytest.approx(truth + table.fixed_part(price))


def test_one_segment_and_one_campaign_are_the_plain_case():
    """Groups that hold everybody change nothing, to the last byte."""
    rng = np.random.default_rng(1)
    gain = rng.normal(0.3, 1, (3_000, 3))
    cost = np.array([[0.1, 0.2, 0.4]])
    tie = customer_hashes([f"c{row}" for row in range(3_000)])
    plain = Limits(("a", "b", "c"), 90.0, np.array([300, NO_CAPACITY, 200]), np.array([0, 250, 0]))
    everybody = {"region": "north"}
    further = (
        PlanLimit(group=everybody, budget_eur=90.0),
        PlanLimit(channel="a", group=everybody, at_most=300),
        PlanLimit(channel="c", group=everybody, at_most=200),
        PlanLimit(channel="b", group=everybody, at_least=250),
    )
    grouped = Limits(("a", "b", "c"), np.inf, np.full(3, NO_CAPACITY), np.zeros(3, dtype=np.int64), further)
    groups = Groups({"region": np.full(3_000, "north", dtype=object)})
    table, segment = limit_table(grouped, groups=groups)
    one = allocate(offers_of(gain, cost), limit_table(plain)[0], tie)
    other = allocate(offers_of(gain, cost, segment), table, tie)
    assert one.picks.tobytes() == other.picks.tobytes()


def clash(eligible, cost, further, groups=None, campaigns=(None,), budget=np.inf, capacity=None, minimum=None):
    """The message of the clash of such limits, over the channels a, b, c."""
    capacity = np.array(capacity or [NO_CAPACITY] * 3)
    limits = Limits(("a", "b", "c"), budget, capacity, np.array(minimum or [0] * 3), tuple(further))
    table, segment = limit_table(limits, campaigns, groups)
    gain = np.where(eligible, 1.0, -np.inf)
    with pytest.raises(RefusedError) as refused:
        require_feasible(offers_of(gain, cost, segment), table)
    return str(refused.value)


NORTH, SOUTH = {"region": "north"}, {"region": "south"}
COST = np.array([[0.1, 0.5, 2.0]])


def regions(north, south):
    return Groups({"region": np.array(["north"] * north + ["south"] * south, dtype=object)})


def test_a_clash_within_a_group_names_the_group():
    text = clash(np.ones((50, 3), dtype=bool), COST, [PlanLimit(group=NORTH, at_least=21)], regions(20, 30))
    assert "minimum (region=north)=21 needs 21 customers who may be contacted there, but there are 20; lower it" in text


def test_a_minimum_over_its_groups_capacities_names_all_and_how_far_it_gets():
    further = [
        PlanLimit(group=NORTH, at_least=15),
        PlanLimit(channel="a", group=NORTH, at_most=4),
        PlanLimit(channel="b", group=NORTH, at_most=5),
        PlanLimit(channel="a", group=SOUTH, at_most=0),
    ]
    text = clash(np.ones((50, 3), dtype=bool), COST, further, regions(20, 30), capacity=[NO_CAPACITY, NO_CAPACITY, 3])
    assert "minimum (region=north)=15 is out of reach while" in text
    for part in ("capacity c=3", "capacity a (region=north)=4", "capacity b (region=north)=5"):
        assert part in text
    assert "south" not in text
    assert ": 12 contacts of these customers at most" in text


def test_a_groups_budget_below_what_its_minimums_cost():
    further = [PlanLimit(channel="c", group=SOUTH, at_least=10), PlanLimit(group=SOUTH, budget_eur=19.0)]
    text = clash(np.ones((50, 3), dtype=bool), COST, further, regions(20, 30), budget=1_000.0)
    assert "minimum c (region=south)=10 needs 20.00 EUR but the budget (region=south) is 19.00 EUR" in text


def test_campaigns_that_need_the_same_customers():
    eligible = np.zeros((30, 6), dtype=bool)
    eligible[:, [0, 3]] = True
    further = [PlanLimit(campaign="spring", at_least=20), PlanLimit(campaign="summer", at_least=11)]
    text = clash(eligible, np.tile(COST, 2), further, campaigns=("spring", "summer"))
    assert "minimums (campaign=spring)=20 and (campaign=summer)=11 together need 31 customers" in text


@settings(max_examples=25)
@given(st.integers(0, 10**6))
def test_a_named_set_clashes_and_no_smaller_one_does(seed):
    """Against every subset: what is refused is impossible, and without any one limit of the named set it is not."""
    rng = np.random.default_rng(seed)
    further = []
    for _ in range(int(rng.integers(2, 6))):
        channel = rng.choice(np.array(["a", "b", "c", None], dtype=object))
        group = [NORTH, SOUTH, {}][int(rng.integers(3))]
        if rng.random() < 0.6:
            further.append(PlanLimit(channel=channel, group=group, at_least=int(rng.integers(1, 7))))
        else:
            further.append(PlanLimit(channel=channel, group=group, at_most=int(rng.integers(0, 4))))
    eligible = rng.random((9, 3)) < 0.6
    gain, groups = np.where(eligible, 1.0, -np.inf), regions(4, 5)

    def clashing(chosen):
        limits = Limits(("a", "b", "c"), np.inf, np.full(3, NO_CAPACITY), np.zeros(3, dtype=np.int64), tuple(chosen))
        table, segment = limit_table(limits, groups=groups)
        return smallest_clash(offers_of(gain, COST, segment), table)

    named = clashing(further)
    subsets = [
        [each for each, kept in zip(further, taken, strict=True) if kept]
        for taken in product([False, True], repeat=len(further))
    ]
    impossible = [len(chosen) for chosen in subsets if clashing(chosen)]
    assert len(named) == min(impossible, default=0)
