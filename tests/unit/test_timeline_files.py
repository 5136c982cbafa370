"""The timeline on disk: what goes in comes out, in the contract's order, whole or not at all."""

import json
import shutil

import duckdb
import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from contract.errors import ArtefactError, DataError
from contract.loading import load_params
from features.encoding import Clock, built_codebook, fitting_clock
from features.events import EventCode
from features.timeline import build_timeline, open_timeline
from tests.properties.raw_histories import CAMPAIGNS, Opened, raw_history

PARAMS = load_params()


def rows_of(timeline, max_events=10**9, customers=None):
    """(customer id, time, entry, cents) of every event, in the order in which they are read."""
    found = []
    for block in timeline.blocks(max_events, customers):
        for at in range(len(block.offsets) - 1):
            for row in range(block.offsets[at], block.offsets[at + 1]):
                entry = timeline.codebook.entries[block.code[row]]
                customer = timeline.customer_ids[block.first_customer + at]
                found.append((customer, int(block.time_us[row]), entry, int(block.cents[row])))
    return found


def expected_rows(shown, since_us, until_us):
    facts = CAMPAIGNS.set_index("campaign_id")
    found = []
    for row in shown.interactions.to_dict("records"):
        time_us = row["occurred_at"].value // 1000
        if row["customer_id"] == "stranger" or not since_us <= time_us < until_us:
            continue
        category, type_ = (facts[name].get(row["campaign_id"]) for name in ("category", "type"))
        entry = EventCode(
            row["kind"],
            row["channel"] if isinstance(row["channel"], str) else None,
            category if isinstance(category, str) else None,
            type_ == "transactional",
        )
        found.append((row["customer_id"], time_us, entry, 0 if pd.isna(row["value"]) else round(row["value"] * 100)))
    return sorted(found, key=lambda row: (row[0], row[1], *((each is not None, each) for each in row[2]), row[3]))


@settings(max_examples=25)
@given(
    seed=st.integers(0, 2**32 - 1),
    rows=st.integers(0, 120),
    tick_us=st.sampled_from([1_000_000, 1]),
    group=st.sampled_from([1, 7, 1000]),
    block=st.sampled_from([1, 5, 1000]),
)
def test_events_come_back_sorted_and_complete(seed, rows, tick_us, group, block, tmp_path_factory):
    shown = raw_history(PARAMS, seed, rows, tick_us=tick_us)
    folder = tmp_path_factory.mktemp("timeline") / "t"
    timeline = build_timeline(shown.opened(), PARAMS, folder, group_events=group)
    assert rows_of(timeline, block) == expected_rows(shown, timeline.window.since_us, timeline.window.until_us)
    assert timeline.customer_ids.tolist() == [f"c{i}" for i in range(6)]
    assert timeline.customers_of(["c5", "stranger", "c0"]).tolist() == [5, -1, 0]
    firsts = [part.first_customer for part in timeline.blocks(block)]
    lengths = [len(part.offsets) - 1 for part in timeline.blocks(block)]
    assert firsts == [sum(lengths[:at]) for at in range(len(lengths))]
    assert sum(lengths) == timeline.n_customers


@pytest.mark.parametrize("group", [1, 50, 1000])
def test_rows_in_any_order_and_any_row_groups_give_the_same_timeline(group, tmp_path):
    shown = raw_history(PARAMS, 3, 200)
    shuffled = shown.with_rows(shown.interactions.sample(frac=1, random_state=1))
    one = build_timeline(shown.opened(), PARAMS, tmp_path / "one")
    other = build_timeline(shuffled.opened(), PARAMS, tmp_path / "other", group_events=group)
    assert one.fingerprint == other.fingerprint
    fewer = shown.with_rows(shown.interactions.iloc[1:])
    assert build_timeline(fewer.opened(), PARAMS, tmp_path / "fewer").fingerprint != one.fingerprint


def test_take_and_blocks_of_some_customers(tmp_path):
    timeline = build_timeline(raw_history(PARAMS, 4, 200).opened(), PARAMS, tmp_path / "t", group_events=20)
    wanted = np.array([0, 3, 5])
    taken = timeline.take(wanted)
    whole = next(iter(build_timeline(raw_history(PARAMS, 4, 200).opened(), PARAMS, tmp_path / "u").blocks(10**9)))
    for at, customer in enumerate(wanted):
        rows = slice(whole.offsets[customer], whole.offsets[customer + 1])
        mine = slice(taken.offsets[at], taken.offsets[at + 1])
        for column in ("time_us", "code", "cents"):
            np.testing.assert_array_equal(getattr(taken, column)[mine], getattr(whole, column)[rows])
    firsts = [(part.first_customer, len(part.offsets) - 1) for part in timeline.blocks(1, np.array([3]))]
    assert firsts == [(3, 1)]
    assert list(timeline.take(np.zeros(0, np.int64)).offsets) == [0]


def test_a_given_codebook_keeps_its_numbers(tmp_path):
    shown = raw_history(PARAMS, 6, 300)
    only_sent = shown.with_rows(shown.interactions[shown.interactions.kind == "sent"])
    early = build_timeline(only_sent.opened(), PARAMS, tmp_path / "early")
    later = build_timeline(shown.opened(), PARAMS, tmp_path / "later", codebook=early.codebook)
    known = len(early.codebook.entries)
    assert later.codebook.entries[:known] == early.codebook.entries
    assert len(later.codebook.entries) > known
    fresh = build_timeline(shown.opened(), PARAMS, tmp_path / "fresh")
    assert sorted(rows_of(later), key=str) == sorted(rows_of(fresh), key=str)


