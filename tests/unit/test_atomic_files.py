"""An output is the old one or the new one: after errors, full disks, kills, and beside what others wrote."""

import errno
import os
import signal
import subprocess
import sys
import textwrap

import duckdb
import pytest

from contract import files
from contract.errors import StorageError, UsageError
from contract.files import MARKER, atomic_file, atomic_folder, atomic_group, storage_errors


def content(folder):
    """Every file with its text, hidden ones included."""
    return {str(path.relative_to(folder)): path.read_text() for path in folder.rglob("*") if path.is_file()}


def broken_off(writing, error):
    """Writes what it is given to write, then fails."""
    with writing as given:
        for temporary in given if isinstance(given, tuple) else (given,):
            (temporary / "half" if temporary.is_dir() else temporary).write_text("half")
        raise error


def test_a_file_replaces_the_old_one_only_at_the_end(tmp_path):
    target = tmp_path / "deep" / "plan.parquet"
    for text in ("old", "new"):
        with atomic_file(target) as temporary:
            assert temporary.parent == target.parent
            assert temporary.suffix == ".parquet"
            temporary.write_text(text)
            assert text == "old" or target.read_text() == "old"
        assert target.read_text() == text
    assert content(tmp_path) == {"deep/plan.parquet": "new"}


def test_an_error_leaves_the_old_file_and_no_other(tmp_path):
    target = tmp_path / "plan.csv"
    target.write_text("old")
    with pytest.raises(ZeroDivisionError):
        broken_off(atomic_file(target), ZeroDivisionError())
    assert content(tmp_path) == {"plan.csv": "old"}


def test_files_that_belong_together_appear_only_when_all_are_whole(tmp_path):
    paths = [tmp_path / "a", tmp_path / "b", tmp_path / "c"]
    paths[0].write_text("old")
    with pytest.raises(ZeroDivisionError):
        broken_off(atomic_group(paths), ZeroDivisionError())
    assert content(tmp_path) == {"a": "old"}
    with atomic_group(paths) as temporaries:
        for temporary in temporaries:
            temporary.write_text("new")
    assert content(tmp_path) == {"a": "new", "b": "new", "c": "new"}


def test_a_group_whose_last_file_was_never_written_replaces_nothing(tmp_path):
    paths = [tmp_path / "a", tmp_path / "b"]
    with pytest.raises(FileNotFoundError), atomic_group(paths) as (first, _):
        first.write_text("new")
    assert content(tmp_path) == {}


@pytest.mark.parametrize("swap", [True, False], ids=["exchange", "two renames"])
def test_a_folder_replaces_the_old_one_whole(tmp_path, monkeypatch, swap):
    if not swap:
        monkeypatch.setattr(files, "_exchange", lambda one, other: False)
    target = tmp_path / "model"
    for name in ("old", "new"):
        with atomic_folder(target) as temporary:
            (temporary / "inner").mkdir()
            (temporary / "inner" / name).write_text(name)
        assert content(tmp_path) == {f"model/inner/{name}": name, f"model/{MARKER}": ""}
    with pytest.raises(ZeroDivisionError):
        broken_off(atomic_folder(target), ZeroDivisionError())
    assert content(tmp_path) == {"model/inner/new": "new", f"model/{MARKER}": ""}


def test_a_folder_of_somebody_else_is_never_replaced(tmp_path):
    (tmp_path / "home").mkdir()
    (tmp_path / "home" / "letter.txt").write_text("dear")
    with (
        pytest.raises(UsageError, match="home: holds files that channelwise did not write"),
        atomic_folder(tmp_path / "home"),
    ):
        pytest.fail("the body must not run")
    assert content(tmp_path) == {"home/letter.txt": "dear"}
    (tmp_path / "empty").mkdir()
    with atomic_folder(tmp_path / "empty") as temporary:
        (temporary / "a").touch()
    assert (tmp_path / "empty" / "a").exists()


def test_targets_that_cannot_be_are_usage_errors(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(UsageError, match="is a folder; give the path of a file"), atomic_file(tmp_path):
        pass
    with pytest.raises(UsageError, match="is a file; give the path of a folder"), atomic_folder(tmp_path / "file"):
        pass
    with pytest.raises(UsageError, match="is a file, not a folder"), atomic_file(tmp_path / "file" / "below"):
        pass
    with pytest.raises(UsageError, match="name one file twice"), atomic_group([tmp_path / "a", tmp_path / "a"]):
        pass


@pytest.mark.parametrize(
    "error",
    [
        OSError(errno.ENOSPC, "No space left on device"),
        OSError(errno.EDQUOT, "Disk quota exceeded"),
        OSError(errno.EFBIG, "File too large"),
        duckdb.IOException('IO Error: Could not write file "x": No space left on device'),
    ],
)
def test_a_full_disk_says_that_the_old_output_is_whole(tmp_path, error):
    target = tmp_path / "plan.csv"
    target.write_text("old")
    match = r"plan\.csv: cannot be written \(.*\); what was there before is whole; free space"
    with pytest.raises(StorageError, match=match):
        broken_off(atomic_file(target), error)
    assert content(tmp_path) == {"plan.csv": "old"}


def test_an_input_that_is_missing_or_closed_is_no_fault_of_the_disk(tmp_path):
    for error in (FileNotFoundError(errno.ENOENT, "gone", "/input"), PermissionError(errno.EACCES, "no", "/input")):
        with pytest.raises(type(error)), storage_errors(tmp_path / "out"):
            raise error
    with pytest.raises(StorageError), storage_errors(tmp_path / "out"):
        raise PermissionError(errno.EACCES, "Permission denied", str(tmp_path / ".out.partial"))


KILLED = """
import os, signal, sys
from pathlib import Path
from contract.files import atomic_file, atomic_folder
target = Path(sys.argv[1])
with (atomic_folder if sys.argv[2] == "folder" else atomic_file)(target) as temporary:
    (temporary / "half" if sys.argv[2] == "folder" else temporary).write_text("half")
    os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.mark.parametrize("form", ["file", "folder"])
def test_a_kill_leaves_the_old_output_and_the_next_run_clears_the_rest(tmp_path, checkout, form):
    target = tmp_path / "out[1].d"
    write = {
        "file": lambda path, text: path.write_text(text),
        "folder": lambda path, text: (path / "a").write_text(text),
    }
    atomic = {"file": atomic_file, "folder": atomic_folder}[form]
    with atomic(target) as temporary:
        write[form](temporary, "old")
    before = content(tmp_path)
    ran = subprocess.run([sys.executable, "-c", textwrap.dedent(KILLED), str(target), form], cwd=checkout, check=False)
    assert ran.returncode == -signal.SIGKILL
    after = content(tmp_path)
    assert len(after) == len(before) + 1
    assert before.items() <= after.items()
    with atomic(target) as temporary:
        write[form](temporary, "new")
    assert {name: "new" if text else text for name, text in before.items()} == content(tmp_path)


def test_what_a_living_run_or_another_host_writes_is_left_alone(tmp_path):
    target = tmp_path / "plan.csv"
    with atomic_file(target) as first:
        first.write_text("first")
        elsewhere = tmp_path / first.name.replace(f".{os.getpid()}.", ".1.").replace(".plan.csv.", ".plan.csv.other")
        elsewhere.write_text("elsewhere")
        with atomic_file(target) as second:
            second.write_text("second")
        assert first.read_text() == "first"
        assert elsewhere.read_text() == "elsewhere"
        assert target.read_text() == "second"
    assert target.read_text() == "first"
