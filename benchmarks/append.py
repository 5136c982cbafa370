"""Cost of adding a day of events to a timeline, beside building it again, for histories of two sizes; judges nothing.

python -m benchmarks.append [--events 5000000 20000000] [--customers 400000] [--folder DIR]; the day is a 730th of the
largest history, the same for every size, and goes to customers spread over all ids, some of them new. A rebuild sorts
all events from Parquet. Compiling is not counted. The last line is JSON.
"""

import argparse
import json
import os
import tempfile
import time
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TypeVar

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from benchmarks.features import BLOCK_EVENTS
from benchmarks.parts.history import HISTORY_DAYS, START_US
from contract.loading import load_params
from contract.params import Params
from features.events import US_PER_DAY
from features.growth import Compaction, append_events
from features.timeline import Timeline, build_timeline

T = TypeVar("T")
KINDS = ("sent", "opened", "clicked", "visited", "purchased")
NEVER = Compaction(added_share=np.inf, max_segments=1 << 16)
ALWAYS = Compaction(added_share=0.0)


@dataclass(frozen=True)
class Shop:
    """What the timeline needs of an intake."""

    connection: duckdb.DuckDBPyConnection
    as_of: datetime


@dataclass(frozen=True)
class Cost:
    """CPU-seconds, and bytes of files that were written anew."""

    cpu_s: float
    written_mb: float


@dataclass(frozen=True)
class Figures:
    """Costs for one history; reading before and after, CPU-seconds of one pass over all events."""

    base_events: int
    day_events: int
    customers: int
    append: Cost
    second_append: Cost
    compacting_append: Cost
    rebuild: Cost
    read_base_s: float
    read_grown_s: float


def interactions(rng: np.random.Generator, events: int, customers: int, first_day: int, days: int) -> pa.Table:
    """Events in no order, whole seconds, at customers spread over all ids."""
    kind = rng.integers(0, len(KINDS), events, dtype=np.int8)
    number = rng.integers(0, customers, events)
    seconds = rng.integers(0, days * 86_400, events)
    time_us = START_US + first_day * US_PER_DAY + seconds * 1_000_000
    value = np.where(kind == len(KINDS) - 1, rng.integers(100, 20_000, events) / 100, np.nan)
    return pa.table(
        {
            "customer_id": pa.array([f"{i:09d}" for i in range(customers)]).take(pa.array(number)),
            "occurred_at": pa.array(time_us, pa.timestamp("us")),
            "channel": pa.DictionaryArray.from_arrays(pa.array(kind % 2), pa.array(["email", "sms"])),
            "kind": pa.DictionaryArray.from_arrays(pa.array(kind), pa.array(KINDS)),
            "campaign_id": pa.nulls(events, pa.string()),
            "value": pa.array(value, from_pandas=True),
        }
    )


def opened(files: list[Path], customers: int, fresh: int, until_day: int) -> Shop:
    """Views of the files' interactions; ids of fresh customers lie between those of known ones."""
    connection = duckdb.connect(config={"threads": 1})
    connection.execute(f"CREATE VIEW interactions AS FROM read_parquet({[str(file) for file in files]})")
    ids = [f"{i:09d}" for i in range(customers)] + [f"{i * 7:09d}+" for i in range(fresh)]
    known = pa.table({"customer_id": ids})
    connection.register("known", known)
    connection.execute("CREATE TABLE customers AS FROM known")
    connection.unregister("known")
    connection.execute("CREATE TABLE campaigns (campaign_id VARCHAR, type VARCHAR, category VARCHAR)")
    connection.execute(
        "CREATE TABLE consents (customer_id VARCHAR, channel VARCHAR, occurred_at TIMESTAMP, granted BOOLEAN, "
        "purpose VARCHAR)"
    )
    return Shop(connection, datetime.fromtimestamp((START_US + until_day * US_PER_DAY) / 1e6, UTC))


def written_mb(folder: Path, before: set[int]) -> float:
    """Megabytes of the folder's files whose content was not there before."""
    files = [file.stat() for file in folder.rglob("*") if file.is_file()]
    return sum(each.st_size for each in files if each.st_ino not in before) / 1e6


