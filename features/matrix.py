"""The columns that models see, and the only way to them: training, batch and online call the same `compute`.

A feature set is declared from parameters, completed by what training learned (levels, base rates, codebook), and kept
as JSON. Its columns are the sweep's features, the demographic ones, the row's action and its campaign's category. It
never holds more than some blocks, unless the whole matrix is asked for.
"""

import json
from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from difflib import get_close_matches
from functools import cached_property
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt

from contract.errors import ArtefactError, UsageError
from contract.params import Params
from features.blocks import no_events, sliced
from features.compiler import Program, compile_program, learn_base_rates, select_features
from features.declarations import feature_from_tree, feature_to_tree
from features.declared import declared_features
from features.demographic import Customers, DemographicEncoder, fit_demographic
from features.encoding import codebook_from_tree, codebook_to_tree, continues, stable_json
from features.engines import Source
from features.events import Codebook, Events, Spine
from features.grammar import Feature
from features.machine_opens import MachineOpens, seconds_of
from features.sweep import sweep
from features.timeline import UNKNOWN_CUSTOMER, Timeline

VERSION: Final = 2
ACTION: Final = "action"
CAMPAIGN_CATEGORY: Final = "campaign_category"
BLOCK_ROWS: Final = 16_384
BLOCK_EVENTS: Final = 1_000_000

Matrix = npt.NDArray[np.float32]


class Described(NamedTuple):
    """A column, for a reader."""

    name: str
    meaning: str
    unit: str
    categorical: bool
    candidate: bool


