"""The features of one customer now, from an event store: the sweep that training runs, over one history; keeps nothing.

What comes out is bit for bit what `FeatureSet` gives over a timeline built at that as_of from the same rows.
"""

from collections.abc import Sequence
from typing import Final

import numpy as np
import numpy.typing as npt

from contract.errors import UsageError
from features.demographic import Customers
from features.event_store import Appended, EventStore, Interaction
from features.events import NO_ACTION, NO_CATEGORY, US_PER_DAY, Events, Spine
from features.histories import events_of
from features.matrix import FeatureSet, Matrix
from features.timeline import UNKNOWN_CUSTOMER

NO_CANDIDATE: Final = (NO_ACTION,)


class OnlineFeatures:
    """All columns of a feature set for one customer of a store at a time. Several threads may share it."""

    def __init__(
        self, features: FeatureSet, store: EventStore, customers: Customers, ids: Sequence[str] | npt.NDArray[np.object_]
    ) -> None:
        """Make ready; compiles the features' tables and the sweep, so that no request waits for it.

        Args:
            features: Its codebook is continued by the store's.
            store: Where the events are.
            customers: As `DemographicEncoder.table` gives them.
            ids: (n_customers,) id of each row of `customers`, such as `Timeline.customer_ids`.

        Raises:
            UsageError: The store's codebook is no continuation, or the ids are not as many as the customers.
        """
        if len(ids) != len(customers.values):
            raise UsageError(f"online features: {len(ids)} ids for {len(customers.values)} customers; give one for each")
        self._store = store
        self._lookback_us = round(features.lookback_days * US_PER_DAY)
        self._numbers = {customer: number for number, customer in enumerate(ids)}
        self._customers, self._nobody = customers, customers.nobody()
        self._candidates: dict[tuple[tuple[int, ...], int], Spine] = {}
        self._features = features.on(store.codebook)
        self.names = features.names
        self.row("", 0)

    def events(self, customer_id: str, as_of_us: int) -> Events:
        """The customer's events with `as_of - lookback <= time < as_of`, as customer 0."""
        return events_of(self._store.history(customer_id), as_of_us - self._lookback_us, as_of_us)

    def row(
        self, customer_id: str, as_of_us: int, actions: Sequence[int] = NO_CANDIDATE, category: int = NO_CATEGORY
    ) -> Matrix:
        """(n_actions, n_columns) all columns of a customer; one without events or demographics where not known.

        Args:
            customer_id: Whom to describe.
            as_of_us: The moment, microseconds since 1970 UTC; later events do not count.
            actions: Candidate actions: `NO_ACTION` or 1 + index of the outbound channel.
            category: Of the campaign at hand, index into the categories of `codebook`, or `NO_CATEGORY`.

        Raises:
            UsageError: An action or the category does not exist.
        """
        return self._described(self._store.history(customer_id), customer_id, as_of_us, actions, category)

    def append(
        self,
        event: Interaction,
        as_of_us: int,
        actions: Sequence[int] = NO_CANDIDATE,
        category: int = NO_CATEGORY,
    ) -> tuple[Appended, Matrix]:
        """Keep an event, then describe its customer with it: `EventStore.append` and `row` in one, and one read less."""
        appended = self._store.append(event)
        return appended, self._described(appended.history, event.customer_id, as_of_us, actions, category)

    def _described(
        self, history: bytes, customer_id: str, as_of_us: int, actions: Sequence[int], category: int
    ) -> Matrix:
        if self._features.codebook is not self._store.codebook:
            self._follow()
        events = events_of(history, as_of_us - self._lookback_us, as_of_us)
        number = self._numbers.get(customer_id, UNKNOWN_CUSTOMER)
        spine = self._spine(as_of_us, actions, category)
        out = np.empty((len(spine), len(self.names)), np.float32)
        features = self._features
        features.compute(events, spine, self._known(number), out)
        return out
