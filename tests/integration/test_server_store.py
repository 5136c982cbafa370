"""The store of a server is a place like any other: what it began with, and what came since, are read as one."""

from datetime import UTC, datetime

import pandas as pd
import pytest

from contract.delivery import place_of
from contract.errors import DataError
from contract.intake import open_data
from contract.loading import load_params
from features.event_store import Interaction
from features.sqlite_store import SqliteStore
from serving.decision_log import Decided
from serving.sqlite_log import SqliteLog
from serving.store import make_store, remove_erased, renew_tables
from tests.adapters.small_shop import shop_tables, write_shop

PARAMS = load_params()
AFTER = datetime(2026, 1, 20, tzinfo=UTC)


def opened(place):
    return open_data(place, PARAMS, as_of=None, quarantine=None)


def rows(intake, table, order="ALL"):
    return intake.connection.sql(f"SELECT * FROM {table} ORDER BY {order}").fetchall()


@pytest.fixture
def shop(tmp_path):
    return write_shop(tmp_path / "shop", shop_tables())


@pytest.fixture
def store(shop, tmp_path):
    make_store(tmp_path / "store", opened(shop), PARAMS)
    return tmp_path / "store"


def event(customer, second, kind, channel, event_id, **more):
    return Interaction(
        customer, round(AFTER.timestamp() + second) * 1_000_000, kind, channel, event_id=event_id, **more
    )


def deliver(store, *events):
    held = SqliteStore(store / "events.sqlite", PARAMS)
    for each in events:
        held.append(each)
    held.close()


def test_a_new_store_reads_as_the_tables_it_was_made_of(shop, store):
    before, after = opened(shop), opened(place_of(str(store)))
    for table in ("customers", "interactions", "consents", "campaigns"):
        assert rows(after, table) == rows(before, table)
    assert not [fault for fault in after.report.faults if fault.rule == "naive_time"]


def test_events_come_in_beside_and_customers_nobody_knew_with_them(store):
    deliver(
        store,
        event("c001", 0, "purchased", "web", "e1", value=12.5, campaign_id="NEW_YEAR"),
        event("newcomer", 1, "visited", "store", "e2"),
    )
    intake = opened(store)
    found = intake.connection.sql(
        "SELECT customer_id, kind, value FROM interactions WHERE occurred_at >= TIMESTAMP '2026-01-20' ORDER BY 1"
    ).fetchall()
    assert found == [("c001", "purchased", 12.5), ("newcomer", "visited", None)]
    assert intake.connection.sql("SELECT count(*) FROM customers").fetchall() == [(101,)]
    assert intake.as_of > AFTER


def test_decisions_become_the_table_of_propensities(store):
    log = SqliteLog(store / "decisions.sqlite")
    vector = {None: 0.1, "email": 0.7, "sms": 0.2}
    log.keep("r1", b"question", b"answer", [Decided("c001", "NEW_YEAR", 5, "email", "plan", "m1", vector)], {})
    log.keep("r2", b"question", b"answer", [Decided("c001", "NEW_YEAR", 6, None, "plan", "m1", {None: 1.0})], {})
    assert rows(opened(store), "propensities") == [("c001", "NEW_YEAR", None, 1.0)]
    assert log.of_customer("c001") == [("NEW_YEAR", 6, None, "plan")]
    log.keep("r3", b"question", b"answer", [Decided("newcomer", "NEW_YEAR", 7, None, "plan", "m1", {None: 1.0})], {})
    intake = opened(store)
    assert ("newcomer", "NEW_YEAR", None, 1.0) in rows(intake, "propensities")
    assert intake.connection.sql("SELECT count(*) FROM customers").fetchall() == [(101,)]
    log.close()


def test_who_is_forgotten_is_in_no_table_and_no_file(store):
    log = SqliteLog(store / "decisions.sqlite")
    log.keep(
        "r1", b"question", b"says c001", [Decided("c001", "NEW_YEAR", 5, "email", "plan", "m1", {"email": 1.0})], {}
    )
    assert log.forget("c001")
    assert not log.forget("nobody")
    assert log.is_erased("c001")
    assert not log.is_erased("c002")
    assert log.answered("r1", b"question") is None
    intake = opened(store)
    for table in ("customers", "interactions", "consents", "propensities"):
        assert not [row for row in rows(intake, table) if "c001" in row]
    assert intake.connection.sql("SELECT count(*) FROM customers").fetchall() == [(99,)]
    removed = remove_erased(store, log)
    assert removed >= 3
    assert remove_erased(store, log) == 0
    base = pd.read_parquet(store / "base" / "interactions.parquet")
    assert "c001" not in set(base.customer_id)
    assert len(base) == len(rows(opened(store), "interactions"))
    log.close()


def test_small_tables_are_taken_anew_and_interactions_stay(store, tmp_path):
    tables = shop_tables()
    tables["campaigns"] = pd.concat(
        [tables["campaigns"], pd.DataFrame({"campaign_id": ["SPRING"], "starts_at": [pd.Timestamp(AFTER)]})]
    )
    tables["interactions"] = tables["interactions"].head(10)
    before = rows(opened(store), "interactions")
    renew_tables(store, opened(write_shop(tmp_path / "later", tables)))
    intake = opened(store)
    assert {row[0] for row in rows(intake, "campaigns")} == {"NEW_YEAR", "SPRING"}
    assert rows(intake, "interactions") == before


def test_a_store_of_another_format_is_refused(store):
    (store / "store.json").write_text('{"format": 99}')
    with pytest.raises(DataError, match="the store has format 99"):
        opened(store)
    (store / "store.json").write_text("{")
    with pytest.raises(DataError, match="expected the store of a server"):
        opened(store)
