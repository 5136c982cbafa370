"""Reads a scores file into dense arrays over customers and channels; judges its form, chooses nothing.

Customers come in the order of their ids, so the order of the file's rows leaves no trace.
"""

# ruff: noqa: S608  the only text put into queries is a path and column names of ours

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import numpy.typing as npt
import pyarrow as pa

from contract.errors import DataError
from contract.params import Params
from serving.scores import SCORE_SCHEMA
from serving.sets import Floats

Singles = npt.NDArray[np.float32]

NOT_SCORED = "not scored on this channel"
NOT_MEASURED = "its worth there is not measured"
UNMEASURED = "unmeasured"
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
BATCH_ROWS = 500_000
MEASURES = ("preference", "response", "uplift", "uplift_lower", "uplift_upper")


@dataclass(frozen=True)
class Board:
    """Scores of n customers on k channels.

    ids: (n,) ascending. open: (n, k) may be chosen. expected_value, cost: (n, k) EUR, 0 where unknown.
    measures: by name in `MEASURES`, (n, k) float32, NaN unknown. no_contact: (n,) response without contact.
    reason, evidence: (n, k) index into `words`, 0 is none. campaign_id, as_of, model_version: of all rows.
    """

    ids: pa.Array
    channels: tuple[str, ...]
    open: npt.NDArray[np.bool_]
    expected_value: Floats
    cost: Floats
    measures: dict[str, Singles]
    no_contact: Singles
    reason: npt.NDArray[np.int16]
    evidence: npt.NDArray[np.int16]
    words: tuple[str | None, ...]
    campaign_id: str | None
    as_of: datetime | None
    model_version: str | None

    @property
    def gain(self) -> Floats:
        """(n, k) EUR net of cost, -inf where the customer may not be contacted."""
        return np.where(self.open, self.expected_value - self.cost, -np.inf)


def read_scores(path: Path, params: Params) -> Board:
    """The scores of a file that `channelwise score` wrote, or any of its form.

    Args:
        path: Parquet, or CSV by the suffix .csv.
        params: declares the outbound channels and their order.

    Raises:
        DataError: with every fault of the file.
    """
    if not path.exists():
        raise DataError(f"{path}: is not there; `channelwise score` writes it")
    with duckdb.connect() as connection:
        connection.execute(f"SET threads = {params.threads}")
        connection.execute("SET TimeZone = 'UTC'")
        connection.execute("SET enable_progress_bar = false")
        try:
            connection.execute(f"CREATE VIEW scores AS SELECT * FROM {_source(path)}")
            _refuse_missing(connection, path)
            _refuse_faulty(connection, path, params.outbound)
            return _board(connection, path, params.outbound)
        except duckdb.Error as error:
            first = str(error).splitlines()[0]
            raise DataError(
                f"{path}: cannot be read as scores ({first}); write it again with `channelwise score`"
            ) from error


def _source(path: Path) -> str:
    name = str(path).replace("'", "''")
    if path.suffix.lower() != ".csv":
        return f"read_parquet('{name}')"
    kinds = {pa.string(): "VARCHAR", pa.float64(): "DOUBLE", pa.bool_(): "BOOLEAN", pa.int32(): "INTEGER"}
    types = ", ".join(f"'{field.name}': '{kinds.get(field.type, 'TIMESTAMPTZ')}'" for field in SCORE_SCHEMA)
    # Empty is null in numbers; an id is text, even where it looks like a number.
    return f"read_csv('{name}', header = true, delim = ',', types = {{{types}}})"


def _refuse_missing(connection: duckdb.DuckDBPyConnection, path: Path) -> None:
    there = {row[0] for row in connection.execute("DESCRIBE scores").fetchall()}
    missing = [name for name in SCORE_SCHEMA.names if name not in there]
    if missing:
        raise DataError(f"{path}: lacks the columns {', '.join(missing)}; write it again with `channelwise score`")


def _refuse_faulty(connection: duckdb.DuckDBPyConnection, path: Path, outbound: tuple[str, ...]) -> None:
    """Every fault at once, each with its count and an example."""
    usable = "expected_value IS NOT NULL AND NOT isnan(expected_value)"
    rules = {
        "customer_id: is null": "customer_id IS NULL",
        f"channel: is none of the outbound channels {', '.join(outbound)}": (
            "NOT coalesce(list_contains($1, channel), false)"
        ),
        "eligible: is null": "eligible IS NULL",
        "cost: is null, negative or not finite, yet eligible": (
            "eligible AND NOT coalesce(isfinite(cost) AND cost >= 0, false)"
        ),
        "expected_value: is not finite": "isinf(expected_value)",
        f"expected_value: is null, yet eligible and not {UNMEASURED}": (
            f"eligible AND NOT ({usable}) AND evidence IS DISTINCT FROM '{UNMEASURED}'"
        ),
    }
    parts = [
        f"count(CASE WHEN {rule} THEN 1 END), min(CASE WHEN {rule} THEN concat(customer_id, ' × ', channel) END)"
        for rule in rules.values()
    ]
    found = connection.execute(f"SELECT {', '.join(parts)} FROM scores", [list(outbound)]).fetchone() or ()
    faults = [
        f"{text}: {found[2 * index]:,} rows, e.g. {found[2 * index + 1]}"
        for index, text in enumerate(rules)
        if found[2 * index]
    ]
    for column in ("campaign_id", "as_of", "model_version"):
        values = connection.execute(
            f"SELECT DISTINCT CAST({column} AS VARCHAR) FROM scores ORDER BY 1 LIMIT 2"
        ).fetchall()
        if len(values) > 1:
            faults.append(
                f"{column}: holds several values, e.g. {values[0][0]} and {values[1][0]}; plan one scoring at a time"
            )
    if faults:
        raise DataError(f"{path}: " + "; ".join(faults))


