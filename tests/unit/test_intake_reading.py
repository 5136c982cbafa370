"""Delivered columns become the contract's: names, words, ids, times, numbers and flags of every type."""

from datetime import UTC, datetime

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from contract.intake import check_data, open_data
from contract.loading import load_params
from tests.adapters.small_shop import shop_tables, write_shop

AS_OF = datetime(2026, 1, 12, tzinfo=UTC)
PARAMS = load_params()


def opened(folder, params=PARAMS, as_of=AS_OF):
    return open_data(folder, params, as_of=as_of, quarantine=None)


def column(intake, table, name, order="customer_id"):
    return [row[0] for row in intake.connection.execute(f"SELECT {name} FROM {table} ORDER BY {order}").fetchall()]


def test_columns_and_types_are_the_contract_s(tmp_path):
    intake = opened(write_shop(tmp_path, shop_tables()))
    described = intake.connection.execute("DESCRIBE interactions").fetchall()
    assert {row[0]: row[1] for row in described} == {
        "customer_id": "VARCHAR",
        "occurred_at": "TIMESTAMP",
        "channel": "VARCHAR",
        "kind": "VARCHAR",
        "campaign_id": "VARCHAR",
        "send_id": "VARCHAR",
        "value": "DOUBLE",
        "cost": "DOUBLE",
        "propensity": "DOUBLE",
    }
    assert set(column(intake, "consents", "purpose")) == {"contact"}


@pytest.mark.parametrize("suffix", ["csv", "parquet"])
def test_renames_and_value_maps(tmp_path, suffix):
    plain = opened(write_shop(tmp_path / "plain", shop_tables()))
    tables = shop_tables()
    theirs = {"customer_id": "KUNDE", "occurred_at": "Zeit", "channel": "Weg"}
    interactions = tables["interactions"].replace(
        {"channel": {"email": "e-mail", "web": "Shop"}, "kind": {"sent": "S"}}
    )
    tables["interactions"] = interactions.rename(columns=theirs)
    tables["consents"]["granted"] = "J"
    params = tmp_path / "params.yaml"
    params.write_text(
        """
tables:
  interactions:
    rename: {KUNDE: customer_id, Zeit: occurred_at, Weg: channel}
    values: {channel: {e-mail: email, Shop: web}, kind: {S: sent}}
  consents: {values: {granted: {J: 'true', N: 'false'}}}
"""
    )
    mapped = opened(write_shop(tmp_path / "mapped", tables, suffix), load_params([params]))
    query = "SELECT * FROM interactions ORDER BY ALL"
    assert mapped.connection.execute(query).fetchall() == plain.connection.execute(query).fetchall()
    assert set(column(mapped, "consents", "granted")) == {True}


def test_a_value_mapped_to_nothing_is_missing(tmp_path):
    tables = shop_tables()
    tables["interactions"]["value"] = tables["interactions"]["value"].astype(str)
    params = load_params(assignments=["tables.interactions.values={value: {nan: ''}}"])
    intake = opened(write_shop(tmp_path, tables), params)
    assert column(intake, "interactions", "count(value)", "ALL") == [25]


@pytest.mark.parametrize(
    "ids",
    [
        pa.array([7, 8, 9], pa.int64()),
        pa.array([7, 8, 9], pa.float64()),
        pa.array([7, 8, 9], pa.decimal128(9, 2)),
        pa.array(["7", "8", "9"]).dictionary_encode(),
        pa.array(["7", "8", "9"], pa.large_string()),
    ],
    ids=lambda ids: str(ids.type)[:12],
)
def test_ids_are_text_whatever_their_type(tmp_path, ids):
    tables = shop_tables()
    tables["customers"] = pd.DataFrame({"customer_id": ["7", "8", "9"]})
    for name in ("interactions", "consents"):
        tables[name] = tables[name].head(3).assign(customer_id=["7", "8", "9"])
    folder = write_shop(tmp_path, tables)
    consents = pq.read_table(folder / "consents.parquet")
    at = consents.schema.get_field_index("customer_id")
    pq.write_table(consents.set_column(at, "customer_id", ids), folder / "consents.parquet")
    assert column(opened(folder), "consents", "customer_id") == ["7", "8", "9"]


TIMES = [
    ("2025-03-30T01:59:59+01:00", "2025-03-30 00:59:59"),
    ("2025-03-30 03:00:00+02:00", "2025-03-30 01:00:00"),
    ("2025-10-26T02:30:00+02:00", "2025-10-26 00:30:00"),
    ("2025-10-26T02:30:00+01:00", "2025-10-26 01:30:00"),
    ("2025-07-01 12:00:00 Europe/Berlin", "2025-07-01 10:00:00"),
    ("2025-12-01 12:00:00 Europe/Berlin", "2025-12-01 11:00:00"),
    ("2025-12-01T12:00:00Z", "2025-12-01 12:00:00"),
    ("2025-12-01T12:00:00.123456", "2025-12-01 12:00:00.123456"),
    ("2025-12-01", "2025-12-01 00:00:00"),
]


