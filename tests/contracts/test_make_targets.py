"""The words that people and CI type: each target is there, explained, and says what is missing."""

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
TARGETS = ("env", "demo", "test", "check", "bench", "docs", "lock")


def make(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Runs make there, unaware of a make that may be running the tests."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("MAKE", "MFLAGS"))}
    command = ["make", "--no-print-directory", *arguments]
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)


@pytest.fixture
def fresh(tmp_path: Path) -> Path:
    """A folder with what `make env` reads and no environment."""
    for name in ("Makefile", "requirements.lock", "pyproject.toml"):
        shutil.copy(ROOT / name, tmp_path)
    return tmp_path


@pytest.mark.parametrize("target", TARGETS)
def test_the_help_names_every_target(target: str) -> None:
    assert re.search(rf"^make {target} +\S", make(ROOT).stdout, re.MULTILINE)


@pytest.mark.parametrize("target", ["demo", "test", "check", "bench", "docs"])
def test_each_target_alone_makes_the_environment_first(fresh: Path, target: str) -> None:
    steps = make(fresh, "--dry-run", target).stdout
    installs = [steps.index("--require-hashes"), steps.index("--no-deps --no-build-isolation --editable .")]
    assert sorted(installs) == installs
    assert all(mark in steps[installs[1] :] for mark in (".venv/installed", ".venv/bin/"))


def test_the_environment_is_made_once(fresh: Path) -> None:
    (fresh / ".venv").mkdir()
    for stamp in ("pinned", "installed"):
        (fresh / ".venv" / stamp).touch()
    assert "pip" not in make(fresh, "--dry-run", "env").stdout


def test_a_changed_lock_makes_it_anew(fresh: Path) -> None:
    (fresh / ".venv").mkdir()
    for stamp in ("pinned", "installed"):
        (fresh / ".venv" / stamp).touch()
        os.utime(fresh / ".venv" / stamp, (0, 0))
    assert "-m venv --clear" in make(fresh, "--dry-run", "env").stdout


def test_a_missing_interpreter_is_named_with_its_remedy(fresh: Path) -> None:
    done = make(fresh, "env", "PYTHON=")
    assert done.returncode == 2
    assert "make env PYTHON=/path/to/python3.11" in done.stderr


def test_continuous_integration_runs_every_check() -> None:
    script = (ROOT / ".ci" / "run").read_text()
    assert "set -euo pipefail" in script
    assert os.access(ROOT / ".ci" / "run", os.X_OK)
    steps = ["make check", ".ci/services", "make test", "readme_commands.py README.md"]
    assert [step for step in steps if step in script] == steps
