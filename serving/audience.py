"""The customers to score, sorted into a file from which parts are read, so that no audience must fit into memory."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import duckdb
import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from features.engines import NUMBERED
from features.timeline import UNKNOWN_CUSTOMER


@dataclass(frozen=True)
class AudiencePart:
    """Some customers, ascending by id: ids (n,) texts, numbers (n,) in the timeline, values (n,) EUR or NaN."""

    ids: pa.StringArray
    numbers: npt.NDArray[np.int64]
    values: npt.NDArray[np.float64]

    def __len__(self) -> int:
        return len(self.ids)


@dataclass(frozen=True)
class Audience:
    """An audience in a file."""

    path: Path
    customers: int

    @classmethod
    def sorted_into(cls, path: Path, connection: duckdb.DuckDBPyConnection, part_customers: int) -> "Audience":
        """Sorts the view `audience` of an intake into the file, with the customers' numbers.

        Args:
            path: where to write.
            connection: of the intake, holding the table `NUMBERED` of the timeline.
            part_customers: how many are read at a time.
        """
        target = str(path).replace("'", "''")
        rows = f"""
            SELECT customer_id, coalesce(value, 'nan'::DOUBLE) AS value,
                   coalesce(CAST(number AS BIGINT), {UNKNOWN_CUSTOMER}) AS number
            FROM audience LEFT JOIN {NUMBERED} USING (customer_id) ORDER BY customer_id"""  # noqa: S608  names of ours
        size = max(2_048, part_customers)
        connection.execute(f"COPY ({rows}) TO '{target}' (FORMAT parquet, COMPRESSION lz4_raw, ROW_GROUP_SIZE {size})")
        return cls(path, pq.read_metadata(path).num_rows)

    def parts(self, customers: int) -> Iterator[AudiencePart]:
        """All customers, so many at a time; one part without any where there are none."""
        with pq.ParquetFile(self.path) as file:
            for batch in file.iter_batches(customers, columns=["customer_id", "value", "number"], use_threads=False):
                ids, values, numbers = (batch[name] for name in ("customer_id", "value", "number"))
                yield AudiencePart(
                    ids.cast(pa.string()),
                    numbers.to_numpy().astype(np.int64),
                    values.to_numpy(zero_copy_only=False).astype(np.float64),
                )
        if self.customers == 0:
            yield AudiencePart(pa.array([], pa.string()), np.zeros(0, np.int64), np.zeros(0))
