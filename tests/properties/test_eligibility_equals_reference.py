import csv
from datetime import UTC, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory

import duckdb
import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from contract.loading import load_params
from serving.contact_state import NEVER
from serving.eligibility import Eligibility
from tests.properties.contact_reference import DAY, EPOCH, Reference, World, us

CHANNELS = ("email", "sms", "mail")
CAMPAIGNS = ("SPRING_1", "SPRING_2", "CLEARANCE", "RECEIPT", None)
TRANSACTIONAL = frozenset({"RECEIPT"})
IDS = ("a", "b", "c", "d")
KINDS = ("sent", "sent", "sent", "delivered", "bounced", "opened", "unsubscribed", "complained", "visited")
ZONES = ("Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Asia/Kathmandu", None)
# The clocks change in Berlin on 29 March and 25 October, in New York on 8 March and 1 November.
MOMENTS = ("2026-03-28T22:30:00", "2026-10-24T23:59:59.999999", "2026-10-31T05:15:00.000001", "2026-12-24T20:00:00")
RULES = """
eligibility:
  person_column: household
  zone: Europe/Berlin
  zone_column: zone
  suppression: {robinson: {file: FOLDER/robinson.csv, channels: [mail, sms]}}
  reachable: {email: {address: has_email, bounces: 2}, sms: {bounces: 1}}
  windows:
    sms: {contacts: 1, days: 7, channels: [sms]}
    month: {contacts: 3, days: 28}
    gap: {contacts: 1, hours: 48}
    written: {contacts: 2, days: 10, channels: [email, mail]}
  quiet:
    sms: {hours: ["21:00-08:00", "01:30-02:45"], days: [sun], dates: [2026-12-25, 2026-12-26]}
    email: {hours: ["00:00-06:15", "12:00-24:00"]}
  sending_hours: 30
  cooling_off:
    complaint: {kinds: [complained], days: 20}
    noise: {kinds: [bounced, visited], days: 1.5, channels: [sms]}
  exclusions:
    launch: {after: [SPRING*], days: 14, refuse: [CLEARANCE, SPRING_2]}
    once: {after: ["*_2"], days: 400, refuse: ["*"]}
  min_relation_days: 30
"""
# Distances at which rules turn, and a moment beside them.
TURNS = sorted({days * DAY + beside for days in (0, 1, 1.5, 2, 7, 10, 14, 20, 28, 30) for beside in (-1, 0, 1)})
past = st.one_of(st.sampled_from(TURNS), st.integers(1, 40 * DAY)).map(round)
ahead = st.one_of(st.sampled_from([0, 1, 2 * DAY, 2 * DAY - 1, 7 * DAY]), st.integers(0, 12 * DAY))
who, where = st.sampled_from(IDS), st.sampled_from(CHANNELS)


@st.composite
def worlds(draw):
    as_of = us(draw(st.sampled_from(MOMENTS)))
    customers = {
        one: {
            "household": draw(st.sampled_from(["h", "h", "", None])),
            "zone": draw(st.sampled_from(ZONES)),
            "has_email": draw(st.sampled_from([True, True, True, False, None])),
            "signup_at": draw(st.one_of(st.none(), past.map(lambda ago: as_of - ago), st.just(as_of - 90 * DAY))),
        }
        for one in IDS
        if one != "d"
    }
    grants = st.sampled_from([True, True, True, False])
    consents = draw(st.lists(st.tuples(who, where, past, grants), max_size=8))
    consents = [(one, channel, as_of - ago, granted) for one, channel, ago, granted in consents]
    consents += [(one, channel, as_of - 100 * DAY, True) for one in IDS for channel in CHANNELS]
    events = draw(
        st.lists(st.tuples(who, where, past, st.sampled_from(KINDS), st.sampled_from(CAMPAIGNS)), max_size=14)
    )
    plans = draw(st.lists(st.tuples(who, where, st.sampled_from(CAMPAIGNS[:4]), ahead, past), max_size=3))
    listed = draw(st.lists(st.tuples(who, st.sampled_from([*CHANNELS, None])), max_size=2))
    return World(
        as_of,
        customers,
        consents,
        [(one, channel, as_of - ago, kind, campaign) for one, channel, ago, kind, campaign in events],
        [(one, channel, campaign, as_of - ago + later, as_of - ago) for one, channel, campaign, later, ago in plans],
        {"robinson": set(listed)},
        TRANSACTIONAL,
    )


