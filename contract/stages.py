"""Which stage of some work takes how long, over all threads; a stage within another is not counted twice."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from threading import Lock, local

Clock = Callable[[], float]
"""Seconds that the calling thread has worked, such as `time.thread_time`."""


class Stages:
    """Seconds by stage; threads may share one."""

    def __init__(self, clock: Clock = lambda: 0.0) -> None:
        """Without a clock nothing is counted."""
        self.seconds: dict[str, float] = {}
        self._clock = clock
        self._lock = Lock()
        self._here = local()

    @contextmanager
    def __call__(self, name: str) -> Iterator[None]:
        """The time within counts for the stage of this name, but for stages further within."""
        outer = getattr(self._here, "name", None)
        self._turn(outer, name)
        try:
            yield
        finally:
            self._turn(name, outer)

    def _turn(self, before: str | None, after: str | None) -> None:
        """From here on another stage counts in this thread."""
        now = self._clock()
        if before is not None:
            with self._lock:
                self.seconds[before] = self.seconds.get(before, 0.0) + now - self._here.since
        self._here.name, self._here.since = after, now
