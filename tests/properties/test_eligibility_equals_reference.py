import csv
from datetime import UTC, timedelta
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory
from unittest.mock import patch

import duckdb
import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from contract.loading import load_params
from serving.contact_state import NEVER
from serving.eligibility import Eligibility
from tests.properties.contact_reference import DAY, EPOCH, QUARTER, Reference, World, us

CHANNELS = ("email", "sms", "mail")
CAMPAIGNS = ("SPRING_1", "SPRING_2", "CLEARANCE", "RECEIPT", None)
TRANSACTIONAL = frozenset({"RECEIPT"})
IDS = ("a", "b", "c", "d")
KINDS = ("sent", "sent", "sent", "sent", "delivered", "bounced", "opened", "unsubscribed", "complained", "visited")
ZONES = ("Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Asia/Kathmandu", None)
# The clocks change in Berlin on 29 March and 25 October, in New York on 8 March and 1 November.
MOMENTS = (
    "2026-03-28T22:30:00",
    "2026-03-29T00:45:00",
    "2026-10-25T00:40:00",
    "2026-10-25T01:15:00.000001",
    "2026-10-31T05:15:00.000001",
    "2026-12-24T20:00:00",
)
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
    mail: {hours: ["01:30-02:45"]}
  sending_hours: 30
  cooling_off:
    complaint: {kinds: [complained], days: 20}
    noise: {kinds: [bounced, visited], days: 1.5, channels: [sms]}
  exclusions:
    launch: {after: [SPRING*], days: 14, refuse: [CLEARANCE, SPRING_2]}
    once: {after: ["*_2"], days: 400, refuse: ["*"]}
  min_relation_days: 30
"""
# Distances at which rules turn, and a moment beside them; few, so that they meet.
TURNS = sorted({round(days * DAY) + beside for days in (1, 2, 7, 10, 14, 20, 28, 30) for beside in (-1, 0, 1)})
AHEAD = (0, DAY, 2 * DAY, 2 * DAY - 1, 5 * DAY, 6 * DAY, 9 * DAY)


def past(rng):
    """Microseconds ago."""
    return rng.choice([rng.choice((1, DAY, 2 * DAY, 5 * DAY, 8 * DAY)), rng.choice(TURNS), rng.randint(1, 40 * DAY)])


def world_of(seed):
    """A dense and hostile world: few customers, many ties, planned contacts among sent ones."""
    rng = Random(seed)
    as_of = us(rng.choice(MOMENTS))
    customers = {
        one: {
            "household": rng.choice(["h", "h", "", None]),
            "zone": rng.choice(ZONES),
            "has_email": rng.choice([True, True, True, False, None]),
            "signup_at": rng.choice([None, as_of - past(rng), as_of + DAY, *[as_of - 90 * DAY] * 5]),
        }
        for one in IDS
        if one != "d"
    }
    pairs = [(one, channel) for one in IDS for channel in CHANNELS]
    consents = [(*pair, as_of - 100 * DAY, True) for pair in pairs if rng.random() < 0.9]
    consents += [(*rng.choice(pairs), as_of - past(rng), rng.random() < 0.7) for _ in range(rng.randint(0, 4))]
    interactions = [
        (*rng.choice(pairs), as_of - past(rng), rng.choice(KINDS), rng.choice(CAMPAIGNS))
        for _ in range(rng.randint(0, 20))
    ]
    planned = []
    for one, channel in rng.sample(pairs, rng.randint(0, 4)):
        campaign, ago = rng.choice(CAMPAIGNS[:4]), past(rng)
        planned.append((one, channel, campaign, as_of - ago + rng.choice(AHEAD), as_of - ago))
        if rng.random() < 0.4:
            interactions.append((one, channel, as_of - ago + rng.choice((0, -1)), "sent", campaign))
    listed = {(rng.choice(IDS), rng.choice([*CHANNELS, None])) for _ in range(rng.randint(0, 2))}
    lists = {"robinson": listed}
    return World(as_of, customers, consents, interactions, planned, lists, TRANSACTIONAL)


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
        frame.assign(campaign_id=pd.Series([campaign], dtype="str")).to_parquet(
            folder / f"plan{number}.moments.parquet"
        )
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


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 2**32).map(world_of), st.sampled_from(CAMPAIGNS))
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


@settings(max_examples=12, deadline=None)
@given(st.integers(0, 2**32).map(world_of), st.sampled_from(CAMPAIGNS), st.integers(1, len(IDS)))
def test_an_audience_gathered_in_slices_is_judged_as_its_customers_are_but_for_one_id_a_person(
    world, campaign, slice_customers
):
    with TemporaryDirectory() as folder:
        apart, one_by_one, _ = asked(world, campaign, Path(folder))
        with patch("serving.standing_rules.SLICE_CUSTOMERS", slice_customers):
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
    # Thirteen days on it is two in the night in Berlin, and quiet until a quarter to three.
    assert reference.earliest("a", "mail") == as_of + 13 * DAY + 3 * QUARTER
