"""The features of one customer now, from an event store: the sweep that training runs, over one history; keeps nothing.

What comes out is bit for bit what `FeatureSet` gives over a timeline built at that as_of from the same rows.
"""

from bisect import bisect_left
from collections.abc import Sequence
from datetime import date
from math import nan
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt

from contract.errors import UsageError
from contract.kinds import OPENED
from features.blocks import joined
from features.demographic import MAX_AGE_YEARS, Customers
from features.event_store import Appended, EventStore, Interaction
from features.events import NO_ACTION, NO_CATEGORY, US_PER_DAY, Codebook, EventCode, Events, Spine
from features.histories import EMPTY, events_of
from features.matrix import ACTION, CAMPAIGN_CATEGORY, FeatureSet, Matrix
from features.permission import ALL_OF_IT, Use
from features.sweep import sweep

NO_CANDIDATE: Final = (NO_ACTION,)
REMEMBERED_QUESTIONS: Final = 1_000
_EPOCH_DAY: Final = date(1970, 1, 1).toordinal()


class Asked(NamedTuple):
    """A question about customers; the fields are the arguments of `OnlineFeatures.row`."""

    as_of_us: int
    actions: tuple[int, ...]
    category: int


class Question(NamedTuple):
    """The rows about one customer for some candidate actions and a category, but for the moment.

    customer, action, category: (n_actions,) as a spine has them; own: float32 (n_actions, n_row_columns).
    """

    customer: npt.NDArray[np.int64]
    action: npt.NDArray[np.int16]
    category: npt.NDArray[np.int16]
    own: Matrix

    def spine(self, customers: int, as_of_us: int) -> Spine:
        """The rows of so many customers at a moment."""
        n_rows = customers * len(self.action)
        moment = np.full(n_rows, as_of_us, np.int64) if n_rows > 1 else np.array((as_of_us,), np.int64)
        moment.setflags(write=False)
        if customers == 1:
            return Spine(self.customer, moment, self.action, self.category)
        action, category = (np.concatenate([column] * customers) for column in (self.action, self.category))
        return Spine(np.repeat(np.arange(customers), len(self.action)), moment, action, category)