def test_clock_is_as_coarse_as_it_may_be():
    assert fitting_clock(5_000_000, 9_000_000, True) == Clock(5_000_000, 1_000_000)
    assert fitting_clock(5_000_000, 9_000_001, False) == Clock(0, 1)
    assert fitting_clock(0, (2**32) * 1_000_000, True) == Clock(0, 1)
    assert fitting_clock(0, (2**32 - 1) * 1_000_000, True).dtype == np.uint32


def test_large_amounts_widen_the_cents(tmp_path):
    shown = raw_history(PARAMS, 7, 20)
    frame = shown.interactions.copy()
    frame["value"] = 30_000_000.005
    timeline = build_timeline(shown.with_rows(frame).opened(), PARAMS, tmp_path / "t")
    assert {row[3] for row in rows_of(timeline)} == {3_000_000_000}


def test_more_codes_than_fit_are_refused():
    events = [EventCode("sent", "email", str(at), False) for at in range(65_537)]
    with pytest.raises(DataError, match="65537 combinations of kind"):
        built_codebook(events, [], PARAMS)


def test_a_repeated_customer_is_refused(tmp_path):
    shown = raw_history(PARAMS, 8, 5)
    opened = shown.opened()
    opened.connection.execute("INSERT INTO customers SELECT * FROM customers WHERE customer_id = 'c2'")
    with pytest.raises(DataError, match="1 rows repeat an id, the first 'c2'"):
        build_timeline(opened, PARAMS, tmp_path / "t")


def test_an_error_leaves_the_old_timeline_whole(tmp_path):
    shown = raw_history(PARAMS, 9, 50)
    old = build_timeline(shown.opened(), PARAMS, tmp_path / "t")

    def broken(stage, done, total):
        raise RuntimeError("stopped")

    with pytest.raises(RuntimeError, match="stopped"):
        build_timeline(raw_history(PARAMS, 10, 50).opened(), PARAMS, tmp_path / "t", progress=broken)
    assert open_timeline(tmp_path / "t").fingerprint == old.fingerprint
    assert [each.name for each in tmp_path.iterdir()] == ["t"]


@pytest.mark.parametrize("name", ["timeline.json", "codebook.json", "*/customers.parquet", "*/part-00000.parquet"])
@pytest.mark.parametrize("damage", ["gone", "cut"])
def test_damage_is_named(name, damage, tmp_path):
    build_timeline(raw_history(PARAMS, 11, 50).opened(), PARAMS, tmp_path / "t")
    (file,) = (tmp_path / "t").glob(name)
    content = file.read_bytes()
    file.unlink()
    if damage == "cut":
        file.write_bytes(content[: len(content) // 2])
    with pytest.raises(ArtefactError, match=r"missing or damaged .* build it again"):
        open_timeline(tmp_path / "t")


def test_files_of_two_timelines_are_refused(tmp_path):
    build_timeline(raw_history(PARAMS, 12, 50).opened(), PARAMS, tmp_path / "t")
    build_timeline(raw_history(PARAMS, 13, 90).opened(), PARAMS, tmp_path / "u")
    (one,), (other,) = ((tmp_path / name).glob("*/customers.parquet") for name in "tu")
    shutil.copy(other, one)
    with pytest.raises(ArtefactError, match="not of one timeline"):
        open_timeline(tmp_path / "t")


def test_another_version_is_refused(tmp_path):
    build_timeline(raw_history(PARAMS, 14, 5).opened(), PARAMS, tmp_path / "t")
    file = tmp_path / "t" / "timeline.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), "version": 99}))
    with pytest.raises(ArtefactError, match="version 99; expected 2"):
        open_timeline(tmp_path / "t")


def test_sorting_spills_within_its_memory(tmp_path):
    """Ten times more rows than the memory holds; the order is right all the same."""
    connection = duckdb.connect(
        config={"memory_limit": "60MB", "threads": 1, "temp_directory": str(tmp_path / "spill")}
    )
    connection.execute("CREATE TABLE customers AS SELECT 'c' || i AS customer_id FROM range(1000) t(i)")
    connection.execute("CREATE TABLE campaigns (campaign_id VARCHAR, type VARCHAR, category VARCHAR)")
    connection.execute("CREATE TABLE consents (customer_id VARCHAR, channel VARCHAR, occurred_at TIMESTAMP)")
    connection.execute(
        "ALTER TABLE consents ADD COLUMN granted BOOLEAN; ALTER TABLE consents ADD COLUMN purpose VARCHAR"
    )
    source = tmp_path / "interactions.parquet"
    connection.execute(
        f"""COPY (SELECT 'c' || hash(i) % 1000 AS customer_id, make_timestamp(CAST(1700000000000000
        + (hash(i + 7) % 5000000) * 1000000 AS BIGINT)) AS occurred_at, 'email' AS channel, 'sent' AS kind,
        CAST(NULL AS VARCHAR) AS campaign_id, CAST(NULL AS DOUBLE) AS value FROM range(2000000) t(i)) TO '{source}'"""
    )
    connection.execute(f"CREATE VIEW interactions AS FROM '{source}'")
    timeline = build_timeline(Opened(connection, pd.Timestamp("2024-03-01").to_pydatetime()), PARAMS, tmp_path / "t")
    assert timeline.n_events == 2_000_000
    for block in timeline.blocks(100_000):
        ascending = np.diff(block.time_us) >= 0
        ascending[block.offsets[1:-1] - 1] = True
        assert ascending.all()
