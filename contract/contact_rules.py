"""The section `eligibility` of the parameters: who may be contacted, and when; judges nobody.

Every rule has a name, under which it is counted. A list of channels that is empty stands for all outbound ones.
"""

import re
from collections.abc import Collection, Iterable, Iterator, Sequence
from datetime import UTC, date, tzinfo
from typing import Annotated, Final, Literal, Self
from zoneinfo import ZoneInfo

from pydantic import AfterValidator, Field, model_validator

from contract.sections import Count, Name, NonNegative, Section

Weekday = Literal["mon", "tue", "wed", "thu", "fri", "sat", "sun"]
WEEKDAYS: Final[tuple[Weekday, ...]] = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
MINUTES_A_DAY: Final = 1_440
MOST_RULES: Final = 50
"""Rules with names of the reader's own: a refusal is kept as one bit of 64."""

Days = Annotated[float, Field(gt=0, le=3_660)]
_HOURS: Final = re.compile(r"([01]\d|2[0-3]):([0-5]\d)-(?:([01]\d|2[0-3]):([0-5]\d)|24:00)")


def minutes_of(hours: str) -> tuple[int, int]:
    """Minutes after midnight, [from, to), of a text such as `21:00-08:00`; over midnight where from > to.

    Raises:
        ValueError: the text is no such range, or an empty one.

    >>> minutes_of("21:00-08:30")
    (1260, 510)
    """
    found = _HOURS.fullmatch(hours)
    if found is None:
        raise ValueError("expected local times HH:MM-HH:MM, e.g. '21:00-08:00'")
    first = int(found[1]) * 60 + int(found[2])
    end = MINUTES_A_DAY if found[3] is None else int(found[3]) * 60 + int(found[4])
    if first == end:
        raise ValueError("begins when it ends; write 00:00-24:00 for a whole day")
    return first, end


def zone_of(name: str) -> tzinfo:
    """The zone of an IANA name; UTC also where the system has no table of zones.

    Raises:
        ValueError: there is no such zone.
    """
    if name == "UTC":
        return UTC
    try:
        return ZoneInfo(name)
    except (KeyError, ValueError, OSError):
        raise ValueError(
            f"'{name}' is no time zone known here; give an IANA name such as Europe/Berlin (the system's table of "
            "zones is the package tzdata)"
        ) from None


def _is_hours(hours: str) -> str:
    minutes_of(hours)
    return hours


def _is_zone(name: str) -> str:
    zone_of(name)
    return name


class Suppression(Section):
    """A file of customers who are not to be contacted: whole customers, or customer and channel."""

    file: str
    channels: list[str] = []
    rename: dict[str, str] = {}
    values: dict[str, dict[str, str]] = {}


class Reach(Section):
    """When a channel does not reach a customer."""

    address: str | None = None
    bounces: Count | None = None


class ContactWindow(Section):
    """At most so many contacts of a customer within any window of so long, over the channels named."""

    contacts: Count
    days: Days | None = None
    hours: Annotated[float, Field(gt=0, le=24 * 3_660)] | None = None
    channels: list[str] = []

    @model_validator(mode="after")
    def _one_length(self) -> Self:
        if (self.days is None) == (self.hours is None):
            raise ValueError("needs exactly one of days and hours, the length of the window")
        return self

    @property
    def length_days(self) -> float:
        """Length of the window in days."""
        return self.days if self.days is not None else (self.hours or 0.0) / 24


class QuietTimes(Section):
    """Local times at which a channel is silent."""

    hours: list[Annotated[str, AfterValidator(_is_hours)]] = []
    days: list[Weekday] = []
    dates: list[date] = []

    @model_validator(mode="after")
    def _opens(self) -> Self:
        covered: set[int] = set()
        for first, end in map(minutes_of, self.hours):
            covered |= set(range(first, end)) if first < end else {*range(first, MINUTES_A_DAY), *range(end)}
        if len(covered) == MINUTES_A_DAY or set(self.days) == set(WEEKDAYS):
            raise ValueError("leaves no moment open; to close a channel, take it away under channels:")
        return self


class CoolingOff(Section):
    """No contact for some days after an interaction of one of the kinds."""

    kinds: Annotated[list[str], Field(min_length=1)]
    days: Days
    channels: list[str] = []


class Exclusion(Section):
    """Who got or is planned for a campaign of `after` gets none of `refuse` for some days; `*` stands for any text."""

    after: Annotated[list[str], Field(min_length=1)]
    days: Days
    refuse: Annotated[list[str], Field(min_length=1)]


class Eligibility(Section):
    """Every rule beyond consent and opt-outs, which always hold."""

    person_column: str | None
    zone: Annotated[str, AfterValidator(_is_zone)]
    zone_column: str | None
    suppression: dict[Name, Suppression]
    bounce_kinds: Annotated[list[str], Field(min_length=1)]
    reachable: dict[str, Reach]
    windows: dict[Name, ContactWindow]
    transactional: Literal["exempt", "counted"]
    quiet: dict[str, QuietTimes]
    sending_hours: Annotated[float, Field(gt=0)] | None
    cooling_off: dict[Name, CoolingOff]
    exclusions: dict[Name, Exclusion]
    min_relation_days: NonNegative

    @property
    def customer_columns(self) -> dict[str, str]:
        """Path of the parameter → column of the customers table that it names."""
        named = {"eligibility.person_column": self.person_column, "eligibility.zone_column": self.zone_column}
        named |= {f"eligibility.reachable.{name}.address": each.address for name, each in self.reachable.items()}
        return {path: column for path, column in named.items() if column is not None}


def undeclared_names(rules: Eligibility, outbound: Sequence[str], kinds: Collection[str]) -> Iterator[str]:
    """A fault for every name that the rules use and nothing declares, and where there are too many rules."""
    for path, channels in _channels_used(rules):
        yield from (f"{path}: '{name}' is no declared outbound channel" for name in channels if name not in outbound)
    used = {"eligibility.bounce_kinds": rules.bounce_kinds}
    used |= {f"eligibility.cooling_off.{name}.kinds": each.kinds for name, each in rules.cooling_off.items()}
    for path, names in used.items():
        yield from (f"{path}: '{kind}' is no declared kind" for kind in names if kind not in kinds)
    named = len(rules.suppression) + len(rules.windows) + len(rules.cooling_off) + len(rules.exclusions)
    if named > MOST_RULES:
        yield f"eligibility: found {named} rules of your own; at most {MOST_RULES}, so join some"


def _channels_used(rules: Eligibility) -> Iterator[tuple[str, Iterable[str]]]:
    for name, listed in rules.suppression.items():
        yield f"eligibility.suppression.{name}.channels", listed.channels
    for name, window in rules.windows.items():
        yield f"eligibility.windows.{name}.channels", window.channels
    for name, cooling in rules.cooling_off.items():
        yield f"eligibility.cooling_off.{name}.channels", cooling.channels
    yield "eligibility.reachable", rules.reachable
    yield "eligibility.quiet", rules.quiet
