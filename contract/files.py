"""Writes outputs so that a killed run or a full disk leaves the old one or the new one, never half of one.

Everything is written beside its target under a hidden name, flushed to the disk, then renamed over the target. What a
killed run left under such a name is removed when the same target is written next; that of a living one is not.
"""

import ctypes
import errno
import os
import secrets
import shutil
import socket
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from contract.errors import StorageError, UsageError

MARKER: Final = ".channelwise-output"
"""Empty file in every folder written here; a folder without it is somebody else's and is never replaced."""

_SUFFIX: Final = ".partial"
_FULL: Final = ("No space left on device", "File too large", "database or disk is full")
"""How libraries word a full disk in errors of their own: Arrow and DuckDB, both on a limited file, SQLite."""

_STORAGE_ERRORS: Final = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO, errno.EROFS}
_AT_FDCWD: Final = -100
_RENAME_EXCHANGE: Final = 2


@contextmanager
def atomic_file(path: Path) -> Iterator[Path]:
    """Yields a temporary path to write to; at the end it becomes `path`, unless an error passes through.

    Raises:
        StorageError: the disk is full or cannot be written; the old file is whole.
        UsageError: `path` is a folder.
    """
    with atomic_group([path]) as (temporary,):
        yield temporary


@contextmanager
def atomic_group(paths: Sequence[Path]) -> Iterator[tuple[Path, ...]]:
    """Yields one temporary path for each of `paths`; they replace their targets, in order, only once all are whole.

    Put the file that readers look for first at the end. Each must have been written; parent folders are made.

    Raises:
        StorageError: the disk is full or cannot be written; every old file is whole.
        UsageError: a path is a folder, or is given twice.
    """
    refuse_unusable(paths)
    temporaries: list[Path] = []
    try:
        with storage_errors(paths[0] if len(paths) == 1 else paths[0].parent):
            temporaries += [_beside(path) for path in paths]
            yield tuple(temporaries)
            for temporary in temporaries:
                _flush(temporary)
            for temporary, path in zip(temporaries, paths, strict=True):
                temporary.replace(path)
            for folder in {path.parent for path in paths}:
                _flush(folder)
    finally:
        for temporary in temporaries:
            temporary.unlink(missing_ok=True)


@contextmanager
def atomic_folder(path: Path) -> Iterator[Path]:
    """Yields a temporary folder to fill; at the end it becomes `path`, whose former content is removed.

    Raises:
        StorageError: the disk is full or cannot be written; the old folder is whole.
        UsageError: `path` is a file, or a folder with content that channelwise did not write.
    """
    _refuse_foreign(path)
    temporary: Path | None = None
    try:
        with storage_errors(path):
            temporary = _beside(path)
            temporary.mkdir()
            yield temporary
            (temporary / MARKER).touch()
            for each in [*sorted(temporary.rglob("*")), temporary]:
                _flush(each)
            _replace_folder(temporary, path)
            _flush(path.parent)
    finally:
        if temporary is not None:
            shutil.rmtree(temporary, ignore_errors=True)


@contextmanager
def storage_errors(target: Path) -> Iterator[None]:
    """Turns a full or unwritable disk, however a library words it, into a StorageError that names `target`.

    Raises:
        StorageError: in place of such an error; any other passes unchanged.
    """
    try:
        yield
    except Exception as error:
        if not _is_storage(error, target):
            raise
        reason = (isinstance(error, OSError) and error.strerror) or _full(error) or str(error).splitlines()[0]
        raise StorageError(
            f"{target}: cannot be written ({reason}); what was there before is whole; free space or name another place"
        ) from error


def refuse_unusable(paths: Sequence[Path]) -> None:
    """Files may be written to these paths.

    Raises:
        UsageError: a path is a folder, or is given twice.
    """
    if len({path.absolute() for path in paths}) < len(paths):
        raise UsageError(f"outputs: {', '.join(map(str, paths))} name one file twice; name each apart")
    for path in paths:
        if path.is_dir():
            raise UsageError(f"{path}: is a folder; give the path of a file")


def _is_storage(error: Exception, target: Path) -> bool:
    if isinstance(error, PermissionError):
        # An input that may not be read is no fault of the disk.
        return Path(str(error.filename)).is_relative_to(target.parent)
    known = isinstance(error, OSError) and error.errno in _STORAGE_ERRORS
    return known or _full(error) is not None


def _full(error: Exception) -> str | None:
    return next((phrase for phrase in _FULL if phrase in str(error)), None)


def _refuse_foreign(path: Path) -> None:
    if path.is_file():
        raise UsageError(f"{path}: is a file; give the path of a folder")
    if path.is_dir() and any(path.iterdir()) and not (path / MARKER).exists():
        raise UsageError(
            f"{path}: holds files that channelwise did not write and would remove; name an empty or a new folder"
        )


def _beside(path: Path) -> Path:
    """A hidden, unused name in the folder of `path`, after removing what dead runs left there for the same target."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except (FileExistsError, NotADirectoryError) as error:
        raise UsageError(f"{path}: {error.filename} is a file, not a folder; name another place") from error
    for leftover in path.parent.glob(f".{_escaped(path.name)}.*{_SUFFIX}*"):
        if _is_dead(leftover.name):
            shutil.rmtree(leftover) if leftover.is_dir() else leftover.unlink(missing_ok=True)
    owner = f"{socket.gethostname().replace('.', '-')}.{os.getpid()}"
    # Writers choose the format by suffix, so the target's stays at the end.
    return path.with_name(f".{path.name}.{owner}.{secrets.token_hex(4)}{_SUFFIX}{path.suffix}")


def _escaped(name: str) -> str:
    return "".join(f"[{letter}]" if letter in "*?[" else letter for letter in name)


def _is_dead(name: str) -> bool:
    """Whether the process that made the hidden file lived on this host and is gone."""
    host, process = name.rpartition(_SUFFIX)[0].split(".")[-3:-1]
    if host != socket.gethostname().replace(".", "-") or not process.isdigit():
        return False
    try:
        os.kill(int(process), 0)
    except ProcessLookupError:
        return True
    except PermissionError:
        return False
    return False


def _flush(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _replace_folder(new: Path, path: Path) -> None:
    if not path.exists():
        new.rename(path)
    elif not _exchange(new, path):
        # No exchange in one step on this system: the old folder lies under a hidden name for a moment.
        old = _beside(path)
        path.rename(old)
        new.rename(path)
        shutil.rmtree(old)


def _exchange(one: Path, other: Path) -> bool:
    """Swaps two paths in one step (Linux renameat2); false where the system cannot."""
    renameat2 = getattr(ctypes.CDLL(None, use_errno=True), "renameat2", None)
    if renameat2 is None:
        return False
    return bool(renameat2(_AT_FDCWD, os.fsencode(one), _AT_FDCWD, os.fsencode(other), _RENAME_EXCHANGE) == 0)
