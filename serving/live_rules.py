"""Who may be contacted on which channel this very moment: `serving.eligibility` for single requests, from memory.

The past of all customers is read once; what comes in later is laid over it customer by customer, so an objection closes
its channel with the next answer. A decision made here counts as a planned contact until its send comes in, or for so
long as it is expected to. Every answer is the one that `Eligibility` gives over the same tables, read anew at that
moment, with the same contacts planned.
"""

import re
from bisect import bisect_left
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final, NamedTuple

import duckdb
import numpy as np
import numpy.typing as npt
import pyarrow as pa

from contract.contact_rules import zone_of
from contract.params import Params
from features.event_store import Interaction
from serving.contact_state import NEVER, Bits, Contacts, ContactState
from serving.dossiers import Dossiers, Row, read_dossiers
from serving.gathering import Gatherer
from serving.judging import Campaign, Judgement, Policy, judge, policy_of
from serving.overlay import Expected, HeldOverlay, Overlay, Reading, Told
from serving.quiet import DAY_US, QuietClock
from serving.rulebook import (
    COMPLAINED,
    NO_ADDRESS,
    NO_CONSENT,
    UNDELIVERABLE,
    UNSUBSCRIBED,
    WITHDRAWN,
    RuleBook,
    rulebook,
)
from serving.scores import Access
from serving.suppression import SUPPRESSED, read_lists

HOUR_US: Final = DAY_US // 24
Events = Sequence[Interaction]


class Contact(NamedTuple):
    """One sent or planned contact, as `Contacts` has it."""

    time_us: int
    channel: int
    counted: bool
    excludes: int


@dataclass(frozen=True)
class Lasting:
    """What no event changes, of n customers: standing (n, k) bits of lists and addresses, zone (n,) index into zones,
    others: id → the person's other ids.
    """

    standing: Bits
    zone: npt.NDArray[np.int16]
    zones: tuple[str, ...]
    others: Mapping[str, tuple[str, ...]]


