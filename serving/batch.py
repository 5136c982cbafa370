"""Scores an audience of any size, part by part, into two files that appear together; holds some parts in memory.

Parts are read in order, scored by as many threads as are given, and kept in order, so that the files do not depend on
the number of threads.
"""

import hashlib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, replace
from typing import Final, Protocol

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from contract.progress import Progress
from contract.stages import Stages
from features.demographic import Customers
from features.matrix import Matrix
from features.spine import batch_spine, candidates
from features.timeline import UNKNOWN_CUSTOMER, Timeline
from serving.audience import Audience, AudiencePart
from serving.parquet_joining import Piece
from serving.part_files import PartFiles
from serving.scorer import Scorer
from serving.scores import (
    NOT_PROFILED,
    Access,
    Floats,
    Predictions,
    Stamp,
    Standing,
    engagement_table,
    in_order,
    joined,
    marked,
    score_table,
)
from serving.threads import ordered

UNKNOWN: Final = "unknown customer"
NO_HISTORY: Final = "no history"
READING, SCORING, WRITING = "reading", "scoring", "writing"
"""Stages, beside `features.candidates.FEATURES`."""


class AccessRule(Protocol):
    """Says which channels are open to customers."""

    def access(self, customer_ids: pa.Array) -> Access:
        """Of n customers, ids as texts, in the given order."""


@dataclass(frozen=True)
class Asked:
    """A part of the audience with all that scoring it needs; source: digest of what of it can move the scores."""

    part: AudiencePart
    standing: Standing
    source: str


class Unasked:
    """The rule of one who only scores parts of which it is known who may be contacted."""

    def access(self, customer_ids: pa.Array) -> Access:
        """Is never asked."""
        raise AssertionError(f"access of {len(customer_ids)} customers was asked of a worker")


Made = tuple[Asked, list[Piece]]
"""A part and its bytes in each file."""


@dataclass
class Counts:
    """What a scoring met: eligible is (k,), customers open to each outbound channel."""

    eligible: npt.NDArray[np.int64]
    customers: int = 0
    unknown: int = 0
    no_history: int = 0
    kept: int = 0


