from dataclasses import replace

import numpy as np
import pyarrow as pa
import pytest

from models.forecast_error import ForecastError
from serving.baselines import baseline_actions
from serving.board import Board
from serving.forecast import Certainty, forecast
from serving.hashing import customer_hashes
from serving.limits import NO_CAPACITY, Limits
from serving.opt_outs import OptOutRate


def board(n=2_000, seed=0):
    """n customers on two channels, whose scores are true but for one shared error per channel."""
    rng = np.random.default_rng(seed)
    alone = rng.uniform(0.02, 0.1, n)
    uplift = rng.uniform(0.01, 0.1, (n, 2))
    single = {
        "preference": rng.random((n, 2)),
        "response": alone[:, None] + uplift,
        "uplift": uplift,
        "uplift_lower": uplift - 0.005,
        "uplift_upper": uplift + 0.005,
    }
    return Board(
        ids=pa.array([f"c{row}" for row in range(n)]),
        channels=("email", "phone"),
        open=rng.random((n, 2)) < 0.9,
        expected_value=uplift * 20,
        cost=np.tile([0.01, 1.0], (n, 1)),
        measures={name: values.astype(np.float32) for name, values in single.items()},
        no_contact=alone.astype(np.float32),
        reason=np.zeros((n, 2), dtype=np.int16),
        evidence=np.zeros((n, 2), dtype=np.int16),
        words=(None,),
        campaign_id="x",
        as_of=None,
        model_version="1",
    )


def test_means_are_the_sums_of_the_scores():
    scores = board()
    action = np.tile(np.array([0, 1, -1, -1], dtype=np.int16), 500)
    found = forecast(scores, action, Certainty(0.9))
    rows = np.flatnonzero(action >= 0)
    assert found.contacts == 1_000
    assert found.mix == {"email": 500, "phone": 500}
    assert found.cost_eur == pytest.approx(505.0)
    assert found.margin_eur.mean == pytest.approx(scores.expected_value[rows, action[rows]].sum())
    assert found.net_eur.mean == pytest.approx(found.margin_eur.mean - 505.0)
    assert found.incremental_responses.mean == pytest.approx(found.margin_eur.mean / 20, rel=1e-5)


CERTAIN = ForecastError(common=0.0, action=0.0, worth=0.0, spread=0.0)
EMAIL, PHONE = 0, 1


def logit_shifted(probability, shift):
    odds = probability / (1 - probability) * np.exp(shift)
    return odds / (1 + odds)


def test_intervals_cover_at_their_rate_where_the_assumptions_hold():
    """One error for all, one for each action and one of the worth are drawn anew for each of 1,500 futures."""
    n, rng = 2_000, np.random.default_rng(3)
    exact = board(n)
    # No error of like customers, which would not be independent of the others.
    measures = exact.measures | dict.fromkeys(("uplift_lower", "uplift_upper"), exact.measures["uplift"])
    scores = replace(exact, measures=measures)
    action = np.where(np.arange(n) % 2 == 0, EMAIL, PHONE).astype(np.int16)
    error = ForecastError(common=0.05, action=0.06, worth=0.05, spread=0.4)
    found = forecast(scores, action, Certainty(0.9, error))
    chance = scores.measures["response"][np.arange(n), action].astype(float)
    alone = scores.no_contact.astype(float)
    names = ("responses", "incremental_responses", "margin_eur", "net_eur")
    hits = dict.fromkeys([*names, *(f"{part} {name}" for part in found.channels for name in names)], 0)
    for _ in range(1_500):
        common, apart = rng.normal(0, error.common), rng.normal(0, error.action, 3)
        worth = 20 * (1 + rng.normal(0, error.worth))
        answered = rng.random(n) < logit_shifted(chance, common + apart[action])
        unasked = rng.random(n) < logit_shifted(alone, common + apart[2])
        baskets = worth * rng.gamma(1 / error.spread, error.spread, (2, n))
        brought = answered * baskets[0] - unasked * baskets[1]
        for part, rows in (("", action >= 0), ("email ", action == EMAIL), ("phone ", action == PHONE)):
            outcome = found.channels[part.strip()] if part else found
            margin = brought[rows].sum()
            values = (
                answered[rows].sum(),
                answered[rows].sum() - unasked[rows].sum(),
                margin,
                margin - outcome.cost_eur,
            )
            for name, value in zip(names, values, strict=True):
                estimate = getattr(outcome, name)
                hits[part + name] += estimate.lower <= value <= estimate.upper
    assert {name: count / 1_500 for name, count in hits.items()} == pytest.approx(dict.fromkeys(hits, 0.9), abs=0.035)


