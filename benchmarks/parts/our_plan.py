"""The product in a world: trained, scored and planned by its own functions, without holdout and exploration."""

import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from benchmarks.parts.retail_world import Actions, RetailWorld
from channelwise.jobs.score import ScoreRequest, run_score
from contract.progress import silent
from models.bundle import Bundle
from serving.board import read_scores
from serving.market import market_of
from serving.plan import Request, planned_market
from training.pipeline import ProfileName, TrainingResult, train


@dataclass(frozen=True)
class OurPlan:
    """What the product found: its plan (n,), -1 for no contact, its scores, its training with CPU seconds."""

    actions: Actions
    scores: pa.Table
    training: TrainingResult
    train_cpu_s: float


def our_plan(world: RetailWorld, profile: ProfileName, storage: Path) -> OurPlan:
    """Trains with a profile and plans the world's campaign; `storage` keeps the trials of a search that is cut off."""
    start = time.process_time()
    training = train(world.intake, world.timeline, world.params, profile, storage=storage)
    spent = time.process_time() - start
    scores = scored(world, training.bundle)
    return OurPlan(planned(world, scores), pq.read_table(scores), training, spent)


def scored(world: RetailWorld, bundle: Bundle) -> Path:
    """The file of scores of all customers."""
    request = ScoreRequest(
        data=world.folder / "data",
        audience=world.folder / "data" / "audience.parquet",
        campaign_id=world.campaign_id,
        as_of=world.config.end,
        out=world.folder / "scores.parquet",
        quarantine=None,
    )
    run_score(request, bundle, world.params, silent)
    return world.folder / "scores.parquet"


def planned(world: RetailWorld, scores: Path) -> Actions:
    """(n,) the plan's channel of every customer, -1 for none."""
    planning = world.params.planning.model_copy(update={"holdout_share": 0.0, "explore_share": 0.0})
    params = world.params.model_copy(update={"planning": planning})
    board = read_scores(scores, params)
    if not np.array_equal(board.ids.to_numpy(zero_copy_only=False), world.truth.customer_ids):
        raise SystemExit("the scores hold other customers than the truth; expected all of them")
    found = planned_market(market_of([board]), Request((scores,)), params, world.limits)
    return found.outcomes[0].decision.action
