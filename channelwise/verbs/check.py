"""`channelwise check`: everything that is wrong with the input tables, in one report; changes nothing."""

from json import dumps
from pathlib import Path
from typing import Annotated

import typer

from channelwise.console import say
from channelwise.options import AsOf, Assignments, DataFolder, ParamsFiles, read_params, read_time
from contract.errors import DataError


def check(
    data: DataFolder,
    as_of: AsOf = None,
    json: Annotated[bool, typer.Option("--json", help="The report as JSON.")] = False,
    quarantine: Annotated[
        Path | None, typer.Option("--quarantine", metavar="DIR", help="Write the quarantined rows here.")
    ] = None,
    params: ParamsFiles = None,
    assignments: Assignments = None,
) -> None:
    """Report all faults of all input tables at once.

    Example: channelwise check --data shop/
    """
    from contract.intake import check_data

    report = check_data(data, read_params(params, assignments), as_of=read_time(as_of), quarantine=quarantine)
    say(dumps(report.as_json(), indent=2, ensure_ascii=False) if json else report.text())
    if report.fatal:
        raise typer.Exit(DataError.exit_code)
