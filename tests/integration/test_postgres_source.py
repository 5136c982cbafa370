"""PostgreSQL as a source: types and names as declared, one snapshot, and no message that tells a secret."""

import json
import sys

import pytest

from contract.delivery import place_of
from contract.errors import DataError, UsageError
from contract.intake import check_data, open_data
from contract.loading import load_params
from contract.postgres import PostgresAddress
from tests.adapters.command_line import run_command
from tests.adapters.hostile_shop import AS_OF
from tests.adapters.small_shop import shop_tables, write_shop

PARAMS = load_params()

TABLES = (
    """CREATE TABLE customers (customer_id numeric(20), birth_year integer, signup_at timestamptz, vip boolean,
       notes jsonb, income numeric, shops text[], card uuid, born date, comment text)""",
    """INSERT INTO customers VALUES
       (12345678901234567890, 1980, '2025-03-30 03:30:00+02', true, '{"a": "x, \\"y\\""}', 12.5, '{a,b}',
        '00000000-0000-0000-0000-000000000001', '1980-02-29', E'two\\nlines'),
       (12345678901234567891, NULL, 'infinity', NULL, NULL, 'NaN', NULL, NULL, '0044-03-15 BC', '')""",
    """CREATE TABLE interactions (customer_id numeric, occurred_at timestamp, channel text, kind text, value real)""",
    """INSERT INTO interactions VALUES (12345678901234567890.00, '2026-01-05 10:00:00.000001', 'email', 'sent', NULL),
       (12345678901234567891, '2026-01-05 11:00', 'web', 'purchased', 19.99)""",
    "CREATE TABLE consents (customer_id numeric(20), channel text, occurred_at timestamptz, granted boolean)",
    "CREATE TABLE campaigns (campaign_id bigint, starts_at date)",
)


@pytest.fixture(scope="module")
def shop(postgres):
    """A small shop with a column of every type."""
    return postgres.create("typed", *TABLES)


def rows(intake, table, columns="*"):
    return intake.connection.execute(f"SELECT {columns} FROM {table} ORDER BY ALL").fetchall()


def test_types_keep_their_meaning(shop):
    intake = open_data(place_of(shop), PARAMS, as_of=AS_OF, quarantine=None)
    first, second = "12345678901234567890", "12345678901234567891"
    columns = "customer_id, birth_year, signup_at::VARCHAR, vip, notes, income, shops, card"
    assert rows(intake, "customers", columns) == [
        (first, 1980, "2025-03-30 01:30:00", True, '{"a": "x, \\"y\\""}', 12.5, "{a,b}",
         "00000000-0000-0000-0000-000000000001"),
        (second, None, None, None, None, pytest.approx(float("nan"), nan_ok=True), None, None),
    ]  # fmt: skip
    assert rows(intake, "customers", "born::VARCHAR, comment") == [("-infinity", ""), ("1980-02-29", "two\nlines")]
    assert rows(intake, "interactions", "customer_id, occurred_at::VARCHAR, round(value, 2)") == [
        (first, "2026-01-05 10:00:00.000001", None),
        (second, "2026-01-05 11:00:00", 19.99),
    ]
    naive = [fault.text() for fault in intake.report.faults if fault.rule == "naive_time"]
    assert len(naive) == 1
    assert "interactions.occurred_at" in naive[0]
    assert "signup_at" not in naive[0]


def test_tables_are_renamed_and_found_in_schemas_and_views(postgres):
    url = postgres.create(
        "renamed",
        "CREATE SCHEMA crm",
        "CREATE TABLE crm.people (client text, segment text)",
        "INSERT INTO crm.people VALUES ('a', 'x'), ('b', 'y')",
        'CREATE TABLE "Log" (client text, "When" timestamptz, medium text, kind text)',
        """INSERT INTO "Log" VALUES ('a', '2026-01-05 10:00-05', 'E-Mail', 'sent'), (NULL, now(), 'E-Mail', 'sent')""",
        """CREATE VIEW "dotted.log" AS SELECT * FROM "Log" WHERE client IS NOT NULL""",
        "CREATE TABLE campaigns (campaign_id text, starts_at timestamptz)",
        "CREATE TABLE consents (customer_id text, channel text, occurred_at timestamptz, granted boolean)",
    )
    params = load_params(
        assignments=[
            "tables.customers={path: crm.people, rename: {client: customer_id}}",
            "tables.interactions={path: dotted.log, values: {channel: {E-Mail: email}}}",
            "tables.interactions.rename={client: customer_id, When: occurred_at, medium: channel}",
        ]
    )
    intake = open_data(place_of(url), params, as_of=AS_OF, quarantine=None)
    assert rows(intake, "customers", "customer_id, segment") == [("a", "x"), ("b", "y")]
    assert rows(intake, "interactions", "customer_id, occurred_at::VARCHAR, channel") == [
        ("a", "2026-01-05 15:00:00", "email")
    ]
    params = load_params(assignments=["tables.customers.path=crm.persons"])
    report = check_data(place_of(url), params, as_of=AS_OF, quarantine=None)
    assert "tables.customers.path names 'crm.persons', not there" in report.text()
    assert "interactions: the table is missing" in report.text()


