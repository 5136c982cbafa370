"""Cost of the features as a multiple of one DuckDB scan of the same five columns; judges nothing.

python -m benchmarks.features [--customers 100000] [--folder DIR]; 1,000,000 customers have about 50 million events.
The synthetic events are written once per folder and size. The first call of the sweep, which compiles or loads it, is
not counted. The last line is JSON.
"""

import argparse
import json
import resource
import tempfile
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import duckdb
import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from contract.loading import load_params
from contract.params import Params
from contract.progress import silent
from features.catalogue import default_features
from features.compiler import Program, compile_program
from features.encoding import US_PER_SECOND, Clock
from features.engines import Window
from features.events import US_PER_DAY, Codebook, EventCode, Events, Spine
from features.row_groups import GROUP_EVENTS
from features.segments import Arrivals, write_segment
from features.sweep import sweep
from features.timeline import Timeline, open_timeline, write_manifest

START_US = 19_000 * US_PER_DAY
HISTORY_DAYS = 730
CHUNK_CUSTOMERS = 50_000
BLOCK_EVENTS = 40_000
CATEGORIES = tuple(f"category_{i}" for i in range(8))
# Relative frequencies of kinds: one event in ten is a decision.
FREQUENCY = {
    "sent": 4.0,
    "delivered": 8.0,
    "bounced": 0.2,
    "opened": 6.0,
    "clicked": 2.0,
    "replied": 0.3,
    "unsubscribed": 0.1,
    "complained": 0.05,
    "visited": 10.0,
    "called": 0.5,
    "chatted": 0.5,
    "shared": 0.5,
    "reviewed": 0.3,
    "purchased": 4.0,
    "returned": 0.5,
}


@dataclass(frozen=True)
class Work:
    """What is measured on: the raw columns for the scan, the timeline, and the rows to describe."""

    raw: Path
    timeline: Timeline
    spine: Spine


def synthetic_codes(params: Params) -> tuple[Codebook, npt.NDArray[np.float64]]:
    """Every combination that the channels record, and how often each occurs."""
    weights: dict[EventCode, float] = {}
    for kind, frequency in FREQUENCY.items():
        on = [
            name
            for name, each in params.channels.items()
            if (each.outbound if kind == "sent" else kind in each.records)
        ]
        for channel in on:
            for category in (None, *CATEGORIES):
                share = 0.3 if category is None else 0.7 / len(CATEGORIES)
                weights[EventCode(kind, channel, category, False)] = frequency * share / len(on)
    total = np.array(list(weights.values()))
    return Codebook(tuple(weights), CATEGORIES, tuple(params.channels), params.outbound), total / total.sum()


def synthetic_chunk(
    rng: np.random.Generator, codebook: Codebook, weights: npt.NDArray[np.float64], first: int, customers: int
) -> Events:
    """Events of some customers: a median of 42 each, a long tail up to 5,000, whole seconds."""
    counts = np.minimum(rng.lognormal(np.log(42), 0.55, customers).astype(np.int64), 5_000)
    offsets = np.concatenate([[0], np.cumsum(counts)])
    seconds = rng.integers(0, HISTORY_DAYS * 86_400, size=offsets[-1])
    keys = np.sort((np.repeat(np.arange(customers), counts) << 32) + seconds)
    code = rng.choice(len(weights), size=len(keys), p=weights).astype(np.uint16)
    priced = np.array([entry.kind in ("purchased", "returned") for entry in codebook.entries])
    cents = np.where(priced[code], rng.integers(100, 20_000, size=len(keys)), 0)
    return Events(first, offsets, START_US + (keys & 0xFFFF_FFFF) * US_PER_SECOND, code, cents)


def raw_table(events: Events, codebook: Codebook) -> pa.Table:
    """The events as a table of plain columns, what a scan reads."""
    customer = events.first_customer + np.repeat(np.arange(len(events.offsets) - 1), np.diff(events.offsets))
    columns = {
        "customer": customer.astype(np.uint32),
        "ts": events.time_us,
        "value": events.cents.astype(np.float32) / 100,
    }
    for name in ("kind", "channel", "category"):
        words = [getattr(entry, name) or "" for entry in codebook.entries]
        columns[name] = np.array([sorted(set(words)).index(word) for word in words], np.uint8)[events.code]
    return pa.table(columns)


