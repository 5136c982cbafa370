"""The event store in Redis: for several machines that serve the same customers; computes no feature.

An acknowledged event survives the end of this process by any means. What it survives of the server is the server's to
keep: with `appendonly yes` and `appendfsync always` a kill -9 and a power cut; with `everysec` either may cost the last
two seconds, since the server then replies while an earlier fsync holds its log back. A server that writes no log is
refused, unless `volatile=True`.

A customer is one hash: its fields are the history, one delivered row an identity, and one identity an event id.

An append reads the customer's history, puts the event in its place, and writes on condition that the history is still
the one that was read; of two who append to one customer at once, one tries again.
"""

import json
from collections.abc import Collection, Iterator, Sequence
from itertools import chain, islice
from typing import Any, Final

from contract.errors import ArtefactError, RefusedError, StorageError
from contract.params import Params
from contract.shared_store import CUSTOMER, ERASED, MADE, META, ROW, Shared, connect, literal, reading
from features.encoding import codebook_from_tree, codebook_to_tree, stable_json
from features.event_store import (
    VERSION,
    Appended,
    Coding,
    Interaction,
    codebook_to_fill,
    conflicting_id,
    erased_customer,
    erased_digest,
    filled,
    identity,
    opened_codebook,
)
from features.events import Codebook
from features.histories import EMPTY, inserted
from features.timeline import Timeline

HISTORY: Final = b"h"
EVENT_ID: Final = b"i"
ATTEMPTS: Final = 1_000
FILL_CUSTOMERS: Final = 1_000

_COMPARE_AND_SET: Final = """
if redis.call('SISMEMBER', KEYS[2], ARGV[1]) == 1 then return -1 end
local held = redis.call('HGET', KEYS[1], ARGV[2])
if (held or '') ~= ARGV[3] then return 0 end
redis.call('HSET', KEYS[1], ARGV[2], unpack(ARGV, 4))
return 1
"""
"""Set the first field and more of them, if the first is as expected; a field that is not there is empty. Of who was to
be forgotten nothing is set.
"""


