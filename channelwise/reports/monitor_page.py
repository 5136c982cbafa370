"""A monitoring as one HTML page, for who watches a model in use; compares nothing."""

from collections.abc import Sequence

from channelwise.reports.monitor import finding_row, performance_words
from pages.page import Markup, eur, percent, render, whole
from pages.plots import Bar, bars, intervals
from serving.watching.findings import GROUPS, Finding, Monitoring, PlanFigures

Rows = list[tuple[str, ...]]
MOST_BARS = 20


def monitor_page(found: Monitoring) -> str:
    """The page's text; loads nothing from elsewhere."""
    moved = sorted((each for each in found.findings if each.group == "inputs"), key=lambda each: -each.effect)
    return render(
        "monitor.html.j2",
        title="What changed since training",
        found=found,
        key=_key_figures(found),
        alarms=[finding_row(each) for each in found.of("alarm")],
        watched=[finding_row(each) for each in found.of("watch")],
        moved_plot=_moved_plot(moved[:MOST_BARS]),
        calibration_plot=_calibration_plot(found),
        calibration_rows=_calibration_rows(found),
        performance=performance_words(found.performance) if found.performance else None,
        mix_rows=_rows(found, ("decisions",)),
        consent_rows=_rows(found, ("consent",)),
        activity_rows=_rows(found, ("activity", "hours", "tracking")),
        input_rows=_rows(found, ("inputs", "scores")),
        plan_rows=_plan_rows(found.plans),
        groups=[(GROUPS[group], _tally(found, group)) for group in GROUPS if _tally(found, group)],
    )


def _key_figures(found: Monitoring) -> Rows:
    alarms, watched = found.of("alarm"), found.of("watch")
    return [
        (whole(len(alarms)), f"alarms; the chance of any where nothing changed is at most {percent(found.level, 0)}"),
        (whole(len(watched)), "comparisons worth a look, which may be chance"),
        (whole(len(found.findings)), f"comparisons with {found.reference_periods} periods before training"),
        (whole(found.periods_since), f"periods of {found.period_days} days since training"),
        (whole(found.decisions), "decisions in the newest period"),
    ]


def _tally(found: Monitoring, group: str) -> str:
    every = [each for each in found.findings if each.group == group]
    if not every:
        return ""
    counts = {verdict: sum(each.verdict == verdict for each in every) for verdict in ("alarm", "watch")}
    return f"{len(every)} compared, {counts['alarm']} alarm, {counts['watch']} worth a look"


def _moved_plot(findings: Sequence[Finding]) -> Markup | None:
    if not findings:
        return None
    rows = [Bar(each.name, each.effect, f"{each.effect:.0%}", ours=each.verdict == "alarm") for each in findings]
    return bars(rows, "Columns that moved most: " + "; ".join(f"{row.name} {row.text}" for row in rows))


def _calibration_plot(found: Monitoring) -> Markup | None:
    if not found.calibration:
        return None
    rows = [
        Bar(
            each.action,
            each.observed - each.predicted,
            f"{percent(each.observed)} observed, {percent(each.predicted)} predicted",
            lower=each.lower - each.predicted,
            upper=each.upper - each.predicted,
            ours=not each.lower <= each.observed <= each.upper,
        )
        for each in found.calibration
    ]
    return intervals(rows, "Observed less predicted: " + "; ".join(f"{row.name} {row.text}" for row in rows))


def _calibration_rows(found: Monitoring) -> Rows:
    return [
        (
            each.action,
            whole(each.decisions),
            percent(each.predicted, 2),
            percent(each.observed, 2),
            f"{percent(each.lower, 2)} to {percent(each.upper, 2)}",
        )
        for each in found.calibration
    ]


def _rows(found: Monitoring, groups: Sequence[str]) -> Rows:
    """Every comparison of some groups, the surest first."""
    every = sorted((each for each in found.findings if each.group in groups), key=lambda each: (each.adjusted, each.p))
    return [(each.name, each.verdict, each.words, f"{each.adjusted:.2g}") for each in every]


def _plan_rows(plans: Sequence[PlanFigures]) -> Rows:
    rows: Rows = []
    for each in plans:
        prices = "; ".join(f"{name} {price:.3g} EUR" for name, price in each.prices.items()) or "no limit"
        mix = ", ".join(f"{name} {count / max(1, each.contacts):.0%}" for name, count in each.mix.items())
        moment = (each.as_of or "")[:10]
        rows.append((each.campaign_id or each.file, moment, whole(each.contacts), eur(each.net_eur, 0), prices, mix))
    return rows
