"""The decisions that a server made, each with the probability of every action it could have taken; chooses none.

What was answered under a request's id is kept as it was sent, so that the same question gets the same answer, also
after the server was killed. The propensities are an input table of the next training.
"""

import hashlib
import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from threading import RLock
from typing import Final, Literal, NamedTuple

from contract.errors import DataError, StorageError
from features.sqlite_transactions import transaction

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


class Decided(NamedTuple):
    """One decision. channel: None is no contact; propensities: of every action that could have been taken, all above 0;
    not_before_us: when the contact may go out at the earliest, None at once.
    """

    customer_id: str
    campaign_id: str
    made_at_us: int
    channel: str | None
    role: str
    model_version: str
    propensities: Mapping[str | None, float]
    not_before_us: int | None = None

    @property
    def propensity(self) -> float:
        """Of the action taken."""
        return self.propensities[self.channel]


class DecisionLog:
    """One SQLite file. One object may be used by several threads, one at a time; several processes may share it."""

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
        """What was answered under this id, None where nothing was.

        Raises:
            DataError: the id was given to another question.
        """
        with self._storage():
            row = self._run("SELECT question, answer FROM requests WHERE request_id = ?", (request_id,)).fetchone()
        if row is None:
            return None
        if row[0] != _digest(question):
            raise DataError(
                f"request_id '{request_id}': was given to another question before; an id names one question; ask this "
                "one under an id of its own"
            )
        answer: bytes = row[1]
        return answer

    def keep(self, request_id: str, question: bytes, answer: bytes, decided: Sequence[Decided]) -> bytes:
        """Keep the decisions of one request; when this returns, they survive the end of this process by any means.

        Returns the answer that counts: an earlier one, where another process was asked the same at the same time.
        """
        with self._storage(), transaction(self._connection):
            known = self.answered(request_id, question)
            if known is not None:
                return known
            self._run("INSERT INTO requests VALUES (?, ?, ?)", (request_id, _digest(question), answer))
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
        """The probability with which the latest decision could have taken this action; None where none was made."""
        with self._storage():
            row = self._run(
                "SELECT propensity FROM propensities WHERE customer_id = ? AND campaign_id = ? AND channel IS ?",
                (customer_id, campaign_id, channel),
            ).fetchone()
        return row[0] if row else None

    def of_customer(self, customer_id: str) -> list[tuple[str, int, str | None, str]]:
        """(campaign, when in µs since 1970 UTC, channel, role) of each decision about a customer, the latest first."""
        query = """SELECT campaign_id, made_at_us, channel, role FROM decisions WHERE customer_id = ?
            ORDER BY made_at_us DESC, campaign_id"""
        with self._storage():
            return self._run(query, (customer_id,)).fetchall()

    def contacts(self, since_us: int) -> Iterator[tuple[str, str, str, int, int]]:
        """(customer, campaign, channel, earliest moment, when decided) of each contact decided from `since_us` on."""
        query = """SELECT customer_id, campaign_id, channel, coalesce(not_before_us, made_at_us), made_at_us
            FROM decisions WHERE channel IS NOT NULL AND made_at_us >= ?"""
        with self._storage():
            yield from self._run(query, (since_us,)).fetchall()

    def erased_among(self, customer_ids: Sequence[str]) -> list[str]:
        """Those who were to be forgotten."""
        return [each for each in customer_ids if self.is_erased(each)]

    def forget(self, customer_id: str) -> bool:
        """Remove all decisions about a customer, and answers that named them; whether anything was held.

        From here on every reading of the store leaves the customer out.
        """
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
        """Whether the customer was to be forgotten."""
        with self._storage():
            return bool(self._run("SELECT 1 FROM erased WHERE digest = ?", (erased_digest(customer_id),)).fetchone())

    def erased(self) -> Iterator[str]:
        """SHA-256 of every id that was to be forgotten."""
        with self._storage():
            yield from (digest for (digest,) in self._run("SELECT digest FROM erased ORDER BY digest").fetchall())

    def close(self) -> None:
        """Let go of the file."""
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


def erased_digest(customer_id: str) -> str:
    """By which an erased customer is known without keeping the id."""
    return hashlib.sha256(customer_id.encode()).hexdigest()


def _digest(question: bytes) -> bytes:
    return hashlib.sha256(question).digest()