def costed(folder: Path, work: Callable[[], T]) -> tuple[T, Cost]:
    """What the work returns, and what it costs to write into the folder."""
    before = {file.stat().st_ino for file in folder.rglob("*")}
    kept = [os.open(file, os.O_RDONLY) for file in folder.rglob("*") if file.is_file()]
    start = time.process_time()
    result = work()
    cost = Cost(time.process_time() - start, written_mb(folder, before))
    for descriptor in kept:
        # Held open until now, so that no new file got an old one's number.
        os.close(descriptor)
    return result, cost


def read_seconds(timeline: Timeline) -> float:
    """Least CPU-seconds of one pass over all events."""
    taken = []
    for _ in range(3):
        start = time.process_time()
        deque(timeline.blocks(BLOCK_EVENTS), maxlen=0)
        taken.append(time.process_time() - start)
    return min(taken)


def measure(folder: Path, base_events: int, day_events: int, customers: int, params: Params) -> Figures:
    """Figures for a history of so many events and a day after it.

    Args:
        folder: An empty folder to write in.
        base_events: Events of the history, over two years less a day.
        day_events: Events of the day.
        customers: How many are known; on the day one more arrives for every 10,000.
        params: Lookback.
    """
    rng, last = np.random.default_rng(0), HISTORY_DAYS - 1
    days = {"history": (base_events, 0, last), "day": (day_events, last, 1), "next": (day_events, last + 1, 1)}
    files = {name: folder / f"{name}.parquet" for name in days}
    for name, (events, first, length) in days.items():
        pq.write_table(interactions(rng, events, customers, first, length), files[name])
    fresh = customers // 10_000
    place = folder / "timeline"
    base = build_timeline(opened([files["history"]], customers, 0, last), params, place)
    read_base = read_seconds(base)

    def appended(name: str, fresh: int, until_day: int, compaction: Compaction) -> Callable[[], Timeline]:
        shop = opened([files[name]], customers, fresh, until_day)
        return lambda: append_events(shop, place, params, compaction=compaction)

    grown, append = costed(place, appended("day", fresh, last + 1, NEVER))
    read_grown = read_seconds(grown)
    _, second = costed(place, appended("next", 2 * fresh, last + 2, NEVER))
    _, compacting = costed(place, appended("next", 2 * fresh, last + 2, ALWAYS))
    shop = opened([files["history"], files["day"]], customers, fresh, last + 1)
    _, rebuild = costed(place, lambda: build_timeline(shop, params, place))
    return Figures(base_events, day_events, customers, append, second, compacting, rebuild, read_base, read_grown)


def warm(folder: Path, params: Params) -> None:
    """Compiles or loads what is compiled."""
    folder.mkdir()
    measure(folder, 2_000, 200, 100, params)


def lines(figures: Figures) -> Iterator[str]:
    """The figures for a person."""
    yield f"{figures.base_events:,} events of {figures.customers:,} customers, a day of {figures.day_events:,}"
    for name, cost in vars(figures).items():
        if isinstance(cost, Cost):
            yield f"{name.replace('_', ' '):>18} {cost.cpu_s:8.2f} CPU-s {cost.written_mb:8.2f} MB written"
    yield f"{'read':>18} {figures.read_base_s:8.2f} CPU-s before, {figures.read_grown_s:.2f} after"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--events", type=int, nargs="+", default=[5_000_000, 20_000_000])
    parser.add_argument("--customers", type=int, default=400_000)
    parser.add_argument("--folder", type=Path, default=None, help="where to write; a temporary folder by default")
    arguments = parser.parse_args()
    params = load_params()
    found = []
    with tempfile.TemporaryDirectory(dir=arguments.folder) as folder:
        warm(Path(folder) / "warm", params)
        for events in arguments.events:
            place = Path(folder) / str(events)
            place.mkdir()
            day = max(arguments.events) // HISTORY_DAYS
            found.append(measure(place, events, day, arguments.customers, params))
            print("\n".join(lines(found[-1])), flush=True)
    print(json.dumps([asdict(each) for each in found]))


if __name__ == "__main__":
    main()
