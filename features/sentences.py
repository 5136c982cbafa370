"""Says what a row's value of a feature means, in a few words for a reader; computes no feature and judges none.

`Sentences` speaks about one row of a feature set: "answered 3 of 4 messages sent on sms in the last 90 days". What is
relative in a feature (the candidate channel, the campaign's own category) is named as the row has it.
"""

import calendar
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from features import grammar as g
from features.demographic import Column
from features.event_sets import CANDIDATE, OWN_CATEGORY, EventSet
from features.matrix import ACTION, CAMPAIGN_CATEGORY, FeatureSet

Row = npt.NDArray[np.float32]
Says = Callable[[Any, float], str]

_WEEKDAYS: Final = tuple(calendar.day_name)
_MONTHS: Final = tuple(calendar.month_name)[1:]


@dataclass(frozen=True)
class Sentences:
    """What the columns of a feature set say of a row."""

    features: FeatureSet

    def say(self, column: int, row: Row) -> str:
        """The value of one column of a row, (p,) in the set's order, in words; the whole row gives the context."""
        name = self.features.names[column]
        value = float(row[column])
        if name in self._swept:
            feature = self._placed(self._swept[name], row)
            if says := _SAYS.get(type(feature)):
                return says(feature, value)
            return _SAYS_IN_CONTEXT[type(feature)](feature, value, _Context(self, row))
        if name in self._known:
            return _demographic(self._known[name], value)
        if name == ACTION:
            return f"contacted on {self.channel(row)}" if value > 0 else "not contacted"
        return f"a campaign about {self.category(row)}"

    def channel(self, row: Row) -> str:
        """The channel of the row's action, 'no channel' for none."""
        action = self._of(row, ACTION)
        return self.features.codebook.outbound[int(action) - 1] if action > 0 else "no channel"

    def category(self, row: Row) -> str:
        """The category of the row's campaign."""
        code = self._of(row, CAMPAIGN_CATEGORY)
        return self.features.codebook.categories[int(code)] if code >= 0 else "something unknown"

    @cached_property
    def _swept(self) -> Mapping[str, g.Feature]:
        return {each.name: each for each in self.features.features}

    @cached_property
    def _known(self) -> Mapping[str, Column]:
        return {each.name: each for each in self.features.demographic.columns}

    @cached_property
    def places(self) -> Mapping[str, int]:
        """Where each column stands."""
        return {name: at for at, name in enumerate(self.features.names)}

    def _of(self, row: Row, name: str) -> float:
        return float(row[self.places[name]]) if name in self.places else float("nan")

    def _placed(self, feature: g.Feature, row: Row) -> g.Feature:
        """The feature with its relative sets spelled out as the row has them; their names stay."""
        sets = {name: value for name, value in vars(feature).items() if isinstance(value, EventSet) and value.relative}
        return replace(feature, **{name: self._spelled(each, row) for name, each in sets.items()})

    def _spelled(self, events: EventSet, row: Row) -> EventSet:
        words = events.words
        if events.per_action:
            words = words.replace(EventSet("", "", channels=()).on(CANDIDATE).words.strip(), f"on {self.channel(row)}")
        if events.per_category:
            own = EventSet("", "").about(OWN_CATEGORY).words.strip()
            words = words.replace(own, f"about {self.category(row)}")
        return replace(events, words=words)


@dataclass(frozen=True)
class _Context:
    """The rest of the row, for features that others make clearer."""

    sentences: Sentences
    row: Row

    def count(self, events: EventSet, days: float) -> float | None:
        """How many of the events there were, where a column says so."""
        name = g.Count(events, days).name
        at = self.sentences.places.get(name)
        return None if at is None or np.isnan(self.row[at]) else float(self.row[at])

    def channel(self, value: float) -> str:
        """The channel of a code."""
        return self.sentences.features.codebook.channels[int(value)]


