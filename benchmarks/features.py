"""Cost of the features as multiples of one DuckDB scan of the same five columns, beside the peers; judges nothing.

python -m benchmarks.features [--customers 1000000] [--folder DIR] [--no-featuretools] [--no-peers]; 1,000,000 customers
have about 50 million events and 5 million decisions. Synthetic events are written once per folder and size. Compiling
is not counted. The scan and our jobs run in turn, several times; scans are the median of the turns' own ratios, so that
a machine whose speed drifts moves both. Featuretools runs in an environment of its own, made in the folder. The last
line is JSON.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import duckdb
import numpy as np
import numpy.typing as npt

from benchmarks import online
from benchmarks.parts.history import Work, batch_rows, peak_gb, prepared
from contract.loading import load_params
from contract.params import Params
from features.catalogue import default_features
from features.compiler import Program, compile_program
from features.events import Events, Spine
from features.export import feature_rows, feature_writer
from features.grammar import Feature
from features.kernel import run_sweep
from features.sweep import sweep

BLOCK_EVENTS = 40_000
THREAD_EVENTS = 400_000
ASKED_FEATURES = 220
ONLINE_CUSTOMERS = 200_000
SLICE = (200, 100)
"""Customers and rows that Featuretools is given."""


TURNS = 5
"""How often the scan and our jobs run, one after another."""

SCAN = "DuckDB scan"


@dataclass(frozen=True)
class Cost:
    """What a job took, medians; scans: CPU by that of a scan in the same turn."""

    name: str
    rows: int
    features: int
    cpu_s: float
    wall_s: float
    scans: float
    peak_gb: float | None = None


@dataclass(frozen=True)
class Job:
    """Work over so many rows and features."""

    name: str
    rows: int
    features: int
    run: Callable[[], object]


def scanned(raw: Path) -> None:
    """One DuckDB scan of the five columns with one thread."""
    with duckdb.connect(config={"threads": 1}) as connection:
        sums = "sum(CAST(ts AS HUGEINT)), sum(kind), sum(channel), sum(category), sum(value)"
        connection.execute(f"SELECT {sums} FROM read_parquet('{raw}')").fetchall()


def spread(features: tuple[Feature, ...], count: int) -> list[Feature]:
    """So many of the features, evenly over all of them, dear and cheap alike."""
    return [features[at] for at in np.linspace(0, len(features) - 1, count).round().astype(int)]


def rows_of(spine: Spine, begin: int, end: int) -> Spine:
    """Part of the rows."""
    part = slice(begin, end)
    return Spine(spine.customer[part], spine.as_of_us[part], spine.action[part], spine.category[part])


def parts(blocks: Iterator[Events], spine: Spine) -> Iterator[tuple[Events, Spine, int]]:
    """Each block with the rows about its customers, and where they begin."""
    for events in blocks:
        begin, end = np.searchsorted(
            spine.customer, [events.first_customer, events.first_customer + len(events.offsets) - 1]
        )
        yield events, rows_of(spine, int(begin), int(end)), int(begin)


def swept(program: Program, blocks: Iterator[Events], spine: Spine) -> Iterator[tuple[int, npt.NDArray[np.float32]]]:
    """Every row of the spine in a block that is used again, and where the block begins."""
    out = np.zeros((0, len(program.features)), np.float32)
    for events, rows, begin in parts(blocks, spine):
        if len(rows) > len(out):
            out = np.zeros((2 * len(rows), len(program.features)), np.float32)
        sweep(program, events, rows, out[: len(rows)])
        yield begin, out[: len(rows)]


def emptied(work: Iterator[object]) -> None:
    """Goes through to the end and keeps nothing."""
    deque(work, maxlen=0)


def described(program: Program, work: Work) -> None:
    """Every decision, by one thread."""
    emptied(swept(program, work.timeline.blocks(BLOCK_EVENTS), work.spine))


def swept_by(program: Program, work: Work, threads: int) -> None:
    """Every decision as `FeatureSet.iterate` has it: by this thread alone, or by others while this one reads."""
    if threads == 1:
        emptied(swept(program, work.timeline.blocks(THREAD_EVENTS), work.spine))
        return
    buffers = [np.zeros((0, len(program.features)), np.float32)] * (threads + 1)
    running: deque[Future[None]] = deque()
    with ThreadPoolExecutor(threads) as pool:
        for turn, (events, rows, _) in enumerate(parts(work.timeline.blocks(THREAD_EVENTS), work.spine)):
            if len(running) == len(buffers):
                running.popleft().result()
            at = turn % len(buffers)
            if len(rows) > len(buffers[at]):
                buffers[at] = np.zeros((2 * len(rows), len(program.features)), np.float32)
            running.append(pool.submit(sweep, program, events, rows, buffers[at][: len(rows)]))
        for each in running:
            each.result()


def written(program: Program, work: Work, path: Path) -> None:
    """All customers at one moment, as the command writes them."""
    timeline, spine = work.timeline, batch_rows(work.timeline.n_customers)
    with feature_writer(path, program.names) as writer:
        for begin, block in swept(program, timeline.blocks(THREAD_EVENTS), spine):
            ids = timeline.ids[begin : begin + len(block)]
            writer.write_table(feature_rows(writer.schema, ids, spine.as_of_us[begin : begin + len(block)], block))


def measured(work: Callable[[], object]) -> tuple[float, float]:
    """CPU and wall seconds."""
    wall, cpu = time.perf_counter(), time.process_time()
    work()
    return time.process_time() - cpu, time.perf_counter() - wall


def in_turn(jobs: Sequence[Job]) -> list[Cost]:
    """All jobs, one after another, `TURNS` times; the first is the scan."""
    cpu, wall = np.zeros((2, TURNS, len(jobs)))
    for turn in range(TURNS):
        for at, job in enumerate(jobs):
            cpu[turn, at], wall[turn, at] = measured(job.run)
    columns = (np.median(each, axis=0).tolist() for each in (cpu, wall, cpu / cpu[:, :1]))
    return [Cost(job.name, job.rows, job.features, *found) for job, *found in zip(jobs, *columns, strict=True)]


def peer(job: str, folder: Path, customers: int, scan_s: float) -> Cost:
    """A job of `benchmarks.parts.feature_peers`, in a process of its own."""
    command = [sys.executable, "-m", "benchmarks.parts.feature_peers", job, str(folder), str(customers)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"{job}: {done.stderr}")
    found = json.loads(done.stdout.splitlines()[-1])
    cpu_s = found["cpu_s"]
    return Cost(job, found["rows"], found.get("features", 0), cpu_s, found["wall_s"], cpu_s / scan_s, found["peak_gb"])


def featuretools(folder: Path, raw: Path, scan_s: float) -> Cost:
    """The slice, in an environment that is made once."""
    python = folder / "featuretools" / "bin" / "python"
    if not python.exists():
        subprocess.run([sys.executable, "-m", "venv", str(folder / "featuretools")], check=True)
        wanted = ["featuretools", "pandas<3", "pyarrow", "setuptools<81"]
        subprocess.run([str(python), "-m", "pip", "--quiet", "install", *wanted], check=True, capture_output=True)
    script = Path(__file__).with_name("parts") / "featuretools_peer.py"
    command = [str(python), str(script), str(raw), *map(str, SLICE)]
    found = json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()[-1])
    cpu_s = found["cpu_s"]
    return Cost("featuretools (slice)", found["rows"], found["features"], cpu_s, cpu_s, cpu_s / scan_s)


def our_jobs(work: Work, features: list[Feature], params: Params, folder: Path) -> list[Job]:
    """Spine, batch and batch as a file."""
    timeline, n = work.timeline, len(features)
    program = compile_program(features, timeline.codebook, params.features.windows_days)
    everyone = batch_rows(timeline.n_customers)

    def batch() -> None:
        emptied(swept(program, timeline.blocks(BLOCK_EVENTS), everyone))

    return [
        Job("ours: spine", len(work.spine), n, partial(described, program, work)),
        Job("ours: batch", len(everyone), n, batch),
        Job("ours: batch written", len(everyone), n, partial(written, program, work, folder / "features.parquet")),
    ]


def ours(work: Work, params: Params) -> list[Cost]:
    """The scan, our jobs with the features asked for, and with all; and that no selection compiled anything."""
    features, place = default_features(params, work.timeline.codebook), work.raw.parent
    asked, every = (our_jobs(work, each, params, place) for each in (spread(features, ASKED_FEATURES), [*features]))
    first = compile_program(features[:1], work.timeline.codebook, params.features.windows_days)
    emptied(swept(first, work.timeline.blocks(BLOCK_EVENTS), rows_of(work.spine, 0, 1)))
    before, compiled = peak_gb(), len(run_sweep.signatures)
    asked[0].run()
    extra = peak_gb() - before
    scan = Job(SCAN, work.timeline.n_events, 5, partial(scanned, work.raw))
    costs = in_turn([scan, *asked, *every])
    assert len(run_sweep.signatures) == compiled, "a selection of features compiled something"
    costs[1] = replace(costs[1], peak_gb=extra)
    return costs


def show(costs: list[Cost]) -> None:
    """A row a job."""
    print(f"{'job':26}{'rows':>12}{'features':>10}{'CPU-s':>10}{'wall s':>10}{'scans':>9}{'peak GB':>9}")
    for each in costs:
        peak = "" if each.peak_gb is None else f"{each.peak_gb:9.2f}"
        print(
            f"{each.name:26}{each.rows:>12,}{each.features:>10}{each.cpu_s:>10.2f}{each.wall_s:>10.2f}"
            f"{each.scans:>9.2f}{peak}",
            flush=True,
        )


def growth(work: Work, program: Program, folder: Path, params: Params) -> float:
    """CPU of the spine over that of a tenth of the customers, which is done ten times in turn with the whole."""
    tenth = prepared(folder, work.timeline.n_customers // 10, params)
    found = []
    for _ in range(3):
        whole, _ = measured(partial(described, program, work))
        parts_of_whole = [measured(partial(described, program, tenth))[0] for _ in range(10)]
        found.append(whole / float(np.mean(parts_of_whole)))
    return float(np.median(found))


def scaling(work: Work, folder: Path, params: Params) -> dict[str, float]:
    """What two threads gain, in turn with one, and what ten times the customers cost."""
    features = default_features(params, work.timeline.codebook)
    program = compile_program(features, work.timeline.codebook, params.features.windows_days)
    gains = []
    for _ in range(TURNS):
        one, two = (measured(partial(swept_by, program, work, threads))[1] for threads in (1, 2))
        gains.append(one / two)
    return {"speedup_two_threads": float(np.median(gains)), "growth_ten_times": growth(work, program, folder, params)}


def beside(folder: Path, work: Work, spine: Cost, scan_s: float, with_featuretools: bool) -> dict[str, float]:
    """What peers take, and sorting."""
    place, customers = work.raw.parent, work.timeline.n_customers
    peers = [peer(job, place, customers, scan_s) for job in ("duckdb_batch", "polars_batch", "duckdb_spine")]
    slow = [featuretools(folder, work.raw, scan_s)] if with_featuretools else []
    peer("unsorted", place, customers, scan_s)
    sorting = peer("sort", place, customers, scan_s)
    show([*peers, *slow, sorting])
    a_row = spine.cpu_s / spine.rows
    ratios = {"featuretools_ratio": slow[0].cpu_s / slow[0].rows / a_row} if slow else {}
    return {"sort_peak_gb": sorting.peak_gb or 0.0, **ratios}


def report(folder: Path, options: argparse.Namespace, params: Params) -> dict[str, float]:
    """All figures, each as it is found."""
    work = prepared(folder, options.customers, params)
    timeline = work.timeline
    print(
        f"{timeline.n_customers:,} customers, {timeline.n_events:,} events, {len(work.spine):,} decisions", flush=True
    )
    scan, spine, batch, file, spine_all, batch_all, file_all = ours(work, params)
    show([scan, spine, batch, file, spine_all, batch_all, file_all])
    figures = {
        "spine_scans": spine.scans,
        "batch_scans": batch.scans,
        "batch_written_scans": file.scans,
        "spine_scans_all": spine_all.scans,
        "batch_scans_all": batch_all.scans,
        "spine_extra_gb": spine.peak_gb or 0.0,
        **scaling(work, folder, params),
    }
    if not options.no_peers:
        figures |= beside(folder, work, spine, scan.cpu_s, not options.no_featuretools)
    stored = online.measure(min(options.customers, ONLINE_CUSTOMERS))
    return figures | {name: stored[name] for name in ("online_p50_ms", "online_p99_ms")}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--customers", type=int, default=1_000_000)
    parser.add_argument("--folder", type=Path, default=None, help="where to write; a temporary folder by default")
    parser.add_argument("--no-featuretools", action="store_true", help="leave out the peer that needs an index")
    parser.add_argument("--no-peers", action="store_true", help="leave out all peers, and sorting")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = arguments.folder or Path(temporary)
        figures = report(folder, arguments, load_params())
    print(json.dumps({name: round(value, 4) for name, value in figures.items()}))


if __name__ == "__main__":
    main()
