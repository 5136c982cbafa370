"""What a check says, on the terminal; checks nothing."""

import json

from channelwise.console import say, warn
from contract.report import CheckReport, Severity


def show_check(report: CheckReport, *, as_json: bool) -> None:
    """The whole report on standard output."""
    say(json.dumps(report.as_json(), indent=2, ensure_ascii=False) if as_json else report.text())


def warn_of_quarantine(*reports: CheckReport) -> None:
    """Rows that a job set aside, on standard error, so that none is lost silently."""
    for report in reports:
        for fault in report.of(Severity.QUARANTINED):
            warn(f"quarantined: {fault.text()}")
