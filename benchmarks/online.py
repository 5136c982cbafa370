"""Time to keep one event and to read all features of its customer back, from each event store; judges nothing.

python -m benchmarks.online [--customers 200000] [--folder DIR]. The stores are filled with synthetic histories, about
50 events a customer and whole seconds; then customers are taken at random, one operation at a time, after a warm-up.
`append_read` keeps an event and computes all default features with it, in one call; `append` and `read` are each alone.
CPU is that of the calling thread: what the operation costs where nothing else wants the processor.
Redis runs on this machine, its log synced every second, if `redis-server` is on the path. The last line
is JSON: figures without a store's name are SQLite's.
"""

import argparse
import json
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import numpy.typing as npt

from benchmarks.parts.history import HISTORY_DAYS, START_US, prepared
from contract.loading import load_params
from contract.params import Params
from features.catalogue import default_features
from features.demographic import Column, Customers, DemographicEncoder
from features.encoding import US_PER_SECOND
from features.event_store import EventStore, Interaction
from features.events import US_PER_DAY
from features.matrix import ACTION, CAMPAIGN_CATEGORY, FeatureSet
from features.online import OnlineFeatures
from features.sqlite_store import SqliteStore
from features.timeline import Timeline

OPERATIONS = 20_000
WARM_UP = 20_000
PERCENTILES = (50, 99, 99.9)
NOW_US = START_US + HISTORY_DAYS * US_PER_DAY


def feature_set(params: Params, timeline: Timeline) -> FeatureSet:
    """All default features, five demographic columns and the row's own."""
    levels = tuple(f"level_{i}" for i in range(8))
    columns = (
        Column("birth_year", "age"),
        Column("gender", "level", levels[:2]),
        Column("region", "level", levels),
        Column("signup_at", "days"),
        Column("acquisition_channel", "level", levels),
    )
    return FeatureSet(
        features=default_features(params, timeline.codebook),
        demographic=DemographicEncoder(columns),
        row_columns=(ACTION, CAMPAIGN_CATEGORY),
        codebook=timeline.codebook,
        n_categories=len(timeline.codebook.categories),
        windows_days=tuple(params.features.windows_days),
        lookback_days=params.features.lookback_days,
        base_rates={},
    )


def demographics(features: FeatureSet, n_customers: int) -> Customers:
    """Something for each column of each customer."""
    rng = np.random.default_rng(1)
    values = rng.integers(0, 8, (n_customers, 5)).astype(np.float64)
    values[:, 0] = rng.integers(1930, 2005, n_customers)
    values[:, 3] = START_US - rng.integers(0, 3_000, n_customers) * US_PER_DAY
    return Customers.unchanging(features.demographic.names, values)


def arriving(timeline: Timeline, count: int, seed: int) -> Iterator[Interaction]:
    """Events of customers at random, each a second after the one before; one in a hundred is a day late."""
    rng = np.random.default_rng(seed)
    entries = timeline.codebook.entries
    customers = rng.integers(timeline.n_customers, size=count).tolist()
    codes = rng.integers(len(entries), size=count).tolist()
    late = (rng.random(count) < 0.01).tolist()
    for at, (customer, code) in enumerate(zip(customers, codes, strict=True)):
        time_us = NOW_US + (seed * OPERATIONS * 10 + at) * US_PER_SECOND - late[at] * US_PER_DAY
        kind, channel, category, transactional = entries[code]
        value = 12.5 if kind in ("purchased", "returned") else None
        yield Interaction(
            timeline.customer_ids[customer],
            time_us,
            kind,
            channel,
            campaign_id="spring" if category else None,
            send_id=f"s{at}",
            value=value,
            category=category,
            transactional=transactional,
        )


def timed(operation: Callable[[Interaction], object], events: Iterator[Interaction]) -> npt.NDArray[np.float64]:
    """(n_calls, 2) milliseconds of each call: on the clock, and of processor time."""
    taken = []
    for event in events:
        cpu = time.thread_time_ns()
        start = time.perf_counter_ns()
        operation(event)
        wall = time.perf_counter_ns() - start
        taken.append((wall, time.thread_time_ns() - cpu))
    return np.array(taken) / 1e6


