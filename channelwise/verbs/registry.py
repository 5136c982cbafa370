"""`channelwise promote` and `channelwise rollback`: which trained version serves; trains nothing."""

from typing import Annotated

import typer

from channelwise.console import say
from channelwise.options import Assignments, ParamsFiles, Registry, now, read_params

Reason = Annotated[str | None, typer.Option("--reason", metavar="TEXT", help="Why, kept in MLflow beside the moment.")]


def promote(
    version: Annotated[
        int | None, typer.Option("--version", metavar="N", help="The version to promote. Default: the challenger.")
    ] = None,
    reason: Reason = None,
    registry: Registry = None,
    params: ParamsFiles = None,
    assignments: Assignments = None,
) -> None:
    """Make a trained version the champion that `score` uses.

    Example: channelwise promote --version 3 --reason "the old one does not know the new shop"
    """
    from training.tracking import UNEXPLAINED, Change, promote_version

    objective = read_params(params, assignments).objective
    say(promote_version(registry, version, objective, Change(reason or UNEXPLAINED, now())))


def rollback(
    reason: Reason = None,
    registry: Registry = None,
    params: ParamsFiles = None,
    assignments: Assignments = None,
) -> None:
    """Make the champion before this one the champion again.

    Example: channelwise rollback --reason "complaints since Monday"
    """
    from training.tracking import UNEXPLAINED, Change, rollback_version

    objective = read_params(params, assignments).objective
    say(rollback_version(registry, objective, Change(reason or UNEXPLAINED, now())))
