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

from channelwise.demos.retailer import BUDGET_SHARE_EUR, CAPACITY_SHARES, simulated
from contract.progress import silent

Figures = dict[str, float]


def commands(folder: Path, customers: int) -> dict[str, list[str]]:
    """The job's commands, in order, by name; simulates the retailer they run on."""
    world = simulated(folder / "data", customers, 0, silent)
    data = ["--data", str(folder / "data")]
    scores, plan = folder / "scores.parquet", folder / "plan.parquet"
    shares = CAPACITY_SHARES.items()
    limits = [word for name, share in shares for word in ("--capacity", f"{name}={int(share * customers)}")]
    limits += ["--budget", str(BUDGET_SHARE_EUR * customers)]
    return {
        "check": ["check", *data],
        "train": ["train", *data, "--profile", "quick"],
        "score": [
            *["score", *data, "--audience", str(folder / "data" / "audience.parquet"), "--campaign", world.campaign_id],
            *["--as-of", world.as_of.isoformat(), "--out", str(scores)],
        ],
        "plan": ["plan", "--scores", str(scores), "--out", str(plan), *limits],
    }


def measured(arguments: list[str], folder: Path) -> Figures:
    """Wall and CPU seconds and peak GB of one command, run as a process of its own in `folder`."""
    start = time.perf_counter()
    process = subprocess.Popen([sys.executable, "-m", "channelwise", *arguments], cwd=folder)
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise SystemExit(f"channelwise {arguments[0]} exited {process.returncode}")
    wall = time.perf_counter() - start
    return {"wall_s": wall, "cpu_s": usage.ru_utime + usage.ru_stime, "peak_gb": usage.ru_maxrss / 2**20}


def main() -> None:
    """Runs the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--customers", type=int, default=20_000)
    parser.add_argument("--folder", type=Path, default=None)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = options.folder or Path(temporary)
        figures = {name: measured(words, folder) for name, words in commands(folder, options.customers).items()}
    print(f"\n{'command':<10}{'wall s':>10}{'CPU s':>10}{'peak GB':>10}")
    for name, row in figures.items():
        print(f"{name:<10}{row['wall_s']:>10.1f}{row['cpu_s']:>10.1f}{row['peak_gb']:>10.2f}")
    print(json.dumps({f"{name}_{key}": round(value, 2) for name, row in figures.items() for key, value in row.items()}))


if __name__ == "__main__":
    main()
