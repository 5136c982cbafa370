"""The job that trains: puts intake, features, training and registry together; shows nothing."""

import tempfile
from contextlib import closing
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from channelwise.jobs.features import timeline_of
from contract.delivery import Place
from contract.intake import open_data
from contract.params import Params
from contract.progress import Progress
from contract.report import CheckReport
from contract.stored import is_store
from features.events import Codebook
from features.matrix import FeatureSet
from models.bundle import Bundle
from serving.store import open_store
from training.pipeline import ProfileName, TrainingResult, train
from training.provenance import tables_used
from training.tracking import FOLDER, Tracked, champion_bundle, track


@dataclass(frozen=True)
class TrainRequest:
    """What to train on, how hard, and where the result goes."""

    data: Place
    as_of: datetime | None
    profile: ProfileName
    registry: str | None
    quarantine: Path | None


@dataclass(frozen=True)
class TrainSummary:
    """What a training found and where it is."""

    result: TrainingResult
    tracked: Tracked
    report: CheckReport


def run_train(
    request: TrainRequest, params: Params, progress: Progress, *, now: datetime | None = None
) -> TrainSummary:
    """Trains a model, logs and registers it; it serves if the gate lets it.

    Rows later than `now` cannot be, and are set aside.

    Raises:
        DataError: bad input, or too little of it to learn from.
        UsageError: the registry cannot be reached.
    """
    intake = open_data(request.data, params, as_of=request.as_of, quarantine=request.quarantine, now=now)
    champion = champion_bundle(request.registry, params.objective, params.threads)
    tables = tables_used(intake, intake.report.tables)
    with timeline_of(intake, params, progress, _codebook(request.data, champion, params)) as timeline:
        result = train(
            intake,
            timeline,
            params,
            request.profile,
            champion=champion,
            storage=Path.cwd() / FOLDER / "search.db",
            progress=progress,
        )
    with tempfile.TemporaryDirectory(prefix="channelwise-") as folder:
        bundle = Path(folder) / "bundle"
        result.bundle.save(bundle)
        tracked = track(result, bundle, params, request.profile, request.registry, tables)
    return TrainSummary(result, tracked, intake.report)


def _codebook(data: Place, champion: Bundle | None, params: Params) -> Codebook | None:
    """The numbers of codes that must stay: a store's, so that the model can serve from it, or else the champion's."""
    if isinstance(data, Path) and is_store(data):
        store = open_store(data, params)
        with closing(store.events), closing(store.log):
            return store.events.codebook
    return FeatureSet.from_json(champion.manifest.features).codebook if champion else None
