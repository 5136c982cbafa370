"""Reads which group each customer is in, for limits of groups; judges no limit."""

# ruff: noqa: S608  the only text put into queries is a path and quoted column names

from collections.abc import Sequence
from pathlib import Path

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from contract.errors import DataError, UsageError
from serving.limit_table import Groups
from serving.limits import Limits


def read_groups(path: Path | None, limits: Limits, ids: pa.Array) -> Groups | None:
    """The group columns that the limits name, of the customers `ids`; None where no limit names any.

    Args:
        path: Parquet or CSV with a row per customer: customer_id and the columns. Customers it lacks are in no group.
        limits: as declared.
        ids: (n,) of the audience.

    Raises:
        UsageError: limits name groups, but there is no file.
        DataError: the file cannot be read, lacks a column or holds a customer twice.
    """
    columns = limits.group_columns
    if not columns:
        return None
    if path is None:
        raise UsageError(
            f"planning.limits names groups by {', '.join(columns)}, but no --groups FILE was given; it holds "
            f"customer_id and {', '.join(columns)}"
        )
    table = _read(path, columns)
    place = pc.index_in(ids, value_set=table["customer_id"].combine_chunks())
    return Groups({name: _taken(table[name].combine_chunks(), place) for name in columns})


def missing_groups(groups: Groups | None, limits: Limits) -> tuple[str, ...]:
    """Groups of limits that no customer of the audience is in, e.g. `region=north`; likely misspelt."""
    if groups is None:
        return ()
    named = sorted({pair for each in limits.further for pair in each.group.items()})
    return tuple(f"{column}={value}" for column, value in named if not (groups.columns[column] == value).any())


def _taken(column: pa.Array, place: pa.Array) -> np.ndarray[tuple[int], np.dtype[np.object_]]:
    return np.asarray(column.take(place).to_numpy(zero_copy_only=False), dtype=object)


def _read(path: Path, columns: Sequence[str]) -> pa.Table:
    if not path.exists():
        raise DataError(f"{path}: is not there; --groups needs customer_id and {', '.join(columns)}")
    name = str(path).replace("'", "''")
    read = (
        f"read_csv('{name}', all_varchar = true, header = true)" if path.suffix == ".csv" else f"read_parquet('{name}')"
    )
    with duckdb.connect() as connection:
        connection.execute("SET enable_progress_bar = false")
        try:
            connection.execute(f"CREATE VIEW given AS SELECT * FROM {read}")
            there = {row[0] for row in connection.execute("DESCRIBE given").fetchall()}
            if missing := [each for each in ("customer_id", *columns) if each not in there]:
                raise DataError(f"{path}: lacks the columns {', '.join(missing)}, which limits of groups need")
            wanted = ", ".join(f'CAST("{each}" AS VARCHAR) AS "{each}"' for each in ("customer_id", *columns))
            table = connection.sql(f"SELECT {wanted} FROM given").to_arrow_table()
            twice = connection.execute(
                "SELECT customer_id FROM given GROUP BY 1 HAVING count(*) > 1 LIMIT 1"
            ).fetchone()
        except duckdb.Error as error:
            first = str(error).splitlines()[0]
            raise DataError(f"{path}: cannot be read ({first}); --groups takes Parquet or CSV") from error
    if twice is not None:
        raise DataError(f"{path}: customer {twice[0]} has several rows; expected one row per customer")
    return table