def shown(world):
    """The world's tables as an intake shows them."""
    connection = duckdb.connect(config={"threads": 1})
    connection.execute("SET TimeZone = 'UTC'")
    frames = {
        "customers": pd.DataFrame(
            [(one, *row.values()) for one, row in world.customers.items()],
            columns=["customer_id", "household", "zone", "has_email", "signup_at"],
        ).astype({"household": "str", "zone": "str", "has_email": "boolean", "signup_at": "Int64"}),
        "consents": pd.DataFrame(world.consents, columns=["customer_id", "channel", "occurred_at", "granted"]),
        "interactions": pd.DataFrame(
            world.interactions, columns=["customer_id", "channel", "occurred_at", "kind", "campaign_id"]
        ).astype({"occurred_at": "int64", "campaign_id": "str", "customer_id": "str", "channel": "str", "kind": "str"}),
    }
    for name, frame in frames.items():
        connection.register("arriving", frame)
        times = {"customers": "signup_at"}.get(name, "occurred_at")
        connection.execute(
            f"CREATE TABLE {name} AS SELECT * REPLACE (make_timestamp({times}) AS {times}) "
            f"{', NULL AS purpose' if name == 'consents' else ''} FROM arriving"
        )
        connection.unregister("arriving")
    connection.execute("CREATE TABLE campaigns AS SELECT 'RECEIPT' AS campaign_id, 'transactional' AS type")
    return connection


def write_plans(world, folder):
    """One plan a contact, each with its moments."""
    paths = []
    for number, (one, channel, campaign, moment, plan) in enumerate(world.planned):
        path = folder / f"plan{number}.parquet"
        rows = {"customer_id": [one, "nobody"], "channel": [channel, None], "campaign_id": campaign}
        pd.DataFrame(rows | {"as_of": time(plan)}).to_parquet(path)
        frame = pd.DataFrame({"customer_id": [one], "channel": [channel], "earliest_at": [time(moment)]})
        frame.to_parquet(folder / f"plan{number}.moments.parquet")
        paths.append(path)
    return paths


def time(moment):
    return pd.Timestamp(EPOCH + timedelta(microseconds=moment)).tz_convert(UTC)


def params_in(folder):
    rules = folder / "rules.yaml"
    rules.write_text(RULES.replace("FOLDER", str(folder)))
    channels = ("push", "phone", "social")
    return load_params([rules], [f"channels.{name}=null" for name in channels])


def asked(world, campaign, folder, audience=None):
    with (folder / "robinson.csv").open("w", newline="") as file:
        csv.writer(file).writerows(
            [("customer_id", "channel"), *((one, where or "") for one, where in world.lists["robinson"])]
        )
    params = params_in(folder)
    plans = write_plans(world, folder)
    as_of = EPOCH + timedelta(microseconds=world.as_of)
    with shown(world) as connection:
        rules = Eligibility(connection, params, as_of, campaign, planned=plans, audience=audience)
        return rules, rules.judged(np.array(IDS, dtype=object)), params


def names(rules, bits):
    return {rule.name for bit, rule in enumerate(rules.book.rules) if int(bits) >> bit & 1}


@settings(max_examples=60, deadline=None)
@given(worlds(), st.sampled_from(CAMPAIGNS))
def test_every_rule_and_moment_is_that_of_the_definitions(world, campaign):
    with TemporaryDirectory() as folder:
        rules, judged, params = asked(world, campaign, Path(folder))
    reference = Reference(world, params, campaign)
    for row, customer in enumerate(IDS):
        for column, channel in enumerate(CHANNELS):
            cell = customer, channel
            assert names(rules, judged.refused[row, column]) == reference.refused(*cell), cell
            earliest = int(judged.earliest_us[row, column])
            assert (None if earliest == NEVER else earliest) == reference.earliest(*cell), cell


@settings(max_examples=20, deadline=None)
@given(worlds(), st.sampled_from(CAMPAIGNS))
def test_an_audience_gathered_once_is_judged_as_its_customers_are_but_for_one_id_a_person(world, campaign):
    with TemporaryDirectory() as folder:
        apart, one_by_one, _ = asked(world, campaign, Path(folder))
        _, at_once, params = asked(world, campaign, Path(folder), audience=IDS)
    bit = np.uint64(1 << apart.book.bit("one_person"))
    assert ((at_once.refused & ~bit) == one_by_one.refused).all()
    reference = Reference(world, params, campaign)
    kept = (at_once.refused & bit) == 0
    for row, customer in enumerate(IDS):
        rows = [IDS.index(one) for one in sorted(reference.ids(customer))]
        assert kept[rows].all(axis=1).sum() == 1, customer
        closed = (one_by_one.refused[rows] != 0).sum(axis=1)
        assert kept[row].all() == (rows[int(closed.argmin())] == row)


@pytest.mark.parametrize("moment", ["2026-06-01T00:00:00"])
def test_the_reference_is_not_idle(moment):
    as_of = us(moment)
    world = World(as_of, {"a": {"signup_at": as_of - 60 * DAY}}, [("a", "mail", as_of - 1, True)],
                  [("a", "mail", as_of - DAY, "sent", "SPRING_1")], [], {"robinson": set()})  # fmt: skip
    with TemporaryDirectory() as folder:
        reference = Reference(world, params_in(Path(folder)), "CLEARANCE")
    assert reference.refused("a", "mail") == {"windows.gap", "exclusions.launch"}
    assert reference.earliest("a", "mail") == as_of + 13 * DAY
