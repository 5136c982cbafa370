"""How events become small integers: the codebook's order and JSON, ticks of time, cents; reads no table."""

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt

from contract.errors import ArtefactError, DataError
from contract.params import Params
from features.events import Codebook, EventCode

T = TypeVar("T")
MAX_CODES = 1 << 16
US_PER_SECOND = 1_000_000


@dataclass(frozen=True)
class Clock:
    """Time in a timeline: `base_us` + tick x `tick_us`, in microseconds since 1970 UTC."""

    base_us: int
    tick_us: int

    @property
    def dtype(self) -> np.dtype[Any]:
        """Seconds fit uint32 for 136 years from the base; microseconds need int64."""
        return np.dtype(np.uint32 if self.tick_us == US_PER_SECOND else np.int64)

    def ticks(self, time_us: npt.NDArray[np.int64]) -> npt.NDArray[Any]:
        """Ticks of times that lie on the clock."""
        return ((time_us - self.base_us) // self.tick_us).astype(self.dtype)

    def time_us(self, ticks: npt.NDArray[Any]) -> npt.NDArray[np.int64]:
        """The inverse of `ticks`."""
        time = ticks.astype(np.int64)
        time *= self.tick_us
        time += self.base_us
        return time


def fitting_clock(first_us: int, last_us: int, whole_seconds: bool) -> Clock:
    """The coarsest clock that loses nothing: seconds if all times are whole and close enough, else microseconds."""
    span_seconds = (last_us - first_us) // US_PER_SECOND
    if whole_seconds and span_seconds <= np.iinfo(np.uint32).max:
        return Clock(first_us, US_PER_SECOND)
    return Clock(0, 1)


def built_codebook(
    events: Iterable[EventCode], categories: Iterable[str], params: Params, under: Codebook | None = None
) -> Codebook:
    """The codebook of these events, sorted; or `under` with what it lacks appended, in sorted order.

    Args:
        events: Every code that occurs.
        categories: Every category of a campaign, whether or not an event has it.
        params: Declares the channels, in the order that is kept.
        under: An existing codebook whose numbers must stay, such as that of a trained bundle.

    Raises:
        DataError: More codes occur than 16 bits can number.
    """
    base = under or Codebook((), (), (), ())
    entries = _appended(base.entries, sorted(set(events), key=_entry_order))
    if len(entries) > MAX_CODES:
        raise DataError(
            f"interactions: {len(entries)} combinations of kind, channel, category and transactional; "
            f"at most {MAX_CODES} can be coded; merge categories under tables.campaigns.values"
        )
    return Codebook(
        entries,
        _appended(base.categories, sorted(set(categories))),
        _appended(base.channels, list(params.channels)),
        _appended(base.outbound, params.outbound),
    )


def _appended(known: tuple[T, ...], found: Sequence[T]) -> tuple[T, ...]:
    seen = set(known)
    return known + tuple(each for each in found if each not in seen)


def _entry_order(entry: EventCode) -> tuple[str, bool, str, bool, str, bool]:
    channel, category = entry.channel, entry.category
    return (entry.kind, channel is not None, channel or "", category is not None, category or "", entry.transactional)


def continues(codebook: Codebook, earlier: Codebook) -> bool:
    """Whether `codebook` numbers everything in `earlier` as `earlier` does."""
    pairs = (
        (codebook.entries, earlier.entries),
        (codebook.categories, earlier.categories),
        (codebook.channels, earlier.channels),
        (codebook.outbound, earlier.outbound),
    )
    return all(tuple(later[: len(early)]) == tuple(early) for later, early in pairs)


def codebook_to_tree(codebook: Codebook) -> dict[str, Any]:
    """Plain lists and texts, for JSON."""
    return {
        "entries": [list(entry) for entry in codebook.entries],
        "categories": list(codebook.categories),
        "channels": list(codebook.channels),
        "outbound": list(codebook.outbound),
    }


def codebook_from_tree(tree: dict[str, Any]) -> Codebook:
    """The inverse of `codebook_to_tree`.

    Raises:
        ArtefactError: The tree has another shape.
    """
    try:
        return Codebook(
            tuple(EventCode(*entry) for entry in tree["entries"]),
            tuple(tree["categories"]),
            tuple(tree["channels"]),
            tuple(tree["outbound"]),
        )
    except (KeyError, TypeError) as error:
        raise ArtefactError(f"codebook: is damaged ({error!r}); build the timeline or train again") from error


def stable_json(tree: Any) -> str:
    """JSON whose text depends on nothing but the content."""
    return json.dumps(tree, sort_keys=True, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
