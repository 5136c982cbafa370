"""Takes out of a history the opens that came within seconds of the message: a mail program's, and no one's answer.

The one rule of `contract.opens` that needs nothing later is applied to encoded events whenever they are read, so that
training, batch and online, and a timeline that grew or that Spark sorted, see the same. What needs the whole history
(`customers_habits`) cleans labels alone.
"""

from collections.abc import Container, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Final

import duckdb
import numpy as np
import numpy.typing as npt
from numba import njit

from contract.kinds import DELIVERED, OPENED, SENT
from contract.opens import AT_ONCE, OpensFound, count_opens, machine_opens_sql
from contract.params import Params
from features.blocks import read_only
from features.engines import NUMBERED, Window
from features.events import Codebook, Events
from features.permission import PERMITTED

MACHINE_OPENS: Final = "machine_opens"
"""Temporary table (customer_id, channel, occurred_at, rule): moments at which a machine opened."""

BY_PEOPLE: Final = "interactions_by_people"
"""Temporary view with the columns of `interactions`: the permitted rows without those opens."""

_NOWHERE: Final = -1
_NOBODY: Final = read_only(np.zeros(0, np.int64))


def seconds_of(params: Params) -> dict[str, float]:
    """The channels on which an open can come too soon, and within how many seconds."""
    told = {name: each.machine_open_seconds for name, each in params.channels.items()}
    return {name: seconds for name, seconds in told.items() if seconds is not None}


@dataclass(frozen=True, eq=False)
class MachineOpens:
    """What to look for in events of one codebook: (n_codes,) arrays, -1 where a code plays no part.

    opened: channel of an open that can come too soon; started: channel of a message sent or delivered; opens: channel
    of any open; limit_us: (n_channels,) within what time; always: ascending numbers `customer * n_channels + channel`
    all of whose opens are a machine's.
    """

    opened: npt.NDArray[np.int16]
    started: npt.NDArray[np.int16]
    opens: npt.NDArray[np.int16]
    limit_us: npt.NDArray[np.int64]
    always: npt.NDArray[np.int64]

    @classmethod
    def of(
        cls, codebook: Codebook, seconds: Mapping[str, float], always: npt.NDArray[np.int64] = _NOBODY
    ) -> "MachineOpens":
        """For events of this codebook; `always` numbers channels as the codebook does."""
        limits = [round(seconds.get(name, 0.0) * 1_000_000) for name in codebook.channels]
        return cls(
            opened=_channels(codebook, (OPENED,), seconds),
            started=_channels(codebook, (SENT, DELIVERED), seconds),
            opens=_channels(codebook, (OPENED,), codebook.channels),
            limit_us=read_only(np.array(limits, np.int64)),
            always=read_only(always),
        )

    @cached_property
    def finds_any(self) -> bool:
        """Whether any event of the codebook can be one."""
        return bool((self.opened >= 0).any()) or len(self.always) > 0

    @cached_property
    def _codes(self) -> tuple[npt.NDArray[Any], ...]:
        return (self.opened, self.started, self.opens, self.limit_us, self.always)

    def without(self, events: Events) -> Events:
        """The events without opens by machine; the same object where there are none."""
        if not self.finds_any:
            return events
        kept = np.ones(len(events.code), np.bool_)
        columns = (read_only(events.offsets), read_only(events.time_us), read_only(events.code))
        if not _mark(events.first_customer, columns, self._codes, kept):
            return events
        before = np.zeros(len(kept) + 1, np.int64)
        np.cumsum(kept, out=before[1:])
        return Events(
            events.first_customer, before[events.offsets], events.time_us[kept], events.code[kept], events.cents[kept]
        )


def _channels(codebook: Codebook, kinds: tuple[str, ...], names: Container[str]) -> npt.NDArray[np.int16]:
    """(n_codes,) number of the channel where the code is of these kinds and channels, else -1."""
    found = np.full(len(codebook.entries), _NOWHERE, np.int16)
    for code, entry in enumerate(codebook.entries):
        if entry.kind in kinds and entry.channel is not None and entry.channel in names:
            found[code] = codebook.channels.index(entry.channel)
    return read_only(found)


@njit(cache=True, nogil=True)
def _mark(first_customer, columns, codes, kept):  # type: ignore[no-untyped-def]  # compiled by Numba
    """Clears `kept` at every open by machine; how many. Events of one moment are one moment, in whatever order."""
    offsets, time_us, code = columns
    opened, started, opens, limit_us, always = codes
    found = 0
    for customer in range(len(offsets) - 1):
        begin, end = offsets[customer], offsets[customer + 1]
        for i in range(begin, end):
            if code[i] >= len(opens) or opens[code[i]] < 0:
                continue
            hit = False
            channel = opened[code[i]]
            j = i - 1
            while channel >= 0 and not hit and j >= begin and time_us[i] - time_us[j] <= limit_us[channel]:
                hit = code[j] < len(started) and started[code[j]] == channel
                j -= 1
            j = i + 1
            while channel >= 0 and not hit and j < end and time_us[j] == time_us[i]:
                hit = code[j] < len(started) and started[code[j]] == channel
                j += 1
            if not hit and len(always) > 0:
                key = (first_customer + customer) * len(limit_us) + opens[code[i]]
                at = np.searchsorted(always, key)
                hit = at < len(always) and always[at] == key
            if hit:
                kept[i] = False
                found += 1
    return found


def find_machine_opens(connection: duckdb.DuckDBPyConnection, window: Window, params: Params) -> tuple[OpensFound, ...]:
    """Make `MACHINE_OPENS` of the permitted opens in the window, by all rules, and `BY_PEOPLE`; what was found."""
    rows = machine_opens_sql(params, PERMITTED, window.sql)
    connection.execute(f"CREATE OR REPLACE TEMP TABLE {MACHINE_OPENS} AS {rows}")
    connection.execute(f"""
        CREATE OR REPLACE TEMP VIEW {BY_PEOPLE} AS SELECT shown.* FROM {PERMITTED} AS shown
        LEFT JOIN (SELECT DISTINCT customer_id, channel, occurred_at, true AS by_machine FROM {MACHINE_OPENS})
        USING (customer_id, channel, occurred_at) WHERE kind <> '{OPENED}' OR by_machine IS NULL""")  # noqa: S608
    seen = f"(FROM {PERMITTED} WHERE {window.sql})"
    return count_opens(connection, params, seen, MACHINE_OPENS)


def customers_habits(connection: duckdb.DuckDBPyConnection, codebook: Codebook) -> npt.NDArray[np.int64]:
    """Ascending numbers `customer * n_channels + channel` of habits in `MACHINE_OPENS`, for `MachineOpens.always`."""
    rows = connection.execute(
        f"SELECT DISTINCT number, channel FROM {MACHINE_OPENS} JOIN {NUMBERED} USING (customer_id) WHERE rule <> ?",  # noqa: S608  names of ours
        [AT_ONCE],
    ).fetchall()
    numbers = {name: at for at, name in enumerate(codebook.channels)}
    keys = sorted(number * len(codebook.channels) + numbers[channel] for number, channel in rows if channel in numbers)
    return np.array(keys, np.int64)
