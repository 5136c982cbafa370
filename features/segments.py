"""Segments, the immutable pieces of a timeline: one is the base, each other what an append added; merges nothing.

A segment is a folder of `part-….parquet`, its sorted events, and `customers.parquet`: who has how many of them, and the
ids that it brought. It numbers the customers in order of id among those known when it was written; later ids shift the
numbers when the segments are read, so that no file changes when a customer arrives.
"""

import hashlib
import os
import shutil
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from contract.errors import ArtefactError
from contract.progress import Progress
from features.encoding import Clock, stable_json
from features.row_groups import COLUMNS, GroupWriter, Part

CUSTOMERS: Final = "customers.parquet"
Longs = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Segment:
    """A segment's entry in the timeline's list; `cents` is their type, `n_customers` counts all known with it."""

    folder: str
    clock: Clock
    cents: str
    n_customers: int
    parts: tuple[Part, ...]
    digest: str

    @property
    def rows(self) -> int:
        """How many events it holds."""
        return sum(part.rows for part in self.parts)

    @property
    def files(self) -> tuple[str, ...]:
        """Its files, relative to the timeline's folder."""
        return tuple(f"{self.folder}/{name}" for name in (CUSTOMERS, *(part.file for part in self.parts)))

    def to_tree(self) -> dict[str, Any]:
        """Plain values, for JSON."""
        return asdict(self)

    @classmethod
    def from_tree(cls, tree: dict[str, Any]) -> "Segment":
        """The inverse of `to_tree`."""
        parts = tuple(Part(**part) for part in tree["parts"])
        return cls(**{**tree, "clock": Clock(**tree["clock"]), "parts": parts})


@dataclass(frozen=True, eq=False)
class Holding:
    """Who has how many events in a segment: (k,) ascending numbers of the whole timeline, and counts."""

    segment: Segment
    numbers: Longs
    counts: Longs

    def offsets(self, n_customers: int) -> Longs:
        """(n_customers + 1,) rows of the segment that each customer of the timeline owns."""
        offsets = np.zeros(n_customers + 1, np.int64)
        offsets[self.numbers + 1] = self.counts
        return np.cumsum(offsets, out=offsets)


@dataclass(frozen=True)
class Arrivals:
    """What a new segment is of: customers known with it, the new among them, and how times and amounts are stored.

    fresh: (m,) their ascending numbers; ids: (m,) their ids.
    """

    n_customers: int
    fresh: Longs
    ids: pa.Array
    clock: Clock
    cents: np.dtype[Any]


def write_segment(
    target: Path,
    index: int,
    arrivals: Arrivals,
    batches: Iterable[pa.RecordBatch],
    group_events: int,
    progress: Progress,
    total: int,
) -> Segment:
    """Write sorted batches of (number, tick, code, cents) as a segment of the timeline's folder `target`."""
    folder = target / f"segment-{index:05d}"
    folder.mkdir(parents=True)
    with GroupWriter(folder, arrivals.n_customers, arrivals.clock, arrivals.cents, group_events) as writer:
        for batch in batches:
            writer.add(batch)
            progress("timeline", writer.rows, total)
    held = writer.counts > 0
    held[arrivals.fresh] = True
    numbers = np.flatnonzero(held)
    ids = _spread(arrivals.ids, np.searchsorted(numbers, arrivals.fresh), len(numbers))
    counts = writer.counts[numbers]
    pq.write_table(
        pa.table({"number": numbers, "count": counts, "customer_id": ids}),
        folder / CUSTOMERS,
        compression="lz4",
        use_dictionary=False,
        write_statistics=False,
        column_encoding={"number": "DELTA_BINARY_PACKED", "count": "DELTA_BINARY_PACKED"},
        write_page_checksum=True,
    )
    digest = hashlib.blake2b(f"{writer.digest()}{stable_json(asdict(arrivals.clock))}".encode(), digest_size=16)
    for each in (arrivals.fresh.tobytes(), numbers.tobytes(), counts.tobytes()):
        digest.update(each)
    digest.update("\0".join(arrivals.ids.to_pylist()).encode())
    cents, parts = str(arrivals.cents), tuple(writer.parts)
    return Segment(folder.name, arrivals.clock, cents, arrivals.n_customers, parts, digest.hexdigest())


def next_index(segments: Sequence[Segment]) -> int:
    """A number that no segment's folder has."""
    return 1 + max(int(segment.folder.rpartition("-")[2]) for segment in segments)


def _spread(ids: pa.Array, places: Longs, length: int) -> pa.Array:
    """The ids at these places of a column that is empty elsewhere."""
    if len(ids) == length:
        return ids
    rows = np.full(length, -1)
    rows[places] = np.arange(len(ids))
    return ids.take(pa.array(rows, mask=rows < 0))


