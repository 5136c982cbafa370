"""The history as a folder on disk: every customer's events in order of time, as small integers; computes no feature.

`timeline.json` lists the segments (see `features.segments`): a base, and what each append since has added, which is
merged in when events are read. `codebook.json` says what the codes mean. Customers without events are there too.
"""

import hashlib
import json
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from functools import cached_property
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from contract.errors import ArtefactError, DataError
from contract.files import atomic_folder
from contract.params import Params
from contract.progress import Progress, silent
from features.blocks import chosen, holds_any, joined, no_events, sliced, split
from features.encoding import built_codebook, codebook_from_tree, codebook_to_tree, fitting_clock, stable_json
from features.engines import DuckdbEngine, EngineMaker, Source, Window, bounded
from features.events import US_PER_DAY, Codebook, Events
from features.merging import all_merged, merged, since
from features.narrow import NarrowEvents
from features.permission import standing_digest
from features.row_groups import GROUP_EVENTS, Part
from features.segments import (
    Arrivals,
    Holding,
    Longs,
    Segment,
    damaged,
    read_holdings,
    read_part,
    read_times,
    write_segment,
)

VERSION: Final = 2
UNKNOWN_CUSTOMER: Final = -1
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, eq=False)
class Timeline:
    """A timeline on disk; ids and counts are in memory, events are read when asked for.

    ids: every customer's id, ascending; holdings: what each segment holds, the base first; window: what is kept, older
    events that segments still hold are not read; consents: digest of those that decided what is in it; fingerprint:
    differs if any event, id or code differs, and between a timeline that grew and one built at once.
    """

    folder: Path
    codebook: Codebook
    ids: pa.Array
    holdings: tuple[Holding, ...]
    window: Window
    consents: str
    fingerprint: str

    @property
    def segments(self) -> tuple[Segment, ...]:
        """The base, then what was added."""
        return tuple(holding.segment for holding in self.holdings)

    @cached_property
    def offsets(self) -> Longs:
        """(n_customers + 1,) events of the customers before each, without those older than the window."""
        offsets = np.zeros(self.n_customers + 1, np.int64)
        for holding in self.holdings:
            offsets += holding.offsets(self.n_customers) - self._expired(holding)
        return offsets

    @property
    def n_customers(self) -> int:
        """How many customers there are, with or without events."""
        return len(self.ids)

    @property
    def n_events(self) -> int:
        """How many events there are."""
        return int(self.offsets[-1])

    @cached_property
    def customer_ids(self) -> npt.NDArray[np.object_]:
        """All ids as texts, ascending."""
        ids: npt.NDArray[np.object_] = self.ids.to_numpy(zero_copy_only=False)
        return ids

    def customers_of(self, ids: Any) -> npt.NDArray[np.int64]:
        """Numbers of the customers with these ids, any sequence of texts; `UNKNOWN_CUSTOMER` for others."""
        asked = pa.array(ids, pa.large_string())
        found = pc.fill_null(pc.index_in(asked, value_set=self.ids), UNKNOWN_CUSTOMER)
        numbers: npt.NDArray[np.int64] = found.to_numpy(zero_copy_only=False).astype(np.int64)
        return numbers

    def blocks(self, max_events: int, customers: npt.NDArray[np.int64] | None = None) -> Iterator[Events]:
        """Events of all customers in order, in blocks of whole customers.

        Args:
            max_events: Events in a block at most, but for a single customer who has more.
            customers: (n,) ascending numbers; blocks without any of them are not read.

        Raises:
            ArtefactError: A part is missing or damaged.
        """
        for first, end, group in self._groups:
            if holds_any(customers, first, end):
                yield from split(self._read_group(first, end, group), max_events, customers)

    def take(self, customers: npt.NDArray[np.int64]) -> Events:
        """Events of the customers with these (n,) ascending numbers; customer i of the result is `customers[i]`."""
        parts = []
        for block in self.blocks(max(1, self.n_events), customers):
            bounds = [block.first_customer, block.first_customer + len(block.offsets) - 1]
            begin, end = np.searchsorted(customers, bounds)
            parts.append(chosen(block, customers[begin:end]))
        return joined(parts)

    def code_counts(
        self, until_us: int | None = None, without: Callable[[Events], Events] = lambda events: events
    ) -> npt.NDArray[np.int64]:
        """(n_codes,) how often each code occurs, before `until_us` if given, `without` what that takes out."""
        counts = np.zeros(len(self.codebook.entries), np.int64)
        for block in self.blocks(max(1, self.n_events)):
            events = without(block)
            codes = events.code if until_us is None else events.code[events.time_us < until_us]
            counts += np.bincount(codes, minlength=len(counts))
        return counts

    @cached_property
    def _base_offsets(self) -> Longs:
        return self.holdings[0].offsets(self.n_customers)

    @cached_property
    def _groups(self) -> tuple[tuple[int, int, Part | None], ...]:
        """(first customer, end of customers, file) of each part of the base; together they cover every customer."""
        base = self.holdings[0]
        if not base.segment.parts:
            return ((0, self.n_customers, None),)
        ends = [int(base.numbers[part.end - 1]) + 1 for part in base.segment.parts]
        ends[-1] = self.n_customers
        return tuple(zip([0, *ends[:-1]], ends, base.segment.parts, strict=True))

    @cached_property
    def _added(self) -> Events | None:
        """Events of all segments but the base, which are few beside it."""
        parts = [self._whole(holding) for holding in self.holdings[1:] if holding.segment.parts]
        return all_merged(parts) if parts else None

    def _whole(self, holding: Holding) -> Events:
        columns = zip(*(read_part(self.folder, holding.segment, part) for part in holding.segment.parts), strict=True)
        whole = (np.concatenate(column) for column in columns)
        narrow = NarrowEvents(0, holding.offsets(self.n_customers), holding.segment.clock, *whole)
        return since(narrow, self.window.since_us)

    def _expired(self, holding: Holding) -> Longs:
        """(n_customers + 1,) events older than the window of the customers before each."""
        expired = np.zeros(self.n_customers + 1, np.int64)
        offsets, begin = holding.offsets(self.n_customers), 0
        for part in holding.segment.parts:
            if part.first_us < self.window.since_us:
                times = read_times(self.folder, holding.segment, part)
                rows = begin + np.flatnonzero(times < self.window.since_us)
                np.add.at(expired, np.searchsorted(offsets, rows, side="right"), 1)
            begin += part.rows
        return np.cumsum(expired, out=expired)

    def _read_group(self, first: int, end: int, part: Part | None) -> Events:
        if part is None:
            events = no_events(first, end - first)
        else:
            segment = self.holdings[0].segment
            offsets = self._base_offsets[first : end + 1] - self._base_offsets[first]
            events = NarrowEvents(first, offsets, segment.clock, *read_part(self.folder, segment, part))
            if part.first_us < self.window.since_us:
                events = since(events, self.window.since_us)
        return events if self._added is None else merged(events, sliced(self._added, first, end))


