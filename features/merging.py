"""Merges sorted events of the same customers in one linear pass; sorts nothing and reads no file.

Ties in time go by code, then cents, the order that `features.events.Events` promises.
"""

from typing import Any

import numpy as np
import numpy.typing as npt
from numba import njit

from features.blocks import read_only
from features.events import Events


def merged(one: Events, other: Events) -> Events:
    """The events of both, which tell of the same customers, as if all had been sorted together.

    >>> a = Events(0, np.array([0, 2]), np.array([1, 5]), np.zeros(2, np.uint16), np.array([7, 8]))
    >>> b = Events(0, np.array([0, 1]), np.array([3]), np.zeros(1, np.uint16), np.array([9]))
    >>> merged(a, b).cents.tolist()
    [7, 9, 8]
    """
    if not len(other.code):
        return one
    if not len(one.code):
        return other
    rows = len(one.code) + len(other.code)
    time_us, code, cents = np.empty(rows, np.int64), np.empty(rows, np.uint16), np.empty(rows, np.int64)
    _merge(_columns(one), _columns(other), (time_us, code, cents))
    return Events(one.first_customer, one.offsets + other.offsets, time_us, code, cents)


def all_merged(parts: list[Events]) -> Events:
    """One or more of them as one, two and two, so that an event is copied as often as the number can be halved."""
    while len(parts) > 1:
        pairs = [merged(*parts[at : at + 2]) for at in range(0, len(parts) - 1, 2)]
        parts = pairs + parts[len(parts) - len(parts) % 2 :]
    return parts[0]


def since(events: Events, since_us: int) -> Events:
    """The events from this time on, int64 microseconds; the same object where none is older."""
    kept = events.time_us >= since_us
    if kept.all():
        return events
    before = np.zeros(len(kept) + 1, np.int64)
    np.cumsum(kept, out=before[1:])
    return Events(
        events.first_customer, before[events.offsets], events.time_us[kept], events.code[kept], events.cents[kept]
    )


def _columns(events: Events) -> tuple[npt.NDArray[Any], ...]:
    return tuple(read_only(each) for each in (events.offsets, events.time_us, events.code, events.cents))


@njit(cache=True, nogil=True)
def _merge(one, other, out):  # type: ignore[no-untyped-def]  # compiled by Numba
    offsets, time, code, cents = one
    offsets2, time2, code2, cents2 = other
    out_time, out_code, out_cents = out
    row = 0
    for customer in range(len(offsets) - 1):
        i, end = offsets[customer], offsets[customer + 1]
        j, end2 = offsets2[customer], offsets2[customer + 1]
        while i < end or j < end2:
            first = j == end2
            if i < end and j < end2:
                first = time[i] < time2[j]
                if time[i] == time2[j]:
                    first = code[i] < code2[j] or (code[i] == code2[j] and cents[i] <= cents2[j])
            if first:
                out_time[row], out_code[row], out_cents[row] = time[i], code[i], cents[i]
                i += 1
            else:
                out_time[row], out_code[row], out_cents[row] = time2[j], code2[j], cents2[j]
                j += 1
            row += 1
