"""Where work waits its turn: a bounded queue on the event loop that says no at once when full; does no work itself.

Work is a generator that yields between pieces and returns its result, so that a request of a thousand customers lets
smaller ones pass. One piece runs, then everything that has arrived meanwhile is looked at: a request beyond the bound
is refused within one piece's time, however many wait. Small work of one kind that waits at the same time is done at
once, since most of its cost is paid once however many are asked about. Who asks on several connections asks again soon
after the answers: where several were answered together, as many are waited for, half as long as those took; a single
asker never waits.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Generator, Hashable, Sequence
from dataclasses import dataclass, field
from http import HTTPStatus
from time import perf_counter
from typing import Any, Final

from serving.http.answers import Answer, HttpError

MOST_TOGETHER: Final = 16
"""Customers whose small requests are answered at once; about what others may have to wait for."""

_LOOKED_AT: Final = 64
"""Waiting requests among which like ones are looked for."""


@dataclass(frozen=True)
class Groupable:
    """Small work that costs less done with others of its kind.

    key: what those have in common. done: does it for several, each with an answer or an error of its own. asked: what
    one asks.
    """

    key: Hashable
    done: Callable[[Sequence[Any]], Sequence[Answer | Exception]]
    asked: Any

    def close(self) -> None:
        """Nothing was begun."""


Pieces = Generator[None, None, Answer]
"""Work that yields between its pieces."""

Work = Pieces | Groupable
_SMOOTHING: Final = 0.05
_PATIENCE: Final = 0.5
"""Share of the time that work done together took, for which as many as there were are waited for."""


@dataclass
class _Waiting:
    """Work with what it costs (customers), until when it is worth beginning, who waits for it, and whether it began."""

    work: Work
    cost: int
    until: float
    result: "asyncio.Future[Answer]"
    begun: bool = False


@dataclass
class Desk:
    """Does work in order of arrival, a piece at a time.

    most_waiting: customers that may wait at most; timeout_seconds: how long work may wait to begin before the asker
    is told to come again.
    """

    most_waiting: int
    timeout_seconds: float
    waiting: int = 0
    seconds_per_customer: float = 1e-4
    _queue: deque[_Waiting] = field(default_factory=deque)
    _running: "asyncio.Task[None] | None" = None
    _expected: int = 1
    _patience_seconds: float = 0.0
    _enough: "asyncio.Future[None] | None" = None

    async def done(self, work: Work, cost: int) -> Answer:
        """The answer of the work once its turn came.

        Raises:
            HttpError: 503 where too much waits already, or it waited too long.
        """
        if self.waiting and self.waiting + cost > self.most_waiting:
            work.close()
            raise busy(self.waiting * self.seconds_per_customer)
        loop = asyncio.get_running_loop()
        item = _Waiting(work, cost, loop.time() + self.timeout_seconds, loop.create_future())
        self._queue.append(item)
        self.waiting += cost
        if self._enough is not None and len(self._queue) >= self._expected:
            self._stop_gathering(self._enough)
        if self._running is None or self._running.done():
            self._running = loop.create_task(self._serve())
        try:
            return await item.result
        finally:
            self.waiting -= cost

    async def _serve(self) -> None:
        while self._queue:
            await self._gather()
            item = self._queue.popleft()
            if self._worth_doing(item):
                if isinstance(item.work, Groupable):
                    self._do_together([item, *self._like(item, item.work.key)], item.work.done)
                elif not self._advanced(item, item.work):
                    self._queue.append(item)
            await asyncio.sleep(0)

    async def _gather(self) -> None:
        """Gives those who were answered together last the time to come again together."""
        if len(self._queue) >= self._expected or not isinstance(self._queue[0].work, Groupable):
            return
        loop = asyncio.get_running_loop()
        self._enough = loop.create_future()
        giving_up = loop.call_later(self._patience_seconds, self._stop_gathering, self._enough)
        await self._enough
        giving_up.cancel()
        self._enough = None

    @staticmethod
    def _stop_gathering(enough: "asyncio.Future[None]") -> None:
        if not enough.done():
            enough.set_result(None)

    def _worth_doing(self, item: _Waiting) -> bool:
        """Whether anybody still waits for it; who waited too long for its begin is told."""
        if not item.result.done():
            # What was begun is ended: to drop it would cost what was done and gain nobody an answer.
            if item.begun or asyncio.get_running_loop().time() <= item.until:
                return True
            item.result.set_exception(busy(self.waiting * self.seconds_per_customer))
        item.work.close()
        return False

    def _like(self, first: _Waiting, key: Hashable) -> list[_Waiting]:
        """What waits and can be done with the first; taken out of the queue."""
        found, passed, room = [], [], MOST_TOGETHER - first.cost
        for _ in range(min(len(self._queue), _LOOKED_AT)):
            if room <= 0:
                break
            item = self._queue.popleft()
            if isinstance(item.work, Groupable) and item.work.key == key and item.cost <= room:
                if self._worth_doing(item):
                    found.append(item)
                    room -= item.cost
            else:
                passed.append(item)
        self._queue.extendleft(reversed(passed))
        return found

    def _do_together(
        self, items: Sequence[_Waiting], done: Callable[[Sequence[Any]], Sequence[Answer | Exception]]
    ) -> None:
        begun = perf_counter()
        try:
            results = done([item.work.asked for item in items if isinstance(item.work, Groupable)])
        except Exception as error:
            results = [error] * len(items)
        for item, result in zip(items, results, strict=True):
            if isinstance(result, Exception):
                item.result.set_exception(result)
            else:
                item.result.set_result(result)
        self._expected, self._patience_seconds = len(items), _PATIENCE * (perf_counter() - begun)
        self._learn(begun, sum(item.cost for item in items))

    def _advanced(self, item: _Waiting, work: Pieces) -> bool:
        """One piece of the work; whether it was the last."""
        begun, item.begun = perf_counter(), True
        try:
            next(work)
        except StopIteration as end:
            item.result.set_result(end.value)
        except Exception as error:
            item.result.set_exception(error)
        else:
            return False
        self._learn(begun, item.cost)
        return True

    def _learn(self, begun: float, customers: int) -> None:
        took = (perf_counter() - begun) / customers
        self.seconds_per_customer += _SMOOTHING * (took - self.seconds_per_customer)


def busy(seconds: float) -> HttpError:
    """The refusal of one more request, with when to come again."""
    after = str(max(1, round(seconds)))
    return HttpError(
        HTTPStatus.SERVICE_UNAVAILABLE,
        f"the server has all the work it can take; come again in {after} s",
        ((b"retry-after", after.encode()),),
    )


def at_once(result: Answer) -> Work:
    """Work that is done already, for what costs nothing."""
    return _done(result)


def _done(result: Answer) -> Pieces:
    yield from ()
    return result
