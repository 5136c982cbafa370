"""How the simulation's functions are compiled; compiles nothing by itself."""

from collections.abc import Callable
from typing import ParamSpec, TypeVar, cast

from numba import njit

P = ParamSpec("P")
R = TypeVar("R")


def compiled(function: Callable[P, R]) -> Callable[P, R]:
    """`function` compiled by Numba on its first call, kept in Numba's file cache, free of the interpreter's lock."""
    return cast(Callable[P, R], njit(cache=True, nogil=True, error_model="numpy")(function))
