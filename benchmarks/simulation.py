"""Wall time, CPU time and peak memory of writing simulated retailers, and what choice is worth in them; judges nothing.

python -m benchmarks.simulation [--customers 20000 1000000] [--threads 2] [--folder DIR]. Up to 100,000 customers have
about 110 interactions each, more have about 50. Each size is written by a process of its own, after the compilation.
The last line is JSON.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from rich.console import Console

from simulation.config import RetailerConfig, large_retailer
from simulation.retailer import write_retailer
from simulation.truth import read_truth

Figures = dict[str, float]
LARGE = 100_000


def written(folder: Path, customers: int, threads: int) -> None:
    """Writes one retailer and prints its size as JSON; the process that measures calls this one."""
    config = large_retailer(customers) if customers > LARGE else RetailerConfig(customers)
    summary = write_retailer(config, folder, threads=threads)
    print(json.dumps({"interactions": summary.interactions, "decisions": summary.sent + summary.held_out}))


def measured(folder: Path, customers: int, threads: int) -> Figures:
    """Size of the retailer, seconds and peak GB of the process that wrote it, and the bytes on disk."""
    words = ["--customers", str(customers), "--threads", str(threads), "--folder", str(folder), "--inside"]
    start = time.perf_counter()
    process = subprocess.Popen(
        [sys.executable, "-m", "benchmarks.simulation", *words], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    told = json.loads(process.stdout.read())
    process.stdout.close()
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise SystemExit(f"writing {customers} customers exited {process.returncode}")
    on_disk = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
    return {
        **told,
        "wall_s": round(time.perf_counter() - start, 1),
        "cpu_s": round(usage.ru_utime + usage.ru_stime, 1),
        "peak_gb": round(usage.ru_maxrss / 2**20, 2),
        "disk_gb": round(on_disk / 2**30, 2),
    }


def choice(folder: Path) -> Figures:
    """EUR a customer, without any limit: the best action each, the best single channel for all, and a random one."""
    gain = read_truth(folder / "truth").gain_eur
    return {
        "best_eur": round(float(gain.max(axis=1).mean()), 3),
        "one_for_all_eur": round(float(gain.mean(axis=0).max()), 3),
        "random_eur": round(float(gain[:, 1:].mean()), 3),
    }


def main() -> None:
    """Runs the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--customers", type=int, nargs="+", default=[20_000, 1_000_000])
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--folder", type=Path)
    parser.add_argument("--inside", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.inside:
        written(options.folder, options.customers[0], options.threads)
        return
    console = Console()
    found: dict[str, Figures] = {}
    with tempfile.TemporaryDirectory(dir=options.folder) as folder:
        compiled = measured(Path(folder) / "compile", 100, 1)
        console.print(f"compiled or loaded, and 100 customers written, in {compiled['wall_s']:.1f} s")
        for customers in options.customers:
            target = Path(folder) / str(customers)
            found[str(customers)] = {**measured(target, customers, options.threads), **choice(target)}
            console.print(f"{customers:,} customers: {found[str(customers)]}")
    print(json.dumps(found))


if __name__ == "__main__":
    main()