def carry_over(source: Path, target: Path, segments: Sequence[Segment]) -> None:
    """Give the files of segments a second name below `target`; a copy where the file system has no hard links."""
    for segment in segments:
        (target / segment.folder).mkdir(parents=True)
        for file in segment.files:
            try:
                os.link(source / file, target / file)
            except FileNotFoundError as error:
                raise damaged(source, file, error) from error
            except OSError:
                shutil.copyfile(source / file, target / file)


def read_holdings(folder: Path, segments: Sequence[Segment]) -> tuple[pa.Array, tuple[Holding, ...]]:
    """All ids, ascending, and each segment's holding in their numbers.

    Raises:
        ArtefactError: A file is missing, damaged, or of another timeline.
    """
    for segment in segments:
        _check_sizes(folder, segment)
    tables = [_read_customers(folder, segment) for segment in segments]
    fresh = [np.flatnonzero(table["customer_id"].is_valid().to_numpy()) for table in tables]
    numbers = [table["number"].to_numpy() for table in tables]
    ids = pa.concat_arrays([table["customer_id"].combine_chunks().drop_null() for table in tables])
    place = np.arange(segments[-1].n_customers)
    order = np.zeros(len(place), np.int64)
    holdings = []
    arrived = len(ids)
    for at in reversed(range(len(segments))):
        counts = tables[at]["count"].to_numpy()
        holdings.append(Holding(segments[at], place[numbers[at]], counts))
        new = numbers[at][fresh[at]]
        arrived -= len(new)
        order[place[new]] = arrived + np.arange(len(new))
        place = np.delete(place, new)
        _check_counts(folder, segments[at], counts, len(place), segments[at - 1].n_customers if at else 0)
    if len(segments) > 1:
        ids = ids.take(pa.array(order))
    return ids, tuple(reversed(holdings))


def read_part(folder: Path, segment: Segment, part: Part) -> list[npt.NDArray[Any]]:
    """(tick, code, cents) of a part, in the types that its file has.

    Raises:
        ArtefactError: The file is missing or damaged.
    """
    return _columns(folder, segment, part, COLUMNS)


def read_times(folder: Path, segment: Segment, part: Part) -> Longs:
    """The times of a part alone, in microseconds."""
    return segment.clock.time_us(_columns(folder, segment, part, COLUMNS[:1])[0])


def _columns(folder: Path, segment: Segment, part: Part, names: Sequence[str]) -> list[npt.NDArray[Any]]:
    file = f"{segment.folder}/{part.file}"
    try:
        with pq.ParquetFile(folder / file, page_checksum_verification=True) as opened:
            table = opened.read_row_group(0, columns=list(names), use_threads=False)
        return [_whole(table[name]).to_numpy() for name in names]
    except (OSError, pa.ArrowException) as error:
        raise damaged(folder, file, error) from error


def _whole(column: pa.ChunkedArray) -> pa.Array:
    """The column as one array; a row group's mostly is one, which `combine_chunks` would copy."""
    return column.chunk(0) if column.num_chunks == 1 else column.combine_chunks()


def _read_customers(folder: Path, segment: Segment) -> pa.Table:
    file = f"{segment.folder}/{CUSTOMERS}"
    try:
        with pq.ParquetFile(folder / file, page_checksum_verification=True) as opened:
            table = opened.read(use_threads=False)
        at = table.schema.get_field_index("customer_id")
        return table.set_column(at, "customer_id", table["customer_id"].cast(pa.large_string()))
    except (OSError, pa.ArrowException, KeyError) as error:
        raise damaged(folder, file, error) from error


def _check_sizes(folder: Path, segment: Segment) -> None:
    for part in segment.parts:
        file = f"{segment.folder}/{part.file}"
        try:
            found = (folder / file).stat().st_size
        except OSError as error:
            raise damaged(folder, file, error) from error
        if found != part.bytes:
            raise damaged(folder, file, f"{found} bytes, expected {part.bytes}")


def _check_counts(folder: Path, segment: Segment, counts: Longs, known: int, expected: int) -> None:
    """Refuse files that do not belong together."""
    if counts.sum() != segment.rows or known != expected:
        raise ArtefactError(
            f"{folder}: {segment.folder} holds {segment.rows} events, but customers with {counts.sum()}, of whom "
            f"{known} were known before, expected {expected}; the files are not of one timeline; build it again"
        )


def damaged(folder: Path, what: str, error: object) -> ArtefactError:
    """The error of a file of a timeline that cannot be read."""
    return ArtefactError(f"{folder}: {what} of the timeline is missing or damaged ({error}); build it again")
