"""CPU time, memory and certified gap of the allocation, and wall time of planning from scores on disk; judges nothing.

python -m benchmarks.plan [--small] [--no-pdlp]; the last line is JSON. Each job runs in a process of its own, so that
its peak of memory is its own. OR-tools PDLP runs in an environment of its own, made in a temporary folder.
"""

import argparse
import json
import multiprocessing
import os
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from benchmarks.parts import plan_jobs as jobs
from benchmarks.parts import plan_peers as peers
from benchmarks.parts.plan_scores import write_scores

# Threads of the linear algebra library wait actively, which would count as CPU time of a solve that has no use of them.
ONE_THREAD = {"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"}
RANDOM_INSTANCES = 200


def apart(function: Callable[..., Any], *arguments: object) -> Any:
    """The function's result, from a fresh process."""
    os.environ.update(ONE_THREAD)
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        return pool.apply(function, arguments)


def shown(name: str, figures: Any) -> Any:
    """The figures, printed as they are found."""
    print(f"{name:34}{figures}", flush=True)
    return figures


def compared(n: int, with_pdlp: bool) -> dict[str, Any]:
    """Ours beside the solvers on the same instance."""
    own, reference = shown("100 k", apart(jobs.solved, n)), shown("100 k, HiGHS", apart(peers.highs, n))
    figures = {
        "highs_ratio_100k": reference["cpu_s"] / own["cpu_s"],
        "highs_value_distance_100k": reference["value"] / own["value"] - 1,
    }
    if with_pdlp:
        with tempfile.TemporaryDirectory() as folder:
            found = shown("100 k, OR-tools PDLP", peers.pdlp(n, Path(folder)))
        if isinstance(found, dict):
            figures["pdlp_ratio_100k"] = found["cpu_s"] / own["cpu_s"]
            figures["pdlp_value_distance_100k"] = found["value"] / own["value"] - 1
    return figures


def commanded(n: int) -> dict[str, float]:
    """The whole command from scores on disk, and single decisions from what it wrote."""
    with tempfile.TemporaryDirectory() as folder:
        scores, plan = Path(folder) / "scores.parquet", Path(folder) / "plan.parquet"
        write_scores(scores, n)
        command = shown("plan from scores on disk", apart(jobs.planned, str(scores), str(plan), n))
        online = shown("decide_one", apart(jobs.online, str(plan)))
    figures = {"wall_s_1m": command["wall_s"], "plan_cpu_s_1m": command["cpu_s"]}
    figures |= {"plan_gap_1m": command["gap"], "plan_peak_gb_1m": command["peak_gb"]}
    return figures | {f"decide_one_{name}": value for name, value in online.items() if name.endswith("_us")}


def main() -> None:
    """Runs all parts and prints the figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--small", action="store_true", help="a tenth of the sizes, to see that it runs")
    parser.add_argument("--no-pdlp", action="store_true", help="leave out the peer that needs an index")
    arguments = parser.parse_args()
    part = 10 if arguments.small else 1
    n = 1_000_000 // part
    million, five = shown("1 M", apart(jobs.solved, n)), shown("5 M", apart(jobs.solved, 5 * n))
    other = shown("1 M, a fifth more money", apart(jobs.what_if, n))
    groups = shown("1 M, two campaigns, groups", apart(jobs.general, n, 1))
    several = shown("1 M, the same, two contacts each", apart(jobs.general, n, 2))
    figures = compared(100_000 // part, not arguments.no_pdlp) | commanded(n)
    random = shown("random instances", jobs.random_instances(RANDOM_INSTANCES // part))
    tiny = shown("tiny ones, against enumeration", jobs.against_enumeration(RANDOM_INSTANCES // part))
    greedy = shown("greedy", peers.greedy_gaps(100_000 // part))
    runs = (million, five, other, groups, several)
    figures |= {
        "solve_cpu_s_1m": million["cpu_s"],
        "gap_1m": million["gap"],
        "solve_cpu_s_5m": five["cpu_s"],
        "peak_gb_5m": five["peak_gb"],
        "what_if_cpu_s_1m": other["cpu_s"],
        "what_if_gap_1m": other["gap"],
        "two_campaigns_cpu_s_1m": groups["cpu_s"],
        "two_campaigns_gap_1m": groups["gap"],
        "two_contacts_cpu_s_1m": several["cpu_s"],
        "two_contacts_gap_1m": several["gap"],
        "broken_limits": random["broken"] + sum(int(run["broken"]) for run in runs),
        "worst_gap_from_10k": random["worst_gap_from_10k"],
        "tiny_below_the_best": tiny["below_the_best"],
        "tiny_wrongly_refused": tiny["wrongly_refused"],
        "greedy_gap": greedy["net_value"],
        "greedy_gap_by_value_per_cost": greedy["value_per_cost"],
    }
    print(json.dumps(figures))


if __name__ == "__main__":
    main()