@bounded("timeline")
def build_timeline(
    intake: Source,
    params: Params,
    folder: Path,
    *,
    codebook: Codebook | None = None,
    progress: Progress = silent,
    group_events: int = GROUP_EVENTS,
    engine: EngineMaker = DuckdbEngine,
) -> Timeline:
    """Write the timeline of the events with `as_of - lookback <= time < as_of` that may be used, whole or not at all.

    Args:
        intake: Accepted rows and the as_of.
        params: Channels, lookback.
        folder: Where to write; an older timeline there is replaced.
        codebook: One whose numbers must stay, such as a trained bundle's; what it lacks is appended.
        progress: Told how many events are sorted and written.
        group_events: About how many events one part holds.
        engine: What scans, joins and sorts; the timeline is the same byte for byte.

    Raises:
        DataError: A customer id occurs twice, or the events need more than 65,536 codes.
        StorageError: The folder cannot be written, or memory and spill do not suffice; an older timeline is whole.
    """
    window = kept_window(intake.as_of, params)
    events = engine(intake, window)
    ids = distinct(events.customer_ids())
    survey = events.survey()
    codes = built_codebook(survey.codes, events.categories(), params, codebook)
    clock = fitting_clock(survey.first_us, survey.last_us, survey.whole_seconds)
    cents = fitting_cents(survey.widest_cents)
    with atomic_folder(folder) as target:
        batches = events.sorted_events(codes.entries, clock)
        arrivals = Arrivals(len(ids), np.arange(len(ids)), ids, clock, cents)
        base = write_segment(target, 0, arrivals, batches, group_events, progress, survey.rows)
        write_manifest(target, (base,), codes, window, standing_digest(intake.connection))
    return open_timeline(folder)


