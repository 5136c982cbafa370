"""Which contacts of one customer go together, and what a set of them is worth; knows no limit and no price.

The first contact of a campaign takes place at the campaign's moment, each further one of it `gap_hours` after the one
before. A set of contacts is allowed where no two are nearer than that and there are at most m. Contacts of different
campaigns add in value; the j-th most valuable contact of one campaign keeps share^(j−1) of its value. A loss is never
discounted. With one contact a customer all of this falls away.
"""

from collections.abc import Callable
from typing import NamedTuple

import numba
import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Counts = npt.NDArray[np.int64]
Actions = npt.NDArray[np.int16]
Segments = npt.NDArray[np.int32]

NO_CHANNEL = -1


class Rules(NamedTuple):
    """contacts: m. campaign: (k,) of each option. kept: (m,) share of its value that the j-th contact of a campaign
    keeps. moment: (campaigns,) hours, ascending. gap: hours.
    """

    contacts: int
    campaign: Counts
    kept: Floats
    moment: Floats
    gap: float


class Scratch(NamedTuple):
    """What the search for a set writes into: reduced, gross (k,) EUR are read; picks (m,) holds the best set."""

    reduced: Floats
    gross: Floats
    picks: Counts
    order: Counts
    stack: Counts
    following: Counts
    partial: Floats
    counts: Counts


def single_contact(options: int) -> Rules:
    """One contact a customer."""
    return Rules(1, np.zeros(options, dtype=np.int64), np.ones(1), np.zeros(1), 0.0)


def several_contacts(contacts: int, campaign: Counts, moment: Floats, gap_hours: float, share: float) -> Rules:
    """At most `contacts` a customer; `moment` (campaigns,) hours, ascending; `share` as in the head of this module."""
    kept = share ** np.arange(contacts, dtype=np.float64)
    return Rules(contacts, campaign.astype(np.int64), kept, moment.astype(np.float64), float(gap_hours))


def scratch_of(rules: Rules) -> Scratch:
    """Room for the search."""
    k, m = len(rules.campaign), rules.contacts
    return Scratch(
        np.zeros(k),
        np.zeros(k),
        np.full(m, NO_CHANNEL, dtype=np.int64),
        np.zeros(k, dtype=np.int64),
        np.zeros(m, dtype=np.int64),
        np.zeros(m + 1, dtype=np.int64),
        np.zeros(m + 1),
        np.zeros(len(rules.moment), dtype=np.int64),
    )


def _fits(rules: Rules, counts: Counts) -> bool:
    """Whether so many contacts of each campaign leave the gap between any two."""
    ready = -np.inf
    for campaign in range(len(counts)):
        if counts[campaign] > 0:
            if rules.moment[campaign] < ready:
                return False
            ready = rules.moment[campaign] + counts[campaign] * rules.gap
    return True


def _sort_candidates(scratch: Scratch, least: float) -> int:
    """Options with a reduced gain above `least`, by gross gain, largest first; returns how many."""
    found = 0
    for option in range(len(scratch.reduced)):
        if scratch.reduced[option] > least:
            place = found
            while place > 0 and scratch.gross[scratch.order[place - 1]] < scratch.gross[option]:
                scratch.order[place] = scratch.order[place - 1]
                place -= 1
            scratch.order[place] = option
            found += 1
    return found


fits: Callable[..., bool] = numba.njit(nogil=True, cache=True, error_model="numpy")(_fits)
sort_candidates: Callable[..., int] = numba.njit(nogil=True, cache=True, error_model="numpy")(_sort_candidates)


def _best_set(rules: Rules, contacts: int, scratch: Scratch) -> float:
    """The largest sum of reduced gains of an allowed set of at most `contacts`; the set goes to `scratch.picks`.

    An option whose reduced gain is not positive is in no best set. Candidates come by gross gain, so that the place in
    its campaign that an option is given when it joins is the one that pays it best.
    """
    scratch.picks[:] = -1
    scratch.counts[:] = 0
    candidates = sort_candidates(scratch, 0.0)
    best = 0.0
    depth = 0
    scratch.following[0] = 0
    scratch.partial[0] = 0.0
    while depth >= 0:
        at = scratch.following[depth]
        if depth == contacts or at == candidates:
            depth -= 1
            if depth >= 0:
                scratch.counts[rules.campaign[scratch.stack[depth]]] -= 1
            continue
        scratch.following[depth] = at + 1
        option = scratch.order[at]
        campaign = rules.campaign[option]
        scratch.counts[campaign] += 1
        if not fits(rules, scratch.counts):
            scratch.counts[campaign] -= 1
            continue
        lost = (1.0 - rules.kept[scratch.counts[campaign] - 1]) * max(scratch.gross[option], 0.0)
        value = scratch.partial[depth] + scratch.reduced[option] - lost
        scratch.stack[depth] = option
        if value > best:
            best = value
            scratch.picks[: depth + 1] = scratch.stack[: depth + 1]
            scratch.picks[depth + 1 :] = -1
        depth += 1
        scratch.partial[depth] = value
        scratch.following[depth] = at + 1
    return best


def _gross_gain(rules: Rules, picks: npt.NDArray[np.signedinteger], gross: Floats) -> float:
    """EUR that a set brings before its cost; each contact counts by its place in its campaign."""
    total = 0.0
    for slot in range(len(picks)):
        option = picks[slot]
        if option < 0:
            continue
        before = 0
        for other in range(len(picks)):
            rival = picks[other]
            if rival >= 0 and other != slot and rules.campaign[rival] == rules.campaign[option]:
                ahead = gross[rival] > gross[option] or (gross[rival] == gross[option] and other < slot)
                before += 1 if ahead else 0
        kept = rules.kept[before] if gross[option] > 0.0 else 1.0
        total += kept * gross[option]
    return total


best_set: Callable[..., float] = numba.njit(nogil=True, cache=True, error_model="numpy")(_best_set)
gross_gain: Callable[..., float] = numba.njit(nogil=True, cache=True, error_model="numpy")(_gross_gain)