class LiveRules:
    """The rules for single customers at any moment from the start on; knows what it was told since."""

    def __init__(
        self,
        connection: duckdb.DuckDBPyConnection,
        params: Params,
        ids: Sequence[str],
        transactional: frozenset[str],
        now_us: int,
        overlay: Overlay | None = None,
    ) -> None:
        """Reads the past.

        Args:
            connection: holds the views of an intake.
            params: channels, kinds and the sections eligibility and serving.
            ids: (n,) all customers, ascending.
            transactional: ids of campaigns of that type.
            now_us: the present, microseconds since 1970 UTC; no earlier moment is asked for.
            overlay: what comes in from here on; by default what this object is told.

        Raises:
            DataError: a suppression list cannot be read, or customers lack a column that the rules name.
        """
        self._params, self.book = params, rulebook(params.eligibility)
        self._transactional = transactional
        self._wait_us = round(params.serving.planned_hours * HOUR_US)
        self._reading = Reading(params)
        self._words, self.overlay = self._reading.words, overlay or HeldOverlay(params)
        self._ids, self._lasting = _lasting(connection, params, self.book, ids, now_us)
        self._base: Dossiers = read_dossiers(connection, self._ids, params, self._words, now_us)
        self._needs = [params.channels[name].consent for name in params.outbound]
        self._bits = {name: 1 << self.book.bit(name) for name in (NO_CONSENT, WITHDRAWN, UNSUBSCRIBED, COMPLAINED)}
        self._exclusions = [_pattern(each.after) for each in params.eligibility.exclusions.values()]
        self._refuses = [_pattern(each.refuse) for each in params.eligibility.exclusions.values()]
        self._traits: dict[str | None, tuple[bool, int]] = {}
        self._policies: dict[Campaign, Policy] = {}
        self._quiet: QuietClock | None = None
        self._quiet_day = -1
        self._unknown = self._of_nobody()
        rules = params.eligibility
        self._timeless = not (
            rules.windows or rules.quiet or rules.cooling_off or rules.exclusions or rules.min_relation_days
        )
        self._reasons = tuple(rule.reason for rule in self.book.rules)

    @property
    def kinds(self) -> tuple[str, ...] | None:
        """Kinds of events that must be told; None for all."""
        return None if self._params.eligibility.min_relation_days else self._words.wanted

    def take(self, event: Interaction) -> None:
        """An event came in that was not known before."""
        self.overlay.take(event)

    def expect(
        self, customer_id: str, campaign_id: str, channel: str | None, moment_us: int, made_at_us: int
    ) -> Expected | None:
        """A decision was made; it stands in place of an earlier one about customer and campaign, which is returned."""
        return self.overlay.expect(customer_id, campaign_id, channel, moment_us, made_at_us)

    def settle(self, customer_id: str, campaign_id: str, earlier: Expected | None, *, kept: bool) -> None:
        """The decision expected last survives from here on, or was not kept: then the earlier one stands again."""
        self.overlay.settle(customer_id, campaign_id, earlier, kept=kept)

    def forget(self, customer_id: str) -> None:
        """Know nothing of the customer any more but what a suppression list says."""
        self.overlay.forget(customer_id)

    def told(self, customer_ids: Sequence[str]) -> Mapping[str, Told]:
        """What came in of customers, and of the other ids of the same persons."""
        others = self._lasting.others
        return self.overlay.of(
            list(dict.fromkeys(one for each in customer_ids for one in (each, *others.get(each, ()))))
            if others
            else customer_ids
        )

    def access(
        self, customer_ids: Sequence[str], as_of_us: int, campaign_id: str | None, since: "Since | None" = None
    ) -> Access:
        """Eligibility and reason (None where eligible) of n customers on the k outbound channels, as `judged` says."""
        return self.shown(self.judged(customer_ids, as_of_us, campaign_id, since))

    def shown(self, judged: Judgement) -> Access:
        """A judgement in words: of the rules that refuse, the first."""
        first = [[(bits & -bits).bit_length() - 1 for bits in row] for row in judged.refused.tolist()]
        return Access(judged.refused == 0, self._reasons, np.array(first, dtype=np.int64))

    def judged(
        self, customer_ids: Sequence[str], as_of_us: int, campaign_id: str | None, since: "Since | None" = None
    ) -> Judgement:
        """Every rule that refuses n customers on the k outbound channels, and from when none does.

        Args:
            customer_ids: whom.
            as_of_us: the moment; only what happened before it counts.
            campaign_id: what is to be sent. Contacts planned for it do not count: a decision made now replaces those.
            since: what came in; by default what is `told` now.
        """
        told, fresh = since or Since(self.told(customer_ids))
        moment = _Moment(told, as_of_us, campaign_id)
        events = fresh or [()] * len(customer_ids)
        known = [self._one(*each, moment) for each in zip(customer_ids, events, strict=True)]
        if self._timeless:
            standing = np.array([each.standing for each in known], dtype=np.uint64)
            return Judgement(standing, np.where(standing != 0, NEVER, as_of_us))
        return judge(self._policy(campaign_id, as_of_us), self._state(known))

    def _state(self, known: "list[_Known]") -> ContactState:
        n = len(known)
        contacts = [contact for each in known for contact in each.contacts]
        counts = [len(each.contacts) for each in known]
        time, channel, counted, excludes = zip(*contacts, strict=True) if contacts else ((), (), (), ())
        coolings = len(self._params.eligibility.cooling_off)
        return ContactState(
            standing=np.array([each.standing for each in known], dtype=np.uint64).reshape(n, -1),
            contacts=Contacts(
                np.concatenate([[0], np.cumsum(counts)]).astype(np.int64),
                np.array(time, dtype=np.int64),
                np.array(channel, dtype=np.int8),
                np.array(counted, dtype=np.bool_),
                np.array(excludes, dtype=np.uint64),
            ),
            cooled_us=np.array([each.cooled_us for each in known], dtype=np.int64).reshape(n, coolings),
            since_us=np.array([each.since_us for each in known], dtype=np.int64),
            zone=np.array([each.zone for each in known], dtype=np.int16),
        )

    def _one(self, customer_id: str, fresh: Events, moment: "_Moment") -> "_Known":
        told, as_of_us = moment.told, moment.as_of_us
        number, gone = self._number(customer_id), told[customer_id].gone
        lasting = self._lasting
        standing = self._unknown.copy() if number is None else lasting.standing[number].tolist()
        if gone:
            standing = [held | unknown for held, unknown in zip(standing, self._unknown, strict=True)]
        zone = 0 if number is None or gone else int(lasting.zone[number])
        known = _Known(standing, zone, len(self._params.eligibility.cooling_off))
        others = () if gone else lasting.others.get(customer_id, ())
        signups, firsts = [], []
        for member in (customer_id, *others):
            at, came = number if member == customer_id else self._number(member), told[member]
            rows = [*([] if at is None or came.gone else self._base.rows(at)), *came.rows]
            if fresh and member == customer_id:
                rows += [row for row in map(self._reading.row, fresh) if row is not None]
                firsts += [each.occurred_at_us for each in fresh]
            self._add(known, rows, as_of_us, own=member == customer_id)
            if self._timeless:
                continue
            self._add_expected(known, came.expected, rows, moment)
            if at is not None and not came.gone:
                signups.append(int(self._base.signup_us[at]))
                firsts.append(int(self._base.first_us[at]))
            firsts.append(came.first_us)
        known.since_us = _begin(signups, firsts, as_of_us)
        known.contacts.sort()
        return known

    def _add(self, known: "_Known", rows: list[Row], as_of_us: int, *, own: bool) -> None:
        """What one id of the person says before as-of."""
        k, meanings = len(self._needs), self._words.meanings
        last = [-1] * (4 * k)
        bounced: list[tuple[int, int]] = []
        arrived: dict[int, int] = {}
        for row in rows:
            if row.time_us >= as_of_us:
                continue
            meaning, channel = meanings[row.kind], row.channel
            if meaning.says >= 0 and channel >= 0:
                at = meaning.says * k + channel
                last[at] = max(last[at], row.time_us)
            if meaning.sent:
                known.send(row.time_us, channel, *self._traits_of(row.campaign_id))
            if meaning.bounce and own:
                bounced.append((channel, row.time_us))
            if meaning.arrived and own:
                arrived[channel] = max(arrived.get(channel, -1), row.time_us)
            for place in meaning.coolings:
                known.cooled_us[place] = max(known.cooled_us[place], row.time_us)
        self._add_consents(known.standing, last, own=own)
        for channel, most in self._words.bounces.items() if bounced else ():
            if sum(at == channel and time >= arrived.get(channel, -1) for at, time in bounced) >= most:
                known.standing[channel] |= 1 << self.book.bit(UNDELIVERABLE)

    def _add_consents(self, standing: list[int], last: list[int], *, own: bool) -> None:
        """Bits of the rules of consent; of another id of the person what it objects to."""
        k, bits = len(self._needs), self._bits
        for channel, needs in enumerate(self._needs):
            granted, withdrawn, unsubscribed, complained = last[channel::k]
            found = bits[NO_CONSENT] if own and needs and granted < 0 and withdrawn < 0 else 0
            if withdrawn >= 0 and withdrawn >= granted:
                found |= bits[WITHDRAWN]
            if unsubscribed >= 0 and unsubscribed >= granted:
                found |= bits[UNSUBSCRIBED]
            if complained >= 0 and complained >= granted:
                found |= bits[COMPLAINED]
            standing[channel] |= found

    def _add_expected(
        self, known: "_Known", expected: Mapping[str, Expected], rows: list[Row], moment: "_Moment"
    ) -> None:
        """Contacts decided and not sent, as `serving.planned` counts those of a plan."""
        as_of_us = moment.as_of_us
        for name, each in expected.items():
            if name == moment.campaign_id or as_of_us - each.made_at_us > self._wait_us:
                continue
            answers = (
                row.campaign_id == name and row.channel == each.channel and each.made_at_us <= row.time_us < as_of_us
                and self._words.meanings[row.kind].sent for row in rows
            )  # fmt: skip
            if not any(answers):
                known.send(max(each.moment_us, as_of_us), each.channel, *self._traits_of(name))

    def _traits_of(self, campaign_id: str | None) -> tuple[bool, int]:
        """Whether windows count a contact of the campaign, and the exclusions that it begins, as bits."""
        found = self._traits.get(campaign_id)
        if found is None:
            exempt = self._params.eligibility.transactional == "exempt" and campaign_id in self._transactional
            begun = (bool(campaign_id) and each.fullmatch(campaign_id or "") for each in self._exclusions)
            found = not exempt, sum(1 << place for place, holds in enumerate(begun) if holds)
            self._traits[campaign_id] = found
        return found

    def _policy(self, campaign_id: str | None, as_of_us: int) -> Policy:
        campaign = Campaign(
            self._traits_of(campaign_id)[0],
            tuple(campaign_id is not None and bool(each.fullmatch(campaign_id)) for each in self._refuses),
        )
        day = as_of_us // DAY_US
        if self._quiet is None or day != self._quiet_day:
            zones = [zone_of(name) for name in self._lasting.zones]
            self._quiet = QuietClock(self._params.eligibility.quiet, self._params.outbound, zones, day * DAY_US)
            self._quiet_day = day
            self._policies.clear()
        policy = self._policies.get(campaign)
        if policy is None:
            policy = policy_of(self._params, self.book, as_of_us, campaign, self._quiet)
            self._policies[campaign] = policy
        return replace(policy, as_of_us=as_of_us)

    def _number(self, customer_id: str) -> int | None:
        at = bisect_left(self._ids, customer_id)
        return at if at < len(self._ids) and self._ids[at] == customer_id else None

    def _of_nobody(self) -> list[int]:
        """Standing bits of somebody who is in no table and on no list."""
        reachable = self._params.eligibility.reachable
        return [
            1 << self.book.bit(NO_ADDRESS) if name in reachable and reachable[name].address is not None else 0
            for name in self._params.outbound
        ]


