"""The ASGI application: who may ask, how much, and how often; what is answered is its routes' work.

Nothing is answered without a key but health. A request is refused at the first of: path, key, scope, rate, size, form;
then its work waits at the desk. Logs name the route and the key's owner, never a path, a body or an id.
"""

import asyncio
import json
import sys
from collections.abc import Awaitable, Callable, MutableMapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from http import HTTPStatus
from time import perf_counter
from typing import Any, Final, TextIO

import msgspec

from serving.http.answers import Answer, Header, HttpError, problem_of
from serving.http.desk import Desk, busy
from serving.http.keys import Key, Keys
from serving.http.metrics import Metrics
from serving.http.routes import ANY_KEY, OPEN, Call, Route, Routes

Asgi = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Asgi]]
Send = Callable[[Asgi], Awaitable[None]]

NOWHERE: Final = "(none)"

_READ_AWAY: Final = 16
"""So many times the largest body is read and dropped of one that is larger."""


@dataclass(frozen=True)
class Bounds:
    """What a request may cost.

    body_bytes: of a body at most; body_seconds: within which it must have arrived; waiting_customers, wait_seconds: as
    `Desk` has them; per_second, burst: requests of one key, on average and at once.
    """

    body_bytes: int = 4 * 2**20
    body_seconds: float = 10.0
    waiting_customers: int = 2_000
    wait_seconds: float = 2.0
    per_second: float = 5_000.0
    burst: float = 10_000.0


@dataclass
class _Bucket:
    """Tokens of a key: each request takes one, and time gives them back."""

    tokens: float
    since: float

    def take(self, now: float, bounds: Bounds) -> float:
        """0 where there was one, else the seconds until there is."""
        self.tokens = min(bounds.burst, self.tokens + (now - self.since) * bounds.per_second)
        self.since = now
        if self.tokens >= 1:
            self.tokens -= 1
            return 0.0
        return (1 - self.tokens) / bounds.per_second


@dataclass
class _Traced:
    """What the log and the metrics say of a request; heard: whether its body was asked for."""

    begun: float
    route: str = NOWHERE
    owner: str = ""
    heard: bool = False


