"""Events as a part of a timeline holds them: ticks and narrow amounts, widened a block at a time; reads no file.

A block's wide columns then fit the processor's cache, where the sweep finds them.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from features.encoding import Clock
from features.events import Events


@dataclass(frozen=True, eq=False)
class NarrowEvents:
    """As `Events`, but times in the clock's ticks and cents of any integer type."""

    first_customer: int
    offsets: npt.NDArray[np.int64]
    clock: Clock
    tick: npt.NDArray[Any]
    code: npt.NDArray[np.uint16]
    cents: npt.NDArray[Any]

    def widened(self, first: int, end: int) -> Events:
        """The events of customers [first, end), all of them among these."""
        bounds = self.offsets[first - self.first_customer : end + 1 - self.first_customer]
        rows = slice(int(bounds[0]), int(bounds[-1]))
        time_us, cents = self.clock.time_us(self.tick[rows]), self.cents[rows].astype(np.int64)
        return Events(first, bounds - bounds[0], time_us, self.code[rows], cents)

    def all_widened(self) -> Events:
        """All of them."""
        return self.widened(self.first_customer, self.first_customer + len(self.offsets) - 1)
