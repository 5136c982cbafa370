"""One table in every form: the accepted rows are the same; what cannot be read is refused by name."""

import gzip
from datetime import UTC, datetime
from pathlib import Path

import duckdb
import numpy as np
import pandas as pd
import pytest

from contract.errors import DataError, UsageError
from contract.intake import check_data, open_data
from contract.loading import load_params
from tests.adapters.small_shop import shop_tables, write_shop

AS_OF = datetime(2026, 1, 12, tzinfo=UTC)
PARAMS = load_params()
HEADER = b"customer_id,occurred_at,channel,kind\n"


def faulty_shop():
    """The shop with a row for every way to be set aside, so that forms must agree on those too."""
    tables = shop_tables()
    first = tables["interactions"].iloc[[0]]
    further = [
        first.assign(value=-1.0),
        first,
        first.assign(customer_id="nobody"),
        first.assign(occurred_at=pd.Timestamp("1950-01-01", tz="UTC")),
    ]
    customers = tables["customers"]
    return {
        **tables,
        "interactions": pd.concat([*further, tables["interactions"]], ignore_index=True),
        "customers": pd.concat([customers, customers.iloc[[0]].assign(birth_year=1900)], ignore_index=True),
    }


def accepted(data, params=PARAMS):
    intake = open_data(data, params, as_of=AS_OF, quarantine=None)
    return {
        name: sorted(intake.connection.execute(f"SELECT * FROM {name}").fetchall(), key=repr)
        for name in ("customers", "interactions", "consents", "campaigns", "propensities")
    }


def as_parquet(folder, tables):
    return write_shop(folder, tables)


def as_csv(folder, tables):
    return write_shop(folder, tables, "csv")


def as_zipped_csv(folder, tables):
    for file in write_shop(folder, tables, "csv").glob("*.csv"):
        (folder / f"{file.name}.gz").write_bytes(gzip.compress(file.read_bytes()))
        file.unlink()
    return folder


def as_csv_of_windows(folder, tables):
    for file in write_shop(folder, tables, "csv").glob("*.csv"):
        file.write_bytes(b"\xef\xbb\xbf" + file.read_bytes().replace(b"\n", b"\r\n"))
    return folder


def as_parts(folder, tables, suffix="parquet"):
    for name, table in tables.items():
        shuffled = table.sample(frac=1, random_state=3)
        for number, rows in enumerate(np.array_split(np.arange(len(table)), 3)):
            part = shuffled.iloc[rows]
            if number == 1:
                part = part[part.columns[::-1]]
            write_shop(folder / name / f"delivered={number}", {"part": part}, suffix)
        (folder / name / "_SUCCESS").touch()
        (folder / name / f".part.{suffix}.crc").touch()
    return folder


def as_csv_parts(folder, tables):
    return as_parts(folder, tables, "csv")


def as_database(folder, tables):
    folder.mkdir()
    with duckdb.connect(folder / "shop.duckdb") as connection:
        connection.execute("SET TimeZone = 'UTC'")
        for name, table in tables.items():
            connection.register("arriving", table)
            connection.execute(f"CREATE TABLE {name} AS SELECT * FROM arriving")
            connection.unregister("arriving")
    return folder / "shop.duckdb"


FORMS = [as_csv, as_zipped_csv, as_csv_of_windows, as_database]


@pytest.mark.parametrize("form", FORMS, ids=lambda form: form.__name__)
def test_every_form_gives_the_same_accepted_rows(tmp_path, form):
    expected = accepted(as_parquet(tmp_path / "parquet", faulty_shop()))
    assert len(expected["interactions"]) == 175
    assert len(expected["customers"]) == 100
    assert accepted(form(tmp_path / "other", faulty_shop())) == expected


@pytest.mark.parametrize("form", [as_parts, as_csv_parts], ids=lambda form: form.__name__)
def test_folders_of_parts_give_the_same_rows_in_any_order_of_rows_and_columns(tmp_path, form):
    expected = accepted(as_parquet(tmp_path / "parquet", faulty_shop()))
    found = accepted(form(tmp_path / "parts", faulty_shop()))
    assert found["interactions"] == expected["interactions"]
    assert found["consents"] == expected["consents"]
    assert {row[:2] for row in found["customers"]} == {row[:2] for row in expected["customers"]}


