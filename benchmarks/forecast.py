"""How often the intervals of a plan's forecast cover what then happens in simulated retailers; judges nothing.

python -m benchmarks.forecast [--worlds 6] [--customers 8000] [--draws 200]; the last line is JSON. Each world is
simulated, trained, scored and planned anew, and then lived through `draws` times from its truth: with the contacts and
without. Worlds alternate between the two mechanisms.
"""

import argparse
import json
import os
import sys
import tempfile
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from channelwise.command import PATIENT
from channelwise.demos.retailer import World, demo_limits
from channelwise.jobs.score import ScoreRequest, run_score
from channelwise.jobs.train import TrainRequest, run_train
from contract.loading import load_params
from contract.params import Params
from contract.progress import silent
from serving.baselines import baseline_actions
from serving.board import Board, read_scores
from serving.forecast import Certainty, Estimate, Forecast, Outcome, forecast
from serving.market import market_of
from serving.outlook import read_outlook
from serving.plan import Request, planned_market
from serving.roles import EXPLORE, PLAN
from serving.sets import Actions
from simulation.config import RetailerConfig
from simulation.contact import BASKET_SPREAD
from simulation.retailer import write_retailer
from simulation.truth import Truth, read_truth
from training.tracking import default_registry

MECHANISMS = ("low_rank", "cells")
Floats = npt.NDArray[np.float64]
Hits = dict[str, list[float]]


@dataclass(frozen=True)
class Future:
    """What happened to n customers: responses, EUR of margin, with their contact or without; whether they opted out."""

    responses: Floats
    margin_eur: Floats
    opted_out: Floats


def lived(truth: Truth, action: Actions, rng: np.random.Generator) -> Future:
    """One future: purchases are Poisson, baskets log-normal, opt-outs drawn where a channel can record them."""
    rows = np.arange(len(action))
    mean = -np.log1p(-truth.probability[rows, action + 1])
    count = rng.poisson(mean)
    basket = np.divide(truth.margin_eur[rows, action + 1], mean, out=np.zeros(len(rows)), where=mean > 0)
    bought = np.repeat(rows, count)
    worth = basket[bought] * rng.lognormal(-0.5 * BASKET_SPREAD**2, BASKET_SPREAD, len(bought))
    chance = np.where(action >= 0, truth.opt_out[rows, np.maximum(action, 0)], 0.0)
    gone = rng.random(len(rows)) < chance
    margin = np.bincount(bought, worth, len(rows))
    return Future((count > 0).astype(np.float64), margin.astype(np.float64), gone.astype(np.float64))


def covered(found: Forecast, truth: Truth, action: Actions, board: Board, draws: int, hits: Hits, who: str) -> None:
    """Adds to `hits`, by figure, the share of futures in which its interval held."""
    rng = np.random.default_rng(0)
    alone = np.full(len(action), -1, dtype=np.int16)
    inside: Hits = defaultdict(list)
    for _ in range(draws):
        seen, unseen = lived(truth, action, rng), lived(truth, alone, rng)
        for channel, name in [(None, "in all"), *enumerate(board.channels)]:
            part: Outcome | None = found if channel is None else found.channels.get(name)
            if part is None:
                continue
            rows = action >= 0 if channel is None else action == channel
            everybody = slice(None) if channel is None else rows
            facts = {
                "responses": (part.responses, seen.responses[everybody].sum()),
                "incremental responses": (
                    part.incremental_responses,
                    seen.responses[rows].sum() - unseen.responses[rows].sum(),
                ),
                "margin": (part.margin_eur, seen.margin_eur[rows].sum() - unseen.margin_eur[rows].sum()),
                "opt-outs": (part.opt_outs, seen.opted_out[_recorded(rows, action, found, board)].sum()),
            }
            where = "in all" if channel is None else "per channel"
            for figure, (estimate, value) in facts.items():
                if estimate is not None:
                    inside[f"{who}, {where}: {figure}"].append(_holds(estimate, float(value)))
    for figure, each in inside.items():
        hits[figure].append(float(np.mean(each)))