class Known:
    """The demographic columns of every customer, one customer at a time; equal to `DemographicEncoder.encode`."""

    def __init__(
        self, features: FeatureSet, customers: Customers, ids: Sequence[str] | npt.NDArray[np.object_]
    ) -> None:
        if len(ids) != len(customers):
            raise UsageError(f"online features: {len(ids)} ids for {len(customers)} customers; give one for each")
        encoder = features.demographic
        lacking = [name for name in encoder.names if name not in customers.names]
        if lacking:
            raise UsageError(f"customers: lack {', '.join(lacking)}; read them by the table of this encoder")
        self._values = customers.values[:, [customers.names.index(name) for name in encoder.names]]
        self._offsets, self._from_us = customers.offsets, customers.from_us
        self.nobody = [nan] * len(encoder.names)
        self._numbers = {customer: number for number, customer in enumerate(ids)}
        self._ages = [at for at, column in enumerate(encoder.columns) if column.reading == "age"]
        self._days = [at for at, column in enumerate(encoder.columns) if column.reading == "days"]

    def at(self, customer_id: str, as_of_us: int) -> list[float]:
        """(n_columns,) of a customer; all missing where not known."""
        number = self._numbers.get(customer_id)
        if number is None:
            return self.nobody
        first, end = self._offsets[number : number + 2]
        version = first if end == first + 1 else bisect_left(self._from_us, as_of_us, first, end) - 1
        values: list[float] = self._values[version].tolist()
        for at in self._ages:
            age = date.fromordinal(_EPOCH_DAY + as_of_us // US_PER_DAY).year - values[at]
            values[at] = age if 0 <= age <= MAX_AGE_YEARS else nan
        for at in self._days:
            days = (as_of_us - values[at]) / US_PER_DAY
            values[at] = days if days > 0 else nan
        return values

    def __contains__(self, customer_id: str) -> bool:
        return customer_id in self._numbers

    def forget(self, customer_id: str) -> None:
        """From here on nothing is known of the customer."""
        number = self._numbers.pop(customer_id, None)
        if number is not None:
            self._values[self._offsets[number] : self._offsets[number + 1]] = nan


class OnlineFeatures:
    """All columns of a feature set for one customer of a store at a time. Several threads may share it."""

    def __init__(
        self,
        features: FeatureSet,
        store: EventStore,
        customers: Customers,
        ids: Sequence[str] | npt.NDArray[np.object_],
    ) -> None:
        """Make ready; compiles the features' tables and the sweep, so that no request waits for it.

        Args:
            features: Its codebook is continued by the store's.
            store: Where the events are.
            customers: As `DemographicEncoder.table` gives them.
            ids: (n_customers,) id of each row of `customers`, such as `Timeline.customer_ids`.

        Raises:
            UsageError: The store's codebook is no continuation, or the customers do not fit.
        """
        self._store = store
        self._lookback_us = round(features.lookback_days * US_PER_DAY)
        self._known = Known(features, customers, ids)
        self._questions: dict[tuple[tuple[int, ...], int], Question] = {}
        self._features = features
        self.names = features.names
        self._follow(store.codebook)
        self.row("", 0)

    @property
    def codebook(self) -> Codebook:
        """By which categories are numbered."""
        return self._features.codebook

    def knows(self, customer_id: str) -> bool:
        """Whether the customer is one of those given with their demographic columns."""
        return customer_id in self._known

    def forget(self, customer_id: str) -> None:
        """Hold no demographic columns of the customer any more."""
        self._known.forget(customer_id)

    def events(self, customer_id: str, as_of_us: int) -> Events:
        """The customer's events with `as_of - lookback <= time < as_of`, as customer 0."""
        return events_of(self._store.history(customer_id), as_of_us - self._lookback_us, as_of_us)

    def row(
        self,
        customer_id: str,
        as_of_us: int,
        actions: tuple[int, ...] = NO_CANDIDATE,
        category: int = NO_CATEGORY,
        use: Use = ALL_OF_IT,
    ) -> Matrix:
        """(n_actions, n_columns) all columns of a customer; of one without events or demographics where not known.

        Args:
            customer_id: Whom to describe.
            as_of_us: The moment, microseconds since 1970 UTC; events from it on do not count.
            actions: Candidate actions: `NO_ACTION` or 1 + index of the outbound channel.
            category: Of the campaign at hand, index into the categories of `codebook`, or `NO_CATEGORY`.
            use: What the customer's consents allow at that moment.

        Raises:
            UsageError: An action or the category does not exist.
        """
        asked = Asked(as_of_us, actions, category)
        return self._described(self._store.history(customer_id), customer_id, asked, use)

    def append(
        self,
        event: Interaction,
        as_of_us: int,
        actions: tuple[int, ...] = NO_CANDIDATE,
        category: int = NO_CATEGORY,
        use: Use = ALL_OF_IT,
    ) -> tuple[Appended, Matrix]:
        """Keep an event and describe its customer with it: `EventStore.append` and `row` in one, with one read less."""
        appended = self._store.append(event)
        asked = Asked(as_of_us, actions, category)
        return appended, self._described(appended.history, event.customer_id, asked, use)

    def together(self, histories: Sequence[bytes], uses: Sequence[Use], as_of_us: int) -> Events:
        """What may be used of n histories before a moment, as the events of customers 0 to n - 1."""
        parts = [self._usable(history, use, as_of_us) for history, use in zip(histories, uses, strict=True)]
        events = parts[0] if len(parts) == 1 else joined(parts)
        if events.code.max(initial=0) >= len(self._features.codebook.entries):
            self._follow(self._store.refresh())
        return self._features.machine_opens.without(events)

    def rows(self, events: Events, customer_ids: Sequence[str], uses: Sequence[Use], asked: Asked) -> Matrix:
        """(n * n_actions, n_columns) all columns of n customers, a customer's rows side by side.

        Args:
            events: Theirs, as `together` gives them.
            customer_ids: (n,) of the customers.
            uses: (n,) what their consents allow.
            asked: The question.
        """
        features, question = self._features, self._questions.get((asked.actions, asked.category))
        if question is None:
            question = self._asked(asked.actions, asked.category)
        swept, n, n_actions = len(features.features), len(customer_ids), len(question.action)
        known = swept + len(features.demographic.columns)
        out = np.empty((n * n_actions, len(self.names)), np.float32)
        by_customer = out.reshape(n, n_actions, -1)
        if swept:
            self._sweep(events, question.spine(n, asked.as_of_us), out)
        if known > swept:
            at, nobody = self._known.at, self._known.nobody
            values = [
                at(each, asked.as_of_us) if use.profiling else nobody
                for each, use in zip(customer_ids, uses, strict=True)
            ]
            by_customer[:, :, swept:known] = np.array(values)[:, None, :]
        by_customer[:, :, known:] = question.own
        return out

    def _described(self, history: bytes, customer_id: str, asked: Asked, use: Use) -> Matrix:
        return self.rows(self.together([history], [use], asked.as_of_us), [customer_id], [use], asked)

    def _usable(self, history: bytes, use: Use, as_of_us: int) -> Events:
        events = events_of(history if use.profiling else EMPTY, as_of_us - self._lookback_us, as_of_us)
        return events if use.opened_on is None else self._tracked(events, use.opened_on)

    def _sweep(self, events: Events, spine: Spine, out: Matrix) -> None:
        features = self._features
        try:
            sweep(features.program, events, spine, out)
        except UsageError:
            if self._store.refresh() is features.codebook:
                raise
            self._follow(self._store.codebook)
            sweep(self._features.program, events, spine, out)

    def _tracked(self, events: Events, opened_on: frozenset[str]) -> Events:
        """Without what was opened on other channels than these."""
        entries = self._store.codebook.entries
        if events.code.max(initial=0) >= len(entries):
            entries = self._store.refresh().entries
        kept = [at for at, code in enumerate(events.code.tolist()) if _may_be_used(entries[code], opened_on)]
        return Events(
            0, np.array((0, len(kept)), np.int64), events.time_us[kept], events.code[kept], events.cents[kept]
        )

    def _follow(self, codebook: Codebook) -> None:
        """Compile for codes that were appended; what is computed stays the same."""
        ready = self._features.on(codebook)
        assert ready.program is not None  # compiled before it is used
        self._features = ready

    def _asked(self, actions: tuple[int, ...], category: int) -> Question:
        """Rows that many requests share, read-only."""
        features, n_rows = self._features, len(actions)
        action, campaign = np.array(actions, np.int16), np.full(n_rows, category, np.int16)
        seen = 0 <= category < features.n_categories
        columns = {ACTION: action, CAMPAIGN_CATEGORY: np.where(seen, campaign, np.nan)}
        own = np.empty((n_rows, len(features.row_columns)), np.float32)
        for at, name in enumerate(features.row_columns):
            own[:, at] = columns[name]
        question = Question(np.zeros(n_rows, np.int64), action, campaign, own)
        for array in question:
            array.flags.writeable = False
        if len(self._questions) >= REMEMBERED_QUESTIONS:
            self._questions.clear()
        self._questions[actions, category] = question
        return question


def _may_be_used(entry: EventCode, opened_on: frozenset[str]) -> bool:
    return entry.kind != OPENED or entry.channel in opened_on
