"""The features that are computed unless told otherwise; a list to read and to extend, one line a feature.

They follow from the parameters (channels and what each records, kinds, windows), never from the data, so that the same
parameters give the same columns everywhere.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from contract.kinds import HELD_OUT, OPENED, PURCHASED, SENT, Role
from contract.params import Params
from features import grammar as g
from features.event_sets import CANDIDATE, OWN_CATEGORY, EventSet
from features.events import Codebook

FOLLOW_DAYS = 7
"""How long after a message a purchase may still be owed to it: a week, as the default horizon of sales."""


@dataclass(frozen=True)
class Subjects:
    """What the default features look at, and the channels on which each can occur."""

    sends: EventSet
    answers: EventSet
    opens: EventSet
    steps: EventSet
    purchases: EventSet
    returns: EventSet
    opt_outs: EventSet
    held_out: EventSet
    service: EventSet
    bounces: EventSet
    outbound: tuple[str, ...]
    answering: tuple[str, ...]
    walked: tuple[str, ...]
    selling: tuple[str, ...]


def subjects(params: Params) -> Subjects:
    """The sets of events behind the default features, by the kinds and channels of the parameters."""
    steps = params.kinds_of(Role.OWN_STEP)
    answers = params.kinds_of(Role.ANSWER)
    outbound = params.outbound

    def recording(kinds: Iterable[str], among: Iterable[str]) -> tuple[str, ...]:
        wanted = set(kinds)
        return tuple(name for name in among if wanted & set(params.channels[name].records))

    return Subjects(
        sends=EventSet("sends", "messages sent", (SENT,), transactional=False),
        answers=EventSet("answers", "answers", answers, transactional=False),
        opens=EventSet("opens", "opened messages", (OPENED,), transactional=False),
        steps=EventSet("steps", "own steps", steps),
        purchases=EventSet("purchases", "purchases", (PURCHASED,)),
        returns=EventSet("returns", "returned purchases", ("returned",)),
        opt_outs=EventSet("opt_outs", "opt-outs", params.kinds_of(Role.OPT_OUT)),
        held_out=EventSet("held_out", "contacts withheld", (HELD_OUT,)),
        service=EventSet("service", "transactional messages", (SENT,), transactional=True),
        bounces=EventSet("bounces", "bounced messages", ("bounced",)),
        outbound=outbound,
        answering=recording(answers, outbound),
        walked=recording(steps, params.channels),
        selling=recording((PURCHASED,), params.channels),
    )


def default_features(params: Params, codebook: Codebook) -> tuple[g.Feature, ...]:
    """The default features, in a stable order, for these parameters.

    Args:
        params: The parameters; `features.windows_days`, `half_lives_days` and `smoothing_sends` shape the features.
        codebook: The timeline's dictionary; own-category features appear only if it knows a category.
    """
    s = subjects(params)
    found = [
        *_counts(params, s),
        *_candidate(params, s),
        *(_own_category(params, s) if codebook.categories else ()),
        *_rates(params, s),
        *_recencies(s),
        *_money(params, s),
        *_rhythm(params, s),
        *_mix(params, s),
        *_pressure(params, s),
        *_calendar(),
    ]
    return tuple(dict.fromkeys(found))


def _counts(params: Params, s: Subjects) -> Iterator[g.Feature]:
    week, month, season, year = params.features.windows_days
    for events in (s.sends, s.answers, s.steps, s.purchases):
        yield from (g.Count(events, days) for days in (week, month, season, year))
    for events, channels in ((s.answers, s.answering), (s.steps, s.walked)):
        yield from (g.Count(events.on(channel), days) for channel in channels for days in (week, month, season, year))
    for events, channels in ((s.sends, s.outbound), (s.purchases, s.selling)):
        yield from (g.Count(events.on(channel), days) for channel in channels for days in (month, year))
    for events in (s.opens, s.returns, s.opt_outs, s.held_out, s.service, s.bounces):
        yield from (g.Count(events, days) for days in (month, year))


def _candidate(params: Params, s: Subjects) -> Iterator[g.Feature]:
    """The candidate channel's own history, by which one joint model compares channels."""
    sends, answers, steps, purchases, opt_outs = (
        each.on(CANDIDATE) for each in (s.sends, s.answers, s.steps, s.purchases, s.opt_outs)
    )
    _, month, season, year = params.features.windows_days
    for each in (sends, answers, steps, purchases):
        yield from (g.Count(each, days) for days in params.features.windows_days)
    for days in (month, season, year):
        yield g.Rate(answers, sends, days, params.features.smoothing_sends)
        yield g.Rate(opt_outs, sends, days, params.features.smoothing_sends)
    for each, whole in ((sends, s.sends), (answers, s.answers), (steps, s.steps), (purchases, s.purchases)):
        yield g.Share(each, whole, year)
    yield from (g.Recency(each) for each in (sends, answers, steps, purchases, opt_outs))
    yield from (g.Pressure(sends, half_life) for half_life in params.features.half_lives_days)
    yield g.Streak(sends, answers)
    yield from _followed(params, s, sends)