def decisions(events: Events, codebook: Codebook) -> Spine:
    """Every message sent, at its own time."""
    entries = codebook.entries
    action = np.array([1 + codebook.outbound.index(e.channel) if e.kind == "sent" else 0 for e in entries], np.int16)
    category = np.array([CATEGORIES.index(e.category) if e.category else -1 for e in entries], np.int16)
    rows = np.flatnonzero(action[events.code])
    customer = events.first_customer + np.searchsorted(events.offsets, rows, side="right") - 1
    code = events.code[rows]
    return Spine(customer, events.time_us[rows], action[code], category[code])


def synthetic_timeline(folder: Path, customers: int, codebook: Codebook, batches: Iterable[pa.RecordBatch]) -> Timeline:
    """A timeline of sorted batches in whole seconds from the start, with ids in order of the customers' numbers."""
    ids = pa.array([f"{i:09d}" for i in range(customers)], pa.large_string())
    clock, cents = Clock(START_US, US_PER_SECOND), np.dtype(np.int32)
    arrivals = Arrivals(customers, np.arange(customers), ids, clock, cents)
    base = write_segment(folder, 0, arrivals, batches, GROUP_EVENTS, silent, 0)
    window = Window(START_US, START_US + HISTORY_DAYS * US_PER_DAY)
    write_manifest(folder, (base,), codebook, window, "")
    return open_timeline(folder)


def prepared(folder: Path, customers: int, params: Params) -> Work:
    """Synthetic events, sorted, as raw Parquet and as a timeline."""
    codebook, weights = synthetic_codes(params)
    rng = np.random.default_rng(0)
    raw, spines = folder / "raw.parquet", []
    clock = Clock(START_US, US_PER_SECOND)
    schema = raw_table(synthetic_chunk(rng, codebook, weights, 0, 1), codebook).schema
    with pq.ParquetWriter(raw, schema, compression="zstd") as plain:

        def batches() -> Iterator[pa.RecordBatch]:
            for first in range(0, customers, CHUNK_CUSTOMERS):
                events = synthetic_chunk(rng, codebook, weights, first, min(CHUNK_CUSTOMERS, customers - first))
                table = raw_table(events, codebook)
                plain.write_table(table, row_group_size=1_000_000)
                spines.append(decisions(events, codebook))
                columns = [table["customer"].combine_chunks(), clock.ticks(events.time_us), events.code, events.cents]
                yield pa.record_batch(columns, names=["number", "tick", "code", "cents"])

        timeline = synthetic_timeline(folder / "timeline", customers, codebook, batches())
    named = {name: np.concatenate([getattr(each, name) for each in spines]) for name in vars(spines[0])}
    return Work(raw, timeline, Spine(**named))


def batch_spine(customers: int) -> Spine:
    """Every customer at the end of the history, with one candidate action."""
    at = np.full(customers, START_US + HISTORY_DAYS * US_PER_DAY, np.int64)
    return Spine(np.arange(customers), at, np.ones(customers, np.int16), np.zeros(customers, np.int16))


def scanned(raw: Path) -> None:
    """One DuckDB scan of the five columns with one thread."""
    with duckdb.connect(config={"threads": 1}) as connection:
        sums = "sum(CAST(ts AS HUGEINT)), sum(kind), sum(channel), sum(category), sum(value)"
        connection.execute(f"SELECT {sums} FROM read_parquet('{raw}')").fetchall()


def rows(spine: Spine, begin: int, end: int) -> Spine:
    """Part of the rows."""
    part = slice(begin, end)
    return Spine(spine.customer[part], spine.as_of_us[part], spine.action[part], spine.category[part])


