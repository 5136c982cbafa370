"""Opens the input: checks every table and hands over views of the accepted rows; copies nothing and computes nothing.

Whoever needs input data starts here. All faults of all tables are reported together.
"""

# ruff: noqa: S608  names of the data pass quoted(), its values literal(); the rest is ours

import os
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

import duckdb

from contract.checking import Bench, Outcome, check_table
from contract.decided import take_decisions
from contract.delivery import Place, opened
from contract.errors import DataError, StorageError, UsageError
from contract.params import Params, Table
from contract.report import CheckReport, Fault, Severity
from contract.rules import Moments
from contract.sources import (
    FaultyTableError,
    Source,
    fatal,
    first_line,
    quoted,
    source_at,
    unreadable,
)
from contract.tables import (
    AUDIENCE,
    CAMPAIGNS,
    CONSENTS,
    CUSTOMERS,
    DATA_TABLES,
    INTERACTIONS,
    SCHEMAS,
    Schema,
)

_REQUIRED: Final = {CUSTOMERS, INTERACTIONS, CAMPAIGNS}
_IDS: Final = {CUSTOMERS: "customer_id", CAMPAIGNS: "campaign_id"}
_AFTER_LAST: Final = timedelta(microseconds=1)


@dataclass(frozen=True)
class Intake:
    """Checked input. The connection holds one view per table of the contract with its accepted rows only.

    as_of: UTC, the moment asked for, or one µs after the last accepted interaction; tables: those that were there
    (the views of the others are empty).
    """

    connection: duckdb.DuckDBPyConnection
    report: CheckReport
    as_of: datetime
    tables: frozenset[str]


def open_data(
    data: Place,
    params: Params,
    *,
    as_of: datetime | None,
    quarantine: Path | None,
    tables: Sequence[str] | None = None,
    now: datetime | None = None,
    spill: Path | None = None,
) -> Intake:
    """Checks the tables of `data` and opens views of their accepted rows.

    Args:
        data: folder of tables, a DuckDB file, or the address of a PostgreSQL database.
        params: the parameters.
        as_of: moment of the question, UTC where naive; None takes the end of the data.
        quarantine: folder for the rows set aside, one Parquet per table; None writes none.
        tables: names to look for; None takes all.
        now: the clock's time; with it a time after it by more than check.late_days is impossible, and cannot become
            the end of the data.
        spill: folder for what sorting cannot hold in memory; None takes the system's.

    Raises:
        DataError: a fault is fatal; the message is the whole report.
        UsageError: `data` does not exist, or as_of is needed and nothing tells it.
        StorageError: the quarantine or the spill cannot be written.
    """
    session = _Session(_connected(params, spill), params, quarantine, _utc(as_of), _utc(now))
    try:
        report = session.check(data, tables)
        if report.fatal:
            raise DataError(report.text())
        if report.as_of is None:
            raise UsageError("as-of: without the table interactions nothing tells the end of the data; give --as-of")
        session.fill_absent()
        take_decisions(session.connection)
    except BaseException:
        session.connection.close()
        raise
    return Intake(session.connection, report, report.as_of, frozenset(session.outcomes))


def check_data(
    data: Place,
    params: Params,
    *,
    as_of: datetime | None,
    quarantine: Path | None,
    tables: Sequence[str] | None = None,
    now: datetime | None = None,
    spill: Path | None = None,
) -> CheckReport:
    """The report of `open_data`, whatever it says; opens nothing.

    Raises:
        UsageError: `data` does not exist.
        StorageError: the quarantine or the spill cannot be written.
    """
    session = _Session(_connected(params, spill), params, quarantine, _utc(as_of), _utc(now))
    with session.connection:
        return session.check(data, tables)


def open_audience(
    connection: duckdb.DuckDBPyConnection, path: Path, params: Params, *, quarantine: Path | None = None
) -> CheckReport:
    """Makes the view `audience(customer_id VARCHAR, value DOUBLE)` on an intake's connection.

    Customers that the data do not know are kept and counted: they are scored as the population.

    Raises:
        DataError: a fault is fatal; the message is the whole report.
        UsageError: `path` does not exist.
    """
    if not path.exists():
        raise UsageError(f"{path}: does not exist; give the Parquet or CSV file of the audience")
    session = _Session(connection, params, quarantine, None, None)
    if _exists(connection, "known_customers"):
        session.known.add("customer_id")
    settings = params.tables.audience
    connection.execute("DROP VIEW IF EXISTS audience; DROP VIEW IF EXISTS intake.read_audience")
    for kind in ("hashes", "copies"):
        connection.execute(f"DROP TABLE IF EXISTS intake.{kind}_{AUDIENCE}")
    schema = SCHEMAS[AUDIENCE]
    with session.collecting(AUDIENCE):
        session.take(schema, source_at(connection, path, schema, settings, shown_from=path.parent), settings)
    report = session.report()
    if report.fatal:
        raise DataError(report.text())
    return report


