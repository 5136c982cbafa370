"""The job that watches a served model: puts intake, history and comparisons together and writes what they found."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from channelwise.jobs.features import timeline_of
from contract.delivery import Place
from contract.errors import UsageError
from contract.files import atomic_group
from contract.intake import open_data
from contract.params import Params
from contract.progress import Progress
from contract.report import CheckReport
from features.engines import Window
from features.matrix import FeatureSet
from features.spine import Decisions, decision_spine
from models.bundle import Bundle
from models.observation import Observer
from serving.watching.findings import Monitoring
from serving.watching.monitoring import Beside, monitor, trained_profile
from serving.watching.plans import read_plans


@dataclass(frozen=True)
class MonitorRequest:
    """Which data, up to which moment (None: their end), beside which plans' reports, into which page NAME.html."""

    data: Place
    as_of: datetime | None
    out: Path
    quarantine: Path | None
    plans: tuple[Path, ...] = ()

    @property
    def json(self) -> Path:
        """The same for programs, beside the page."""
        return self.out.with_suffix(".json")


def run_monitor(
    request: MonitorRequest,
    bundle: Bundle,
    params: Params,
    page: Callable[[Monitoring], str],
    progress: Progress,
    *,
    now: datetime | None = None,
) -> tuple[Monitoring, CheckReport]:
    """Compares the newest period with those before the bundle's training, and writes page and JSON.

    Raises:
        ArtefactError: the bundle has no profile.
        DataError: bad input, or a plan's report that is none.
        UsageError: the page is to be no .html, or the data end before the training's.
    """
    if request.out.suffix != ".html":
        raise UsageError(f"--out: found '{request.out}'; expected a page NAME.html; NAME.json is written beside it")
    trained_profile(bundle)
    plans = read_plans(request.plans)
    intake = open_data(request.data, params, as_of=request.as_of, quarantine=request.quarantine, now=now)
    codebook = FeatureSet.from_json(bundle.manifest.features).codebook
    with timeline_of(intake, params, progress, codebook) as timeline:

        def decided(window: Window) -> Decisions:
            return decision_spine(intake, timeline, params, only=window)

        observer = Observer(intake, timeline, bundle, params, params.monitor.rows, decided)
        found = monitor(observer, params, Beside(plans, intake.report.set_aside), progress)
    with atomic_group([request.json, request.out]) as (json_file, page_file):
        json_file.write_text(found.as_json(), encoding="utf-8")
        page_file.write_text(page(found), encoding="utf-8")
    return found, intake.report
