"""The jobs that turn input tables into a timeline and features; shows nothing."""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Final

from contract.errors import DataError
from contract.files import atomic_folder
from contract.intake import Intake, open_data
from contract.params import Params
from contract.progress import Progress
from features.export import write_customer_features
from features.growth import append_events
from features.matrix import FeatureSet, learn_features
from features.timeline import Timeline, build_timeline

TIMELINE: Final = "timeline"
"""The timeline's folder in the output."""


@contextmanager
def timeline_of(intake: Intake, params: Params, progress: Progress, features: FeatureSet | None) -> Iterator[Timeline]:
    """The timeline of an intake in a folder that goes when the job ends; coded as `features`, if given."""
    with tempfile.TemporaryDirectory(prefix="channelwise-") as folder:
        codebook = features.codebook if features else None
        yield build_timeline(intake, params, Path(folder) / TIMELINE, codebook=codebook, progress=progress)


def run_features(
    data: Path,
    out: Path,
    as_of: datetime | None,
    params: Params,
    progress: Progress,
    *,
    now: datetime | None = None,
    update: bool = False,
) -> int:
    """Writes the timeline, every customer's features at as_of and their description into `out`; how many there are.

    With `update`, the interactions in `data` are new ones and are added to the timeline that is in `out`.

    Raises:
        DataError: With `update`, customers of the timeline are missing from the table of customers.
    """
    intake = open_data(data, params, as_of=as_of, quarantine=None, now=now)
    with atomic_folder(out) as folder:
        target = folder / TIMELINE
        if update:
            timeline = append_events(intake, out / TIMELINE, params, into=target, progress=progress)
            _refuse_missing_customers(intake, timeline)
        else:
            timeline = build_timeline(intake, params, target, progress=progress)
        features = learn_features(intake, timeline, params)
        return write_customer_features(intake, timeline, features, params, folder, progress)


def _refuse_missing_customers(intake: Intake, timeline: Timeline) -> None:
    """Their demographics would seem unknown."""
    ((present,),) = intake.connection.execute("SELECT count(*) FROM customers").fetchall()
    if present < timeline.n_customers:
        raise DataError(
            f"customers: hold {present} of the {timeline.n_customers} customers of the timeline; with --update only "
            "interactions are partial; give customers, campaigns and consents whole"
        )