def test_a_table_that_may_not_be_read_does_not_hide_the_faults_of_others(postgres):
    url = postgres.create(
        "guarded",
        *TABLES,
        "CREATE ROLE clerk LOGIN PASSWORD 'pen'",
        "GRANT SELECT ON interactions, consents TO clerk",
        "DROP TABLE campaigns",
    )
    place = place_of(url.replace(f"shopkeeper:{postgres.password}", "clerk:pen"))
    text = check_data(place, PARAMS, as_of=AS_OF, quarantine=None).text()
    assert "customers: permission denied for table customers" in text
    assert "campaigns: the table is missing" in text
    assert "interactions" in text


def test_more_than_a_batch_and_a_value_across_batches(postgres, monkeypatch):
    url = postgres.create(
        "long",
        *TABLES,
        "DELETE FROM interactions",
        """INSERT INTO interactions
           SELECT 12345678901234567890, timestamp '2026-01-01' + i * interval '1 second', 'web', 'visited', i
           FROM generate_series(1, 20000) AS t(i)""",
        "UPDATE customers SET comment = repeat(E'long, \\n', 700)",
    )
    monkeypatch.setattr("contract.postgres._BATCH_BYTES", 1 << 14)
    intake = open_data(place_of(url), PARAMS, as_of=AS_OF, quarantine=None)
    assert rows(intake, "interactions", "count(*), sum(value), max(occurred_at)::VARCHAR") == [
        (20_000, 200_010_000.0, "2026-01-01 05:33:20")
    ]
    assert rows(intake, "customers", "DISTINCT comment") == [("long, \n" * 700,)]


def test_no_message_tells_the_password(postgres):
    wrong = "p@ss?word"
    for url in (
        postgres.url("postgres", "wr0ng-secret"),
        postgres.url("nowhere"),
        postgres.url("postgres").replace(f":{postgres.port}/", ":1/"),
    ):
        secret = "wr0ng-secret" if "wr0ng-secret" in url else postgres.password
        with pytest.raises(DataError, match=r"connection to server|connection failed|connection is bad") as raised:
            open_data(place_of(url), PARAMS, as_of=AS_OF, quarantine=None)
        assert secret not in str(raised.value)
        assert "expected a PostgreSQL server that lets this user in" in str(raised.value)
        assert raised.value.__cause__ is None or secret not in repr(raised.value.__cause__)
        ran = run_command("check", "--data", url)
        assert ran.code == 3
        assert secret not in ran.out + ran.err
    ran = run_command("check", "--data", f"postgresql://me:{wrong}@host:port/shop")
    assert ran.code == 2
    assert "is no URL that PostgreSQL's library can read" in ran.err
    assert not any(piece in ran.err for piece in ("p@ss", "word@", wrong))


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("postgres://host/db", "postgresql://host/db"),
        ("postgresql://u:a@b/c@host:1/db?password=secret", "postgresql://host:1/db"),
        ("postgresql://u:a?b@host/db", "postgresql://…"),
        ("postgresql:///db?password=a@b", "postgresql://…"),
        ("postgresql:nothing", "postgresql://"),
    ],
)
def test_what_is_shown_of_an_address(url, shown):
    assert str(place_of(url)) == shown
    assert "secret" not in repr(PostgresAddress(url))


def test_without_psycopg_the_remedy_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "psycopg", None)
    with pytest.raises(UsageError, match=r"psycopg is not installed; pip install 'channelwise\[postgres\]'"):
        check_data(place_of("postgresql://host/db"), PARAMS, as_of=AS_OF, quarantine=None)


def test_the_command_checks_a_database(postgres, tmp_path):
    tables = shop_tables()
    url = postgres.create(
        "bought",
        "CREATE TABLE customers (customer_id text, birth_year integer)",
        "CREATE TABLE consents (customer_id text, channel text, occurred_at timestamptz, granted boolean)",
        "CREATE TABLE campaigns (campaign_id text, starts_at timestamptz, category text)",
        """CREATE TABLE interactions (customer_id text, occurred_at timestamptz, channel text, kind text,
           campaign_id text, value double precision, propensity double precision)""",
    )
    postgres.load("bought", tables)
    reports = []
    for data in (url, write_shop(tmp_path / "shop", tables)):
        ran = run_command("check", "--data", data, "--json")
        assert ran.code == 0, ran.err
        reports.append([(each["table"], each["accepted"]) for each in json.loads(ran.out)["tables"]])
    assert reports[0] == reports[1]
