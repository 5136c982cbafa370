"""Where work waits its turn: a bounded queue on the event loop that says no at once when full; does no work itself.

Work is a generator that yields between pieces and returns its result, so that a request of a thousand customers lets
smaller ones pass. One piece runs, then everything that has arrived meanwhile is looked at: a request beyond the bound
is refused within one piece's time, however many wait.
"""

import asyncio
from collections import deque
from collections.abc import Generator
from dataclasses import dataclass, field
from http import HTTPStatus
from time import perf_counter
from typing import Any, Final

from serving.http.answers import Answer, HttpError

Work = Generator[None, None, Answer]
_SMOOTHING: Final = 0.05


@dataclass
class _Waiting:
    """Work with what it costs (customers), until when it is worth doing, and who waits for it."""

    work: Work
    cost: int
    until: float
    result: "asyncio.Future[Answer]"


@dataclass
class Desk:
    """Does work in order of arrival, a piece at a time.

    most_waiting: customers that may wait at most; timeout_seconds: how long before the asker is told to come again.
    """

    most_waiting: int
    timeout_seconds: float
    waiting: int = 0
    seconds_per_customer: float = 1e-4
    _queue: deque[_Waiting] = field(default_factory=deque)
    _running: "asyncio.Task[None] | None" = None

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
        if self._running is None or self._running.done():
            self._running = loop.create_task(self._serve())
        try:
            return await item.result
        finally:
            self.waiting -= cost

    async def _serve(self) -> None:
        loop = asyncio.get_running_loop()
        while self._queue:
            item = self._queue.popleft()
            if item.result.done():
                item.work.close()
            elif loop.time() > item.until:
                item.work.close()
                item.result.set_exception(busy(self.waiting * self.seconds_per_customer))
            elif not self._advanced(item):
                self._queue.append(item)
            await asyncio.sleep(0)

    def _advanced(self, item: _Waiting) -> bool:
        """One piece of the work; whether it was the last."""
        begun = perf_counter()
        try:
            next(item.work)
        except StopIteration as end:
            item.result.set_result(end.value)
        except Exception as error:
            item.result.set_exception(error)
        else:
            return False
        took = (perf_counter() - begun) / item.cost
        self.seconds_per_customer += _SMOOTHING * (took - self.seconds_per_customer)
        return True


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


def _done(result: Answer) -> Generator[None, Any, Answer]:
    yield from ()
    return result
