"""Opt-outs are counted for the send that they follow, and for no other."""

from datetime import UTC, datetime, timedelta

import duckdb
import numpy as np
import pyarrow as pa
import pytest

from contract.loading import load_params
from serving.opt_outs import opt_out_rates

AS_OF = datetime(2026, 6, 1, tzinfo=UTC)
PARAMS = load_params()


def ago(days: float) -> datetime:
    return (AS_OF - timedelta(days=days)).replace(tzinfo=None)


def history(rows, campaigns=(("k1", "bulk"), ("receipt", "transactional"))):
    """A connection with views as an intake has them; rows: customer, days ago, channel, kind, campaign, send."""
    connection = duckdb.connect()
    connection.execute("SET TimeZone = 'UTC'")
    connection.execute("CREATE TABLE campaigns (campaign_id VARCHAR, type VARCHAR)")
    connection.executemany("INSERT INTO campaigns VALUES (?, ?)", campaigns)
    connection.execute(
        "CREATE TABLE interactions (customer_id VARCHAR, occurred_at TIMESTAMP, channel VARCHAR, kind VARCHAR, "
        "campaign_id VARCHAR, send_id VARCHAR)"
    )
    names = ("customer_id", "occurred_at", "channel", "kind", "campaign_id", "send_id")
    columns = zip(*[(customer, ago(days), *rest) for customer, days, *rest in rows], strict=True)
    given = pa.table({name: pa.array(column) for name, column in zip(names, columns, strict=True)})
    connection.register("given", given)
    connection.execute("INSERT INTO interactions SELECT * FROM given")
    return connection


def counts(rows):
    found = opt_out_rates(history(rows), PARAMS, AS_OF)
    return {channel: (each.sends, each.opt_outs) for channel, each in found.items()}


def test_an_opt_out_belongs_to_the_send_it_names_or_else_to_the_latest_on_its_channel():
    sends = [
        ("a", 40, "email", "sent", "k1", "s1"),
        ("a", 38, "email", "sent", "k1", "s2"),
        ("a", 39, "sms", "sent", "k1", None),
        ("b", 40, "email", "sent", None, None),
    ]
    assert counts(sends) == {"email": (3, 0), "sms": (1, 0)}
    named = ("a", 37, "email", "unsubscribed", "k1", "s1")
    assert counts([*sends, named])["email"] == (3, 1)
    assert counts([*sends, named, named])["email"] == (3, 1)
    assert counts([*sends, ("a", 37, "email", "complained", None, None)])["email"] == (3, 1)
    assert counts([*sends, ("b", 39, "email", "unsubscribed", None, None)])["email"] == (3, 1)
    assert counts([*sends, ("b", 39, "sms", "unsubscribed", None, None)])["sms"] == (1, 0)
    assert counts([*sends, ("b", 41, "email", "unsubscribed", None, None)])["email"] == (3, 0)


@pytest.mark.parametrize(
    "row",
    [
        ("a", 3, "email", "sent", "k1", "s9"),
        ("a", 400, "email", "sent", "k1", "s9"),
        ("a", 40, "email", "sent", "receipt", "s9"),
        ("a", 40, "mail", "sent", "k1", "s9"),
        ("a", 40, "email", "held_out", "k1", "s9"),
        ("a", 20, "email", "unsubscribed", "k1", "s1"),
        ("a", -1, "email", "unsubscribed", "k1", "s1"),
    ],
    ids=["week not over", "too old", "transactional", "records none", "held out", "too late", "after as-of"],
)
def test_what_does_not_count(row):
    assert counts([("a", 40, "email", "sent", "k1", "s1"), row]) == {"email": (1, 0)}


def test_rates_are_near_the_counts_and_never_certain():
    rows: list[tuple[object, ...]] = [(f"c{i}", 20 + i % 300, "email", "sent", "k1", f"s{i}") for i in range(3_000)]
    gone = [(37 * j) % 3_000 for j in range(30)]
    rows += [(f"c{i}", 19.5 + i % 300, "email", "unsubscribed", "k1", f"s{i}") for i in gone]
    rows += [(f"c{i}", 30, "sms", "sent", "k1", None) for i in range(10)]
    found = opt_out_rates(history(rows), PARAMS, AS_OF)
    assert found["email"].rate == pytest.approx(0.01, rel=0.05)
    assert found["email"].relative_variance == pytest.approx(1 / 31, rel=0.3)
    assert found["sms"].opt_outs == 0
    assert 0.2 * found["email"].rate < found["sms"].rate < 1.2 * found["email"].rate
    assert "push" not in found


def test_rates_that_move_from_month_to_month_are_known_less_well():
    rng = np.random.default_rng(0)
    rows: list[tuple[object, ...]] = []
    steady: list[tuple[object, ...]] = []
    for i in range(6_000):
        days = 10 + i % 300
        rows.append((f"c{i}", days, "email", "sent", "k1", f"s{i}"))
        gone = (f"c{i}", days - 0.5, "email", "unsubscribed", "k1", f"s{i}")
        if rng.random() < (0.05 if (days // 60) % 2 else 0.005):
            rows.append(gone)
        if rng.random() < 0.0275:
            steady.append(gone)
    moving = opt_out_rates(history(rows), PARAMS, AS_OF)["email"]
    same = opt_out_rates(history([row for row in rows if row[3] == "sent"] + steady), PARAMS, AS_OF)["email"]
    assert same.dispersion < 2.5 < moving.dispersion
