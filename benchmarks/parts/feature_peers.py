"""One measured job a process, `python -m benchmarks.parts.feature_peers JOB FOLDER CUSTOMERS`; prints its cost as JSON.

Jobs: duckdb_batch, polars_batch, duckdb_spine (a range join, on a slice), sort (unsorted tables to a timeline under a
memory limit), unsorted (writes those tables).
"""

import argparse
import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import duckdb

from benchmarks.parts.feature_sql import Measures, duckdb_measures, plain_features
from benchmarks.parts.history import CATEGORIES, WINDOW, peak_gb, synthetic_codes, words_of
from contract.loading import load_params
from features.catalogue import default_features
from features.timeline import build_timeline

SLICE_CUSTOMERS = 5_000
SORT_MEMORY_GB = 2
SORT_MEMORY = "1300MB"
"""What DuckDB may hold; its process holds more: Arrow batches, the row group under way, the libraries."""

Figures = dict[str, float]


def duckdb_batch(folder: Path, customers: int) -> Figures:
    """All customers at the end of the history, by one wide aggregate."""
    measures, values = asked(str(WINDOW.until_us))
    with connected(folder) as connection:
        aggregate = f"SELECT customer, {duckdb_measures(measures)} FROM history GROUP BY customer"
        connection.execute(f"CREATE TABLE result AS SELECT customer, {', '.join(values)} FROM ({aggregate})")
    return {"rows": customers, "features": len(values)}


def duckdb_spine(folder: Path, customers: int) -> Figures:
    """Every decision of a slice of customers at its own moment, by a join with all that happened before."""
    measures, values = asked("as_of")
    words = words_of(synthetic_codes(load_params())[0], "kind")
    few = min(customers, SLICE_CUSTOMERS)
    with connected(folder) as connection:
        connection.execute(f"CREATE TABLE part AS FROM history WHERE customer < {few}")
        connection.execute(
            "CREATE TABLE decisions AS SELECT row_number() OVER () AS row, customer AS whose, ts AS as_of FROM part "
            f"WHERE kind = {words.index('sent')}"
        )
        aggregate = (
            f"SELECT row, any_value(as_of) AS as_of, {duckdb_measures(measures)} "
            "FROM decisions JOIN part ON customer = whose AND ts < as_of GROUP BY row"
        )
        connection.execute(f"CREATE TABLE result AS SELECT row, {', '.join(values)} FROM ({aggregate})")
        found = connection.execute("SELECT count(*) FROM decisions").fetchone()
    assert found is not None
    return {"rows": found[0], "features": len(values)}


def polars_batch(folder: Path, customers: int) -> Figures:
    """All customers at the end of the history, by Polars' streaming engine."""
    import polars as pl

    measures, values = asked(str(WINDOW.until_us))
    spelled: dict[str, Callable[[pl.Expr], pl.Expr]] = {
        "count": lambda chosen: chosen.sum(),
        "sum": lambda chosen: pl.col("value").filter(chosen).sum(),
        "last": lambda chosen: pl.col("ts").filter(chosen).max(),
    }
    aggregates = [
        spelled[what](pl.sql_expr(condition)).alias(name) for (what, condition), name in measures.found.items()
    ]
    result = (
        pl.scan_parquet(folder / "raw.parquet")
        .group_by("customer")
        .agg(aggregates)
        .select("customer", *(pl.sql_expr(value) for value in values))
        .collect(engine="streaming")
    )
    return {"rows": customers, "features": result.width - 1}


def unsorted(folder: Path, customers: int) -> Figures:
    """Writes the contract's tables with interactions in no order."""
    codebook, _ = synthetic_codes(load_params())
    place = folder / "unsorted"
    place.mkdir(exist_ok=True)
    texts = {name: ", ".join(f"'{word}'" for word in words_of(codebook, name)) for name in ("kind", "channel")}
    categories = ", ".join(f"'{word}'" for word in words_of(codebook, "category"))
    with connected(folder) as connection:
        connection.execute("SET memory_limit = '6GB'; SET threads = 2")
        connection.execute(f"""COPY (
            SELECT printf('%09d', customer) AS customer_id, make_timestamp(ts) AS occurred_at,
                   [{texts["kind"]}][kind + 1] AS kind, nullif([{texts["channel"]}][channel + 1], '') AS channel,
                   nullif([{categories}][category + 1], '') AS campaign_id, CAST(value AS DOUBLE) AS value
            FROM history ORDER BY hash(ts)) TO '{place / "interactions.parquet"}' (FORMAT parquet)""")
    return {"rows": customers}


@dataclass(frozen=True)
class Unsorted:
    """What a timeline is built from."""

    connection: duckdb.DuckDBPyConnection
    as_of: datetime


def sort(folder: Path, customers: int) -> Figures:
    """A timeline of the unsorted tables, under a memory limit."""
    settings: dict[str, str | bool | int | float | list[str]] = {
        "threads": 2,
        "memory_limit": SORT_MEMORY,
        "temp_directory": str(folder / "spill"),
        "max_temp_directory_size": "60GB",
        "preserve_insertion_order": False,
    }
    connection = duckdb.connect(config=settings)
    named = ", ".join(f"('{name}')" for name in CATEGORIES)
    connection.execute(f"""
        SET TimeZone = 'UTC';
        CREATE VIEW interactions AS FROM '{folder / "unsorted" / "interactions.parquet"}';
        CREATE VIEW customers AS SELECT printf('%09d', range) AS customer_id FROM range({customers});
        CREATE VIEW campaigns AS SELECT name AS campaign_id, name AS category, NULL::VARCHAR AS type
            FROM (VALUES {named}) named(name);
        CREATE VIEW consents AS SELECT NULL::VARCHAR AS customer_id, NULL::VARCHAR AS channel,
            NULL::TIMESTAMP AS occurred_at, NULL::BOOLEAN AS granted, NULL::VARCHAR AS purpose WHERE false""")
    as_of = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=WINDOW.until_us)
    timeline = build_timeline(Unsorted(connection, as_of), load_params(), folder / "sorted")
    return {"rows": timeline.n_events}


def asked(as_of: str) -> tuple[Measures, list[str]]:
    """The measures, and the features as expressions over them."""
    params = load_params()
    codebook, _ = synthetic_codes(params)
    measures = Measures(codebook, as_of)
    features = plain_features(default_features(params, codebook))
    return measures, [f"CAST({measures.value(each)} AS REAL) AS f_{at}" for at, each in enumerate(features)]


def connected(folder: Path) -> duckdb.DuckDBPyConnection:
    """One thread over the raw columns."""
    connection = duckdb.connect(config={"threads": 1, "temp_directory": str(folder / "spill")})
    connection.execute(f"CREATE VIEW history AS FROM '{folder / 'raw.parquet'}'")
    return connection


JOBS: dict[str, Callable[[Path, int], Figures]] = {
    each.__name__: each for each in (duckdb_batch, duckdb_spine, polars_batch, unsorted, sort)
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("job", choices=JOBS)
    parser.add_argument("folder", type=Path)
    parser.add_argument("customers", type=int)
    arguments = parser.parse_args()
    wall, cpu = time.perf_counter(), time.process_time()
    figures = JOBS[arguments.job](arguments.folder, arguments.customers)
    figures |= {"cpu_s": time.process_time() - cpu, "wall_s": time.perf_counter() - wall}
    figures["peak_gb"] = peak_gb()
    print(json.dumps(figures))


if __name__ == "__main__":
    main()
