"""Each fault of the contract, through the command: the right exit code, and a message that names place and remedy."""

import json

import numpy as np
import pandas as pd
import pytest

from tests.adapters.command_line import run_command
from tests.adapters.small_shop import shop_tables, write_shop

AS_OF = "2026-01-12T00:00:00Z"


@pytest.fixture
def shop():
    return shop_tables()


@pytest.fixture
def check(tmp_path):
    """Checks tables, or a folder that a test has filled itself."""

    def run(data, *further):
        folder = write_shop(tmp_path / "shop", data) if isinstance(data, dict) else data
        return run_command("check", "--data", folder, "--as-of", AS_OF, *further)

    return run


def changed(table, column, value, rows=1):
    """The table with `value` in the first rows of `column`."""
    table = table.copy()
    if not isinstance(value, (int, float, pd.Timestamp)) or value is pd.NaT:
        table[column] = table[column].astype(object)
    table.loc[table.index[:rows], column] = value
    return table


def test_the_shop_without_a_fault_passes(check, shop):
    ran = check(shop)
    assert ran.code == 0, ran.out + ran.err
    assert "the data can be used" in ran.out
    assert "fatal" not in ran.out
    assert "quarantined:" not in ran.out


@pytest.mark.parametrize(
    ("table", "column"),
    [
        ("customers", "customer_id"),
        ("interactions", "customer_id"),
        ("interactions", "occurred_at"),
        ("interactions", "channel"),
        ("interactions", "kind"),
        ("consents", "granted"),
        ("campaigns", "starts_at"),
    ],
)
def test_a_missing_required_column_is_fatal(check, shop, table, column):
    ran = check({**shop, table: shop[table].drop(columns=column)})
    assert ran.code == 3
    assert f"{table}.{column}" in ran.out
    assert f"tables.{table}.rename" in ran.out


@pytest.mark.parametrize(
    ("column", "value", "remedy"),
    [("channel", "e-mail", "channels:"), ("kind", "bought", "kinds:")],
)
def test_an_undeclared_word_is_fatal_with_its_count_and_remedy(check, shop, column, value, remedy):
    ran = check({**shop, "interactions": changed(shop["interactions"], column, value, rows=3)})
    assert ran.code == 3
    assert f"interactions.{column}: 3 rows" in ran.out
    assert f"'{value}'" in ran.out
    assert remedy in ran.out
    assert "tables.interactions.values" in ran.out


@pytest.mark.parametrize(
    ("table", "column", "value"),
    [
        ("interactions", "occurred_at", "the day before yesterday"),
        ("interactions", "value", "much"),
        ("consents", "granted", "perhaps"),
        ("campaigns", "starts_at", "soon"),
    ],
)
def test_a_value_that_cannot_be_read_is_fatal(check, shop, tmp_path, table, column, value):
    tables = {**shop, table: changed(shop[table], column, value, rows=1)}
    ran = check(write_shop(tmp_path / "csv", tables, "csv"))
    assert ran.code == 3, ran.out
    assert f"{table}.{column}" in ran.out
    assert value in ran.out


@pytest.mark.parametrize(("value", "shown"), [(True, "true"), (1_767_225_600, "1767225600")])
def test_a_column_of_another_type_is_fatal(check, shop, value, shown):
    ran = check({**shop, "interactions": shop["interactions"].assign(occurred_at=value)})
    assert ran.code == 3
    assert f"interactions.occurred_at: 175 rows hold '{shown}'" in ran.out
    assert "expected a time" in ran.out


def _null_id(interactions):
    return changed(interactions, "customer_id", None)


def _before_1970(interactions):
    return changed(interactions, "occurred_at", pd.Timestamp("1969-12-31", tz="UTC"))


def _after_as_of(interactions):
    return changed(interactions, "occurred_at", pd.Timestamp("2026-01-14", tz="UTC"))


def _twice(interactions):
    return pd.concat([interactions, interactions.iloc[[7]]])


def _stranger(interactions):
    return changed(interactions, "customer_id", "nobody")


