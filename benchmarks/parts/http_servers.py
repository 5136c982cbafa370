"""Starts the servers that are compared, in processes of their own, and reads what those used; measures no request."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from benchmarks.parts.http_load import Target
from serving.http.keys import load_keys
from simulation.config import RetailerConfig
from simulation.retailer import write_retailer

TICKS = os.sysconf("SC_CLK_TCK")
ANSWER_BYTES = 2_640
"""Scores of one customer on six channels."""

WIDE = ("serving.requests_per_second=1e6", "serving.burst_requests=1e6")


@dataclass(frozen=True)
class World:
    """A retailer with a trained model. ids: of customers."""

    folder: Path
    data: Path
    model: Path
    as_of: str
    campaign: str
    ids: list[str]

    @property
    def store(self) -> Path:
        """Where the server keeps what it knows."""
        return self.folder / "store"


def world_in(folder: Path, customers: int) -> World:
    """Simulates and trains, unless the folder has it from before."""
    note = folder / "world.json"
    if not note.exists():
        config = RetailerConfig(customers=customers, seed=0)
        made = write_retailer(config, folder / "data", threads=2)
        registry = f"sqlite:///{folder / 'registry.db'}"
        as_of = config.end.astimezone(UTC).isoformat()
        words = [
            "train",
            "--data",
            str(folder / "data"),
            "--profile",
            "quick",
            "--registry",
            registry,
            "--as-of",
            as_of,
        ]
        subprocess.run([sys.executable, "-m", "channelwise", *words], cwd=folder, check=True, stdout=subprocess.DEVNULL)
        pointer = json.loads((folder / "champions" / "sell.json").read_bytes())
        tree = {"model": pointer["bundle"], "as_of": as_of, "campaign": made.campaign_id}
        note.write_text(json.dumps(tree), encoding="utf-8")
    tree = json.loads(note.read_bytes())
    ids = pq.read_table(folder / "data" / "customers.parquet", columns=["customer_id"])["customer_id"].to_pylist()
    return World(folder, folder / "data", Path(tree["model"]), tree["as_of"], tree["campaign"], ids)


@dataclass
class Running:
    """A server: its first process, its port, a key where it asks for one."""

    process: "subprocess.Popen[bytes]"
    port: int
    key: str = ""

    def target(self, path: str) -> Target:
        """One of its routes."""
        return Target(self.port, path, self.key)

    @property
    def cpu_s(self) -> float:
        """CPU-seconds of all its processes so far."""
        return sum(ticks for ticks, _ in map(_used, _family(self.process.pid))) / TICKS

    @property
    def resident_mb(self) -> float:
        """Resident memory of all its processes."""
        return sum(pages for _, pages in map(_used, _family(self.process.pid))) * os.sysconf("SC_PAGE_SIZE") / 1e6


def _family(pid: int) -> Iterator[int]:
    yield pid
    for task in Path(f"/proc/{pid}/task").iterdir():
        for child in (task / "children").read_text(encoding="ascii").split():
            yield from _family(int(child))


def _used(pid: int) -> tuple[int, int]:
    """Clock ticks and resident pages of a process."""
    fields = Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
    return int(fields[11]) + int(fields[12]), int(fields[21])


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def ours(world: World, *settings: str) -> Iterator[Running]:
    """`channelwise serve` over the world's store, ended by SIGTERM unless it was ended before."""
    keys_file, port = world.folder / "keys.json", free_port()
    keys, key = load_keys(keys_file.with_name("none.json")).with_new("load", ["admin"])
    keys.save(keys_file)
    words: list[Any] = ["serve", "--port", port, "--store", world.store, "--keys", keys_file, "--model", world.model]
    words += ["--as-of", world.as_of, *(word for each in (*WIDE, *settings) for word in ("--set", each))]
    if not (world.store / "store.json").exists():
        words += ["--data", world.data]
    yield from _running([sys.executable, "-m", "channelwise", *map(str, words)], world.folder, port, key, {})


@contextmanager
def mlflows(world: World) -> Iterator[Running]:
    """`mlflow models serve` of the same bundle and store, in one worker."""
    import mlflow

    peer, port = world.folder / "peer", free_port()
    if not peer.exists():
        code = Path(__file__).with_name("mlflow_peer.py")
        mlflow.pyfunc.save_model(peer, python_model=str(code), pip_requirements=[])
    words = ["-m", "mlflow", "models", "serve", "-m", str(peer), "--env-manager", "local", "-p", str(port)]
    told = {"CHANNELWISE_PEER": json.dumps({
        "store": str(world.store), "model": str(world.model), "as_of": world.as_of,
    })}  # fmt: skip
    yield from _running([sys.executable, *words, "--workers", "1"], world.folder, port, "", told)


@contextmanager
def constants(world: World) -> Iterator[Running]:
    """A server that answers any request by as many bytes as the scores of a customer have."""
    code, port = Path(__file__).with_name("constant_peer.py"), free_port()
    yield from _running([sys.executable, str(code), str(port), str(ANSWER_BYTES)], world.folder, port, "", {})


def _running(command: list[str], folder: Path, port: int, key: str, further: dict[str, str]) -> Iterator[Running]:
    root = str(Path(__file__).parents[2])
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    environment = {**os.environ, "PYTHONPATH": root, "PATH": path, **further}
    with (folder / "server.log").open("ab") as log:
        process = subprocess.Popen(command, cwd=folder, env=environment, stdout=log, stderr=log, start_new_session=True)
    try:
        while socket.socket().connect_ex(("127.0.0.1", port)):
            if process.poll() is not None:
                raise SystemExit(f"the server ended: see {folder / 'server.log'}")
            time.sleep(0.05)
        yield Running(process, port, key)
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGTERM)
            process.wait()
