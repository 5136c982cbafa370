"""Scores parts on a Spark cluster: the same function on the workers as here, and so the same bytes; keeps no part.

Workers read the bundle, the timeline and the demographics from one folder and need channelwise installed. Parts go to
them some at a time and come back through the folder, so that the driver holds as many as the cluster scores at once.
"""

import json
import pickle
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, dataclass
from functools import cache, partial
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from features.demographic import Customers
from features.spark_engine import spoken
from features.timeline import open_timeline
from models.bundle import load_bundle
from serving.batch import Asked, BlockScorer, Made, Unasked
from serving.parquet_joining import Piece
from serving.part_files import form_of
from serving.scorer import Scorer
from serving.scores import ENGAGEMENT_SCHEMA, SCORE_SCHEMA, Stamp

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

_BUNDLE, _VALUES, _REST = "bundle", "customers.npz", "block.json"
_PER_TASK: Final = 4
"""Parts that a task scores one after another, on average, before the driver takes them."""


@dataclass(frozen=True)
class _Rest:
    """What a worker must know beside the bundle, the timeline and the customers."""

    timeline: str
    columns: tuple[str, ...]
    costs: tuple[float, ...]
    stamp: Stamp
    category: int
    interval: float
    suffix: str


def spark_mapped(
    session: "SparkSession", folder: Path, block: BlockScorer, suffix: str
) -> Callable[[Iterable[Asked]], Iterator[Made]]:
    """What scores parts on the session's workers, in order.

    Args:
        session: Spark.
        folder: that this machine and every worker can read; the timeline lies in it.
        block: scores a part here.
        suffix: of the files to be made.
    """
    block.scorer.bundle.save(folder / _BUNDLE)
    known = block.customers
    np.savez(folder / _VALUES, values=known.values, offsets=known.offsets, from_us=known.from_us)
    rest = _Rest(
        timeline=str(block.timeline.folder),
        columns=block.customers.names,
        costs=tuple(block.costs.tolist()),
        stamp=block.stamp,
        category=block.category,
        interval=block.scorer.interval,
        suffix=suffix,
    )
    (folder / _REST).write_text(json.dumps(asdict(rest)), encoding="utf-8")
    return partial(_mapped, session, str(folder))


def _mapped(session: "SparkSession", folder: str, work: Iterable[Asked]) -> Iterator[Made]:
    tasks = session.sparkContext.defaultParallelism
    waiting = iter(work)
    while asked := list(islice(waiting, tasks * _PER_TASK)):
        rows = [(at, bytearray(pickle.dumps(each))) for at, each in enumerate(asked)]
        frame = session.createDataFrame(rows, "at int, asked binary").repartitionByRange(min(tasks, len(rows)), "at")
        target = Path(folder) / "scored"
        with spoken("scoring"):
            frame.mapInArrow(partial(_scored, folder), "at int, pieces binary").write.mode("overwrite").parquet(
                target.as_uri()
            )
        scored = pq.read_table(target, columns=["at", "pieces"], partitioning=None).sort_by("at")
        for at, pieces in zip(scored["at"].to_pylist(), scored["pieces"].to_pylist(), strict=True):
            yield asked[at], pickle.loads(pieces)  # noqa: S301  what our own workers made of our own parts


def _scored(folder: str, batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    """On a worker: the bytes of the parts' files."""
    block, suffix = _block(folder)
    forms = [form_of(Path(f"part{suffix}"), schema) for schema in (ENGAGEMENT_SCHEMA, SCORE_SCHEMA)]
    for batch in batches:
        for at, asked in zip(batch["at"].to_pylist(), batch["asked"].to_pylist(), strict=True):
            tables = block.tables(pickle.loads(asked))  # noqa: S301  what our own driver sent
            pieces: list[Piece] = [form.piece(table) for form, table in zip(forms, tables, strict=True)]
            yield pa.record_batch(
                {"at": pa.array([at], pa.int32()), "pieces": pa.array([pickle.dumps(pieces)], pa.binary())}
            )


@cache
def _block(folder: str) -> tuple[BlockScorer, str]:
    """What scores a part on this worker, read once."""
    place = Path(folder)
    tree = json.loads((place / _REST).read_text(encoding="utf-8"))
    rest = _Rest(**{**tree, "stamp": Stamp(**tree["stamp"]), "columns": tuple(tree["columns"])})
    with np.load(place / _VALUES) as kept:
        known = Customers(rest.columns, kept["values"], kept["offsets"], kept["from_us"])
    block = BlockScorer(
        scorer=Scorer.of(load_bundle(place / _BUNDLE), rest.interval),
        timeline=open_timeline(Path(rest.timeline)),
        customers=known,
        unprofiled=np.zeros(0, np.bool_),
        rule=Unasked(),
        costs=np.array(rest.costs),
        stamp=rest.stamp,
        category=rest.category,
    )
    return block, rest.suffix