def _negative_value(interactions):
    return changed(interactions, "value", -1.0)


def _impossible_propensity(interactions):
    return changed(interactions, "propensity", 1.5)


def _zero_propensity(interactions):
    return changed(interactions, "propensity", 0.0)


@pytest.mark.parametrize(
    ("fault", "column", "value"),
    [
        (_null_id, "customer_id", ""),
        (_before_1970, "occurred_at", "1969-12-31"),
        (_after_as_of, "occurred_at", "2026-01-14"),
        (_twice, None, ""),
        (_stranger, "customer_id", "nobody"),
        (_negative_value, "value", "-1"),
        (_impossible_propensity, "propensity", "1.5"),
        (_zero_propensity, "propensity", "0"),
    ],
    ids=lambda each: getattr(each, "__name__", None),
)
def test_a_bad_row_is_set_aside_with_a_count_and_a_file(check, shop, tmp_path, fault, column, value):
    aside = tmp_path / "aside"
    ran = check({**shop, "interactions": fault(shop["interactions"])}, "--quarantine", aside, "--json")
    assert ran.code == 0, ran.out
    report = json.loads(ran.out)
    table = next(each for each in report["tables"] if each["table"] == "interactions")
    assert table["quarantined"] == 1
    assert table["accepted"] == table["rows"] - 1
    found = [each for each in report["faults"] if each["severity"] == "quarantined"]
    assert [(each["column"], each["rows"]) for each in found] == [(column, 1)]
    assert value in found[0]["found"]
    assert found[0]["expected"]
    assert len(pd.read_parquet(table["quarantine_file"])) == 1


def test_above_five_percent_the_table_itself_is_in_doubt(check, shop):
    rows = len(shop["interactions"])
    few, many = int(rows * 0.05), int(rows * 0.05) + 1
    assert check({**shop, "interactions": changed(shop["interactions"], "customer_id", "nobody", few)}).code == 0
    broken = {**shop, "interactions": changed(shop["interactions"], "customer_id", "nobody", many)}
    ran = check(broken)
    assert ran.code == 3
    assert "check.allow_quarantine" in ran.out
    assert check(broken, "--set", "check.allow_quarantine=[interactions]").code == 0


def test_all_faults_of_all_tables_stand_in_one_report(check, shop):
    ran = check(
        {
            "customers": shop["customers"].drop(columns="customer_id"),
            "interactions": changed(changed(shop["interactions"], "kind", "bought"), "channel", "fax"),
            "consents": changed(shop["consents"], "channel", "pigeon"),
            "campaigns": shop["campaigns"].drop(columns="starts_at"),
        }
    )
    assert ran.code == 3
    for part in ("customers.customer_id", "'bought'", "'fax'", "'pigeon'", "campaigns.starts_at"):
        assert part in ran.out


def test_a_missing_table_is_fatal_and_says_where_it_was_looked_for(check, shop, tmp_path):
    ran = check({name: table for name, table in shop.items() if name != "interactions"})
    assert ran.code == 3
    assert "interactions" in ran.out
    assert "tables.interactions.path" in ran.out


def test_a_data_folder_that_is_not_there_is_named(check, tmp_path):
    ran = check(tmp_path / "nowhere")
    assert ran.code in {2, 3}
    assert "nowhere" in ran.out + ran.err


@pytest.mark.parametrize("keep", [0.0, 0.5, 0.99])
def test_a_truncated_parquet_file_is_fatal(check, shop, tmp_path, keep):
    folder = write_shop(tmp_path / "cut", shop)
    file = folder / "interactions.parquet"
    file.write_bytes(file.read_bytes()[: int(keep * file.stat().st_size)])
    ran = check(folder)
    assert ran.code == 3
    assert "interactions" in ran.out
    assert "interactions.parquet" in ran.out


