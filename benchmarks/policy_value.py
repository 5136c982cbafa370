"""Estimators of policy value against sb-obp on Open Bandit's logs, and how often their intervals hold.

python -m benchmarks.policy_value [--data DIR] [--folder DIR] [--bootstraps 30] [--logs 500]; the last line is JSON.
sb-obp runs in an environment of its own under the folder, made on the first run. Judges no model.
"""

import argparse
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.parts.policy_logs import WORLDS, World
from training.off_policy import PolicyLog, Terms, direct, doubly_robust, estimate, ips, shrunk_dr, snips, switch_dr
from training.off_policy_tuning import slope, smallest_error, tuned_shrunk, tuned_switch

LEVEL = 0.95
PEER = "sb-obp==0.5.10"
PLAIN = {"IPS": ips, "SNIPS": snips, "direct method": direct, "doubly robust": doubly_robust}
FAMILIES = {"switch-DR": switch_dr, "shrunk DR": shrunk_dr}
TUNED, TUNED_PEER = "shrunk DR", ("DRos (slope)", "DRos (mse)")
"""The steadiest tuned estimator of both, beside the best of each."""


def peer(data: Path, folder: Path, bootstraps: int) -> dict[str, Any]:
    """What sb-obp makes of the logs; its inputs lie in the folder."""
    python = folder / "env" / "bin" / "python"
    if not python.exists():
        print("making an environment for sb-obp (two minutes)", flush=True)
        subprocess.run([sys.executable, "-m", "venv", str(folder / "env")], check=True)
        install = [str(python), "-m", "pip", "--quiet", "install"]
        subprocess.run([*install, PEER, "pyarrow<21"], check=True, capture_output=True)
        # It pulls in an older obp, which writes the same folder: the wanted one is written last.
        subprocess.run([*install, "--force-reinstall", "--no-deps", PEER], check=True, capture_output=True)
    script = Path(__file__).with_name("parts") / "obp_peer.py"
    subprocess.run([str(python), str(script), str(data), str(folder), str(bootstraps)], check=True)
    found: dict[str, Any] = json.loads((folder / "values.json").read_text())
    return found


def read(path: Path) -> PolicyLog:
    """The inputs that sb-obp had; every row is a cluster of its own, as it takes them."""
    with np.load(path) as found:
        policy = found["dist"].T[found["position"]]
        return PolicyLog(
            found["reward"],
            found["action"],
            found["propensity"],
            policy,
            found["predicted"],
            np.arange(len(policy)),
        )


def ours(log: PolicyLog, grid: list[float]) -> dict[str, float]:
    """The same estimators by the same names."""
    values = {name: each(log).value for name, each in PLAIN.items()}
    for family, estimator in FAMILIES.items():
        candidates = [estimator(log, each) for each in grid]
        values |= {f"{family} {each:g}": terms.value for each, terms in zip(grid, candidates, strict=True)}
        values[f"{family} SLOPE"] = candidates[slope(candidates, log.clusters)].value
        least = smallest_error(candidates, doubly_robust(log), log.clusters)
        values[f"{family} least error"] = candidates[least].value
    return values


def differences(found: dict[str, Any], folder: Path) -> dict[str, float]:
    """The largest relative difference from sb-obp over the six logs, by estimator."""
    worst: dict[str, float] = {}
    for name, theirs in found["logs"].items():
        mine = ours(read(folder / f"{name}.npz"), found["grid"])
        if mine.keys() != theirs.keys():
            raise SystemExit(f"{name}: estimators differ: {sorted(mine.keys() ^ theirs.keys())}")
        for each, value in theirs.items():
            worst[each] = max(worst.get(each, 0.0), abs(mine[each] - value) / abs(value))
    return worst


def all_estimates(log: PolicyLog) -> dict[str, Terms]:
    """Every estimator as the training report has it."""
    tuned = {"switch-DR": tuned_switch(log).terms, "shrunk DR": tuned_shrunk(log).terms}
    return {name: each(log) for name, each in PLAIN.items()} | tuned