@dataclass
class _Session:
    """One check under way."""

    connection: duckdb.DuckDBPyConnection
    params: Params
    quarantine: Path | None
    as_of: datetime | None
    now: datetime | None
    known: set[str] = field(default_factory=set)
    outcomes: dict[str, Outcome] = field(default_factory=dict)
    faults: list[Fault] = field(default_factory=list)

    def check(self, data: Place, tables: Sequence[str] | None) -> CheckReport:
        wanted = _wanted(tables)
        with self.collecting(data.name), opened(self.connection, data) as find:
            for name in wanted:
                schema, settings = SCHEMAS[name], getattr(self.params.tables, name)
                with self.collecting(name):
                    source = find(schema, settings)
                    if source is None:
                        self._note_missing(schema)
                    else:
                        self.take(schema, source, settings)
        return self.report()

    def take(self, schema: Schema, source: Source, settings: Table) -> None:
        settings = Table() if source.ours else settings
        moments = Moments(as_of=self.as_of, now=self.now)
        bench = Bench(self.connection, self.params, moments, frozenset(self.known), self.quarantine)
        outcome = check_table(bench, schema, source, settings)
        self.outcomes[schema.name] = outcome
        self.faults += outcome.faults
        if schema.name == INTERACTIONS and self.as_of is None and outcome.end is not None:
            self.as_of = outcome.end + _AFTER_LAST
        # Without any id, "unknown" would repeat in every row of the other tables what is said already.
        if schema.name in _IDS and outcome.report.accepted and not _lacks_column(outcome):
            column = _IDS[schema.name]
            self.connection.execute(f"CREATE TABLE intake.known_{schema.name} AS SELECT {column} FROM {schema.name}")
            self.known.add(column)

    def report(self) -> CheckReport:
        as_of = self.as_of.replace(tzinfo=UTC) if self.as_of else None
        tables = tuple(outcome.report for outcome in self.outcomes.values())
        return CheckReport(tables, (*self.faults, *self._naive()), as_of)

    @contextmanager
    def collecting(self, table: str) -> Iterator[None]:
        """Turns what stops the check of one table into faults, so that the others are checked all the same."""
        try:
            yield
        except FaultyTableError as faulty:
            self.faults += faulty.faults
        except duckdb.OutOfMemoryException as error:
            raise StorageError(
                f"checking {table}: memory and spill do not suffice ({first_line(error)}); "
                "raise resources.duckdb_memory_gb or resources.duckdb_spill_gb"
            ) from error
        except duckdb.Error as error:
            if "No space left on device" in str(error):
                raise StorageError(
                    f"checking {table}: {first_line(error)}; free space or name another spill"
                ) from error
            self.faults.append(unreadable(table, first_line(error)))

    def fill_absent(self) -> None:
        for name in DATA_TABLES:
            if name not in self.outcomes:
                columns = ", ".join(
                    f"CAST(NULL AS {each.type}) AS {quoted(each.name)}" for each in SCHEMAS[name].columns
                )
                self.connection.execute(f"CREATE VIEW {name} AS SELECT {columns} WHERE false")

    def _note_missing(self, schema: Schema) -> None:
        consenting = [name for name in self.params.outbound if self.params.channels[name].consent]
        if schema.name in _REQUIRED or (schema.name == CONSENTS and consenting):
            why = "" if schema.name != CONSENTS else f"nobody has consented on {', '.join(consenting)}"
            expected = f"expected {schema.name}.parquet, {schema.name}.csv, or a folder {schema.name} of parts"
            self.faults.append(
                fatal(schema.name, None, "missing", "the table is missing", "; ".join(filter(None, (why, expected))),
                      f"add it or name it under tables.{schema.name}.path")
            )  # fmt: skip

    def _naive(self) -> list[Fault]:
        names = [f"{table}.{column}" for table, outcome in self.outcomes.items() for column in outcome.naive]
        if not names:
            return []
        return [Fault("times", None, "naive_time", Severity.NOTE, f"{', '.join(names)} bear no zone",
                      "they are taken as UTC", "")]  # fmt: skip


def _lacks_column(outcome: Outcome) -> bool:
    return any(fault.rule == "missing_column" for fault in outcome.faults)


def _wanted(tables: Sequence[str] | None) -> list[str]:
    unknown = sorted(set(tables or ()) - set(DATA_TABLES))
    if unknown:
        raise UsageError(f"tables: {', '.join(unknown)} is none of {', '.join(DATA_TABLES)}")
    return [name for name in DATA_TABLES if tables is None or name in tables]


def _connected(params: Params, spill: Path | None) -> duckdb.DuckDBPyConnection:
    folder = spill or Path(tempfile.gettempdir()) / f"channelwise-spill-{os.getpid()}"
    connection = duckdb.connect(
        ":memory:",
        config={
            "threads": params.threads,
            "memory_limit": f"{params.resources.duckdb_memory_gb}GB",
            "temp_directory": str(folder),
            "max_temp_directory_size": f"{params.resources.duckdb_spill_gb}GB",
            "preserve_insertion_order": False,
        },
    )
    connection.execute("SET TimeZone = 'UTC'")
    connection.execute("CREATE SCHEMA intake")
    return connection


def _exists(connection: duckdb.DuckDBPyConnection, table: str) -> bool:
    row = connection.execute(
        "SELECT count(*) FROM duckdb_tables() WHERE schema_name = 'intake' AND table_name = ?", [table]
    ).fetchone()
    return bool(row and row[0])


def _utc(moment: datetime | None) -> datetime | None:
    """Naive UTC; a naive time is UTC already."""
    if moment is None or moment.tzinfo is None:
        return moment
    return moment.astimezone(UTC).replace(tzinfo=None)
