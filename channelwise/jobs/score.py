"""The job that scores an audience: puts intake, features and serving together; shows nothing and trains nothing."""

import hashlib
import json
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from time import perf_counter, thread_time
from typing import Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from channelwise.jobs.features import DUCKDB, compiled, engine_called, timeline_of
from contract.delivery import Place
from contract.errors import ArtefactError, DataError, UsageError
from contract.intake import Intake, open_audience, open_data
from contract.params import Params
from contract.progress import Progress
from contract.report import CheckReport
from contract.stages import Stages
from features.permission import unprofiled_customers
from features.spine import category_of
from features.timeline import Timeline, kept_window
from models.bundle import Bundle, load_bundle
from models.evidence import Evidence
from models.forest import prepare
from serving.audience import Audience
from serving.batch import WRITING, Asked, BlockScorer, Counts, Made, by_threads, write_scores
from serving.eligibility import Eligibility
from serving.eligibility_files import Beside, Refusals, eligibility_beside
from serving.explanations import Explainer, write_explanations
from serving.explanations import beside as explanations_beside
from serving.opt_outs import opt_out_rates
from serving.outlook import Outlook, outlook_file
from serving.outputs import Outputs
from serving.part_files import PartFiles, workshop
from serving.scorer import Scorer
from serving.scores import Stamp

AUDIENCE: Final = "audience.parquet"
"""The sorted audience, in the hidden folder of the output."""
EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True)
class ScoreRequest:
    """What to score: an audience file, for a campaign, at a moment (UTC), into `out`.

    planned: earlier plans whose contacts count until they are sent. all_reasons: whether every refusal is named.
    explain: how many reasons for each score are written beside them; 0 for none. engine: what sorts and scores.
    """

    data: Place
    audience: Path
    campaign_id: str
    as_of: datetime
    out: Place
    quarantine: Path | None
    planned: tuple[Path, ...] = ()
    all_reasons: bool = False
    explain: int = 0
    engine: str = DUCKDB


@dataclass(frozen=True)
class Cost:
    """What a scoring took once the timeline was there: CPU seconds by stage, wall seconds, threads."""

    stages: dict[str, float]
    wall_s: float
    threads: int


@dataclass(frozen=True)
class ScoreSummary:
    """What a scoring found; `notes` are the remarks of the checks."""

    outputs: Outputs
    eligibility: Beside
    refusals: Refusals
    counts: Counts
    cost: Cost
    eligible: dict[str, int]
    evidence: tuple[Evidence, ...]
    model_version: str
    reports: tuple[CheckReport, ...]
    explanations: Path | None = None


def serving_bundle(model: Path | None, registry: str | None, params: Params) -> Bundle:
    """The bundle in the folder `model`, or else the registry's champion for the objective.

    Raises:
        UsageError: neither is there.
        ArtefactError: it is damaged.
    """
    if model is not None:
        return load_bundle(model, params.threads)
    # A bundle in a folder needs no registry: only here does scoring meet MLflow, through training.tracking.
    from training.tracking import champion_bundle

    champion = champion_bundle(registry, params.objective, params.threads)
    if champion is None:
        raise UsageError(
            f"no champion for objective '{params.objective}' in {registry or 'the registry .channelwise/ here'}; run "
            "`channelwise train` first, or give --model DIR or --registry URI"
        )
    return champion


def run_score(
    request: ScoreRequest, bundle: Bundle, params: Params, progress: Progress, *, now: datetime | None = None
) -> ScoreSummary:
    """Scores an audience with a bundle and writes both files; rows later than `now` cannot be.

    Raises:
        DataError: bad input, or a campaign that is not in the data.
        ArtefactError: the bundle was trained on other channels than the parameters declare.
    """
    outputs = Outputs.of(request.out)
    _require_channels(bundle, params)
    intake = open_data(request.data, params, as_of=request.as_of, quarantine=request.quarantine, now=now)
    report = open_audience(intake.connection, request.audience, params, quarantine=request.quarantine)
    category = _campaign_category(intake, request.campaign_id)
    compiled(progress, prepare)
    scorer = Scorer.of(bundle, params.planning.interval)
    stages = Stages(thread_time)
    scratch = None if request.engine == DUCKDB else params.spark.scratch
    rule = Eligibility(
        intake.connection,
        params,
        request.as_of,
        request.campaign_id,
        planned=request.planned,
        audience=_audience_ids(intake),
    )
    size = params.resources.block_customers
    with (
        engine_called(request.engine, params) as maker,
        timeline_of(intake, params, progress, scorer.features.codebook, engine=maker, beside=scratch) as timeline,
        eligibility_beside(outputs.beside, rule, size, progress, request.all_reasons, params.threads) as refusals,
        workshop(outputs.work) as folder,
    ):
        block = _block_scorer(scorer, timeline, intake, rule, request, category, params, stages)
        audience = Audience.sorted_into(folder / AUDIENCE, intake.connection, size)
        files = PartFiles(folder, outputs.targets(folder), _key(block, params))
        began = perf_counter()
        write_scores(block, audience, files, size, _mapped(request.engine, block, files, params), progress)
        with stages(WRITING):
            outlook = _outlook(bundle, intake, block.stamp, params).as_json()
            files.finish({outlook_file(outputs.beside): outlook})
            outputs.deliver(folder)
        cost = Cost(dict(stages.seconds), perf_counter() - began, params.threads)
        if request.explain:
            explainer = Explainer.of(bundle, scorer.features, request.explain)
            explained = partial(_explained, block, explainer)
            write_explanations(audience, size, explained, explanations_beside(outputs.beside), progress)
    return ScoreSummary(
        outputs=outputs,
        eligibility=Beside.of(outputs.beside),
        refusals=refusals,
        counts=block.counts,
        cost=cost,
        eligible=dict(zip(params.outbound, block.counts.eligible.tolist(), strict=True)),
        evidence=bundle.manifest.evidence,
        model_version=bundle.model_version,
        reports=(intake.report, report),
        explanations=explanations_beside(outputs.beside) if request.explain else None,
    )


