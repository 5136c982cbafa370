"""Every fault of the contract, one at a time: its severity, its count, and a message that names place and remedy."""

import re
from datetime import UTC, datetime

import pandas as pd
import pytest

from contract.errors import DataError, UsageError
from contract.intake import check_data, open_audience, open_data
from contract.loading import load_params
from contract.report import Severity
from tests.adapters.small_shop import START, shop_tables, write_shop

AS_OF = datetime(2026, 1, 12, tzinfo=UTC)
STRICT = load_params()
LENIENT = load_params(
    assignments=["check.allow_quarantine=[customers, interactions, consents, campaigns, propensities, decided]"]
)


def changed(name, column, value, rows=1):
    """A change of the shop: `value` in the first rows of one column."""

    def apply(tables):
        table = tables[name].copy()
        table[column] = table[column].astype(object) if column in table else None
        table.loc[table.index[:rows], column] = value
        return {**tables, name: table}

    return apply


def repeated(name, **differing):
    """A change of the shop: the first row once more, with some columns of other content."""

    def apply(tables):
        table = tables[name]
        return {**tables, name: pd.concat([table, table.iloc[[0]].assign(**differing)], ignore_index=True)}

    return apply


def without(name, column=None):
    """A change of the shop: a table, or a column of it, left away."""

    def apply(tables):
        if column is None:
            return {key: table for key, table in tables.items() if key != name}
        return {**tables, name: tables[name].drop(columns=column)}

    return apply


def emptied(name):
    return lambda tables: {**tables, name: tables[name].head(0)}


def decided(**columns):
    """A change of the shop: a table of what a plan decided, of one row."""
    row = {"customer_id": "c000", "campaign_id": "NEW_YEAR", "decided_at": START, "channel": "email", "propensity": 0.5}
    return lambda tables: {**tables, "decided": pd.DataFrame([row | columns])}


def propensities(**columns):
    """A change of the shop: a table of propensities of one row."""
    row = {"customer_id": "c000", "campaign_id": "NEW_YEAR", "channel": "email", "propensity": 0.5, **columns}
    return lambda tables: {**tables, "propensities": pd.DataFrame([row])}


def at(text):
    return pd.Timestamp(text, tz="UTC")


FATAL, ASIDE, NOTE = Severity.FATAL, Severity.QUARANTINED, Severity.NOTE

