"""The event store in one SQLite file: what a shop on one machine uses; computes no feature.

Each append is one transaction in a write-ahead log. With durability `process` (SQLite's synchronous = NORMAL) an
acknowledged event survives whatever ends this process, kill -9 included, since the log is then with the operating
system; a power cut may lose the last moments, and never damages the file. With `power` (FULL) each append waits for
the disk, which costs a millisecond or more, and survives that too. Processes on one machine may share the file.
"""

import json
import sqlite3
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from threading import RLock
from typing import Final, Literal

from contract.errors import ArtefactError, StorageError
from contract.params import Params
from features.encoding import codebook_from_tree, codebook_to_tree, stable_json
from features.event_store import (
    VERSION,
    Appended,
    Coding,
    Interaction,
    codebook_to_fill,
    conflicting_id,
    filled,
    identity,
    opened_codebook,
)
from features.events import Codebook
from features.histories import EMPTY, inserted
from features.sqlite_transactions import transaction
from features.timeline import Timeline

Durability = Literal["process", "power"]

BUSY_SECONDS: Final = 10.0
"""How long an append waits for another process's, before it fails."""

CACHE_KIB: Final = 4 * 1024
"""Small, since SQLite looks through all of it when a page overflows; the system caches the file anyway."""
CHECKPOINT_PAGES: Final = 4_000
"""Pages in the log before they are written back, in one append: 16 MB, every thousandth append or so."""

_SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS histories (number INTEGER PRIMARY KEY, customer_id TEXT NOT NULL UNIQUE,
    history BLOB NOT NULL);
CREATE TABLE IF NOT EXISTS deliveries (number INTEGER NOT NULL, identity BLOB NOT NULL, occurred_at_us INTEGER NOT NULL,
    kind TEXT NOT NULL, channel TEXT, campaign_id TEXT, send_id TEXT, value REAL, cost REAL, propensity REAL,
    category TEXT, transactional INTEGER NOT NULL, event_id TEXT, PRIMARY KEY (number, identity)) WITHOUT ROWID;
CREATE UNIQUE INDEX IF NOT EXISTS delivered_ids ON deliveries (number, event_id) WHERE event_id IS NOT NULL;
CREATE VIEW IF NOT EXISTS interactions AS SELECT customer_id,
    strftime('%Y-%m-%dT%H:%M:%S', occurred_at_us / 1000000, 'unixepoch')
        || printf('.%06dZ', occurred_at_us % 1000000) AS occurred_at,
    channel, kind, campaign_id, send_id, value, cost, propensity FROM deliveries JOIN histories USING (number);