def _mapped(
    engine: str, block: BlockScorer, files: PartFiles, params: Params
) -> Callable[[Iterable[Asked]], Iterator[Made]]:
    """What scores parts with the engine; Spark's session is the one that sorted."""
    if engine == DUCKDB:
        return by_threads(block, files, params.threads)
    from features.spark_engine import running_session
    from serving.spark_scoring import spark_mapped

    return spark_mapped(running_session(), block.timeline.folder.parent, block, files.suffix)


def _block_scorer(
    scorer: Scorer,
    timeline: Timeline,
    intake: Intake,
    rule: Eligibility,
    request: ScoreRequest,
    category: str | None,
    params: Params,
    stages: Stages,
) -> BlockScorer:
    return BlockScorer(
        scorer=scorer,
        timeline=timeline,
        customers=scorer.features.demographic.table(intake, timeline),
        unprofiled=unprofiled_customers(intake.connection, timeline.ids),
        rule=rule,
        costs=np.array([params.channels[name].unit_cost for name in params.outbound]),
        stamp=Stamp(request.campaign_id, kept_window(request.as_of, params).until_us, scorer.bundle.model_version),
        category=category_of(timeline.codebook, category),
        stages=stages,
    )


def _explained(block: BlockScorer, explainer: Explainer, ids: npt.NDArray[np.object_]) -> pa.Table:
    return explainer.table(ids, block.rows(ids), block.stamp)


def _key(block: BlockScorer, params: Params) -> str:
    """Digest of what every part of a scoring depends on; threads change nothing."""
    settings = params.model_dump(mode="json", exclude={"threads"})
    known = [block.timeline.fingerprint, vars(block.stamp), block.category, block.customers.names, settings]
    return hashlib.sha256(json.dumps(known, sort_keys=True).encode()).hexdigest()


def _outlook(bundle: Bundle, intake: Intake, stamp: Stamp, params: Params) -> Outlook:
    manifest = bundle.manifest
    as_of = EPOCH + timedelta(microseconds=stamp.as_of_us)
    return Outlook(
        campaign_id=stamp.campaign_id,
        as_of=as_of,
        model_version=stamp.model_version,
        objective=manifest.objective_name,
        horizon_days=manifest.objective.horizon_days,
        forecast_error=manifest.forecast_error,
        opt_outs=opt_out_rates(intake.connection, params, as_of),
    )


def _audience_ids(intake: Intake) -> pa.Array:
    rows = intake.connection.sql("SELECT customer_id FROM audience ORDER BY customer_id").to_arrow_table()
    return rows["customer_id"].cast(pa.large_string()).combine_chunks()


def _require_channels(bundle: Bundle, params: Params) -> None:
    trained = bundle.manifest.outbound
    if trained != params.outbound:
        raise ArtefactError(
            f"model {bundle.model_version}: was trained to choose among {', '.join(trained)}; the parameters declare "
            f"{', '.join(params.outbound)} as outbound; give the --params of its training, or train again"
        )


def _campaign_category(intake: Intake, campaign_id: str) -> str | None:
    found = intake.connection.execute("SELECT category FROM campaigns WHERE campaign_id = ?", [campaign_id]).fetchall()
    if not found:
        known = intake.connection.execute(
            "SELECT campaign_id FROM campaigns ORDER BY starts_at DESC LIMIT 5"
        ).fetchall()
        raise DataError(
            f"--campaign: '{campaign_id}' is not in the table campaigns; the latest there are "
            f"{', '.join(each for (each,) in known)}; add the campaign's row or name one of them"
        )
    category: str | None = found[0][0]
    return category
