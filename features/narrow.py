"""Events as a part of a timeline holds them, in ticks and narrow amounts, that widen when asked; reads no file."""

from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from features.encoding import Clock
from features.events import Events


class NarrowEvents(Events):
    """Events of which times in microseconds and 64-bit cents are made at first use, at best in parts: see `sweep`."""

    _stored: tuple[Clock, npt.NDArray[Any], npt.NDArray[Any]]

    def __init__(
        self,
        first_customer: int,
        offsets: npt.NDArray[np.int64],
        clock: Clock,
        tick: npt.NDArray[Any],
        code: npt.NDArray[np.uint16],
        cents: npt.NDArray[Any],
    ) -> None:  # the columns of a part, and what they are of
        # `Events` is frozen, and two of its columns are computed here.
        for name, value in {"first_customer": first_customer, "offsets": offsets, "code": code}.items():
            object.__setattr__(self, name, value)
        object.__setattr__(self, "_stored", (clock, tick, cents))

    @cached_property
    def time_us(self) -> npt.NDArray[np.int64]:
        """Times of the events."""
        clock, tick, _ = self._stored
        return clock.time_us(tick)

    @cached_property
    def cents(self) -> npt.NDArray[np.int64]:
        """Amounts of the events."""
        return self._stored[2].astype(np.int64)

    def part(self, first: int, bounds: npt.NDArray[np.int64]) -> "NarrowEvents":
        """The events of consecutive customers from `first` on, whose rows begin at `bounds`; widens nothing."""
        rows = slice(int(bounds[0]), int(bounds[-1]))
        clock, tick, cents = self._stored
        return NarrowEvents(first, bounds - bounds[0], clock, tick[rows], self.code[rows], cents[rows])
