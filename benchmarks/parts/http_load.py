"""Loads an HTTP server from one event loop: closed, each connection as fast as it is answered, or open, at a rate."""

import asyncio
import time
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field

import numpy as np

Body = Callable[[int], bytes]
"""The body of the n-th request."""


@dataclass(frozen=True)
class Target:
    """Where requests go, and with which key."""

    port: int
    path: str
    key: str = ""

    def request(self, body: bytes, extra: Sequence[tuple[str, str]] = ()) -> bytes:
        """The bytes of one request."""
        headers = {"host": "127.0.0.1", "content-type": "application/json", "content-length": str(len(body))}
        headers |= {"authorization": f"Bearer {self.key}"} if self.key else {}
        headers |= {name: value for name, value in extra if name not in ("content-length", "transfer-encoding")}
        lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
        return f"POST {self.path} HTTP/1.1\r\n{lines}\r\n".encode("latin-1", "replace") + body


@dataclass
class Heard:
    """What came back: milliseconds of each answer by status, and how many connections broke."""

    ms: dict[int, list[float]] = field(default_factory=dict)
    broken: int = 0
    seconds: float = 0.0

    def add(self, status: int, ms: float) -> None:
        """One answer."""
        self.ms.setdefault(status, []).append(ms)

    @property
    def statuses(self) -> Counter[int]:
        """How many answers of each status."""
        return Counter({status: len(each) for status, each in self.ms.items()})

    @property
    def errors_5xx(self) -> int:
        """Answers that say the server failed, but for those that say it is busy."""
        return sum(count for status, count in self.statuses.items() if status >= 500 and status != 503)

    def percentile(self, percent: float, status: int = 200) -> float:
        """Milliseconds within which so many percent of the answers of a status came; NaN where there are none."""
        return float(np.percentile(self.ms[status], percent)) if self.ms.get(status) else float("nan")

    @property
    def per_second(self) -> float:
        """Answers of status 200 a second."""
        return len(self.ms.get(200, ())) / self.seconds


class Connection(asyncio.Protocol):
    """One kept-alive connection, opened again where the server closes it; a protocol, as streams cost twice the CPU."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._transport: asyncio.Transport | None = None
        self._heard = bytearray()
        self._answer: asyncio.Future[tuple[bytes, bytes]] | None = None

    async def ask(self, request: bytes, timeout_s: float = 60.0) -> tuple[int, bytes]:
        """Status and body of one request.

        Raises:
            OSError: the connection broke.
        """
        loop = asyncio.get_running_loop()
        if self._transport is None or self._transport.is_closing():
            # The server closes what was idle for long; that breaks no request.
            self._transport, _ = await loop.create_connection(lambda: self, "127.0.0.1", self._port)
        self._heard.clear()
        self._answer = loop.create_future()
        self._transport.write(request)
        late = loop.call_later(timeout_s, self.connection_lost, OSError(f"no answer within {timeout_s:g} s"))
        try:
            head, body = await self._answer
        except OSError:
            self.close()
            raise
        finally:
            late.cancel()
        if b"connection: close" in head:
            self.close()
        return int(head.split(None, 2)[1]), body

    def data_received(self, data: bytes) -> None:
        """Gives the answer once all of it is there."""
        self._heard += data
        end = self._heard.find(b"\r\n\r\n")
        if end < 0 or self._answer is None or self._answer.done():
            return
        head = bytes(self._heard[:end]).lower()
        length = int(head.partition(b"content-length:")[2].partition(b"\r\n")[0] or 0)
        if len(self._heard) >= end + 4 + length:
            self._answer.set_result((head, bytes(self._heard[end + 4 : end + 4 + length])))

    def connection_lost(self, exc: Exception | None) -> None:
        """Tells who still waits."""
        if self._transport is not None and self._answer is not None and not self._answer.done():
            self._answer.set_exception(OSError(str(exc or "the server closed the connection")))

    def close(self) -> None:
        """Let go of it."""
        if self._transport is not None:
            self._transport.close()
            self._transport = None


async def closed_loop(target: Target, body: Body, connections: int, seconds: float) -> Heard:
    """Each connection asks as soon as it was answered."""
    heard, end, numbers = Heard(), time.perf_counter() + seconds, iter(range(10**9))

    async def one() -> None:
        connection = Connection(target.port)
        while time.perf_counter() < end:
            request = target.request(body(next(numbers)))
            begun = time.perf_counter()
            try:
                status, _ = await connection.ask(request)
            except OSError:
                heard.broken += 1
                continue
            heard.add(status, 1e3 * (time.perf_counter() - begun))
        connection.close()

    begun = time.perf_counter()
    await asyncio.gather(*(one() for _ in range(connections)))
    heard.seconds = time.perf_counter() - begun
    return heard


async def open_loop(target: Target, body: Body, per_second: float, seconds: float, most: int = 256) -> Heard:
    """Requests at a rate, whether or not earlier ones were answered, on at most so many connections.

    A request's time runs from when it was due, so what waits here for a connection counts.
    """
    heard, idle, tasks = Heard(), [Connection(target.port) for _ in range(most)], set()
    free = asyncio.Semaphore(most)

    async def one(number: int, due: float) -> None:
        async with free:
            connection = idle.pop()
            try:
                status, _ = await connection.ask(target.request(body(number)))
                heard.add(status, 1e3 * (time.perf_counter() - due))
            except OSError:
                heard.broken += 1
            finally:
                idle.append(connection)

    begun = time.perf_counter()
    for number in range(round(per_second * seconds)):
        due = begun + number / per_second
        # Also where it is late: what the server closed meanwhile is to be known before it is used.
        await asyncio.sleep(max(0.0, due - time.perf_counter()))
        task = asyncio.create_task(one(number, due))
        tasks.add(task)
        task.add_done_callback(tasks.discard)
    await asyncio.gather(*tasks)
    heard.seconds = time.perf_counter() - begun
    for connection in idle:
        with suppress(OSError):
            connection.close()
    return heard