@dataclass
class BlockScorer:
    """Everything that one scoring needs for any part of its audience; counts what it meets on the way.

    customers: what the demographic columns hold, by customer number; unprofiled: (n_customers,), whose history may not
    be used; costs: (k,) EUR; category: of the campaign.
    """

    scorer: Scorer
    timeline: Timeline
    customers: Customers
    unprofiled: npt.NDArray[np.bool_]
    rule: AccessRule
    costs: Floats
    stamp: Stamp
    category: int
    stages: Stages = field(default_factory=Stages)

    def __post_init__(self) -> None:
        self.counts = Counts(np.zeros(len(self.costs), dtype=np.int64))
        self._candidates = self.scorer.candidates.on(self.timeline)
        self._unprofiled = np.append(self.unprofiled, False)  # so that nobody, -1, is none of them

    def asked(self, part: AudiencePart) -> Asked:
        """The part with who may be contacted; not for several threads at a time."""
        with self.stages(READING):
            unknown = part.numbers == UNKNOWN_CUSTOMER
            offsets = self.timeline.offsets
            events = offsets[part.numbers + 1] - offsets[np.maximum(part.numbers, 0)]
            refusing = self._unprofiled[part.numbers]
            silent = ~unknown & ~refusing & (events == 0)
            access = self.rule.access(part.ids)
            for rows, word in ((unknown, UNKNOWN), (refusing, NOT_PROFILED), (silent, NO_HISTORY)):
                access = marked(access, rows, word)
            counts = self.counts
            counts.customers += len(part)
            counts.unknown += int(unknown.sum())
            counts.no_history += int(silent.sum())
            counts.eligible += access.eligible.sum(axis=0)
            standing = Standing.of(access)
            return Asked(part, standing, self._source(part, standing))

    def rows(self, ids: npt.NDArray[np.object_]) -> Matrix:
        """(n x actions, p) features of the customers `ids`, in their order, each with no contact and every channel."""
        numbers, actions = self.timeline.customers_of(ids), self.scorer.candidates.actions
        order = np.argsort(numbers, kind="stable")
        spine = candidates(numbers[order], self.stamp.as_of_us, self.category, actions)
        matrix = self.scorer.features.matrix(self.timeline, spine, self.customers)
        place = np.argsort(order, kind="stable")[:, None] * len(actions) + np.arange(len(actions))
        found: Matrix = matrix[place.ravel()]
        return found

    def tables(self, asked: Asked) -> tuple[pa.Table, pa.Table]:
        """Engagement preferences and scores of the part's customers; several threads may do so."""
        with self.stages(SCORING):
            ids, numbers = asked.part.ids, asked.part.numbers
            order = np.argsort(numbers, kind="stable")
            predictions = in_order(self._predicted(numbers[order]), np.argsort(order, kind="stable"))
            own = asked.part.values
            predictions = replace(predictions, worth=np.where(np.isnan(own), predictions.worth, own))
            manifest = self.scorer.bundle.manifest
            evidence = tuple(each.verdict for each in manifest.evidence[1:])
        with self.stages(WRITING):
            scores = score_table(ids, manifest.outbound, predictions, asked.standing, self.costs, evidence, self.stamp)
            steps = engagement_table(ids, manifest.engagement.channels, predictions.engagement, self.stamp)
            return steps, scores

    def _predicted(self, numbers: npt.NDArray[np.int64]) -> Predictions:
        if len(numbers) == 0:
            return self.scorer.nothing()
        with self.stages(READING):
            blocks = self._candidates.blocks(
                self.timeline, numbers, self.customers, self.stamp.as_of_us, self.category, stages=self.stages
            )
            parts = []
            for _, shared, own in blocks:
                with self.stages(SCORING):
                    parts.append(self.scorer.predict(shared, own))
        return joined(parts)

    def _source(self, part: AudiencePart, standing: Standing) -> str:
        """Digest of the customers, what they are worth, what is known of them beside events, and their standing."""
        digest = hashlib.sha256()
        for texts in (part.ids, standing.reason.dictionary):
            digest.update("\0".join(texts.to_pylist()).encode())
        spine = batch_spine(part.numbers[part.numbers != UNKNOWN_CUSTOMER], self.stamp.as_of_us)
        known = self.customers.values[self.customers.versions(spine)]
        reason = standing.reason.indices.fill_null(-1).to_numpy(zero_copy_only=False)
        for values in (part.values, part.numbers, known, standing.eligible, reason):
            digest.update(np.ascontiguousarray(values).tobytes())
        return digest.hexdigest()


def write_scores(
    block: BlockScorer,
    audience: Audience,
    files: PartFiles,
    part_customers: int,
    mapped: Callable[[Iterable[Asked]], Iterator[Made]],
    progress: Progress,
) -> None:
    """All parts of both files: those that are there and were made from the same stay, the others are made.

    Args:
        block: knows who may be contacted.
        audience: whom to score.
        files: the engagement preferences and the scores under way.
        part_customers: how many are scored at a time.
        mapped: scores parts, in order: `by_threads`, or on a cluster.
        progress: told after each part.
    """
    done = 0

    def missing() -> Iterator[Asked]:
        nonlocal done
        resumed, at = True, -1
        for at, part in enumerate(audience.parts(part_customers)):
            asked = block.asked(part)
            resumed = resumed and files.sources[at : at + 1] == (asked.source,)
            if resumed:
                block.counts.kept += len(part)
                done += len(part)
                progress("score", done, audience.customers)
            else:
                files.keep(at)
                yield asked
        files.keep(at + 1)

    progress("score", 0, audience.customers)
    for asked, pieces in mapped(missing()):
        with block.stages(WRITING):
            files.append(asked.source, pieces)
        done += len(asked.part)
        progress("score", done, audience.customers)


def by_threads(block: BlockScorer, files: PartFiles, threads: int) -> Callable[[Iterable[Asked]], Iterator[Made]]:
    """What scores parts by so many threads of this process."""

    def made(asked: Asked) -> Made:
        tables = block.tables(asked)
        with block.stages(WRITING):
            return asked, files.pieces(tables)

    return lambda work: ordered(made, work, threads)