FAULTS = [
    (without("customers"), FATAL, 0, r"^customers: the table is missing; .*customers\.csv.*tables\.customers\.path"),
    (without("interactions"), FATAL, 0, r"^interactions: the table is missing"),
    (without("campaigns"), FATAL, 0, r"^campaigns: the table is missing"),
    (without("consents"), FATAL, 0, r"^consents: the table is missing; nobody has consented on email, sms"),
    (emptied("customers"), FATAL, 0, r"^customers: the table has no rows"),
    (emptied("interactions"), FATAL, 0, r"^interactions: the table has no rows"),
    (emptied("consents"), NOTE, 0, r"^consents: the table has no rows"),
    (emptied("campaigns"), NOTE, 0, r"^campaigns: the table has no rows"),
    *(
        (
            without(table, column),
            FATAL,
            0,
            rf"^{table}\.{column}: it is missing; the columns are .*tables\.{table}\.rename",
        )
        for table, columns in {
            "customers": ["customer_id"],
            "interactions": ["customer_id", "occurred_at", "channel", "kind"],
            "consents": ["customer_id", "channel", "occurred_at", "granted"],
            "campaigns": ["campaign_id", "starts_at"],
        }.items()
        for column in columns
    ),
    (
        changed("interactions", "channel", "e-mail", 3),
        FATAL,
        3,
        (
            r"^interactions\.channel: 3 rows hold 'e-mail'; declared channels are email, sms, .*; add it under "
            r"channels: in params\.yaml or map it under tables\.interactions\.values\.channel: \{e-mail: email\}$"
        ),
    ),
    (changed("interactions", "kind", "bought", 2), FATAL, 2, r"^interactions\.kind: 2 rows hold 'bought'; .*kinds:"),
    (changed("consents", "channel", "pigeon"), FATAL, 1, r"^consents\.channel: 1 row holds 'pigeon'"),
    (
        changed("consents", "purpose", "fun"),
        FATAL,
        1,
        r"^consents\.purpose: 1 row holds 'fun'; .*contact, profiling, trac",
    ),
    (propensities(channel="fax"), FATAL, 1, r"^propensities\.channel: 1 row holds 'fax'"),
    (changed("interactions", "customer_id", None), ASIDE, 1, r"^interactions\.customer_id: 1 row holds none"),
    (repeated("customers", customer_id=""), ASIDE, 1, r"^customers\.customer_id: 1 row holds none"),
    (changed("interactions", "occurred_at", None), ASIDE, 1, r"^interactions\.occurred_at: 1 row holds none"),
    (changed("interactions", "kind", None), ASIDE, 1, r"^interactions\.kind: 1 row holds none"),
    (changed("interactions", "channel", None), ASIDE, 1, r"^interactions\.channel: .*only held_out may have none"),
    (changed("consents", "channel", None), ASIDE, 1, r"^consents\.channel: .*purpose contact"),
    (changed("consents", "granted", None), ASIDE, 1, r"^consents\.granted: 1 row holds none"),
    (
        changed("interactions", "occurred_at", at("1969-12-31")),
        ASIDE,
        1,
        r"occurred_at: 1 row holds '1969-12-31.*from 1970",
    ),
    (changed("consents", "occurred_at", at("1969-12-31")), ASIDE, 1, r"^consents\.occurred_at: .*from 1970"),
    (changed("campaigns", "starts_at", at("1969-12-31")), ASIDE, 1, r"^campaigns\.starts_at: .*from 1970"),
    (
        changed("interactions", "occurred_at", at("2026-01-13 00:00:01")),
        ASIDE,
        1,
        r"'2026-01-13 00:00:01'; expected none later than 1 days after as-of 2026-01-12",
    ),
    (repeated("interactions"), ASIDE, 1, r"^interactions: 1 exact copy of 'c000'; one of each is kept"),
    (repeated("customers"), ASIDE, 1, r"^customers\.customer_id: 1 exact copy of 'c000'"),
    (repeated("consents"), ASIDE, 1, r"^consents: 1 exact copy"),
    (
        repeated("customers", birth_year=1900),
        ASIDE,
        1,
        r"customer_id: 1 row with other content .* sorts first .* is kept",
    ),
    (repeated("campaigns", category="x"), ASIDE, 1, r"^campaigns\.campaign_id: 1 row with other content"),
    (
        changed("interactions", "customer_id", "nobody", 2),
        ASIDE,
        2,
        r"customer_id: 2 rows hold 'nobody'; .*table customers",
    ),
    (changed("consents", "customer_id", "nobody"), ASIDE, 1, r"^consents\.customer_id: 1 row holds 'nobody'"),
    (decided(channel="fax"), FATAL, 1, r"^decided\.channel: 1 row holds 'fax'"),
    (decided(propensity=0.0), ASIDE, 1, r"^decided\.propensity: 1 row holds '0\.0'; .*\(0, 1\]"),
    (decided(customer_id="nobody"), NOTE, 1, r"^decided\.customer_id: 1 row holds 'nobody'"),
    (propensities(customer_id="nobody"), ASIDE, 1, r"^propensities\.customer_id: 1 row holds 'nobody'"),
    (changed("interactions", "value", -1.0), ASIDE, 1, r"^interactions\.value: 1 row holds '-1\.0'; .*returned"),
    (changed("interactions", "value", float("inf")), ASIDE, 1, r"^interactions\.value: 1 row holds 'inf'"),
    (changed("interactions", "cost", -0.1), ASIDE, 1, r"^interactions\.cost: 1 row holds '-0\.1'"),
    (
        changed("interactions", "propensity", 0.0),
        ASIDE,
        1,
        r"^interactions\.propensity: 1 row holds '0\.0'; .*\(0, 1\]",
    ),
    (changed("interactions", "propensity", 1.01), ASIDE, 1, r"^interactions\.propensity: 1 row holds '1\.01'"),
    (propensities(propensity=-0.1), ASIDE, 1, r"^propensities\.propensity: 1 row holds '-0\.1'; .*\[0, 1\]"),
    (
        changed("interactions", "campaign_id", "?"),
        NOTE,
        1,
        r"^interactions\.campaign_id: 1 row holds '\?'; .*table campaigns",
    ),
    (propensities(campaign_id="?"), NOTE, 1, r"^propensities\.campaign_id: 1 row holds '\?'"),
    (changed("campaigns", "type", "Bulk"), NOTE, 1, r"^campaigns\.type: 1 row holds 'Bulk'; .*type: \{Bulk: bulk\}"),
    (changed("campaigns", "objective", "win"), NOTE, 1, r"^campaigns\.objective: 1 row holds 'win'"),
    (
        changed("interactions", "channel", "web", 2),
        NOTE,
        2,
        r"channel: 2 rows hold 'web'; their channel is declared inbound",
    ),
    (
        changed("interactions", "kind", "chatted"),
        NOTE,
        1,
        r"^interactions\.kind: 1 row holds 'email/chatted'; .*records",
    ),
    (changed("customers", "shoe_size", 44), NOTE, 0, r"^customers: further columns are not used: shoe_size \("),
    (changed("customers", "signup_at", at("2026-02-01")), NOTE, 1, r"^customers\.signup_at: 1 row holds '2026-02-01"),
    (
        lambda tables: tables,
        NOTE,
        0,
        r"^customers: tables\.customers\.features names gender, region, .*not in the table",
    ),
    (repeated("consents", granted=False), NOTE, 1, r"^consents\.granted: 1 moment .* both granted and refused"),
]


