"""Runs the command as its entry point does, in this process or its own, and says what a caller would see.

Each run has an empty working directory, so that nothing lands in the checkout and nothing there is relied upon.
"""

import io
import os
import subprocess
import sys
from collections.abc import Callable
from contextlib import chdir, redirect_stderr, redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

ROOT = Path(__file__).resolve().parents[2]


@dataclass(frozen=True)
class Ran:
    """How a command ended; a negative code is the signal that killed it."""

    code: int
    out: str
    err: str


def run_command(*words: object) -> Ran:
    """`channelwise WORDS` in this process."""
    from channelwise.command import main

    before, sys.argv = sys.argv, ["channelwise", *map(str, words)]
    out, err = io.StringIO(), io.StringIO()
    code: object = 0
    try:
        with TemporaryDirectory() as elsewhere, chdir(elsewhere), redirect_stdout(out), redirect_stderr(err):
            main()
    except SystemExit as exit_:
        code = exit_.code or 0
    finally:
        sys.argv = before
    assert isinstance(code, int)
    return Ran(code, out.getvalue(), err.getvalue())


def run_apart(*words: object, before: Callable[[], None] | None = None) -> Ran:
    """`channelwise WORDS` in a process of its own; `before` runs in it first, to set limits."""
    return _ran([sys.executable, "-m", "channelwise", *map(str, words)], before)


def start_apart(folder: Path, *words: object) -> "subprocess.Popen[str]":
    """`channelwise WORDS` in a process of its own in `folder`, its lines on standard error to be read as they come."""
    command = [sys.executable, "-m", "channelwise", *map(str, words)]
    return subprocess.Popen(
        command, cwd=folder, env=_environment(), stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
    )


def _ran(command: list[str], before: Callable[[], None] | None) -> Ran:
    with TemporaryDirectory() as elsewhere:
        done = subprocess.run(
            command, cwd=elsewhere, env=_environment(), capture_output=True, text=True, check=False, preexec_fn=before
        )
    return Ran(done.returncode, done.stdout, done.stderr)


def _environment() -> dict[str, str]:
    path = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")]))
    return {**os.environ, "PYTHONPATH": path}
