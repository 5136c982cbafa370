"""Work done by several threads and handed over in order, so that no output depends on them; starts no process."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

_Asked = TypeVar("_Asked")
_Answer = TypeVar("_Answer")


def ordered(function: Callable[[_Asked], _Answer], work: Iterable[_Asked], threads: int) -> Iterator[_Answer]:
    """What the function makes of each piece of work, in order; twice `threads` are under way at a time.

    So the threads have work while the caller keeps an answer and asks for the next piece.
    """
    if threads == 1:
        yield from map(function, work)
        return
    running: deque[Future[_Answer]] = deque()
    with ThreadPoolExecutor(threads) as pool:
        for each in work:
            if len(running) == 2 * threads:
                yield running.popleft().result()
            running.append(pool.submit(function, each))
        while running:
            yield running.popleft().result()
