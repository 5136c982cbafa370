"""Makes the folder in which a server keeps what it knows, and keeps it up; `contract.stored` says what lies in it.

The store begins with the accepted rows of input tables. From then on events come in one by one, and small tables may be
read anew; the whole is at any moment a place that trainings take as their data.
"""

# ruff: noqa: S608  names of ours and of columns, which pass quoted(); paths pass literal()

import json
import shutil
from pathlib import Path
from typing import Final

import duckdb

from contract.files import atomic_file, atomic_folder
from contract.intake import Intake
from contract.params import Params
from contract.progress import Progress, silent
from contract.sources import literal, quoted
from contract.stored import BASE, DECISIONS, EVENTS, FORMAT, STORE, base_file, recorded_files
from contract.tables import DATA_TABLES, INTERACTIONS, SCHEMAS, Type
from features.events import Codebook
from features.sqlite_store import SqliteStore
from features.timeline import build_timeline
from serving.decision_log import DecisionLog

SMALL_TABLES: Final = tuple(name for name in DATA_TABLES if name != INTERACTIONS)
"""Tables that are read anew, whole, when a server starts."""


def make_store(
    folder: Path, intake: Intake, params: Params, *, codebook: Codebook | None = None, progress: Progress = silent
) -> None:
    """A store that begins with the accepted rows of an intake, whole or not at all.

    Args:
        folder: where; a store that is there is replaced.
        intake: the rows, and the moment that they are known up to.
        params: channels, kinds, lookback.
        codebook: one whose numbers must stay, such as a trained bundle's.
        progress: told of the work.

    Raises:
        StorageError: the disk is full or cannot be written; an older store is whole.
    """
    with atomic_folder(folder) as part:
        (part / BASE).mkdir()
        for table in sorted(intake.tables):
            _write(intake.connection, table, base_file(part, table))
        timeline = build_timeline(intake, params, part / "timeline", codebook=codebook, progress=progress)
        events = SqliteStore(part / EVENTS, params, codebook=timeline.codebook)
        try:
            events.fill(timeline)
        finally:
            events.close()
        shutil.rmtree(part / "timeline")
        DecisionLog(part / DECISIONS).close()
        tree = {"format": FORMAT, "as_of": intake.as_of.isoformat()}
        (part / STORE).write_text(json.dumps(tree) + "\n", encoding="utf-8")


def renew_tables(folder: Path, intake: Intake) -> None:
    """Take customers, consents and campaigns of an intake in place of those that are held; interactions stay."""
    for table in SMALL_TABLES:
        if table in intake.tables:
            with atomic_file(base_file(folder, table)) as part:
                _write(intake.connection, table, part)


def remove_erased(folder: Path, log: DecisionLog) -> int:
    """Rewrite the rows that the store began with and the plans recorded there, without those who are to be forgotten;
    how many rows went.
    """
    erased, removed = list(log.erased()), 0
    if not erased:
        return 0
    with duckdb.connect() as connection:
        connection.execute("CREATE TABLE erased AS SELECT unnest($1::VARCHAR[]) AS digest", [erased])
        of_customers = [name for name in DATA_TABLES if SCHEMAS[name].column("customer_id") is not None]
        bases = [path for name in of_customers if (path := base_file(folder, name)).exists()]
        for path in (*bases, *recorded_files(folder)):
            rows = f"FROM read_parquet({literal(str(path))}) WHERE sha256(customer_id)"
            ((found,),) = connection.execute(f"SELECT count(*) {rows} IN (FROM erased)").fetchall()
            if found:
                with atomic_file(path) as part:
                    connection.execute(f"COPY ({rows} NOT IN (FROM erased)) TO {literal(str(part))} (FORMAT parquet)")
                removed += found
    return removed


def _write(connection: duckdb.DuckDBPyConnection, table: str, path: Path) -> None:
    """The view of a table as Parquet, its times with their zone."""
    times = [quoted(column.name) for column in SCHEMAS[table].columns if column.type == Type.TIME]
    zoned = ", ".join(f"{name} AT TIME ZONE 'UTC' AS {name}" for name in times)
    picked = f"* REPLACE ({zoned})" if zoned else "*"
    connection.execute(f"COPY (SELECT {picked} FROM {table}) TO {literal(str(path))} (FORMAT parquet)")
