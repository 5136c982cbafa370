"""Whoever is killed while appending, at any moment: what was acknowledged is there exactly once, in its place."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np

from contract.loading import load_params
from features.histories import events_of, packed
from features.sqlite_store import SqliteStore
from tests.adapters.appending import numbered
from tests.adapters.event_stores import redis_server

PARAMS = load_params()
APPENDING = Path(__file__).resolve().parents[1] / "adapters" / "appending.py"
ACKNOWLEDGED = (1, 13, 150, 400, 977)


def append_until_killed(file: Path, first: int, after: int) -> int:
    """Starts a process that appends from number `first`, kills it after so many; the last number it acknowledged."""
    environment = {**os.environ, "PYTHONPATH": str(APPENDING.parents[2])}
    words = [sys.executable, str(APPENDING), str(file), str(first)]
    with subprocess.Popen(words, stdout=subprocess.PIPE, env=environment, text=True) as child:
        assert child.stdout is not None
        seen = [child.stdout.readline() for _ in range(after)]
        child.send_signal(signal.SIGKILL)
        seen += child.stdout.readlines()
    assert child.returncode == -signal.SIGKILL
    return int([line for line in seen if line.endswith("\n")][-1])


def test_every_acknowledged_event_survives_kill_9_exactly_once(tmp_path):
    file, first, acknowledged = tmp_path / "events.db", 0, set[int]()
    for after in ACKNOWLEDGED:
        last = append_until_killed(file, first, after)
        acknowledged |= set(range(first, last + 1))
        first = last + 1  # the next one may have been kept and not told; it is delivered again
    store = SqliteStore(file, PARAMS)
    found = [int(row.send_id or "") for row in store.interactions()]
    assert len(found) == len(set(found))
    assert set(found) - acknowledged <= {first}
    assert acknowledged <= set(found)
    for customer in range(7):
        own = sorted(numbered(number).occurred_at_us for number in found if number % 7 == customer)
        events = events_of(store.history(f"c{customer}"), 0, 1 << 62)
        assert events.time_us.tolist() == own
        zeros = np.zeros(len(own), np.int64)
        assert store.history(f"c{customer}") == packed(np.array(own, np.int64), zeros.astype(np.uint16), zeros)
    assert not store.append(numbered(0)).added
    store.close()


def test_every_acknowledged_event_survives_the_kill_of_a_redis_server(tmp_path):
    from features.redis_store import RedisStore

    number, acknowledged = 0, []
    for after in ACKNOWLEDGED[:3]:
        with redis_server(tmp_path) as url:  # killed at the end, with signal 9
            store = RedisStore(url, PARAMS)
            for _ in range(after):
                assert store.append(numbered(number)).added
                acknowledged.append(number)
                number += 1
            store.close()
    with redis_server(tmp_path) as url:
        store = RedisStore(url, PARAMS)
        assert sorted(int(row.send_id or "") for row in store.interactions()) == acknowledged
        held = sum(len(events_of(store.history(f"c{customer}"), 0, 1 << 62).code) for customer in range(7))
        assert held == len(acknowledged)
        store.close()
