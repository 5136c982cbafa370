"""What a customer's life is made of while it runs: its state and the log of events; decides nothing."""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from simulation.compiled import compiled
from simulation.draws import Stream
from simulation.effects import faded
from simulation.tastes import MOOD_DAYS, NEVER
from simulation.world import OUTBOUND, Floats, Longs

RECENT = 8
"""Contacts remembered: at most one a day, and their effect lasts seven days."""

PENDING = 64

SEND, PENDED = 0, 1
"""Places in `State.counters`: number of the next send; answers under way."""


class State(NamedTuple):
    """One customer's changing state.

    closed_from_s, reopened_s: (6,) last withdrawal of consent and the grant after it; engaged: (6,) visible answers the
    sender has seen; pressure: (value, at second); calm: (7,) factor of own purchases per contact, by its first day
    modulo 7; pending_s, pending_channel: answers that the sender will see; recent_*: ring of the last contacts; claim:
    (answer's second, campaign, send) of the message answered last.
    """

    stream: Stream
    closed_from_s: Longs
    reopened_s: Longs
    engaged: Floats
    pressure: Floats
    calm: Floats
    next_calm: Floats
    pending_s: Longs
    pending_channel: Longs
    recent_s: Longs
    recent_extra: Floats
    recent_channel: Longs
    counters: Longs
    shares: Floats
    claim: Longs


class Log(NamedTuple):
    """Events as they are drawn; `length` counts also those that found no room. `span`: seconds [from, until)."""

    customer: npt.NDArray[np.int32]
    time_s: Longs
    kind: npt.NDArray[np.int8]
    channel: npt.NDArray[np.int8]
    campaign: npt.NDArray[np.int32]
    send: npt.NDArray[np.int32]
    cents: npt.NDArray[np.int32]
    propensity: Floats
    length: Longs
    span: Longs


class Event(NamedTuple):
    """What an event is about besides who and when: -1 means none."""

    channel: int
    campaign: int
    send: int


def new_state() -> State:
    """A state to be reset before use."""
    n = len(OUTBOUND)
    return State(
        stream=np.zeros(1, np.uint64),
        closed_from_s=np.zeros(n, np.int64),
        reopened_s=np.zeros(n, np.int64),
        engaged=np.zeros(n),
        pressure=np.zeros(2),
        calm=np.ones(7),
        next_calm=np.ones(1),
        pending_s=np.zeros(PENDING, np.int64),
        pending_channel=np.zeros(PENDING, np.int64),
        recent_s=np.zeros(RECENT, np.int64),
        recent_extra=np.zeros(RECENT),
        recent_channel=np.zeros(RECENT, np.int64),
        counters=np.zeros(2, np.int64),
        shares=np.zeros(n),
        claim=np.zeros(3, np.int64),
    )


def new_log(room: int) -> Log:
    """An empty log with room for `room` events."""
    return Log(
        customer=np.empty(room, np.int32),
        time_s=np.empty(room, np.int64),
        kind=np.empty(room, np.int8),
        channel=np.empty(room, np.int8),
        campaign=np.empty(room, np.int32),
        send=np.empty(room, np.int32),
        cents=np.empty(room, np.int32),
        propensity=np.empty(room),
        length=np.zeros(1, np.int64),
        span=np.zeros(2, np.int64),
    )


@compiled
def reset(state: State) -> None:
    """Makes the state that of a customer to whom nothing has happened."""
    state.closed_from_s[:] = NEVER
    state.reopened_s[:] = NEVER
    state.engaged[:] = 0.0
    state.pressure[:] = 0.0
    state.calm[:] = 1.0
    state.next_calm[0] = 1.0
    state.recent_s[:] = 0
    state.recent_extra[:] = 0.0
    state.counters[:] = 0
    state.claim[0] = NEVER


@compiled
def copy_state(source: State, target: State) -> None:
    """Makes `target` the same as `source`."""
    target.stream[:] = source.stream
    target.closed_from_s[:] = source.closed_from_s
    target.reopened_s[:] = source.reopened_s
    target.engaged[:] = source.engaged
    target.pressure[:] = source.pressure
    target.calm[:] = source.calm
    target.next_calm[:] = source.next_calm
    target.pending_s[:] = source.pending_s
    target.pending_channel[:] = source.pending_channel
    target.recent_s[:] = source.recent_s
    target.recent_extra[:] = source.recent_extra
    target.recent_channel[:] = source.recent_channel
    target.counters[:] = source.counters
    target.claim[:] = source.claim


@compiled
def note(log: Log, customer: int, time_s: int, kind: int, event: Event, cents: int, propensity: float) -> None:
    """Writes an event down if its time lies in the log's span; counts it even where there is no room."""
    if time_s < log.span[0] or time_s >= log.span[1]:
        return
    at = log.length[0]
    log.length[0] += 1
    if at >= len(log.time_s):
        return
    log.customer[at] = customer
    log.time_s[at] = time_s
    log.kind[at] = kind
    log.channel[at] = event.channel
    log.campaign[at] = event.campaign
    log.send[at] = event.send
    log.cents[at] = cents
    log.propensity[at] = propensity


@compiled
def pressure_at(state: State, time_s: int) -> float:
    """Pressure of the contacts so far."""
    return faded(state.pressure[0], time_s - state.pressure[1])


@compiled
def consent_open(granted_from_s: int, closed_from_s: int, reopened_s: int, time_s: int) -> bool:
    """Whether the latest word of consent before `time_s` is a grant."""
    return time_s > granted_from_s and not closed_from_s < time_s <= reopened_s


@compiled
def see_answers(state: State, time_s: int) -> None:
    """Lets the sender see the answers that have come before `time_s`."""
    kept = 0
    for k in range(state.counters[PENDED]):
        if state.pending_s[k] < time_s:
            state.engaged[state.pending_channel[k]] += 1.0
        else:
            state.pending_s[kept] = state.pending_s[k]
            state.pending_channel[kept] = state.pending_channel[k]
            kept += 1
    state.counters[PENDED] = kept


@compiled
def expect_answer(state: State, time_s: int, channel: int) -> None:
    """An answer is under way to the sender."""
    k = state.counters[PENDED]
    if k < PENDING:
        state.pending_s[k] = time_s
        state.pending_channel[k] = channel
        state.counters[PENDED] = k + 1


@compiled
def turn_day(calm: Floats, next_calm: Floats, day: int) -> None:
    """Contacts of the day before begin to annoy today, those of eight days before no longer do."""
    calm[day % 7] = next_calm[0]
    next_calm[0] = 1.0


@compiled
def calm_on(calm: Floats, today: int, ahead: int) -> float:
    """Share of own purchases left over `ahead` days after `today` by the contacts up to the day before `today`."""
    left = 1.0
    for first in range(today + ahead - 6, today + 1):
        left *= calm[(first + 7) % 7]
    return left


@compiled
def mood_epoch(n_epochs: int, days: int, day: int) -> int:
    """Index of a day's mood; the stretches end with the horizon, so that one covers it whole."""
    return n_epochs - 1 - (days + 6 - day) // MOOD_DAYS
