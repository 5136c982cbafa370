"""`channelwise plan`: from a scores file to whom to contact on which channel, within every limit."""

from pathlib import Path
from typing import Annotated

import typer

from channelwise.console import progress_bars
from channelwise.options import Assignments, ParamsFiles, read_limits, read_params


def plan(
    scores: Annotated[
        list[Path],
        typer.Option("--scores", metavar="FILE", help="What `channelwise score` wrote; once per campaign."),
    ],
    out: Annotated[Path, typer.Option("--out", metavar="FILE", help="The plan, .parquet or .csv.")],
    budget: Annotated[
        float | None, typer.Option("--budget", metavar="EUR", help="Cost of all contacts at most.")
    ] = None,
    capacity: Annotated[
        list[str] | None, typer.Option("--capacity", metavar="CHANNEL=N", help="Contacts at most; may be repeated.")
    ] = None,
    minimum: Annotated[
        list[str] | None, typer.Option("--minimum", metavar="CHANNEL=N", help="Contacts at least; may be repeated.")
    ] = None,
    groups: Annotated[
        Path | None,
        typer.Option(
            "--groups", metavar="FILE", help="customer_id and the columns that planning.limits names, Parquet or CSV."
        ),
    ] = None,
    prices: Annotated[
        Path | None,
        typer.Option("--prices", metavar="FILE", help="NAME.prices.json of an earlier plan, to start from."),
    ] = None,
    last_plan: Annotated[
        Path | None, typer.Option("--last-plan", metavar="FILE", help="An earlier plan; says who moved since, and why.")
    ] = None,
    record: Annotated[
        Path | None,
        typer.Option(
            "--record",
            metavar="DIR",
            help="The folder of tables, or the store, whose next training is to know what was decided here.",
        ),
    ] = None,
    params: ParamsFiles = None,
    assignments: Assignments = None,
) -> None:
    """Choose a channel, or none, for each customer of a scores file, or of several campaigns' that compete for them.

    Example: channelwise plan --scores scores.parquet --out plan.parquet --budget 500 --capacity phone=100
    """
    from channelwise.reports.plan import show_plan, show_recorded
    from channelwise.reports.plan_page import plan_page
    from serving.limits import limits_of
    from serving.plan import PlanOptions, Request, make_plan
    from serving.recording import record_plan, require_recordable

    settings = read_params(params, assignments)
    capacities, minimums = read_limits("--capacity", capacity), read_limits("--minimum", minimum)
    limits = limits_of(settings, budget, capacities, minimums)
    if record is not None:
        require_recordable(record, settings)
    with progress_bars() as progress:
        request = Request(tuple(scores), groups, prices)
        result = make_plan(request, out, settings, limits, PlanOptions(progress, last_plan, plan_page))
    show_plan(result)
    if record is not None:
        show_recorded(record_plan(result.plan, result.propensities, record))