def test_times_of_text_are_converted_to_utc(tmp_path):
    tables = shop_tables()
    texts = [text for text, _ in TIMES]
    tables["interactions"] = tables["interactions"].head(len(texts)).assign(occurred_at=texts)
    folder = write_shop(tmp_path, tables, "csv")
    assert [str(time) for time in column(opened(folder), "interactions", "occurred_at")] == [utc for _, utc in TIMES]
    report = check_data(folder, PARAMS, as_of=AS_OF, quarantine=None)
    assert (
        "interactions.occurred_at: 7 of 9 times bear a zone and are converted; the rest count as UTC" in report.text()
    )


@pytest.mark.parametrize("unit", ["s", "ms", "us", "ns"])
def test_zoned_times_of_parquet_are_converted_over_the_change_of_the_clock(tmp_path, unit):
    hours = pd.date_range("2025-10-25 22:00", periods=6, freq="h", tz="UTC")
    tables = shop_tables()
    local = hours.tz_convert("Europe/Berlin").as_unit(unit)
    tables["interactions"] = tables["interactions"].head(6).assign(occurred_at=local)
    intake = opened(write_shop(tmp_path, tables))
    assert column(intake, "interactions", "occurred_at") == [
        hour.to_pydatetime().replace(tzinfo=None) for hour in hours
    ]
    assert "interactions.occurred_at bear" not in intake.report.text()


def test_naive_times_are_utc_and_said_once(tmp_path):
    tables = shop_tables()
    for table, name in (("interactions", "occurred_at"), ("consents", "occurred_at")):
        tables[table][name] = tables[table][name].dt.tz_localize(None)
    intake = opened(write_shop(tmp_path, tables))
    notes = [fault.text() for fault in intake.report.faults if fault.rule == "naive_time"]
    assert notes == ["times: interactions.occurred_at, consents.occurred_at bear no zone; they are taken as UTC"]
    assert column(intake, "interactions", "min(occurred_at)", "ALL") == [datetime(2026, 1, 1, 9)]  # noqa: DTZ001


@pytest.mark.parametrize("granted", [[True, False], ["yes", "NO"], ["1", "0"], [1, 0], [1.0, 0.0], ["t", "f"]])
def test_flags_are_read_leniently(tmp_path, granted):
    tables = shop_tables()
    tables["consents"] = tables["consents"].head(2).assign(granted=granted)
    assert column(opened(write_shop(tmp_path, tables)), "consents", "granted") == [True, False]


def test_a_number_that_is_nan_is_missing_and_counted(tmp_path):
    tables = shop_tables()
    folder = write_shop(tmp_path, tables)
    table = pq.read_table(folder / "interactions.parquet")
    at = table.schema.get_field_index("value")
    filled = pa.array(tables["interactions"]["value"].to_numpy(), from_pandas=False)
    pq.write_table(table.set_column(at, "value", filled), folder / "interactions.parquet")
    intake = opened(folder)
    assert "interactions.value: 150 rows hold NaN; NaN is read as missing" in intake.report.text()
    assert column(intake, "interactions", "count(value)", "ALL") == [25]


def test_an_optional_column_without_any_value_may_have_any_type(tmp_path):
    tables = shop_tables()
    tables["customers"]["signup_at"] = pd.Series([None] * 100, dtype="Int64")
    intake = opened(write_shop(tmp_path, tables))
    assert column(intake, "customers", "count(signup_at)", "ALL") == [0]


def test_further_columns_of_a_csv_get_the_type_that_all_their_values_have(tmp_path):
    tables = shop_tables()
    tables["customers"] = tables["customers"].assign(
        points=range(100), postcode="04109", since="2024-05-01", mixed=["1", "x"] * 50, empty=None
    )
    intake = opened(write_shop(tmp_path, tables, "csv"))
    types = {row[0]: row[1] for row in intake.connection.execute("DESCRIBE customers").fetchall()}
    assert [types[name] for name in ("points", "postcode", "since", "mixed", "empty")] == [
        "DOUBLE",
        "VARCHAR",
        "TIMESTAMP",
        "VARCHAR",
        "VARCHAR",
    ]


def test_a_row_differing_in_a_further_column_is_no_copy(tmp_path):
    tables = shop_tables()
    twice = pd.concat([tables["interactions"]] * 2, ignore_index=True)
    tables["interactions"] = twice.assign(event=range(len(twice)))
    assert column(opened(write_shop(tmp_path, tables)), "interactions", "count(*)", "ALL") == [350]
