"""Looks for the parameters of the response model by log loss on later decisions; never sees the rows that judge.

All trials share one binned Dataset. Trials are kept in SQLite, so that a killed search goes on where it stopped: the
trial that ran is marked as failed once its heartbeat is old, and tried again. A trial is judged by its log loss and by
what its splits cost whenever a customer is scored. One trial alone needs no search and takes the parameters that did
well on simulated retailers.
"""

import re
import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import lightgbm as lgb
import numpy.typing as npt

from contract.params import Profile
from models.boosting import Recipe, boost, dataset, watched_dataset
from models.tables import Rows

Told = Callable[[float, float], None]
"""Told units done and in all."""

_HEARTBEAT_S, _RETRIES = 10, 2
_SPLITS = "splits"
_LEAVES = re.compile(r"^num_leaves=(\d+)$", re.MULTILINE)


@dataclass(frozen=True)
class Tried:
    """A trial of a search: its parameters, its loss where it chose, nats a decision, and whether it was given up.

    splits: of its trees, as many as scoring looks at; 0 where it was given up.
    """

    parameters: dict[str, float]
    loss: float
    given_up: bool
    splits: int = 0


@dataclass(frozen=True)
class Found:
    """The winner: its recipe, its booster with the best number of trees, its loss where it chose, and all that ran.

    data, watched: the rows that taught and those that chose, binned; whoever fits on them next sets their labels.
    """

    recipe: Recipe
    booster: lgb.Booster
    trees: int
    loss: float
    tried: tuple[Tried, ...]
    data: lgb.Dataset
    watched: lgb.Dataset


@dataclass(frozen=True)
class Task:
    """What to learn, and where to choose: tables with outcomes (n,), 0 or 1; nats that 1,000 splits must gain."""

    learn: Rows
    outcome: npt.NDArray[Any]
    choose: Rows
    choose_outcome: npt.NDArray[Any]
    seed: int
    threads: int
    nats_per_1000_splits: float = 0.0


def search_recipe(task: Task, profile: Profile, storage: Path | None, study: str, told: Told) -> Found:
    """The best recipe within the profile's trials and time.

    Args:
        task: the data.
        profile: trials, trees at most, minutes at most.
        storage: the SQLite file that keeps trials; None keeps them in memory.
        study: names the search; the same data and parameters must give the same name, others another.
        told: of the progress.
    """
    data = dataset(task.learn, task.outcome, None, task.threads)
    watched = watched_dataset(data, task.choose, task.choose_outcome, None)
    recipe = Recipe(trees=profile.trees)
    tried: tuple[Tried, ...] = ()
    if profile.trials > 1:
        recipe, tried = _searched(task, data, watched, profile, storage, study, told)
    trials = max(1, len(tried))

    def grown(tree: int, _loss: float) -> None:
        told(trials - 1 + tree / recipe.trees, trials)

    booster, trees, loss = boost(
        data, recipe, classes=1, watched=watched, seed=task.seed, threads=task.threads, after_tree=grown
    )
    told(trials, trials)
    alone = Tried(recipe.model_dump(exclude={"trees"}), loss, given_up=False)
    return Found(recipe, booster, trees, loss, tried or (alone,), data, watched)


