"""Judges customers by the rules over time and says from when each channel is open; reads no data.

Every rule over time is a set of open intervals of moments at which a contact may not go out. A window of m contacts in
D closes (l − D, f + D) for each run of m contacts from f to l that lie within D: one more there would make m + 1 less
than D apart, whether before, between or after them, so planned contacts count as sent ones do. The other rules
close all moments before one. The earliest moment is the first that no interval and no quiet time holds.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from contract.params import Params
from serving.contact_state import NEVER, Bits, Contacts, ContactState, Moments
from serving.quiet import DAY_US, FARTHEST_DAYS, QuietClock
from serving.rulebook import RELATION, SENDING, RuleBook

HOUR_US: Final = DAY_US // 24
Columns = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Scope:
    """One rule over time: its bit, its length in microseconds, the channels that it holds for."""

    bit: int
    length_us: int
    columns: Columns


@dataclass(frozen=True)
class WindowScope(Scope):
    """A window: so many contacts at most; over_all: contacts on channels that are not outbound count too."""

    contacts: int
    over_all: bool


@dataclass(frozen=True)
class Campaign:
    """What the rules need to know of the campaign: whether windows hold for it, and which exclusions refuse it."""

    in_windows: bool
    excluded: tuple[bool, ...]


@dataclass(frozen=True)
class Policy:
    """The rules over time at one as-of, ready to judge; coolings pair with the state's, exclusions with its bits."""

    as_of_us: int
    quiet: QuietClock
    windows: tuple[WindowScope, ...]
    coolings: tuple[Scope, ...]
    exclusions: tuple[tuple[int, Scope], ...]
    relation: Scope | None
    sending: Scope | None


@dataclass(frozen=True)
class Judgement:
    """(n, k) which rules refuse, as bits, and the first moment at which none does, NEVER where none is in sight."""

    refused: Bits
    earliest_us: Moments


@dataclass(frozen=True)
class _Closed:
    """Open intervals (start, end) of moments, (n, m), per customer disjoint and ascending, for some channels."""

    bit: int
    columns: Columns
    start: Moments
    end: Moments

    def holds(self, moment_us: Moments) -> npt.NDArray[np.bool_]:
        """(n, c) whether a moment (n, c) lies in one."""
        result = np.zeros(moment_us.shape, dtype=np.bool_)
        for start, end in zip(self.start.T, self.end.T, strict=True):
            result |= (start[:, None] < moment_us) & (moment_us < end[:, None])
        return result

    def after(self, moment_us: Moments) -> Moments:
        """(n, c) the first moments from (n, c) on that lie in none."""
        for start, end in zip(self.start.T, self.end.T, strict=True):
            inside = (start[:, None] < moment_us) & (moment_us < end[:, None])
            moment_us = np.where(inside, end[:, None], moment_us)
        return moment_us


def policy_of(params: Params, book: RuleBook, as_of_us: int, campaign: Campaign, quiet: QuietClock) -> Policy:
    """The declared rules over time, as they hold for a campaign."""
    declared = params.eligibility

    def columns(names: Sequence[str]) -> Columns:
        return np.array([at for at, name in enumerate(params.outbound) if not names or name in names], dtype=np.int64)

    every = columns(())
    windows = tuple(
        WindowScope(book.bit(f"windows.{name}"), _us(each.length_days), columns(each.channels), each.contacts,
                    not each.channels)
        for name, each in declared.windows.items()
    )  # fmt: skip
    coolings = tuple(
        Scope(book.bit(f"cooling_off.{name}"), _us(each.days), columns(each.channels))
        for name, each in declared.cooling_off.items()
    )
    exclusions = tuple(
        (place, Scope(book.bit(f"exclusions.{name}"), _us(each.days), every))
        for place, (name, each) in enumerate(declared.exclusions.items())
        if campaign.excluded[place]
    )
    days, hours = declared.min_relation_days, declared.sending_hours
    return Policy(
        as_of_us=as_of_us,
        quiet=quiet,
        windows=windows if campaign.in_windows else (),
        coolings=coolings,
        exclusions=exclusions,
        relation=Scope(book.bit(RELATION), _us(days), every) if days else None,
        sending=Scope(book.bit(SENDING), _us(hours / 24), every) if hours is not None and declared.quiet else None,
    )


