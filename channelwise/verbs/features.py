"""`channelwise features`: the timeline and every customer's features at a moment, as files; or what each means."""

from pathlib import Path
from typing import Annotated

import typer

from channelwise.console import progress_bars, say
from channelwise.options import AsOf, Assignments, ParamsFiles, now, read_as_of, read_data, read_params
from contract.errors import UsageError
from contract.files import atomic_file
from contract.params import Params

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
    data: Annotated[
        str | None,
        typer.Option(
            "--data",
            metavar="DIR|URL",
            help="Folder, DuckDB file or postgresql:// address that holds the input tables.",
        ),
    ] = None,
    out: Annotated[Path | None, typer.Option("--out", metavar="DIR", help="Where to write.")] = None,
    as_of: AsOf = None,
    update: Update = False,
    engine: Annotated[
        str, typer.Option("--engine", help="What joins and sorts the events: duckdb or spark.")
    ] = "duckdb",
    describe: Annotated[
        bool,
        typer.Option(
            "--describe",
            help="Say what each feature means instead; needs no data. --out FILE.html (or .json) writes it.",
        ),
    ] = False,
    params: ParamsFiles = None,
    assignments: Assignments = None,
) -> None:
    """Write the sorted timeline, each customer's features at a moment, and what each feature means.

    Example: channelwise features --data shop/ --out features/ --as-of 2026-11-01
    """
    settings = read_params(params, assignments)
    if describe:
        _describe(settings, out)
        return
    if data is None or out is None:
        raise UsageError("features: --data and --out are needed; or --describe, which says what each feature means")
    from channelwise.jobs.features import FeaturesRequest, run_features

    request = FeaturesRequest(read_data(data), out, read_as_of(as_of), engine, update)
    with progress_bars() as progress:
        columns = run_features(request, settings, progress, now=now())
    say(
        f"{out / 'features.parquet'}: {columns} features of each customer; {out / 'describe.csv'} says what each means."
    )


def _describe(params: Params, out: Path | None) -> None:
    from channelwise.reports.features import features_page, show_features
    from features.description import as_json, describe_features

    words = describe_features(params)
    if out is None:
        show_features(words)
        return
    texts = {".html": features_page, ".json": as_json}
    if out.suffix not in texts:
        raise UsageError(f"--out {out}: found the suffix '{out.suffix}'; with --describe expected .html or .json")
    with atomic_file(out) as target:
        target.write_text(texts[out.suffix](words), encoding="utf-8")
    say(f"{out}: what each of {len(words)} features means.")
