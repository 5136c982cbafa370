"""What a kernel compiled by Numba offers to those who call it; compiles nothing."""

from typing import Any, Protocol


class Compiled(Protocol):
    """The compiled sweep: takes read-only inputs only, so that there is one signature; releases the GIL."""

    def __call__(self, *inputs: Any) -> tuple[int, int]:
        """Fill the output; a status and the row that it is about."""

    def recompile(self) -> None:
        """Forget what the cache holds and compile anew."""

    @property
    def signatures(self) -> list[Any]:
        """What it is compiled for so far."""
