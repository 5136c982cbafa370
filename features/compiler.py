"""From declared features to the tables of one program; reads no events and compiles no code.

Each operation of the grammar has one rule here: which accumulators it needs and how the kernel shows them.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from functools import singledispatch
from math import log
from typing import Final

import numpy as np
import numpy.typing as npt

from contract.errors import UsageError
from features import grammar as g
from features import layout as k
from features.event_sets import EventSet
from features.events import US_PER_DAY, Codebook
from features.tables import Tables

DEFAULT_BASE_RATE: Final = 0.1
"""The base rate of a rate for which none was learnt: the order of an e-mail's answers, a neutral place to start."""

EUR_PER_CENT: Final = 0.01
MAX_SPAN_DAYS: Final = 63
CALENDAR: Final = {"hour": k.CALENDAR_HOUR, "weekday": k.CALENDAR_WEEKDAY, "month": k.CALENDAR_MONTH}


@dataclass(frozen=True)
class Program:
    """Features as tables: what `sweep` runs. Column i of its result is `features[i]`.

    words, reals: the tables, laid out as `kernel` declares; both read-only.
    """

    features: tuple[g.Feature, ...]
    words: npt.NDArray[np.uint32]
    reals: npt.NDArray[np.float64]

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the columns, in order."""
        return tuple(feature.name for feature in self.features)


@dataclass(frozen=True)
class Plan:
    """What the rules of the operations share while a program is compiled."""

    tables: Tables
    windows_days: tuple[float, ...]
    lookback_days: float
    base_rates: Mapping[str, float]

    def window(self, days: float) -> int:
        """Index of a window."""
        return self.windows_days.index(days)

    def count(self, events: EventSet, days: float) -> int:
        """Cell of the count of events in a window."""
        return self.tables.counter(events) + self.window(days)

    def show(self, section: int, *operands: int) -> None:
        """Add an output to those of a section."""
        self.tables.sections[section] += operands


def compile_program(
    features: Sequence[g.Feature],
    codebook: Codebook,
    windows_days: Sequence[float],
    *,
    lookback_days: float = 730.0,
    base_rates: Mapping[str, float] | None = None,
) -> Program:
    """The program that computes the features, in their order, from events of this codebook.

    Args:
        features: What to compute; names must differ.
        codebook: Dictionary of the events' codes. When it grows, compile again.
        windows_days: The four windows, ascending, in days; every window of a feature is one of them.
        lookback_days: Nothing older than this before a row's as_of is read (see `grammar.Pressure` for the one limit).
        base_rates: Rates of all customers by `Rate.base_key`, as `learn_base_rates` gives them; others start at
            `DEFAULT_BASE_RATE`.

    Raises:
        UsageError: Features share a name, need a window that is not there or is longer than the lookback, or do not
            fit into one program. All faults of all features are in the message.
    """
    windows = tuple(float(days) for days in windows_days)
    faults = _faults(features, windows, lookback_days)
    if faults:
        raise UsageError("features:\n" + "\n".join(f"  {fault}" for fault in faults))
    spans_us = [days * US_PER_DAY for days in (*windows, lookback_days)]
    plan = Plan(Tables(codebook, spans_us), windows, lookback_days, base_rates or {})
    for column, feature in sorted(enumerate(features), key=_copied_first):
        show(feature, plan, column)
    words, reals = plan.tables.packed(len(features))
    words.flags.writeable = reals.flags.writeable = False
    return Program(tuple(features), words, reals)


def select_features(features: Sequence[g.Feature], names: Sequence[str]) -> tuple[g.Feature, ...]:
    """The features with these names, in the order of the names.

    Raises:
        UsageError: A name is unknown; the message offers the nearest ones.
    """
    known = {feature.name: feature for feature in features}
    unknown = [name for name in names if name not in known]
    if unknown:
        near = {name: get_close_matches(name, known, n=3) or ["none"] for name in unknown}
        lines = [f"  '{name}' is no declared feature; nearest: {', '.join(found)}" for name, found in near.items()]
        raise UsageError("features: unknown names; correct them or declare the features\n" + "\n".join(lines))
    return tuple(known[name] for name in names)


def learn_base_rates(
    features: Sequence[g.Feature], codebook: Codebook, counts: npt.NDArray[np.int64]
) -> dict[str, float]:
    """Base rates of all rates among the features, by `Rate.base_key`.

    Args:
        features: Declared features; others than rates are passed over.
        codebook: Dictionary of the events' codes.
        counts: (n_codes,), how often each code occurs in the history that may be learnt from.
    """
    tables = Tables(codebook, [0.0] * (k.WINDOWS + 1))
    rates: dict[str, float] = {}
    for feature in features:
        if isinstance(feature, g.Rate):
            for events, per in tables.levels((feature.events, feature.per)):
                total = int(counts[tables.codes(per)].sum())
                if total:
                    rates[f"{events.name}/{per.name}"] = float(counts[tables.codes(events)].sum()) / total
    return rates


def _copied_first(numbered: tuple[int, g.Feature]) -> tuple[bool, bool]:
    """Order in which cells are given: what is copied to neighbouring columns lies in neighbouring cells."""
    _, feature = numbered
    return not isinstance(feature, g.Count | g.Recency), feature.candidate


def _faults(features: Sequence[g.Feature], windows: tuple[float, ...], lookback_days: float) -> list[str]:
    repeated = [name for name, count in Counter(feature.name for feature in features).items() if count > 1]
    faults = [f"{name}: declared more than once; names must differ" for name in repeated]
    if len(windows) != k.WINDOWS or list(windows) != sorted(set(windows)) or windows[-1] > lookback_days:
        faults.append(
            f"windows_days: {list(windows)}; expected {k.WINDOWS} ascending windows, the longest at most lookback_days "
            f"({lookback_days:g})"
        )
    for feature in features:
        faults += [
            f"{feature.name}: window of {days:g} days is none of windows_days {list(windows)}; use one of these"
            for days in feature.windows
            if days not in windows
        ]
        if isinstance(feature, g.Followed) and feature.window_days + feature.within_days > lookback_days:
            faults.append(f"{feature.name}: window and within_days reach beyond lookback_days ({lookback_days:g})")
        if isinstance(feature, g.ActiveDays) and not 1 <= feature.span_days <= min(MAX_SPAN_DAYS, lookback_days):
            faults.append(f"{feature.name}: span_days is {feature.span_days}; expected 1 to {MAX_SPAN_DAYS}")
    return faults


@singledispatch
def show(feature: g.Feature, plan: Plan, column: int) -> None:  # noqa: ARG001 - the signature of every rule below
    """Register a feature's accumulators and its output; one rule an operation."""
    raise UsageError(
        f"features.{feature.name}: no rule compiles {type(feature).__name__}; add one in features/compiler"
    )


