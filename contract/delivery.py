"""Where the input tables were delivered: a folder, a DuckDB file, a database or a server's store; reads none itself."""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TypeAlias

import duckdb

from contract.postgres import SCHEMES, PostgresAddress, postgres_tables
from contract.sources import Finder, attach, find_source
from contract.stored import is_store, store_tables

Place: TypeAlias = Path | PostgresAddress
"""A folder of tables, a DuckDB file or a server's store; or a database."""


def place_of(text: str) -> Place:
    """The place that a text names. A URL must never become a path, which would fold its slashes.

    >>> place_of("shop")
    PosixPath('shop')
    >>> place_of("postgresql://analyst@host/shop").name
    'postgresql://host/shop'
    """
    return PostgresAddress(text) if text.startswith(SCHEMES) else Path(text)


@contextmanager
def opened(connection: duckdb.DuckDBPyConnection, place: Place) -> Iterator[Finder]:
    """What finds each table of the place, while it is open.

    Raises:
        UsageError: the place does not exist, or what reads it is not installed.
        FaultyTableError: it cannot be read; from the finder: a table cannot.
    """
    if isinstance(place, PostgresAddress):
        with postgres_tables(connection, place) as find:
            yield find
    elif is_store(place):
        with store_tables(connection, place) as find:
            yield find
    else:
        yield partial(find_source, connection, place, database=attach(connection, place))
