"""One customer's events as bytes, about ten an event: packing, adding one in its place, reading back; stores nothing.

The bytes are three columns, then one byte that says how wide they are, all little-endian: times, cents, codes, width.
A `NARROW` history has uint32 seconds since 1970 and int32 cents, ten bytes an event; a `WIDE` one has int64
microseconds and int64 cents, eighteen. A history widens, once, when an event arrives that the narrow form would not
hold, so one odd source does not cost every customer. Events ascend by (time, code, cents), as in a timeline.
"""

from array import array
from bisect import bisect_left, bisect_right
from dataclasses import dataclass
from typing import Any, Final, Literal

import numpy as np
import numpy.typing as npt

from contract.errors import ArtefactError
from features.encoding import US_PER_SECOND, Clock
from features.events import Events


@dataclass(frozen=True)
class Width:
    """How the columns of a history are written; time and cents have the same size in bytes.

    mark: last byte; size: bytes of a time and of an amount; time_type, cents_type: letters of `array`.
    """

    mark: bytes
    clock: Clock
    size: int
    time_type: Literal["I", "q"]
    cents_type: Literal["i", "q"]

    @property
    def per_event(self) -> int:
        """Bytes of an event."""
        return 2 * self.size + 2


NARROW: Final = Width(b"n", Clock(0, US_PER_SECOND), 4, "I", "i")
WIDE: Final = Width(b"w", Clock(0, 1), 8, "q", "q")
EMPTY: Final = b"n"
"""The history of a customer without events."""

MAX_CENTS: Final = np.iinfo(np.int32).max
MAX_SECOND: Final = np.iinfo(np.uint32).max
_CODE_SIZE: Final = 2
_NOTHING: Final = np.zeros(0, np.int64)
_WIDTHS: Final = {NARROW.mark[0]: (NARROW, 4, 10), WIDE.mark[0]: (WIDE, 8, 18)}


def fits_narrow(time_us: int, cents: int) -> bool:
    """Whether the narrow form holds this event."""
    return (
        time_us % US_PER_SECOND == 0 and 0 <= time_us <= MAX_SECOND * US_PER_SECOND and -MAX_CENTS <= cents <= MAX_CENTS
    )


def inserted(history: bytes, time_us: int, code: int, cents: int) -> bytes:
    """The history with one more event, at its place by (time, code, cents).

    Args:
        history: As this function or `packed` gives it, or `EMPTY`.
        time_us: Microseconds since 1970 UTC.
        code: Index into `Codebook.entries`.
        cents: Amount.

    >>> late = inserted(inserted(EMPTY, 5_000_000, 1, 0), 2_000_000, 0, 0)
    >>> events_of(late, 0, 9_000_000).time_us.tolist(), len(late)
    ([2000000, 5000000], 21)
    """
    width, size, per_event = _width_of(history)
    if width is NARROW and not fits_narrow(time_us, cents):
        history = _widened(history)
        width, size, per_event = WIDE, WIDE.size, WIDE.per_event
    tick = time_us // width.clock.tick_us
    count = len(history) // per_event
    middle, codes = count * size, 2 * count * size
    end = codes + _CODE_SIZE * count
    at = count
    if count:
        view = memoryview(history)
        times = view[:middle].cast(width.time_type)
        if tick <= times[-1]:
            first, at = bisect_left(times, tick), bisect_right(times, tick)
            if first < at:
                tied = list(
                    zip(
                        view[codes + 2 * first : codes + 2 * at].cast("H"),
                        view[middle + size * first : middle + size * at].cast(width.cents_type),
                        strict=True,
                    )
                )
                at = first + bisect_right(tied, (code, cents))
    return b"".join(
        (
            history[: at * size],
            tick.to_bytes(size, "little"),
            history[at * size : middle + at * size],
            cents.to_bytes(size, "little", signed=True),
            history[middle + at * size : codes + at * _CODE_SIZE],
            code.to_bytes(_CODE_SIZE, "little"),
            history[codes + at * _CODE_SIZE : end],
            width.mark,
        )
    )


def events_of(history: bytes, since_us: int, until_us: int) -> Events:
    """The events with `since_us <= time < until_us`, as customer 0; the codes are not copied.

    Raises:
        ArtefactError: The bytes are no history.
    """
    width, size, per_event = _width_of(history)
    count = len(history) // per_event
    if not count:
        return Events(0, np.zeros(2, np.int64), _NOTHING, np.zeros(0, np.uint16), _NOTHING)
    middle, tick_us = count * size, width.clock.tick_us
    times = memoryview(history)[:middle].cast(width.time_type)
    since, until = -(-since_us // tick_us), -(-until_us // tick_us)
    begin = 0 if times[0] >= since else bisect_left(times, since)
    end = count if times[-1] < until else max(begin, bisect_left(times, until))
    kept = end - begin
    if width is WIDE:
        time_us = np.frombuffer(history, np.int64, kept, begin * 8)
        cents = np.frombuffer(history, np.int64, kept, middle + begin * 8)
    else:
        time_us = np.multiply(np.frombuffer(history, np.uint32, kept, begin * 4), US_PER_SECOND, dtype=np.int64)
        cents = np.frombuffer(history, np.int32, kept, middle + begin * 4).astype(np.int64)
    code = np.frombuffer(history, np.uint16, kept, 2 * middle + begin * _CODE_SIZE)
    offsets = np.array((0, kept), np.int64)
    for fresh in (offsets, time_us, cents):
        fresh.setflags(write=False)  # as the sweep takes them, so that it makes no view of each
    return Events(0, offsets, time_us, code, cents)


def packed(time_us: npt.NDArray[np.int64], code: npt.NDArray[np.uint16], cents: npt.NDArray[np.int64]) -> bytes:
    """The history of one customer's events, (n,) each, ascending by (time, code, cents)."""
    if not len(time_us):
        return EMPTY
    narrow = (
        not np.any(time_us % US_PER_SECOND)
        and time_us[0] >= 0
        and time_us[-1] <= MAX_SECOND * US_PER_SECOND
        and np.abs(cents).max() <= MAX_CENTS
    )
    return _joined(NARROW if narrow else WIDE, time_us, code, cents)


def _joined(width: Width, time_us: npt.NDArray[Any], code: npt.NDArray[Any], cents: npt.NDArray[Any]) -> bytes:
    ticks = width.clock.ticks(time_us)
    amounts = cents.astype(np.int32 if width is NARROW else np.int64)
    return b"".join((ticks.tobytes(), amounts.tobytes(), code.tobytes(), width.mark))


def _widened(history: bytes) -> bytes:
    count = len(history) // NARROW.per_event
    view = memoryview(history)
    times = array("q", (US_PER_SECOND * tick for tick in view[: 4 * count].cast("I")))
    cents = array("q", view[4 * count : 8 * count].cast("i"))
    return b"".join((times.tobytes(), cents.tobytes(), history[8 * count : -1], WIDE.mark))


def _width_of(history: bytes) -> tuple[Width, int, int]:
    known = _WIDTHS.get(history[-1]) if history else None
    if known is None or len(history) % known[2] != 1:
        raise ArtefactError(
            f"event store: a history of {len(history)} bytes is damaged; expected whole events and a width of n or w; "
            "forget the customer and deliver the events again, or fill a new store from a timeline"
        )
    return known