@dataclass
class Application:
    """Answers HTTP by its routes."""

    routes: Routes
    keys: Keys
    bounds: Bounds
    metrics: Metrics
    log: TextIO = field(default_factory=lambda: sys.stderr)
    log_all: bool = False
    closing: bool = False

    def __post_init__(self) -> None:
        self.desk = Desk(self.bounds.waiting_customers, self.bounds.wait_seconds)
        self._buckets: dict[str, _Bucket] = {}

    async def __call__(self, scope: Asgi, receive: Receive, send: Send) -> None:
        """One ASGI connection; only HTTP is spoken."""
        if scope["type"] != "http":
            return
        traced = _Traced(perf_counter())
        try:
            found = await self._answered(scope, receive, traced)
        except Exception as error:
            found = problem_of(error)
            if not traced.heard:
                await self._read_away(receive, self.bounds.body_bytes)
            if found.status >= HTTPStatus.INTERNAL_SERVER_ERROR and not isinstance(error, HttpError):
                self._write(traced, found.status, error)
        seconds = perf_counter() - traced.begun
        self.metrics.answered(traced.route, found.status, seconds)
        if self.log_all:
            self._write(traced, found.status, None)
        headers = [
            (b"content-type", found.kind),
            (b"content-length", str(len(found.body)).encode()),
            *found.headers,
        ]
        await send({"type": "http.response.start", "status": found.status, "headers": headers})
        await send({"type": "http.response.body", "body": found.body})

    async def _answered(self, scope: Asgi, receive: Receive, traced: _Traced) -> Answer:
        route, decoder, variable = self.routes.find(scope["method"], scope["path"])
        traced.route = route.label
        owner = self._let_in(route, scope["headers"])
        traced.owner = owner
        message = None
        if decoder is not None:
            traced.heard = True
            message = _decoded(decoder, await self._body(scope["headers"], receive))
        if self.closing:
            raise busy(1.0)
        return await self.desk.done(route.handle(Call(message, variable, owner)), max(1, route.cost(message)))

    def _let_in(self, route: Route, headers: Sequence[Header]) -> str:
        """Whose key it is, where the key may do this and has not asked too often.

        Raises:
            HttpError: 401 without a key, 403 where it may not, 429 beyond its rate.
        """
        if route.scope == OPEN:
            return ""
        key = self.keys.owner(_presented(headers))
        if key is None:
            raise HttpError(
                HTTPStatus.UNAUTHORIZED,
                "a key is needed: Authorization: Bearer KEY; `channelwise keys add` makes one",
                ((b"www-authenticate", b"Bearer"),),
            )
        if route.scope != ANY_KEY and not key.may(route.scope):  # type: ignore[arg-type]  # checked above
            raise HttpError(HTTPStatus.FORBIDDEN, f"the key '{key.name}' may not do this; it takes '{route.scope}'")
        self._within_rate(key)
        return key.name

    def _within_rate(self, key: Key) -> None:
        now = perf_counter()
        bucket = self._buckets.setdefault(key.name, _Bucket(self.bounds.burst, now))
        if wait := bucket.take(now, self.bounds):
            after = str(max(1, round(wait))).encode()
            raise HttpError(
                HTTPStatus.TOO_MANY_REQUESTS,
                f"the key '{key.name}' asks more than {self.bounds.per_second:g} times a second",
                ((b"retry-after", after),),
            )

    async def _body(self, headers: Sequence[Header], receive: Receive) -> bytes:
        """The whole body.

        Raises:
            HttpError: 413 where it is too large, 408 where it does not come, 400 where the asker leaves.
        """
        most = self.bounds.body_bytes
        announced = _header(headers, b"content-length")
        if announced.isdecimal() and int(announced) > most:
            raise await self._too_large(receive)
        try:
            async with asyncio.timeout(self.bounds.body_seconds):
                event = await receive()
                body = event.get("body", b"")
                while event.get("more_body") and len(body) <= most:
                    event = await receive()
                    body += event.get("body", b"")
        except TimeoutError:
            raise HttpError(HTTPStatus.REQUEST_TIMEOUT, "the body did not arrive in time") from None
        if event["type"] == "http.disconnect":
            raise HttpError(HTTPStatus.BAD_REQUEST, "the connection ended before the body")
        if len(body) > most:
            raise await self._too_large(receive) if event.get("more_body") else _too_large(most)
        return bytes(body)

    async def _too_large(self, receive: Receive) -> HttpError:
        """The refusal, once the rest is read away."""
        await self._read_away(receive, _READ_AWAY * self.bounds.body_bytes)
        return _too_large(self.bounds.body_bytes)

    async def _read_away(self, receive: Receive, most: int) -> None:
        """Takes what still comes of a body, about `most` bytes of it, and drops it.

        Who is answered while still sending may find the connection closed in place of the answer, or of the next one.
        """
        left = most
        with suppress(TimeoutError):
            async with asyncio.timeout(self.bounds.body_seconds):
                event = await receive()
                while event.get("more_body") and left > 0:
                    left -= len(event["body"])
                    event = await receive()

    def _write(self, traced: _Traced, status: int, error: Exception | None) -> None:
        """One line of JSON."""
        line: dict[str, Any] = {
            "route": traced.route,
            "key": traced.owner,
            "status": status,
            "ms": round(1e3 * (perf_counter() - traced.begun), 3),
        }
        if error is not None:
            # Where it went wrong, but not with what: messages of foreign errors may quote the data.
            line["error"] = type(error).__name__
            line["where"] = _where(error)
        self.log.write(json.dumps(line) + "\n")
        self.log.flush()


def _decoded(decoder: "msgspec.json.Decoder[Any]", body: bytes) -> Any:
    try:
        return decoder.decode(body)
    except (UnicodeDecodeError, RecursionError) as error:
        raise HttpError(HTTPStatus.BAD_REQUEST, f"the body is no valid JSON: {error}") from error


def _where(error: Exception) -> list[str]:
    """The innermost calls, as file:line."""
    places, trace = [], error.__traceback__
    while trace is not None:
        code = trace.tb_frame.f_code
        places.append(f"{code.co_filename.rpartition('/')[2]}:{trace.tb_lineno}")
        trace = trace.tb_next
    return places[-4:]


def _header(headers: Sequence[Header], name: bytes) -> str:
    for each, value in headers:
        if each == name:
            return value.decode("latin-1")
    return ""


def _presented(headers: Sequence[Header]) -> str:
    kind, _, key = _header(headers, b"authorization").partition(" ")
    return key.strip() if kind.lower() == "bearer" else ""


def _too_large(most: int) -> HttpError:
    return HttpError(
        HTTPStatus.REQUEST_ENTITY_TOO_LARGE, f"the body is larger than {most} bytes; ask for fewer at once"
    )