"""
_FIND: Final = "SELECT number, history FROM histories WHERE customer_id = ?"
_READ: Final = "SELECT history FROM histories WHERE customer_id = ?"
_ENTER: Final = "INSERT INTO histories (customer_id, history) VALUES (?, ?)"
_WRITE: Final = "UPDATE histories SET history = ? WHERE number = ?"
_DELIVER: Final = "INSERT INTO deliveries VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING"


class SqliteStore:
    """See `EventStore`. One object may be used by several threads, one at a time."""

    def __init__(
        self, path: Path, params: Params, *, codebook: Codebook | None = None, durability: Durability = "process"
    ) -> None:
        """Open the store, or make it.

        Args:
            path: The file; `-wal` and `-shm` files lie beside it while it is open.
            params: Declares kinds and channels.
            codebook: One whose numbers must stay, such as a trained bundle's.
            durability: What an acknowledged event survives; see above.

        Raises:
            ArtefactError: The file is no store, or of another version.
            StorageError: It cannot be opened or written.
            UsageError: Its codebook is no continuation of the one given.
        """
        self._path, self._lock = path, RLock()
        with self._storage():
            self._connection = sqlite3.connect(
                path, timeout=BUSY_SECONDS, isolation_level=None, check_same_thread=False, cached_statements=32
            )
            self._run = self._connection.execute
            self._run(f"PRAGMA busy_timeout = {round(1_000 * BUSY_SECONDS)}")
            self._run("PRAGMA journal_mode = WAL")
            self._run(f"PRAGMA synchronous = {'FULL' if durability == 'power' else 'NORMAL'}")
            self._run("PRAGMA secure_delete = ON")
            self._run(f"PRAGMA cache_size = -{CACHE_KIB}")
            self._run(f"PRAGMA wal_autocheckpoint = {CHECKPOINT_PAGES}")
            with transaction(self._connection):
                for statement in filter(str.strip, _SCHEMA.split(";")):
                    self._run(statement)
                self._check_version()
                self._coding = Coding(params, opened_codebook(self._held(), codebook))
                self._keep(self._coding.codebook)

    @property
    def codebook(self) -> Codebook:
        """See `EventStore`."""
        return self._coding.codebook

    def append(self, event: Interaction) -> Appended:
        """See `EventStore`."""
        coding = self._coding
        cents = coding.checked(event)
        with self._lock:
            try:
                self._run("BEGIN IMMEDIATE")
                try:
                    appended = self._appended(event, cents)
                    self._run("COMMIT")
                except BaseException:
                    self._connection.rollback()
                    self.refresh()
                    raise
            except sqlite3.Error as error:
                raise self._failed(error) from error
        return appended

    def history(self, customer_id: str) -> bytes:
        """See `EventStore`."""
        with self._lock:
            try:
                row = self._run(_READ, (customer_id,)).fetchone()
            except sqlite3.Error as error:
                raise self._failed(error) from error
        return row[0] if row else EMPTY

    def histories(self, customer_ids: Sequence[str]) -> list[bytes]:
        """See `EventStore`."""
        return list(map(self.history, customer_ids))

    def refresh(self) -> Codebook:
        """See `EventStore`."""
        with self._storage():
            held = self._held()
        if held is not None and held != self._coding.codebook:
            self._coding.use(held)
        return self._coding.codebook

    def fill(self, timeline: Timeline) -> int:
        """See `EventStore`."""
        with self._storage(), transaction(self._connection):
            (held,) = self._run("SELECT count(*) FROM histories").fetchone()
            codebook = codebook_to_fill(self.refresh(), timeline, held)
            self._coding.use(codebook)
            self._keep(codebook)
            self._connection.executemany(_ENTER, filled(timeline))
            (taken,) = self._run("SELECT count(*) FROM histories").fetchone()
        with self._storage():
            self._run("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
        return int(taken)

    def forget(self, customer_id: str) -> bool:
        """See `EventStore`. What is removed is overwritten with zeros in the file, and the log is cut."""
        with self._storage():
            with transaction(self._connection):
                row = self._run(_FIND, (customer_id,)).fetchone()
                if row:
                    self._run("DELETE FROM deliveries WHERE number = ?", row[:1])
                    self._run("DELETE FROM histories WHERE number = ?", row[:1])
            if row:
                self._run("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
        return row is not None

    def encoded(self, event: Interaction) -> tuple[int, int]:
        """See `EventStore`."""
        cents, code = self._coding.checked(event), self._coding.number(event)
        if code is None:
            with self._storage(), transaction(self._connection):
                code = self._new_code(event)
        return code, cents

    def interactions(self, kinds: Collection[str] | None = None) -> Iterator[Interaction]:
        """See `EventStore`."""
        chosen = "" if kinds is None else f"WHERE kind IN ({', '.join('?' * len(kinds))})"
        query = f"""SELECT customer_id, occurred_at_us, kind, channel, campaign_id, send_id, value, cost, propensity,
            category, transactional, event_id FROM deliveries JOIN histories USING (number) {chosen}
            ORDER BY customer_id, occurred_at_us, identity"""  # noqa: S608  question marks
        with self._storage():
            for row in self._run(query, tuple(kinds or ())):
                yield Interaction._make((*row[:10], bool(row[10]), row[11]))

    def close(self) -> None:
        """See `EventStore`."""
        self._connection.close()

    def _appended(self, event: Interaction, cents: int) -> Appended:
        """Within a transaction, so that no other process writes between reading and writing."""
        found = self._run(_FIND, (event[0],)).fetchone()
        if found is None:
            number, before = self._run(_ENTER, (event[0], EMPTY)).lastrowid, EMPTY
        else:
            number, before = found
        own = identity(event)
        if not self._run(_DELIVER, (number, own, *event[1:])).rowcount:
            if event.event_id is not None and self._names_another(number, own, event.event_id):
                raise conflicting_id(event)
            return Appended(False, before)
        code = self._coding.number(event)
        if code is None:
            code = self._new_code(event)
        after = inserted(before, event.occurred_at_us, code, cents)
        self._run(_WRITE, (after, number))
        return Appended(True, after)

    def _names_another(self, number: int | None, own: bytes, event_id: str) -> bool:
        """Whether the customer's event of this id is not the one with this identity."""
        query = "SELECT identity FROM deliveries WHERE number = ? AND event_id = ?"
        row = self._run(query, (number, event_id)).fetchone()
        return row is not None and row[0] != own

    def _new_code(self, event: Interaction) -> int:
        self.refresh()
        if self._coding.number(event) is None:
            self._coding.use(self._coding.grown(event))
            self._keep(self._coding.codebook)
        code = self._coding.number(event)
        assert code is not None
        return code

    def _held(self) -> Codebook | None:
        text = self._meta("codebook")
        return codebook_from_tree(json.loads(text)) if text else None

    def _keep(self, codebook: Codebook) -> None:
        self._run("INSERT OR REPLACE INTO meta VALUES ('codebook', ?)", (stable_json(codebook_to_tree(codebook)),))

    def _meta(self, key: str) -> str | None:
        row = self._run("SELECT value FROM meta WHERE key = ?", (key,)).fetchone()
        return row[0] if row else None

    def _check_version(self) -> None:
        found = self._meta("version")
        if found is None:
            self._run("INSERT INTO meta VALUES ('version', ?)", (str(VERSION),))
        elif found != str(VERSION):
            raise ArtefactError(
                f"{self._path}: is an event store of version {found}; expected {VERSION}; fill a new one"
            )

    @contextmanager
    def _storage(self) -> Iterator[None]:
        with self._lock:
            try:
                yield
            except sqlite3.Error as error:
                raise self._failed(error) from error

    def _failed(self, error: sqlite3.Error) -> ArtefactError | StorageError:
        if isinstance(error, sqlite3.DatabaseError) and "not a database" in str(error):
            return ArtefactError(f"{self._path}: is no event store ({error}); name another file")
        return StorageError(
            f"{self._path}: the event store cannot be read or written ({error}); nothing was kept of the last call; "
            "see to the disk and its permissions, or to who holds the file locked, and deliver again"
        )
