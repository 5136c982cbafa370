"""From a served model and what happened since its training to what changed: puts the comparisons together in order."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import numpy as np

from contract.errors import ArtefactError, UsageError
from contract.params import Params
from contract.progress import Progress
from features.activity import Periods
from features.events import US_PER_DAY
from models.bundle import PROFILE, Bundle
from models.observation import Observer, Sample
from models.profile import Profile, read_profile
from serving.watching.calibration import calibrated_rates, compare_calibration
from serving.watching.comparing import Past, compare_columns, compare_figures, compare_hours, figure_groups
from serving.watching.findings import FORMAT, Finding, Monitoring, Performance, PlanFigures
from serving.watching.performance import estimate_performance
from serving.watching.plans import LEAST_PLANS, compare_plans
from serving.watching.tracking import compare_tracking

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_STAGES = 3


@dataclass(frozen=True)
class Beside:
    """What is watched beside the data: plans, and the share of each table's rows that the check set aside."""

    plans: tuple[PlanFigures, ...] = ()
    set_aside: dict[str, float] | None = None


def trained_profile(bundle: Bundle) -> Profile:
    """The profile of a bundle.

    Raises:
        ArtefactError: it has none.
    """
    if PROFILE not in bundle.texts:
        raise ArtefactError(
            f"model {bundle.model_version}: holds no profile to compare with: it was trained by an earlier version "
            "or on fewer than four periods of monitor.period_days; train again, on more history or shorter periods"
        )
    return read_profile(bundle.texts[PROFILE])


def monitor(observer: Observer, params: Params, beside: Beside, progress: Progress) -> Monitoring:
    """Compares the period that ends with the observer's timeline with those before training.

    Raises:
        ArtefactError: the bundle has no profile.
        UsageError: nothing happened since training.
    """
    profile = trained_profile(observer.bundle)
    progress("monitor", 0, _STAGES)
    until = observer.timeline.window.until_us
    trained = profile.periods[-1].end_us
    if until < trained + US_PER_DAY:
        raise UsageError(
            f"--as-of {_text(until)}: is not a day after the end of the training data, {_text(trained)}; give a later "
            "moment, or data that reach further"
        )
    periods = Periods(until, profile.period_days, 1)
    sample = observer.sample(periods)
    progress("monitor", 1, _STAGES)
    (newest,) = observer.seen(periods, sample, profile.binnings)
    length = profile.period_days * US_PER_DAY
    past = Past(profile, newest, max(1, round((until - trained) / length)), params.monitor)
    progress("monitor", 2, _STAGES)
    actions = ("no contact", *params.outbound)
    error = observer.bundle.manifest.forecast_error
    rates = calibrated_rates(past, sample, error, actions, params.planning.interval)
    found: list[Finding] = compare_tracking(past, params)
    if len(sample.rows):
        found += compare_columns(past)
    found += [*compare_hours(past), *compare_figures(past, figure_groups(past)), *compare_calibration(past, error)]
    found += compare_plans(past, beside.plans)
    progress("monitor", _STAGES, _STAGES)
    return Monitoring(
        format=FORMAT,
        model_version=observer.bundle.model_version,
        trained_until=_text(trained),
        period_from=_text(newest.start_us),
        as_of=_text(until),
        period_days=profile.period_days,
        periods_since=past.lag,
        reference_periods=len(profile.periods),
        level=params.monitor.level,
        decisions=len(sample.decisions),
        findings=tuple(found),
        calibration=tuple(rates),
        performance=_performance(sample, profile),
        plans=beside.plans,
        rare=tuple(sorted(newest.figures.keys() - {each.name for each in found})),
        notes=tuple(_notes(past, sample, beside)),
    )


def _performance(sample: Sample, profile: Profile) -> Performance | None:
    return estimate_performance(sample, profile) if len(sample.rows) else None


def _notes(past: Past, sample: Sample, beside: Beside) -> list[str]:
    """What limits the answer."""
    notes = []
    profile = past.profile
    overlap = (profile.periods[-1].end_us - past.newest.start_us) / US_PER_DAY
    if overlap >= 1:
        notes.append(
            f"{overlap:.0f} of the {profile.period_days} days lie before the end of training: a change shows late"
        )
    if past.pairs[0][1] < past.lag:
        notes.append(
            f"training is {past.lag} periods ago, further than the {len(profile.periods)} periods before it tell: what "
            "moved slowly may alarm; train again"
        )
    if not len(sample.rows):
        notes.append("the period has no decision: columns, scores and calibration are not compared")
    elif not np.any(sample.known):
        notes.append("no decision of the period is over, so calibration is not compared; raise monitor.period_days")
    if 0 < len(beside.plans) < LEAST_PLANS:
        notes.append(f"{len(beside.plans)} plans are shown, not tested: that takes {LEAST_PLANS}")
    for table, share in (beside.set_aside or {}).items():
        before = profile.set_aside.get(table, 0.0)
        if share > before + 0.001:
            notes.append(
                f"the check set aside {share:.2%} of the rows of {table}, {before:.2%} at training; run `check`"
            )
    return notes


def _text(time_us: int) -> str:
    return (_EPOCH + timedelta(microseconds=time_us)).isoformat()
