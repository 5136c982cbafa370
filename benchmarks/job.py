"""Wall time, CPU time and peak memory of each command of the main job on the simulated retailer; judges nothing.

python -m benchmarks.job [--customers 20000] [--folder DIR]; the last line is JSON.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from simulation.config import RetailerConfig
from simulation.retailer import write_retailer

SCORING = ("--budget", "150", "--capacity", "phone=30", "--capacity", "mail=60")


def commands(folder: Path) -> dict[str, list[str]]:
    """The job's commands, in order, by name."""
    data = ["--data", str(folder / "data")]
    bundle = folder / "work" / ".channelwise"
    scores, plan = folder / "scores.parquet", folder / "plan.parquet"
    campaign, as_of = (folder / "data" / "scoring.txt").read_text().split()
    return {
        "check": ["check", *data],
        "train": ["train", *data, "--profile", "quick"],
        "score": [
            *["score", *data, "--audience", str(folder / "data" / "audience.parquet"), "--campaign", campaign],
            *["--as-of", as_of, "--out", str(scores), "--registry", f"sqlite:///{bundle}/mlflow.db"],
        ],
        "plan": ["plan", "--scores", str(scores), "--out", str(plan), *SCORING],
    }


def measured(arguments: list[str], folder: Path) -> dict[str, float]:
    """Wall and CPU seconds and peak GB of one command, run as a process of its own in `folder`."""
    start = time.perf_counter()
    process = subprocess.Popen([sys.executable, "-m", "channelwise", *arguments], cwd=folder)
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise SystemExit(f"channelwise {arguments[0]} exited {process.returncode}")
    wall = time.perf_counter() - start
    return {"wall_s": wall, "cpu_s": usage.ru_utime + usage.ru_stime, "peak_gb": usage.ru_maxrss / 2**20}
