"""The compiled loops of rounding: one customer's turn, in every state it may be in; orders nobody.

A state is what of a customer's options is open to the plan: which campaigns it neither is held out of nor explores in.
At its turn a customer is answered in all states at once, from what is left of the limits; only the answer in its
actual state uses anything. Whether a turn settles the customer is decided by state 0, in which all is open: so neither
the time of its turn nor what it is answered there depends on the customer's own draw.
"""

from collections.abc import Callable
from typing import NamedTuple

import numba
import numpy as np
import numpy.typing as npt

from serving.demand import reduce_row
from serving.sets import Actions, Counts, Floats, Rules, Scratch, Segments, best_set

REFILL = -np.inf


class Ledger(NamedTuple):
    """What is left of the limits; the loops write into room and need.

    offsets, members: the limits of each cell (`LimitTable.members`). money: (l,). room: (l,) contacts or EUR; inf of a
    minimum. need: (l,) contacts. place: (l,) of each limit of EUR among those, as rows of what is held back.
    """

    offsets: Counts
    members: Counts
    money: npt.NDArray[np.bool_]
    room: Floats
    need: Floats
    place: Counts


class Asked(NamedTuple):
    """Who is asked at which prices: offers and tolls as in `serving.demand`, without what minimums pay.

    subsidy: (S, k) EUR a contact that minimums pay, while they are not met.
    states: (Q, campaigns) what is open in each, the first all. actual: (n,) the state of each customer, -1 takes
    nothing. action: (n, Q, m) what each is answered.
    """

    gain: Floats
    cost: Floats
    segment: Segments
    rate: Floats
    toll: Floats
    subsidy: Floats
    rules: Rules
    states: npt.NDArray[np.bool_]
    actual: npt.NDArray[np.int8]
    action: npt.NDArray[np.int16]


def _is_open(ledger: Ledger, cell: int, cost: float, held: Floats, at: int) -> bool:
    """Whether the limits of a cell have room for a contact; `held` EUR of each limit of EUR are not for this one."""
    for index in range(ledger.offsets[cell], ledger.offsets[cell + 1]):
        limit = ledger.members[index]
        if ledger.money[limit]:
            if cost > ledger.room[limit] - held[ledger.place[limit], at]:
                return False
        elif ledger.room[limit] < 1.0:
            return False
    return True


def _is_needed(ledger: Ledger, cell: int) -> bool:
    for index in range(ledger.offsets[cell], ledger.offsets[cell + 1]):
        if ledger.need[ledger.members[index]] > 0.0:
            return True
    return False


def _take(ledger: Ledger, cell: int, cost: float) -> None:
    for index in range(ledger.offsets[cell], ledger.offsets[cell + 1]):
        limit = ledger.members[index]
        ledger.room[limit] -= cost if ledger.money[limit] else 1.0
        if ledger.need[limit] > 0.0:
            ledger.need[limit] -= 1.0


is_open: Callable[..., bool] = numba.njit(nogil=True, cache=True, error_model="numpy")(_is_open)
is_needed: Callable[..., bool] = numba.njit(nogil=True, cache=True, error_model="numpy")(_is_needed)
take: Callable[..., None] = numba.njit(nogil=True, cache=True, error_model="numpy")(_take)


def _choose_one(
    asked: Asked, ledger: Ledger, row: int, state: int, forced: int, held: Floats, at: int, least: float
) -> int:
    """The open option with a net gain and the largest reduced gain above `least`; `forced` where the state has it."""
    k = asked.gain.shape[1]
    paid = row if asked.cost.shape[0] > 1 else 0
    part = asked.segment[row] if asked.segment.shape[0] > 1 else 0
    if forced >= 0 and asked.states[state, asked.rules.campaign[forced]]:
        return forced
    best = least
    choice = -1
    for option in range(k):
        if asked.gain[row, option] > 0.0:
            cost = asked.cost[paid, option]
            reduced = asked.gain[row, option] - asked.rate[part, option] * cost - asked.toll[part, option]
            if (
                reduced > best
                and asked.states[state, asked.rules.campaign[option]]
                and is_open(ledger, part * k + option, cost, held, at)
            ):
                best = reduced
                choice = option
    return choice


