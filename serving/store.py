"""Makes the folder in which a server keeps what it knows, opens it, keeps it up; `contract.stored` says what it holds.

The store begins with the accepted rows of input tables. From then on events come in one by one, and small tables may be
read anew; the whole is at any moment a place that trainings take as their data.
"""

# ruff: noqa: S608  names of ours and of columns, which pass quoted(); paths pass literal()

import json
import shutil
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from secrets import token_hex
from typing import Any, Final, NamedTuple

import duckdb

from contract.errors import UsageError
from contract.files import atomic_file, atomic_folder
from contract.intake import Intake
from contract.params import Params
from contract.progress import Progress, silent
from contract.shared_store import AUTH_VARIABLE, Shared, check_made
from contract.sources import literal, quoted
from contract.stored import BASE, DECISIONS, EVENTS, FORMAT, STORE, base_file, recorded_files, shared_of
from contract.tables import DATA_TABLES, INTERACTIONS, SCHEMAS, Type
from features.event_store import EventStore
from features.events import Codebook
from features.sqlite_store import SqliteStore
from features.timeline import Timeline, build_timeline
from serving.decision_log import DecisionLog
from serving.sqlite_log import SqliteLog

SMALL_TABLES: Final = tuple(name for name in DATA_TABLES if name != INTERACTIONS)
"""Tables that are read anew, whole, when a server starts."""


@dataclass(frozen=True)
class Beginning:
    """How a store begins. codebook: one whose numbers must stay, such as a trained bundle's. redis: the address of the
    server that several servers are to share; None keeps all in the folder, for one.
    """

    codebook: Codebook | None = None
    redis: str | None = None


def make_store(
    folder: Path, intake: Intake, params: Params, beginning: Beginning | None = None, progress: Progress = silent
) -> None:
    """A store that begins with the accepted rows of an intake, whole or not at all.

    Args:
        folder: where; a store that is there is replaced.
        intake: the rows, and the moment that they are known up to.
        params: channels, kinds, lookback.
        beginning: where what changes is kept.
        progress: told of the work.

    Raises:
        StorageError: the disk is full or cannot be written; an older store is whole.
        UsageError: the address names no Redis server.
    """
    begin = beginning or Beginning()
    shared = None if begin.redis is None else _new_shared(begin.redis)
    with atomic_folder(folder) as part:
        (part / BASE).mkdir()
        for table in sorted(intake.tables):
            _write(intake.connection, table, base_file(part, table))
        timeline = build_timeline(intake, params, part / "timeline", codebook=begin.codebook, progress=progress)
        with _made(part, shared, params, timeline) as tree:
            shutil.rmtree(part / "timeline")
            tree |= {"format": FORMAT, "as_of": intake.as_of.isoformat()}
            (part / STORE).write_text(json.dumps(tree) + "\n", encoding="utf-8")


@contextmanager
def _made(part: Path, shared: Shared | None, params: Params, timeline: Timeline) -> Iterator[dict[str, Any]]:
    """What changes, filled, and what store.json says of it; nothing stays in Redis where the folder is not finished."""
    if shared is None:
        events = SqliteStore(part / EVENTS, params, codebook=timeline.codebook)
        with closing(events), closing(SqliteLog(part / DECISIONS)):
            events.fill(timeline)
        yield {}
        return
    from features.redis_store import RedisStore, remove_store

    try:
        with closing(RedisStore(shared.url, params, codebook=timeline.codebook, prefix=shared.prefix)) as remote:
            remote.fill(timeline)
            remote.mark_made()
        yield {"redis": {"url": shared.url, "prefix": shared.prefix}}
    except BaseException:
        remove_store(shared)
        raise


def _new_shared(url: str) -> Shared:
    """A name that no other store has.

    Raises:
        UsageError: the address holds a password, which would lie in the folder.
    """
    if "@" in url:
        raise UsageError(
            f"--redis: holds a user or password; give the address without, and the password in {AUTH_VARIABLE}"
        )
    return Shared(url, f"channelwise:{token_hex(8)}")


class Opened(NamedTuple):
    """The changing part of a store; shared: where others share it, None for one server alone."""

    events: EventStore
    log: DecisionLog
    shared: Shared | None


def open_store(folder: Path, params: Params) -> Opened:
    """The changing part of a store that is there.

    Raises:
        ArtefactError: it is damaged, or the Redis server lacks it.
        StorageError: it cannot be read or written.
        RefusedError: the Redis server writes no log.
        UsageError: redis is not installed.
    """
    shared, durability = shared_of(folder), params.serving.durability
    if shared is None:
        events: EventStore = SqliteStore(folder / EVENTS, params, durability=durability)
        return Opened(events, SqliteLog(folder / DECISIONS, durability=durability), None)
    from features.redis_store import RedisStore
    from serving.redis_log import RedisLog

    check_made(shared)
    return Opened(RedisStore(shared.url, params, prefix=shared.prefix), RedisLog(shared), shared)


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
