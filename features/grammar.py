"""The grammar of features: an operation over a set of events and a window; computes nothing.

A feature is one line, `Count(sends.on("email"), 30)`, and works in training, batch and online alike: `compiler` turns
declarations into tables and `kernel` runs them. Every window is `[as_of - window, as_of)`; what has no window of its
own counts the events of `[as_of - lookback, as_of)`. Names and meanings are built from each operation's `label` and
`text` by `Feature.name` and `Feature.meaning`, and nowhere else.

>>> from features.event_sets import EventSet
>>> sends = EventSet("sends", "messages sent", kinds=("sent",))
>>> feature = Count(sends.on("email"), 30)
>>> feature.name
'sends_email_count_30d'
>>> feature.meaning
'Number of messages sent on email in the last 30 days.'
"""

from dataclasses import dataclass, field, fields
from typing import ClassVar, Literal

from features.event_sets import EventSet

CalendarPart = Literal["hour", "weekday", "month"]


@dataclass(frozen=True)
class Feature:
    """A number about a customer at a moment.

    unit: what it is measured in; categorical: whether the number is a code without order; label, text: templates of
    name and meaning over the feature's own fields.
    """

    unit: ClassVar[str]
    label: ClassVar[str]
    text: ClassVar[str]
    categorical: ClassVar[bool] = False

    @property
    def name(self) -> str:
        """Unique among the features of a program; a column name in files and models."""
        return self.label.format_map(vars(self))

    @property
    def meaning(self) -> str:
        """One sentence for a data scientist who did not write the declaration."""
        sentence = self.text.format_map(vars(self))
        return sentence[0].upper() + sentence[1:]

    @property
    def sets(self) -> tuple[EventSet, ...]:
        """The sets of events that the feature reads."""
        return tuple(value for value in vars(self).values() if isinstance(value, EventSet))

    @property
    def windows(self) -> tuple[float, ...]:
        """The windows, in days, that the feature needs among those of its program."""
        return tuple(getattr(self, each.name) for each in fields(self) if each.metadata.get("window"))

    @property
    def candidate(self) -> bool:
        """Whether the value depends on the row's own action or on its campaign's category."""
        return any(each.relative for each in self.sets)


def window() -> float:
    """A field that holds one of the program's windows, in days."""
    value: float = field(metadata={"window": True})
    return value


@dataclass(frozen=True)
class Count(Feature):
    """How many events."""

    unit = "events"
    label = "{events.name}_count_{window_days:g}d"
    text = "number of {events.words} in the last {window_days:g} days."
    events: EventSet
    window_days: float = window()


@dataclass(frozen=True)
class Rate(Feature):
    """Events per other event, drawn to the base rate r of all customers: (n + s r) / (m + s).

    That is the posterior mean of a rate with a Beta(s r, s (1 - r)) prior. `pseudo` is s, in events of `per`; with 0
    it is the plain ratio, and NaN where there are none. NaN too where a relative rate has no action or category.
    """

    unit = "events per event"
    label = "{events.name}_per_{per.name}_{window_days:g}d"
    text = "{events.words} per one of {per.words} in the last {window_days:g} days, drawn to the base rate."
    events: EventSet
    per: EventSet
    window_days: float = window()
    pseudo: float = 5.0

    @property
    def base_key(self) -> str:
        """Under which the base rate of a (not relative) rate is found."""
        return f"{self.events.name}/{self.per.name}"


@dataclass(frozen=True)
class Share(Feature):
    """Which part of a set's events lies in a part of that set; NaN where the whole is empty."""

    unit = "share"
    label = "{events.name}_share_{window_days:g}d"
    text = "share of {events.words} among all {whole.words} in the last {window_days:g} days."
    events: EventSet
    whole: EventSet
    window_days: float = window()


@dataclass(frozen=True)
class Trend(Feature):
    """The recent pace against the usual one: (n_short + 1) / (n_long w_short / w_long + 1)."""

    unit = "ratio"
    label = "{events.name}_trend_{window_days:g}d_{long_days:g}d"
    text = "pace of {events.words} in the last {window_days:g} days against {long_days:g} days; above 1: faster."
    events: EventSet
    window_days: float = window()
    long_days: float = window()


@dataclass(frozen=True)
class Recency(Feature):
    """Days since the last event; NaN if none lies in the lookback."""

    unit = "days"
    label = "{events.name}_recency"
    text = "days since the last of {events.words}."
    events: EventSet


@dataclass(frozen=True)
class First(Feature):
    """Days since the first event in the lookback; NaN if there is none."""

    unit = "days"
    label = "{events.name}_first"
    text = "days since the first of {events.words} in the lookback."
    events: EventSet


@dataclass(frozen=True)
class Tenure(Feature):
    """Days since the first event of any kind in the lookback; NaN if there is none."""

    unit = "days"
    label = "tenure"
    text = "days since the first interaction of any kind in the lookback."


@dataclass(frozen=True)
class Sum(Feature):
    """Value of all events together; an event without a value counts as 0 EUR."""

    unit = "EUR"
    label = "{events.name}_sum_{window_days:g}d"
    text = "value of {events.words} in the last {window_days:g} days."
    events: EventSet
    window_days: float = window()


@dataclass(frozen=True)
class Mean(Feature):
    """Value of an event on average; NaN without events. An event without a value counts as 0 EUR."""

    unit = "EUR"
    label = "{events.name}_mean_{window_days:g}d"
    text = "mean value of {events.words} in the last {window_days:g} days."
    events: EventSet
    window_days: float = window()


@dataclass(frozen=True)
class LastValue(Feature):
    """Value of the latest event (the highest among those tied in time); NaN if none lies in the lookback."""

    unit = "EUR"
    label = "{events.name}_last_value"
    text = "value of the latest of {events.words}."
    events: EventSet