choose_one: Callable[..., int] = numba.njit(nogil=True, cache=True, error_model="numpy")(_choose_one)


def _choose_set(
    asked: Asked,
    ledger: Ledger,
    scratch: Scratch,
    row: int,
    state: int,
    forced: int,
    held: Floats,
    at: int,
    least: float,
) -> None:
    """As `_choose_one`, an allowed set with all gains positive, or one option on refill; to `scratch.picks`."""
    if least == REFILL:
        scratch.picks[:] = -1
        scratch.picks[0] = choose_one(asked, ledger, row, state, forced, held, at, least)
        return
    k = asked.gain.shape[1]
    paid = row if asked.cost.shape[0] > 1 else 0
    part = asked.segment[row] if asked.segment.shape[0] > 1 else 0
    reduce_row(asked.gain, asked.cost, asked.rate, asked.toll, row, paid, part, scratch)
    total = 1.0
    for option in range(k):
        here = asked.gain[row, option] > 0.0
        if asked.subsidy[part, option] > 0.0 and is_needed(ledger, part * k + option):
            scratch.reduced[option] += asked.subsidy[part, option]
            here = asked.gain[row, option] > -np.inf
        here = here and asked.states[state, asked.rules.campaign[option]]
        if here and is_open(ledger, part * k + option, asked.cost[paid, option], held, at):
            total += max(0.0, scratch.reduced[option])
        else:
            scratch.reduced[option] = -np.inf
    if forced >= 0 and asked.states[state, asked.rules.campaign[forced]]:
        # Worth more than all others together, so that it is in the best set.
        scratch.reduced[forced] = total + abs(scratch.gross[forced])
    best_set(asked.rules, asked.rules.contacts, scratch)
    if forced >= 0:
        for slot in range(1, asked.rules.contacts):
            if scratch.picks[slot] == forced:
                scratch.picks[slot] = scratch.picks[0]
                scratch.picks[0] = forced


choose_set: Callable[..., None] = numba.njit(nogil=True, cache=True, error_model="numpy")(_choose_set)


def _keep_what_fits(asked: Asked, ledger: Ledger, row: int, picks: Counts, held: Floats, at: int) -> None:
    """Drops what no longer fits once the contacts before it are taken; leaves the ledger as it was."""
    k = asked.gain.shape[1]
    paid = row if asked.cost.shape[0] > 1 else 0
    part = asked.segment[row] if asked.segment.shape[0] > 1 else 0
    room, need = ledger.room.copy(), ledger.need.copy()
    kept = 0
    for slot in range(len(picks)):
        option = picks[slot]
        if option < 0:
            break
        cost = asked.cost[paid, option]
        if kept == 0 or is_open(ledger, part * k + option, cost, held, at):
            take(ledger, part * k + option, cost)
            picks[kept] = option
            kept += 1
    picks[kept:] = -1
    ledger.room[:] = room
    ledger.need[:] = need


keep_what_fits: Callable[..., None] = numba.njit(nogil=True, cache=True, error_model="numpy")(_keep_what_fits)


def _settle(
    asked: Asked, ledger: Ledger, scratch: Scratch, row: int, forced: int, held: Floats, at: int, least: float
) -> None:
    """One customer's turn: answers in all states, then takes what the actual one was answered."""
    k = asked.gain.shape[1]
    contacts = asked.rules.contacts
    for state in range(asked.states.shape[0]):
        if contacts == 1:
            asked.action[row, state, 0] = choose_one(asked, ledger, row, state, forced, held, at, least)
        else:
            choose_set(asked, ledger, scratch, row, state, forced, held, at, least)
            keep_what_fits(asked, ledger, row, scratch.picks, held, at)
            for slot in range(contacts):
                asked.action[row, state, slot] = scratch.picks[slot]
        if state == 0 and asked.action[row, 0, 0] < 0:
            return
    state = asked.actual[row]
    if state >= 0:
        paid = row if asked.cost.shape[0] > 1 else 0
        part = asked.segment[row] if asked.segment.shape[0] > 1 else 0
        for slot in range(contacts):
            option = asked.action[row, state, slot]
            if option >= 0:
                take(ledger, part * k + option, asked.cost[paid, option])


