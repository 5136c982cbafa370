"""Writes sorted events as Parquet files of whole customers, one row group each; sorts nothing itself."""

import hashlib
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from features.encoding import Clock

GROUP_EVENTS: Final = 1_000_000
COLUMNS: Final = ("tick", "code", "cents")


@dataclass(frozen=True)
class Part:
    """A file of events: its rows and bytes, the number after its last customer, and its oldest event's time."""

    file: str
    rows: int
    bytes: int
    end: int
    first_us: int


class GroupWriter:
    """Takes sorted batches of (number, tick, code, cents) and keeps less than two parts of them in memory."""

    def __init__(
        self, folder: Path, n_customers: int, clock: Clock, cents: np.dtype[Any], group_events: int = GROUP_EVENTS
    ) -> None:
        self._folder = folder
        self._clock = clock
        self._types = (clock.dtype, np.dtype(np.uint16), cents)
        named = zip(COLUMNS, self._types, strict=True)
        self._schema = pa.schema([pa.field(name, pa.from_numpy_dtype(type_), nullable=False) for name, type_ in named])
        self._group_events = group_events
        self._waiting: list[tuple[npt.NDArray[Any], ...]] = []
        self._hashes = [hashlib.blake2b(digest_size=16) for _ in COLUMNS]
        self.counts = np.zeros(n_customers, np.int64)
        self.parts: list[Part] = []
        self._room = group_events
        self.rows = 0

    def __enter__(self) -> "GroupWriter":
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        if kind is None:
            self._write(*self._drained())

    def add(self, batch: pa.RecordBatch) -> None:
        """Take the next rows; write those of finished customers once there are enough, whatever the batches are."""
        start = 0
        while start < batch.num_rows:
            piece = batch.slice(start, self._room)
            start += piece.num_rows
            number, *columns = (piece[name].to_numpy() for name in ("number", *COLUMNS))
            kept = (column.astype(type_, copy=False) for column, type_ in zip(columns, self._types, strict=True))
            self._waiting.append((number, *kept))
            self._room -= piece.num_rows
            if not self._room:
                self._room = max(1, self._group_events - self._write_finished())
        self.rows += batch.num_rows

    def digest(self) -> str:
        """Of all that was written, whatever the batches and the parts were."""
        return "".join(each.hexdigest() for each in self._hashes)

    def _write_finished(self) -> int:
        """Write all customers but the last, who may go on; how many rows of that one wait, 0 if there is no other."""
        if self._waiting[0][0][0] == self._waiting[-1][0][-1]:
            return 0
        number, *columns = self._drained()
        cut = int(np.searchsorted(number, number[-1]))
        self._waiting = [(number[cut:], *(column[cut:] for column in columns))]
        self._write(number[:cut], *(column[:cut] for column in columns))
        return len(number) - cut

    def _drained(self) -> tuple[npt.NDArray[Any], ...]:
        waiting, self._waiting = self._waiting, []
        if not waiting:
            return (np.zeros(0, np.uint32), *(np.zeros(0, type_) for type_ in self._types))
        return tuple(np.concatenate(column) for column in zip(*waiting, strict=True))

    def _write(self, number: npt.NDArray[Any], *columns: npt.NDArray[Any]) -> None:
        if not len(number):
            return
        first, last = int(number[0]), int(number[-1])
        self.counts[first : last + 1] += np.bincount(number - number[0], minlength=last - first + 1)
        for digest, column in zip(self._hashes, columns, strict=True):
            digest.update(column.tobytes())
        path = self._folder / f"part-{len(self.parts):05d}.parquet"
        table = pa.table(list(columns), schema=self._schema)
        # Statistics and dictionaries cost reading time and serve nobody; a checksum a page finds what rots on the disk.
        pq.write_table(
            table,
            path,
            row_group_size=len(number),
            compression="lz4",
            use_dictionary=False,
            write_statistics=False,
            write_page_checksum=True,
        )
        oldest = int(self._clock.time_us(columns[0].min(keepdims=True))[0])
        self.parts.append(Part(path.name, len(number), path.stat().st_size, last + 1, oldest))
