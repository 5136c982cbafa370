"""What a kernel compiled by Numba offers to those who call it, and what tells its cache apart; compiles nothing."""

import zlib
from collections.abc import Callable
from typing import Any, Protocol

import numba
import numpy.typing as npt


class Compiled(Protocol):
    """The compiled sweep: takes read-only inputs only, so that there is one signature; releases the GIL."""

    def __call__(self, *inputs: Any) -> tuple[int, int]:
        """Fill the output; a status and the row that it is about."""

    def recompile(self) -> None:
        """Forget what the cache holds and compile anew."""

    @property
    def signatures(self) -> list[Any]:
        """What it is compiled for so far."""


@numba.njit(inline="always")
def part(words: npt.NDArray[Any], array: npt.NDArray[Any], section: int) -> npt.NDArray[Any]:
    """A section of a program's words or reals, whose bounds the words begin with."""
    return array[words[2 * section] : words[2 * section + 1]]


def fingerprint_of(*functions: Callable[..., Any]) -> int:
    """Of functions, Numba's or plain ones, compiled into a kernel, which Numba's cache of the kernel does not watch."""
    codes = [getattr(each, "py_func", each).__code__ for each in functions]
    return zlib.crc32(repr([(code.co_code, code.co_consts, code.co_names) for code in codes]).encode())
