"""A PostgreSQL server of the tests' own, on the loopback and a free port, gone with the tests."""

import os
import secrets
import shutil
import socket
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from urllib.parse import quote

import pandas as pd
import psycopg
from psycopg import sql

OWNER = "shopkeeper"
"""Whom the server is made for; any account of the machine may run it."""


@dataclass(frozen=True)
class Server:
    """Where the server listens, and what its owner must say."""

    port: int
    password: str

    def url(self, database: str, password: str | None = None) -> str:
        return f"postgresql://{OWNER}:{password or self.password}@127.0.0.1:{self.port}/{quote(database)}"

    def execute(self, database: str, *statements: str) -> None:
        with psycopg.connect(self.url(database), autocommit=True) as connection:
            for statement in statements:
                connection.execute(statement.encode())

    def create(self, database: str, *statements: str) -> str:
        """A new database in which the statements ran; its address."""
        self.execute("postgres", f'CREATE DATABASE "{database}"')
        self.execute(database, *statements)
        return self.url(database)

    def load(self, database: str, tables: Mapping[str, pd.DataFrame]) -> None:
        """Append the frames' rows to tables that are there already."""
        with psycopg.connect(self.url(database)) as connection:
            for name, frame in tables.items():
                columns = sql.SQL(", ").join(map(sql.Identifier, frame.columns))
                copy = sql.SQL("COPY {} ({}) FROM STDIN").format(sql.Identifier(name), columns)
                with connection.cursor().copy(copy) as rows:
                    for row in frame.astype(object).where(frame.notna(), None).itertuples(index=False):
                        rows.write_row(row)


def binaries() -> Path | None:
    """The folder that holds initdb and postgres, the newest where there are several."""
    on_path = shutil.which("initdb")
    packaged = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda path: int(path.parts[-3]))
    found = [*packaged, *([Path(on_path).resolve()] if on_path else [])]
    return found[-1].parent if found else None


def missing() -> str | None:
    """Why no server can be started here, or None."""
    if binaries() is None:
        return "needs PostgreSQL (on Debian the package postgresql), which is absent here"
    if os.geteuid() == 0 and not shutil.which("setpriv"):
        return "needs setpriv: PostgreSQL refuses to run as root"
    return None


@contextmanager
def running_server() -> Iterator[Server]:
    """A server with an empty database `postgres`, which asks for a password."""
    folder_of_binaries = binaries()
    assert folder_of_binaries is not None
    with TemporaryDirectory(prefix="channelwise-postgres-") as name:
        folder, server = Path(name), Server(_free_port(), secrets.token_hex(8))
        (folder / "password").write_text(server.password)
        _give_away(folder, folder / "password")
        _run(folder_of_binaries / "initdb", "-D", folder / "data", "-U", OWNER, "-A", "scram-sha-256",
             f"--pwfile={folder / 'password'}", "-E", "UTF8", "--locale=C", "--no-sync", folder=folder)  # fmt: skip
        settings = f"-h 127.0.0.1 -p {server.port} -k {folder} -F -c timezone=America/New_York"
        control = (folder_of_binaries / "pg_ctl", "-D", folder / "data", "-w", "-l", folder / "log")
        _run(*control, "-o", settings, "start", folder=folder)
        try:
            yield server
        finally:
            _run(*control, "-m", "immediate", "stop", folder=folder)


def _run(*words: object, folder: Path) -> None:
    unprivileged = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"] if os.geteuid() == 0 else []
    command = [*unprivileged, *map(str, words)]
    environment = {**os.environ, "HOME": str(folder)}
    with (folder / "said").open("w+") as said:
        done = subprocess.run(command, cwd=folder, stdout=said, stderr=said, env=environment, check=False)
        said.seek(0)
        assert not done.returncode, said.read()


def _give_away(*paths: Path) -> None:
    if os.geteuid() == 0:
        for path in paths:
            os.chown(path, 65534, 65534)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
