"""Loads libraries without what they would load beside, a second in all, and what a server never uses.

Arrow asks for pandas with its first array; Numba asks for SciPy's linear algebra and for CFFI with its first compiled
function. Each goes on without where it is not installed, and is told here that it is not.
"""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from importlib.abc import MetaPathFinder
from typing import Final

_UNUSED: Final = frozenset({"pandas", "scipy.linalg", "cffi"})
_WHO_ASK: Final = ("numba.core.typing.cffi_utils", "numba.np.arraymath")


def load_lean() -> None:
    """Load Arrow and Numba so; what is loaded already stays."""
    import pyarrow as pa

    with _taken_for_absent(_UNUSED - set(sys.modules)):
        pa.array([0])
        for name in _WHO_ASK:
            import_module(name)


class _Absent(MetaPathFinder):
    """Finds none of some packages, and leaves all else to the other finders."""

    def __init__(self, names: frozenset[str]) -> None:
        self._names = names

    def find_spec(self, fullname: str, *_: object) -> None:
        """Finds nothing.

        Raises:
            ModuleNotFoundError: one of the packages is asked for.
        """
        if fullname in self._names:
            raise ModuleNotFoundError(fullname, name=fullname)


@contextmanager
def _taken_for_absent(names: frozenset[str]) -> Iterator[None]:
    finder = _Absent(names)
    sys.meta_path.insert(0, finder)
    try:
        yield
    finally:
        sys.meta_path.remove(finder)
