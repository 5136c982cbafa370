"""CPU seconds and peak memory of LightGBM's Dataset, from one matrix and from blocks on demand; judges nothing.

python -m benchmarks.dataset [--rows 500000] [--threads 1] [--folder DIR]. Synthetic decisions with all default columns;
each route runs in a process of its own. The last line is JSON.
"""

import argparse
import json
import pickle
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import lightgbm as lgb
import numpy as np

from benchmarks.features import rows_of
from benchmarks.parts.history import peak_gb, prepared
from contract.loading import load_params
from features.catalogue import default_features
from features.compiler import learn_base_rates
from features.demographic import Customers, DemographicEncoder
from features.events import Spine
from features.matrix import ACTION, CAMPAIGN_CATEGORY, FeatureSet
from features.timeline import Timeline
from models.boosting import dataset
from models.tables import Table
from training.rows import ComputedTable, FeatureRows

ROUTES = ("matrix", "blocks")
ROWS_PER_CUSTOMER = 4.9
Figures = dict[str, float]


def computed(timeline: Timeline, spine: Spine, threads: int) -> ComputedTable:
    """The rows with all default columns of the sweep and of the row."""
    params = load_params()
    features = default_features(params, timeline.codebook)
    chosen = FeatureSet(
        features=features,
        demographic=DemographicEncoder(()),
        row_columns=(ACTION, CAMPAIGN_CATEGORY),
        codebook=timeline.codebook,
        n_categories=len(timeline.codebook.categories),
        windows_days=tuple(params.features.windows_days),
        lookback_days=params.features.lookback_days,
        base_rates=learn_base_rates(features, timeline.codebook, timeline.code_counts()),
    )
    customers = Customers.unchanging((), np.empty((timeline.n_customers, 0)))
    return ComputedTable(FeatureRows(chosen, timeline, customers, threads), spine)


def made(route: str, table: ComputedTable, threads: int) -> lgb.Dataset:
    """The Dataset by one of the routes; the label does not matter to it."""
    label = np.arange(len(table.spine)) % 2
    if route == "blocks":
        return dataset(table, label, None, threads)
    whole = Table(table.matrix, table.names, table.categorical, table.customer)
    codes = [i for i, name in enumerate(whole.names) if name in whole.categorical]
    binning = {"max_bin": 255, "min_data_in_bin": 10, "feature_pre_filter": False, "num_threads": threads}
    made_ = lgb.Dataset(
        whole.matrix, label, categorical_feature=codes, params={**binning, "verbosity": -1}, free_raw_data=True
    )
    return made_.construct()


def one_route(route: str, work: Path, threads: int) -> Figures:
    """CPU seconds and peaks of this process; what compiles is compiled before the clock starts."""
    timeline, spine = pickle.loads(work.read_bytes())
    table = computed(timeline, spine, threads)
    made("matrix", table.rows(np.arange(1_000)), threads)
    before, start, wall = peak_gb(), time.process_time(), time.perf_counter()
    data = made(route, table, threads)
    cpu, took = time.process_time() - start, time.perf_counter() - wall
    print(f"{route:<8}{data.num_data():>10,} rows {data.num_feature():>5} columns", file=sys.stderr)
    return {"cpu_s": cpu, "wall_s": took, "peak_gb": peak_gb(), "before_gb": before}


def measured(folder: Path, n_rows: int, threads: int) -> dict[str, Figures]:
    """The figures of every route, each from a process of its own."""
    work = prepared(folder, int(n_rows / ROWS_PER_CUSTOMER) + 1, load_params())
    size = min(n_rows, len(work.spine))
    kept = folder / "work.pickle"
    kept.write_bytes(pickle.dumps((work.timeline, rows_of(work.spine, 0, size).rows(np.arange(size)))))
    found = {}
    for route in ROUTES:
        words = [sys.executable, "-m", "benchmarks.dataset", "--route", route, "--work", str(kept)]
        done = subprocess.run([*words, "--threads", str(threads)], check=True, stdout=subprocess.PIPE, text=True)
        found[route] = json.loads(done.stdout.strip().splitlines()[-1])
    return found


def main() -> None:
    """Runs the benchmark, or one route of it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=500_000)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--folder", type=Path, default=None, help="where to write; a temporary folder by default")
    parser.add_argument("--route", choices=ROUTES, default=None, help=argparse.SUPPRESS)
    parser.add_argument("--work", type=Path, default=None, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.route:
        print(json.dumps(one_route(options.route, options.work, options.threads)))
        return
    with tempfile.TemporaryDirectory(dir=options.folder) as folder:
        found = measured(Path(folder), options.rows, options.threads)
    print(f"{'route':<8}{'CPU s':>10}{'wall s':>10}{'peak GB':>10}{'before GB':>12}")
    for route, row in found.items():
        print(f"{route:<8}{row['cpu_s']:>10.1f}{row['wall_s']:>10.1f}{row['peak_gb']:>10.2f}{row['before_gb']:>12.2f}")
    print(
        json.dumps({f"{route}_{name}": round(value, 2) for route, row in found.items() for name, value in row.items()})
    )


if __name__ == "__main__":
    main()
