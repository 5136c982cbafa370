"""What a monitoring found, on the terminal; compares nothing."""

from pathlib import Path

from channelwise.console import say, show_table, warn
from pages.page import percent
from serving.watching.findings import Calibrated, Finding, Monitoring, Performance, Verdict

MOST_ROWS = 15


def show_monitoring(found: Monitoring, page: Path, json_file: Path) -> None:
    """The answer, what alarms, what is worth a look, calibration and what the loss will be."""
    say(
        f"{found.period_from[:10]} to {found.as_of[:10]} against {found.reference_periods} periods of "
        f"{found.period_days} days before {found.trained_until[:10]}, model {found.model_version}"
    )
    say(f"{found.answer()}\n")
    _show("Alarms", found, "alarm")
    _show("Worth a look", found, "watch")
    _show_calibration(found)
    if found.performance is not None:
        say(f"{performance_words(found.performance)}\n")
    for each in found.notes:
        warn(each)
    say(f"Page: {page} – open it in a browser\nReport: {json_file}")


def performance_words(each: Performance) -> str:
    """The estimates of the loss in a sentence."""
    parts = [f"{each.by_confidence:.4f} expected by the newest scores themselves"]
    if each.by_weighting is not None and each.weighting_error is not None:
        parts.append(
            f"{each.by_weighting:.4f} ± {each.weighting_error:.4f} by weighting what was judged before training"
        )
    if each.trained is not None:
        parts.append(f"{each.trained:.4f} judged before training")
    if each.observed is not None:
        parts.append(f"{each.observed:.4f} on the {each.observed_decisions:,} decisions that are over")
    return f"Log loss of the response: {'; '.join(parts)}."


def finding_row(each: Finding) -> tuple[str, str, str]:
    """Group, name and words of a finding."""
    return each.group, each.name, each.words


def _show(title: str, found: Monitoring, verdict: Verdict) -> None:
    every = found.of(verdict)
    if every:
        more = f" ({len(every) - MOST_ROWS} more on the page)" if len(every) > MOST_ROWS else ""
        show_table(f"{title}{more}", ("group", "what", "change"), [finding_row(each) for each in every[:MOST_ROWS]])


def _show_calibration(found: Monitoring) -> None:
    rows = [
        (*(each.action, f"{each.decisions:,}", percent(each.predicted), percent(each.observed)), _span(each))
        for each in found.calibration
    ]
    if rows:
        header = ("action", "decisions", "predicted", "observed", "should lie between")
        show_table("Responses of decisions that are over", header, rows)


def _span(each: Calibrated) -> str:
    return f"{percent(each.lower)} and {percent(each.upper)}"
