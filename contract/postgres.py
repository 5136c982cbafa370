"""Reads tables of a PostgreSQL database into DuckDB, batch by batch; never shows a password and never writes there.

All tables are read in one read-only transaction, so that they belong together however long the reading takes.
"""

# ruff: noqa: S608  names of the data pass quoted(); the rest is ours

import io
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import chain
from typing import TYPE_CHECKING, Any, Final

import duckdb
import pyarrow as pa
import pyarrow.csv as csv

from contract.errors import UsageError
from contract.params import Table
from contract.report import Fault
from contract.sources import FaultyTableError, Finder, Source, described, fatal, quoted
from contract.tables import Schema, Type

if TYPE_CHECKING:
    import psycopg

SCHEMES: Final = ("postgresql:", "postgres:")

_BATCH_BYTES: Final = 1 << 24
_DEFAULTS: Final = {"connect_timeout": 10, "application_name": "channelwise"}
"""What the address may say otherwise; the timeout in seconds."""
_NUMERIC: Final = 1700
_TYPES: Final = {
    16: "BOOLEAN", 20: "BIGINT", 21: "SMALLINT", 23: "INTEGER", 700: "FLOAT", 701: "DOUBLE", _NUMERIC: "DOUBLE",
    1082: "DATE", 1114: "TIMESTAMP", 1184: "TIMESTAMP WITH TIME ZONE",
}  # fmt: skip
"""PostgreSQL's type numbers (of a domain: its base) with DuckDB's types; every other type is read as its text."""
_TIMES: Final = {"DATE", "TIMESTAMP", "TIMESTAMP WITH TIME ZONE"}
_SESSION: Final = b"SET TIME ZONE 'UTC'; SET DateStyle = 'ISO, YMD'; SET extra_float_digits = 3"
_TRIMS_SCALE_FROM: Final = 130000


@dataclass(frozen=True)
class PostgresAddress:
    """The URL of a database; what is shown of it holds neither user nor password.

    >>> str(PostgresAddress("postgresql://shop:secret@host:5432/sales?sslmode=require"))
    'postgresql://host:5432/sales'
    """

    url: str = field(repr=False)

    @property
    def name(self) -> str:
        """Host and database. A password may hold `@` and `?`, so nothing is shown where they stand in doubt."""
        before, _, after = self.url.partition("://")[2].rpartition("@")
        return f"postgresql://{'…' if '?' in before else after.partition('?')[0]}"

    def __str__(self) -> str:
        return self.name


@dataclass(frozen=True)
class _Column:
    """A column as it is asked for (SQL of PostgreSQL) and kept (DuckDB type)."""

    name: str
    asked: str
    type: str


@contextmanager
def postgres_tables(connection: duckdb.DuckDBPyConnection, address: PostgresAddress) -> Iterator[Finder]:
    """Finds tables of the database and copies each into the schema `intake` of the connection.

    Raises:
        UsageError: psycopg is not installed, or the address cannot be read.
        FaultyTableError: the server does not let us in; from the finder: a table cannot be read.
    """
    with connected(address, "data") as database:

        def find(schema: Schema, settings: Table) -> Source | None:
            with _told(schema.name):
                return _find(connection, database, schema, settings)

        yield find


@contextmanager
def connected(address: PostgresAddress, asked_for: str, *, writes: bool = False) -> "Iterator[psycopg.Connection]":
    """A connection in one transaction, read-only unless it writes; asked_for: the option that gave the address.

    Raises:
        UsageError: psycopg is not installed, or the address cannot be read.
        FaultyTableError: the server does not let us in.
    """
    try:
        import psycopg
        from psycopg.conninfo import conninfo_to_dict, make_conninfo
    except ImportError as error:
        raise UsageError(
            f"{asked_for}: a PostgreSQL address was given, and psycopg is not installed; "
            "pip install 'channelwise[postgres]'"
        ) from error
    try:
        parts = conninfo_to_dict(address.url)
    except psycopg.ProgrammingError:
        # What libpq says of a URL that it cannot read may quote a piece of the password.
        raise UsageError(
            f"{asked_for}: {address} is no URL that PostgreSQL's library can read; "
            "expected postgresql://USER@HOST:PORT/DATABASE; "
            "write special characters as %40 (@), %2F (/), %3A (:), %3F (?)"
        ) from None
    asked: dict[str, Any] = {**_DEFAULTS, **parts, "client_encoding": "UTF8"}
    try:
        database = psycopg.connect(make_conninfo("", **asked))
    except (psycopg.Error, UnicodeError) as error:
        raise FaultyTableError(
            fatal(address.name, None, "unreachable", said(error, str(parts.get("password") or "")),
                  "expected a PostgreSQL server that lets this user in",
                  "correct the address; a password may stand in PGPASSWORD or in ~/.pgpass")
        ) from None  # fmt: skip
    with database:
        database.read_only = not writes
        if not writes:
            database.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
        with _told(address.name):
            database.execute(_SESSION)
        yield database


@contextmanager
def _told(table: str) -> Iterator[None]:
    """Turns what the database or its text may do wrong into a fault of the table, and ends a failed transaction."""
    import psycopg

    try:
        yield
    except psycopg.Error as error:
        raise FaultyTableError(_unread(table, said(error))) from error
    except pa.ArrowException as error:
        raise FaultyTableError(_unread(table, str(error))) from error


