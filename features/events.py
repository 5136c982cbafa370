"""The shapes that flow through the features: events of whole customers, and rows to describe; computes nothing.

Times are int64 microseconds since 1970-01-01 UTC. Customers are numbered by the timeline, in order of their id.
"""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

NO_ACTION = 0
"""Action 0 is no contact; action i is the i-th outbound channel of the parameters, counted from 1."""

NO_CATEGORY = -1

US_PER_DAY = 86_400_000_000


class EventCode(NamedTuple):
    """What an event is, apart from who, when and how much."""

    kind: str
    channel: str | None
    category: str | None
    transactional: bool


@dataclass(frozen=True)
class Codebook:
    """The dictionary of events: an event's code is the index of its entry. Entries are appended, never renumbered."""

    entries: tuple[EventCode, ...]
    categories: tuple[str, ...]
    channels: tuple[str, ...]
    outbound: tuple[str, ...]


@dataclass(frozen=True)
class Events:
    """All events of consecutive customers, by customer and time (ties: code, then cents; part of the contract).

    Customer `first_customer + i` owns rows `offsets[i]:offsets[i + 1]`; `offsets` is int64 (n_customers + 1).
    """

    first_customer: int
    offsets: npt.NDArray[np.int64]
    time_us: npt.NDArray[np.int64]
    code: npt.NDArray[np.uint16]
    cents: npt.NDArray[np.int64]


@dataclass(frozen=True)
class Spine:
    """Rows to describe, ascending by (customer, as_of). All arrays have shape (n_rows,).

    customer: int64 number of the customer; as_of_us: int64; action: int16, `NO_ACTION` or 1 + index of the outbound
    channel; category: int16 index into `Codebook.categories` of the row's campaign, or `NO_CATEGORY`.
    """

    customer: npt.NDArray[np.int64]
    as_of_us: npt.NDArray[np.int64]
    action: npt.NDArray[np.int16]
    category: npt.NDArray[np.int16]

    def __len__(self) -> int:
        return len(self.customer)

    def rows(self, rows: npt.NDArray[np.integer]) -> "Spine":
        """The given rows, by number; they must ascend."""
        return Spine(self.customer[rows], self.as_of_us[rows], self.action[rows], self.category[rows])
