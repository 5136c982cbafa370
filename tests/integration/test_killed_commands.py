"""A command killed at any moment leaves the old output or the new one, whole; the next run clears what was left."""

import filecmp
import shutil
import signal
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.adapters.command_line import run_command, start_apart
from tests.adapters.dying import run_and_die
from tests.adapters.small_shop import shop_tables, write_shop
from tests.adapters.workplace import AS_OF, DAY_BEFORE, succeeded

POINTS = [("begun", "SIGTERM"), ("half", "SIGKILL"), ("written", "SIGKILL")]


@dataclass(frozen=True)
class Runs:
    """A command's words for a new output, and the content of the old and the new one when nobody disturbs it."""

    target: Path
    new_words: list[object]
    old: dict[str, bytes]
    new: dict[str, bytes]

    def put_old_back(self) -> None:
        """The folder as it was before the new run."""
        shutil.rmtree(self.target.parent)
        for name, content in self.old.items():
            file = self.target.parent / name
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(content)


def content(folder: Path) -> dict[str, bytes]:
    """Every file below `folder`, without what is hidden because it is under way."""
    files = [path for path in sorted(folder.rglob("*")) if path.is_file()]
    return {str(path.relative_to(folder)): path.read_bytes() for path in files if ".partial" not in str(path)}


def unfinished(folder: Path) -> list[Path]:
    """What a killed run left under a hidden name."""
    return [path for path in folder.iterdir() if ".partial" in path.name]


def broken_shop(folder, strangers):
    """A small shop in which so many interactions are of customers that nobody knows."""
    tables = shop_tables()
    tables["interactions"].loc[: strangers - 1, "customer_id"] = "nobody"
    return write_shop(folder, tables)


def calls_of(verb, folder, request):
    """The target of a command in `folder`, and its words for an old and a new content of it."""
    if verb == "check":
        target = folder / "interactions.parquet"
        shops = [broken_shop(folder.parent / f"strangers_{count}_{folder.name}", count) for count in (1, 2)]
        return target, *(["check", "--data", shop, "--quarantine", folder] for shop in shops)
    place = request.getfixturevalue("workplace" if verb in {"features", "update"} else "scored")
    target = folder / ("out" if verb in {"features", "update"} else "out.parquet")
    return {
        "update": lambda: (target, place.features(target, DAY_BEFORE), place.update(target)),
        "features": lambda: (target, place.features(target, DAY_BEFORE), place.features(target, AS_OF)),
        "score": lambda: (target, place.score(target, DAY_BEFORE), place.score(target, AS_OF)),
        "plan": lambda: (target, place.plan(target, budget=20.0), place.plan(target, budget=50.0)),
    }[verb]()


@pytest.fixture(scope="module", params=["check", "features", "update", "score", "plan"])
def runs(request, tmp_path_factory):
    folder = tmp_path_factory.mktemp(request.param)
    target, *words = calls_of(request.param, folder, request)
    contents = []
    for each in words:
        succeeded(run_command(*each))
        contents.append(content(folder))
    return Runs(target, words[1], *contents)


def test_the_two_outputs_differ_so_that_a_mixture_would_show(runs):
    # An update adds files and keeps the others.
    assert runs.old.keys() <= runs.new.keys()
    assert runs.old != runs.new


@pytest.mark.parametrize(("point", "signal_name"), POINTS)
def test_a_command_killed_while_it_writes_leaves_the_old_output(runs, point, signal_name):
    runs.put_old_back()
    code, printed = run_and_die(point, signal_name, runs.target, *runs.new_words)
    assert code == -signal.Signals[signal_name], printed
    assert len(unfinished(runs.target.parent)) >= 1
    left = content(runs.target.parent)
    # Files beside the target may be replaced before it; the target is what readers look for, and each file is whole.
    assert left.keys() == runs.old.keys()
    assert all(left[name] in (runs.old[name], runs.new[name]) for name in left)
    targets = [name for name in left if name.split("/")[0] == runs.target.name]
    assert targets
    assert all(left[name] == runs.old[name] for name in targets)


def test_the_next_run_clears_what_a_killed_one_left(runs):
    runs.put_old_back()
    run_and_die("half", "SIGKILL", runs.target, *runs.new_words)
    assert unfinished(runs.target.parent)
    succeeded(run_command(*runs.new_words))
    assert not unfinished(runs.target.parent)
    assert content(runs.target.parent) == runs.new


def kill_after(folder, words, stages, number):
    """Runs a command, and sends it a signal as soon as it has said that so many stages are done."""
    with start_apart(folder, *words) as process:
        assert process.stderr is not None
        done = 0
        for line in process.stderr:
            done += line.rstrip().endswith(": done")
            if done == stages:
                break
        assert done == stages, "the command ended before"
        process.send_signal(number)
        process.stderr.read()
    return process.returncode


@pytest.mark.parametrize(("stages", "number"), [(1, signal.SIGKILL), (2, signal.SIGTERM)])
def test_a_training_killed_between_its_stages_leaves_the_champion_as_it_was(scored, tmp_path, stages, number):
    after = tmp_path / "after.parquet"
    assert kill_after(tmp_path, scored.train(), stages, number) == -number
    succeeded(run_command(*scored.score(after)))
    assert filecmp.cmp(after, scored.scores, shallow=False)
