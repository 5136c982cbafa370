"""Quiet times in customers' local time, as moments in UTC: when is the first that is not quiet; knows no other rule.

A moment is quiet where its local time of day lies in a quiet range [from, to), or its local date is a quiet one. Each
moment has one local time, so an hour that a change of the clocks leaves out needs no rule of its own (what would end in
it ends at the change), and one that comes twice is judged twice.
"""

from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, date, datetime, timedelta, tzinfo
from typing import Final

import numpy as np
import numpy.typing as npt

from contract.contact_rules import MINUTES_A_DAY, WEEKDAYS, QuietTimes, minutes_of

Moments = npt.NDArray[np.int64]

DAY_US: Final = 86_400_000_000
MINUTE_US: Final = 60_000_000
SECOND_US: Final = 1_000_000
FARTHEST_DAYS: Final = 366
"""No moment later than this after as-of is looked for."""

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_PROBES_A_DAY: Final = 4


class QuietClock:
    """The first open moment of customers on channels, from as-of on; times are microseconds since 1970 UTC."""

    def __init__(
        self, quiet: Mapping[str, QuietTimes], channels: Sequence[str], zones: Sequence[tzinfo], as_of_us: int
    ) -> None:
        """Nothing is computed before it is asked for.

        Args:
            quiet: channel → its quiet times; a channel that is missing is never quiet.
            channels: k names, the order of columns.
            zones: what a customer's zone is an index into.
            as_of_us: no earlier moment is asked for.
        """
        self._times = [quiet.get(name) for name in channels]
        self._zones = zones
        self._as_of_us = as_of_us
        self._known: dict[tuple[int, int], tuple[Moments, Moments]] = {}

    def opens(self, moment_us: Moments, zone: npt.NDArray[np.int16]) -> Moments:
        """(n, k) first moments at or after `moment_us` (n, k) that are not quiet for customers of `zone` (n,).

        Right until FARTHEST_DAYS after as-of; what lies later is taken as open.
        """
        result = moment_us.copy()
        for channel, times in enumerate(self._times):
            if times is None:
                continue
            for each in np.unique(zone):
                rows = np.flatnonzero(zone == each)
                starts, ends = self._intervals(int(each), channel)
                result[rows, channel] = _after(moment_us[rows, channel], starts, ends)
        return result

    def _intervals(self, zone: int, channel: int) -> tuple[Moments, Moments]:
        times = self._times[channel]
        assert times is not None
        same = next(at for at, other in enumerate(self._times) if other == times)
        if (zone, same) not in self._known:
            self._known[zone, same] = quiet_intervals(times, self._zones[zone], self._as_of_us)
        return self._known[zone, same]


def _after(moment_us: Moments, starts: Moments, ends: Moments) -> Moments:
    if not len(starts):
        return moment_us
    at = np.searchsorted(starts, moment_us, side="right") - 1
    inside = (at >= 0) & (moment_us < ends[at])
    return np.where(inside, ends[at], moment_us)


def quiet_intervals(times: QuietTimes, zone: tzinfo, as_of_us: int) -> tuple[Moments, Moments]:
    """Starts and ends of the disjoint quiet intervals [start, end) in UTC, ascending, over the days after as-of."""
    first, last = as_of_us - 2 * DAY_US, as_of_us + (FARTHEST_DAYS + 2) * DAY_US
    starts, ends = [], []
    local_start, local_end = _local_intervals(times, first - DAY_US, last + DAY_US)
    for begins, finishes, offset in _offsets(zone, first, last):
        start = np.maximum(local_start - offset, begins)
        end = np.minimum(local_end - offset, finishes)
        starts.append(start[start < end])
        ends.append(end[start < end])
    return _joined(np.concatenate(starts), np.concatenate(ends))


def _local_intervals(times: QuietTimes, first_us: int, last_us: int) -> tuple[Moments, Moments]:
    """Quiet intervals of local time, written as if it were UTC."""
    days = np.arange(first_us // DAY_US, last_us // DAY_US + 1)
    starts, ends = [], []
    for begins, finishes in map(minutes_of, times.hours):
        parts = [(begins, finishes)] if begins < finishes else [(begins, MINUTES_A_DAY), (0, finishes)]
        for part in parts:
            starts.append(days * DAY_US + part[0] * MINUTE_US)
            ends.append(days * DAY_US + part[1] * MINUTE_US)
    # 1 January 1970 was a Thursday.
    weekdays = np.isin((days + WEEKDAYS.index("thu")) % len(WEEKDAYS), [WEEKDAYS.index(each) for each in times.days])
    whole = days[weekdays | np.isin(days, [(each - date(1970, 1, 1)).days for each in times.dates])]
    starts.append(whole * DAY_US)
    ends.append((whole + 1) * DAY_US)
    return np.concatenate(starts), np.concatenate(ends)


def _joined(starts: Moments, ends: Moments) -> tuple[Moments, Moments]:
    order = np.argsort(starts, kind="stable")
    starts, ends = starts[order], np.maximum.accumulate(ends[order]) if len(order) else ends
    opens = np.concatenate([[True], starts[1:] > ends[:-1]]) if len(order) else np.zeros(0, dtype=bool)
    closes = np.concatenate([opens[1:], [True]]) if len(order) else opens
    return starts[opens], ends[closes]


def _offsets(zone: tzinfo, first_us: int, last_us: int) -> Iterator[tuple[int, int, int]]:
    """Spans [begins, finishes) of one offset from UTC, and the offset, all in microseconds; changes to the second."""
    step = DAY_US // _PROBES_A_DAY // SECOND_US
    begins = first_us
    here, end = first_us // SECOND_US, -(-last_us // SECOND_US)
    offset = _offset_us(zone, here)
    while here < end:
        ahead = min(here + step, end)
        after = _offset_us(zone, ahead)
        if after != offset:
            change = _change(zone, here, ahead, offset)
            yield begins, change * SECOND_US, offset
            begins, offset = change * SECOND_US, _offset_us(zone, change)
            ahead = change
        here = ahead
    yield begins, last_us, offset


def _change(zone: tzinfo, low: int, high: int, offset: int) -> int:
    """The first second in (low, high] whose offset differs from that at `low`."""
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if _offset_us(zone, middle) == offset else (low, middle)
    return high


def _offset_us(zone: tzinfo, second: int) -> int:
    offset = (_EPOCH + timedelta(seconds=second)).astimezone(zone).utcoffset()
    assert offset is not None
    return offset // timedelta(microseconds=1)