def _recorded(rows: npt.NDArray[np.bool_], action: Actions, found: Forecast, board: Board) -> npt.NDArray[np.bool_]:
    known = [c for c, name in enumerate(board.channels) if name in found.channels and found.channels[name].opt_outs]
    return np.asarray(rows & np.isin(action, known))


def _holds(estimate: Estimate, value: float) -> float:
    return float(estimate.lower - 1e-9 <= value <= estimate.upper + 1e-9)


def prepared(folder: Path, config: RetailerConfig, params: Params) -> Path:
    """Simulates, trains and scores a world; the scores' file."""
    summary = write_retailer(config, folder / "data", threads=2)
    world = World(folder / "data", summary.campaign_id, config.end, summary.interactions)
    training = run_train(TrainRequest(world.folder, None, "quick", default_registry(folder), None), params, silent)
    scores = folder / "scores.parquet"
    audience = world.folder / "audience.parquet"
    request = ScoreRequest(world.folder, audience, world.campaign_id, world.as_of, scores, None)
    run_score(request, training.result.bundle, params, silent)
    return scores


def judge(scores: Path, truth: Truth, params: Params, draws: int, hits: Hits) -> None:
    """Coverage of the plan's forecast and of those of the plain rules."""
    board = read_scores(scores, params)
    limits = demo_limits(params, len(board.ids))
    planned = planned_market(market_of([board]), Request((scores,)), params, limits)
    decision, tie = planned.outcomes[0].decision, planned.market.tie
    outlook = read_outlook(scores, board.campaign_id, board.as_of, board.model_version)
    certainty = Certainty.of(params.planning.interval, outlook)
    available = np.isin(decision.role, (PLAN, EXPLORE))
    found = forecast(board, decision.action, certainty)
    width = (found.net_eur.upper - found.net_eur.lower) / 2 / found.margin_eur.mean
    true = truth.margin_eur[np.arange(len(board.ids)), decision.action + 1] - truth.margin_eur[:, 0]
    hits["half width of the margin's interval, relative"].append(width)
    hits["true margin over its forecast"].append(float(true.sum()) / found.margin_eur.mean)
    covered(found, truth, decision.action, board, draws, hits, "plan")
    for action in baseline_actions(board, available, limits, tie).values():
        if (action >= 0).any():
            covered(forecast(board, action, certainty), truth, action, board, draws, hits, "plain rules")
    print(f"  judged; true margin over its forecast {hits['true margin over its forecast'][-1]:.2f}", flush=True)


def main() -> None:
    """Runs the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--worlds", type=int, default=6)
    parser.add_argument("--customers", type=int, default=8_000)
    parser.add_argument("--draws", type=int, default=200)
    parser.add_argument("--first-seed", type=int, default=1)
    options = parser.parse_args()
    params = load_params()
    hits: Hits = defaultdict(list)
    for number in range(options.worlds):
        seed = options.first_seed + number
        config = RetailerConfig(options.customers, seed=seed, mechanism=MECHANISMS[number % 2])  # type: ignore[arg-type]
        print(f"world {seed}, {config.mechanism}, {config.customers:,} customers", flush=True)
        with tempfile.TemporaryDirectory() as folder:
            scores = prepared(Path(folder), config, params)
            judge(scores, read_truth(Path(folder) / "data" / "truth"), params, options.draws, hits)
    figures = {name: round(float(np.mean(each)), 3) for name, each in hits.items()}
    print(json.dumps({"nominal": params.planning.interval, "worlds": options.worlds, **figures}))


if __name__ == "__main__":
    if not PATIENT.keys() <= os.environ.keys():
        # The libraries read these when they are loaded, which has happened already.
        os.execve(sys.executable, [sys.executable, "-m", "benchmarks.forecast", *sys.argv[1:]], os.environ | PATIENT)
    main()
