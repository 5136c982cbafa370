"""A file that may be written anew under a running server: what it said last and could be read; writes nothing."""

from collections.abc import Callable
from pathlib import Path
from typing import Generic, TypeVar

from contract.errors import ChannelwiseError

T = TypeVar("T")
Stamp = tuple[int, int, int] | None


class WatchedFile(Generic[T]):
    """What a file says. Of one that cannot be read any more, the last that could be read stays."""

    def __init__(self, path: Path, read: Callable[[Path], T], name: str) -> None:
        """Read it.

        Args:
            path: where.
            read: makes a value of it; raises a ChannelwiseError where it cannot.
            name: what it holds, as the server says it: "the NAME offered were refused".

        Raises:
            ChannelwiseError: it cannot be read.
        """
        self._path, self._read, self._name = path, read, name
        self._seen = _stamp(path)
        self.value = read(path)

    def now(self) -> T:
        """The value that counts."""
        return self.value

    def renew(self) -> list[str]:
        """Read the file if it was written anew, and say so."""
        stamp = _stamp(self._path)
        if stamp == self._seen:
            return []
        # Remembered before it is read: a damaged file is refused once, not at every look.
        self._seen = stamp
        try:
            self.value = self._read(self._path)
        except ChannelwiseError as error:
            return [f"the {self._name} offered were refused, the old ones stay: {error}"]
        return [f"took the {self._name} of {self._path.name} anew"]


def _stamp(path: Path) -> Stamp:
    """What changes with every writing; None where there is no file."""
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_mtime_ns, found.st_size, found.st_ino