settle: Callable[..., None] = numba.njit(nogil=True, cache=True, error_model="numpy")(_settle)


def _serve_minimums(
    rows: Counts, options: Actions, asked: Asked, ledger: Ledger, scratch: Scratch, reserve: Floats
) -> None:
    """Pairs in order: a pair that a minimum still needs, and that every limit has room for, settles its customer.

    `reserve` (limits of EUR, 1) is for minimums alone, not for other contacts that are chosen on the same turn.
    """
    k = asked.gain.shape[1]
    none = np.zeros_like(reserve)
    action, cost, segment, actual = asked.action, asked.cost, asked.segment, asked.actual
    plain = asked.rules.contacts == 1 and asked.states.shape[0] == 1
    for pair in range(len(rows)):
        row, option = rows[pair], options[pair]
        if action[row, 0, 0] >= 0:
            continue
        paid = row if cost.shape[0] > 1 else 0
        cell = (segment[row] if segment.shape[0] > 1 else 0) * k + option
        if is_needed(ledger, cell) and is_open(ledger, cell, cost[paid, option], none, 0):
            if not plain:
                settle(asked, ledger, scratch, row, option, reserve, 0, 0.0)
                continue
            action[row, 0, 0] = option
            if actual[row] == 0:
                take(ledger, cell, cost[paid, option])


def _serve_in_order(order: Counts, asked: Asked, ledger: Ledger, scratch: Scratch, held: Floats, least: float) -> None:
    """Customers without an answer take their best; `held` (limits of EUR, as `order` or one) is not for this turn."""
    each = 1 if held.shape[1] > 1 else 0
    k = asked.gain.shape[1]
    action, cost, segment, actual = asked.action, asked.cost, asked.segment, asked.actual
    plain = asked.rules.contacts == 1 and asked.states.shape[0] == 1
    for position in range(len(order)):
        row = order[position]
        if action[row, 0, 0] >= 0:
            continue
        if not plain:
            settle(asked, ledger, scratch, row, -1, held, position * each, least)
            continue
        option = choose_one(asked, ledger, row, 0, -1, held, position * each, least)
        if option >= 0:
            action[row, 0, 0] = option
            if actual[row] == 0:
                paid = row if cost.shape[0] > 1 else 0
                take(ledger, (segment[row] if segment.shape[0] > 1 else 0) * k + option, cost[paid, option])


def _best_open(asked: Asked, ledger: Ledger, held: Floats) -> Floats:
    """(n,) best reduced gain on an open option with a net gain; -inf where none, or where there is an answer."""
    n = len(asked.gain)
    result = np.full(n, -np.inf)
    for row in range(n):
        if asked.action[row, 0, 0] < 0:
            option = choose_one(asked, ledger, row, 0, -1, held, 0, -np.inf)
            if option >= 0:
                paid = row if asked.cost.shape[0] > 1 else 0
                part = asked.segment[row] if asked.segment.shape[0] > 1 else 0
                charged = asked.rate[part, option] * asked.cost[paid, option] + asked.toll[part, option]
                result[row] = asked.gain[row, option] - charged
    return result


serve_minimums: Callable[..., None] = numba.njit(nogil=True, cache=True, error_model="numpy")(_serve_minimums)
serve_in_order: Callable[..., None] = numba.njit(nogil=True, cache=True, error_model="numpy")(_serve_in_order)
best_open: Callable[..., Floats] = numba.njit(nogil=True, cache=True, error_model="numpy")(_best_open)
