"""What `channelwise monitor` says of periods in which nothing changed, and of planted faults; judges no model.

python -m benchmarks.monitor [--worlds 2] [--customers 8000] [--first-seed 1] [--fault-period 1]; the last line is JSON.
Each simulated retailer is trained up to five periods before its end. Every later period is monitored as it is, then one
of them once more for each fault, planted in a copy of the tables. Mechanisms alternate with the seed.
"""

import argparse
import json
import os
import sys
import tempfile
import time
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path

from benchmarks.parts.planted_faults import FAULTS, plant
from channelwise.command import PATIENT
from channelwise.jobs.monitor import MonitorRequest, run_monitor
from channelwise.jobs.train import TrainRequest, run_train
from channelwise.reports.monitor_page import monitor_page
from contract.loading import load_params
from contract.params import Params
from contract.progress import silent
from models.bundle import Bundle
from serving.watching.findings import Monitoring
from simulation.config import RetailerConfig
from simulation.retailer import write_retailer
from training.tracking import default_registry

MECHANISMS = ("cells", "low_rank")
UNCHANGED = 5


@dataclass
class Tally:
    """What was found in all worlds."""

    periods: int = 0
    false_alarms: int = 0
    watched: int = 0
    planted: int = 0
    found: int = 0
    named: int = 0
    missed: list[str] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)


@dataclass(frozen=True)
class World:
    """A retailer, the model of it, and until when it was trained."""

    folder: Path
    bundle: Bundle
    trained_until: datetime
    params: Params

    def monitored(self, data: Path, periods: int) -> Monitoring:
        """What is said of the period that ends so many periods after training."""
        as_of = self.trained_until + timedelta(days=periods * self.params.monitor.period_days)
        request = MonitorRequest(data, as_of, self.folder / "monitor.html", None)
        return run_monitor(request, self.bundle, self.params, monitor_page, silent)[0]


def trained_world(folder: Path, config: RetailerConfig, params: Params) -> World:
    """Simulates a retailer and trains up to five periods before its end."""
    write_retailer(config, folder / "data", threads=2)
    until = config.end - timedelta(days=UNCHANGED * params.monitor.period_days)
    request = TrainRequest(folder / "data", until, "quick", default_registry(folder), None)
    return World(folder, run_train(request, params, silent).result.bundle, until, params)


def watch(world: World, tally: Tally, fault_period: int) -> None:
    """Monitors every unchanged period, then each fault in one of them."""
    data = world.folder / "data"
    for period in range(1, UNCHANGED + 1):
        begun = time.process_time()
        found = world.monitored(data, period)
        tally.seconds.append(time.process_time() - begun)
        alarms, watched = found.of("alarm"), found.of("watch")
        tally.periods, tally.watched = tally.periods + 1, tally.watched + len(watched)
        tally.false_alarms += bool(alarms)
        said = "; ".join(f"{each.group} {each.name} {each.words}" for each in alarms)
        print(f"  unchanged, period {period}: {found.verdict} {said}", flush=True)
    for name in FAULTS:
        with tempfile.TemporaryDirectory() as folder:
            days = world.params.monitor.period_days
            since = world.trained_until + timedelta(days=days * (fault_period - 1))
            faulty = plant(name, data, Path(folder) / "data", since, days)
            _count(name, world.monitored(faulty, fault_period), tally)


def _count(name: str, found: Monitoring, tally: Tally) -> None:
    alarms = found.of("alarm")
    named = [each for each in alarms if each.name.startswith(FAULTS[name].named)]
    tally.planted += 1
    tally.found += bool(alarms)
    tally.named += bool(named)
    if not alarms:
        tally.missed.append(name)
    first = (named or alarms or found.of("watch"))[:1]
    said = f"{first[0].name}: {first[0].words}" if first else ""
    print(f"  {name}: {found.verdict}, {len(alarms)} alarms, {'named' if named else 'NOT NAMED'}; {said}", flush=True)


def main() -> None:
    """Runs the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--worlds", type=int, default=2)
    parser.add_argument("--customers", type=int, default=8_000)
    parser.add_argument("--first-seed", type=int, default=1)
    parser.add_argument("--fault-period", type=int, default=1, choices=range(1, UNCHANGED + 1))
    options = parser.parse_args()
    params = load_params()
    tally = Tally()
    for number in range(options.worlds):
        seed = options.first_seed + number
        config = RetailerConfig(options.customers, seed=seed, mechanism=MECHANISMS[seed % 2])  # type: ignore[arg-type]
        print(f"world {seed}, {config.mechanism}, {config.customers:,} customers", flush=True)
        with tempfile.TemporaryDirectory() as folder:
            watch(trained_world(Path(folder), config, params), tally, options.fault_period)
    print(
        json.dumps(
            {
                "worlds": options.worlds,
                "customers": options.customers,
                "unchanged_periods": tally.periods,
                "false_alarms": tally.false_alarms,
                "watched_per_period": round(tally.watched / tally.periods, 2),
                "fault_period": options.fault_period,
                "faults_planted": tally.planted,
                "faults_found": tally.found,
                "faults_named": tally.named,
                "missed": tally.missed,
                "monitor_cpu_s": round(sum(tally.seconds) / len(tally.seconds), 2),
            }
        )
    )


if __name__ == "__main__":
    if not PATIENT.keys() <= os.environ.keys():
        # The libraries read these when they are loaded, which has happened already.
        os.execve(sys.executable, [sys.executable, "-m", "benchmarks.monitor", *sys.argv[1:]], os.environ | PATIENT)
    main()
