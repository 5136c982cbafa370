"""Keeps with a trained bundle what the periods before it looked like, for monitoring; teaches and judges nothing."""

from dataclasses import replace

import numpy as np

from contract.params import Params
from contract.report import CheckReport
from features.activity import Periods
from features.engines import Source, Window
from features.events import US_PER_DAY
from features.spine import Decisions
from features.timeline import Timeline
from models.artefact import Floats
from models.bundle import Bundle
from models.calibration import binary_log_losses
from models.observation import Observer
from models.profile import Profile, Stratum

LEAST_PERIODS = 4
_SCORE_BINS = 10
_MOST_JUDGED = 50_000
_LEAST_ROWS = 10


def learn_profile(
    source: Source, timeline: Timeline, bundle: Bundle, params: Params, decisions: Decisions
) -> Profile | None:
    """The profile of the periods that end with the timeline; None where fewer than four are told by the history.

    Args:
        source: the accepted rows.
        timeline: built from them.
        bundle: what was trained.
        params: parameters.
        decisions: all of the timeline, whether or not their horizon is over.
    """
    monitor = params.monitor
    until = timeline.window.until_us
    since = max(_first_us(source), timeline.window.since_us)
    count = min(monitor.periods, (until - since) // (monitor.period_days * US_PER_DAY))
    if count < LEAST_PERIODS:
        return None
    periods = Periods(until, monitor.period_days, count)
    observer = Observer(source, timeline, bundle, params, monitor.rows, decisions.within)
    sample = observer.sample(periods)
    if len(np.unique(sample.period)) < count:
        return None
    binnings = observer.binnings(sample)
    cuts = np.unique(np.quantile(sample.score, np.arange(1, _SCORE_BINS) / _SCORE_BINS))
    return Profile(
        period_days=monitor.period_days,
        binnings=binnings,
        score_cuts=tuple(cuts.tolist()),
        periods=observer.seen(periods, sample, binnings),
        strata=_strata(observer, cuts),
        set_aside=_set_aside(source),
    )


def _first_us(source: Source) -> int:
    """When the first interaction happened."""
    ((first,),) = source.connection.execute("SELECT epoch_us(min(occurred_at)) FROM interactions").fetchall()
    return int(first)


def _strata(observer: Observer, cuts: Floats) -> tuple[Stratum, ...]:
    """Losses of the judged model on decisions that it never saw, by action and the served model's score."""
    window = observer.bundle.manifest.window
    decisions = observer.decided(Window(window.judged_from_us, window.end_us))
    rng = np.random.default_rng(observer.params.seed)
    rows = np.arange(len(decisions))
    if len(rows) > _MOST_JUDGED:
        rows = np.sort(rng.choice(rows, _MOST_JUDGED, replace=False))
    matrix = observer.columns(decisions, rows)
    loss = binary_log_losses(observer.bundle.judged_response(matrix), decisions.response[rows])
    place = np.searchsorted(cuts, observer.bundle.predict_response(matrix), side="right")
    action = decisions.spine.action[rows]
    found = []
    for each in np.unique(action):
        for at in range(len(cuts) + 1):
            own = loss[(action == each) & (place == at)]
            if len(own) >= _LEAST_ROWS:
                found.append(
                    Stratum(
                        action=int(each), bin=at, rows=len(own), loss=float(own.sum()), squared=float((own**2).sum())
                    )
                )
    return tuple(found)


def _set_aside(source: Source) -> dict[str, float]:
    report = getattr(source, "report", None)
    return report.set_aside if isinstance(report, CheckReport) else {}


def with_profile(bundle: Bundle, source: Source, timeline: Timeline, params: Params, decisions: Decisions) -> Bundle:
    """The bundle with its profile, or as it is where the history is too short; the arguments are `learn_profile`'s."""
    profile = learn_profile(source, timeline, replace(bundle, threads=params.threads), params, decisions)
    return bundle if profile is None else bundle.with_profile(profile.model_dump_json())
