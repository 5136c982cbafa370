"""A real `channelwise serve` in a process of its own, and a client that speaks to it over loopback."""

import json
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

from serving.http.keys import load_keys

ANSWER_SECONDS = 30.0
PATIENT = ("--set", "serving.wait_seconds=20")
"""A machine under load answers late; no test is about that."""


@dataclass
class Client:
    """Asks one server with one key."""

    port: int
    key: str
    process: "subprocess.Popen[str]"

    def ask(self, method: str, path: str, message: Any = None, *, raw: bytes | None = None) -> tuple[int, Any]:
        """Status and decoded body."""
        connection = HTTPConnection("127.0.0.1", self.port, timeout=ANSWER_SECONDS)
        try:
            body = raw if raw is not None else None if message is None else json.dumps(message).encode()
            connection.request(method, path, body, {"authorization": f"Bearer {self.key}"})
            answer = connection.getresponse()
            content = answer.read()
            return answer.status, json.loads(content) if "json" in answer.headers["content-type"] else content.decode()
        finally:
            connection.close()


def new_key(file: Path, *scopes: str) -> str:
    """A key in a file of keys."""
    keys, key = load_keys(file).with_new("-".join(scopes), scopes)
    keys.save(file)
    return key


@contextmanager
def running(folder: Path, key: str, *words: object) -> Iterator[Client]:
    """`channelwise serve WORDS` in `folder`, from when it listens; ended by SIGTERM, silently, unless ended before."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "channelwise", "serve", "--port", port, *PATIENT, *words]
    process = subprocess.Popen(list(map(str, command)), cwd=folder, stderr=subprocess.PIPE, text=True)
    try:
        assert process.stderr is not None
        said = []
        for line in process.stderr:
            said.append(line)
            if " on http://" in line:
                break
        else:
            raise AssertionError("the server ended: " + "".join(said))
        yield Client(port, key, process)
    finally:
        process.terminate()
        _, said_last = process.communicate(timeout=ANSWER_SECONDS)
    assert "leaked" not in said_last
