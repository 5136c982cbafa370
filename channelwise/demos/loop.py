"""Rounds of plan, send, outcomes and training in a simulated retailer, each step by the job of its command.

Nothing is carried from one round to the next but what a user would have: the retailer's tables as they then are, with
what the plans recorded beside them, and the registry.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

import numpy as np
import pyarrow.parquet as pq

from channelwise.demos.retailer import Allowed, eligible
from channelwise.jobs.score import ScoreRequest, run_score, serving_bundle
from channelwise.jobs.train import TrainRequest, run_train
from contract.params import Params
from contract.progress import silent
from serving.limits import Limits
from serving.plan import make_plan
from serving.recording import record_plan
from simulation.config import RetailerConfig
from simulation.retailer import build_retailer
from simulation.rounds import Rounds, begin_rounds
from simulation.truth import Truth, plan_value
from training.tracking import default_registry

HABIT: Final = (0.42, 0.34, 0.10, 0.0, 0.02, 0.12)
SOLD_NOTHING: Final = (1.0, 1.0, 1.0, 1.0, 0.0, 1.0)
SELLS_SINCE: Final = (1.0, 1.0, 1.0, 1.0, 4.0, 1.0)
"""By outbound channel: how the sender chose, what a contact brought while it did, and what it has brought since."""


@dataclass(frozen=True)
class Round:
    """One round: what its plan was truly worth, EUR, and the best possible one of those whom the scores let contact;
    the truth it was judged by, and the verdict on its model.
    """

    campaign_id: str
    plan: Path
    value_eur: float
    best_eur: float
    truth: Truth
    verdict: str

    @property
    def share_of_best(self) -> float:
        """What the plan is worth of the best one."""
        return self.value_eur / self.best_eur


def habitual_retailer(customers: int, seed: int, rounds: int) -> Rounds:
    """A retailer whose history misleads: its sender hardly tried letters, which cost most and sold nothing then. They
    sell well now, which only those find out who try them again. It never phones.
    """
    retailer = build_retailer(RetailerConfig(customers, seed=seed, years=1, decisions_per_year=10.0))
    habit = replace(retailer, world=retailer.world._replace(weight=np.array(HABIT)))
    return begin_rounds(habit, rounds, before=SOLD_NOTHING, since=SELLS_SINCE)


def play_rounds(retailer: Rounds, folder: Path, params: Params, limits: Limits, rounds: int) -> Iterator[Round]:
    """Plays rounds one after another; the data of all of them end up in `folder / "data"`.

    Raises:
        ChannelwiseError: as the commands do.
    """
    data, registry = folder / "data", default_registry(folder)
    for number in range(rounds):
        if number:
            retailer.send(pq.read_table(folder / f"plan{number - 1}.parquet"))
        retailer.write(data)
        training = run_train(TrainRequest(data, retailer.as_of, "quick", registry, None), params, silent)
        scores, plan = folder / "scores.parquet", folder / f"plan{number}.parquet"
        request = ScoreRequest(data, data / "audience.parquet", retailer.campaign_id, retailer.as_of, scores, None)
        run_score(request, serving_bundle(None, registry, params), params, silent)
        result = make_plan(scores, plan, params, limits)
        record_plan(result.plan, result.propensities, data)
        truth = retailer.truth()
        value = plan_value(truth, pq.read_table(plan, columns=["customer_id", "channel"]))
        best = best_value(truth, eligible(scores, truth))
        yield Round(retailer.campaign_id, plan, value, best, truth, training.result.verdict.text)


def best_value(truth: Truth, allowed: Allowed) -> float:
    """EUR of the best plan without limits, among the contacts (n, k) that are allowed."""
    gain = np.where(allowed, truth.gain_eur[:, 1:], 0.0)
    return float(np.maximum(gain.max(axis=1), 0.0).sum())
