"""What only the SQLite store promises: its file, its durability, what an erasure leaves in it."""

import sqlite3
from collections import deque

import pytest

from contract.errors import ArtefactError, DataError, StorageError
from contract.loading import load_params
from features.event_store import Interaction
from features.histories import EMPTY, inserted
from features.sqlite_store import SqliteStore

PARAMS = load_params()
VISIT = Interaction("c0", 1_704_067_200_000_000, "visited", "web", value=3.5, campaign_id="spring")


def test_no_byte_of_a_forgotten_customer_stays_in_the_files(tmp_path):
    store = SqliteStore(tmp_path / "events.db", PARAMS)
    for number in range(3_000):
        late_us = VISIT.occurred_at_us + number * 7_919 % 3_001 * 1_000_000
        name = f"person{number % 40:02d}!"
        store.append(VISIT._replace(customer_id=name, occurred_at_us=late_us, send_id=f"{name}{number:05d}"))
    for number in range(0, 40, 2):
        assert store.forget(f"person{number:02d}!")
    held = b"".join(file.read_bytes() for file in tmp_path.iterdir())
    for number in range(40):
        assert (f"person{number:02d}!".encode() in held) == bool(number % 2)
    assert len({row.customer_id for row in store.interactions()}) == 20
    store.close()


def test_the_view_has_the_columns_of_the_contract(tmp_path):
    store = SqliteStore(tmp_path / "events.db", PARAMS)
    store.append(VISIT._replace(occurred_at_us=VISIT.occurred_at_us + 1_000_007))
    store.close()
    with sqlite3.connect(tmp_path / "events.db") as connection:
        rows = connection.execute("SELECT * FROM interactions")
        named = dict(zip([each[0] for each in rows.description], rows.fetchone(), strict=True))
    connection.close()
    assert named == {
        "customer_id": "c0",
        "occurred_at": "2024-01-01T00:00:01.000007Z",
        "channel": "web",
        "kind": "visited",
        "campaign_id": "spring",
        "send_id": None,
        "value": 3.5,
        "cost": None,
        "propensity": None,
    }


@pytest.mark.parametrize(("durability", "synchronous"), [("process", 1), ("power", 2)])
def test_durability_is_sqlites_synchronous(durability, synchronous, tmp_path):
    store = SqliteStore(tmp_path / "events.db", PARAMS, durability=durability)
    assert store._run("PRAGMA synchronous").fetchone() == (synchronous,)
    assert store._run("PRAGMA journal_mode").fetchone() == ("wal",)
    assert store.append(VISIT).added
    store.close()


def test_a_file_of_another_kind_or_version_is_named(tmp_path):
    (tmp_path / "text").write_text("no database " * 100)
    with pytest.raises(ArtefactError, match=r"text: is no event store .* name another file"):
        SqliteStore(tmp_path / "text", PARAMS)
    with pytest.raises(StorageError, match=r"absent/events.db: the event store cannot be read or written"):
        SqliteStore(tmp_path / "absent" / "events.db", PARAMS)
    SqliteStore(tmp_path / "old.db", PARAMS).close()
    with sqlite3.connect(tmp_path / "old.db") as connection:
        connection.execute("UPDATE meta SET value = '99' WHERE key = 'version'")
    connection.close()
    with pytest.raises(ArtefactError, match=r"old.db: is an event store of version 99; expected 1; fill a new one"):
        SqliteStore(tmp_path / "old.db", PARAMS)


def test_a_full_disk_keeps_nothing_of_the_event_and_all_before_it(tmp_path):
    store = SqliteStore(tmp_path / "events.db", PARAMS)
    store.append(VISIT)
    (pages,) = store._run("PRAGMA page_count").fetchone()
    store._run(f"PRAGMA max_page_count = {pages}").fetchall()
    before = store.codebook
    rows = [VISIT._replace(customer_id=f"c{number}", category=f"k{number}") for number in range(1_000)]
    with pytest.raises(StorageError, match=r"database or disk is full.*deliver again"):
        deque(map(store.append, rows), maxlen=0)
    kept = list(store.interactions())
    assert kept[0] == VISIT
    assert len(store.codebook.entries) <= len(before.entries) + len(kept)
    assert store.append(VISIT) == (False, store.history("c0"))
    store.close()


def test_an_event_is_encoded_as_its_delivery_would_be_and_is_not_kept(tmp_path):
    store = SqliteStore(tmp_path / "events.db", PARAMS)
    later = VISIT._replace(kind="chatted", category="garden", occurred_at_us=VISIT.occurred_at_us + 1_000_000)
    code, cents = store.encoded(later)
    assert (cents, store.history("c0")) == (350, EMPTY)
    assert store.codebook.entries[code][:3] == ("chatted", "web", "garden")
    assert inserted(EMPTY, later.occurred_at_us, code, cents) == store.append(later).history
    store.append(VISIT)
    assert [event.kind for event in store.interactions({"visited"})] == ["visited"]
    assert len(list(store.interactions())) == 2
    with pytest.raises(DataError, match="'teleported' is not declared"):
        store.encoded(VISIT._replace(kind="teleported"))
    store.close()
