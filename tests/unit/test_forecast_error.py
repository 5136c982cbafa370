"""Shared errors are found in held-out decisions at the size they were put in."""

import numpy as np
import pytest

from models.forecast_error import HeldOut, fit_forecast_error

ACTIONS, ROWS = 8, 4_000


CAMPAIGNS = 20


def held_out(rng, common, apart, worth=1.0, spread=0.5, campaigns=0.0):
    """Decisions of customers who answer at log-odds shifted by `common` and, per action, by `apart`.

    campaigns: standard deviation of a further shift of each action of each campaign.
    """
    n = ACTIONS * ROWS
    action = np.repeat(np.arange(ACTIONS), ROWS)
    p = rng.uniform(0.05, 0.5, n)
    campaign = np.tile(np.arange(CAMPAIGNS), n // CAMPAIGNS)
    further = rng.normal(0, campaigns, (ACTIONS, CAMPAIGNS))[action, campaign]
    odds = p / (1 - p) * np.exp(common + np.asarray(apart)[action] + further)
    response = (rng.random(n) < odds / (1 + odds)).astype(np.int8)
    expected = rng.uniform(5, 50, n)
    margin = response * expected * worth * rng.gamma(1 / spread, spread, n)
    return HeldOut(p, response, action, campaign, np.arange(n), expected, margin)


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


def test_a_plan_is_one_campaign_so_what_campaigns_differ_by_counts():
    rng = np.random.default_rng(4)
    found = [
        fit_forecast_error([held_out(rng, 0.0, np.zeros(ACTIONS), campaigns=0.3) for _ in range(2)]).action
        for _ in range(10)
    ]
    assert np.mean(found) == pytest.approx(0.3, abs=0.05)


def test_where_there_is_no_error_little_more_than_what_is_not_known_is_claimed():
    rng = np.random.default_rng(1)
    found = [fit_forecast_error([held_out(rng, 0.0, np.zeros(ACTIONS)) for _ in range(2)]) for _ in range(20)]
    sampling = 1 / np.sqrt(ROWS * 0.18)
    assert max(each.action for each in found) < 2 * sampling
    assert np.mean([each.action for each in found]) < 1.3 * sampling
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
