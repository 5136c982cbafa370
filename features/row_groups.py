"""Writes sorted events as Parquet row groups that never cut a customer; sorts nothing itself."""

import hashlib
from pathlib import Path
from types import TracebackType
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

GROUP_EVENTS: Final = 1_000_000
COLUMNS: Final = ("tick", "code", "cents")


class GroupWriter:
    """Takes sorted batches of (number, tick, code, cents) and keeps less than two row groups of them in memory."""

    def __init__(self, path: Path, n_customers: int, types: tuple[np.dtype[Any], ...], group_events: int) -> None:
        self._types = types
        named = zip(COLUMNS, types, strict=True)
        self._schema = pa.schema([pa.field(name, pa.from_numpy_dtype(type_), nullable=False) for name, type_ in named])
        self._file = pq.ParquetWriter(
            path, self._schema, compression="lz4", use_dictionary=False, write_statistics=False
        )
        self._group_events = group_events
        self._counts = np.zeros(n_customers, np.int64)
        self._waiting: list[tuple[npt.NDArray[Any], ...]] = []
        self._hashes = [hashlib.blake2b(digest_size=16) for _ in COLUMNS]
        self.rows = 0

    def __enter__(self) -> "GroupWriter":
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        if kind is None:
            self._write(*self._drained())
        self._file.close()

    def add(self, batch: pa.RecordBatch) -> None:
        """Take the next rows; write those of finished customers once there are enough."""
        if not batch.num_rows:
            return
        number, *columns = (batch[name].to_numpy() for name in ("number", *COLUMNS))
        kept = (column.astype(type_, copy=False) for column, type_ in zip(columns, self._types, strict=True))
        self._waiting.append((number, *kept))
        self.rows += len(number)
        if sum(len(part[0]) for part in self._waiting) >= self._group_events and self._waiting[0][0][0] != number[-1]:
            number, *columns = self._drained()
            cut = int(np.searchsorted(number, number[-1]))
            self._waiting = [(number[cut:], *(column[cut:] for column in columns))]
            self._write(number[:cut], *(column[:cut] for column in columns))

    def offsets(self) -> npt.NDArray[np.int64]:
        """(n_customers + 1,) rows that each customer owns, once all is written."""
        offsets = np.zeros(len(self._counts) + 1, np.int64)
        np.cumsum(self._counts, out=offsets[1:])
        return offsets

    def digest(self) -> str:
        """Of all that was written, whatever the batches were."""
        return "".join(each.hexdigest() for each in self._hashes)

    def _drained(self) -> tuple[npt.NDArray[Any], ...]:
        waiting, self._waiting = self._waiting, []
        if not waiting:
            return (np.zeros(0, np.uint32), *(np.zeros(0, type_) for type_ in self._types))
        return tuple(np.concatenate(column) for column in zip(*waiting, strict=True))

    def _write(self, number: npt.NDArray[Any], *columns: npt.NDArray[Any]) -> None:
        if not len(number):
            return
        first, last = int(number[0]), int(number[-1])
        self._counts[first : last + 1] += np.bincount(number - number[0], minlength=last - first + 1)
        for digest, column in zip(self._hashes, columns, strict=True):
            digest.update(column.tobytes())
        self._file.write_table(pa.table(list(columns), schema=self._schema), row_group_size=len(number))
