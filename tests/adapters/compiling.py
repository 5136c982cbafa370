"""Makes what many tests need, in two processes at once, before the workers that share it begin; tests nothing.

That is compiled kernels, in Numba's cache, and a registry in which nothing was kept yet.

Two workers that came to the same kernel at the same time would compile it both.
"""

import os
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

from tests.adapters.command_line import ROOT, run_command
from tests.adapters.registries import EMPTY, make_empty
from tests.adapters.workplace import new_workplace, succeeded, without_card


def planning(folder: Path) -> None:
    """The sweep, the forest, what plans one contact a customer and two, and the empty registry."""
    import features.sweep
    import models.forest
    from contract.loading import load_params
    from serving.limits import limits_of
    from serving.plan import make_plan
    from tests.adapters.plan_scores import score_frame, written

    features.sweep.prepare()
    models.forest.prepare()
    scores = written(score_frame(60), folder / "scores.parquet")
    for contacts in (1, 2):
        params = load_params(assignments=[f"planning.contacts_per_customer={contacts}"])
        limits = limits_of(params, 5.0, {"phone": 2}, {"push": 3})
        make_plan(scores, folder / f"plan{contacts}.parquet", params, limits)
    make_empty(Path(os.environ[EMPTY]))


def training(folder: Path) -> None:
    """The simulated retailer, which takes longest, and what learns from it."""
    place = new_workplace(folder)
    with without_card():
        succeeded(run_command(*place.train()))


HALVES = {"planning": planning, "training": training}


def compile_first(folder: Path) -> None:
    """Both halves, each in a process of its own; the registry lies in the folder."""
    os.environ[EMPTY] = str(folder / "empty.db")
    words = [sys.executable, "-m", "tests.adapters.compiling"]
    running = [subprocess.Popen([*words, half], cwd=ROOT) for half in HALVES]
    codes = [each.wait() for each in running]
    if any(codes):
        raise RuntimeError("the kernels do not compile; see above")


if __name__ == "__main__":
    with TemporaryDirectory() as elsewhere:
        HALVES[sys.argv[1]](Path(elsewhere))