def _find(
    connection: duckdb.DuckDBPyConnection, database: "psycopg.Connection", schema: Schema, settings: Table
) -> Source | None:
    name = settings.path or schema.name
    # Each table in a savepoint: one that may not be read does not end the transaction for the others.
    with database.transaction():
        place = _place(database, name)
        if place is None and settings.path is None:
            return None
        if place is None:
            raise FaultyTableError(
                fatal(schema.name, None, "missing", f"tables.{schema.name}.path names '{name}', not there",
                      "expected a table or view, or SCHEMA.TABLE", "correct the name")
            )  # fmt: skip
        columns = _columns(database, place, schema, settings)
        relation = f"intake.delivered_{schema.name}"
        names = ", ".join(f"{quoted(column.name)} {column.type}" for column in columns)
        connection.execute(f"CREATE TABLE {relation} ({names})")
        query = f"COPY (SELECT {', '.join(column.asked for column in columns)} FROM {place}) TO STDOUT (FORMAT csv)"
        with database.cursor().copy(query.encode()) as rows:
            _copy(connection, relation, columns, (bytes(row) for row in rows))
    return Source(f"table {name}", relation, described(connection, schema.name, relation), text=False)


def _place(database: "psycopg.Connection", name: str) -> str | None:
    """The table or view of this name as SQL; a name with a dot may also be one in a schema."""
    outer, dot, inner = name.partition(".")
    for place in (quoted(name), *([f"{quoted(outer)}.{quoted(inner)}"] if dot else [])):
        row = database.execute("SELECT to_regclass(%s) IS NOT NULL", [place]).fetchone()
        if row and row[0]:
            return place
    return None


def _columns(database: "psycopg.Connection", place: str, schema: Schema, settings: Table) -> list[_Column]:
    trims = database.info.server_version >= _TRIMS_SCALE_FROM
    columns = []
    for each in database.execute(f"SELECT * FROM {place} LIMIT 0".encode()).description or ():
        name, type_ = quoted(each.name), _TYPES.get(each.type_code, "VARCHAR")
        ours = schema.column(settings.rename.get(each.name, each.name))
        if each.type_code == _NUMERIC and ours is not None and ours.type == Type.TEXT:
            # An id of twenty digits is no float, and 5.00 is the id 5.
            columns.append(_Column(each.name, f"{f'trim_scale({name})' if trims else name}::text", "VARCHAR"))
        else:
            columns.append(_Column(each.name, f"{name}::text" if type_ == "VARCHAR" else name, type_))
    return columns


def _copy(
    connection: duckdb.DuckDBPyConnection, relation: str, columns: Sequence[_Column], rows: Iterator[bytes]
) -> None:
    """Insert the rows of a COPY, of which one batch is in memory at a time."""
    first = next(rows, None)
    if first is None:
        return
    names = [f"c{i}" for i in range(len(columns))]
    values = ", ".join(_value(name, column.type) for name, column in zip(names, columns, strict=True))
    for batch in _parsed(names, chain([first], rows)):
        connection.register("arriving", pa.Table.from_batches([batch]))
        connection.execute(f"INSERT INTO {relation} SELECT {values} FROM arriving")
        connection.unregister("arriving")


def _value(name: str, type_: str) -> str:
    if type_ in _TIMES:
        # A moment that only PostgreSQL can hold is as impossible as infinity, and must cost its row, not the table.
        return f"CASE WHEN {name} IS NOT NULL THEN coalesce(TRY_CAST({name} AS {type_}), '-infinity'::{type_}) END"
    return f"CAST({name} AS {type_})"


def _parsed(names: Sequence[str], rows: Iterator[bytes]) -> Iterator[pa.RecordBatch]:
    """Texts by column; only what stands unquoted and empty is null, so that an empty text stays one."""
    yield from csv.open_csv(
        _Stream(rows),
        csv.ReadOptions(use_threads=False, block_size=_BATCH_BYTES, column_names=list(names)),
        csv.ParseOptions(newlines_in_values=True, ignore_empty_lines=False),
        csv.ConvertOptions(
            column_types=dict.fromkeys(names, pa.string()),
            null_values=[""],
            strings_can_be_null=True,
            quoted_strings_can_be_null=False,
        ),
    )


class _Stream(io.RawIOBase):
    """Pieces of bytes as one file to read."""

    def __init__(self, pieces: Iterator[bytes]) -> None:
        self._pieces = pieces
        self._left = memoryview(b"")

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        """Fills the buffer; less only at the end."""
        target, filled = memoryview(buffer).cast("B"), 0
        while filled < len(target):
            if not self._left:
                self._left = memoryview(next(self._pieces, b""))
                if not self._left:
                    break
            taken = self._left[: len(target) - filled]
            target[filled : filled + len(taken)] = taken
            filled, self._left = filled + len(taken), self._left[len(taken) :]
        return filled


def _unread(table: str, found: str) -> Fault:
    return fatal(table, None, "unreadable", found, "expected a table that this user may read to its end",
                 "grant it SELECT, or mend what the message names")  # fmt: skip


def said(error: Exception, secret: str = "") -> str:
    """What the server or its library says, on one line and without the password."""
    text = " ".join(line.strip() for line in str(error).splitlines()[:2] if line.strip())
    return text.replace(secret, "…") if secret else text
