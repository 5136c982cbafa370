"""Runs the command in a process that sends itself a signal at one exact point of writing one output.

`python dying.py POINT SIGNAL TARGET WORDS…`. Points, in order: `begun`, the hidden file or folder has its name; `half`,
a file in it is on the disk to one half; `written`, all is there, and only the new name is missing.
"""

import os
import signal
import sys
from pathlib import Path

from channelwise.command import main
from contract import files


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


if __name__ == "__main__":
    point, signal_name, target, *words = sys.argv[1:]
    die_at(point, signal.Signals[signal_name], Path(target).absolute())
    sys.argv = ["channelwise", *words]
    main()
