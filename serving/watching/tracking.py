"""Events that stopped, and events that came twice: what broke between a channel and its record; compares no other rate.

At the end of a period, events of a kind on a channel have been silent for some days. If they came as before they would
have been, on average, μ, scaled by today's sends where they answer to sends; counts of that many days in reference
periods vary by a factor, so the chance of none is that of a negative binomial with mean μ and size r,

    P(0) = (r / (r + μ))^r,   1 / r = max(0, (variance − mean) / mean²) of the reference counts by period

(Greenwood, Yule 1920). A silence counts only where it is also twice as long as any before.

Events that repeat another within an hour are rare or even unheard of in reference periods: of S in E events before, x
or more in e events have the chance of a negative binomial with size S + ½ and probability E / (E + e), which is what is
foretold of a Poisson rate under Jeffreys' prior; its size is held to r where the reference counts vary more.
"""

from typing import Final

import numpy as np
import numpy.typing as npt
from scipy.stats import nbinom

from contract.kinds import SENT, Role
from contract.params import Params
from features.activity import REPEATED
from serving.watching.comparing import Past
from serving.watching.findings import Finding
from serving.watching.moderated import holm

Floats = npt.NDArray[np.float64]

_LONGER: Final = 2.0
_LEAST_DAYS: Final = 2


def compare_tracking(past: Past, params: Params) -> list[Finding]:
    """Every kind of event on every channel that each reference period recorded often enough."""
    last = past.profile.periods[-1]
    alive = [
        name
        for name in last.daily
        if min(sum(each.daily.get(name, ())) for each in past.profile.periods) >= past.settings.min_events
    ]
    if not alive:
        return []
    silences = [_silence(past, name, params) for name in alive]
    repeats = [name for name in past.newest.figures if name.startswith(REPEATED)]
    p = np.array([each[1] for each in silences] + [_repeated(past, name) for name in repeats])
    adjusted = holm(p)
    found = [
        _stopped(past, name, days, expected, float(p[row]), float(adjusted[row]))
        for row, (name, (days, _, expected)) in enumerate(zip(alive, silences, strict=True))
    ]
    first = len(alive)
    return found + [
        _delivered(past, name, float(p[first + row]), float(adjusted[first + row])) for row, name in enumerate(repeats)
    ]


def _silence(past: Past, name: str, params: Params) -> tuple[int, float, float]:
    """Days of silence at the end of the newest period, the chance of it, and how many events it should have held."""
    reference = np.array([each.daily.get(name, (0,) * past.profile.period_days) for each in past.profile.periods])
    length = reference.shape[1]
    newest = np.array(past.newest.daily.get(name, (0,) * length))
    days = int(length - np.flatnonzero(newest)[-1] - 1) if newest.any() else length
    if days < _LEAST_DAYS or (days < length and days < _LONGER * _longest_gap(reference.ravel())):
        return days, 1.0, 0.0
    counts = reference.sum(axis=1).astype(np.float64)
    mean = float(counts[-1]) * days / length * _activity(past, name, days, params)
    if mean <= 0:
        return days, 1.0, 0.0
    size = _size(counts)
    return days, float(np.exp(size * (np.log(size) - np.log(size + mean)))), mean


def _activity(past: Past, name: str, days: int, params: Params) -> float:
    """Sends of the silent days as a share of the last reference period's, for what answers to sends; else 1."""
    kind, _, channel = name.partition(" on ")
    if kind not in params.kinds_of(Role.ANSWER, Role.OPT_OUT, Role.DELIVERY):
        return 1.0
    sends = f"{SENT} on {channel}"
    before = past.profile.periods[-1].daily.get(sends)
    if before is None or not sum(before):
        return 1.0
    now = past.newest.daily.get(sends, (0,) * len(before))
    return (sum(now[-days:]) / days) / (sum(before) / len(before))


def _longest_gap(daily: npt.NDArray[np.integer]) -> int:
    """Days without an event between two days with one."""
    used = np.flatnonzero(daily)
    return int(np.diff(used).max(initial=1)) - 1 if len(used) > 1 else len(daily)


def _size(counts: Floats) -> float:
    """R of a negative binomial by moments, large where the counts vary no more than by chance."""
    mean = float(counts.mean())
    extra = max(0.0, float(counts.var(ddof=1)) - mean) / max(mean, 1e-9) ** 2
    return 1 / max(extra, 1e-6)


def _repeats(past: Past, name: str) -> tuple[Floats, tuple[float, float]]:
    """Repeated events and all events, of each reference period (periods, 2) and of the newest."""
    return np.array([each.figures.get(name, (0.0, 0.0)) for each in past.profile.periods]), past.newest.figures[name]


def _repeated(past: Past, name: str) -> float:
    reference, (repeated, events) = _repeats(past, name)
    before, exposed = reference.sum(axis=0)
    if not exposed:
        return 1.0
    size = before + 0.5 if before < past.settings.min_events else min(before + 0.5, _size(reference[:, 0]))
    mean = (before + 0.5) / exposed * events
    return float(nbinom.sf(repeated - 1, size, size / (size + mean)))


def _delivered(past: Past, name: str, p: float, adjusted: float) -> Finding:
    reference, (repeated, events) = _repeats(past, name)
    before, exposed = reference.sum(axis=0)
    usual, now = before / max(exposed, 1.0), repeated / max(events, 1.0)
    more = repeated - usual * events
    alarms = adjusted < past.level and more >= max(past.settings.min_events, past.settings.min_change * usual * events)
    words = f"{repeated:,.0f} of {events:,.0f} events, where {usual * events:,.0f} would be usual"
    words += "; a source may have delivered twice" if alarms else ""
    effect = repeated / max(usual * events, 1.0) - 1
    return Finding("tracking", name, "alarm" if alarms else "quiet", usual, now, float(effect), p, adjusted, words)


def _stopped(past: Past, name: str, days: int, expected: float, p: float, adjusted: float) -> Finding:
    length = past.profile.period_days
    before, now = (float(sum(each.daily.get(name, ()))) for each in (past.profile.periods[-1], past.newest))
    stopped = adjusted < past.settings.level
    words = (
        f"none in the last {days} of {length} days, where {expected:,.0f} would have come; check what delivers it"
        if stopped
        else f"{before:,.0f} → {now:,.0f} in {length} days"
    )
    effect = now / before - 1 if before else 0.0
    return Finding("tracking", name, "alarm" if stopped else "quiet", before, now, effect, p, adjusted, words)
