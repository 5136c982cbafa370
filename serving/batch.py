"""Scores an audience of any size, block by block, into files that appear together; holds one block in memory."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final, Protocol

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.csv as pa_csv
import pyarrow.parquet as pq

from contract.errors import UsageError
from contract.files import atomic_group
from contract.progress import Progress
from features.demographic import Customers
from features.matrix import Matrix
from features.spine import candidates
from features.timeline import UNKNOWN_CUSTOMER, Timeline
from serving.outlook import outlook_file
from serving.scorer import Scorer
from serving.scores import (
    ENGAGEMENT_SCHEMA,
    NOT_PROFILED,
    SCORE_SCHEMA,
    Access,
    Floats,
    Predictions,
    Stamp,
    engagement_table,
    in_order,
    marked,
    score_table,
)

FORMATS: Final = (".parquet", ".csv")
UNKNOWN: Final = "unknown customer"
NO_HISTORY: Final = "no history"


@dataclass(frozen=True)
class Outputs:
    """Where the scores and, beside them, the engagement preferences and the outlook go; the latter's text."""

    scores: Path
    engagement: Path
    outlook: Path
    outlook_json: str = ""

    @classmethod
    def beside(cls, scores: Path) -> "Outputs":
        """`NAME.SUFFIX`, `NAME.engagement.SUFFIX` and `NAME.outlook.json`; what the last says is to be filled in.

        Raises:
            UsageError: where the suffix is no format that can be written.
        """
        if scores.suffix not in FORMATS:
            raise UsageError(f"--out: found '{scores}'; expected a file that ends in {' or '.join(FORMATS)}")
        return cls(scores, scores.with_name(f"{scores.stem}.engagement{scores.suffix}"), outlook_file(scores))


def write_scores(
    ids: Sequence[str],
    block_customers: int,
    score_block: Callable[[npt.NDArray[np.object_]], tuple[pa.Table, pa.Table]],
    outputs: Outputs,
    progress: Progress,
) -> None:
    """All files of a scoring, whole or not at all.

    Args:
        ids: customers in the order of their rows.
        block_customers: how many are scored at a time.
        score_block: the scores and the engagement of some of them.
        outputs: where to write; what is there is replaced when all are complete.
        progress: told after each block.
    """
    customers = np.asarray(ids, dtype=object)
    targets = [outputs.engagement, outputs.outlook, outputs.scores]
    with atomic_group(targets) as (engagement, outlook, scores), ExitStack() as open_files:
        outlook.write_text(outputs.outlook_json, encoding="utf-8")
        writers = [
            open_files.enter_context(closing(path, schema))
            for path, schema in ((scores, SCORE_SCHEMA), (engagement, ENGAGEMENT_SCHEMA))
        ]
        progress("score", 0, len(customers))
        for block in blocks(customers, block_customers):
            for writer, table in zip(writers, score_block(customers[block]), strict=True):
                writer.write_table(table)
            progress("score", block.stop, len(customers))


def blocks(customers: npt.NDArray[np.object_], size: int) -> Iterator[slice]:
    """Slices of at most `size` that cover `customers` in order."""
    for start in range(0, len(customers), size):
        yield slice(start, min(start + size, len(customers)))


def closing(path: Path, schema: pa.Schema) -> pq.ParquetWriter | pa_csv.CSVWriter:
    """A writer of tables in the format that the suffix names; a context that closes the file."""
    if path.suffix == ".csv":
        return pa_csv.CSVWriter(path, schema)
    return pq.ParquetWriter(path, schema, compression="zstd")


class AccessRule(Protocol):
    """Says which channels are open to customers."""

    def access(self, customer_ids: npt.NDArray[np.object_]) -> Access:
        """(n, k) eligible and reason for customers in the given order."""


@dataclass
class BlockScorer:
    """Everything that one scoring needs for any block of its audience; counts what it meets on the way.

    customers: what the demographic columns hold, by customer number. unprofiled: (n_customers,), whose history may not
    be used. values: EUR a response is worth, by customer id, where the audience says so.
    """

    scorer: Scorer
    timeline: Timeline
    customers: Customers
    unprofiled: npt.NDArray[np.bool_]
    values: Mapping[str, float]
    rule: AccessRule
    costs: Floats
    stamp: Stamp
    category: int

    def __post_init__(self) -> None:
        self.unknown = 0
        self.no_history = 0
        self.eligible = np.zeros(len(self.costs), dtype=np.int64)

    def score(self, ids: npt.NDArray[np.object_]) -> tuple[pa.Table, pa.Table]:
        """Scores and engagement preferences of the customers `ids`, in ascending order of their ids."""
        numbers = self.timeline.customers_of(ids)
        order = np.argsort(numbers, kind="stable")
        found = self.scorer.score(self.timeline, numbers[order], self.customers, self.stamp.as_of_us, self.category)
        predictions = in_order(found, np.argsort(order, kind="stable"))
        predictions = self._with_values(predictions, ids)
        access = self._marked(self.rule.access(ids), numbers)
        self.eligible += access.eligible.sum(axis=0)
        manifest = self.scorer.bundle.manifest
        evidence = tuple(each.verdict for each in manifest.evidence[1:])
        scores = score_table(ids, manifest.outbound, predictions, access, self.costs, evidence, self.stamp)
        return scores, engagement_table(ids, manifest.engagement.channels, predictions.engagement, self.stamp)

    def rows(self, ids: npt.NDArray[np.object_]) -> Matrix:
        """(n x actions, p) features of the customers `ids`, in their order, each with no contact and every channel."""
        numbers, actions = self.timeline.customers_of(ids), self.scorer.candidates.actions
        order = np.argsort(numbers, kind="stable")
        spine = candidates(numbers[order], self.stamp.as_of_us, self.category, actions)
        matrix = self.scorer.features.matrix(self.timeline, spine, self.customers)
        place = np.argsort(order, kind="stable")[:, None] * len(actions) + np.arange(len(actions))
        found: Matrix = matrix[place.ravel()]
        return found

    def _with_values(self, predictions: Predictions, ids: npt.NDArray[np.object_]) -> Predictions:
        own = np.array([self.values.get(customer, np.nan) for customer in ids])
        return replace(predictions, worth=np.where(np.isnan(own), predictions.worth, own))

    def _marked(self, access: Access, numbers: npt.NDArray[np.int64]) -> Access:
        """Customers of whom little is known say so where no rule has a reason already."""
        unknown = numbers == UNKNOWN_CUSTOMER
        events = self.timeline.offsets[numbers + 1] - self.timeline.offsets[np.maximum(numbers, 0)]
        refusing = ~unknown & np.append(self.unprofiled, False)[numbers]
        silent = ~unknown & ~refusing & (events == 0)
        self.unknown += int(unknown.sum())
        self.no_history += int(silent.sum())
        for rows, word in ((unknown, UNKNOWN), (refusing, NOT_PROFILED), (silent, NO_HISTORY)):
            access = marked(access, rows, word)
        return access
