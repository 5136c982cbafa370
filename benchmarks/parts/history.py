"""A synthetic history of any size for the benchmarks: raw columns, a sorted timeline and the decisions in it.

Events per customer have a median of 42, unless said otherwise, and a tail up to 5,000; one event in ten is a decision.
Written once a folder and size, and used again.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from contract.params import Params
from contract.progress import silent
from features.encoding import US_PER_SECOND, Clock
from features.engines import Window
from features.events import US_PER_DAY, Codebook, EventCode, Events, Spine
from features.row_groups import GROUP_EVENTS
from features.segments import Arrivals, write_segment
from features.timeline import Timeline, open_timeline, write_manifest

START_US = 19_000 * US_PER_DAY
HISTORY_DAYS = 730
CHUNK_CUSTOMERS = 50_000
MEDIAN_EVENTS = 42
CATEGORIES = tuple(f"category_{i}" for i in range(8))
CLOCK = Clock(START_US, US_PER_SECOND)
WINDOW = Window(START_US, START_US + HISTORY_DAYS * US_PER_DAY)
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
    """What is measured on: the raw columns for the scan, the timeline, and a file of the rows to describe."""

    raw: Path
    timeline: Timeline
    rows: Path

    @cached_property
    def spine(self) -> Spine:
        """The rows to describe, read when they are asked for."""
        with np.load(self.rows) as kept:
            return Spine(kept["customer"], kept["as_of_us"], kept["action"], kept["category"])


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
    rng: np.random.Generator,
    codebook: Codebook,
    weights: npt.NDArray[np.float64],
    first: int,
    customers: int,
    median_events: int = MEDIAN_EVENTS,
) -> Events:
    """Events of some customers, by customer and time, in whole seconds."""
    counts = np.minimum(rng.lognormal(np.log(median_events), 0.55, customers).astype(np.int64), 5_000)
    offsets = np.concatenate([[0], np.cumsum(counts)])
    seconds = rng.integers(0, HISTORY_DAYS * 86_400, size=offsets[-1])
    keys = np.sort((np.repeat(np.arange(customers), counts) << 32) + seconds)
    code = rng.choice(len(weights), size=len(keys), p=weights).astype(np.uint16)
    priced = np.array([entry.kind in ("purchased", "returned") for entry in codebook.entries])
    cents = np.where(priced[code], rng.integers(100, 20_000, size=len(keys)), 0)
    return Events(first, offsets, START_US + (keys & 0xFFFF_FFFF) * US_PER_SECOND, code, cents)


def words_of(codebook: Codebook, name: str) -> list[str]:
    """What the small integers of a raw column stand for, in order; '' is none."""
    return sorted({getattr(entry, name) or "" for entry in codebook.entries})


def raw_table(events: Events, codebook: Codebook) -> pa.Table:
    """The events as a table of plain columns, what a scan reads."""
    customer = events.first_customer + np.repeat(np.arange(len(events.offsets) - 1), np.diff(events.offsets))
    columns = {
        "customer": customer.astype(np.uint32),
        "ts": events.time_us,
        "value": events.cents.astype(np.float32) / 100,
    }
    for name in ("kind", "channel", "category"):
        place = {word: at for at, word in enumerate(words_of(codebook, name))}
        numbers = [place[getattr(entry, name) or ""] for entry in codebook.entries]
        columns[name] = np.array(numbers, np.uint8)[events.code]
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
    arrivals = Arrivals(customers, np.arange(customers), ids, CLOCK, np.dtype(np.int32))
    base = write_segment(folder, 0, arrivals, batches, GROUP_EVENTS, silent, 0)
    write_manifest(folder, (base,), codebook, WINDOW, "")
    return open_timeline(folder)


def prepared(folder: Path, customers: int, params: Params, *, median_events: int = MEDIAN_EVENTS) -> Work:
    """The history of that many customers in the folder, made where it is not there."""
    few = "" if median_events == MEDIAN_EVENTS else f"-{median_events}"
    place = folder / f"history-{customers}{few}"
    if not (place / "spine.npz").exists():
        _make(place, customers, params, median_events)
    return Work(place / "raw.parquet", open_timeline(place / "timeline"), place / "spine.npz")


def _make(place: Path, customers: int, params: Params, median_events: int) -> None:
    place.mkdir(parents=True, exist_ok=True)
    codebook, weights = synthetic_codes(params)
    rng = np.random.default_rng(0)
    spines: list[Spine] = []
    schema = raw_table(synthetic_chunk(rng, codebook, weights, 0, 1), codebook).schema
    with pq.ParquetWriter(place / "raw.parquet", schema, compression="zstd") as plain:

        def batches() -> Iterator[pa.RecordBatch]:
            for first in range(0, customers, CHUNK_CUSTOMERS):
                some = min(CHUNK_CUSTOMERS, customers - first)
                events = synthetic_chunk(rng, codebook, weights, first, some, median_events)
                table = raw_table(events, codebook)
                plain.write_table(table, row_group_size=1_000_000)
                spines.append(decisions(events, codebook))
                columns = [table["customer"].combine_chunks(), CLOCK.ticks(events.time_us), events.code, events.cents]
                yield pa.record_batch(columns, names=["number", "tick", "code", "cents"])

        synthetic_timeline(place / "timeline", customers, codebook, batches())
    named = {name: np.concatenate([getattr(each, name) for each in spines]) for name in vars(spines[0])}
    np.savez(place / "spine.npz", allow_pickle=False, **named)


def batch_rows(customers: int) -> Spine:
    """Every customer at the end of the history, with one candidate action."""
    at = np.full(customers, WINDOW.until_us, np.int64)
    return Spine(np.arange(customers), at, np.ones(customers, np.int16), np.zeros(customers, np.int16))


def peak_gb() -> float:
    """Most memory that this process has held since it began; `ru_maxrss` would count what its parent held."""
    lines = Path("/proc/self/status").read_text(encoding="utf-8").splitlines()
    return float(next(line.split()[1] for line in lines if line.startswith("VmHWM"))) / 1e6
