from dataclasses import replace

import numpy as np
import pyarrow as pa
import pytest

from serving.board import Board
from serving.forecast import baselines, forecast
from serving.hashing import customer_hashes
from serving.limits import NO_CAPACITY, Limits


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
    found = forecast(scores, action, 0.9)
    rows = np.flatnonzero(action >= 0)
    assert found.contacts == 1_000
    assert found.mix == {"email": 500, "phone": 500}
    assert found.cost_eur == pytest.approx(505.0)
    assert found.margin_eur.mean == pytest.approx(scores.expected_value[rows, action[rows]].sum())
    assert found.net_eur.mean == pytest.approx(found.margin_eur.mean - 505.0)
    assert found.incremental_responses.mean == pytest.approx(found.margin_eur.mean / 20, rel=1e-5)


def test_intervals_cover_at_their_rate_where_the_assumptions_hold():
    scores = board()
    rng = np.random.default_rng(3)
    action = np.where(np.arange(2_000) % 2 == 0, 0, 1).astype(np.int16)
    found = forecast(scores, action, 0.9)
    chance = scores.measures["response"][np.arange(2_000), action].astype(float)
    alone = scores.no_contact.astype(float)
    deviation = 0.005 / 1.6448536
    hits = {"responses": 0, "incremental_responses": 0, "margin_eur": 0}
    for _ in range(1_500):
        error = rng.normal(0, deviation, 2)[action]
        answered = (rng.random(2_000) < chance + error).sum()
        unasked = (rng.random(2_000) < alone).sum()
        truth = {"responses": answered, "incremental_responses": answered - unasked}
        truth["margin_eur"] = truth["incremental_responses"] * 20
        for name, value in truth.items():
            estimate = getattr(found, name)
            hits[name] += estimate.lower <= value <= estimate.upper
    assert {name: count / 1_500 for name, count in hits.items()} == pytest.approx(dict.fromkeys(hits, 0.9), abs=0.03)


def test_baselines_hold_budget_and_capacity_and_spare_the_held_out():
    scores = board()
    available = np.arange(2_000) % 10 != 0
    limits = Limits(("email", "phone"), 100.0, np.array([NO_CAPACITY, 30]), np.zeros(2, dtype=np.int64))
    found = baselines(scores, available, limits, customer_hashes(scores.ids), 0.9)
    assert list(found) == ["nobody", "all by email", "all by phone", "preferred channel"]
    assert found["nobody"].contacts == 0
    assert found["nobody"].margin_eur.mean == 0
    assert found["all by email"].contacts == (scores.open[:, 0] & available).sum()
    assert found["all by phone"].mix == {"email": 0, "phone": 30}
    assert found["preferred channel"].cost_eur <= 100.0
    dear = replace(limits, budget_eur=12.5)
    assert baselines(scores, available, dear, customer_hashes(scores.ids), 0.9)["all by phone"].contacts == 12
