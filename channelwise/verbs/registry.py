"""`channelwise promote` and `channelwise rollback`: which trained version serves; trains nothing."""

from typing import Annotated

import typer

from channelwise.console import say
from channelwise.options import Assignments, ParamsFiles, Registry, read_params


def promote(
    version: Annotated[
        int | None, typer.Option("--version", metavar="N", help="The version to promote. Default: the challenger.")
    ] = None,
    registry: Registry = None,
    params: ParamsFiles = None,
    assignments: Assignments = None,
) -> None:
    """Make a trained version the champion that `score` uses.

    Example: channelwise promote --version 3
    """
    from training.tracking import promote_version

    objective = read_params(params, assignments).objective
    say(promote_version(registry, version, objective))


def rollback(registry: Registry = None, params: ParamsFiles = None, assignments: Assignments = None) -> None:
    """Make the champion before this one the champion again.

    Example: channelwise rollback
    """
    from training.tracking import rollback_version

    objective = read_params(params, assignments).objective
    say(rollback_version(registry, objective))
