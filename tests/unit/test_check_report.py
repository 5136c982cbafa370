"""The report of a check: JSON that programs can rely on, and text that says the same."""

import json
from dataclasses import replace
from datetime import UTC, datetime

import pandas as pd
import pytest

from contract.intake import check_data
from contract.loading import load_params
from contract.report import Severity, Value, shown
from tests.adapters.small_shop import shop_tables, write_shop

TABLE: dict[str, type | tuple[type, ...]] = {
    "table": str,
    "source": str,
    "rows": int,
    "accepted": int,
    "quarantined": int,
    "quarantine_file": (str, type(None)),
}
FAULT: dict[str, type | tuple[type, ...]] = {
    "table": str,
    "column": (str, type(None)),
    "rule": str,
    "severity": str,
    "found": str,
    "expected": str,
    "remedy": str,
    "rows": int,
    "values": list,
}


@pytest.fixture
def report(tmp_path):
    tables = shop_tables()
    tables["interactions"].loc[0:2, "channel"] = "fax"
    tables["interactions"].loc[3:4, "value"] = -1.0
    tables["interactions"].loc[5, "value"] = -2.0
    params = load_params(assignments=["check.first_values=1"])
    return check_data(write_shop(tmp_path, tables), params, as_of=datetime(2026, 1, 12, tzinfo=UTC), quarantine=None)


def test_the_json_has_the_declared_shape(report):
    told = json.loads(json.dumps(report.as_json(), allow_nan=False))
    assert set(told) == {"fatal", "as_of", "tables", "faults"}
    assert told["fatal"] is True
    assert told["as_of"] == "2026-01-12T00:00:00+00:00"
    for rows, shape in ((told["tables"], TABLE), (told["faults"], FAULT)):
        for row in rows:
            assert set(row) == set(shape)
            assert all(isinstance(row[name], type_) for name, type_ in shape.items())
    assert {fault["severity"] for fault in told["faults"]} == {"fatal", "quarantined", "note"}
    assert all(set(value) == {"text", "rows"} for fault in told["faults"] for value in fault["values"])


def test_the_most_frequent_values_come_first_and_no_more_than_asked(report):
    fault = next(fault for fault in report.faults if fault.rule == "negative")
    assert fault.values == (Value("-1.0", 2),)
    assert fault.found == "3 rows hold '-1.0' (2), …"


def test_the_text_says_all_that_the_json_says(report):
    text = report.text()
    assert text.startswith("the data cannot be used: 1 fatal fault; as of 2026-01-12 00:00:00 UTC\n")
    for fault in report.faults:
        assert fault.text() in text
    rows = [line.split() for line in text.splitlines()]
    assert ["interactions", "175", "172", "3", "(1.71%)", "interactions.parquet"] in rows


def test_the_verdict_without_fatal_faults(report):
    kept = tuple(fault for fault in report.faults if fault.severity != Severity.FATAL)
    assert replace(report, faults=kept).text().startswith("the data can be used, without 3 quarantined rows; as of")
    clean = replace(report, faults=(), tables=(), as_of=None)
    assert clean.text() == "the data can be used\ntable  rows  accepted  quarantined  source"
    assert clean.as_json()["as_of"] is None


def test_a_long_value_is_cut():
    assert shown([Value("x" * 99, 1)]) == f"'{'x' * 59}…'"


def test_two_checks_of_the_same_data_say_the_same(tmp_path):
    tables = {name: pd.concat([table, table.head(9)]) for name, table in shop_tables().items()}
    folder = write_shop(tmp_path, tables)
    texts = {check_data(folder, load_params(), as_of=None, quarantine=None).text() for _ in range(3)}
    assert len(texts) == 1
