"""Hillstrom's randomised experiment: what our policy and those of peers would have earned on customers held out.

Half of the customers teach, the other half judges by the doubly robust estimator (propensities are one third each), in
many splits. The splits share customers, so that their means are no independent repeats: intervals are those of a split.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Final

import lightgbm as lgb
import numpy as np
import pandas as pd

from benchmarks.parts.dr_learners import PACKAGES, PeerRows, peer_uplift
from benchmarks.parts.hillstrom_policy import our_actions
from benchmarks.parts.hillstrom_tables import ARMS, CUSTOMER_COLUMNS
from benchmarks.parts.kept_results import Figures, KeptResults
from benchmarks.parts.peer_environments import PeerMissing, environment
from benchmarks.parts.retail_world import Floats, Ints, Matrix
from training.off_policy import PolicyLog, Terms, doubly_robust, estimate
from training.pipeline import ProfileName

LEVEL: Final = 0.95
NONE, MENS, WOMENS = 0, 1, 2
ALL_MENS: Final = "Mens to all"
OURS, S_LEARNER, T_LEARNER = "ours", "S-learner", "T-learner"
OUTCOMES: Final = {"visit": "visit", "spend": "buy"}
"""What is counted, and the objective whose policy is judged by it."""

SOURCES: Final = (
    *("params.yaml", "contract", "features", "models", "training", "serving", "channelwise/jobs"),
    *(f"benchmarks/parts/{name}.py" for name in ("hillstrom", "hillstrom_tables", "hillstrom_policy", "dr_learners")),
)

_SHAPE: Final[dict[str, Any]] = {
    "objective": "binary",
    "learning_rate": 0.05,
    "num_leaves": 8,
    "min_data_in_leaf": 200,
    "deterministic": True,
    "force_col_wise": True,
    "verbosity": -1,
}
_TREES: Final = 60


@dataclass(frozen=True, eq=False)
class Experiment:
    """n customers: columns (n, 7), arm (n,) 0 none, 1 mens, 2 womens; visit and conversion 0 or 1, spend (n,)."""

    columns: Matrix
    arm: Ints
    visit: Floats
    conversion: Floats
    spend: Floats


@dataclass(frozen=True)
class SplitAsked:
    """One split: its number, the outcome, how hard a training tries, and the interpreters of peers by name."""

    source: Path
    split: int
    outcome: str
    profile: ProfileName
    peers: dict[str, Path]
    threads: int


def read_experiment(source: Path) -> Experiment:
    """The file hillstrom.csv.gz, words as codes."""
    rows = pd.read_csv(source).rename(columns={"channel": "past_channel"})
    coded = [
        rows[name] if pd.api.types.is_numeric_dtype(rows[name]) else rows[name].astype("category").cat.codes
        for name in CUSTOMER_COLUMNS
    ]
    arms = {"No E-Mail": NONE, **{name: at for at, name in enumerate([a for a in ARMS if ARMS[a]], start=1)}}
    return Experiment(
        columns=np.column_stack(coded).astype(np.float32),
        arm=np.asarray(rows["segment"].map(arms), dtype=np.int64),
        visit=rows["visit"].to_numpy(np.float64),
        conversion=rows["conversion"].to_numpy(np.float64),
        spend=rows["spend"].to_numpy(np.float64),
    )


def judge_split(asked: SplitAsked) -> Figures:
    """By policy: value a customer with its interval, lead over "Mens to all", share of customers by arm."""
    experiment = read_experiment(asked.source)
    teaches = np.random.default_rng(asked.split).permutation(len(experiment.arm)) < len(experiment.arm) // 2
    policies, predicted = _policies(asked, experiment, teaches)
    reward = experiment.visit if asked.outcome == "visit" else experiment.spend
    terms: dict[str, Terms] = {}
    for name, chosen in policies.items():
        log = PolicyLog(
            reward=reward[~teaches],
            action=experiment.arm[~teaches],
            propensity=np.full(int((~teaches).sum()), 1 / len(ARMS)),
            policy=np.eye(len(ARMS))[chosen],
            predicted=predicted,
            cluster=np.flatnonzero(~teaches),
        )
        terms[name] = doubly_robust(log)
    return {name: _shown(each, terms[ALL_MENS], policies[name]) for name, each in terms.items()}


def _shown(terms: Terms, mens: Terms, chosen: Ints) -> Figures:
    clusters = np.arange(len(chosen))
    value = estimate(terms, clusters, LEVEL)
    lead = estimate(Terms(terms.value - mens.value, terms.influence - mens.influence), clusters, LEVEL)
    return {
        "value": [value.value, value.lower, value.upper],
        "lead": [lead.value, lead.lower, lead.upper],
        "arms": (np.bincount(chosen, minlength=len(ARMS)) / len(chosen)).tolist(),
    }


def _policies(asked: SplitAsked, experiment: Experiment, teaches: Any) -> tuple[dict[str, Ints], Floats]:
    """The arm that each policy gives to every judging customer, and the reward that a model expects of each arm."""
    held = np.flatnonzero(~teaches)
    response = experiment.visit if asked.outcome == "visit" else experiment.conversion
    bought = teaches & (experiment.conversion > 0)
    worth = 1.0 if asked.outcome == "visit" else float(experiment.spend[bought].mean())
    rows = PeerRows(
        experiment.columns[teaches],
        experiment.arm[teaches],
        response[teaches].astype(np.int8),
        np.flatnonzero(teaches),
        experiment.columns[held],
    )
    single = _s_responses(rows, asked)
    policies = {arm: np.full(len(held), at) for at, arm in enumerate(("none", ALL_MENS, "Womens to all"))}
    policies[OURS] = our_actions(asked.source, OUTCOMES[asked.outcome], teaches, asked.profile, asked.threads)
    policies[S_LEARNER] = single.argmax(axis=1)
    policies[T_LEARNER] = _t_responses(rows, asked).argmax(axis=1)
    for name, python in asked.peers.items():
        uplift, _ = peer_uplift(python, f"{name}_peer.py", rows)
        policies[f"{name} DR learner"] = np.column_stack([np.zeros(len(held)), uplift]).argmax(axis=1)
    return policies, single * worth


def _s_responses(rows: PeerRows, asked: SplitAsked) -> Floats:
    arm = rows.action[:, None].astype(np.float32)
    model = _fitted(np.hstack([rows.matrix, arm]), rows.response, asked)
    each = [np.full((len(rows.scored), 1), at, np.float32) for at in range(len(ARMS))]
    return np.column_stack([model(np.hstack([rows.scored, at])) for at in each])


def _t_responses(rows: PeerRows, asked: SplitAsked) -> Floats:
    arms = [rows.action == at for at in range(len(ARMS))]
    return np.column_stack([_fitted(rows.matrix[arm], rows.response[arm], asked)(rows.scored) for arm in arms])


def _fitted(matrix: Matrix, response: Any, asked: SplitAsked) -> Callable[[Matrix], Floats]:
    parameters = {**_SHAPE, "seed": asked.split, "num_threads": asked.threads}
    model = lgb.train(parameters, lgb.Dataset(matrix, response, params=parameters), _TREES)
    return lambda rows: np.asarray(model.predict(rows), dtype=np.float64)


def judge_hillstrom(
    source: Path, splits: int, profile: ProfileName, kept: KeptResults, threads: int
) -> dict[str, Figures]:
    """By outcome and policy: the means over splits of what `judge_split` finds."""
    found: dict[str, list[Figures]] = {}
    peers = _peers(kept.folder)
    for outcome in OUTCOMES:
        for split in range(splits):
            asked = SplitAsked(source, split, outcome, profile, peers, threads)
            name = "-".join(["hillstrom", profile, outcome, str(split), *peers])
            found.setdefault(outcome, []).append(kept.found(name, SOURCES, partial(judge_split, asked)))
            print(f"  hillstrom {outcome} {split}: ours {found[outcome][-1][OURS]['value'][0]:.4f}", flush=True)
    return {outcome: _means(each) for outcome, each in found.items()}


def _peers(folder: Path) -> dict[str, Path]:
    found = {}
    for name, packages in PACKAGES.items():
        try:
            found[name] = environment(folder / name, packages)
        except PeerMissing as error:
            print(f"  {name} is left out: {error}", flush=True)
    return found


def _means(splits: list[Figures]) -> Figures:
    names = [name for name in splits[0] if all(name in each for each in splits)]
    return {
        name: {what: np.mean([each[name][what] for each in splits], axis=0).tolist() for what in splits[0][name]}
        for name in names
    }


def verdict(outcome: str, found: Figures) -> str:
    """Whether a policy beats "Mens to all" for sure: by the mean over splits of the lower end of its lead."""
    ahead = [name for name, each in found.items() if name != ALL_MENS and each["lead"][1] > 0]
    if not ahead:
        return f'nothing beats "{ALL_MENS}" for {outcome}'
    return f'{outcome}: ahead of "{ALL_MENS}" by more than noise: {", ".join(ahead)}'