def test_a_truncated_part_of_a_folder_is_fatal_and_named(check, shop, tmp_path):
    folder = write_shop(tmp_path / "parts", {name: table for name, table in shop.items() if name != "interactions"})
    (folder / "interactions").mkdir()
    for number, part in enumerate(np.array_split(np.arange(len(shop["interactions"])), 3)):
        shop["interactions"].iloc[part].to_parquet(folder / "interactions" / f"part-{number}.parquet", index=False)
    assert check(folder).code == 0
    broken = folder / "interactions" / "part-1.parquet"
    broken.write_bytes(broken.read_bytes()[:-20])
    ran = check(folder)
    assert ran.code == 3
    assert "part-1.parquet" in ran.out


@pytest.mark.parametrize(("separator", "name"), [(";", "semicolon"), ("\t", "tab"), ("|", "'|'")])
def test_a_csv_with_another_separator_is_fatal_and_the_separator_named(check, shop, tmp_path, separator, name):
    folder = write_shop(tmp_path / "csv", shop, "csv")
    shop["interactions"].to_csv(folder / "interactions.csv", sep=separator, index=False)
    ran = check(folder)
    assert ran.code == 3
    assert "interactions.csv looks separated by" in ran.out
    assert name in ran.out


@pytest.mark.parametrize("table", ["customers", "interactions"])
@pytest.mark.parametrize("suffix", ["parquet", "csv"])
def test_a_table_without_rows_is_fatal(check, shop, tmp_path, table, suffix):
    folder = write_shop(tmp_path / "empty", {**shop, table: shop[table].head(0)}, suffix)
    ran = check(folder)
    assert ran.code == 3
    assert table in ran.out


def test_a_file_of_no_bytes_is_fatal(check, shop, tmp_path):
    folder = write_shop(tmp_path / "empty", shop, "csv")
    (folder / "interactions.csv").write_bytes(b"")
    ran = check(folder)
    assert ran.code == 3
    assert "interactions" in ran.out


def test_bytes_that_are_no_text_are_fatal(check, shop, tmp_path):
    folder = write_shop(tmp_path / "noise", shop, "csv")
    (folder / "interactions.csv").write_bytes(np.random.default_rng(0).bytes(5_000))
    ran = check(folder)
    assert ran.code == 3
    assert "interactions" in ran.out


@pytest.mark.parametrize(
    "words",
    [
        ("features", "--out", "{out}"),
        ("train", "--profile", "quick", "--registry", "sqlite:///{out}"),
    ],
    ids=lambda words: words[0],
)
def test_every_command_refuses_broken_tables_with_the_whole_report(tmp_path, shop, words):
    tables = {**shop, "interactions": changed(shop["interactions"], "kind", "bought", rows=3)}
    folder = write_shop(tmp_path / "shop", tables)
    out = tmp_path / "out"
    verb, *further = (word.format(out=out) for word in words)
    ran = run_command(verb, "--data", folder, *further)
    assert ran.code == 3
    assert "interactions.kind: 3 rows" in ran.err
    assert not out.exists()


def test_every_fault_of_the_parameters_is_reported_together(check, shop, tmp_path):
    file = tmp_path / "params.yaml"
    file.write_text("objectve: sell\nchannels: {email: {unit_cost: -1}}\nseed: early\n")
    ran = check(shop, "--params", file)
    assert ran.code == 2
    for part in ("objectve", "objective", "channels.email.unit_cost", "seed", "'early'"):
        assert part in ran.err


@pytest.mark.parametrize(
    ("words", "part"),
    [
        (("check", "--data", "{shop}", "--as-of", "tomorrow"), "'tomorrow'"),
        (("check",), "--data"),
        (("chekc",), "chekc"),
        (("plan", "--scores", "{shop}/none.parquet", "--out", "{shop}/p.csv", "--capacity", "email"), "CHANNEL="),
    ],
)
def test_a_wrong_call_exits_two_and_names_what_is_wrong(tmp_path, shop, words, part):
    folder = write_shop(tmp_path / "shop", shop)
    ran = run_command(*(word.format(shop=folder) for word in words))
    assert ran.code == 2
    assert part in ran.err
