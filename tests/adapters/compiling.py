"""Compiles what many tests run, in two processes at once, before the workers that share the cache begin; tests nothing.

Two workers that came to the same kernel at the same time would compile it both.
"""

import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

from tests.adapters.command_line import ROOT


def sweeping() -> None:
    """What computes features."""
    from features.sweep import prepare

    prepare()


def planning() -> None:
    """What scores and plans, one contact a customer and two."""
    from contract.loading import load_params
    from models.forest import prepare
    from serving.limits import limits_of
    from serving.plan import make_plan
    from tests.adapters.plan_scores import score_frame, written

    prepare()
    with TemporaryDirectory() as folder:
        scores = written(score_frame(60), Path(folder) / "scores.parquet")
        for contacts in (1, 2):
            params = load_params(assignments=[f"planning.contacts_per_customer={contacts}"])
            limits = limits_of(params, 5.0, {"phone": 2}, {"push": 3})
            make_plan(scores, Path(folder) / f"plan{contacts}.parquet", params, limits)


HALVES = {"sweeping": sweeping, "planning": planning}


def compile_first() -> None:
    """Both halves, each in a process of its own."""
    words = [sys.executable, "-m", "tests.adapters.compiling"]
    running = [subprocess.Popen([*words, half], cwd=ROOT) for half in HALVES]
    codes = [each.wait() for each in running]
    if any(codes):
        raise RuntimeError("the kernels do not compile; see above")


if __name__ == "__main__":
    HALVES[sys.argv[1]]()