@dataclass(frozen=True)
class FeatureSet:
    """Which columns there are and how they are computed.

    features: those of the sweep; demographic: those of the customers table; row_columns: which of `ACTION` and
    `CAMPAIGN_CATEGORY`; codebook: what the events' codes mean; n_categories: how many of its categories training knew,
    a later one is missing to the model; windows_days, lookback_days: of the features; base_rates: learned, by
    `Rate.base_key`; machine_open_seconds: by channel, an open so soon after a message is no event to any feature.
    """

    features: tuple[Feature, ...]
    demographic: DemographicEncoder
    row_columns: tuple[str, ...]
    codebook: Codebook
    n_categories: int
    windows_days: tuple[float, ...]
    lookback_days: float
    base_rates: dict[str, float]
    machine_open_seconds: dict[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        repeated = sorted({name for name in self.names if self.names.count(name) > 1})
        if repeated:
            raise UsageError(
                f"features: {', '.join(repeated)} names two columns; rename the customers' column under "
                "tables.customers.rename, or take it out of tables.customers.features"
            )

    @cached_property
    def names(self) -> tuple[str, ...]:
        """All columns in order: the sweep's, the demographic ones, the row's."""
        return (*(feature.name for feature in self.features), *self.demographic.names, *self.row_columns)

    @cached_property
    def program(self) -> Program:
        """The sweep's features as tables, for events of this codebook."""
        return compile_program(
            self.features,
            self.codebook,
            self.windows_days,
            lookback_days=self.lookback_days,
            base_rates=self.base_rates,
        )

    @cached_property
    def machine_opens(self) -> MachineOpens:
        """The opens that are no event to any feature, for events of this codebook."""
        return MachineOpens.of(self.codebook, self.machine_open_seconds)

    @property
    def categorical(self) -> tuple[str, ...]:
        """Columns that hold codes without order."""
        return tuple(each.name for each in self.describe() if each.categorical)

    @property
    def candidate(self) -> tuple[str, ...]:
        """Columns that depend on the row's action or campaign; all others are the same for a customer at one as_of."""
        return tuple(each.name for each in self.describe() if each.candidate)

    @property
    def per_action(self) -> tuple[str, ...]:
        """Columns that depend on the row's action; all others are the same for a customer, as_of and campaign."""
        swept = [feature.name for feature in self.features if any(each.per_action for each in feature.sets)]
        return (*swept, *(name for name in self.row_columns if name == ACTION))

    @property
    def meanings(self) -> dict[str, str]:
        """What each column says."""
        return {each.name: each.meaning for each in self.describe()}

    def describe(self) -> tuple[Described, ...]:
        """Every column, in order."""
        swept = (Described(f.name, f.meaning, f.unit, f.categorical, f.candidate) for f in self.features)
        known = (Described(c.name, c.meaning, c.unit, c.categorical, False) for c in self.demographic.columns)
        channels = ", ".join(f"{at} {name}" for at, name in enumerate(self.codebook.outbound, start=1))
        row = {
            ACTION: Described(ACTION, f"The row's own action: 0 none, {channels}.", "action", True, True),
            CAMPAIGN_CATEGORY: Described(
                CAMPAIGN_CATEGORY, "Category of the row's campaign; missing where unknown.", "category", True, True
            ),
        }
        return (*swept, *known, *(row[name] for name in self.row_columns))

    def select(self, names: Sequence[str]) -> "FeatureSet":
        """Only these columns, in the order that they have here; only they are computed then.

        Raises:
            UsageError: A name is unknown; the message offers the nearest ones.
        """
        unknown = [name for name in names if name not in self.names]
        if unknown:
            near = {name: get_close_matches(name, self.names, n=3) or ["none"] for name in unknown}
            lines = [f"  '{name}'; nearest: {', '.join(found)}" for name, found in near.items()]
            raise UsageError("features: unknown names; correct them or declare the features\n" + "\n".join(lines))
        return replace(
            self,
            features=select_features(self.features, [each.name for each in self.features if each.name in names]),
            demographic=self.demographic.select(names),
            row_columns=tuple(name for name in self.row_columns if name in names),
        )

    def on(self, codebook: Codebook) -> "FeatureSet":
        """The same features over events that are coded by a later codebook.

        Raises:
            UsageError: The codebook numbers something otherwise than this set's.
        """
        if codebook == self.codebook:
            return self
        if not continues(codebook, self.codebook):
            raise UsageError(
                "features: the timeline's codebook is not a continuation of the feature set's; build the timeline with "
                "codebook= of the feature set"
            )
        return replace(self, codebook=codebook)

    def compute(self, events: Events, spine: Spine, customers: Customers, out: Matrix) -> None:
        """Fill `out` with the columns of the rows of `spine`.

        Args:
            events: Whole customers' events without opens by machine, coded by this set's codebook; every customer of
                the spine is among them.
            spine: (n_rows,) rows, ascending by (customer, as_of).
            customers: As `DemographicEncoder.table` gives them, of this set or of one from which it was selected.
            out: (n_rows, n_columns) C-ordered.
        """
        if self.features:
            sweep(self.program, events, spine, out)
        at = len(self.features)
        out[:, at : at + len(self.demographic.columns)] = self.demographic.encode(customers, spine)
        row = {ACTION: spine.action.astype(np.float32), CAMPAIGN_CATEGORY: self._category(spine)}
        for column, name in enumerate(self.row_columns, start=at + len(self.demographic.columns)):
            out[:, column] = row[name]

    def _category(self, spine: Spine) -> Matrix:
        known = (spine.category >= 0) & (spine.category < self.n_categories)
        return np.where(known, spine.category, np.nan).astype(np.float32)

    def iterate(
        self, timeline: Timeline, spine: Spine, customers: Customers, *, block_rows: int = BLOCK_ROWS, threads: int = 1
    ) -> Iterator[tuple[slice, Matrix]]:
        """Blocks of rows in order, each with which rows of the spine they are.

        A block lies in a buffer that is used again: it holds until the next one is asked for.

        Args:
            timeline: Its codebook is this set's or a continuation of it.
            spine: (n_rows,) rows, ascending by (customer, as_of); customer -1 is nobody: no events, no demographics.
            customers: As `compute` has it.
            block_rows: Rows in a block at most.
            threads: That many blocks are computed at a time; the result does not depend on it.

        Raises:
            UsageError: The spine is not sorted or names a customer, action or category that is not there.
        """
        ready = self.on(timeline.codebook)
        assert ready.program is not None  # compiled here, not in each thread
        work = self.work(timeline, spine, block_rows)
        buffers = [
            np.empty((block_rows, len(self.names)), np.float32) for _ in range(1 if threads == 1 else threads + 1)
        ]
        if threads == 1:
            for events, rows in work:
                yield rows, ready.filled(events, spine, rows, customers, buffers[0])
            return
        with ThreadPoolExecutor(threads) as pool:
            running: deque[tuple[slice, Future[Matrix]]] = deque()
            for turn, (events, rows) in enumerate(work):
                if len(running) == len(buffers):
                    done, block = running.popleft()
                    yield done, block.result()
                buffer = buffers[turn % len(buffers)]
                running.append((rows, pool.submit(ready.filled, events, spine, rows, customers, buffer)))
            for done, block in running:
                yield done, block.result()

    def matrix(self, timeline: Timeline, spine: Spine, customers: Customers, *, threads: int = 1) -> Matrix:
        """(n_rows, n_columns) all at once, 4 bytes a cell; for as many rows as memory has room for."""
        out = np.empty((len(spine), len(self.names)), np.float32)
        for rows, block in self.iterate(timeline, spine, customers, threads=threads):
            out[rows] = block
        return out

    def work(self, timeline: Timeline, spine: Spine, block_rows: int) -> Iterator[tuple[Events, slice]]:
        """Parts of the spine of at most `block_rows` rows, each within one block of events without opens by machine."""
        if len(spine) and (np.any(np.diff(spine.customer) < 0) or spine.customer[-1] >= timeline.n_customers):
            raise UsageError(
                f"spine: customers do not ascend or exceed the timeline's {timeline.n_customers}; sort by (customer, "
                "as_of) and number them by Timeline.customers_of"
            )
        unknown = int(np.searchsorted(spine.customer, 0))
        for rows in _parts(0, unknown, block_rows):
            yield no_events(0, 1), rows
        machine_opens = self.on(timeline.codebook).machine_opens
        for block in timeline.blocks(BLOCK_EVENTS, spine.customer[unknown:]):
            events = machine_opens.without(block)
            end = events.first_customer + len(events.offsets) - 1
            begin, stop = np.searchsorted(spine.customer, [events.first_customer, end])
            for rows in _parts(int(begin), int(stop), block_rows):
                yield events, rows

    def filled(self, events: Events, spine: Spine, rows: slice, customers: Customers, buffer: Matrix) -> Matrix:
        """The columns of some rows of the spine at the head of a buffer; `work` gives events and rows."""
        part = _rows_of(spine, rows)
        block = buffer[: len(part)]
        if part.customer[0] == UNKNOWN_CUSTOMER:
            alike = replace(part, customer=np.zeros(len(part), np.int64))
            self.compute(events, alike, customers.nobody(), block)
        else:
            self.compute(sliced(events, int(part.customer[0]), int(part.customer[-1]) + 1), part, customers, block)
        return block

    def to_json(self) -> str:
        """Everything about the set as text; equal sets give equal bytes."""
        return stable_json(
            {
                "version": VERSION,
                "features": [feature_to_tree(feature) for feature in self.features],
                "demographic": self.demographic.to_tree(),
                "row_columns": list(self.row_columns),
                "codebook": codebook_to_tree(self.codebook),
                "n_categories": self.n_categories,
                "windows_days": list(self.windows_days),
                "lookback_days": self.lookback_days,
                "base_rates": self.base_rates,
                "machine_open_seconds": self.machine_open_seconds,
            }
        )

    @classmethod
    def from_json(cls, text: str) -> "FeatureSet":
        """The inverse of `to_json`.

        Raises:
            ArtefactError: The text is damaged or of another version.
        """
        try:
            tree = json.loads(text)
            if tree["version"] != VERSION:
                raise ArtefactError(f"feature set: version {tree['version']}; expected {VERSION}; train again")
            return cls(
                features=tuple(feature_from_tree(each) for each in tree["features"]),
                demographic=DemographicEncoder.from_tree(tree["demographic"]),
                row_columns=tuple(tree["row_columns"]),
                codebook=codebook_from_tree(tree["codebook"]),
                n_categories=tree["n_categories"],
                windows_days=tuple(tree["windows_days"]),
                lookback_days=tree["lookback_days"],
                base_rates=tree["base_rates"],
                machine_open_seconds=tree["machine_open_seconds"],
            )
        except (ValueError, KeyError, TypeError) as error:
            raise ArtefactError(f"feature set: is damaged ({error!r}); train again") from error


def learn_features(intake: Source, timeline: Timeline, params: Params, *, until_us: int | None = None) -> FeatureSet:
    """The declared features, with levels and base rates learned from what is accepted.

    Args:
        intake: Accepted customers.
        timeline: Accepted events.
        params: Channels, windows, lookback, demographic columns.
        until_us: Only events before it teach base rates, microseconds since 1970 UTC; all of the timeline if None.
    """
    features = declared_features(params, timeline.codebook)
    seconds = seconds_of(params)
    counts = timeline.code_counts(until_us, MachineOpens.of(timeline.codebook, seconds).without)
    return FeatureSet(
        features=features,
        demographic=fit_demographic(intake, params),
        row_columns=(ACTION, CAMPAIGN_CATEGORY),
        codebook=timeline.codebook,
        n_categories=len(timeline.codebook.categories),
        windows_days=tuple(params.features.windows_days),
        lookback_days=params.features.lookback_days,
        base_rates=learn_base_rates(features, timeline.codebook, counts),
        machine_open_seconds=seconds,
    )


def _parts(begin: int, end: int, most: int) -> Iterator[slice]:
    return (slice(at, min(at + most, end)) for at in range(begin, end, most))


def _rows_of(spine: Spine, rows: slice) -> Spine:
    return Spine(spine.customer[rows], spine.as_of_us[rows], spine.action[rows], spine.category[rows])
