"""`channelwise features`: the timeline and every customer's features at a moment, as files."""

from pathlib import Path
from typing import Annotated

import typer

from channelwise.console import progress_bars, say
from channelwise.options import AsOf, Assignments, DataPlace, ParamsFiles, now, read_as_of, read_data, read_params


def features(
    data: DataPlace,
    out: Annotated[Path, typer.Option("--out", metavar="DIR", help="Where to write.")],
    as_of: AsOf = None,
    engine: Annotated[
        str, typer.Option("--engine", help="What joins and sorts the events: duckdb or spark.")
    ] = "duckdb",
    params: ParamsFiles = None,
    assignments: Assignments = None,
) -> None:
    """Write the sorted timeline, each customer's features at a moment, and what each feature means.

    Example: channelwise features --data shop/ --out features/ --as-of 2026-11-01
    """
    from channelwise.jobs.features import run_features

    settings = read_params(params, assignments)
    with progress_bars() as progress:
        columns = run_features(read_data(data), out, read_as_of(as_of), settings, progress, engine=engine, now=now())
    say(
        f"{out / 'features.parquet'}: {columns} features of each customer; {out / 'describe.csv'} says what each means."
    )