@dataclass(frozen=True)
class TypicalValue(Feature):
    """Value of an event that one large one hardly moves: exp(mean of log(1 + EUR)) - 1 over the lookback; NaN without.

    An event without a value counts as 0 EUR, and so does one below that.
    """

    unit = "EUR"
    label = "{events.name}_typical_value"
    text = "typical value of {events.words}, a mean of its logarithm over the lookback."
    events: EventSet


@dataclass(frozen=True)
class Total(Feature):
    """How many events lie in the lookback."""

    unit = "events"
    label = "{events.name}_total"
    text = "number of {events.words} in the lookback."
    events: EventSet


@dataclass(frozen=True)
class Pressure(Feature):
    """Events weighed by age, sum of 2^(-age / half_life); 0 if none lies in the lookback.

    It has no window: beside a younger event, one older than the lookback still weighs up to 2^(-lookback / half_life)
    if the timeline holds it, 5e-8 for 730 and 30 days.
    """

    unit = "events"
    label = "{events.name}_pressure_{half_life_days:g}d"
    text = "number of {events.words}, each halved in weight every {half_life_days:g} days."
    events: EventSet
    half_life_days: float


@dataclass(frozen=True)
class Streak(Feature):
    """Events in the lookback that lie strictly after the last event of another set.

    0 where a relative set has no action or category.
    """

    unit = "events"
    label = "{events.name}_since_{since.name}"
    text = "number of {events.words} since the last of {since.words}."
    events: EventSet
    since: EventSet


@dataclass(frozen=True)
class Followed(Feature):
    """Events within some days after an event of another set, per event of that other set; NaN without any of those.

    An event at t counts if the latest event of `after` strictly before t lies in [t - within, t).
    """

    unit = "events per event"
    label = "{events.name}_{within_days:g}d_after_{after.name}_{window_days:g}d"
    text = (
        "{events.words} within {within_days:g} days after one of {after.words}, per one of these, in the last "
        "{window_days:g} days."
    )
    events: EventSet
    after: EventSet
    within_days: float
    window_days: float = window()


@dataclass(frozen=True)
class GapMean(Feature):
    """Days between one event and the next, on average in the lookback, by the minute; NaN with fewer than two."""

    unit = "days"
    label = "{events.name}_gap_mean"
    text = "mean days between one of {events.words} and the next."
    events: EventSet


@dataclass(frozen=True)
class GapSpread(Feature):
    """Population standard deviation of the days between one event and the next; NaN with fewer than two events."""

    unit = "days"
    label = "{events.name}_gap_spread"
    text = "standard deviation of the days between one of {events.words} and the next."
    events: EventSet


@dataclass(frozen=True)
class ActiveDays(Feature):
    """Calendar days (UTC) with an event, among the last `span_days`, the day of as_of included; at most 63."""

    unit = "days"
    label = "{events.name}_days_{span_days}d"
    text = "days with one of {events.words} among the last {span_days} calendar days (UTC)."
    events: EventSet
    span_days: int


@dataclass(frozen=True)
class HourMean(Feature):
    """Circular mean of the hour of day (UTC, by quarter of an hour); NaN without events or without a direction."""

    unit = "hours"
    label = "{events.name}_hour_mean"
    text = "usual hour (UTC) of {events.words}, a circular mean over the lookback."
    events: EventSet


@dataclass(frozen=True)
class HourConcentration(Feature):
    """Length of the mean direction of the hour of day, in [0, 1]: 1 is always the same hour; NaN without events."""

    unit = "share"
    label = "{events.name}_hour_concentration"
    text = "how much {events.words} keep to one hour of the day: 0 any hour, 1 always the same."
    events: EventSet


@dataclass(frozen=True)
class WeekendShare(Feature):
    """Share of events on Saturday or Sunday (UTC) in the lookback; NaN without events."""

    unit = "share"
    label = "{events.name}_weekend_share"
    text = "share of {events.words} that fall on Saturdays and Sundays (UTC)."
    events: EventSet


@dataclass(frozen=True)
class Entropy(Feature):
    """Spread over channels, -sum of p ln p; 0 is all on one; NaN without events."""

    unit = "nats"
    label = "{events.name}_entropy_{window_days:g}d"
    text = "entropy of {events.words} over channels in the last {window_days:g} days."
    events: EventSet
    over: tuple[str, ...]
    window_days: float = window()


@dataclass(frozen=True)
class LatestChannel(Feature):
    """Channel of the latest event (rank 1), or of the latest on any other channel than that (rank 2).

    The value is an index into the codebook's channels; NaN if there is none in the lookback. Of channels tied in time
    the one that comes first in `over` is the later.
    """

    unit = "channel"
    label = "{events.name}_latest_channel_{rank}"
    text = "channel of the latest of {events.words}, by rank {rank} of the channels' latest times."
    categorical = True
    events: EventSet
    over: tuple[str, ...]
    rank: Literal[1, 2] = 1


@dataclass(frozen=True)
class TopChannel(Feature):
    """Channel with the most events, as index into the codebook's channels; NaN without any; ties: first in `over`."""

    unit = "channel"
    label = "{events.name}_top_channel_{window_days:g}d"
    text = "channel with the most {events.words} in the last {window_days:g} days."
    categorical = True
    events: EventSet
    over: tuple[str, ...]
    window_days: float = window()


@dataclass(frozen=True)
class Calendar(Feature):
    """A part of as_of itself (UTC): hour in [0, 24), weekday with Monday = 0, month from 1 to 12."""

    unit = "calendar"
    label = "as_of_{part}"
    text = "the {part} of as_of (UTC)."
    part: CalendarPart
