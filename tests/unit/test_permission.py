"""Consent to profiling and tracking: what is not granted reaches neither timeline, labels nor demographics."""

from datetime import timedelta

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from contract.loading import load_params
from features.demographic import fit_demographic
from features.permission import PERMITTED, permit, uses
from features.spine import decision_spine
from features.timeline import build_timeline
from tests.properties.raw_histories import DAY_US, START, START_US, raw_history

PARAMS = load_params(assignments=["tables.customers.features=[income]", "objective=inform"])
SHOWN = raw_history(PARAMS, 1, 400)
EVERYBODY = [f"c{i}" for i in range(6)]


def day(number):
    return START + timedelta(days=number)


def profiled(tmp_path, *consents):
    """Customers with events in the timeline."""
    timeline = build_timeline(SHOWN.with_consents(*consents).opened(), PARAMS, tmp_path / "t")
    return {each for each, n in zip(timeline.customer_ids, np.diff(timeline.offsets), strict=True) if n}


def opened_by(tmp_path, *consents):
    """(customer, channel) of every opened message in the timeline."""
    timeline = build_timeline(SHOWN.with_consents(*consents).opened(), PARAMS, tmp_path / "t")
    block = next(iter(timeline.blocks(10**9)))
    customer = np.repeat(timeline.customer_ids, np.diff(block.offsets))
    entries = [timeline.codebook.entries[code] for code in block.code]
    return {(who, entry.channel) for who, entry in zip(customer, entries, strict=True) if entry.kind == "opened"}


def test_tables_that_know_no_purpose_restrict_nothing(tmp_path):
    assert profiled(tmp_path) == set(EVERYBODY[:5])
    assert profiled(tmp_path, ("c0", "email", day(0), False, "contact")) == set(EVERYBODY[:5])


def test_a_known_purpose_needs_a_grant_before_as_of(tmp_path):
    assert profiled(tmp_path, ("c1", None, day(0), True, "profiling")) == {"c1"}
    assert profiled(tmp_path, ("c1", None, day(61), True, "profiling")) == set(EVERYBODY[:5])


@pytest.mark.parametrize(
    ("given", "permitted"),
    [
        ([("email", 1, True), ("email", 2, False)], False),
        ([("email", 2, True), ("email", 1, False)], True),
        ([("email", 1, True), ("email", 1, False)], False),
        ([("email", 1, True), ("sms", 2, False)], False),
        ([("sms", 1, False), (None, 2, True)], True),
        ([(None, 1, True), ("sms", 2, False)], False),
    ],
)
def test_the_latest_word_counts(given, permitted, tmp_path):
    rows = [("c2", channel, day(when), granted, "profiling") for channel, when, granted in given]
    other = ("c0", None, day(0), True, "profiling")
    assert profiled(tmp_path, *rows, other) == ({"c0", "c2"} if permitted else {"c0"})


def test_tracking_concerns_opened_messages_of_its_channel(tmp_path):
    everything = opened_by(tmp_path)
    assert {("c0", "email"), ("c0", "sms"), ("c1", "email")} <= everything
    some = opened_by(tmp_path, ("c0", "email", day(0), True, "tracking"), ("c1", None, day(0), True, "tracking"))
    assert some == {each for each in everything if each == ("c0", "email") or each[0] == "c1"}
    assert profiled(tmp_path, ("c0", "email", day(0), True, "tracking")) == set(EVERYBODY[:5])


def test_without_profiling_no_decision_and_no_demographic_is_used(tmp_path):
    opened = SHOWN.with_consents(("c1", None, day(0), True, "profiling")).opened()
    timeline = build_timeline(opened, PARAMS, tmp_path / "t")
    decisions = decision_spine(opened, timeline, PARAMS)
    assert set(timeline.customer_ids[decisions.spine.customer]) == {"c1"}
    assert decisions.left_out["no consent to profiling"] > 0
    known = np.isfinite(fit_demographic(opened, PARAMS).table(opened, timeline).values[:, 0])
    assert timeline.customer_ids[known].tolist() == ["c1"]


def test_without_tracking_no_opened_message_answers(tmp_path):
    params = load_params(assignments=["objective=inform", "objectives.inform.kinds=[opened]"])
    shown = raw_history(params, 1, 1_500)

    def answered(*consents):
        opened = shown.with_consents(*consents).opened()
        return int(decision_spine(opened, build_timeline(opened, params, tmp_path / "t"), params).response.sum())

    assert answered() > 0
    assert answered(("c5", None, day(0), True, "tracking")) == 0


@settings(max_examples=30)
@given(seed=st.integers(0, 2**32 - 1), rows=st.integers(0, 12))
def test_customer_by_customer_says_what_the_rows_say(seed, rows):
    rng = np.random.default_rng(seed)
    customers, channels = [f"c{i}" for i in range(4)], ["email", "sms", None]
    said = [
        (
            str(rng.choice(customers)),
            channels[rng.integers(3)],
            day(int(rng.integers(0, 5))),
            bool(rng.integers(2)),
            str(rng.choice(["profiling", "tracking"])),
        )
        for _ in range(rows)
    ]
    connection = SHOWN.with_consents(*said).opened().connection
    permit(connection, START_US + 60 * DAY_US)
    found = uses(connection, list(PARAMS.channels))
    shown = set(connection.sql(f"SELECT customer_id, channel, kind, occurred_at FROM {PERMITTED}").fetchall())
    for row in connection.sql("SELECT customer_id, channel, kind, occurred_at FROM interactions").fetchall():
        customer, channel, kind, _ = row
        if customer not in customers:
            continue
        use = found.of(customer)
        may = use.profiling and (kind != "opened" or use.opened_on is None or channel in use.opened_on)
        assert may == (row in shown)
