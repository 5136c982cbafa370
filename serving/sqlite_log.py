"""The log of decisions in one SQLite file, for one server; chooses none."""

import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from threading import RLock
from typing import Final, Literal

from contract.errors import StorageError
from features.event_store import erased_digest
from features.sqlite_transactions import transaction
from serving.decision_log import Decided, another_question, digest_of

BUSY_SECONDS: Final = 10.0

_SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS requests (request_id TEXT PRIMARY KEY, question BLOB NOT NULL, answer BLOB NOT NULL)
    WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS request_customers (customer_id TEXT NOT NULL, request_id TEXT NOT NULL,
    PRIMARY KEY (customer_id, request_id)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS decisions (customer_id TEXT NOT NULL, campaign_id TEXT NOT NULL, made_at_us INTEGER NOT NULL,
    channel TEXT, role TEXT NOT NULL, propensity REAL NOT NULL, model_version TEXT NOT NULL, not_before_us INTEGER,
    PRIMARY KEY (customer_id, campaign_id)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS propensities (customer_id TEXT NOT NULL, campaign_id TEXT NOT NULL, channel TEXT,
    propensity REAL NOT NULL);
CREATE INDEX IF NOT EXISTS propensities_of ON propensities (customer_id, campaign_id);
CREATE TABLE IF NOT EXISTS erased (digest TEXT PRIMARY KEY) WITHOUT ROWID;
"""


class SqliteLog:
    """See `DecisionLog`. One object may be used by several threads, one at a time."""

    def __init__(self, path: Path, *, durability: Literal["process", "power"] = "process") -> None:
        """Open the log, or make it; durability: as a store of events has it.

        Raises:
            StorageError: it cannot be opened or written.
        """
        self._path, self._lock = path, RLock()
        with self._storage():
            self._connection = sqlite3.connect(
                path, timeout=BUSY_SECONDS, isolation_level=None, check_same_thread=False
            )
            self._run = self._connection.execute
            self._run("PRAGMA journal_mode = WAL")
            self._run(f"PRAGMA synchronous = {'FULL' if durability == 'power' else 'NORMAL'}")
            self._run("PRAGMA secure_delete = ON")
            with transaction(self._connection):
                for statement in filter(str.strip, _SCHEMA.split(";")):
                    self._run(statement)

    def answered(self, request_id: str, question: bytes) -> bytes | None:
        """See `DecisionLog`."""
        with self._storage():
            row = self._run("SELECT question, answer FROM requests WHERE request_id = ?", (request_id,)).fetchone()
        if row is None:
            return None
        if row[0] != digest_of(question):
            raise another_question(request_id)
        answer: bytes = row[1]
        return answer

    def keep(
        self,
        request_id: str,
        question: bytes,
        answer: bytes,
        decided: Sequence[Decided],
        versions: Mapping[str, int],  # noqa: ARG002  nobody else decides
    ) -> bytes:
        """See `DecisionLog`."""
        with self._storage(), transaction(self._connection):
            known = self.answered(request_id, question)
            if known is not None:
                return known
            self._run("INSERT INTO requests VALUES (?, ?, ?)", (request_id, digest_of(question), answer))
            self._connection.executemany(
                "INSERT OR IGNORE INTO request_customers VALUES (?, ?)",
                [(each.customer_id, request_id) for each in decided],
            )
            self._connection.executemany(
                "INSERT OR REPLACE INTO decisions VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
                [(*each[:5], each.propensity, each.model_version, each.not_before_us) for each in decided],
            )
            self._connection.executemany(
                "DELETE FROM propensities WHERE customer_id = ? AND campaign_id = ?", [each[:2] for each in decided]
            )
            self._connection.executemany(
                "INSERT INTO propensities VALUES (?, ?, ?, ?)",
                [
                    (each.customer_id, each.campaign_id, channel, propensity)
                    for each in decided
                    for channel, propensity in each.propensities.items()
                ],
            )
        return answer

    def propensity(self, customer_id: str, campaign_id: str, channel: str | None) -> float | None:
        """See `DecisionLog`."""
        with self._storage():
            row = self._run(
                "SELECT propensity FROM propensities WHERE customer_id = ? AND campaign_id = ? AND channel IS ?",
                (customer_id, campaign_id, channel),
            ).fetchone()
        return row[0] if row else None

    def of_customer(self, customer_id: str) -> list[tuple[str, int, str | None, str]]:
        """See `DecisionLog`."""
        query = """SELECT campaign_id, made_at_us, channel, role FROM decisions WHERE customer_id = ?
            ORDER BY made_at_us DESC, campaign_id"""
        with self._storage():
            return self._run(query, (customer_id,)).fetchall()

    def contacts(self, since_us: int) -> Iterator[tuple[str, str, str, int, int]]:
        """See `DecisionLog`."""
        query = """SELECT customer_id, campaign_id, channel, coalesce(not_before_us, made_at_us), made_at_us
            FROM decisions WHERE channel IS NOT NULL AND made_at_us >= ?"""
        with self._storage():
            yield from self._run(query, (since_us,)).fetchall()

    def erased_among(self, customer_ids: Sequence[str]) -> list[str]:
        """See `DecisionLog`."""
        return [each for each in customer_ids if self.is_erased(each)]

    def forget(self, customer_id: str) -> bool:
        """See `DecisionLog`."""
        with self._storage():
            with transaction(self._connection):
                held = bool(self._run("SELECT 1 FROM decisions WHERE customer_id = ?", (customer_id,)).fetchone())
                self._run(
                    """DELETE FROM requests WHERE request_id IN (
                        SELECT request_id FROM request_customers WHERE customer_id = ?)""",
                    (customer_id,),
                )
                for table in ("request_customers", "decisions", "propensities"):
                    self._run(f"DELETE FROM {table} WHERE customer_id = ?", (customer_id,))  # noqa: S608  ours
                self._run("INSERT OR IGNORE INTO erased VALUES (?)", (erased_digest(customer_id),))
            self._run("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
        return held

    def is_erased(self, customer_id: str) -> bool:
        """See `DecisionLog`."""
        with self._storage():
            return bool(self._run("SELECT 1 FROM erased WHERE digest = ?", (erased_digest(customer_id),)).fetchone())

    def erased(self) -> Iterator[str]:
        """See `DecisionLog`."""
        with self._storage():
            yield from (digest for (digest,) in self._run("SELECT digest FROM erased ORDER BY digest").fetchall())

    def close(self) -> None:
        """See `DecisionLog`."""
        self._connection.close()

    @contextmanager
    def _storage(self) -> Iterator[None]:
        with self._lock:
            try:
                yield
            except sqlite3.Error as error:
                raise StorageError(
                    f"{self._path}: decisions cannot be read or written ({error}); nothing was kept of the last call; "
                    "see to the disk and its permissions, or to who holds the file locked, and ask again"
                ) from error