def _board(connection: duckdb.DuckDBPyConnection, path: Path, channels: tuple[str, ...]) -> Board:
    connection.execute("""
        CREATE TEMP TABLE people AS
        SELECT customer_id, row_number() OVER (ORDER BY customer_id) - 1 AS number
        FROM (SELECT DISTINCT customer_id FROM scores)
    """)
    people = connection.sql("SELECT customer_id FROM people ORDER BY number").to_arrow_table()
    shape = (people.num_rows, len(channels))
    words = _words(connection)
    arrays = _scattered(connection, path, shape, channels, words)
    stamp = connection.execute("SELECT campaign_id, epoch_us(as_of), model_version FROM scores LIMIT 1").fetchone()
    campaign, as_of_us, version = stamp if stamp is not None else (None, None, None)
    worth = arrays["expected_value"]
    known = arrays["eligible"] & np.isfinite(worth)
    reason = arrays["reason"]
    reason[~arrays["there"]] = words.index(NOT_SCORED)
    reason[arrays["eligible"] & ~known] = words.index(NOT_MEASURED)
    no_contact = arrays["response_no_contact"].max(axis=1, initial=-np.inf)
    return Board(
        ids=people["customer_id"].combine_chunks().cast(pa.string()),
        channels=channels,
        open=known,
        expected_value=np.where(known, worth, 0.0),
        cost=np.where(known, arrays["cost"], 0.0),
        measures={name: arrays[name] for name in MEASURES},
        no_contact=np.where(np.isfinite(no_contact), no_contact, 0.0).astype(np.float32),
        reason=reason,
        evidence=arrays["evidence"],
        words=words,
        campaign_id=campaign,
        as_of=None if as_of_us is None else EPOCH + timedelta(microseconds=as_of_us),
        model_version=version,
    )


def _words(connection: duckdb.DuckDBPyConnection) -> tuple[str | None, ...]:
    found = connection.execute(
        "SELECT DISTINCT reason FROM scores UNION SELECT DISTINCT evidence FROM scores ORDER BY 1"
    ).fetchall()
    known = [row[0] for row in found if row[0] is not None]
    return (None, *known, *(word for word in (NOT_SCORED, NOT_MEASURED) if word not in known))


def _scattered(
    connection: duckdb.DuckDBPyConnection,
    path: Path,
    shape: tuple[int, int],
    channels: tuple[str, ...],
    words: tuple[str | None, ...],
) -> dict[str, Any]:
    """Each column as an (n, k) array, filled batch by batch, so that the file never lies in memory twice."""
    singles = (*MEASURES, "response_no_contact")
    arrays: dict[str, Any] = {name: np.full(shape, np.nan, dtype=np.float32) for name in singles}
    arrays |= {name: np.full(shape, np.nan) for name in ("expected_value", "cost")}
    arrays |= {name: np.zeros(shape, dtype=np.int16) for name in ("reason", "evidence")}
    arrays["eligible"] = np.zeros(shape, dtype=np.bool_)
    arrays["there"] = np.zeros(shape, dtype=np.bool_)
    seen = 0
    floats = ", ".join(f"CAST(coalesce({name}, 'nan') AS FLOAT) AS {name}" for name in singles)
    query = f"""
        SELECT number * {shape[1]} + list_position($1, channel) - 1 AS cell, {floats},
            coalesce(expected_value, 'nan') AS expected_value, coalesce(cost, 'nan') AS cost, eligible,
            CAST(coalesce(list_position($2, reason), 0) AS SMALLINT) AS reason,
            CAST(coalesce(list_position($2, evidence), 0) AS SMALLINT) AS evidence
        FROM scores JOIN people USING (customer_id)
    """
    result = connection.sql(query, params=[list(channels), list(words[1:])])
    for batch in result.to_arrow_reader(BATCH_ROWS):
        columns = {name: batch.column(name).to_numpy(zero_copy_only=False) for name in batch.schema.names}
        cells = columns.pop("cell").astype(np.int64)
        for name, values in columns.items():
            arrays[name].reshape(-1)[cells] = values
        arrays["there"].reshape(-1)[cells] = True
        seen += len(cells)
    if seen != int(arrays["there"].sum()):
        _refuse_doubles(connection, path)
    return arrays


def _refuse_doubles(connection: duckdb.DuckDBPyConnection, path: Path) -> None:
    customer, channel, times = connection.execute(
        "SELECT customer_id, channel, count(*) FROM scores GROUP BY ALL HAVING count(*) > 1 ORDER BY 1, 2 LIMIT 1"
    ).fetchone() or ("", "", 0)
    raise DataError(
        f"{path}: customer {customer} has {times} rows for channel {channel}; expected one row per customer and channel"
    )
