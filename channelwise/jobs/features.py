"""The jobs that turn input tables into a timeline and features; shows nothing."""

import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Final

from contract.delivery import Place
from contract.errors import UsageError
from contract.files import atomic_folder
from contract.intake import Intake, open_data
from contract.params import Params
from contract.progress import Progress
from features.engines import DuckdbEngine, EngineMaker
from features.export import write_customer_features
from features.matrix import FeatureSet, learn_features
from features.timeline import Timeline, build_timeline

ENGINES: Final = ("duckdb", "spark")


@contextmanager
def engine_called(name: str, params: Params) -> Iterator[EngineMaker]:
    """What makes engines of this name; a Spark session that it starts ends here.

    Raises:
        UsageError: There is no such engine, or what it needs is missing.
    """
    if name not in ENGINES:
        raise UsageError(f"--engine: found '{name}'; expected one of {', '.join(ENGINES)}")
    if name == "duckdb":
        yield DuckdbEngine
        return
    from features.spark_engine import spark_engine

    with spark_engine(params.spark, sys.executable) as maker:
        yield maker


@contextmanager
def timeline_of(intake: Intake, params: Params, progress: Progress, features: FeatureSet | None) -> Iterator[Timeline]:
    """The timeline of an intake in a folder that goes when the job ends; coded as `features`, if given."""
    with tempfile.TemporaryDirectory(prefix="channelwise-") as folder:
        codebook = features.codebook if features else None
        yield build_timeline(intake, params, Path(folder) / "timeline", codebook=codebook, progress=progress)


def run_features(
    data: Place,
    out: Path,
    as_of: datetime | None,
    params: Params,
    progress: Progress,
    *,
    engine: str = "duckdb",
    now: datetime | None = None,
) -> int:
    """Writes the timeline, every customer's features at as_of and their description into `out`; how many there are."""
    with engine_called(engine, params) as maker, atomic_folder(out) as folder:
        intake = open_data(data, params, as_of=as_of, quarantine=None, now=now)
        timeline = build_timeline(intake, params, folder / "timeline", progress=progress, engine=maker)
        features = learn_features(intake, timeline, params)
        return write_customer_features(intake, timeline, features, params, folder, progress)
