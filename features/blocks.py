"""Blocks of whole customers' events: cutting and choosing among them; copies no event and reads no file."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt

from features.events import Events
from features.narrow import NarrowEvents


def no_events(first: int, n_customers: int) -> Events:
    """Customers from number `first` on, of whom nothing is known."""
    nothing = np.zeros(0, np.int64)
    return Events(first, np.zeros(n_customers + 1, np.int64), nothing, np.zeros(0, np.uint16), nothing)


def holds_any(customers: npt.NDArray[np.int64] | None, first: int, end: int) -> bool:
    """Whether any of the ascending numbers lies in [first, end); None stands for all."""
    if customers is None:
        return True
    at = int(np.searchsorted(customers, first))
    return at < len(customers) and bool(customers[at] < end)


def sliced(events: Events, first: int, end: int) -> Events:
    """The events of customers [first, end), all of them among `events`."""
    bounds = events.offsets[first - events.first_customer : end + 1 - events.first_customer]
    if isinstance(events, NarrowEvents):
        return events.part(first, bounds)
    rows = slice(int(bounds[0]), int(bounds[-1]))
    return Events(first, bounds - bounds[0], events.time_us[rows], events.code[rows], events.cents[rows])


def split(events: Events, max_events: int, customers: npt.NDArray[np.int64] | None = None) -> Iterator[Events]:
    """Parts of at most `max_events` events, but for single customers who have more; parts without `customers` fall out.

    >>> two = Events(0, np.array([0, 2, 3]), np.arange(3), np.zeros(3, np.uint16), np.zeros(3, np.int64))
    >>> [part.first_customer for part in split(two, 2)]
    [0, 1]
    """
    begin = 0
    last = len(events.offsets) - 1
    while begin < last:
        end = int(np.searchsorted(events.offsets, events.offsets[begin] + max_events, side="right")) - 1
        end = min(max(end, begin + 1), last)
        first, stop = events.first_customer + begin, events.first_customer + end
        if holds_any(customers, first, stop):
            yield sliced(events, first, stop)
        begin = end


def chosen(events: Events, customers: npt.NDArray[np.int64]) -> Events:
    """The events of the (n,) ascending numbers, all among `events`; customer i of the result is `customers[i]`."""
    local = customers - events.first_customer
    begin, end = events.offsets[local], events.offsets[local + 1]
    offsets = np.zeros(len(customers) + 1, np.int64)
    np.cumsum(end - begin, out=offsets[1:])
    rows = np.arange(offsets[-1]) + np.repeat(begin - offsets[:-1], end - begin)
    return Events(0, offsets, events.time_us[rows], events.code[rows], events.cents[rows])


def joined(parts: list[Events]) -> Events:
    """Blocks one after another as one, its customers numbered from 0."""
    if not parts:
        return no_events(0, 0)
    lengths = np.concatenate([part.offsets[1:] - part.offsets[:-1] for part in parts])
    offsets = np.zeros(len(lengths) + 1, np.int64)
    np.cumsum(lengths, out=offsets[1:])
    return Events(
        0,
        offsets,
        np.concatenate([part.time_us for part in parts]),
        np.concatenate([part.code for part in parts]),
        np.concatenate([part.cents for part in parts]),
    )


def read_only(array: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """The array as kernels take it: read-only, so that arrays from files and from memory need one compilation."""
    if array.flags.writeable:
        array = array.view()
        array.flags.writeable = False
    return array