def kept_window(as_of: datetime, params: Params) -> Window:
    """The lookback before as_of, a time with a zone, or a naive one in UTC."""
    zoned = as_of if as_of.tzinfo else as_of.replace(tzinfo=UTC)
    until_us = (zoned - _EPOCH) // timedelta(microseconds=1)
    return Window(until_us - round(params.features.lookback_days * US_PER_DAY), until_us)


def open_timeline(folder: Path) -> Timeline:
    """The timeline that `build_timeline` or `features.growth.append_events` wrote into the folder.

    Raises:
        ArtefactError: A file is missing, damaged, or of a version that this one does not read.
    """
    try:
        tree = json.loads((folder / "timeline.json").read_text(encoding="utf-8"))
        if tree["version"] != VERSION:
            raise ArtefactError(
                f"{folder}: is a timeline of version {tree['version']}; expected {VERSION}; build it again"
            )
        codebook = codebook_from_tree(json.loads((folder / "codebook.json").read_text(encoding="utf-8")))
        segments = tuple(Segment.from_tree(each) for each in tree["segments"])
        ids, holdings = read_holdings(folder, segments)
        window = Window(**tree["window"])
        return Timeline(folder, codebook, ids, holdings, window, tree["consents"], tree["fingerprint"])
    except (OSError, ValueError, LookupError, TypeError, pa.ArrowException) as error:
        raise damaged(folder, "a file", error) from error


def write_manifest(
    folder: Path, segments: Iterable[Segment], codebook: Codebook, window: Window, consents: str
) -> None:
    """Write all but the segments, `timeline.json` last."""
    codes = stable_json(codebook_to_tree(codebook))
    (folder / "codebook.json").write_text(codes, encoding="utf-8")
    tree: dict[str, Any] = {"version": VERSION, "window": asdict(window), "consents": consents}
    content = [codes, stable_json(tree), *(segment.digest for segment in segments)]
    tree["fingerprint"] = hashlib.blake2b("\0".join(content).encode(), digest_size=16).hexdigest()
    tree["segments"] = [segment.to_tree() for segment in segments]
    (folder / "timeline.json").write_text(stable_json(tree), encoding="utf-8")


def fitting_cents(widest: int) -> np.dtype[Any]:
    """The narrowest type that holds amounts up to this one."""
    return np.dtype(np.int32 if widest <= np.iinfo(np.int32).max else np.int64)


def distinct(ids: pa.Array) -> pa.Array:
    """The ascending ids.

    Raises:
        DataError: One occurs twice.
    """
    repeated = ids[1:].filter(pc.equal(ids[1:], ids[:-1])) if len(ids) else ids
    if len(repeated):
        raise DataError(
            f"customers.customer_id: {len(repeated)} rows repeat an id, the first '{repeated[0]}'; ids must differ; "
            "keep one row a customer"
        )
    return ids
