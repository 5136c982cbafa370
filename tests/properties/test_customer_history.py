"""Columns that change: each row sees what held just before its as_of, in batch and online alike."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from contract.intake import check_data, open_data
from contract.loading import load_params
from features.demographic import fit_demographic
from features.events import NO_ACTION, NO_CATEGORY, Spine
from features.matrix import learn_features
from features.online import Known
from features.timeline import build_timeline
from tests.adapters.small_shop import shop_tables, write_shop
from tests.properties.raw_histories import CUSTOMERS, DAY_US, DAYS, START_US, raw_history

PARAMS = load_params(
    assignments=[
        "features.min_category_customers=1",
        "tables.customers.features=[birth_year, region, signup_at, loyal, income]",
    ]
)
SEEDS = st.integers(0, 2**32 - 1)


def changes(rng, rows):
    """Rows of a customer history: moments on whole days come up twice for different customers, never for one."""
    frame = pd.DataFrame(
        {
            "customer_id": [f"c{i}" for i in rng.integers(0, CUSTOMERS, rows)],
            "valid_from": pd.to_datetime(START_US + rng.integers(-3, DAYS, rows) * DAY_US, unit="us").astype(
                "datetime64[us]"
            ),
            "region": pd.Series(rng.choice(np.array(["north", "south", None], dtype=object), rows), dtype="str"),
            "income": np.where(rng.random(rows) < 0.2, np.nan, rng.normal(size=rows)),
            "nobody_asked": 1.0,
        }
    )
    return frame.drop_duplicates(["customer_id", "valid_from"]).sample(frac=1, random_state=int(rng.integers(1000)))


def spine_of(rng, rows):
    customer = np.sort(rng.integers(0, CUSTOMERS, rows))
    as_of = START_US + rng.integers(-5, DAYS + 2, rows) * DAY_US + rng.integers(-1, 2, rows)
    order = np.lexsort((as_of, customer))
    action, category = np.full(rows, NO_ACTION, np.int16), np.full(rows, NO_CATEGORY, np.int16)
    return Spine(customer, as_of[order], action, category)


def held(shown, customer_id, as_of_us, column):
    """What a plain reading says: the latest change before as_of; the customers table where nothing ever changed."""
    own = shown.customer_history[shown.customer_history.customer_id == customer_id]
    if not len(own):
        return shown.customers.set_index("customer_id").loc[customer_id, column]
    known = own[own.valid_from.astype("int64") < as_of_us].sort_values("valid_from")
    return known[column].iloc[-1] if len(known) else None


@settings(max_examples=25)
@given(seed=SEEDS, rows=st.integers(0, 30))
def test_each_row_sees_the_latest_change_before_its_as_of(seed, rows, tmp_path_factory):
    rng = np.random.default_rng(seed)
    shown = replace(raw_history(PARAMS, seed, 40), customer_history=changes(rng, rows))
    opened, spine = shown.opened(), spine_of(rng, 60)
    encoder = fit_demographic(opened, PARAMS)
    timeline = build_timeline(opened, PARAMS, tmp_path_factory.mktemp("history") / "t")
    values = encoder.encode(encoder.table(opened, timeline), spine)
    levels = next(column.levels for column in encoder.columns if column.source == "region")
    for row, (number, as_of_us) in enumerate(zip(spine.customer, spine.as_of_us, strict=True)):
        customer_id = timeline.customer_ids[number]
        income = held(shown, customer_id, as_of_us, "income")
        region = held(shown, customer_id, as_of_us, "region")
        found = dict(zip(encoder.names, values[row], strict=True))
        assert found["income"] == pytest.approx(np.float32(np.nan if income is None else income), nan_ok=True)
        expected = levels.index(region) if isinstance(region, str) else np.nan
        assert found["region"] == pytest.approx(expected, nan_ok=True)


@settings(max_examples=15)
@given(seed=SEEDS, rows=st.integers(0, 30))
def test_online_sees_what_batch_sees(seed, rows, tmp_path_factory):
    rng = np.random.default_rng(seed)
    opened = replace(raw_history(PARAMS, seed, 40), customer_history=changes(rng, rows)).opened()
    timeline = build_timeline(opened, PARAMS, tmp_path_factory.mktemp("online") / "t")
    features = learn_features(opened, timeline, PARAMS)
    customers, spine = features.demographic.table(opened, timeline), spine_of(rng, 40)
    batch = features.demographic.encode(customers, spine)
    known = Known(features, customers, timeline.customer_ids)
    for row in range(len(spine)):
        one = known.at(timeline.customer_ids[spine.customer[row]], int(spine.as_of_us[row]))
        np.testing.assert_array_equal(np.array(one, np.float32), batch[row])


@settings(max_examples=15)
@given(seed=SEEDS, rows=st.integers(1, 30), day=st.integers(0, DAYS))
def test_what_changes_later_moves_nothing(seed, rows, day, tmp_path_factory):
    rng = np.random.default_rng(seed)
    moment_us = START_US + day * DAY_US
    history = changes(rng, rows)
    later = history.valid_from.astype("int64") >= moment_us
    other = history.assign(income=np.where(later, history.income + 1, history.income))
    spine = spine_of(rng, 40)
    spine = replace(spine, as_of_us=np.minimum(spine.as_of_us, moment_us))
    found = []
    for name, each in (("a", history), ("b", other)):
        opened = replace(raw_history(PARAMS, seed, 40), customer_history=each).opened()
        timeline = build_timeline(opened, PARAMS, tmp_path_factory.mktemp(name) / "t")
        encoder = fit_demographic(opened, PARAMS)
        found.append(encoder.encode(encoder.table(opened, timeline), spine).tobytes())
    assert found[0] == found[1]


@pytest.mark.parametrize("suffix", ["parquet", "csv"])
def test_a_history_comes_in_beside_the_customers(suffix, tmp_path):
    tables = shop_tables()
    tables["customer_history"] = pd.DataFrame(
        {
            "customer_id": ["c000", "c000", "c000", "c001", "nobody"],
            "valid_from": pd.to_datetime(["2026-01-02", "2026-01-02", "2026-01-05", "", "2026-01-02"], utc=True),
            "birth_year": [1950, 1951, 1952, 1953, 1954],
            "shoe_size": 41,
        }
    )
    folder = write_shop(tmp_path / "shop", tables, suffix)
    params = load_params(assignments=["check.allow_quarantine=[customer_history]"])
    report = check_data(folder, params, as_of=None, quarantine=None)
    told = {(fault.table, fault.rule) for fault in report.faults}
    assert {
        ("customer_history", "further_columns"),
        ("customer_history", "null"),
        ("customer_history", "unknown"),
    } <= told
    intake = open_data(folder, params, as_of=None, quarantine=None)
    rows = intake.connection.sql("SELECT count(*), max(birth_year) FROM customer_history").fetchall()
    assert rows == [(2, 1952)]
