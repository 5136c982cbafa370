"""The rules of eligibility once more, in plain Python from their definitions: one customer, one channel, one moment.

A world is lists of plain rows; times are microseconds since 1970 UTC. Nothing here is shared with the package but the
parameters.
"""

from collections import defaultdict
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Any
from zoneinfo import ZoneInfo

DAY = 86_400_000_000
QUARTER = 900_000_000
YEAR = 366 * DAY
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
WEEKDAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")


@dataclass
class World:
    """customers: id → {column: value}; consents: (id, channel, time, granted); interactions: (id, channel, time, kind,
    campaign); planned: (id, channel, campaign, moment, plan's time); lists: name → {(id, channel or None)}.
    """

    as_of: int
    customers: dict[str, Any] = field(default_factory=dict)
    consents: list[Any] = field(default_factory=list)
    interactions: list[Any] = field(default_factory=list)
    planned: list[Any] = field(default_factory=list)
    lists: dict[str, Any] = field(default_factory=dict)
    transactional: frozenset[str] = frozenset()


class Reference:
    def __init__(self, world, params, campaign):
        self.world, self.params, self.rules, self.campaign = world, params, params.eligibility, campaign
        self.known = [row for row in world.interactions if row[2] < world.as_of]

    def ids(self, customer):
        """Every id of the person."""
        column = self.rules.person_column
        person = self.world.customers.get(customer, {}).get(column) if column else None
        if not person:
            return {customer}
        return {other for other, row in self.world.customers.items() if row.get(column) == person}

    def refused(self, customer, channel):
        """Names of the rules that refuse at the moment of sending, but for that of one id a person."""
        return self.standing(customer, channel) | self.over_time(
            customer, channel, self.opens(customer, channel, self.world.as_of), sending=True
        )

    def standing(self, customer, channel):
        own = self.consent(customer, channel)
        for other in self.ids(customer) - {customer}:
            own |= self.consent(other, channel) - {"no_consent"}
        for name, each in self.rules.suppression.items():
            pairs = {(one, where) for one in self.ids(customer) for where in (channel, None)}
            if (not each.channels or channel in each.channels) and pairs & self.world.lists[name]:
                own.add(f"suppression.{name}")
        reach = self.rules.reachable.get(channel)
        row = self.world.customers.get(customer, {})
        if reach is not None and reach.address is not None and not row.get(reach.address):
            own.add("no_address")
        if reach is not None and reach.bounces is not None and self.bounces(customer, channel) >= reach.bounces:
            own.add("undeliverable")
        return own

    def consent(self, customer, channel):
        rows = [row for row in self.world.consents if row[:2] == (customer, channel) and row[2] < self.world.as_of]
        grants = [time for *_, time, granted in rows if granted]
        objections = {"consent_withdrawn": [time for *_, time, granted in rows if not granted]}
        mine = [row for row in self.known if row[:2] == (customer, channel)]
        for kind in ("unsubscribed", "complained"):
            objections[kind] = [row[2] for row in mine if row[3] == kind]
        refusing = {name for name, times in objections.items() if times and max(times) >= max(grants, default=0)}
        if self.params.channels[channel].consent and not rows:
            refusing.add("no_consent")
        return refusing

    def bounces(self, customer, channel):
        mine = [row for row in self.known if row[:2] == (customer, channel)]
        arrived = [row[2] for row in mine if row[3] in {"delivered", "opened", "clicked", "replied"}]
        return sum(row[3] in self.rules.bounce_kinds and row[2] >= max(arrived, default=0) for row in mine)

    def contacts(self, customer):
        """(time, channel, campaign) of everything sent or planned."""
        ids = self.ids(customer)
        sent = [row for row in self.known if row[0] in ids and row[3] == "sent"]
        found = [(row[2], row[1], row[4]) for row in sent]
        for one, channel, campaign, moment, plan in self.world.planned:
            done = any(row[:2] == (one, channel) and row[4] == campaign and row[2] >= plan for row in sent)
            if one in ids and not done:
                found.append((max(moment, self.world.as_of), channel, campaign))
        return found

    def over_time(self, customer, channel, moment, sending=False):
        """Names of the rules over time that close the moment."""
        return {
            *self.windows(customer, channel, moment),
            *(["sending_hours"] if sending and self.too_late(moment) else []),
            *self.coolings(customer, channel, moment),
            *self.exclusions(customer, moment),
            *self.relation(customer, moment),
        }

    def too_late(self, moment):
        hours = self.rules.sending_hours
        return hours is not None and bool(self.rules.quiet) and moment > self.world.as_of + hours * DAY / 24

    def windows(self, customer, channel, moment):
        exempt = self.rules.transactional == "exempt"
        if exempt and self.campaign in self.world.transactional:
            return
        for name, each in self.rules.windows.items():
            if each.channels and channel not in each.channels:
                continue
            length = each.length_days * DAY
            counted = [
                time
                for time, where, campaign in self.contacts(customer)
                if (not each.channels or where in each.channels)
                and not (exempt and campaign in self.world.transactional)
            ]
            every = [*counted, moment]
            for end in every:
                held = [time for time in every if end - length < time <= end]
                if end - length < moment <= end and len(held) > each.contacts:
                    yield f"windows.{name}"
                    break

    def coolings(self, customer, channel, moment):
        ids = self.ids(customer)
        for name, each in self.rules.cooling_off.items():
            times = [row[2] for row in self.known if row[0] in ids and row[3] in each.kinds]
            if (not each.channels or channel in each.channels) and any(moment < t + each.days * DAY for t in times):
                yield f"cooling_off.{name}"

    def exclusions(self, customer, moment):
        for name, each in self.rules.exclusions.items():
            if not any(like(self.campaign, pattern) for pattern in each.refuse):
                continue
            times = [t for t, _, campaign in self.contacts(customer) if any(like(campaign, p) for p in each.after)]
            if any(moment < time + each.days * DAY for time in times):
                yield f"exclusions.{name}"

    def relation(self, customer, moment):
        if not self.rules.min_relation_days:
            return
        ids = self.ids(customer)
        signed = [self.world.customers.get(one, {}).get("signup_at") for one in ids]
        signed = [time for time in signed if time is not None and time < self.world.as_of]
        since = min(signed or [row[2] for row in self.known if row[0] in ids], default=None)
        if since is None or moment < since + self.rules.min_relation_days * DAY:
            yield "min_relation_days"

    def opens(self, customer, channel, moment):
        zone = self.world.customers.get(customer, {}).get(self.rules.zone_column)
        return opens(self.rules.quiet.get(channel), zone or self.rules.zone, moment)

    def earliest(self, customer, channel):
        """The first moment that nothing closes, None where there is none within a year."""
        if self.standing(customer, channel):
            return None
        starts = {self.world.as_of}
        starts |= {
            round(time + each.length_days * DAY)
            for time, *_ in self.contacts(customer)
            for each in self.rules.windows.values()
        }
        for rules in (self.rules.cooling_off, self.rules.exclusions):
            lengths = [each.days for each in rules.values()]
            starts |= {round(row[2] + days * DAY) for row in self.known for days in lengths}
            starts |= {round(time + days * DAY) for time, *_ in self.contacts(customer) for days in lengths}
        begins = [row[2] for row in self.known]
        begins += [row["signup_at"] for row in self.world.customers.values() if row.get("signup_at") is not None]
        starts |= {round(time + self.rules.min_relation_days * DAY) for time in begins}
        moments = {self.opens(customer, channel, start) for start in starts if start >= self.world.as_of}
        allowed = [each for each in moments if not self.over_time(customer, channel, each)]
        first = min(allowed, default=None)
        return None if first is None or first > self.world.as_of + YEAR else first


