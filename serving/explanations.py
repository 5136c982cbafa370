"""Writes why customers are scored as they are: the strongest reasons for each score, in words; scores nothing.

Each customer and channel has rows that add up to the raw score (before calibration): rank 0 is where every
score starts, 1 to N are the strongest columns with what they say of the customer, N + 1 is all other columns together.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.csv as pa_csv
import pyarrow.parquet as pq

from contract.files import atomic_file
from contract.progress import Progress
from features.matrix import FeatureSet, Matrix
from features.sentences import Sentences
from models.artefact import Ints
from models.bundle import Bundle
from models.explanation import Explanation
from serving.audience import Audience
from serving.outputs import FILES
from serving.scores import Stamp

START: Final = "what is usual among the decisions that taught the model"
REST: Final = "everything else together"

EXPLANATION_SCHEMA: Final = pa.schema(
    [
        ("customer_id", pa.string()),
        ("channel", pa.string()),
        ("rank", pa.int32()),
        ("feature", pa.string()),
        ("words", pa.string()),
        ("value", pa.float64()),
        ("contribution", pa.float64()),
        ("factor", pa.float64()),
        ("campaign_id", pa.string()),
        ("as_of", pa.timestamp("us", tz="UTC")),
        ("model_version", pa.string()),
    ]
)
"""contribution: to the score before calibration, log-odds or (learner with effects) the log of expected responses;
factor: its exponential, by which the odds, or the expected responses, are multiplied."""


class Reason(NamedTuple):
    """What a column says of a customer, and by which factor that multiplies the odds of a response, or its rate."""

    words: str
    factor: float


@dataclass(frozen=True)
class Explainer:
    """Explains the response scores of a bundle by at most `most` columns each."""

    bundle: Bundle
    sentences: Sentences
    most: int

    @classmethod
    def of(cls, bundle: Bundle, features: FeatureSet, most: int) -> "Explainer":
        """The explainer of a loaded bundle and its features."""
        return cls(bundle, Sentences(features), most)

    def table(self, ids: Sequence[str] | npt.NDArray[np.object_], matrix: Matrix, stamp: Stamp) -> pa.Table:
        """The reasons for n customers on every measured outbound channel, in the order given.

        Args:
            ids: of the n customers; one is enough.
            matrix: (n x actions, p) all columns of the bundle, each customer with no contact and then every outbound
                channel, as `BlockScorer.rows` gives them.
            stamp: of the scoring.
        """
        channels = self._channels()
        actions = len(self.bundle.manifest.outbound) + 1
        rows = (np.arange(len(ids))[:, None] * actions + np.array([at for at, _ in channels], dtype=np.int64)).ravel()
        found = self.bundle.response.explain(matrix[rows], self.bundle.threads)
        columns = self._columns(found, matrix[rows])
        depth = len(columns["rank"]) // max(1, len(rows))
        columns["customer_id"] = np.repeat(np.asarray(ids, dtype=object), len(channels) * depth)
        columns["channel"] = np.tile(np.repeat(np.array([name for _, name in channels], dtype=object), depth), len(ids))
        return _stamped(columns, stamp)

    def load(self) -> None:
        """Make ready, so that the first explanation takes no longer than others."""
        _ = self.bundle.response.trees.booster

    def reasons(self, matrix: Matrix) -> Mapping[str, Sequence[Reason]]:
        """Of one customer by measured channel, the strongest first; matrix: as in `table`, (actions, p)."""
        channels = self._channels()
        rows = matrix[[at for at, _ in channels]]
        found = self.bundle.response.explain(rows, self.bundle.threads)
        chosen = found.strongest(self.most)
        factors = np.exp(np.take_along_axis(found.contribution, chosen, axis=1)).tolist()
        return {
            name: list(map(Reason, words, factor))
            for (_, name), words, factor in zip(channels, self._words(rows, chosen), factors, strict=True)
        }

    def _words(self, rows: Matrix, chosen: Ints) -> list[list[str]]:
        """What the chosen columns (n, most) say of each row."""
        say = self.sentences.say
        return [[say(int(at), row) for at in own] for row, own in zip(rows, chosen, strict=True)]

    def _channels(self) -> list[tuple[int, str]]:
        """Number and name of each measured channel; the scores of the others are empty."""
        evidence = self.bundle.manifest.evidence
        return [(at, each.action) for at, each in enumerate(evidence) if at and each.verdict != "unmeasured"]

    def _columns(self, found: Explanation, matrix: Matrix) -> dict[str, npt.NDArray[np.generic]]:
        """Rank, feature, words, value and contribution of every reason, row after row."""
        chosen = found.strongest(self.most)
        n, most = chosen.shape
        names = np.array(self.sentences.features.names, dtype=object)
        kept = np.take_along_axis(found.contribution, chosen, axis=1)
        rest = found.contribution.sum(axis=1) - kept.sum(axis=1)
        none = np.full((n, 1), None, dtype=object)
        contribution = np.column_stack([found.start, kept, rest])
        value = np.column_stack([np.full(n, np.nan), np.take_along_axis(matrix, chosen, axis=1), np.full(n, np.nan)])
        said = np.array(self._words(matrix, chosen), dtype=object).reshape(n, most)
        return {
            "rank": np.tile(np.arange(most + 2, dtype=np.int32), n),
            "feature": np.column_stack([none, names[chosen], none]).ravel(),
            "words": np.column_stack([np.full((n, 1), START, object), said, np.full((n, 1), REST, object)]).ravel(),
            "value": value.astype(np.float64).ravel(),
            "contribution": contribution.ravel(),
            "factor": np.exp(contribution).ravel(),
        }


def beside(scores: Path) -> Path:
    """`NAME.explanations.SUFFIX` beside the scores."""
    return scores.with_name(f"{scores.stem}.explanations{scores.suffix}")


def write_explanations(
    audience: Audience,
    block_customers: int,
    explain_block: Callable[[npt.NDArray[np.object_]], pa.Table],
    path: Path,
    progress: Progress,
) -> None:
    """The file of a scoring's reasons, whole or not at all.

    Args:
        audience: whom to explain.
        block_customers: how many are explained at a time.
        explain_block: the reasons of some of them.
        path: where to write, a suffix of `FILES`.
        progress: told after each block.
    """
    assert path.suffix in FILES
    done = 0
    with atomic_file(path) as target, _writer(target) as writer:
        progress("explain", 0, audience.customers)
        for part in audience.parts(block_customers):
            writer.write_table(explain_block(part.ids.to_numpy(zero_copy_only=False)))
            done += len(part)
            progress("explain", done, audience.customers)


def _writer(path: Path) -> pq.ParquetWriter | pa_csv.CSVWriter:
    """A writer of tables in the format that the suffix names; a context that closes the file."""
    if path.suffix == ".csv":
        return pa_csv.CSVWriter(path, EXPLANATION_SCHEMA)
    return pq.ParquetWriter(path, EXPLANATION_SCHEMA, compression="zstd")


def _stamped(columns: dict[str, npt.NDArray[np.generic]], stamp: Stamp) -> pa.Table:
    rows = len(columns["rank"])
    every: dict[str, object] = {
        **columns,
        "campaign_id": [stamp.campaign_id] * rows,
        "as_of": np.full(rows, stamp.as_of_us, dtype="datetime64[us]"),
        "model_version": [stamp.model_version] * rows,
    }
    arrays = [pa.array(every[each.name], type=each.type, from_pandas=True) for each in EXPLANATION_SCHEMA]
    return pa.Table.from_arrays(arrays, schema=EXPLANATION_SCHEMA)
