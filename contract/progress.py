"""How long work tells how far it is; shows nothing itself."""

from typing import Protocol


class Progress(Protocol):
    """Told by long work after each step; the command draws it, tests and libraries pass `silent`."""

    def __call__(self, stage: str, done: float, total: float) -> None:
        """`done` of `total` units of `stage` are finished; the same stage is told repeatedly until done == total."""


def silent(stage: str, done: float, total: float) -> None:
    """Shows nothing."""
