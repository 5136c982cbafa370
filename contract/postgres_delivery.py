"""Writes tables into a PostgreSQL database, all in one transaction; never shows a password and reads nothing there."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Final

import pyarrow as pa

from contract.errors import StorageError, UsageError
from contract.postgres import PostgresAddress, connected, said
from contract.sources import FaultyTableError, quoted

if TYPE_CHECKING:
    import psycopg

_TYPES: Final = {
    "string": "text",
    "double": "double precision",
    "int32": "integer",
    "bool": "boolean",
    "timestamp[us, tz=UTC]": "timestamptz",
}
_PIECE_BYTES: Final = 1 << 20


def deliver_to_postgres(address: PostgresAddress, tables: Mapping[str, tuple[pa.Schema, Path]]) -> None:
    """Replaces the rows of tables, which are made where they are absent; readers see all the old rows or all the new.

    Args:
        address: of the database.
        tables: by name, the columns and a CSV file that begins with a line of names.

    Raises:
        UsageError: psycopg is not installed, the address cannot be read, or the server does not let us in.
        StorageError: a table has other columns, may not be written, or the database has no room.
    """
    try:
        with connected(address, "out", writes=True) as database:
            for name, (schema, file) in tables.items():
                with _told(address, name):
                    _replace(database, name, schema, file)
            with _told(address, ", ".join(tables)):
                database.commit()
    except FaultyTableError as error:
        raise UsageError(f"--out: {error}") from None


def _replace(database: "psycopg.Connection", name: str, schema: pa.Schema, file: Path) -> None:
    columns = [f"{quoted(each.name)} {_TYPES[str(each.type)]}" for each in schema]
    database.execute(f"CREATE TABLE IF NOT EXISTS {quoted(name)} ({', '.join(columns)})".encode())
    database.execute(f"TRUNCATE {quoted(name)}".encode())
    names = ", ".join(quoted(each.name) for each in schema)
    query = f"COPY {quoted(name)} ({names}) FROM STDIN (FORMAT csv, HEADER true)"
    with file.open("rb") as lines, database.cursor().copy(query.encode()) as target:
        while piece := lines.read(_PIECE_BYTES):
            target.write(piece)


@contextmanager
def _told(address: PostgresAddress, table: str) -> Iterator[None]:
    import psycopg

    try:
        yield
    except psycopg.Error as error:
        raise StorageError(
            f"{address}: table {table} cannot be written ({said(error)}); what was there before is whole; give the "
            "user the right to write it, drop a table of that name with other columns, or free space"
        ) from error
