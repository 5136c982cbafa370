"""The main job from checked tables to a plan, as the demos run it: the steps of the commands, one after another."""

import shutil
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from channelwise.console import progress_bars, say
from channelwise.jobs.score import ScoreRequest, run_score, serving_bundle
from channelwise.jobs.train import TrainRequest, TrainSummary, run_train
from channelwise.reports.check import show_check
from channelwise.reports.plan import show_plan
from channelwise.reports.plan_page import plan_page
from channelwise.reports.scores import show_scores
from contract.errors import DataError
from contract.intake import check_data
from contract.params import Params
from serving.limits import Limits
from serving.plan import PlanOptions, make_plan
from training.card import card_text
from training.tracking import CARD, default_registry


@dataclass(frozen=True)
class Job:
    """What to run on, and the folder for what comes out."""

    data: Path
    audience: Path
    campaign_id: str
    as_of: datetime
    out: Path


@dataclass(frozen=True)
class Done:
    """Where the results are, and what the training found."""

    scores: Path
    plan: Path
    card: Path
    training: TrainSummary


def run_job(job: Job, params: Params, limits: Limits) -> Done:
    """Checks, trains a quick model, scores the audience and plans it, and shows each step's result."""
    registry = default_registry(job.out)
    quarantine = job.out / "quarantine"
    say(f"channelwise check --data {job.data}")
    report = check_data(job.data, params, as_of=None, quarantine=quarantine)
    show_check(report, as_json=False)
    if report.fatal:
        raise DataError(f"{job.data}: the tables cannot be used; see the report above")
    say(f"\nchannelwise train --data {job.data} --profile quick")
    with progress_bars() as progress:
        training = run_train(TrainRequest(job.data, None, "quick", registry, quarantine), params, progress)
    text = card_text(training.result.report)
    card = job.out / CARD
    shutil.copyfile(training.tracked.card, card)
    say(text)
    scores, plan = job.out / "scores.parquet", job.out / "plan.parquet"
    say(f"channelwise score --data {job.data} --audience {job.audience} --campaign {job.campaign_id} …")
    request = ScoreRequest(job.data, job.audience, job.campaign_id, job.as_of, scores, quarantine)
    with progress_bars() as progress:
        summary = run_score(request, serving_bundle(None, registry, params), params, progress)
    show_scores(summary)
    say(f"\nchannelwise plan --scores {scores} --out {plan} …")
    with progress_bars() as progress:
        result = make_plan(scores, plan, params, limits, PlanOptions(progress, page=plan_page))
    show_plan(result)
    return Done(scores, plan, card, training)
