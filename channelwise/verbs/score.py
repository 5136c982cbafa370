"""`channelwise score`: what each customer of an audience would do on each channel, before a send."""

from pathlib import Path
from typing import Annotated

import typer

from channelwise.console import progress_bars
from channelwise.options import (
    DEFAULT_QUARANTINE,
    Assignments,
    DataPlace,
    ParamsFiles,
    Quarantine,
    Registry,
    now,
    read_data,
    read_params,
    read_time,
)


def score(
    data: DataPlace,
    audience: Annotated[Path, typer.Option("--audience", metavar="FILE", help="Who may be contacted.")],
    campaign: Annotated[str, typer.Option("--campaign", metavar="ID", help="The campaign to be sent.")],
    as_of: Annotated[
        str, typer.Option("--as-of", metavar="TIME", help="The moment of the send, ISO 8601; only the past is known.")
    ],
    out: Annotated[
        str,
        typer.Option("--out", metavar="FILE", help="The scores, .parquet, .csv or .duckdb; or postgresql://…"),
    ],
    model: Annotated[
        Path | None, typer.Option("--model", metavar="DIR", help="A bundle's folder, instead of the champion.")
    ] = None,
    explain: Annotated[
        int,
        typer.Option("--explain", metavar="N", min=0, help="Also write the N strongest reasons for each score."),
    ] = 0,
    registry: Registry = None,
    engine: Annotated[str, typer.Option("--engine", help="What sorts and scores: duckdb or spark.")] = "duckdb",
    planned: Annotated[
        list[Path] | None,
        typer.Option(
            "--planned",
            metavar="FILE",
            help="An earlier plan whose contacts count in contact policies until they are sent; may be repeated.",
        ),
    ] = None,
    all_reasons: Annotated[
        bool, typer.Option("--all-reasons", help="Name every rule that refuses, in NAME.eligibility.SUFFIX.")
    ] = False,
    quarantine: Quarantine = DEFAULT_QUARANTINE,
    params: ParamsFiles = None,
    assignments: Assignments = None,
) -> None:
    """Score an audience: a row per customer and channel, and the engagement preference beside it.

    Example: channelwise score --data shop/ --audience ids.csv --campaign SPRING --as-of 2026-11-23 --out scores.csv
    """
    from channelwise.jobs.score import ScoreRequest, run_score, serving_bundle
    from channelwise.reports.scores import show_scores

    settings = read_params(params, assignments)
    request = ScoreRequest(
        read_data(data),
        audience,
        campaign,
        read_time(as_of),
        read_data(out),
        quarantine,
        tuple(planned or ()),
        all_reasons,
        explain,
        engine,
    )
    with progress_bars() as progress:
        summary = run_score(request, serving_bundle(model, registry, settings), settings, progress, now=now())
    show_scores(summary)
