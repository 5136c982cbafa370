"""Keeps each finding as JSON, so that a benchmark that was cut off goes on; a finding goes when its code changes."""

import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
Figures = dict[str, Any]


@dataclass(frozen=True)
class KeptResults:
    """Findings in a folder, one file each; `sources` are the folders and files whose text they depend on."""

    folder: Path

    def find(self, name: str, sources: tuple[str, ...]) -> Figures | None:
        """The finding of this name, if it was made by the present text of its sources."""
        path = self._path(name)
        if not path.exists():
            return None
        kept: Figures = json.loads(path.read_text())
        if kept["sources"] != source_digest(sources):
            return None
        figures: Figures = kept["figures"]
        return figures

    def keep(self, name: str, sources: tuple[str, ...], figures: Figures) -> Figures:
        """Writes a finding whole or not at all."""
        path = self._path(name)
        path.parent.mkdir(parents=True, exist_ok=True)
        beside = path.with_suffix(".part")
        beside.write_text(json.dumps({"sources": source_digest(sources), "figures": figures}))
        beside.replace(path)
        return figures

    def found(self, name: str, sources: tuple[str, ...], make: Callable[[], Figures]) -> Figures:
        """The finding that is kept, or else a new one."""
        kept = self.find(name, sources)
        return self.keep(name, sources, make()) if kept is None else kept

    def _path(self, name: str) -> Path:
        return self.folder / "results" / f"{name}.json"


@cache
def source_digest(sources: tuple[str, ...]) -> str:
    """A digest of the text of folders and files of this project."""
    digest = hashlib.sha256()
    for source in sources:
        place = ROOT / source
        paths = [place] if place.is_file() else sorted(place.rglob("*.py"))
        if not paths:
            raise SystemExit(f"{source}: is no file or folder of code of this project")
        for path in paths:
            digest.update(path.relative_to(ROOT).as_posix().encode() + path.read_bytes())
    return digest.hexdigest()[:16]