@show.register
def _(feature: g.Count, plan: Plan, column: int) -> None:
    plan.show(k.EMIT_COUNT, column, plan.count(feature.events, feature.window_days))


@show.register
def _(feature: g.Rate, plan: Plan, column: int) -> None:
    def base_rate(sets: tuple[EventSet, ...]) -> float:
        return plan.base_rates.get(f"{sets[0].name}/{sets[1].name}", DEFAULT_BASE_RATE)

    above, below = (plan.count(each, feature.window_days) for each in (feature.events, feature.per))
    prior = plan.tables.prior((feature.events, feature.per), base_rate)
    plan.tables.ratio(column, above, below, prior, pseudo=feature.pseudo)


@show.register
def _(feature: g.Share, plan: Plan, column: int) -> None:
    above, below = (plan.count(each, feature.window_days) for each in (feature.events, feature.whole))
    plan.tables.ratio(column, above, below)


@show.register
def _(feature: g.Trend, plan: Plan, column: int) -> None:
    above, below = (plan.count(feature.events, days) for days in (feature.window_days, feature.long_days))
    pace = feature.window_days / feature.long_days
    plan.tables.ratio(column, above, below, plan.tables.constant(1.0), pseudo=1.0, pace=pace)


@show.register
def _(feature: g.Followed, plan: Plan, column: int) -> None:
    cell = plan.tables.followed(feature.events, feature.after, feature.within_days * US_PER_DAY)
    below = plan.count(feature.after, feature.window_days)
    above = cell + plan.window(feature.window_days)
    plan.tables.ratio(column, above, below)


@show.register
def _(feature: g.Recency, plan: Plan, column: int) -> None:
    plan.show(k.EMIT_AGE, column, plan.tables.last(feature.events))


@show.register
def _(feature: g.First, plan: Plan, column: int) -> None:
    plan.show(k.EMIT_GAP, column, plan.tables.rhythm(feature.events), k.GAP_IS_FIRST)


@show.register
def _(feature: g.GapMean, plan: Plan, column: int) -> None:
    plan.show(k.EMIT_GAP, column, plan.tables.rhythm(feature.events), k.GAP_IS_MEAN)