def _demographic(column: Column, value: float) -> str:
    if np.isnan(value):
        return f"{column.name}: unknown"
    if column.reading == "age":
        return f"age {value:.0f}"
    if column.reading == "days":
        return f"{column.source} {_number(value)} days ago"
    if column.reading == "level":
        return f"{column.source}: {column.levels[int(value)] if value < len(column.levels) else 'another value'}"
    return f"{column.source}: {_number(value)}"


def _number(value: float) -> str:
    """A number for a reader: whole from 100 on, else three digits.

    >>> _number(3.0), _number(0.12345), _number(1234.5)
    ('3', '0.123', '1,234')
    """
    return f"{value:,.0f}" if abs(value) >= 100 or value == round(value) else f"{value:.3g}"


def _one(events: EventSet) -> str:
    """The events' words for a single one: the first word that ends in s loses it.

    >>> _one(EventSet("", "messages sent on sms")), _one(EventSet("", "opened messages"))
    ('message sent on sms', 'opened message')
    """
    words = events.words.split(" ")
    for at, word in enumerate(words):
        if word in ("on", "about"):
            break
        if word.endswith("s"):
            return " ".join([*words[:at], word[:-1], *words[at + 1 :]])
    return events.words


def _counted(value: float, events: EventSet) -> str:
    if value == 0:
        return f"no {events.words}"
    return f"1 {_one(events)}" if value == 1 else f"{_number(value)} {events.words}"


def _lately(days: float) -> str:
    return f"in the last {days:g} days"


def _say_count(f: Any, value: float) -> str:
    return f"{_counted(value, f.events)} {_lately(f.window_days)}"


def _say_rate(f: Any, value: float, context: _Context) -> str:
    n, m = context.count(f.events, f.window_days), context.count(f.per, f.window_days)
    when = _lately(f.window_days)
    if n is None or m is None:
        plain = "none to tell from" if np.isnan(value) else f"{_number(value)}, drawn to the usual rate"
        return f"{f.events.words} per {_one(f.per)} {when}: {plain}"
    if m and n <= m and f.events.name.startswith("answers") and f.per.name.startswith("sends"):
        return f"answered {_number(n)} of {_counted(m, f.per)} {when}"
    return f"{_counted(n, f.events)} for {_counted(m, f.per)} {when}"


def _say_share(f: Any, value: float) -> str:
    if np.isnan(value):
        return f"no {f.whole.words} {_lately(f.window_days)}"
    return f"{value:.0%} of all {f.whole.words} {_lately(f.window_days)} were {f.events.words}"


def _say_trend(f: Any, value: float) -> str:
    return f"{f.events.words}: pace of the last {f.window_days:g} days {value:.2g} times that of {f.long_days:g} days"


def _ago(what: str) -> Says:
    def say(f: Any, value: float) -> str:
        return f"no {f.events.words} known" if np.isnan(value) else f"{what} {_one(f.events)} {_days(value)} ago"

    return say


def _days(value: float) -> str:
    """A span: hours below two days.

    >>> _days(0.5), _days(12.3)
    ('12 hours', '12 days')
    """
    return f"{24 * value:.0f} hours" if value < 2 else f"{value:.0f} days"


def _say_tenure(_: Any, value: float) -> str:
    return "no interaction known" if np.isnan(value) else f"first interaction {_days(value)} ago"


def _say_sum(f: Any, value: float) -> str:
    return f"{f.events.words} worth {_number(value)} EUR {_lately(f.window_days)}"


def _say_mean(f: Any, value: float) -> str:
    if np.isnan(value):
        return f"no {f.events.words} {_lately(f.window_days)}"
    return f"{f.events.words} of {_number(value)} EUR on average {_lately(f.window_days)}"


def _say_last_value(f: Any, value: float) -> str:
    return f"no {f.events.words} known" if np.isnan(value) else f"latest {_one(f.events)} worth {_number(value)} EUR"


def _say_typical_value(f: Any, value: float) -> str:
    return f"no {f.events.words} known" if np.isnan(value) else f"{f.events.words} of typically {_number(value)} EUR"