def measured_store(
    store: EventStore, work: tuple[Timeline, FeatureSet, Customers], operations: int
) -> dict[str, float]:
    """Milliseconds by operation and percentile, of a store that is filled here."""
    timeline, features, customers = work
    start = time.perf_counter()
    store.fill(timeline)
    figures = {"fill_s": time.perf_counter() - start}
    online = OnlineFeatures(features, store, customers, timeline.customer_ids)
    as_of = NOW_US + US_PER_DAY
    both: Callable[[Interaction], object] = lambda event: online.append(event, as_of, (1,), 0)  # noqa: E731
    timed(both, arriving(timeline, min(WARM_UP, operations), 0))
    work_of: dict[str, Callable[[Interaction], object]] = {
        "append": store.append,
        "read": lambda event: online.row(event.customer_id, as_of, (1,), 0),
        "read_5_actions": lambda event: online.row(event.customer_id, as_of, (1, 2, 3, 4, 5), 0),
        "append_read": both,
    }
    for seed, (name, operation) in enumerate(work_of.items(), start=1):
        taken = timed(operation, arriving(timeline, operations, seed))
        for p in PERCENTILES:
            wall, cpu = np.percentile(taken, p, axis=0)
            figures |= {f"{name}_p{p:g}_ms": float(wall), f"{name}_cpu_p{p:g}_ms": float(cpu)}
    return figures


@contextmanager
def redis_url(folder: Path) -> Iterator[str | None]:
    """A server of our own that logs each command, None where there is none on the path."""
    program = shutil.which("redis-server")
    if program is None:
        yield None
        return
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = str(probe.getsockname()[1])
    words = [program, "--port", port, "--bind", "127.0.0.1", "--dir", str(folder), "--appendonly", "yes", "--save", ""]
    with subprocess.Popen(words, stdout=subprocess.DEVNULL) as server:
        try:
            while socket.socket().connect_ex(("127.0.0.1", int(port))):
                time.sleep(0.05)
            yield f"redis://127.0.0.1:{port}/0"
        finally:
            server.kill()


def shown(name: str, figures: dict[str, float]) -> None:
    """A store's figures as a table."""
    print(f"{name}: filled in {figures['fill_s']:.1f} s")
    columns = [f"{kind}p{p:g}" for kind in ("", "cpu_") for p in PERCENTILES]
    print(f"{'ms':>16}", *(f"{column:>10}" for column in columns))
    for operation in ("append", "read", "read_5_actions", "append_read"):
        print(f"{operation:>16}", *(f"{figures[f'{operation}_{column}_ms']:10.4f}" for column in columns))


def measure(customers: int, folder: Path | None = None, operations: int = OPERATIONS) -> dict[str, float]:
    """All figures, each printed as it is found; `online_p50_ms` and `online_p99_ms` are SQLite's append and read.

    Args:
        customers: How many, each with about 50 events.
        folder: Where to write what is deleted again; the system's temporary folder if None.
        operations: Timed calls of each operation.
    """
    params = load_params()
    with tempfile.TemporaryDirectory(dir=folder) as own:
        place = Path(own)
        timeline = prepared(place, customers, params).timeline
        features = feature_set(params, timeline)
        work = timeline, features, demographics(features, customers)
        print(f"{customers:,} customers, {timeline.n_events:,} events, {len(features.names)} columns")
        store: EventStore = SqliteStore(place / "events.db", params)
        figures = measured_store(store, work, operations)
        store.close()
        shown("sqlite", figures)
        result = {"customers": customers, "columns": len(features.names), **figures}
        result |= {f"online_p{p}_ms": figures[f"append_read_p{p}_ms"] for p in (50, 99)}
        with redis_url(place) as url:
            if url is None:
                print("redis: no redis-server on the path")
                return result
            from features.redis_store import RedisStore

            store = RedisStore(url, params)
            figures = measured_store(store, work, operations)
            store.close()
        shown("redis", figures)
        return result | {f"redis_{name}": value for name, value in figures.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--customers", type=int, default=200_000)
    parser.add_argument("--folder", type=Path, default=None, help="where to write; a temporary folder by default")
    arguments = parser.parse_args()
    figures = measure(arguments.customers, arguments.folder)
    print(json.dumps({name: round(value, 4) for name, value in figures.items()}))


if __name__ == "__main__":
    main()