def like(campaign, pattern):
    """Whether * in the pattern can stand for letters so that it is the campaign."""
    if campaign is None:
        return False
    head, *rest = pattern.split("*")
    if not rest:
        return campaign == pattern
    if not campaign.startswith(head):
        return False
    return any(like(campaign[at:], "*".join(rest)) for at in range(len(head), len(campaign) + 1))


def is_quiet(times, zone, moment):
    local = (EPOCH + timedelta(microseconds=moment)).astimezone(ZoneInfo(zone))
    if WEEKDAYS[local.weekday()] in times.days or local.date() in times.dates:
        return True
    text = local.strftime("%H:%M")
    for hours in times.hours:
        first, end = hours.split("-")
        if (first <= text < end) if first < end else (text >= first or text < end):
            return True
    return False


def opens(times, zone, moment):
    """The first moment that is not quiet, sought in quarters of an hour."""
    if times is None:
        return moment
    day = times.model_dump_json(), zone
    known = _memory[day]
    while True:
        if moment not in known:
            known[moment] = is_quiet(times, zone, moment)
        if not known[moment]:
            return moment
        moment = (moment // QUARTER + 1) * QUARTER


_memory: defaultdict[Any, dict[int, bool]] = defaultdict(dict)


@cache
def us(text):
    """Microseconds of an ISO time in UTC."""
    return (datetime.fromisoformat(text).replace(tzinfo=UTC) - EPOCH) // timedelta(microseconds=1)