def _own_category(params: Params, s: Subjects) -> Iterator[g.Feature]:
    """The customer's taste for the category of the campaign at hand."""
    sends, answers, purchases = (each.about(OWN_CATEGORY) for each in (s.sends, s.answers, s.purchases))
    _, _, season, year = params.features.windows_days
    for each in (sends, answers, purchases):
        yield from (g.Count(each, days) for days in params.features.windows_days)
    yield from (g.Rate(answers, sends, days, params.features.smoothing_sends) for days in (season, year))
    yield from (g.Share(each, whole, year) for each, whole in ((answers, s.answers), (purchases, s.purchases)))
    yield from (g.Recency(each) for each in (sends, answers, purchases))


def _rates(params: Params, s: Subjects) -> Iterator[g.Feature]:
    _, _, season, year = params.features.windows_days
    pseudo = params.features.smoothing_sends
    yield from (g.Rate(s.answers, s.sends, days, pseudo) for days in params.features.windows_days)
    for channel in s.answering:
        yield from (g.Rate(s.answers.on(channel), s.sends.on(channel), days, pseudo) for days in (season, year))
    for channel in s.outbound:
        yield from _followed(params, s, s.sends.on(channel))
    yield g.Rate(s.opens, s.sends, year, pseudo)
    yield g.Rate(s.opt_outs, s.sends, year, pseudo)
    yield g.Rate(s.purchases, s.steps, year, pseudo)
    yield g.Rate(s.returns, s.purchases, year, pseudo)


def _followed(params: Params, s: Subjects, sends: EventSet) -> Iterator[g.Feature]:
    """Purchases after a message, over the longest window whose messages all lie in the lookback."""
    reach = [days for days in params.features.windows_days if days + FOLLOW_DAYS <= params.features.lookback_days]
    yield from (g.Followed(s.purchases, sends, FOLLOW_DAYS, days) for days in reach[-1:])


def _recencies(s: Subjects) -> Iterator[g.Feature]:
    per_channel = [(s.sends, s.outbound), (s.answers, s.answering), (s.steps, s.walked), (s.purchases, s.selling)]
    for events, channels in per_channel:
        yield g.Recency(events)
        yield from (g.Recency(events.on(channel)) for channel in channels)
    yield from (g.Recency(events) for events in (s.opt_outs, s.returns, s.held_out, s.service))
    yield g.Tenure()
    yield g.First(s.purchases)


def _money(params: Params, s: Subjects) -> Iterator[g.Feature]:
    _, _, season, year = params.features.windows_days
    yield from (g.Sum(s.purchases, days) for days in params.features.windows_days)
    yield from (g.Sum(s.purchases.on(channel), year) for channel in s.selling)
    yield from (g.Mean(s.purchases, days) for days in (season, year))
    yield from (g.LastValue(s.purchases), g.TypicalValue(s.purchases), g.Total(s.purchases))
    yield g.Sum(s.returns, year)


def _rhythm(params: Params, s: Subjects) -> Iterator[g.Feature]:
    """When and how regularly the customer acts."""
    week, month, season, year = params.features.windows_days
    for events in (s.answers, s.purchases):
        yield from (g.HourMean(events), g.HourConcentration(events), g.WeekendShare(events))
        yield from (g.GapMean(events), g.GapSpread(events))
    for events in (s.sends, s.answers, s.steps, s.purchases):
        yield from (g.Trend(events, week, season), g.Trend(events, month, year))
    yield from (g.ActiveDays(s.steps, 7), g.ActiveDays(s.steps, 28))


def _mix(params: Params, s: Subjects) -> Iterator[g.Feature]:
    """How the customer spreads over the channels."""
    _, _, _, year = params.features.windows_days
    for events, channels in ((s.answers, s.answering), (s.steps, s.walked), (s.purchases, s.selling)):
        yield g.Entropy(events, channels, year)
        yield from (g.Share(events.on(channel), events, year) for channel in channels)
        yield from (g.LatestChannel(events, channels, 1), g.LatestChannel(events, channels, 2))
        yield g.TopChannel(events, channels, year)


def _pressure(params: Params, s: Subjects) -> Iterator[g.Feature]:
    yield from (g.Pressure(s.sends, half_life) for half_life in params.features.half_lives_days)
    yield from (g.Pressure(s.sends.on(channel), params.features.half_lives_days[-1]) for channel in s.outbound)
    yield g.Streak(s.sends, s.answers)
    yield g.Streak(s.sends, s.purchases)
    yield from (g.Streak(s.sends.on(channel), s.answers.on(channel)) for channel in s.answering)


def _calendar() -> Iterator[g.Feature]:
    yield from (g.Calendar("hour"), g.Calendar("weekday"), g.Calendar("month"))