class Since(NamedTuple):
    """What came in since the past was read: told of each id, and (n,) events of each customer that count for one answer
    only, none where empty.
    """

    told: Mapping[str, Told]
    fresh: Sequence[Events] = ()


class _Moment(NamedTuple):
    """What is asked of one customer after the other."""

    told: Mapping[str, Told]
    as_of_us: int
    campaign_id: str | None


class _Known:
    """The state of one customer while it is put together."""

    __slots__ = ("contacts", "cooled_us", "since_us", "standing", "zone")

    def __init__(self, standing: list[int], zone: int, coolings: int) -> None:
        self.standing, self.zone = standing, zone
        self.contacts: list[Contact] = []
        self.cooled_us = [-NEVER] * coolings
        self.since_us = NEVER

    def send(self, time_us: int, channel: int, counted: bool, excludes: int) -> None:
        """One more contact, where any rule over time counts it."""
        if counted or excludes:
            self.contacts.append(Contact(time_us, channel, counted, excludes))


def _begin(signups: Sequence[int], firsts: Sequence[int], as_of_us: int) -> int:
    """Begin of a relation: the first signup before as-of, else the first interaction; NEVER where unknown."""
    for moments in (signups, firsts):
        before = [each for each in moments if 0 <= each < as_of_us]
        if before:
            return min(before)
    return NEVER


