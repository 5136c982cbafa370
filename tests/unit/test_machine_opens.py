"""Opens by machine: found by three rules, and none of them reaches a feature, a label or a rate."""

import itertools
from datetime import timedelta
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from contract.loading import load_params
from contract.opens import AT_ONCE, REGULAR, UNREAD
from features.blocks import joined
from features.engines import NUMBERED, number_customers
from features.events import Codebook, EventCode, Events
from features.machine_opens import MACHINE_OPENS, MachineOpens, find_machine_opens, seconds_of
from features.matrix import learn_features
from features.permission import permit
from features.spine import batch_spine, decision_spine
from features.timeline import build_timeline, kept_window
from simulation.config import RetailerConfig
from simulation.retailer import build_retailer, simulate_block
from simulation.world import CHANNELS, KINDS
from tests.properties.raw_histories import START, START_US, Shown, raw_history

PARAMS = load_params(assignments=["objective=inform", "features.min_category_customers=1"])
DAY = timedelta(days=1)
SECOND_US = 1_000_000
CODES = [("sent", "email"), ("delivered", "email"), ("opened", "email"), ("opened", "push"), ("sent", "push")]
CODEBOOK = Codebook(
    tuple(EventCode(kind, channel, None, False) for kind, channel in CODES), (), ("email", "push"), ("email", "push")
)


def shown(rows):
    """A history of one customer from (kind, channel, moment), beside the customers of `raw_history`."""
    frame = raw_history(PARAMS, 0, 0).interactions
    added = pd.DataFrame(
        {
            "customer_id": "c0",
            "occurred_at": [START.replace(tzinfo=None) + when for _, _, when in rows],
            "channel": [channel for _, channel, _ in rows],
            "kind": [kind for kind, _, _ in rows],
            "campaign_id": "spring",
        }
    ).astype({"occurred_at": "datetime64[us]"})
    both = added.reindex(columns=frame.columns)
    numbers = dict.fromkeys(("value", "cost", "propensity"), float)
    return Shown(both.astype({**numbers, "send_id": "str"}), raw_history(PARAMS, 0, 0).customers)


def found_in(rows, params=PARAMS):
    """The rules by which opens of the history are named, by moment."""
    opened = shown(rows).opened()
    window = kept_window(opened.as_of, params)
    permit(opened.connection, window.until_us)
    counts = find_machine_opens(opened.connection, window, params)
    named = opened.connection.execute(f"SELECT occurred_at, rule FROM {MACHINE_OPENS}").fetchall()
    return {moment - START.replace(tzinfo=None): rule for moment, rule in named}, counts


def sends(number, channel="email", every=DAY):
    return [("sent", channel, i * every) for i in range(number)]


def test_an_open_within_seconds_is_a_machines_however_the_message_arrived():
    late = timedelta(minutes=30)
    rows = [
        *sends(4),
        ("delivered", "email", DAY + late),
        ("opened", "email", timedelta(seconds=15)),
        ("opened", "email", DAY + late + timedelta(seconds=3)),
        ("opened", "email", 2 * DAY + timedelta(seconds=16)),
        ("sent", "push", 3 * DAY),
        ("opened", "push", 3 * DAY + timedelta(seconds=2)),
    ]
    named, counts = found_in(rows)
    assert named == {timedelta(seconds=15): AT_ONCE, DAY + late + timedelta(seconds=3): AT_ONCE}
    by_channel = {each.channel: each for each in counts}
    assert (by_channel["email"].opens, by_channel["email"].at_once, by_channel["email"].customers) == (3, 2, 1)
    assert by_channel["push"].by_machine == 0
    assert "email: 2 of 3 opens (67%), of 1 customers, are by a machine: 2 within 15 seconds" in by_channel[
        "email"
    ].text(PARAMS)


@pytest.mark.parametrize(("spread_s", "rule"), [(20, REGULAR), (4_000, None)])
def test_opens_after_nearly_the_same_delay_are_a_machines(spread_s, rule):
    rng = np.random.default_rng(1)
    opens = [
        ("opened", "email", i * DAY + timedelta(seconds=int(600 + rng.integers(0, spread_s)))) for i in range(0, 24, 2)
    ]
    named, _ = found_in([*sends(24), *opens])
    assert set(named.values()) == ({rule} if rule else set())
    assert len(named) == (12 if rule else 0)


def test_who_opens_everything_and_does_nothing_else_is_a_machine():
    rng = np.random.default_rng(2)
    waits = [timedelta(minutes=int(each)) for each in rng.integers(2, 1_200, 12)]
    opens = [("opened", "email", i * DAY + wait) for i, wait in enumerate(waits)]
    named, _ = found_in([*sends(12), *opens])
    assert set(named.values()) == {UNREAD}
    assert found_in([*sends(12), *opens, ("clicked", "email", 13 * DAY)])[0] == {}
    assert found_in([*sends(9), *opens[:9]])[0] == {}
    assert found_in([*sends(24), *opens])[0] == {}


