"""Schemathesis over the OpenAPI document of a running server, from an environment of its own; starts no server."""

import json
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.parts.http_servers import Running

PEER = "schemathesis==4.32.5"
ANSWER_SECONDS = 10
"""Without an answer for so long, the server counts as hung."""

LEFT_OUT = "positive_data_acceptance"
"""That all is accepted whose form is right: which kinds and channels there are, and who was erased, no form can say."""


@dataclass(frozen=True)
class Examined:
    """What was found: requests sent, operations asked of how many, and each failed check or error with where it was."""

    requests: int
    operations: tuple[int, int]
    failures: tuple[str, ...]


def examined(server: Running, folder: Path, examples: int) -> Examined:
    """What every check but one says of so many examples an operation, and of its own hostile ones."""
    report = folder / "schemathesis.json"
    command = [
        str(_programs(folder) / "st"), "run", f"http://127.0.0.1:{server.port}/openapi.json",
        "--header", f"Authorization: Bearer {server.key}", "--max-examples", str(examples), "--seed", "0",
        "--request-timeout", str(ANSWER_SECONDS), "--exclude-checks", LEFT_OUT, "--continue-on-failure",
        "--generation-database", "none", "--suppress-health-check", "all", "--no-color",
        "--report", "json", "--report-json-path", str(report),
    ]  # fmt: skip
    report.unlink(missing_ok=True)
    with (folder / "schemathesis.log").open("w", encoding="utf-8") as log:
        subprocess.run(command, cwd=folder, stdout=log, stderr=log, check=False)
    if not report.exists():
        raise SystemExit(f"schemathesis wrote no report: see {folder / 'schemathesis.log'}")
    told: dict[str, Any] = json.loads(report.read_bytes())
    failures = [f"{each['title']}: {', '.join(each['operations'])}" for each in told["failures"]]
    failures += [f"{each['title']} ({each['count']})" for each in told["errors"]]
    if not told["complete"]:
        failures.append(f"stopped early: {told['stop_reason']}")
    operations = told["operations"]
    return Examined(told["test_cases"]["generated"], (operations["tested"], operations["total"]), tuple(failures))


def _programs(folder: Path) -> Path:
    """The folder of Schemathesis' programs, in an environment that is made once."""
    programs = folder / "schemathesis" / "bin"
    if not (programs / "st").exists():
        print("making an environment for schemathesis (a minute)", flush=True)
        subprocess.run([sys.executable, "-m", "venv", str(programs.parent)], check=True)
        install = [str(programs / "python"), "-m", "pip", "--quiet", "install", PEER]
        subprocess.run(install, check=True, capture_output=True)
    return programs
