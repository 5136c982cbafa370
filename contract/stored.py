"""Reads the tables that a server keeps: what it began with and what was delivered to it since; never writes there.

store.json            says that the folder is a store, and of which format
base/NAME.parquet     accepted rows of the input tables, in the contract's own columns and words
events.sqlite         view `interactions`: what was delivered since
decisions.sqlite      tables `propensities` of decisions made here, and `erased`: SHA-256 of forgotten ids
decided/NAME.parquet  what plans decided that were recorded here

Where store.json names a Redis server, what the two SQLite files hold lies there, as `contract.shared_store` says.
"""

# ruff: noqa: S608  names of ours; paths pass literal()

import json
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Final, Protocol

import duckdb
import pyarrow as pa

from contract.errors import ArtefactError
from contract.params import Table
from contract.report import Fault
from contract.shared_store import Rows, Shared, SharedTables
from contract.sources import FaultyTableError, Finder, Source, described, fatal, literal
from contract.tables import CUSTOMERS, DECIDED, INTERACTIONS, PROPENSITIES, Schema

STORE: Final = "store.json"
BASE: Final = "base"
EVENTS: Final = "events.sqlite"
DECISIONS: Final = "decisions.sqlite"
FORMAT: Final = 1

_ROWS: Final = 50_000
_DELIVERED: Final = pa.schema(
    [
        ("customer_id", pa.string()),
        ("occurred_at", pa.string()),
        ("channel", pa.string()),
        ("kind", pa.string()),
        ("campaign_id", pa.string()),
        ("send_id", pa.string()),
        ("value", pa.float64()),
        ("cost", pa.float64()),
        ("propensity", pa.float64()),
    ]
)
_DECIDED: Final = pa.schema(
    [
        ("customer_id", pa.string()),
        ("campaign_id", pa.string()),
        ("channel", pa.string()),
        ("propensity", pa.float64()),
    ]
)
_KEPT: Final = "WHERE sha256(customer_id) NOT IN (SELECT digest FROM intake.erased)"


class Kept(Protocol):
    """What came in since the store began, some rows at a time."""

    def erased(self) -> Iterator[Rows]:
        """(digest,) of ids that are to be left out."""

    def interactions(self) -> Iterator[Rows]:
        """Rows of `_DELIVERED`."""

    def propensities(self) -> Iterator[Rows]:
        """Rows of `_DECIDED`."""

    def customers(self) -> Iterator[Rows]:
        """(customer_id,) of everybody in either, perhaps more than once."""


def is_store(folder: Path) -> bool:
    """Whether a server keeps its tables here."""
    return (folder / STORE).is_file()


def base_file(folder: Path, table: str) -> Path:
    """Where the rows lie that the store began with."""
    return folder / BASE / f"{table}.parquet"


def recorded_files(folder: Path) -> list[Path]:
    """What plans decided that were recorded in a store or a folder of tables, one file a campaign and moment."""
    return sorted((folder / DECIDED).glob("*.parquet"))


def shared_of(folder: Path) -> Shared | None:
    """Where the changing part of a store lies in Redis; None where it lies in the folder.

    Raises:
        ArtefactError: the folder does not say so in a way that can be read.
    """
    try:
        told = json.loads((folder / STORE).read_bytes()).get("redis")
        return None if told is None else Shared(told["url"], told["prefix"])
    except (OSError, ValueError, AttributeError, KeyError, TypeError) as error:
        raise ArtefactError(f"{folder / STORE}: cannot be read ({error!r}); restore the store from a copy") from error