@show.register
def _(feature: g.GapSpread, plan: Plan, column: int) -> None:
    plan.show(k.EMIT_GAP, column, plan.tables.rhythm(feature.events), k.GAP_IS_SPREAD)


@show.register
def _(feature: g.Tenure, plan: Plan, column: int) -> None:  # noqa: ARG001 - chosen by its type
    plan.show(k.EMIT_OTHER, column, k.TENURE)


@show.register
def _(feature: g.Calendar, plan: Plan, column: int) -> None:
    plan.show(k.EMIT_OTHER, column, CALENDAR[feature.part])


@show.register
def _(feature: g.Sum, plan: Plan, column: int) -> None:
    cell = plan.tables.cents(feature.events) + plan.window(feature.window_days)
    plan.show(k.EMIT_WIDE, column, cell, plan.tables.factor(EUR_PER_CENT))


@show.register
def _(feature: g.Mean, plan: Plan, column: int) -> None:
    cell = plan.tables.cents(feature.events) + plan.window(feature.window_days)
    below = plan.count(feature.events, feature.window_days)
    plan.show(k.EMIT_MEAN, column, cell, below, plan.tables.factor(EUR_PER_CENT))


@show.register
def _(feature: g.LastValue, plan: Plan, column: int) -> None:
    cell, last = plan.tables.last_cents(feature.events), plan.tables.last(feature.events)
    plan.show(k.EMIT_VALUE, column, cell, last, plan.tables.factor(EUR_PER_CENT))


@show.register
def _(feature: g.TypicalValue, plan: Plan, column: int) -> None:
    plan.show(k.EMIT_TYPICAL, column, plan.tables.amounts(feature.events))


@show.register
def _(feature: g.Total, plan: Plan, column: int) -> None:
    plan.show(k.EMIT_WIDE, column, plan.tables.amounts(feature.events) + k.AMOUNTS, plan.tables.factor(1.0))


@show.register
def _(feature: g.Pressure, plan: Plan, column: int) -> None:
    per_us = log(2) / (feature.half_life_days * US_PER_DAY)
    plan.show(k.EMIT_DECAY, column, plan.tables.decayed(feature.events, per_us), plan.tables.factor(per_us))


@show.register
def _(feature: g.Streak, plan: Plan, column: int) -> None:
    plan.show(k.EMIT_STREAK, column, plan.tables.streak(feature.events, feature.since), plan.tables.last(feature.since))


@show.register
def _(feature: g.ActiveDays, plan: Plan, column: int) -> None:
    plan.show(k.EMIT_DAYS, column, plan.tables.marked_days(feature.events), feature.span_days)


@show.register
def _(feature: g.HourMean, plan: Plan, column: int) -> None:
    plan.show(k.EMIT_HOUR, column, plan.tables.rhythm(feature.events))


@show.register
def _(feature: g.HourConcentration, plan: Plan, column: int) -> None:
    plan.show(k.EMIT_LENGTH, column, plan.tables.rhythm(feature.events))


@show.register
def _(feature: g.WeekendShare, plan: Plan, column: int) -> None:
    cell = plan.tables.rhythm(feature.events)
    plan.show(k.EMIT_PART, column, cell + k.WEEKENDS, cell + k.EVENTS)


@show.register
def _(feature: g.Entropy, plan: Plan, column: int) -> None:
    cells = [plan.count(feature.events.on(channel), feature.window_days) for channel in feature.over]
    plan.show(k.EMIT_ENTROPY, column, *plan.tables.listed(cells))


@show.register
def _(feature: g.LatestChannel, plan: Plan, column: int) -> None:
    pairs = [(plan.tables.last(feature.events.on(name)), _level(plan, name)) for name in feature.over]
    bounds = plan.tables.listed([each for pair in pairs for each in pair])
    plan.show(k.EMIT_LATEST, *bounds, column, feature.rank - 1)


@show.register
def _(feature: g.TopChannel, plan: Plan, column: int) -> None:
    counts = [(plan.count(feature.events.on(name), feature.window_days), _level(plan, name)) for name in feature.over]
    plan.show(k.EMIT_TOP, column, *plan.tables.listed([each for pair in counts for each in pair]))


def _level(plan: Plan, channel: str) -> int:
    """Code of a channel in categorical features."""
    channels = plan.tables.codebook.channels
    if channel not in channels:
        raise UsageError(
            f"features: channel '{channel}' is compared with others, but the codebook has {', '.join(channels)}; "
            "declare it under channels: in params.yaml and build the timeline again"
        )
    return channels.index(channel)