class RedisStore:
    """See `EventStore`. One object may be used by several threads."""

    def __init__(
        self,
        url: str,
        params: Params,
        *,
        codebook: Codebook | None = None,
        prefix: str = "channelwise",
        volatile: bool = False,
    ) -> None:
        """Connect to the store, or make it.

        Args:
            url: Of the server and its database, such as redis://localhost:6379/0.
            params: Declares kinds and channels.
            codebook: One whose numbers must stay, such as a trained bundle's.
            prefix: First part of every key, so that stores can share a server.
            volatile: Take a server that writes no log.

        Raises:
            ArtefactError: The store is of another version.
            RefusedError: The server writes no log.
            StorageError: There is no server, or it does not take writes.
            UsageError: redis is not installed, or the store's codebook is no continuation of the one given.
        """
        self._client, self._shared = connect(url), Shared(url, prefix)
        self._meta, self._erased = self._shared.key(META), self._shared.key(ERASED)
        self._set = self._client.register_script(_COMPARE_AND_SET)
        with reading():
            if not volatile and not self._client.info("persistence").get("aof_enabled"):
                raise RefusedError(
                    "event store: the Redis server writes no log (aof_enabled is 0), so no acknowledged event would "
                    "survive it; set appendonly yes, or open the store with volatile=True"
                )
            self._check_version()
            held = self._held()
            self._coding = Coding(params, opened_codebook(held and held[1], codebook))
            self._grow(lambda: opened_codebook(self._coding.codebook, codebook) or self._coding.codebook)

    @property
    def codebook(self) -> Codebook:
        """See `EventStore`."""
        return self._coding.codebook

    def append(self, event: Interaction) -> Appended:
        """See `EventStore`."""
        cents = self._coding.checked(event)
        key, own = self._key(event.customer_id), identity(event)
        row = stable_json(event[1:]).encode()
        named = [] if event.event_id is None else [EVENT_ID + event.event_id.encode()]
        with reading():
            for _ in range(ATTEMPTS):
                held, known, *ids = self._client.hmget(key, [HISTORY, ROW + own, *named])
                if ids and ids[0] not in (None, own):
                    raise conflicting_id(event)
                if known is not None:
                    return Appended(False, held)
                after = inserted(held or EMPTY, event.occurred_at_us, self._code(event), cents)
                fields = [HISTORY, held or b"", after, ROW + own, row]
                if named:
                    fields += [named[0], own]
                done = self._set(keys=[key, self._erased], args=[erased_digest(event.customer_id), *fields])
                if done < 0:
                    raise erased_customer()
                if done:
                    return Appended(True, after)
        raise StorageError(
            f"event store: customer '{event.customer_id}' was written by others {ATTEMPTS} times in a row; deliver the "
            "event again"
        )

    def history(self, customer_id: str) -> bytes:
        """See `EventStore`."""
        with reading():
            held: bytes | None = self._client.hget(self._key(customer_id), HISTORY)
        return EMPTY if held is None else held

    def histories(self, customer_ids: Sequence[str]) -> list[bytes]:
        """See `EventStore`."""
        with reading(), self._client.pipeline(transaction=False) as asking:
            for each in customer_ids:
                asking.hget(self._key(each), HISTORY)
            return [EMPTY if held is None else held for held in asking.execute()]

    def refresh(self) -> Codebook:
        """See `EventStore`."""
        with reading():
            held = self._held()
        if held and held[1] != self._coding.codebook:
            self._coding.use(held[1])
        return self._coding.codebook

    def fill(self, timeline: Timeline) -> int:
        """See `EventStore`."""
        taken = 0
        with reading():
            n_customers = len(self._shared.names(self._client, CUSTOMER))
            self._grow(lambda: codebook_to_fill(self._coding.codebook, timeline, n_customers))
            rows = filled(timeline)
            while batch := list(islice(rows, FILL_CUSTOMERS)):
                with self._client.pipeline(transaction=False) as pipeline:
                    for customer_id, history in batch:
                        pipeline.hset(self._key(customer_id), HISTORY, history)
                    pipeline.execute()
                taken += len(batch)
        return taken

    def mark_made(self) -> None:
        """Say that the store was filled, for those who open it later."""
        with reading():
            self._client.hset(self._meta, MADE, VERSION)

    def forget(self, customer_id: str) -> bool:
        """See `EventStore`. The server's log holds what was written until it is rewritten, which this asks for."""
        with reading():
            known = bool(self._client.delete(self._key(customer_id)))
            if known:
                rewrite_log(self._client)
        return known

    def encoded(self, event: Interaction) -> tuple[int, int]:
        """See `EventStore`."""
        cents = self._coding.checked(event)
        with reading():
            return self._code(event), cents

    def interactions(self, kinds: Collection[str] | None = None) -> Iterator[Interaction]:
        """See `EventStore`."""
        with reading():
            held = self._shared.hashes(self._client, CUSTOMER)
            for customer_id, fields in chain.from_iterable(held):
                rows = [json.loads(row) for field, row in fields.items() if field.startswith(ROW)]
                for row in sorted(rows, key=_row_order):
                    event = Interaction(customer_id, *row)
                    if kinds is None or event.kind in kinds:
                        yield event

    def close(self) -> None:
        """See `EventStore`."""
        self._client.close()

    def _key(self, customer_id: str) -> bytes:
        return self._shared.key(CUSTOMER, customer_id)

    def _code(self, event: Interaction) -> int:
        code = self._coding.number(event)
        if code is None:
            self._grow(lambda: self._coding.grown(event))
            code = self._coding.number(event)
            assert code is not None
        return code

    def _grow(self, wanted: Any) -> None:
        """Make the codebook what `wanted` says of the one that is held, whoever else appends to it."""
        for _ in range(ATTEMPTS):
            held = self._held()
            if held:
                self._coding.use(held[1])
            codebook = wanted()
            text = stable_json(codebook_to_tree(codebook)).encode()
            if self._set(keys=[self._meta, self._erased], args=[b"", b"codebook", held[0] if held else b"", text]):
                self._coding.use(codebook)
                return
        raise StorageError(f"event store: the codebook was written by others {ATTEMPTS} times in a row; deliver again")

    def _held(self) -> tuple[bytes, Codebook] | None:
        text: bytes | None = self._client.hget(self._meta, "codebook")
        return (text, codebook_from_tree(json.loads(text))) if text else None

    def _check_version(self) -> None:
        self._client.hsetnx(self._meta, "version", str(VERSION))
        found = self._client.hget(self._meta, "version")
        if found != str(VERSION).encode():
            raise ArtefactError(
                f"event store: {self._meta.decode()} is of version {found.decode()}; expected {VERSION}; fill a new one"
            )


def remove_store(shared: Shared) -> None:
    """Remove every key of a store."""
    with reading(), connect(shared.url) as client:
        keys = client.scan_iter(match=literal(f"{shared.prefix}:".encode()) + b"*", count=10_000)
        while some := list(islice(keys, FILL_CUSTOMERS)):
            client.delete(*some)


def rewrite_log(client: Any) -> None:
    """Have the server write its log anew, without what was removed."""
    if not client.info("persistence").get("aof_rewrite_in_progress"):
        client.bgrewriteaof()


def _row_order(row: list[Any]) -> tuple[int, str]:
    return row[0], repr(row)
