"""Engines scan, join, number and sort the history and hand it over in batches; they compute no feature.

Every engine hands over the same rows in the same order, so what follows does not know which one ran.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, Protocol

import duckdb
import numpy as np
import pyarrow as pa

from contract.errors import StorageError
from features.encoding import Clock
from features.events import EventCode
from features.permission import PERMITTED, permit

BATCH_ROWS: Final = 1_000_000

NUMBERED: Final = "numbered_customers"
"""Temporary table (customer_id, number): a timeline's numbers of its customers."""

CAMPAIGNS: Final = """(
    SELECT campaign_id, min(category) AS category, coalesce(bool_or(type = 'transactional'), false) AS transactional
    FROM campaigns GROUP BY campaign_id)"""
"""One row a campaign, whatever the table holds."""

CENTS: Final = "CAST(round_even(coalesce(value, 0) * 100, 0) AS BIGINT)"


@contextmanager
def bounded(stage: str) -> Iterator[None]:
    """Says which parameter to raise where DuckDB's memory and spill do not suffice.

    Raises:
        StorageError: in place of DuckDB's own error.
    """
    try:
        yield
    except duckdb.OutOfMemoryException as error:
        raise StorageError(
            f"{stage}: memory and spill do not suffice ({str(error).splitlines()[0]}); raise "
            "resources.duckdb_memory_gb or resources.duckdb_spill_gb"
        ) from error


class Source(Protocol):
    """What the features need of an intake: its connection, with a view of each table, and its as_of."""

    @property
    def connection(self) -> duckdb.DuckDBPyConnection:
        """Views of the accepted rows."""

    @property
    def as_of(self) -> datetime:
        """Events from here on are not known."""


@dataclass(frozen=True)
class Window:
    """Which events are read: `since_us <= time < until_us`, int64 microseconds since 1970 UTC."""

    since_us: int
    until_us: int

    @property
    def sql(self) -> str:
        """The window as a condition on `occurred_at`."""
        return f"occurred_at >= make_timestamp({self.since_us}) AND occurred_at < make_timestamp({self.until_us})"


@dataclass(frozen=True)
class Survey:
    """What a first look over the window's events finds; `first_us` to `widest_cents` are 0 where there are none."""

    codes: tuple[EventCode, ...]
    first_us: int
    last_us: int
    whole_seconds: bool
    widest_cents: int
    rows: int


SURVEY_COLUMNS: Final = (*EventCode._fields, "first_us", "last_us", "whole_seconds", "widest_cents", "rows")


def surveyed(rows: Sequence[tuple[Any, ...]]) -> Survey:
    """The survey from one row of `SURVEY_COLUMNS` for each code."""
    return Survey(
        codes=tuple(EventCode(*row[:4]) for row in rows),
        first_us=min((row[4] for row in rows), default=0),
        last_us=max((row[5] for row in rows), default=0),
        whole_seconds=all(row[6] for row in rows),
        widest_cents=max((row[7] for row in rows), default=0),
        rows=sum(row[8] for row in rows),
    )


class Engine(Protocol):
    """Where a timeline comes from: customers, and the events of one window that may be used."""

    def customer_ids(self) -> pa.Array:
        """All customers' ids, ascending; the position is the customer's number from then on."""

    def categories(self) -> tuple[str, ...]:
        """Every category of a campaign."""

    def survey(self) -> Survey:
        """One look over the events."""

    def sorted_events(self, codes: Sequence[EventCode], clock: Clock) -> Iterator[pa.RecordBatch]:
        """Events as (number, tick, code, cents), ascending by all four, in batches of any size."""


class EngineMaker(Protocol):
    """What makes an engine over a source, such as `DuckdbEngine` itself."""

    def __call__(self, source: Source, window: Window) -> Engine:
        """The engine for the events of the window."""


