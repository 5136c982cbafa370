"""What the rules of eligibility know of customers, as arrays; gathers nothing and judges nobody.

The same few arrays describe a whole audience or the one customer of a request. Times are microseconds since 1970 UTC.
"""

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt

Moments = npt.NDArray[np.int64]
Bits = npt.NDArray[np.uint64]
NarrowBits = npt.NDArray[np.unsignedinteger[Any]]

NEVER: Final = 1 << 61
"""A moment after all others; where a moment in the past is meant, `-NEVER` is before all others."""


@dataclass(frozen=True)
class Contacts:
    """What was sent to, or is planned for, n customers, by customer and time.

    offsets: (n + 1,) where each customer's begin. time_us: (c,). channel: (c,) index of the outbound channel, -1 for
    another. counted: (c,) whether windows count it. excludes: (c,) bit e where exclusion e names its campaign.
    """

    offsets: npt.NDArray[np.int64]
    time_us: Moments
    channel: npt.NDArray[np.int8]
    counted: npt.NDArray[np.bool_]
    excludes: Bits

    @property
    def owner(self) -> npt.NDArray[np.int64]:
        """(c,) the customer of each contact."""
        return np.repeat(np.arange(len(self.offsets) - 1), np.diff(self.offsets))

    def take(self, rows: npt.NDArray[np.int64]) -> "Contacts":
        """Those of the customers `rows`, in that order."""
        begin, count = self.offsets[rows], np.diff(self.offsets)[rows]
        offsets = np.concatenate([[0], np.cumsum(count)])
        held = np.arange(offsets[-1]) + np.repeat(begin - offsets[:-1], count)
        return Contacts(offsets, self.time_us[held], self.channel[held], self.counted[held], self.excludes[held])


@dataclass(frozen=True)
class ContactState:
    """n customers on k outbound channels, before as-of.

    standing: (n, k) bit r where rule r refuses whatever the moment, in a type that holds all rules. contacts: sent and
    planned. cooled_us: (n, c) the latest interaction of each cooling-off, -NEVER for none. since_us: (n,) begin of the
    relation, NEVER where unknown. zone: (n,) index of the time zone.
    """

    standing: NarrowBits
    contacts: Contacts
    cooled_us: Moments
    since_us: Moments
    zone: npt.NDArray[np.int16]

    def take(self, rows: npt.NDArray[np.int64]) -> "ContactState":
        """That of the customers `rows`, in that order."""
        contacts = self.contacts.take(rows)
        return ContactState(self.standing[rows], contacts, self.cooled_us[rows], self.since_us[rows], self.zone[rows])


def first_rule(refused: Bits) -> npt.NDArray[np.int64]:
    """The place of the first rule among the bits, -1 where there is none; of the shape given."""
    lowest = refused & (~refused + np.uint64(1))
    return np.where(refused == 0, -1, np.log2(np.maximum(lowest, 1)).astype(np.int64))
