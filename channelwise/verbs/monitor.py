"""`channelwise monitor`: what changed since the served model was trained; changes and trains nothing."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from channelwise.console import progress_bars
from channelwise.options import (
    DEFAULT_QUARANTINE,
    AsOf,
    Assignments,
    DataPlace,
    ParamsFiles,
    Quarantine,
    Registry,
    now,
    read_as_of,
    read_data,
    read_params,
)
from contract.errors import RefusedError


class FailOn(StrEnum):
    """Verdicts from which on the command refuses."""

    NEVER = "never"
    ALARM = "alarm"
    WATCH = "watch"


def monitor(
    data: DataPlace,
    out: Annotated[Path, typer.Option("--out", metavar="FILE", help="The page, NAME.html; NAME.json lies beside it.")],
    as_of: AsOf = None,
    model: Annotated[
        Path | None, typer.Option("--model", metavar="DIR", help="A bundle's folder, instead of the champion.")
    ] = None,
    registry: Registry = None,
    plan: Annotated[
        list[Path] | None,
        typer.Option("--plan", metavar="JSON", help="The report NAME.json of a plan; may be repeated, in any order."),
    ] = None,
    fail_on: Annotated[
        FailOn,
        typer.Option("--fail-on", help="From which verdict on to exit with 4; the page is written anyway."),
    ] = FailOn.NEVER,
    quarantine: Quarantine = DEFAULT_QUARANTINE,
    params: ParamsFiles = None,
    assignments: Assignments = None,
) -> None:
    """Compare the newest period with those before training: inputs, scores, decisions, consents, calibration, tracking.

    Example: channelwise monitor --data shop/ --out monitor.html --fail-on alarm
    """
    from channelwise.jobs.monitor import MonitorRequest, run_monitor
    from channelwise.jobs.score import serving_bundle
    from channelwise.reports.check import warn_of_quarantine
    from channelwise.reports.monitor import show_monitoring
    from channelwise.reports.monitor_page import monitor_page

    settings = read_params(params, assignments)
    request = MonitorRequest(read_data(data), read_as_of(as_of), out, quarantine, tuple(plan or ()))
    with progress_bars() as progress:
        bundle = serving_bundle(model, registry, settings)
        found, report = run_monitor(request, bundle, settings, monitor_page, progress, now=now())
    warn_of_quarantine(report)
    show_monitoring(found, request.out, request.json)
    refused = {FailOn.NEVER: (), FailOn.ALARM: ("alarm",), FailOn.WATCH: ("alarm", "watch")}[fail_on]
    if found.verdict in refused:
        raise typer.Exit(RefusedError.exit_code)