def _searched(
    task: Task,
    data: lgb.Dataset,
    watched: lgb.Dataset,
    profile: Profile,
    storage: Path | None,
    name: str,
    told: Told,
) -> tuple[Recipe, tuple[Tried, ...]]:
    """The best recipe of an Optuna study that goes on where an earlier one of the same name stopped."""
    import optuna

    study = _study(storage, name, task.seed, profile.trees)
    finished = (optuna.trial.TrialState.COMPLETE, optuna.trial.TrialState.PRUNED)
    done = len(study.get_trials(deepcopy=False, states=finished))
    deadline = None if profile.timeout_minutes is None else time.monotonic() + 60 * profile.timeout_minutes

    def objective(trial: Any) -> float:
        def grown(tree: int, loss: float) -> None:
            trial.report(loss, tree)
            if trial.should_prune():
                raise optuna.TrialPruned
            if deadline is not None and time.monotonic() > deadline and trial.number > 0:
                raise optuna.TrialPruned

        booster, trees, loss = boost(
            data,
            _suggested(trial, profile.trees),
            classes=1,
            watched=watched,
            seed=task.seed,
            threads=task.threads,
            after_tree=grown,
        )
        told(min(trial.number + 1, profile.trials), profile.trials + 1)
        splits = _splits(booster, trees)
        trial.set_user_attr(_SPLITS, splits)
        return loss + task.nats_per_1000_splits * splits / 1_000

    if done < profile.trials:
        left = None if deadline is None else max(1.0, deadline - time.monotonic())
        study.optimize(objective, n_trials=profile.trials - done, timeout=left)
    pruned = optuna.trial.TrialState.PRUNED
    tried = tuple(
        Tried(
            dict(each.params),
            min(each.intermediate_values.values()),
            each.state == pruned,
            each.user_attrs.get(_SPLITS, 0),
        )
        for each in study.get_trials(deepcopy=False, states=finished)
        if each.intermediate_values
    )
    if not any(not each.given_up for each in tried):
        # Time ran out in every trial since a kill: what did well elsewhere is the best that is known.
        return Recipe(trees=profile.trees), tried
    return Recipe(trees=profile.trees, **study.best_trial.params), tried


def _study(storage: Path | None, name: str, seed: int, trees: int) -> Any:
    """The study of this name; a new one begins with the usual recipe."""
    import optuna

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    study = optuna.create_study(
        study_name=name,
        storage=_kept(storage),
        load_if_exists=True,
        pruner=optuna.pruners.MedianPruner(n_startup_trials=4, n_warmup_steps=30, interval_steps=10),
    )
    # A search that goes on draws other parameters than those with which it began.
    study.sampler = optuna.samplers.TPESampler(seed=seed + len(study.trials))
    if not study.trials:
        default = Recipe(trees=trees).model_dump(exclude={"trees"})
        study.enqueue_trial(default)
    return study


def _splits(booster: lgb.Booster, trees: int) -> int:
    """How many splits the first `trees` trees have."""
    return sum(int(leaves) - 1 for leaves in _LEAVES.findall(booster.model_to_string(num_iteration=trees)))


def _kept(storage: Path | None) -> Any:
    """Where Optuna keeps trials: the SQLite file, with a heartbeat; None keeps them in memory."""
    if storage is None:
        return None
    from optuna.exceptions import ExperimentalWarning
    from optuna.storages import RDBStorage, RetryHeartbeatStaleTrialCallback

    storage.parent.mkdir(parents=True, exist_ok=True)
    with warnings.catch_warnings():
        # Optuna calls its heartbeat experimental since version 2.8; the versions here are pinned.
        warnings.simplefilter("ignore", ExperimentalWarning)
        return RDBStorage(
            f"sqlite:///{storage}",
            heartbeat_interval=_HEARTBEAT_S,
            heartbeat_stale_trial_callback=RetryHeartbeatStaleTrialCallback(max_retry=_RETRIES),
        )


def _suggested(trial: Any, trees: int) -> Recipe:
    return Recipe(
        trees=trees,
        learning_rate=trial.suggest_float("learning_rate", 0.02, 0.2, log=True),
        leaves=trial.suggest_int("leaves", 7, 63, log=True),
        rows_per_leaf=trial.suggest_int("rows_per_leaf", 100, 3000, log=True),
        lambda_l2=trial.suggest_float("lambda_l2", 0.1, 100.0, log=True),
        feature_fraction=trial.suggest_float("feature_fraction", 0.15, 0.9),
        category_smooth=trial.suggest_float("category_smooth", 5.0, 100.0, log=True),
    )