def test_a_path_with_the_letters_of_a_glob_is_a_path(tmp_path):
    assert accepted(as_parquet(tmp_path / "shop [1]*?'s", shop_tables())) == accepted(
        as_parquet(tmp_path / "shop", shop_tables())
    )


def test_a_declared_path_may_lie_elsewhere(tmp_path):
    folder = write_shop(tmp_path / "shop", shop_tables())
    expected = accepted(folder)
    (folder / "interactions.parquet").rename(tmp_path / "events.parquet")
    params = load_params(assignments=[f"tables.interactions.path={tmp_path / 'events.parquet'}"])
    assert accepted(folder, params) == expected
    assert accepted(folder, load_params(assignments=["tables.interactions.path=../events.parquet"])) == expected


def test_columns_that_a_part_lacks_are_null_there(tmp_path):
    tables = shop_tables()
    folder = write_shop(tmp_path, {name: table for name, table in tables.items() if name != "interactions"})
    halves = np.array_split(np.arange(len(tables["interactions"])), 2)
    for number, rows in enumerate(halves):
        part = tables["interactions"].iloc[rows]
        write_shop(folder / "interactions", {f"p{number}": part.drop(columns="value") if number else part})
    rows = accepted(folder)["interactions"]
    assert len(rows) == 175
    assert sum(row[6] is not None for row in rows) == tables["interactions"]["value"].iloc[halves[0]].notna().sum()


def test_a_column_of_the_contract_may_stand_in_the_path(tmp_path):
    tables = shop_tables()
    folder = write_shop(tmp_path / "shop", tables)
    expected = accepted(folder)
    (folder / "interactions.parquet").unlink()
    for kind, part in tables["interactions"].groupby("kind"):
        write_shop(folder / "interactions" / f"kind={kind}", {"part": part.drop(columns="kind")})
    assert accepted(folder) == expected


def refusal(folder):
    report = check_data(folder, PARAMS, as_of=AS_OF, quarantine=None)
    assert report.fatal, report.text()
    return report.text()


@pytest.mark.parametrize("keep", [0.0, 0.3, 0.99])
def test_a_truncated_parquet_is_named(tmp_path, keep):
    file = write_shop(tmp_path, shop_tables()) / "consents.parquet"
    file.write_bytes(file.read_bytes()[: int(keep * file.stat().st_size)])
    assert "consents: consents.parquet: " in refusal(tmp_path)
    assert "write it anew" in refusal(tmp_path)


