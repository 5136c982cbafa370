"""A retailer that is played on: its past stays, its truth is what happens next, and what is sent comes from outside."""

from dataclasses import replace

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from simulation.config import RetailerConfig
from simulation.retailer import build_retailer, simulate_block, write_retailer
from simulation.rounds import begin_rounds
from simulation.world import OUTBOUND

CONFIG = RetailerConfig(1_500, seed=4, years=1, machine_open_share=0.0)


def plan_of(rounds, actions):
    names = pa.array([None, *OUTBOUND])
    return pa.table({"customer_id": rounds.ids, "channel": names.take(pa.array(actions))})


def test_before_the_first_round_it_is_the_retailer_that_is_written(tmp_path):
    retailer = build_retailer(CONFIG)
    rounds = begin_rounds(retailer, 2)
    rounds.write(tmp_path / "played")
    write_retailer(CONFIG, tmp_path / "written")
    for name in ("customers", "interactions", "consents"):
        played, written = (pq.read_table(tmp_path / each / name) if (tmp_path / each / name).exists()
                           else pq.read_table(tmp_path / each / f"{name}.parquet")
                           for each in ("played", "written"))  # fmt: skip
        rows = [sorted(map(str, table.to_pylist())) for table in (played, written)]
        assert rows[0] == rows[1], name
    truth = rounds.truth()
    assert np.array_equal(truth.probability[:, 0], simulate_block(retailer, 0, 1_500).outlook.probability[:, 0])


@pytest.mark.parametrize("action", [0, 2, 5])
def test_what_happens_in_a_round_is_what_was_true_as_it_began(action):
    """Rounds of many retailers under one forced action; seven days of purchases against their expectation."""
    bought = expected = 0.0
    for seed in range(4):
        rounds = begin_rounds(build_retailer(replace(CONFIG, seed=seed)), 3, since=(3.0,) * 6)
        for number in range(3):
            actions = np.full(len(rounds.ids), action if number else 1 + np.arange(len(rounds.ids)) % 6)
            mean = -np.log1p(-rounds.truth().probability[np.arange(len(actions)), actions]).sum()
            begin = rounds.as_of.timestamp()
            rounds.send(plan_of(rounds, actions))
            table = rounds_table(rounds)
            moment = table["occurred_at"].cast(pa.int64()).to_numpy() / 1e6
            horizon = (moment >= begin) & (moment < begin + 7 * 86_400)
            kinds = table["kind"].cast(pa.string()).to_numpy(zero_copy_only=False)
            bought, expected = bought + (kinds[horizon] == "purchased").sum(), expected + mean
            sent = table.filter(pa.array(horizon & (kinds == "sent")))
            campaign = sent.filter(
                pa.array([str(each).startswith("round") for each in sent["campaign_id"].to_pylist()])
            )
            assert campaign.num_rows == (actions > 0).sum()
    assert expected > 1_000
    assert abs(bought - expected) < 4.5 * np.sqrt(expected)


def rounds_table(rounds):
    """All that has happened, also what lies ahead."""
    from simulation.tables import interactions_table, log_rows

    rows, _, _ = log_rows(rounds.log)
    return interactions_table(rounds.log, rows, rounds.people, tuple(rounds.campaigns.ids), rounds.retailer.params)


def test_nothing_later_than_the_round_is_written(tmp_path):
    rounds = begin_rounds(build_retailer(CONFIG), 1)
    rounds.send(plan_of(rounds, np.full(len(rounds.ids), 1)))
    rounds.write(tmp_path)
    for name in ("interactions", "consents"):
        moments = pq.read_table(tmp_path / f"{name}.parquet")["occurred_at"].to_pylist()
        assert max(moments) < rounds.as_of
    table = pq.read_table(tmp_path / "interactions.parquet").to_pandas()
    sent = table[(table.kind == "sent") & (table.campaign_id == "round1")]
    assert len(sent) == len(rounds.ids)
    assert sent.propensity.isna().all()
    assert "round2" in pq.read_table(tmp_path / "campaigns.parquet")["campaign_id"].to_pylist()
    assert rounds.campaign_id == "round2"