def swept(program: Program, blocks: Iterator[Events], spine: Spine, threads: int = 1) -> None:
    """Every row of the spine into one block that is used again."""
    out = np.zeros((0, len(program.features)), np.float32)
    for events in blocks:
        ends = [events.first_customer, events.first_customer + len(events.offsets) - 1]
        begin, end = np.searchsorted(spine.customer, ends)
        if end - begin > len(out):
            out = np.zeros((2 * (end - begin), len(program.features)), np.float32)
        sweep(program, events, rows(spine, int(begin), int(end)), out[: end - begin], threads=threads)


def measured(work: Callable[[], object], times: int = 3) -> tuple[float, float]:
    """Least CPU and least wall seconds."""
    figures = []
    for _ in range(times):
        wall, cpu = time.perf_counter(), time.process_time()
        work()
        figures.append((time.process_time() - cpu, time.perf_counter() - wall))
    return min(cpu for cpu, _ in figures), min(wall for _, wall in figures)


def peak_gb() -> float:
    """Most memory that the process has held."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6


def online_us(program: Program, timeline: Timeline) -> npt.NDArray[np.float64]:
    """Microseconds a call, for one customer's events and one row, over a thousand customers."""
    events = next(timeline.blocks(1_000_000))
    out = np.zeros((1, len(program.features)), np.float32)
    taken = []
    for local in range(min(1_000, len(events.offsets) - 1)):
        begin, end = events.offsets[local : local + 2]
        part = slice(begin, end)
        own = Events(local, np.array([0, end - begin]), events.time_us[part], events.code[part], events.cents[part])
        row = Spine(np.array([local]), np.array([START_US * 2]), np.ones(1, np.int16), np.zeros(1, np.int16))
        start = time.perf_counter_ns()
        sweep(program, own, row, out)
        taken.append((time.perf_counter_ns() - start) / 1e3)
    return np.array(taken)


def report(work: Work, params: Params) -> dict[str, float]:
    """All figures, each as it is found."""
    timeline = work.timeline
    features = default_features(params, timeline.codebook)
    program = compile_program(features, timeline.codebook, params.features.windows_days)
    swept(program, timeline.blocks(BLOCK_EVENTS), rows(work.spine, 0, 1))
    before = peak_gb()
    scan, _ = measured(lambda: scanned(work.raw))
    spine, wall = measured(lambda: swept(program, timeline.blocks(BLOCK_EVENTS), work.spine))
    extra = peak_gb() - before
    batch, _ = measured(lambda: swept(program, timeline.blocks(BLOCK_EVENTS), batch_spine(timeline.n_customers)))
    _, two = measured(lambda: swept(program, timeline.blocks(20 * BLOCK_EVENTS), work.spine, threads=2))
    read, _ = measured(lambda: deque(timeline.blocks(BLOCK_EVENTS), maxlen=0))
    online = online_us(program, timeline)
    print(f"{timeline.n_customers:,} customers, {timeline.n_events:,} events, {len(work.spine):,} decisions")
    for name, seconds in {"scan": scan, "read": read, "spine": spine, "batch": batch}.items():
        print(f"{name:>8} {seconds:8.2f} CPU-s {seconds / scan:6.2f} scans")
    return {
        "features": len(features),
        "spine_scans": spine / scan,
        "batch_scans": batch / scan,
        "spine_ns_per_row": spine / len(work.spine) * 1e9,
        "speedup_two_threads": wall / two,
        "spine_extra_gb": extra,
        "sweep_one_customer_p50_ms": float(np.percentile(online, 50)) / 1e3,
        "sweep_one_customer_p99_ms": float(np.percentile(online, 99)) / 1e3,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--customers", type=int, default=100_000)
    parser.add_argument("--folder", type=Path, default=None, help="where to write; a temporary folder by default")
    arguments = parser.parse_args()
    params = load_params()
    with tempfile.TemporaryDirectory(dir=arguments.folder) as folder:
        figures = report(prepared(Path(folder), arguments.customers, params), params)
    print(json.dumps({name: round(value, 4) for name, value in figures.items()}))


if __name__ == "__main__":
    main()
