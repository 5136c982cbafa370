"""`channelwise check`: everything that is wrong with the input tables, in one report; changes nothing."""

from typing import Annotated

import typer

from channelwise.options import (
    DEFAULT_QUARANTINE,
    AsOf,
    Assignments,
    DataPlace,
    ParamsFiles,
    Quarantine,
    now,
    read_as_of,
    read_data,
    read_params,
)
from contract.errors import DataError


def check(
    data: DataPlace,
    as_of: AsOf = None,
    json: Annotated[bool, typer.Option("--json", help="The report as JSON.")] = False,
    quarantine: Quarantine = DEFAULT_QUARANTINE,
    params: ParamsFiles = None,
    assignments: Assignments = None,
) -> None:
    """Report all faults of all input tables at once.

    Example: channelwise check --data shop/
    """
    from channelwise.reports.check import show_check
    from contract.intake import check_data

    settings = read_params(params, assignments)
    report = check_data(read_data(data), settings, as_of=read_as_of(as_of), quarantine=quarantine, now=now())
    show_check(report, as_json=json)
    if report.fatal:
        raise typer.Exit(DataError.exit_code)