@pytest.mark.parametrize(("change", "severity", "rows", "match"), FAULTS, ids=[fault[3][:48] for fault in FAULTS])
def test_a_fault_is_reported_with_severity_count_and_remedy(tmp_path, change, severity, rows, match):
    folder = write_shop(tmp_path, change(shop_tables()))
    report = check_data(folder, LENIENT, as_of=AS_OF, quarantine=None)
    found = [fault for fault in report.faults if re.search(match, fault.text())]
    assert [(fault.severity, fault.rows) for fault in found] == [(severity, rows)], report.text()
    assert report.fatal == (severity == FATAL), report.text()
    assert found[0].text() in report.text()
    for table in report.tables:
        assert table.accepted + table.quarantined == table.rows
    assert sum(table.quarantined for table in report.tables) == (rows if severity == ASIDE else 0)


@pytest.mark.parametrize(
    ("table", "column", "value", "expected"),
    [
        ("interactions", "occurred_at", "yesterday", "expected a time such as 2026"),
        ("interactions", "value", "12,50", "expected a number such as 12.50"),
        ("consents", "granted", "perhaps", "expected true or false"),
        ("campaigns", "starts_at", "31/12/2025", "expected a time such as 2026"),
    ],
)
@pytest.mark.parametrize("suffix", ["csv", "parquet"])
def test_a_value_that_cannot_be_read_is_fatal_and_shown(tmp_path, table, column, value, expected, suffix):
    tables = shop_tables()
    tables = changed(table, column, value)({**tables, table: tables[table].astype({column: str})})
    report = check_data(write_shop(tmp_path, tables, suffix), STRICT, as_of=AS_OF, quarantine=None)
    texts = [fault.text() for fault in report.of(FATAL)]
    assert len(texts) == 1
    assert texts[0].startswith(f"{table}.{column}: 1 row holds '{value}'; ")
    assert expected in texts[0]
    assert f"tables.{table}.values.{column}" in texts[0]


@pytest.mark.parametrize(
    ("column", "values"),
    [
        ("birth_year", [[1], [2]]),
        ("birth_year", [True, False]),
        ("signup_at", [20240101, 20240102]),
        ("region", [b"a", b"b"]),
    ],
)
def test_a_type_that_holds_no_such_values(tmp_path, column, values):
    tables = shop_tables()
    tables["customers"] = tables["customers"].head(2).assign(**{column: values})
    report = check_data(write_shop(tmp_path, tables), LENIENT, as_of=AS_OF, quarantine=None)
    faults = [fault.text() for fault in report.of(FATAL)]
    assert len(faults) == (column != "region")
    assert all(re.match(rf"customers\.{column}: 2 rows hold .*none of the column can be read", text) for text in faults)