def _pattern(patterns: Sequence[str]) -> re.Pattern[str]:
    """Matches what one of the patterns does, in which * stands for any letters."""
    each = (".*".join(map(re.escape, pattern.split("*"))) for pattern in patterns)
    return re.compile("|".join(f"(?:{one})" for one in each), re.DOTALL)


def _lasting(
    connection: duckdb.DuckDBPyConnection, params: Params, book: RuleBook, ids: Sequence[str], now_us: int
) -> tuple[list[str], Lasting]:
    """What no event changes, and of whom: customers, and whoever else is on a list; ascending."""
    rules = params.eligibility
    if not (rules.suppression or rules.customer_columns):
        k = len(params.outbound)
        standing = np.zeros((len(ids), k), dtype=np.uint64)
        return list(ids), Lasting(standing, np.zeros(len(ids), dtype=np.int16), (rules.zone,), {})
    named = set(ids)
    if rules.suppression:
        read_lists(connection, params)
        named |= {each for (each,) in connection.sql(f"SELECT customer_id FROM {SUPPRESSED}").fetchall()}  # noqa: S608
    everybody = sorted(named)
    gathered = Gatherer(connection, params, book, now_us, plans=False, sends_since_us=None).gather(
        pa.array(everybody, pa.string())
    )
    lasting = [each.name for each in book.rules if each.name.startswith("suppression.") or each.name == NO_ADDRESS]
    mask = np.uint64(sum(1 << book.bit(name) for name in lasting))
    return everybody, Lasting(
        gathered.state.standing & mask, gathered.state.zone, gathered.zones, _others(everybody, gathered.person)
    )


def _others(ids: Sequence[str], person: npt.NDArray[np.int64]) -> dict[str, tuple[str, ...]]:
    members: dict[int, list[str]] = defaultdict(list)
    for at in np.flatnonzero(person >= 0).tolist():
        members[int(person[at])].append(ids[at])
    return {one: tuple(other for other in each if other != one) for each in members.values() for one in each}