@settings(max_examples=12)
@given(seed=st.integers(0, 2**32 - 1), rows=st.integers(1, 400))
def test_events_lose_the_opens_that_sql_names(seed, rows):
    rng = np.random.default_rng(seed)
    drawn = raw_history(PARAMS, seed, rows)
    frame = drawn.interactions.copy()
    moments = rng.integers(0, 5, len(frame)) * 86_400 * SECOND_US + rng.integers(0, 40, len(frame)) * SECOND_US
    frame["occurred_at"] = pd.to_datetime(START_US + moments, unit="us").astype("datetime64[us]")
    opened = drawn.with_rows(frame).opened()
    params = load_params(assignments=["channels.sms.machine_open_seconds=3"])
    with TemporaryDirectory() as folder:
        timeline = build_timeline(opened, params, Path(folder) / "t")
        events = joined(list(timeline.blocks(10**9)))
    number_customers(opened.connection, timeline.ids)
    find_machine_opens(opened.connection, timeline.window, params)
    named = opened.connection.execute(f"""
        SELECT DISTINCT number, channel, epoch_us(occurred_at) FROM {MACHINE_OPENS} JOIN {NUMBERED} USING (customer_id)
        WHERE rule = '{AT_ONCE}'""").fetchall()
    left = MachineOpens.of(timeline.codebook, seconds_of(params)).without(events)
    assert opens_in(events, timeline.codebook) - opens_in(left, timeline.codebook) == set(named)
    assert len(left.code) - len(events.code) <= -len(named)


def opens_in(events, codebook):
    """(customer, channel, time) of the opens."""
    customer = np.repeat(np.arange(len(events.offsets) - 1), np.diff(events.offsets))
    entries = [codebook.entries[code] for code in events.code]
    rows = zip(customer.tolist(), entries, events.time_us.tolist(), strict=True)
    return {(who, entry.channel, when) for who, entry, when in rows if entry.kind == "opened"}


def test_a_habit_takes_all_opens_of_its_customer_and_channel():
    time_us = np.arange(6) * 3_600 * SECOND_US
    code = np.array([0, 2, 3, 0, 2, 3], np.uint16)
    events = Events(7, np.array([0, 3, 6]), time_us, code, np.zeros(6, np.int64))
    found = MachineOpens.of(CODEBOOK, {}, np.array([8 * 2 + 0]))
    assert found.without(events).offsets.tolist() == [0, 3, 5]
    assert MachineOpens.of(CODEBOOK, {}).without(events) is events
    assert MachineOpens.of(CODEBOOK, {"email": 15.0}).without(events) is events


def test_no_feature_and_no_label_knows_an_open_by_machine(tmp_path):
    drawn = raw_history(PARAMS, 5, 300)
    frame = drawn.interactions
    sent = frame[(frame.kind == "sent") & (frame.channel == "email")]
    added = sent.assign(kind="opened", occurred_at=sent.occurred_at + timedelta(seconds=4), propensity=np.nan)
    with_opens = drawn.with_rows(pd.concat([frame, added], ignore_index=True))
    told = [learned_and_labelled(each, tmp_path / str(at)) for at, each in enumerate((drawn, with_opens))]
    assert told[0][0].base_rates == told[1][0].base_rates
    assert told[0][1].tobytes() == told[1][1].tobytes()
    assert (told[0][2].answer_channel == told[1][2].answer_channel).all()
    assert (told[0][2].response == told[1][2].response).all()
    blind = load_params(assignments=["objective=inform", "channels.email.machine_open_seconds=null"])
    assert (learned_and_labelled(with_opens, tmp_path / "blind", blind)[2].answer_channel >= 0).sum() > (
        told[1][2].answer_channel >= 0
    ).sum()


def learned_and_labelled(drawn, folder, params=PARAMS):
    opened = drawn.opened()
    timeline = build_timeline(opened, params, folder)
    features = learn_features(opened, timeline, params)
    spine = batch_spine(np.arange(timeline.n_customers), timeline.window.until_us)
    matrix = features.matrix(timeline, spine, features.demographic.table(opened, timeline))
    return features, matrix, decision_spine(opened, timeline, params)


def test_in_the_simulated_retailer_all_opens_by_machine_are_found_and_no_others():
    block = simulate_block(build_retailer(RetailerConfig(400, seed=3, years=1)), 0, 400)
    log = block.log
    rows = np.arange(int(log.length[0]))
    names = np.array(KINDS, dtype=object)
    order = np.lexsort((log.kind[rows], log.time_s[rows], log.customer[rows]))
    rows = order[np.isin(log.kind[order], [KINDS.index(kind) for kind in ("sent", "delivered", "opened")])]
    entries = [EventCode(names[kind], CHANNELS[channel], None, False) for kind, channel in pairs(log, rows)]
    codebook = Codebook(tuple(dict.fromkeys(entries)), (), tuple(PARAMS.channels), PARAMS.outbound)
    code = np.array([codebook.entries.index(each) for each in entries], np.uint16)
    offsets = np.searchsorted(log.customer[rows], np.arange(401))
    events = Events(0, offsets, log.time_s[rows] * SECOND_US, code, np.zeros(len(rows), np.int64))
    left = MachineOpens.of(codebook, {"email": 15.0}).without(events)
    taken = np.diff(events.offsets) - np.diff(left.offsets)
    assert (taken[~block.traits.machine] == 0).all()
    emails = np.array([sum(entries[i] == EventCode("delivered", "email", None, False) for i in range(*each))
                       for each in itertools.pairwise(offsets)])  # fmt: skip
    machine = block.traits.machine
    assert taken[machine].sum() == pytest.approx(0.9 * emails[machine].sum(), rel=0.02)


def pairs(log, rows):
    return zip(log.kind[rows].tolist(), log.channel[rows].tolist(), strict=True)