def _say_total(f: Any, value: float) -> str:
    return f"{_counted(value, f.events)} in all that is known"


def _say_pressure(f: Any, value: float) -> str:
    return f"{f.events.words} of late: {value:.2g}, each halved in weight every {f.half_life_days:g} days"


def _say_streak(f: Any, value: float) -> str:
    return f"{_counted(value, f.events)} since the last {_one(f.since)}"


def _say_followed(f: Any, value: float) -> str:
    after = f"within {f.within_days:g} days after a {_one(f.after)}"
    plain = "none to tell from" if np.isnan(value) else f"{_number(value)} for each of these"
    return f"{f.events.words} {after}, {_lately(f.window_days)}: {plain}"


def _gap(what: str) -> Says:
    def say(f: Any, value: float) -> str:
        if np.isnan(value):
            return f"fewer than two {f.events.words} known"
        return what.format(words=f.events.words, days=_number(value))

    return say


def _say_active_days(f: Any, value: float) -> str:
    return f"{f.events.words} on {value:.0f} of the last {f.span_days} days"


def _say_hour(f: Any, value: float) -> str:
    if np.isnan(value):
        return f"no usual hour of {f.events.words}"
    minutes = round(60 * value) % (24 * 60)
    return f"{f.events.words} usually at {minutes // 60:02d}:{minutes % 60:02d} UTC"


def _part(text: str) -> Says:
    def say(f: Any, value: float) -> str:
        return f"no {f.events.words} known" if np.isnan(value) else text.format(words=f.events.words, value=value)

    return say


def _say_latest_channel(f: Any, value: float, context: _Context) -> str:
    other = " on another channel" if f.rank == 2 else ""
    if np.isnan(value):
        return f"no {f.events.words}{other} known"
    return f"latest {_one(f.events)}{' apart from that' if f.rank == 2 else ''} on {context.channel(value)}"


def _say_top_channel(f: Any, value: float, context: _Context) -> str:
    if np.isnan(value):
        return f"no {f.events.words} {_lately(f.window_days)}"
    return f"most {f.events.words} on {context.channel(value)} {_lately(f.window_days)}"


def _say_calendar(f: Any, value: float) -> str:
    if f.part == "weekday":
        return f"asked on a {_WEEKDAYS[int(value)]}"
    if f.part == "month":
        return f"asked in {_MONTHS[int(value) - 1]}"
    minutes = round(60 * value)
    return f"asked at {minutes // 60:02d}:{minutes % 60:02d} UTC"


_SAYS: Final[dict[type[g.Feature], Says]] = {
    g.Count: _say_count,
    g.Share: _say_share,
    g.Trend: _say_trend,
    g.Recency: _ago("last"),
    g.First: _ago("first"),
    g.Tenure: _say_tenure,
    g.Sum: _say_sum,
    g.Mean: _say_mean,
    g.LastValue: _say_last_value,
    g.TypicalValue: _say_typical_value,
    g.Total: _say_total,
    g.Pressure: _say_pressure,
    g.Streak: _say_streak,
    g.Followed: _say_followed,
    g.GapMean: _gap("{words} every {days} days on average"),
    g.GapSpread: _gap("days between {words} vary by {days}"),
    g.ActiveDays: _say_active_days,
    g.HourMean: _say_hour,
    g.HourConcentration: _part("{words} keep to one hour of the day by {value:.0%}"),
    g.WeekendShare: _part("{value:.0%} of {words} at weekends"),
    g.Entropy: _part("{words} over channels: {value:.2f} nats of spread, 0 is all on one"),
    g.Calendar: _say_calendar,
}

_SAYS_IN_CONTEXT: Final[dict[type[g.Feature], Callable[[Any, float, _Context], str]]] = {
    g.Rate: _say_rate,
    g.LatestChannel: _say_latest_channel,
    g.TopChannel: _say_top_channel,
}
