"""A feature set in two, for customers who are asked about with the same actions; what actions share is computed once.

Every column equals, to the bit, that of the whole set over `features.spine.candidates`.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from contract.stages import Stages
from features.demographic import Customers
from features.events import NO_ACTION
from features.matrix import FeatureSet, Matrix
from features.spine import candidates
from features.timeline import Timeline

BLOCK_CUSTOMERS = 4_096
FEATURES = "features"
UNTIMED = Stages()


class Halves(NamedTuple):
    """customers: which of those asked about; shared: (n, p); own: (n * actions, q), a customer's rows side by side."""

    customers: slice
    shared: Matrix
    own: Matrix


@dataclass(frozen=True)
class CandidateFeatures:
    """The columns that all actions of a customer share, and those that depend on the action."""

    shared: FeatureSet
    own: FeatureSet
    actions: tuple[int, ...]

    @classmethod
    def of(cls, features: FeatureSet, actions: Sequence[int]) -> "CandidateFeatures":
        """The set in two, for rows of these actions: `NO_ACTION` or 1 + index of the outbound channel."""
        own = features.per_action
        shared = [name for name in features.names if name not in own]
        return cls(features.select(shared), features.select(own), tuple(actions))

    def on(self, timeline: Timeline) -> "CandidateFeatures":
        """Over the events of a timeline whose codebook continues this one's; compiled, so that threads may share it."""
        ready = CandidateFeatures(self.shared.on(timeline.codebook), self.own.on(timeline.codebook), self.actions)
        assert ready.shared.program is not None
        assert ready.own.program is not None
        return ready

    def blocks(
        self,
        timeline: Timeline,
        numbers: npt.NDArray[np.int64],
        customers: Customers,
        as_of_us: int,
        category: int,
        *,
        block_customers: int = BLOCK_CUSTOMERS,
        stages: Stages = UNTIMED,
    ) -> Iterator[Halves]:
        """Both matrices of some customers at a time, in buffers that are used again.

        Args:
            timeline: Its codebook is this set's or a continuation of it.
            numbers: (n,) ascending customers; -1 is nobody.
            customers: As `FeatureSet.compute` has it.
            as_of_us: The moment, microseconds since 1970 UTC.
            category: Of the campaign at hand, as `Spine.category`.
            block_customers: In a block at most.
            stages: Told of the stage `FEATURES`; what is not in it is reading.
        """
        ready = self.on(timeline)
        one = candidates(numbers, as_of_us, category, [NO_ACTION])
        each = candidates(numbers[:block_customers], as_of_us, category, self.actions)
        shared = np.empty((len(each) // len(self.actions), len(self.shared.names)), np.float32)
        own = np.empty((len(each), len(self.own.names)), np.float32)
        for events, rows in self.shared.work(timeline, one, block_customers):
            asked = candidates(numbers[rows], as_of_us, category, self.actions)
            with stages(FEATURES):
                halves = Halves(
                    rows,
                    ready.shared.filled(events, one, rows, customers, shared),
                    ready.own.filled(events, asked, slice(0, len(asked)), customers, own),
                )
            yield halves
