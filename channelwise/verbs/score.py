"""`channelwise score`: what each customer of an audience would do on each channel, before a send."""

from pathlib import Path
from typing import Annotated

import typer

from channelwise.console import progress_bars
from channelwise.options import Assignments, DataFolder, ParamsFiles, Registry, read_params, read_time


def score(
    data: DataFolder,
    audience: Annotated[Path, typer.Option("--audience", metavar="FILE", help="Who may be contacted.")],
    campaign: Annotated[str, typer.Option("--campaign", metavar="ID", help="The campaign to be sent.")],
    as_of: Annotated[
        str, typer.Option("--as-of", metavar="TIME", help="The moment of the send, ISO 8601; only the past is known.")
    ],
    out: Annotated[Path, typer.Option("--out", metavar="FILE", help="The scores, .parquet or .csv.")],
    model: Annotated[
        Path | None, typer.Option("--model", metavar="DIR", help="A bundle's folder, instead of the champion.")
    ] = None,
    registry: Registry = None,
    params: ParamsFiles = None,
    assignments: Assignments = None,
) -> None:
    """Score an audience: a row per customer and channel, and the engagement preference beside it.

    Example: channelwise score --data shop/ --audience shop/audience.csv --campaign SPRING --as-of 2026-11-23 --out s.csv
    """
    from channelwise.reports.scores import show_scores
    from channelwise.stages import run_score

    settings = read_params(params, assignments)
    moment = read_time(as_of)
    with progress_bars() as progress:
        summary = run_score(data, audience, campaign, moment, out, settings, progress, model=model, registry=registry)
    show_scores(summary)
