"""`channelwise train`: learn from the history, judge what was learned, and register it."""

from enum import StrEnum
from typing import Annotated

import typer

from channelwise.console import progress_bars, say
from channelwise.options import (
    DEFAULT_QUARANTINE,
    AsOf,
    Assignments,
    DataPlace,
    ParamsFiles,
    Quarantine,
    Registry,
    now,
    read_as_of,
    read_data,
    read_params,
)


class Profile(StrEnum):
    """Efforts of a training."""

    QUICK = "quick"
    DEFAULT = "default"
    THOROUGH = "thorough"


def train(
    data: DataPlace,
    as_of: AsOf = None,
    profile: Annotated[Profile, typer.Option("--profile", help="How much effort to spend.")] = Profile.DEFAULT,
    minutes: Annotated[
        float | None,
        typer.Option("--minutes", metavar="M", help="How long the search may take. Default: the profile's."),
    ] = None,
    registry: Registry = None,
    quarantine: Quarantine = DEFAULT_QUARANTINE,
    params: ParamsFiles = None,
    assignments: Assignments = None,
) -> None:
    """Train the models, judge them on held-out decisions, and register a bundle.

    Example: channelwise train --data shop/ --profile quick
    """
    from channelwise.jobs.train import TrainRequest, run_train
    from channelwise.reports.check import warn_of_quarantine
    from training.card import card_text

    timed = [] if minutes is None else [f"training.profiles.{profile.value}.timeout_minutes={minutes}"]
    settings = read_params(params, [*(assignments or ()), *timed])
    with progress_bars() as progress:
        summary = run_train(
            TrainRequest(read_data(data), read_as_of(as_of), profile.value, registry, quarantine),
            settings,
            progress,
            now=now(),
        )
    warn_of_quarantine(summary.report)
    say(card_text(summary.result.report))
    tracked = summary.tracked
    say(f"Model card, to be opened in a browser: {tracked.card}")
    say(f"{tracked.name} version {tracked.version} is the {tracked.alias}; run {tracked.run_id} in {tracked.registry}")
