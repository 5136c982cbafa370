"""`channelwise features`: the timeline and every customer's features at a moment, as files."""

from pathlib import Path
from typing import Annotated

import typer

from channelwise.console import progress_bars, say
from channelwise.options import AsOf, Assignments, DataFolder, ParamsFiles, now, read_as_of, read_params
from contract.errors import UsageError

ENGINES = ("duckdb",)
Update = Annotated[
    bool,
    typer.Option(
        "--update",
        help="Add to the timeline in --out instead of building it. Interactions in --data are then the new ones alone, "
        "late ones among them; customers, campaigns and consents are whole. An event that was added before is added "
        "once more: the timeline keeps no ids to tell.",
    ),
]


def features(
    data: DataFolder,
    out: Annotated[Path, typer.Option("--out", metavar="DIR", help="Where to write.")],
    as_of: AsOf = None,
    update: Update = False,
    engine: Annotated[str, typer.Option("--engine", help="What scans and sorts: duckdb.")] = "duckdb",
    params: ParamsFiles = None,
    assignments: Assignments = None,
) -> None:
    """Write the sorted timeline, each customer's features at a moment, and what each feature means.

    Example: channelwise features --data shop/ --out features/ --as-of 2026-11-01
    """
    from channelwise.jobs.features import run_features

    if engine not in ENGINES:
        raise UsageError(f"--engine: found '{engine}'; this version has {', '.join(ENGINES)}")
    settings = read_params(params, assignments)
    with progress_bars() as progress:
        columns = run_features(data, out, read_as_of(as_of), settings, progress, now=now(), update=update)
    say(
        f"{out / 'features.parquet'}: {columns} features of each customer; {out / 'describe.csv'} says what each means."
    )