class DuckdbEngine:
    """DuckDB over what the views of an intake permit; sorts within the connection's memory and spills beyond it."""

    def __init__(self, source: Source, window: Window) -> None:
        self.connection = source.connection
        self.window = window
        permit(source.connection, window.until_us)

    def customer_ids(self) -> pa.Array:
        """See `Engine`."""
        rows = self.connection.sql("SELECT CAST(customer_id AS VARCHAR) AS customer_id FROM customers ORDER BY 1")
        ids = rows.to_arrow_table()["customer_id"].combine_chunks().cast(pa.large_string())
        number_customers(self.connection, ids)
        return ids

    def categories(self) -> tuple[str, ...]:
        """See `Engine`."""
        rows = self.connection.sql("SELECT DISTINCT category FROM campaigns WHERE category IS NOT NULL ORDER BY 1")
        return tuple(category for (category,) in rows.fetchall())

    def survey(self) -> Survey:
        """See `Engine`."""
        rows = self.connection.sql(f"""
            SELECT kind, channel, category, coalesce(transactional, false) AS transactional,
                   min(epoch_us(occurred_at)), max(epoch_us(occurred_at)),
                   bool_and(epoch_us(occurred_at) % 1000000 = 0), max(abs({CENTS})), count(*)
            FROM {PERMITTED} SEMI JOIN {NUMBERED} USING (customer_id)
            LEFT JOIN {CAMPAIGNS} USING (campaign_id)
            WHERE {self.window.sql} GROUP BY ALL""").fetchall()  # noqa: S608  names and integers of ours
        return surveyed(rows)

    def sorted_events(self, codes: Sequence[EventCode], clock: Clock) -> Iterator[pa.RecordBatch]:
        """See `Engine`."""
        create_from_arrow(self.connection, "event_codes", code_table(codes))
        tick = "UINTEGER" if clock.dtype.itemsize == 4 else "BIGINT"
        rows = self.connection.sql(f"""
            SELECT number, CAST((epoch_us(occurred_at) - {clock.base_us}) // {clock.tick_us} AS {tick}) AS tick,
                   code, {CENTS} AS cents
            FROM {PERMITTED} AS i JOIN {NUMBERED} USING (customer_id)
            LEFT JOIN {CAMPAIGNS} AS g USING (campaign_id)
            JOIN event_codes AS e
              ON e.kind = i.kind AND e.channel IS NOT DISTINCT FROM i.channel
             AND e.category IS NOT DISTINCT FROM g.category AND e.transactional = coalesce(g.transactional, false)
            WHERE {self.window.sql} ORDER BY number, tick, code, cents""")  # noqa: S608  names and integers of ours
        yield from rows.to_arrow_reader(BATCH_ROWS)


def code_table(codes: Sequence[EventCode]) -> pa.Table:
    """(kind, channel, category, transactional, code): what an event must be to bear each code."""
    return pa.table(
        {
            "kind": pa.array([code.kind for code in codes], pa.string()),
            "channel": pa.array([code.channel for code in codes], pa.string()),
            "category": pa.array([code.category for code in codes], pa.string()),
            "transactional": pa.array([code.transactional for code in codes], pa.bool_()),
            "code": pa.array(range(len(codes)), pa.uint16()),
        }
    )


def number_customers(connection: duckdb.DuckDBPyConnection, ids: pa.Array, numbers: pa.Array | None = None) -> None:
    """Make the table `NUMBERED` of these ids, with these numbers, or numbered by their position."""
    numbers = pa.array(np.arange(len(ids), dtype=np.uint32)) if numbers is None else numbers
    create_from_arrow(connection, NUMBERED, pa.table({"customer_id": ids, "number": numbers}))


def create_from_arrow(connection: duckdb.DuckDBPyConnection, name: str, content: Any) -> None:
    """Make a temporary table, in place of one with the same name."""
    connection.register("arriving", content)
    connection.execute(f"CREATE OR REPLACE TEMP TABLE {name} AS SELECT * FROM arriving")  # noqa: S608  a name of ours
    connection.unregister("arriving")