def test_a_demographic_value_that_cannot_be_read_costs_no_customer(tmp_path):
    tables = changed("customers", "birth_year", "unknown", 2)(shop_tables())
    report = check_data(write_shop(tmp_path, tables, "csv"), STRICT, as_of=AS_OF, quarantine=None)
    assert any("customers.birth_year: 2 rows hold 'unknown'" in fault.text() for fault in report.of(NOTE))
    assert not report.fatal
    assert report.tables[0].accepted == 100


@pytest.mark.parametrize(
    ("assignment", "match"),
    [
        (
            "tables.interactions.rename={when: occurred_at}",
            r"interactions\.when: .*rename names 'when', which is not there",
        ),
        ("tables.interactions.rename={kind: channel}", r"interactions\.channel: .*makes 'kind' a second 'channel'"),
        ("tables.interactions.rename={value: price}", r"interactions\.value: .*makes it 'price'; the columns are "),
        ("tables.interactions.values={chanel: {a: email}}", r"values maps 'chanel', which is not there"),
        ("tables.customers.path=people", r"tables\.customers\.path names people, not there"),
    ],
)
def test_names_of_the_parameters_that_the_data_do_not_have(tmp_path, assignment, match):
    folder = write_shop(tmp_path, shop_tables())
    report = check_data(folder, load_params(assignments=[assignment]), as_of=AS_OF, quarantine=None)
    assert [fault for fault in report.of(FATAL) if re.search(match, fault.text())], report.text()


def test_the_remedy_of_a_misnamed_column_is_a_ready_line(tmp_path):
    tables = shop_tables()
    tables["customers"] = tables["customers"].rename(columns={"customer_id": "Customer_ID"})
    report = check_data(write_shop(tmp_path, tables), STRICT, as_of=AS_OF, quarantine=None)
    assert "tables.customers.rename: {Customer_ID: customer_id}" in report.text()


def test_all_faults_of_all_tables_stand_in_one_error(tmp_path):
    tables = shop_tables()
    for change in (
        without("customers", "customer_id"),
        changed("interactions", "channel", "fax"),
        changed("interactions", "kind", "bought"),
        changed("consents", "channel", "pigeon"),
        without("campaigns", "starts_at"),
    ):
        tables = change(tables)
    with pytest.raises(DataError, match=r"(?s)customers\.customer_id.*campaigns.starts_at.*'fax'.*'bought'.*'pigeon'"):
        open_data(write_shop(tmp_path, tables), STRICT, as_of=AS_OF, quarantine=None)


def test_a_quarantine_above_the_share_is_fatal_unless_allowed(tmp_path):
    few, many = 8, 9  # of 175 rows; 5 % are 8.75
    tables = shop_tables()
    assert len(tables["interactions"]) == 175
    folder = write_shop(tmp_path / "few", changed("interactions", "value", -1.0, few)(tables))
    assert not check_data(folder, STRICT, as_of=AS_OF, quarantine=None).fatal
    folder = write_shop(tmp_path / "many", changed("interactions", "value", -1.0, many)(tables))
    with pytest.raises(DataError, match=r"9 rows of 175 \(5\.14%\) would be quarantined.*check\.allow_quarantine"):
        open_data(folder, STRICT, as_of=AS_OF, quarantine=None)
    assert not check_data(folder, LENIENT, as_of=AS_OF, quarantine=None).fatal


def test_a_question_of_the_past_sets_what_came_later_aside_without_refusing(tmp_path):
    folder = write_shop(tmp_path, shop_tables())
    report = check_data(folder, STRICT, as_of=datetime(2026, 1, 4, tzinfo=UTC), quarantine=None)
    assert not report.fatal, report.text()
    later = next(fault for fault in report.faults if fault.rule == "after_as_of")
    assert later.rows > 0.05 * 175