def test_damage_in_the_middle_of_a_parquet_is_found_by_the_scan(tmp_path):
    file = write_shop(tmp_path, shop_tables()) / "interactions.parquet"
    content = bytearray(file.read_bytes())
    content[4 : len(content) // 2] = bytes(len(content) // 2 - 4)
    file.write_bytes(content)
    assert "\n  interactions: " in refusal(tmp_path)


@pytest.mark.parametrize(("separator", "words"), [(";", "semicolons"), ("\t", "tabs"), ("|", "bars")])
def test_another_separator_is_recognised(tmp_path, separator, words):
    write_shop(tmp_path, shop_tables(), "csv")
    shop_tables()["interactions"].to_csv(tmp_path / "interactions.csv", sep=separator, index=False)
    assert f"interactions.csv looks separated by {words} ('{separator}'); expected commas" in refusal(tmp_path)


@pytest.mark.parametrize(
    ("content", "match"),
    [
        (b"", "interactions.csv is empty"),
        (b"customer_id,kind,kind\n", "names 1 column twice or not at all: 'kind'"),
        (HEADER + b"c000,2026-01-01\n", "Expected Number of Columns: 4 Found: 2"),
        (HEADER + b'"c000,2026-01-01,email,sent\n', "unterminated quote"),
        (HEADER + b"c000,2026-01-01,email,sent\n" * 9_000 + b"c\xff\xfe,2026-01-01,email,sent\n", "not utf-8"),
        ("customer_id,occurred_at\n".encode("utf-16"), "is not UTF-8; expected .*; save it as UTF-8"),
    ],
)
def test_a_broken_csv_says_what_is_broken(tmp_path, content, match):
    write_shop(tmp_path, shop_tables(), "csv")
    (tmp_path / "interactions.csv").write_bytes(content)
    report = check_data(tmp_path, PARAMS, as_of=AS_OF, quarantine=None)
    with pytest.raises(DataError, match=match):
        raise DataError(report.text())
    assert "Possible" not in report.text()
    assert "=true" not in report.text()


def test_two_forms_of_a_table_are_ambiguous(tmp_path):
    write_shop(write_shop(tmp_path, shop_tables()), shop_tables(), "csv")
    assert "customers: found customers.parquet and customers.csv; expected one of them" in refusal(tmp_path)


def test_a_folder_of_mixed_or_no_parts_is_refused(tmp_path):
    write_shop(tmp_path, {name: shop_tables()[name] for name in ("interactions", "consents")})
    (tmp_path / "customers").mkdir()
    write_shop(write_shop(tmp_path / "campaigns", shop_tables()), shop_tables(), "csv")
    text = refusal(tmp_path)
    assert "customers: customers holds no file that can be read" in text
    assert "campaigns: campaigns holds both Parquet and CSV parts" in text


@pytest.mark.parametrize(
    ("data", "match"),
    [
        (
            "postgresql://shop:secret@host/db",
            "PostgreSQL address was given as a path; give it",
        ),
        ("postgres://host/db", "PostgreSQL address was given as a path; give it"),
        ("nowhere", "nowhere: does not exist"),
        ("a.txt", r"a\.txt: is a file; give the folder"),
    ],
)
def test_data_that_is_no_folder_of_tables_is_a_usage_error(tmp_path, monkeypatch, data, match):
    monkeypatch.chdir(tmp_path)
    Path("a.txt").touch()
    with pytest.raises(UsageError, match=match) as raised:
        check_data(Path(data), PARAMS, as_of=AS_OF, quarantine=None)
    assert "secret" not in str(raised.value)


def test_a_database_that_is_none_or_lacks_tables_is_a_fault(tmp_path):
    (tmp_path / "noise.duckdb").write_bytes(b"noise" * 1000)
    assert "noise.duckdb: " in refusal(tmp_path / "noise.duckdb")
    data = as_database(tmp_path / "half", {"customers": shop_tables()["customers"]})
    assert "interactions: the table is missing" in refusal(data)
    params = load_params(assignments=["tables.customers.path=people"])
    report = check_data(data, params, as_of=AS_OF, quarantine=None)
    assert "tables.customers.path names 'people', not there" in report.text()


def test_absent_optional_tables_are_empty_views_with_their_columns(tmp_path):
    intake = open_data(write_shop(tmp_path, shop_tables()), PARAMS, as_of=None, quarantine=None)
    assert intake.tables == {"customers", "interactions", "consents", "campaigns"}
    found = intake.connection.execute("DESCRIBE propensities").fetchall()
    assert [row[:2] for row in found] == [
        ("customer_id", "VARCHAR"),
        ("campaign_id", "VARCHAR"),
        ("channel", "VARCHAR"),
        ("propensity", "DOUBLE"),
    ]
    cursor = intake.connection.cursor()
    assert cursor.execute("SELECT count(*) FROM propensities").fetchone() == (0,)
    assert intake.as_of == datetime(2026, 1, 10, 9, 0, 0, 1, tzinfo=UTC)


def test_no_consents_are_needed_where_no_channel_asks_for_them(tmp_path):
    tables = {name: table for name, table in shop_tables().items() if name != "consents"}
    free = {name: {"consent": False} for name in PARAMS.channels}
    params = load_params(assignments=[f"channels={free}"])
    assert accepted(write_shop(tmp_path, tables), params)["consents"] == []
