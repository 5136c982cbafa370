"""The jobs that turn input tables into a timeline and features; shows nothing."""

import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Final

from contract.delivery import Place
from contract.errors import DataError, UsageError
from contract.files import atomic_folder
from contract.intake import Intake, open_data
from contract.params import Params
from contract.progress import Progress
from features.engines import DuckdbEngine, EngineMaker
from features.events import Codebook
from features.export import write_customer_features
from features.growth import append_events
from features.matrix import learn_features
from features.sweep import prepare
from features.timeline import Timeline, build_timeline

DUCKDB: Final = "duckdb"
ENGINES: Final = (DUCKDB, "spark")
TIMELINE: Final = "timeline"
"""The timeline's folder in the output."""


@dataclass(frozen=True)
class FeaturesRequest:
    """Which tables, as of when, with which engine, into which folder.

    update: the interactions are new ones, and are added to the timeline that is in `out`.
    """

    data: Place
    out: Path
    as_of: datetime | None
    engine: str = DUCKDB
    update: bool = False


@contextmanager
def engine_called(name: str, params: Params) -> Iterator[EngineMaker]:
    """What makes engines of this name; a Spark session that it starts ends here.

    Raises:
        UsageError: There is no such engine, or what it needs is missing.
    """
    if name not in ENGINES:
        raise UsageError(f"--engine: found '{name}'; expected one of {', '.join(ENGINES)}")
    if name == DUCKDB:
        yield DuckdbEngine
        return
    from features.spark_engine import spark_engine

    with spark_engine(params.spark, sys.executable) as maker:
        yield maker


@contextmanager
def timeline_of(
    intake: Intake,
    params: Params,
    progress: Progress,
    codebook: Codebook | None,
    *,
    engine: EngineMaker = DuckdbEngine,
    beside: str | None = None,
) -> Iterator[Timeline]:
    """The timeline of an intake in a folder that goes when the job ends; its codes continue the codebook, if given.

    beside: where that folder is made, the temporary folder by default.
    """
    compiled(progress, prepare)
    with tempfile.TemporaryDirectory(prefix="channelwise-", dir=beside) as folder:
        target = Path(folder).resolve() / TIMELINE
        yield build_timeline(intake, params, target, codebook=codebook, progress=progress, engine=engine)


def run_features(request: FeaturesRequest, params: Params, progress: Progress, *, now: datetime | None = None) -> int:
    """Writes the timeline, every customer's features at as_of and their description; how many features there are.

    Raises:
        UsageError: The engine is not there, or adds no events to a timeline.
        DataError: With `update`, customers of the timeline are missing from the table of customers.
    """
    if request.update and request.engine != DUCKDB:
        raise UsageError(
            f"--update: adds events with the engine {DUCKDB}, found '{request.engine}'; a day needs no cluster: "
            "leave out --engine"
        )
    compiled(progress, prepare)
    with engine_called(request.engine, params) as maker, atomic_folder(request.out) as folder:
        intake = open_data(request.data, params, as_of=request.as_of, quarantine=None, now=now)
        target = folder / TIMELINE
        if request.update:
            timeline = append_events(intake, request.out / TIMELINE, params, into=target, progress=progress)
            _refuse_missing_customers(intake, timeline)
        else:
            timeline = build_timeline(intake, params, target, progress=progress, engine=maker)
        features = learn_features(intake, timeline, params)
        return write_customer_features(intake, timeline, features, params, folder, progress)


def compiled(progress: Progress, *prepares: Callable[[], None]) -> None:
    """Have kernels ready, and say so where that takes long: on the first command after an installation."""
    stage = "compiling (the first time only)"
    progress(stage, 0, 1)
    for each in prepares:
        each()
    progress(stage, 1, 1)


def _refuse_missing_customers(intake: Intake, timeline: Timeline) -> None:
    """Their demographics would seem unknown."""
    ((present,),) = intake.connection.execute("SELECT count(*) FROM customers").fetchall()
    if present < timeline.n_customers:
        raise DataError(
            f"customers: hold {present} of the {timeline.n_customers} customers of the timeline; with --update only "
            "interactions are partial; give customers, campaigns and consents whole"
        )
