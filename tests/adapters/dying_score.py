"""Runs the command in a process that kills itself after it has kept some parts: `dying_score.py PARTS WORDS…`."""

import os
import signal
import sys
from collections.abc import Sequence

from channelwise.command import main
from serving.parquet_joining import Piece
from serving.part_files import PartFiles


def die_after(parts: int) -> None:
    """The process dies when so many parts are kept."""
    append, kept = PartFiles.append, 0

    def dying(self: PartFiles, source: str, pieces: Sequence[Piece]) -> None:
        nonlocal kept
        append(self, source, pieces)
        kept += 1
        if kept == parts:
            os.kill(os.getpid(), signal.SIGKILL)

    PartFiles.append = dying  # type: ignore[method-assign]


if __name__ == "__main__":
    die_after(int(sys.argv[1]))
    sys.argv = ["channelwise", *sys.argv[2:]]
    main()
