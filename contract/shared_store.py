"""What several servers of one store share: where it lies in Redis, and reading it as tables; never writes there.

PREFIX:meta           of the events: `version`, `codebook`; `made` once the store was filled
PREFIX:customer:ID    a customer's events: `h` their history, `r…` a delivered row each, `i…` what senders call them
PREFIX:decided:ID     the latest decision about a customer by campaign; under the empty name, how many were made
PREFIX:request:ID     `question` (SHA-256), `answer` and `customers` of a request for decisions
PREFIX:asked:ID       the requests that named a customer
PREFIX:erased         SHA-256 of ids that were to be forgotten
"""

import json
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import islice
from typing import Any, Final

from contract.errors import ArtefactError, StorageError, UsageError

META, CUSTOMER, DECIDED, REQUEST, ASKED, ERASED = "meta", "customer", "decided", "request", "asked", "erased"
MADE: Final = b"made"
ROW: Final = b"r"
"""First letter of the fields that hold delivered rows."""

AUTH_VARIABLE: Final = "REDISCLI_AUTH"
"""Of the environment, from which redis-cli takes a password."""

ANSWER_SECONDS: Final = 10.0
_CUSTOMERS: Final = 1_000

Rows = Sequence[tuple[Any, ...]]


@dataclass(frozen=True)
class Shared:
    """The address of a server without any password, and the first part of all keys of the store."""

    url: str
    prefix: str

    def key(self, kind: str, name: str = "") -> bytes:
        """The key of one thing, or the first part of the keys of all of a kind."""
        return f"{self.prefix}:{kind}".encode() if kind in (META, ERASED) else f"{self.prefix}:{kind}:{name}".encode()

    def names(self, client: Any, kind: str) -> list[str]:
        """Of whom there is something of a kind, ascending."""
        stem = self.key(kind)
        return sorted({key[len(stem) :].decode() for key in client.scan_iter(match=literal(stem) + b"*", count=10_000)})

    def hashes(self, client: Any, kind: str) -> Iterator[list[tuple[str, dict[bytes, bytes]]]]:
        """All that there is of a kind, by name, ascending; some names at a time, each lot asked for at once."""
        names = iter(self.names(client, kind))
        while some := list(islice(names, _CUSTOMERS)):
            with client.pipeline(transaction=False) as asking:
                for name in some:
                    asking.hgetall(self.key(kind, name))
                yield list(zip(some, asking.execute(), strict=True))


def connect(url: str) -> Any:
    """A client of the server; the password comes from the environment.

    Raises:
        UsageError: redis is not installed, or the address is none.
    """
    try:
        import redis
    except ImportError as error:
        raise UsageError(
            "Redis: the package redis is not installed; pip install 'channelwise[redis]', or use SQLite"
        ) from error
    try:
        return redis.Redis.from_url(url, password=os.environ.get(AUTH_VARIABLE), socket_timeout=ANSWER_SECONDS)
    except ValueError as error:
        raise UsageError(f"Redis: '{url}' ({error}); expected such as redis://localhost:6379/0") from error


def check_made(shared: Shared) -> None:
    """That the server has the store, whole.

    Raises:
        ArtefactError: it has not, or not all of it.
        StorageError: there is no server.
    """
    with reading(), connect(shared.url) as client:
        made = client.hexists(shared.key(META), MADE)
    if not made:
        raise ArtefactError(
            f"{shared.url}: has no store '{shared.prefix}', of which a folder here says that it lies there; restore "
            "the server's log from a copy, or make a new store in another folder"
        )


@contextmanager
def reading() -> Iterator[None]:
    """Tells the client's errors in our own words.

    Raises:
        StorageError: the server cannot be read or written.
    """
    from redis.exceptions import RedisError

    try:
        yield
    except RedisError as error:
        raise StorageError(
            f"Redis: cannot be read or written ({error}); the last event or decision may or may not be kept; see to "
            "the server, and send it again: it counts once"
        ) from error


class SharedTables:
    """The tables of a shared store, some rows at a time; see `contract.stored`."""

    def __init__(self, shared: Shared) -> None:
        check_made(shared)
        self._shared = shared

    def erased(self) -> Iterator[Rows]:
        """Rows (digest,)."""
        with reading(), connect(self._shared.url) as client:
            yield [(digest.decode(),) for digest in client.smembers(self._shared.key(ERASED))]

    def interactions(self) -> Iterator[Rows]:
        """Rows (customer_id, occurred_at, channel, kind, campaign_id, send_id, value, cost, propensity)."""
        for held in self._hashes(CUSTOMER):
            yield [
                _delivered(customer_id, json.loads(row))
                for customer_id, fields in held
                for field, row in fields.items()
                if field.startswith(ROW)
            ]

    def propensities(self) -> Iterator[Rows]:
        """Rows (customer_id, campaign_id, channel, propensity)."""
        for held in self._hashes(DECIDED):
            yield [
                (customer_id, campaign.decode(), channel, propensity)
                for customer_id, fields in held
                for campaign, decision in fields.items()
                if campaign
                for channel, propensity in json.loads(decision)["propensities"]
            ]

    def customers(self) -> Iterator[Rows]:
        """Rows (customer_id,)."""
        with reading(), connect(self._shared.url) as client:
            for kind in (CUSTOMER, DECIDED):
                yield [(name,) for name in self._shared.names(client, kind)]

    def _hashes(self, kind: str) -> Iterator[list[tuple[str, dict[bytes, bytes]]]]:
        with reading(), connect(self._shared.url) as client:
            yield from self._shared.hashes(client, kind)


def _delivered(customer_id: str, row: Sequence[Any]) -> tuple[Any, ...]:
    time_us, kind, channel, *further = row[:8]
    moment = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=time_us)
    return customer_id, moment.isoformat(), channel, kind, *further


def literal(text: bytes) -> bytes:
    """A text as a pattern that matches it alone."""
    return b"".join(b"\\" + bytes((byte,)) if byte in b"*?[]^\\" else bytes((byte,)) for byte in text)