def relative_errors(found: dict[str, Any], folder: Path) -> tuple[dict[str, float], dict[str, float]]:
    """Mean relative error over the bootstraps: ours and sb-obp's, by estimator."""
    truth = found["truth"]
    mine = [all_estimates(read(folder / f"bootstrap_{seed}.npz")) for seed in range(len(found["bootstraps"]))]
    return _mean_error([{name: each.value for name, each in run.items()} for run in mine], truth), _mean_error(
        found["bootstraps"], truth
    )


def _mean_error(runs: list[dict[str, float]], truth: float) -> dict[str, float]:
    return {name: float(np.mean([abs(run[name] - truth) / truth for run in runs])) for name in runs[0]}


def coverage(world: World, logs: int) -> dict[str, dict[str, float]]:
    """By estimator: how often the interval holds the truth, and the root mean squared error relative to the truth."""
    truth = world.truth()
    held: dict[str, list[bool]] = {}
    errors: dict[str, list[float]] = {}
    for seed in range(logs):
        log = world.draw(seed)
        for name, terms in all_estimates(log).items():
            found = estimate(terms, log.clusters, LEVEL)
            held.setdefault(name, []).append(found.lower <= truth <= found.upper)
            errors.setdefault(name, []).append(found.value / truth - 1)
    return {
        name: {"coverage": float(np.mean(each)), "error": float(np.sqrt(np.mean(np.square(errors[name]))))}
        for name, each in held.items()
    }


def main() -> None:
    """Runs all parts and prints the figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, default=Path("../shared/data/open_bandit"), help="Open Bandit's logs")
    parser.add_argument("--folder", type=Path, default=Path("build/policy_value"), help="environment and inputs")
    parser.add_argument("--bootstraps", type=int, default=30)
    parser.add_argument("--logs", type=int, default=500, help="simulated logs for the coverage, in each world")
    given = parser.parse_args()
    if not (given.data / "random_all.parquet").exists():
        raise SystemExit(f"{given.data}: holds no random_all.parquet; give Open Bandit's small logs by --data")
    given.folder.mkdir(parents=True, exist_ok=True)
    found = peer(given.data.resolve(), given.folder.resolve(), given.bootstraps)
    worst = differences(found, given.folder)
    mine, theirs = relative_errors(found, given.folder)
    print(f"sb-obp {found['version']}; largest relative difference from sb-obp over six logs:")
    print("\n".join(f"  {name:24}{value:10.1e}" for name, value in worst.items()))
    print(f"relative error over {given.bootstraps} bootstraps, random to Thompson sampling, all items:")
    print("\n".join(f"  ours    {name:20}{value:8.4f}" for name, value in mine.items()))
    print("\n".join(f"  sb-obp  {name:20}{value:8.4f}" for name, value in theirs.items()))
    by_world = {}
    for name, world in WORLDS.items():
        by_world[name] = coverage(world, given.logs)
        print(f"intervals of nominal {LEVEL:.0%} over {given.logs} logs, {name}:")
        for each, row in by_world[name].items():
            print(f"  {each:20}holds {row['coverage']:6.1%}   relative error {row['error']:6.1%}")
    best, best_peer = min(mine, key=mine.__getitem__), min(theirs, key=theirs.__getitem__)
    figures = {
        "largest_difference": max(worst.values()),
        "relative_error": mine[best],
        "best": best,
        "relative_error_peer": theirs[best_peer],
        "best_peer": best_peer,
        "relative_error_tuned": mine[TUNED],
        "relative_error_tuned_peer": min(theirs[each] for each in TUNED_PEER),
        "coverage": {world: {each: row["coverage"] for each, row in rows.items()} for world, rows in by_world.items()},
        "coverage_dr": [rows["doubly robust"]["coverage"] for rows in by_world.values()],
        "error_dr": [rows["doubly robust"]["error"] for rows in by_world.values()],
        "error_shrunk": [rows["shrunk DR"]["error"] for rows in by_world.values()],
    }
    print(json.dumps(figures))


if __name__ == "__main__":
    main()
