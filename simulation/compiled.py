"""How the simulation's functions are compiled; compiles nothing by itself.

Numba's file cache asks only whether the file of the called function has changed. What is compiled into it from other
modules would stay as it was, so here the cache is tied to the text of the whole package.
"""

import hashlib
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any, ParamSpec, TypeVar, cast

from numba import njit

from contract.kinds import SHIPPED_KINDS

P = ParamSpec("P")
R = TypeVar("R")


def compiled(function: Callable[P, R]) -> Callable[P, R]:
    """`function` compiled by Numba on its first call, kept in Numba's file cache, free of the interpreter's lock."""
    dispatcher: Any = njit(cache=True, nogil=True, error_model="numpy")(function)
    # Numba has no public way to say what else a cached function depends on.
    dispatcher._cache._cache_file._source_stamp = source_stamp()
    return cast(Callable[P, R], dispatcher)


@cache
def source_stamp() -> str:
    """A digest of this package's text and of the words whose order is compiled in."""
    digest = hashlib.sha256(" ".join(SHIPPED_KINDS).encode())
    for path in sorted(Path(__file__).parent.glob("*.py")):
        digest.update(path.read_bytes())
    return digest.hexdigest()