def test_the_clock_keeps_a_time_of_the_future_from_becoming_the_end(tmp_path):
    folder = write_shop(tmp_path, changed("interactions", "occurred_at", at("2099-01-01"))(shop_tables()))
    report = check_data(folder, STRICT, as_of=None, quarantine=None, now=datetime(2026, 2, 1, tzinfo=UTC))
    assert report.as_of is not None
    assert report.as_of.isoformat() == "2026-01-10T09:00:00.000001+00:00"
    assert any(
        "'2099-01-01 00:00:00'; expected none later than 1 days after now" in each.text() for each in report.faults
    )


def test_without_interactions_someone_must_tell_the_moment(tmp_path):
    folder = write_shop(tmp_path, shop_tables())
    with pytest.raises(UsageError, match="give --as-of"):
        open_data(folder, STRICT, as_of=None, quarantine=None, tables=["customers"])
    with pytest.raises(UsageError, match="orders is none of customers"):
        open_data(folder, STRICT, as_of=None, quarantine=None, tables=["orders"])


def test_the_quarantine_holds_the_rows_as_delivered_and_what_is_wrong(tmp_path):
    tables = shop_tables()
    for change in (
        changed("interactions", "value", -3.0),
        changed("interactions", "propensity", 7.0),
        repeated("consents"),
        repeated("customers", birth_year=1900),
    ):
        tables = change(tables)
    folder, aside = write_shop(tmp_path / "shop", tables), tmp_path / "aside"
    report = check_data(folder, STRICT, as_of=AS_OF, quarantine=aside)
    rows = pd.read_parquet(aside / "interactions.parquet")
    assert list(rows.columns) == [*tables["interactions"].columns, "fault"]
    assert rows[["value", "propensity"]].to_numpy().tolist() == [[-3.0, 7.0]]
    assert rows["fault"].tolist() == ["value: negative, propensity: range"]
    assert pd.read_parquet(aside / "consents.parquet")["fault"].tolist() == ["duplicate"]
    assert pd.read_parquet(aside / "customers.parquet")[["birth_year", "fault"]].to_numpy().tolist() == [
        [1950, "conflicting"]
    ]
    assert [table.quarantine_file for table in report.tables if table.quarantined == 0] == [None]
    check_data(write_shop(tmp_path / "mended", shop_tables()), STRICT, as_of=AS_OF, quarantine=aside)
    assert list(aside.iterdir()) == []


def test_an_audience_keeps_unknown_customers_and_quarantines_copies(tmp_path):
    intake = open_data(write_shop(tmp_path / "shop", shop_tables()), STRICT, as_of=AS_OF, quarantine=None)
    rows = [("c001", 2.5), ("stranger", None), ("c002", 1.0), ("c002", 1.0), ("c003", -1.0), (None, 1.0)]
    file = tmp_path / "audience.parquet"
    pd.DataFrame(rows, columns=["customer_id", "value"]).to_parquet(file)
    report = open_audience(intake.connection, file, load_params(assignments=["check.max_quarantine_share=0.5"]))
    accepted = intake.connection.execute("SELECT * FROM audience ORDER BY customer_id").fetchall()
    assert accepted == [("c001", 2.5), ("c002", 1.0), ("stranger", None)]
    assert "audience.customer_id: 1 row holds 'stranger'" in report.text()
    assert {fault.rule for fault in report.of(ASIDE)} == {"null", "negative", "duplicate"}
    (tmp_path / "other.csv").write_text("customer_id\nc009\n")
    open_audience(intake.connection, tmp_path / "other.csv", STRICT)
    assert intake.connection.execute("SELECT * FROM audience").fetchall() == [("c009", None)]


def test_an_audience_that_breaks_the_contract_is_an_error(tmp_path):
    intake = open_data(write_shop(tmp_path / "shop", shop_tables()), STRICT, as_of=AS_OF, quarantine=None)
    with pytest.raises(UsageError, match="audience"):
        open_audience(intake.connection, tmp_path / "audience.csv", STRICT)
    (tmp_path / "audience.csv").write_text("customer\nc001\n")
    with pytest.raises(DataError, match=r"audience\.customer_id: it is missing.*rename: \{customer: customer_id\}"):
        open_audience(intake.connection, tmp_path / "audience.csv", STRICT)
