"""A search over a small known problem, in a process that kills itself at one tree of one trial.

`python -m tests.adapters.dying_search STORAGE TRIAL TREE`.
"""

import os
import signal
import sys
from pathlib import Path
from typing import Any

import numpy as np

from contract.params import Profile
from models.boosting import boost
from models.tables import Table
from training import search
from training.search import Task

PROFILE = Profile(trials=3, max_decisions=1_000, trees=12, learners=["joint"], refit=False)
NAME = "small"


def task(price: float = 0.0) -> Task:
    """Two thousand rows whose outcome follows two columns, and as many that choose."""
    random = np.random.default_rng(3)
    parts = []
    for _ in range(2):
        matrix = random.normal(size=(2_000, 3)).astype(np.float32)
        chance = 1 / (1 + np.exp(-matrix[:, 0] * matrix[:, 1] - matrix[:, 0]))
        parts.append((Table(matrix, ["a", "b", "c"], [], np.arange(2_000)), random.random(2_000) < chance))
    (learn, outcome), (choose, chosen) = parts
    return Task(learn, outcome, choose, chosen, seed=0, threads=1, nats_per_1000_splits=price)


def die_at(trial: int, tree: int) -> None:
    """Patches the search so that the process dies when that tree of that trial has grown, both numbered from 0."""
    begun = iter(range(1_000))

    def dying_boost(data: Any, recipe: Any, *, after_tree: Any, **further: Any) -> Any:
        number = next(begun)

        def grown(at: int, loss: float) -> None:
            after_tree(at, loss)
            if (number, at) == (trial, tree):
                os.kill(os.getpid(), signal.SIGKILL)

        return boost(data, recipe, after_tree=grown, **further)

    search.boost = dying_boost  # type: ignore[assignment,attr-defined]


if __name__ == "__main__":
    storage, trial, tree = sys.argv[1:]
    die_at(int(trial), int(tree))
    search.search_recipe(task(), PROFILE, Path(storage), NAME, lambda done, total: None)
