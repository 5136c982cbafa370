"""The written truth is what happens: the horizon after the scoring date, replayed under each forced action."""

from dataclasses import replace

import numpy as np
import pyarrow as pa
import pytest

from contract.errors import DataError
from simulation.config import RetailerConfig
from simulation.history import replay, simulate
from simulation.outlook import new_outlook
from simulation.retailer import Block, build_retailer, simulate_block, write_retailer
from simulation.state import new_log, new_state
from simulation.tastes import draw_customers
from simulation.truth import plan_value, read_truth
from simulation.world import CHANNELS, OUTBOUND

# Machines open what nobody reads; the truth about answers is about people.
CONFIG = RetailerConfig(400, seed=12, machine_open_share=0.0, decisions_per_year=60.0)
CUSTOMERS, REPLAYS = 250, 600


@pytest.fixture(scope="module", params=["low_rank", "cells"])
def world(request):
    """Customers who buy more and are sooner annoyed than any shop's, so that every term of the truth weighs."""
    retailer = build_retailer(replace(CONFIG, mechanism=request.param))
    people, drawn = draw_customers(retailer.config, retailer.mechanism, 0, CUSTOMERS)
    annoyance = np.minimum(0.9, 5.0 * drawn.annoyance)
    traits = drawn._replace(annoyance=annoyance, purchase_rate=3.0 * drawn.purchase_rate)
    log, outlook = new_log(500 * CUSTOMERS), new_outlook(CUSTOMERS)
    simulate(retailer.world, traits, CONFIG.seed, new_state(), log, outlook)
    return retailer, Block(people, traits, log, outlook)


def replayed(world, action):
    retailer, block = world
    counts = np.zeros((CUSTOMERS, REPLAYS, 2))
    replay(retailer.world, block.traits, CONFIG.seed, action, new_state(), new_state(), new_log(1_000), counts)
    return counts


@pytest.mark.parametrize("action", range(1 + len(OUTBOUND)))
def test_replayed_futures_agree_with_the_truth(world, action):
    counts = replayed(world, action)
    _, block = world
    truth = block.outlook.probability[:, action]
    seen = (counts[:, :, 0] > 0).mean(axis=1)
    score = (seen - truth) / np.sqrt(truth * (1 - truth) / REPLAYS)
    assert abs(score.sum()) / np.sqrt(CUSTOMERS) < 4.5
    assert np.square(score).mean() == pytest.approx(1.0, abs=5 * np.sqrt(2 / CUSTOMERS))
    expected = block.outlook.purchases[:, action]
    assert abs(counts[:, :, 0].sum() - REPLAYS * expected.sum()) < 4.5 * np.sqrt(REPLAYS * expected.sum())
    if action > 0:
        answer = block.outlook.answer[:, action - 1]
        sd = np.sqrt(REPLAYS * (answer * (1 - answer)).sum())
        assert abs(counts[:, :, 1].sum() - REPLAYS * answer.sum()) < 4.5 * sd


def test_replayed_baskets_have_the_mean_that_the_margin_rests_on(world):
    retailer, block = world
    log = new_log(4_000)
    ratios = []
    for i in range(60):
        one = type(block.traits)(*(column[i : i + 1] for column in block.traits))
        busy = one._replace(purchase_rate=np.array([40.0]))
        replay(retailer.world, busy, CONFIG.seed, 0, new_state(), new_state(), log, np.zeros((1, 1, 2)))
        bought = log.cents[: log.length[0]][log.cents[: log.length[0]] > 0]
        ratios.append(bought[:80] / 100 / one.basket_eur)
    ratio = np.concatenate(ratios)
    assert abs(ratio.mean() - 1.0) < 5 * ratio.std() / np.sqrt(len(ratio))


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    folder = tmp_path_factory.mktemp("truth") / "shop"
    write_retailer(CONFIG, folder)
    return read_truth(folder / "truth")


def test_the_written_truth_is_the_simulated(written):
    block = simulate_block(build_retailer(CONFIG), 0, 400)
    assert np.array_equal(written.probability, block.outlook.probability)
    assert np.array_equal(written.answer, block.outlook.answer)
    margin = 0.30 * block.traits.basket_eur[:, None] * block.outlook.purchases
    assert written.margin_eur == pytest.approx(margin)
    assert written.engagement.sum(axis=1) == pytest.approx(1.0)
    assert written.contact_preference.sum(axis=1) == pytest.approx(1.0)
    assert list(written.customer_ids) == sorted(written.customer_ids)


def test_own_steps_go_through_the_channels_as_the_true_shares_say():
    retailer = build_retailer(replace(CONFIG, drifting_share=0.0, decisions_per_year=0.0, newcomer_share=0.0))
    block = simulate_block(retailer, 0, 400)
    log, steps = block.log, [CHANNELS.index(name) for name in read_steps()]
    own = log.kind[: log.length[0]] >= 9
    counts = np.zeros((400, len(CHANNELS)))
    np.add.at(counts, (log.customer[: len(own)][own], log.channel[: len(own)][own]), 1)
    expected = counts.sum(axis=1, keepdims=True) * block.outlook.share
    assert np.abs(counts[:, steps].sum(axis=0) / expected.sum(axis=0) - 1.0).max() < 0.05


def read_steps():
    return ("phone", "social", "store", "web", "app")


def plan_of(truth, actions):
    names = [None, *truth.channels]
    return pa.table({"customer_id": truth.customer_ids[::-1], "channel": [names[a] for a in actions[::-1]]})


def test_a_plan_is_worth_its_true_margins_less_its_costs(written):
    n = len(written.customer_ids)
    none = pa.table({"customer_id": written.customer_ids, "channel": pa.array([None] * n, pa.string())})
    assert plan_value(written, none) == 0.0
    best = written.gain_eur.argmax(axis=1)
    assert plan_value(written, plan_of(written, best)) == pytest.approx(written.gain_eur.max(axis=1).sum())
    to_all = plan_value(written, plan_of(written, np.full(n, 5)))
    assert to_all == pytest.approx((written.margin_eur[:, 5] - written.margin_eur[:, 0] - 0.85).sum())


@pytest.mark.parametrize(
    ("ids", "channels", "message"),
    [
        (["c99999999"], ["sms"], "c99999999' are not in the truth"),
        (["c00000001", "c00000001"], ["sms", None], "stands there twice"),
        (["c00000001"], ["fax"], "expected null or one of email"),
    ],
)
def test_a_plan_that_fits_no_truth_is_refused(written, ids, channels, message):
    with pytest.raises(DataError, match=message):
        plan_value(written, pa.table({"customer_id": ids, "channel": channels}))