def test_without_an_outlook_all_customers_of_a_channel_are_taken_to_err_alike():
    scores = board()
    action = np.zeros(2_000, dtype=np.int16)
    known, unknown = (
        forecast(scores, action, Certainty(0.9, error)).incremental_responses for error in (CERTAIN, None)
    )
    assert (unknown.upper - unknown.mean) ** 2 - (known.upper - known.mean) ** 2 == pytest.approx(
        0.9 * (2_000 * 0.005) ** 2, rel=1e-3
    )
    assert unknown.upper > known.upper


def test_few_contacts_share_one_error_and_many_average_theirs():
    scores = board(20_000)
    shares = []
    for contacts in (100, 200, 20_000):
        action = np.where(np.arange(20_000) < contacts, EMAIL, -1).astype(np.int16)
        found = forecast(scores, action, Certainty(0.9, CERTAIN)).incremental_responses
        chance = forecast(
            replace(scores, measures=scores.measures | {"uplift_upper": scores.measures["uplift_lower"]}),
            action,
            Certainty(0.9, CERTAIN),
        ).incremental_responses
        alike = np.sqrt((found.upper - found.mean) ** 2 - (chance.upper - chance.mean) ** 2)
        shares.append(alike / (0.005 * contacts))
    assert shares == pytest.approx([1.0, 1.0, 0.1], rel=1e-3)


def test_opt_outs_are_counts_at_a_rate_that_is_not_quite_known():
    scores = board()
    action = np.where(np.arange(2_000) % 2 == 0, EMAIL, PHONE).astype(np.int16)
    rates = {"email": OptOutRate(sends=5_000, opt_outs=24, rate=0.005, dispersion=1.0)}
    found = forecast(scores, action, Certainty(0.9, CERTAIN, rates))
    assert found.opt_outs is not None
    assert found.opt_outs.mean == pytest.approx(5.0)
    assert found.channels["phone"].opt_outs is None
    assert found.channels["email"].opt_outs == found.opt_outs
    rng = np.random.default_rng(0)
    counts = rng.poisson(1_000 * rng.gamma(25, 0.005 / 25, 20_000))
    covered = np.mean((counts >= found.opt_outs.lower) & (counts <= found.opt_outs.upper))
    assert 0.9 <= covered <= 0.96, "whole counts cannot be covered at less than the nominal rate"
    assert forecast(scores, action, Certainty(0.9, CERTAIN)).opt_outs is None


def test_baselines_hold_budget_and_capacity_and_spare_the_held_out():
    scores = board()
    available = np.arange(2_000) % 10 != 0
    tie = customer_hashes(scores.ids)
    limits = Limits(("email", "phone"), 100.0, np.array([NO_CAPACITY, 30]), np.zeros(2, dtype=np.int64))
    last = np.where(np.arange(2_000) < 1_000, PHONE, -1).astype(np.int16)
    found = baseline_actions(scores, available, limits, tie, last)
    assert list(found) == ["nobody", "last plan", "most engaged channel", "all by email", "all by phone"]
    assert (found["nobody"] == -1).all()
    assert ((found["all by email"] == EMAIL) == scores.open[:, 0] & available).all()
    assert (found["all by phone"] == PHONE).sum() == 30
    assert ((found["last plan"] == -1) | ((found["last plan"] == last) & scores.open[:, 1] & available)).all()
    assert (found["last plan"] == PHONE).sum() == 30
    for action in found.values():
        assert scores.cost[np.flatnonzero(action >= 0), action[action >= 0]].sum() <= 100.0
    dear = replace(limits, budget_eur=12.5)
    assert (baseline_actions(scores, available, dear, tie)["all by phone"] == PHONE).sum() == 12
