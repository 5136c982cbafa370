"""What exploring is worth over rounds of plan, send, outcomes and training in simulated retailers; judges nothing.

python -m benchmarks.loop [--customers 3000] [--seeds 2] [--rounds 5]; the last line is JSON. Each retailer is played
twice from the same history: by plans that hold out and explore, and by plans that never do. Both are judged by the
truth as each round begins, with what exploring costs; the log of the exploring one is held to the truth as well.
"""

import argparse
import json
import os
import sys
import tempfile
from collections import defaultdict
from pathlib import Path

import numpy as np

from channelwise.command import PATIENT
from channelwise.demos.logged_values import LoggedValue, logged_rounds, logged_values
from channelwise.demos.loop import Round, habitual_retailer, play_rounds
from contract.loading import load_params
from contract.params import Params
from serving.limits import limits_of

ARMS = {
    "explores": ("planning.holdout_share=0.05", "planning.explore_share=0.10"),
    "never explores": ("planning.holdout_share=0", "planning.explore_share=0"),
}


def params_of(arm: str, seed: int) -> Params:
    """The shipped parameters with the arm's shares."""
    return load_params(assignments=[*ARMS[arm], f"seed={seed}"])


def played(arm: str, folder: Path, customers: int, seed: int, rounds: int) -> tuple[list[Round], list[LoggedValue]]:
    """All rounds of one arm with the plan after them, and its log's values."""
    params = params_of(arm, seed)
    found = []
    retailer = habitual_retailer(customers, seed, rounds)
    for each in play_rounds(retailer, folder, params, limits_of(params, None, {}, {}), rounds + 1):
        print(f"seed {seed}, {arm}, {each.campaign_id}: {each.value_eur:,.0f} EUR; {each.verdict}", file=sys.stderr)
        found.append(each)
    values = logged_values(logged_rounds(folder / "data", params, found), params.outbound)
    return found, list(values)


def main() -> None:
    """Plays all retailers, prints the tables and the JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--customers", type=int, default=3_000)
    parser.add_argument("--seeds", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=5)
    asked = parser.parse_args()
    worth: dict[str, list[list[float]]] = defaultdict(list)
    logs: list[list[LoggedValue]] = []
    for seed in range(asked.seeds):
        for arm in ARMS:
            with tempfile.TemporaryDirectory() as folder:
                os.chdir(folder)
                found, values = played(arm, Path(folder) / "shop", asked.customers, seed, asked.rounds)
                worth[arm].append([each.share_of_best for each in found])
                if arm == "explores":
                    logs.append(values)
                os.chdir("/")
    show(worth, logs)
    print(json.dumps(summary(worth, logs)))


def show(worth: dict[str, list[list[float]]], logs: list[list[LoggedValue]]) -> None:
    """Two tables: the plans' true worth by round, and the log's estimates in standard deviations."""
    print("True worth of each round's plan as a share of the best possible, mean over the retailers")
    for arm, each in worth.items():
        print(f"{arm:>16}  " + "  ".join(f"{share:6.1%}" for share in np.mean(each, axis=0)))
    print("\nBy how much the log's estimate is off: by propensities, in standard deviations; a naive mean, as a share")
    for values in zip(*logs, strict=True):
        print(f"{values[0].policy:>24}  " + "  ".join(f"{each.z:5.1f} {each.naive_bias:+7.1%}" for each in values))


def summary(worth: dict[str, list[list[float]]], logs: list[list[LoggedValue]]) -> dict[str, float]:
    """The last line: the final plans' worth, and how far estimates are off."""
    first, last = ([np.mean([shares[place] for shares in worth[arm]]) for arm in ARMS] for place in (0, -1))
    every = [each for values in logs for each in values]
    return {
        "first_explores": round(float(first[0]), 4),
        "first_never": round(float(first[1]), 4),
        "final_explores": round(float(last[0]), 4),
        "final_never": round(float(last[1]), 4),
        "rms_z": round(float(np.sqrt(np.mean([each.z**2 for each in every]))), 3),
        "largest_z": round(max(abs(each.z) for each in every), 2),
        "largest_naive_bias": round(max(abs(each.naive_bias) for each in every), 3),
    }


if __name__ == "__main__":
    if not PATIENT.keys() <= os.environ.keys():
        # The libraries read these when they are loaded, which has happened already.
        os.execve(sys.executable, [sys.executable, "-m", "benchmarks.loop", *sys.argv[1:]], os.environ | PATIENT)
    main()
