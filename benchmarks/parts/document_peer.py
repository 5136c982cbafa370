"""Schemathesis over the OpenAPI document of a running server, from an environment of its own; starts no server."""

import subprocess
import sys
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

PEER = "schemathesis==4.32.5"
ANSWER_SECONDS = 10
"""Without an answer for so long, the server counts as hung."""


@dataclass(frozen=True)
class Examined:
    """What was found: requests sent by status, and failed checks by name with a line that says where."""

    statuses: Counter[int]
    failures: tuple[str, ...]
    version: str

    @property
    def errors_5xx(self) -> int:
        """Answers that say the server failed, but for those that say it is busy."""
        return sum(count for status, count in self.statuses.items() if status >= 500 and status != 503)


def environment(folder: Path) -> Path:
    """The folder of Schemathesis' programs, in an environment that is made once."""
    programs = folder / "schemathesis" / "bin"
    if not (programs / "st").exists():
        print("making an environment for schemathesis (a minute)", flush=True)
        subprocess.run([sys.executable, "-m", "venv", str(programs.parent)], check=True)
        install = [str(programs / "python"), "-m", "pip", "--quiet", "install", PEER]
        subprocess.run(install, check=True, capture_output=True)
    return programs
