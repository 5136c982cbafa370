import numpy as np
import pytest

from contract.errors import RefusedError, UsageError
from contract.loading import load_params
from serving.allocation import offers_of
from serving.clashes import require_feasible
from serving.limit_table import limit_table
from serving.limits import NO_CAPACITY, Limits, limits_of


def limits(minimum, capacity=(NO_CAPACITY,) * 3, budget=np.inf):
    return Limits(("email", "sms", "phone"), budget, np.array(capacity), np.array(minimum))


UNIT = np.array([[0.002, 0.06, 2.5]])


def required(eligible, cost, given):
    """Asks for the limits of one campaign without groups."""
    require_feasible(offers_of(np.where(eligible, 1.0, -np.inf), cost), limit_table(given)[0])


def test_the_callers_limits_go_over_those_of_the_parameters():
    params = load_params(assignments=["planning.budget_eur=100", "planning.capacities={phone: 5, sms: 9}"])
    found = limits_of(params, capacities={"phone": 7}, minimums={"email": 2})
    named = dict(zip(found.channels, found.capacity.tolist(), strict=True))
    assert (named["phone"], named["sms"], named["email"]) == (7, 9, NO_CAPACITY)
    assert found.minimum[found.channels.index("email")] == 2
    assert (found.budget_eur, limits_of(params, 0.0).budget_eur) == (100, 0)
    assert limits_of(load_params()).budget_eur == np.inf


def test_all_faults_of_the_limits_are_told_together():
    with pytest.raises(UsageError, match=r"capacity store=3: 'store' is no outbound.*minimum sms=-1.*budget -5"):
        limits_of(load_params(), -5, {"store": 3}, {"sms": -1})


def test_a_set_that_fits_passes():
    required(np.ones((20, 3), dtype=bool), UNIT, limits((5, 5, 10), (5, 5, 10), 25.31))


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (limits((0, 6, 0), (9, 5, 9)), "minimum sms=6 is above capacity sms=5"),
        (limits((0, 0, 500), budget=300.0), "minimum sms|minimum phone=500 needs 500 customers"),
        (limits((5, 0, 100), budget=249.0), r"minimum phone=100 needs 250.00 EUR but the budget is 249.00 EUR"),
        (limits((0, 50, 100), budget=252.0), r"minimums sms=50 and phone=100 together need 253.00 EUR"),
        (limits((120, 150, 0)), "minimums email=120 and sms=150 together need 270 .* but there are 200"),
        (limits((0, 0, 201)), "minimum phone=201 needs 201 customers who may be contacted there, but there are 200"),
        (limits((10, 100, 100)), "minimums email=10 and sms=100 and phone=100 together need 210"),
    ],
)
def test_the_smallest_set_that_clashes_is_named(given, message):
    with pytest.raises(RefusedError, match=message):
        required(np.ones((200, 3), dtype=bool), UNIT, given)


def test_joint_eligibility_is_seen():
    eligible = np.zeros((30, 3), dtype=bool)
    eligible[:10, :2] = True
    eligible[10:, 2] = True
    required(eligible, UNIT, limits((5, 5, 20)))
    with pytest.raises(RefusedError, match=r"email=6 and sms=5 together need 11 customers .* there are 10"):
        required(eligible, UNIT, limits((6, 5, 20)))


def test_where_costs_differ_the_cheapest_contacts_are_compared():
    cost = np.array([[1.0, 1.0, 1.0], [1.0, 1.0, 3.0], [1.0, 1.0, 9.0]])
    required(np.ones((3, 3), dtype=bool), cost, limits((0, 0, 2), budget=4.0))
    with pytest.raises(RefusedError, match=r"phone=2 needs 4.00 EUR but the budget is 3.99 EUR"):
        required(np.ones((3, 3), dtype=bool), cost, limits((0, 0, 2), budget=3.99))