def judge(policy: Policy, state: ContactState) -> Judgement:
    """Every rule that refuses each of n customers on k channels at the moment of sending, and the earliest moment.

    The moment of sending is as-of, or the end of quiet times at as-of.
    """
    asked = np.full(state.standing.shape, policy.as_of_us, dtype=np.int64)
    sending = policy.quiet.opens(asked, state.zone)
    refused = state.standing.astype(np.uint64)
    closed = _closed(policy, state)
    for each in closed:
        refused[:, each.columns] |= each.holds(sending[:, each.columns]).astype(np.uint64) << np.uint64(each.bit)
    if policy.sending is not None:
        late = sending > policy.as_of_us + policy.sending.length_us
        refused |= late.astype(np.uint64) << np.uint64(policy.sending.bit)
    stands = state.standing != 0
    rows = np.flatnonzero(((refused != 0) & ~stands).any(axis=1))
    earliest = sending
    if len(rows) and closed:
        picked = [_Closed(each.bit, each.columns, each.start[rows], each.end[rows]) for each in closed]
        earliest[rows] = _earliest(policy, picked, state.zone[rows], asked[rows])
    out_of_sight = earliest > policy.as_of_us + FARTHEST_DAYS * DAY_US
    return Judgement(refused, np.where(stands | out_of_sight, NEVER, earliest))


def _earliest(policy: Policy, closed: Sequence[_Closed], zone: npt.NDArray[np.int16], moment_us: Moments) -> Moments:
    """No rule lets a moment go back, so going round until none moves it on ends at the first that all allow."""
    while True:
        later = policy.quiet.opens(moment_us, zone)
        for each in closed:
            later[:, each.columns] = each.after(later[:, each.columns])
        if np.array_equal(later, moment_us):
            return later
        moment_us = later


def _closed(policy: Policy, state: ContactState) -> list[_Closed]:
    closed = [_windowed(scope, state.contacts, policy.as_of_us) for scope in policy.windows]
    for place, scope in enumerate(policy.coolings):
        closed.append(_until(scope, state.cooled_us[:, place] + scope.length_us))
    for place, scope in policy.exclusions:
        last = _latest(state.contacts, (state.contacts.excludes >> np.uint64(place)) & np.uint64(1) == 1)
        closed.append(_until(scope, last + scope.length_us))
    if policy.relation is not None:
        begins = state.since_us
        closed.append(_until(policy.relation, np.where(begins == NEVER, NEVER, begins + policy.relation.length_us)))
    return closed


def _until(scope: Scope, end: Moments) -> _Closed:
    return _Closed(scope.bit, scope.columns, np.full((len(end), 1), -NEVER), end[:, None])


def _latest(contacts: Contacts, chosen: npt.NDArray[np.bool_]) -> Moments:
    """(n,) the latest of the chosen contacts of each customer, -NEVER for none; they come by time."""
    result = np.full(len(contacts.offsets) - 1, -NEVER, dtype=np.int64)
    result[contacts.owner[chosen]] = contacts.time_us[chosen]
    return result


def _windowed(scope: WindowScope, contacts: Contacts, as_of_us: int) -> _Closed:
    """The moments that one more contact may not have, runs that overlap joined."""
    counts = contacts.counted & (np.isin(contacts.channel, scope.columns) | scope.over_all)
    owner, time = contacts.owner[counts], contacts.time_us[counts]
    ahead = scope.contacts - 1
    complete = max(len(time) - ahead, 0)
    first, last, whose = time[:complete], time[ahead:], owner[:complete]
    runs = (whose == owner[ahead:]) & (last - first < scope.length_us) & (first + scope.length_us > as_of_us)
    whose, start, end = whose[runs], last[runs] - scope.length_us, first[runs] + scope.length_us
    # Starts and ends both ascend within a customer, so an interval can only overlap the one before it.
    opens = np.ones(len(whose), dtype=np.bool_)
    opens[1:] = (whose[1:] != whose[:-1]) | (start[1:] >= end[:-1])
    closes = np.concatenate([opens[1:], [True]])[: len(opens)]
    return _Closed(
        scope.bit, scope.columns, *_dense(whose[opens], start[opens], end[closes], len(contacts.offsets) - 1)
    )


def _dense(whose: npt.NDArray[np.int64], start: Moments, end: Moments, n: int) -> tuple[Moments, Moments]:
    """(n, m) intervals of each customer, those that are missing empty."""
    count = np.bincount(whose, minlength=n)
    place = np.arange(len(whose)) - np.repeat(np.cumsum(count) - count, count)
    shape = (n, int(count.max(initial=0)))
    starts, ends = np.full(shape, NEVER), np.full(shape, NEVER)
    starts[whose, place], ends[whose, place] = start, end
    return starts, ends


def _us(days: float) -> int:
    """Days to the nearest microsecond."""
    return round(days * DAY_US)
