"""The history as a folder on disk: every customer's events in order of time, as small integers; computes no feature.

`events.parquet` holds (tick, code, cents) by customer, time, code and cents, in row groups of about a million events
that never cut a customer; `offsets.npy` says which rows a customer owns, `customers.parquet` the ids in order,
`codebook.json` what the codes mean, `timeline.json` the rest. Customers without events are there too.
"""

import hashlib
import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from functools import cached_property
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from contract.errors import ArtefactError, DataError
from contract.files import atomic_folder
from contract.params import Params
from contract.progress import Progress, silent
from features.blocks import chosen, holds_any, joined, no_events, split
from features.encoding import Clock, built_codebook, codebook_from_tree, codebook_to_tree, fitting_clock, stable_json
from features.engines import DuckdbEngine, EngineMaker, Source, Window, bounded
from features.events import US_PER_DAY, Codebook, Events
from features.row_groups import COLUMNS, GROUP_EVENTS, GroupWriter

VERSION: Final = 1
UNKNOWN_CUSTOMER: Final = -1
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, eq=False)
class Timeline:
    """A timeline on disk; ids and offsets are in memory, events are read when asked for.

    ids: every customer's id, ascending; offsets: int64 (n_customers + 1), rows of the events file; window: what was
    kept; fingerprint: differs if any event, id or code differs.
    """

    folder: Path
    codebook: Codebook
    ids: pa.Array
    offsets: npt.NDArray[np.int64]
    clock: Clock
    window: Window
    fingerprint: str

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
            ArtefactError: The events file is missing or damaged.
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

    def code_counts(self, until_us: int | None = None) -> npt.NDArray[np.int64]:
        """(n_codes,) how often each code occurs, before `until_us` if given."""
        counts = np.zeros(len(self.codebook.entries), np.int64)
        for events in self.blocks(max(1, self.n_events)):
            codes = events.code if until_us is None else events.code[events.time_us < until_us]
            counts += np.bincount(codes, minlength=len(counts))
        return counts

    @cached_property
    def _groups(self) -> tuple[tuple[int, int, int | None], ...]:
        """(first customer, end of customers, row group) of each row group; together they cover every customer."""
        with self._opened() as file:
            rows = [file.metadata.row_group(group).num_rows for group in range(file.num_row_groups)]
        if not rows:
            return ((0, self.n_customers, None),)
        ends = [int(end) for end in np.searchsorted(self.offsets, np.cumsum(rows, dtype=np.int64))]
        ends[-1] = self.n_customers
        return tuple(zip([0, *ends[:-1]], ends, range(len(rows)), strict=True))

    def _opened(self) -> Any:
        try:
            return pq.ParquetFile(self.folder / "events.parquet")
        except (OSError, pa.ArrowException) as error:
            raise _damaged(self.folder, "events.parquet", error) from error

    def _read_group(self, first: int, end: int, group: int | None) -> Events:
        if group is None:
            return no_events(first, end - first)
        with self._opened() as file:
            try:
                table = file.read_row_group(group, use_threads=False)
            except (OSError, pa.ArrowException) as error:
                raise _damaged(self.folder, "events.parquet", error) from error
        tick, code, cents = (table[name].combine_chunks().to_numpy() for name in COLUMNS)
        offsets = self.offsets[first : end + 1] - self.offsets[first]
        return Events(first, offsets, self.clock.time_us(tick), code, cents.astype(np.int64))


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
        group_events: About how many events one row group holds.
        engine: What scans, joins and sorts; the timeline is the same byte for byte.

    Raises:
        DataError: A customer id occurs twice, or the events need more than 65,536 codes.
        StorageError: The folder cannot be written, or memory and spill do not suffice; an older timeline is whole.
    """
    window = kept_window(intake.as_of, params)
    events = engine(intake, window)
    ids = _distinct(events.customer_ids())
    survey = events.survey()
    codes = built_codebook(survey.codes, events.categories(), params, codebook)
    clock = fitting_clock(survey.first_us, survey.last_us, survey.whole_seconds)
    cents = np.dtype(np.int32 if survey.widest_cents <= np.iinfo(np.int32).max else np.int64)
    with atomic_folder(folder) as target:
        types = (clock.dtype, np.dtype(np.uint16), cents)
        with GroupWriter(target / "events.parquet", len(ids), types, group_events) as writer:
            for batch in events.sorted_events(codes.entries, clock):
                writer.add(batch)
                progress("timeline", writer.rows, survey.rows)
        _write_rest(Timeline(target, codes, ids, writer.offsets(), clock, window, writer.digest()))
    return open_timeline(folder)


def kept_window(as_of: datetime, params: Params) -> Window:
    """The lookback before as_of, a time with a zone, or a naive one in UTC."""
    zoned = as_of if as_of.tzinfo else as_of.replace(tzinfo=UTC)
    until_us = (zoned - _EPOCH) // timedelta(microseconds=1)
    return Window(until_us - round(params.features.lookback_days * US_PER_DAY), until_us)


def open_timeline(folder: Path) -> Timeline:
    """The timeline that `build_timeline` wrote into the folder.

    Raises:
        ArtefactError: A file is missing, damaged, or of a version that this one does not read.
    """
    try:
        tree = json.loads((folder / "timeline.json").read_text(encoding="utf-8"))
        if tree["version"] != VERSION:
            raise ArtefactError(
                f"{folder}: is a timeline of version {tree['version']}; expected {VERSION}; build it again"
            )
        timeline = Timeline(
            folder,
            codebook_from_tree(json.loads((folder / "codebook.json").read_text(encoding="utf-8"))),
            pq.read_table(folder / "customers.parquet")["customer_id"].combine_chunks().cast(pa.large_string()),
            np.load(folder / "offsets.npy", allow_pickle=False),
            Clock(**tree["clock"]),
            Window(**tree["window"]),
            tree["fingerprint"],
        )
    except (OSError, ValueError, KeyError, TypeError, pa.ArrowException) as error:
        raise _damaged(folder, "a file", error) from error
    _check_whole(timeline)
    return timeline


def _damaged(folder: Path, what: str, error: Exception) -> ArtefactError:
    return ArtefactError(f"{folder}: {what} of the timeline is missing or damaged ({error}); build it again")


def _check_whole(timeline: Timeline) -> None:
    """Refuse files that do not belong together."""
    with timeline._opened() as file:
        rows = file.metadata.num_rows
    if len(timeline.offsets) != timeline.n_customers + 1 or timeline.n_events != rows:
        raise ArtefactError(
            f"{timeline.folder}: {rows} events, {timeline.n_customers} customers, but offsets for {timeline.n_events} "
            f"and {len(timeline.offsets) - 1}; the files are not of one timeline; build it again"
        )


def _distinct(ids: pa.Array) -> pa.Array:
    repeated = ids[1:].filter(pc.equal(ids[1:], ids[:-1])) if len(ids) else ids
    if len(repeated):
        raise DataError(
            f"customers.customer_id: {len(repeated)} rows repeat an id, the first '{repeated[0]}'; ids must differ; "
            "keep one row a customer"
        )
    return ids


def _write_rest(timeline: Timeline) -> None:
    """Write all but the events; the fingerprint covers those too."""
    folder = timeline.folder
    codebook = stable_json(codebook_to_tree(timeline.codebook))
    (folder / "codebook.json").write_text(codebook, encoding="utf-8")
    np.save(folder / "offsets.npy", timeline.offsets)
    pq.write_table(pa.table({"customer_id": timeline.ids}), folder / "customers.parquet", compression="lz4")
    tree = {"version": VERSION, "clock": asdict(timeline.clock), "window": asdict(timeline.window)}
    digest = hashlib.blake2b(f"{timeline.fingerprint}{codebook}{stable_json(tree)}".encode(), digest_size=16)
    digest.update(timeline.offsets.tobytes())
    for customer in timeline.ids.to_pylist():
        digest.update(customer.encode() + b"\0")
    tree["fingerprint"] = digest.hexdigest()
    (folder / "timeline.json").write_text(stable_json(tree), encoding="utf-8")
