"""A small file that says where the champion's bundle lies, so that serving needs no registry; promotes nothing."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from contract.errors import ArtefactError
from contract.files import atomic_file

FOLDER = "champions"


def pointer_file(folder: Path, objective: str) -> Path:
    """Where the pointer of an objective lies beside its registry."""
    return folder / FOLDER / f"{objective}.json"


@contextmanager
def pointing_to(pointer: Path, bundle: Path, model_version: str) -> Iterator[None]:
    """Name the champion's bundle when the block ends well; that it can be written is known when the block begins."""
    pointer.parent.mkdir(parents=True, exist_ok=True)
    with atomic_file(pointer) as part:
        tree = {"bundle": str(bundle.absolute()), "model_version": model_version}
        part.write_text(json.dumps(tree) + "\n", encoding="utf-8")
        yield


def champion_folder(pointer: Path) -> Path | None:
    """The champion's bundle; None where nobody was promoted.

    Raises:
        ArtefactError: the pointer is damaged.
    """
    if not pointer.exists():
        return None
    try:
        return Path(json.loads(pointer.read_bytes())["bundle"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ArtefactError(f"{pointer}: is damaged ({error!r}); promote the champion again") from error
