"""Where training gets its rows from: columns of decisions, as the feature set computes them; keeps no matrix."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np

from features.demographic import Column, Customers, DemographicEncoder
from features.events import Spine
from features.grammar import Feature
from features.matrix import FeatureSet
from features.spine import Decisions
from features.timeline import Timeline
from models.artefact import Floats, Ints, Matrix


class RowSource(Protocol):
    """Gives the columns of any rows. `candidate` names those that depend on the row's action or campaign."""

    @property
    def names(self) -> tuple[str, ...]:
        """All columns, in order."""

    @property
    def categorical(self) -> tuple[str, ...]:
        """Those that hold codes without order."""

    @property
    def candidate(self) -> tuple[str, ...]:
        """Those that depend on the row's action or campaign."""

    @property
    def per_action(self) -> tuple[str, ...]:
        """Those that depend on the row's action."""

    @property
    def meanings(self) -> Mapping[str, str]:
        """What each column says, in words."""

    @property
    def demographic(self) -> Sequence[Column]:
        """Columns that tell groups of customers apart, and how they are read."""

    def matrix(self, spine: Spine) -> Matrix:
        """(n_rows, n_columns) of rows that ascend by (customer, as_of)."""

    def blocks(self, spine: Spine) -> Iterator[Matrix]:
        """The same in blocks, in order; one holds until the next is asked for."""

    def select(self, names: Sequence[str]) -> "RowSource":
        """Only these columns, in the order that they have here."""

    def further(self, features: Sequence[Feature], spine: Spine) -> Matrix:
        """(n_rows, n_features) of features that are no columns of the model."""

    def to_json(self) -> str:
        """All that serving needs to compute the same columns."""


@dataclass(frozen=True)
class FeatureRows:
    """Rows of a timeline; `customers` is the demographic table by customer number."""

    features: FeatureSet
    timeline: Timeline
    customers: Customers
    threads: int

    @property
    def names(self) -> tuple[str, ...]:
        """All columns, in order."""
        return self.features.names

    @property
    def categorical(self) -> tuple[str, ...]:
        """Those that hold codes without order."""
        return self.features.categorical

    @property
    def candidate(self) -> tuple[str, ...]:
        """Those that depend on the row's action or campaign."""
        return self.features.candidate

    @property
    def per_action(self) -> tuple[str, ...]:
        """Those that depend on the row's action."""
        return self.features.per_action

    @property
    def meanings(self) -> Mapping[str, str]:
        """What each column says, in words."""
        return self.features.meanings

    @property
    def demographic(self) -> Sequence[Column]:
        """Columns that tell groups of customers apart, and how they are read."""
        return self.features.demographic.columns

    def matrix(self, spine: Spine) -> Matrix:
        """(n_rows, n_columns) of rows that ascend by (customer, as_of)."""
        return self.features.matrix(self.timeline, spine, self.customers, threads=self.threads)

    def blocks(self, spine: Spine) -> Iterator[Matrix]:
        """The same in blocks, in order; one holds until the next is asked for."""
        blocks = self.features.iterate(self.timeline, spine, self.customers, threads=self.threads)
        return (block for _, block in blocks)

    def select(self, names: Sequence[str]) -> "FeatureRows":
        """Only these columns, in the order that they have here."""
        return replace(self, features=self.features.select(names))

    def further(self, features: Sequence[Feature], spine: Spine) -> Matrix:
        """(n_rows, n_features) of features that are no columns of the model."""
        nobody = DemographicEncoder(())
        other = replace(self.features, features=tuple(features), demographic=nobody, row_columns=())
        unknown = Customers.unchanging((), np.empty((self.timeline.n_customers, 0)))
        return other.matrix(self.timeline, spine, unknown, threads=self.threads)

    def to_json(self) -> str:
        """All that serving needs to compute the same columns."""
        return self.features.to_json()


@dataclass(frozen=True, eq=False)
class ComputedTable:
    """Rows of a spine that are computed anew whenever they are asked for, which costs less than to keep them."""

    source: RowSource
    spine: Spine

    @property
    def names(self) -> tuple[str, ...]:
        """All columns, in order."""
        return self.source.names

    @property
    def categorical(self) -> tuple[str, ...]:
        """Those that hold codes without order."""
        return self.source.categorical

    @property
    def customer(self) -> Ints:
        """(n,), numbers."""
        return self.spine.customer

    @property
    def matrix(self) -> Matrix:
        """All rows at once; for as many as memory has room for."""
        return self.source.matrix(self.spine)

    def blocks(self) -> Iterator[Matrix]:
        """All rows in order, some at a time; a block holds until the next one is asked for."""
        return self.source.blocks(self.spine)

    def rows(self, keep: Ints) -> "ComputedTable":
        """The given rows, which must ascend."""
        return ComputedTable(self.source, self.spine.rows(keep))

    def columns(self, keep: Sequence[int]) -> "ComputedTable":
        """The given columns, which must ascend, of all rows."""
        return ComputedTable(self.source.select([self.names[i] for i in keep]), self.spine)


def with_each_action(spine: Spine, n_actions: int) -> Spine:
    """Every row once with each action, side by side, in order of the actions."""
    return Spine(
        customer=np.repeat(spine.customer, n_actions),
        as_of_us=np.repeat(spine.as_of_us, n_actions),
        action=np.tile(np.arange(n_actions, dtype=np.int16), len(spine)),
        category=np.repeat(spine.category, n_actions),
    )


def counted_propensity(decisions: Decisions, estimated: Floats | None) -> Floats:
    """The propensity of the action taken, (n,): logged where it was, else estimated, else NaN."""
    if estimated is None:
        return decisions.propensity
    taken = estimated[np.arange(len(decisions)), decisions.spine.action]
    return np.where(np.isfinite(decisions.propensity), decisions.propensity, taken)
