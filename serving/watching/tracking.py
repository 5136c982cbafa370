"""Events that stopped: what a channel used to record and does not any more; compares no rates that are alive.

At the end of a period, events of a kind on a channel have been silent for some days. If they came as before they would
have been, on average, μ, scaled by today's sends where they answer to sends; counts of that many days in reference
periods vary by a factor, so the chance of none is that of a negative binomial with mean μ and size r,

    P(0) = (r / (r + μ))^r,   1 / r = max(0, (variance − mean) / mean²) of the reference counts by period

(Greenwood, Yule 1920). A silence counts only where it is also twice as long as any before.
"""

from typing import Final

import numpy as np
import numpy.typing as npt

from contract.kinds import SENT, Role
from contract.params import Params
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
    p = np.array([each[1] for each in silences])
    adjusted = holm(p)
    return [
        _finding(past, name, days, expected, float(p[row]), float(adjusted[row]))
        for row, (name, (days, p_row, expected)) in enumerate(zip(alive, silences, strict=True))
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
    extra = max(0.0, (float(counts.var(ddof=1)) - float(counts.mean())) / float(counts.mean()) ** 2)
    if mean <= 0:
        return days, 1.0, 0.0
    size = 1 / max(extra, 1e-6)
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


def _finding(past: Past, name: str, days: int, expected: float, p: float, adjusted: float) -> Finding:
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
