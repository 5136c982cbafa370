"""A disk that is full ends a command with a message and exit code 1, and leaves the old output whole."""

import filecmp
import resource
import shutil
import subprocess
from contextlib import contextmanager, suppress
from dataclasses import replace

import pytest

from tests.adapters.command_line import run_apart, run_command
from tests.adapters.workplace import succeeded

TOO_SMALL_BYTES = 4_096


@contextmanager
def tiny_disk(folder, size):
    """Mounts a disk of `size` at `folder`; skips the test where that is not allowed."""
    folder.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", folder], capture_output=True, check=False
    )
    if mounted.returncode:
        pytest.skip("needs the right to mount a disk")
    try:
        yield folder
    finally:
        subprocess.run(["umount", folder], check=True)


def words(workplace, verb, out):
    return {"features": workplace.features, "score": workplace.score, "plan": workplace.plan}[verb](out)


def outputs(folder):
    """Every file's content, hidden ones included."""
    return {str(path): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def says_what_to_do(ran):
    assert ran.code == 1, f"exit {ran.code}\n{ran.out}\n{ran.err}"
    assert "Traceback" not in ran.err
    assert "cannot be written" in ran.err
    assert "what was there before is whole; free space or name another place" in ran.err


def fill(folder):
    """Writes to `folder` until its disk is full."""
    with (folder / "everything_else").open("wb", buffering=0) as file, suppress(OSError):
        while file.write(bytes(4_096)):
            pass


def output_of(verb, folder):
    return folder / ("features" if verb == "features" else f"{verb}.parquet")


@pytest.fixture(scope="module", params=["features", "score", "plan"])
def finished(request, tmp_path_factory):
    """A command that has written its output once: where it ran, its verb, and the folder of the output."""
    verb = request.param
    place = request.getfixturevalue("workplace" if verb == "features" else "scored")
    folder = tmp_path_factory.mktemp(verb)
    succeeded(run_command(*words(place, verb, output_of(verb, folder))))
    return place, verb, folder


def test_a_file_that_may_not_grow_leaves_the_old_output(finished, tmp_path):
    place, verb, folder = finished
    out = output_of(verb, shutil.copytree(folder, tmp_path / verb))
    before = outputs(tmp_path)

    def limit():
        resource.setrlimit(resource.RLIMIT_FSIZE, (TOO_SMALL_BYTES, TOO_SMALL_BYTES))

    ran = run_apart(*words(place, verb, out), before=limit)
    says_what_to_do(ran)
    assert outputs(tmp_path) == before


def test_a_full_disk_leaves_the_old_output(finished, tmp_path):
    place, verb, folder = finished
    size = sum(path.stat().st_size for path in folder.rglob("*"))
    with tiny_disk(tmp_path / "disk", 2 * size + 65_536) as disk:
        out = output_of(verb, shutil.copytree(folder, disk, dirs_exist_ok=True))
        fill(disk)
        before = outputs(disk)
        ran = run_apart(*words(place, verb, out))
        says_what_to_do(ran)
        assert str(disk) in ran.err
        assert outputs(disk) == before


def test_a_training_whose_registry_is_on_a_full_disk_leaves_the_champion(scored, tmp_path):
    after = tmp_path / "after.parquet"
    with tiny_disk(tmp_path / "disk", scored.registry_file.stat().st_size + 65_536) as disk:
        place = replace(scored, registry_file=shutil.copy(scored.registry_file, disk))
        fill(disk)
        ran = run_apart(*place.train())
        says_what_to_do(ran)
        assert f"{place.registry_file}: cannot be written (database or disk is full)" in ran.err
        succeeded(run_apart(*place.score(after)))
    assert filecmp.cmp(after, scored.scores, shallow=False)