class KeptFiles:
    """See `Kept`: the SQLite files of a folder."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def erased(self) -> Iterator[Rows]:
        """See `Kept`."""
        return self._rows(DECISIONS, "SELECT digest FROM erased")

    def interactions(self) -> Iterator[Rows]:
        """See `Kept`."""
        return self._rows(EVENTS, f"SELECT {', '.join(_DELIVERED.names)} FROM interactions")

    def propensities(self) -> Iterator[Rows]:
        """See `Kept`."""
        return self._rows(DECISIONS, f"SELECT {', '.join(_DECIDED.names)} FROM propensities")

    def customers(self) -> Iterator[Rows]:
        """See `Kept`."""
        for name, table in ((EVENTS, "interactions"), (DECISIONS, "propensities")):
            yield from self._rows(name, f"SELECT DISTINCT customer_id FROM {table}")

    def _rows(self, name: str, query: str) -> Iterator[Rows]:
        file = self._folder / name
        if not file.exists():
            return
        with closing(sqlite3.connect(f"{file.absolute().as_uri()}?mode=ro", uri=True)) as database:
            rows = database.execute(query)
            while found := rows.fetchmany(_ROWS):
                yield found


@contextmanager
def store_tables(connection: duckdb.DuckDBPyConnection, folder: Path) -> Iterator[Finder]:
    """Finds the tables of a store, as of one moment, without those who are to be forgotten.

    Raises:
        FaultyTableError: the store is of another format, or damaged; from the finder: a table is.
    """
    _check_format(folder)
    shared = shared_of(folder)
    kept: Kept = KeptFiles(folder) if shared is None else SharedTables(shared)
    with _told(folder.name):
        _copy(connection, kept.erased(), "erased", pa.schema([("digest", pa.string())]))

    def find(schema: Schema, settings: Table) -> Source | None:  # noqa: ARG001  nothing is renamed in a store
        with _told(schema.name):
            parts = list(_parts(connection, folder, kept, schema))
        if not parts:
            return None
        rows = " UNION ALL BY NAME ".join(f"SELECT * FROM {part}" for part in parts)
        whole = f"(SELECT * FROM ({rows}) {_KEPT})" if schema.column("customer_id") else f"({rows})"
        return Source(f"table {schema.name}", whole, described(connection, schema.name, whole), text=False, ours=True)

    yield find


def _parts(connection: duckdb.DuckDBPyConnection, folder: Path, kept: Kept, schema: Schema) -> Iterator[str]:
    """SQL relations whose rows together are the table."""
    base = base_file(folder, schema.name)
    if base.exists():
        yield f"read_parquet({literal(str(base))})"
    if schema.name == INTERACTIONS:
        _copy(connection, kept.interactions(), "delivered_since", _DELIVERED)
        yield "(SELECT * REPLACE (CAST(occurred_at AS TIMESTAMPTZ) AS occurred_at) FROM intake.delivered_since)"
    elif schema.name == DECIDED:
        yield from (f"read_parquet({literal(str(file))})" for file in recorded_files(folder))
    elif schema.name == PROPENSITIES:
        _copy(connection, kept.propensities(), "decided_here", _DECIDED)
        yield "intake.decided_here"
    elif schema.name == CUSTOMERS and base.exists():
        _copy(connection, kept.customers(), "met_since", pa.schema([("customer_id", pa.string())]))
        met = "(SELECT DISTINCT customer_id FROM intake.met_since)"
        yield f"(FROM {met} ANTI JOIN read_parquet({literal(str(base))}) USING (customer_id))"


def _copy(connection: duckdb.DuckDBPyConnection, rows: Iterator[Rows], table: str, schema: pa.Schema) -> None:
    """Copies rows into `intake.TABLE`, some at a time."""
    # A cursor of its own, since the connection may hold a result that was not read to its end.
    with connection.cursor() as own:
        _insert(own, f"CREATE OR REPLACE TABLE intake.{table} AS FROM arriving", schema.empty_table())
        for some in filter(None, rows):
            _insert(own, f"INSERT INTO intake.{table} FROM arriving", _table(some, schema))


def _insert(connection: duckdb.DuckDBPyConnection, statement: str, arriving: pa.Table) -> None:
    connection.register("arriving", arriving)
    connection.execute(statement)
    connection.unregister("arriving")


def _table(rows: Rows, schema: pa.Schema) -> pa.Table:
    columns = zip(*rows, strict=True)
    return pa.Table.from_arrays(
        [pa.array(values, each.type) for values, each in zip(columns, schema, strict=True)], schema=schema
    )


def _check_format(folder: Path) -> None:
    try:
        found = json.loads((folder / STORE).read_bytes()).get("format")
    except (OSError, ValueError, AttributeError) as error:
        raise FaultyTableError(_damaged(folder.name, str(error))) from error
    if found != FORMAT:
        raise FaultyTableError(
            fatal(
                folder.name, None, "format", f"the store has format {found}", f"expected {FORMAT}", "make a new store"
            )
        )


@contextmanager
def _told(table: str) -> Iterator[None]:
    try:
        yield
    except sqlite3.Error as error:
        raise FaultyTableError(_damaged(table, str(error))) from error


def _damaged(table: str, found: str) -> Fault:
    return fatal(table, None, "unreadable", found, "expected the store of a server", "restore it from a copy")
