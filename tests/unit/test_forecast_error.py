"""Shared errors are found in held-out decisions at the size they were put in."""

import numpy as np
import pytest

from models.forecast_error import HeldOut, fit_forecast_error

ACTIONS, ROWS = 8, 4_000


def held_out(rng, common, apart, worth=1.0, spread=0.5):
    """Decisions of customers who answer at log-odds shifted by `common` and, per action, by `apart`."""
    n = ACTIONS * ROWS
    action = np.repeat(np.arange(ACTIONS), ROWS)
    p = rng.uniform(0.05, 0.5, n)
    odds = p / (1 - p) * np.exp(common + np.asarray(apart)[action])
    response = (rng.random(n) < odds / (1 + odds)).astype(np.int8)
    expected = rng.uniform(5, 50, n)
    margin = response * expected * worth * rng.gamma(1 / spread, spread, n)
    return HeldOut(p, response, action, np.arange(n), expected, margin)


def test_the_errors_put_in_are_found():
    rng = np.random.default_rng(0)
    found = [
        fit_forecast_error([held_out(rng, shift, rng.normal(0, 0.15, ACTIONS), 1.1) for shift in (0.2, -0.2)])
        for _ in range(20)
    ]
    assert np.mean([each.common for each in found]) == pytest.approx(0.2, abs=0.03)
    assert np.mean([each.action for each in found]) == pytest.approx(0.15, abs=0.03)
    assert np.mean([each.worth for each in found]) == pytest.approx(0.1, abs=0.01)
    assert np.mean([each.spread for each in found]) == pytest.approx(0.5 * 1.1**2, abs=0.03)


def test_where_there_is_no_error_little_more_than_what_is_not_known_is_claimed():
    rng = np.random.default_rng(1)
    found = [fit_forecast_error([held_out(rng, 0.0, np.zeros(ACTIONS)) for _ in range(2)]) for _ in range(20)]
    sampling = 1 / np.sqrt(ROWS * 0.18)
    assert max(each.action for each in found) < 1.5 * sampling
    assert max(each.common for each in found) < sampling
    assert max(each.worth for each in found) < 0.03


def test_decisions_of_one_customer_count_as_one():
    """The same decisions a hundred times over prove nothing more."""
    rng = np.random.default_rng(2)
    single = held_out(rng, 0.0, np.zeros(ACTIONS))
    repeated = HeldOut(*(np.repeat(column[::100], 100) for column in vars(single).values()))
    once = HeldOut(*(column[::100] for column in vars(single).values()))
    assert once.action.size < ACTIONS * 100
    few = fit_forecast_error([repeated])
    assert few.action > 3 * fit_forecast_error([single]).action


def test_too_few_decisions_are_met_with_caution():
    rng = np.random.default_rng(3)
    whole = held_out(rng, 0.0, np.zeros(ACTIONS))
    few = HeldOut(*(column[:50] for column in vars(whole).values()))
    assert fit_forecast_error([few]).action == 0.25
    assert fit_forecast_error([]).common == 0.25
