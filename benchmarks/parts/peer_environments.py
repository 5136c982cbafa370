"""Environments of their own for peers whose packages would not go with ours, made on demand from the package index."""

import subprocess
import sys
from pathlib import Path


class PeerMissing(Exception):  # noqa: N818  it says what is the matter with a peer, which is then left out
    """A peer that cannot be installed or fails, with what it said."""


def environment(folder: Path, packages: tuple[str, ...]) -> Path:
    """The interpreter of an environment in the folder that has the packages.

    Raises:
        PeerMissing: they cannot be installed.
    """
    ready, python = folder / "ready", folder / "bin" / "python"
    if not ready.exists():
        print(f"making an environment with {', '.join(packages)} (some minutes)", flush=True)
        subprocess.run([sys.executable, "-m", "venv", "--clear", str(folder)], check=True)
        _run([str(python), "-m", "pip", "--quiet", "--disable-pip-version-check", "install", *packages])
        ready.touch()
    return python


def run_peer(python: Path, script: str, folder: Path) -> None:
    """Runs a script beside this file in a peer's environment.

    Raises:
        PeerMissing: it fails.
    """
    _run([str(python), str(Path(__file__).with_name(script)), str(folder)])


def _run(command: list[str]) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise PeerMissing(f"{Path(command[1]).name}: exit code {done.returncode}: {done.stderr[-600:].strip()}")
