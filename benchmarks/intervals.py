"""How often nominal 90 % intervals hold on simulated retailers whose truth is known, per channel; judges no plan.

python -m benchmarks.intervals [--customers 6000] [--seeds 2] [--first-seed 1] [--mechanisms low_rank cells]
[--profile quick] [--threads 1]. Groups of a channel err together in one world, so that a channel needs many worlds: the
standard error of its coverage is that of a mean over worlds. `covered` is for the campaign that is scored, `any` for
campaigns of all strengths (`benchmarks.parts.coverage`). The last line is JSON.
"""

import argparse
import json
import tempfile
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq

from benchmarks.parts.coverage import Covered, interval_coverage
from channelwise.jobs.features import timeline_of
from channelwise.jobs.score import ScoreRequest, run_score
from contract.intake import open_data
from contract.loading import load_params
from contract.params import Params
from contract.progress import silent
from simulation.config import RetailerConfig
from simulation.retailer import write_retailer
from simulation.truth import read_truth
from training.pipeline import ProfileName, train

World = dict[str, Covered]
_WHAT = ("response", "uplift")
_MEASURES = ("covered", "covered_any", "half_width", "error")


def coverage_of(config: RetailerConfig, params: Params, profile: ProfileName) -> World:
    """Coverage by channel in one retailer: simulated, trained on, scored at its end."""
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        summary = write_retailer(config, folder / "data", silent, threads=params.threads)
        intake = open_data(folder / "data", params, as_of=config.end, quarantine=None)
        with timeline_of(intake, params, silent, None) as timeline:
            bundle = train(intake, timeline, params, profile).bundle
        request = ScoreRequest(
            data=folder / "data",
            audience=folder / "data" / "audience.parquet",
            campaign_id=summary.campaign_id,
            as_of=config.end,
            out=folder / "scores.parquet",
            quarantine=None,
        )
        run_score(request, bundle, params, silent)
        return interval_coverage(pq.read_table(request.out), read_truth(folder / "data" / "truth"))


def means(worlds: list[World]) -> dict[str, dict[str, dict[str, float]]]:
    """By response and uplift, then channel: the mean over worlds of each measure, and how sure that of coverage is."""
    names = [name for name in worlds[0] if all(name in world for world in worlds)]
    return {what: {name: _mean([asdict(world[name])[what] for world in worlds]) for name in names} for what in _WHAT}


def _mean(worlds: list[dict[str, float]]) -> dict[str, float]:
    found = {measure: float(np.mean([world[measure] for world in worlds])) for measure in _MEASURES}
    covered = [world["covered"] for world in worlds]
    # One world says nothing of how worlds differ.
    spread = float(np.std(covered, ddof=1) / np.sqrt(len(covered))) if len(covered) > 1 else 0.5
    return {**found, "covered_error": spread}


def lines(found: dict[str, dict[str, dict[str, float]]]) -> Iterator[str]:
    """The table."""
    for what, channels in found.items():
        yield f"\n{what:<12}{'covered':>10}{'± s.e.':>10}{'any':>10}{'half width':>12}{'error':>10}"
        for name, row in channels.items():
            sure = f"{row['covered']:>10.3f}{row['covered_error']:>10.3f}{row['covered_any']:>10.3f}"
            yield f"  {name:<10}{sure}{row['half_width']:>12.4f}{row['error']:>10.4f}"
        whole, every = (np.mean([row[each] for row in channels.values()]) for each in ("covered", "covered_any"))
        yield f"  {'all':<10}{whole:>10.3f}{'':>10}{every:>10.3f}"


def main() -> None:
    """Runs the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--customers", type=int, default=6_000)
    parser.add_argument("--seeds", type=int, default=2)
    parser.add_argument("--first-seed", type=int, default=1)
    parser.add_argument("--mechanisms", nargs="+", default=["low_rank", "cells"])
    parser.add_argument("--profile", default="quick")
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args()
    params = load_params(assignments=[f"threads={options.threads}"])
    worlds: dict[str, list[World]] = {}
    for mechanism in options.mechanisms:
        for seed in range(options.first_seed, options.first_seed + options.seeds):
            config = RetailerConfig(options.customers, seed=seed, mechanism=mechanism)
            worlds.setdefault(mechanism, []).append(coverage_of(config, params, options.profile))
            print(f"{mechanism} {seed}: " + _shown(worlds[mechanism][-1]), flush=True)
    every = means([world for found in worlds.values() for world in found])
    print("\n".join(lines(every)))
    print(json.dumps({"all": every, **{mechanism: means(found) for mechanism, found in worlds.items()}}))


def _shown(world: World) -> str:
    return ", ".join(f"{name} {each.response.covered:.2f}/{each.uplift.covered:.2f}" for name, each in world.items())


if __name__ == "__main__":
    main()
