"""Event stores to test: SQLite always, Redis where a server can be started; and rows of a history as interactions."""

import shutil
import socket
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from contract.params import Params
from features.event_store import EventStore, Interaction
from features.events import Codebook
from features.sqlite_store import SqliteStore
from tests.properties.raw_histories import CAMPAIGNS, CUSTOMERS

Opener = Callable[[str, Codebook | None], EventStore]
KINDS_OF_STORE = ("sqlite", "redis")


@contextmanager
def store_opener(kind: str, folder: Path, params: Params) -> Iterator[Opener]:
    """A function that opens the store of a name in `folder`, the same one under the same name."""
    if kind == "sqlite":
        yield lambda name, codebook: SqliteStore(folder / f"{name}.db", params, codebook=codebook)
        return
    from features.redis_store import RedisStore

    with redis_server(folder) as url:
        yield lambda name, codebook: RedisStore(url, params, codebook=codebook, prefix=name)


@contextmanager
def redis_server(folder: Path) -> Iterator[str]:
    """A server of our own on a free port, whose log has a command before its reply; skips where there is none."""
    program = shutil.which("redis-server")
    if program is None:
        pytest.skip("needs redis-server on the path, which is absent here")
    redis = pytest.importorskip("redis", reason="needs the extra redis")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    words = [program, "--port", str(port), "--dir", str(folder), "--appendonly", "yes", "--save", ""]
    words += ["--appendfsync", "always"]
    with subprocess.Popen([*words, "--bind", "127.0.0.1"], stdout=subprocess.DEVNULL) as server:
        try:
            retry = redis.retry.Retry(redis.backoff.ConstantBackoff(0.05), 200)
            with redis.Redis(port=port, retry=retry, retry_on_error=[redis.exceptions.ConnectionError]) as client:
                client.ping()
            yield f"redis://127.0.0.1:{port}/0"
        finally:
            server.kill()


def delivered(frame: pd.DataFrame) -> list[Interaction]:
    """The rows of known customers, with what their campaigns are."""
    known = {f"c{i}" for i in range(CUSTOMERS)}
    campaigns: dict[Any, Any] = {each.campaign_id: each for each in CAMPAIGNS.itertuples()}
    rows = []
    row: Any
    for row in frame.astype(object).where(frame.notna(), None).itertuples(index=False):
        if row.customer_id not in known or (row.channel is None and row.kind != "held_out"):
            continue
        campaign = campaigns.get(row.campaign_id)
        time_us = int(pd.Timestamp(row.occurred_at).value // 1_000)
        category = campaign.category if campaign is not None and isinstance(campaign.category, str) else None
        rows.append(
            Interaction(
                customer_id=row.customer_id,
                occurred_at_us=time_us,
                kind=row.kind,
                channel=row.channel,
                campaign_id=row.campaign_id,
                send_id=row.send_id,
                value=row.value,
                cost=row.cost,
                propensity=row.propensity,
                category=category,
                transactional=campaign is not None and campaign.type == "transactional",
            )
        )
    return rows
