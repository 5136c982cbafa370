"""The jobs that turn input tables into a timeline and features; shows nothing."""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path

from contract.files import atomic_folder
from contract.intake import Intake, open_data
from contract.params import Params
from contract.progress import Progress
from features.export import write_customer_features
from features.matrix import FeatureSet, learn_features
from features.timeline import Timeline, build_timeline


@contextmanager
def timeline_of(intake: Intake, params: Params, progress: Progress, features: FeatureSet | None) -> Iterator[Timeline]:
    """The timeline of an intake in a folder that goes when the job ends; coded as `features`, if given."""
    with tempfile.TemporaryDirectory(prefix="channelwise-") as folder:
        codebook = features.codebook if features else None
        yield build_timeline(intake, params, Path(folder) / "timeline", codebook=codebook, progress=progress)


def run_features(
    data: Path, out: Path, as_of: datetime | None, params: Params, progress: Progress, *, now: datetime | None = None
) -> int:
    """Writes the timeline, every customer's features at as_of and their description into `out`; how many there are."""
    intake = open_data(data, params, as_of=as_of, quarantine=None, now=now)
    with atomic_folder(out) as folder:
        timeline = build_timeline(intake, params, folder / "timeline", progress=progress)
        features = learn_features(intake, timeline, params)
        return write_customer_features(intake, timeline, features, params, folder, progress)
