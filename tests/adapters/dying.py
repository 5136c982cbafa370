"""Runs the command in a process that sends itself a signal at one exact point of writing one output.

Points, in order: `begun`, the hidden file or folder has its name; `half`, a file in it is on the disk to one half;
`written`, all is there, and only the new name is missing. The processes are forked from one that has imported what the
commands need and done nothing yet.
"""

import os
import signal
import sys
from contextlib import chdir, redirect_stderr, redirect_stdout
from multiprocessing import get_context
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

import channelwise.jobs.features
import channelwise.jobs.score
import channelwise.reports.plan_page  # noqa: F401  imported once for all
from channelwise.command import main
from contract import files

FORKS: Final = get_context("forkserver")
FORKS.set_forkserver_preload([__name__])


def run_and_die(point: str, signal_name: str, target: Path, *words: object) -> tuple[int, str]:
    """`channelwise WORDS` in a process that kills itself at `point` of writing `target`: its exit code and words."""
    with TemporaryDirectory() as elsewhere, TemporaryDirectory() as beside:
        printed = Path(beside) / "printed.txt"
        printed.touch()
        what = (point, signal_name, target, list(map(str, words)), elsewhere, printed)
        process = FORKS.Process(target=_die, args=what)
        process.start()
        process.join()
        assert process.exitcode is not None
        return process.exitcode, printed.read_text(encoding="utf-8")


def _die(point: str, signal_name: str, target: Path, words: list[str], folder: str, printed: Path) -> None:
    die_at(point, signal.Signals[signal_name], target.absolute())
    sys.argv = ["channelwise", *words]
    with printed.open("w", encoding="utf-8") as out, chdir(folder), redirect_stdout(out), redirect_stderr(out):
        main()


def die_at(point: str, number: signal.Signals, target: Path) -> None:
    """Patches the writing of outputs so that the process dies at `point` of writing `target`."""
    beside, flush, replace, replace_folder = files._beside, files._flush, Path.replace, files._replace_folder
    hidden: set[Path] = set()

    def dying_beside(path: Path) -> Path:
        temporary = beside(path)
        if path.absolute() == target:
            hidden.add(temporary)
            if point == "begun":
                temporary.touch()
                os.kill(os.getpid(), number)
        return temporary

    def dying_flush(path: Path) -> None:
        ours = path in hidden or not hidden.isdisjoint(path.parents)
        if point == "half" and ours and path.is_file() and path.stat().st_size > 1:
            os.truncate(path, path.stat().st_size // 2)
            os.kill(os.getpid(), number)
        flush(path)

    def dying_replace(self: Path, to: Path) -> Path:
        if point == "written" and self in hidden:
            os.kill(os.getpid(), number)
        return replace(self, to)

    def dying_replace_folder(new: Path, path: Path) -> None:
        if point == "written" and new in hidden:
            os.kill(os.getpid(), number)
        replace_folder(new, path)

    files._beside, files._flush, files._replace_folder = dying_beside, dying_flush, dying_replace_folder
    Path.replace = dying_replace  # type: ignore[assignment,method-assign]
