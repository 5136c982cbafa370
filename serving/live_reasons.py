"""Why a customer is scored as they are now, in words; predicts nothing."""

from collections.abc import Iterator, Mapping, Sequence
from threading import Thread
from typing import Final

from features.demographic import Customers
from features.event_store import EventStore
from features.events import NO_CATEGORY
from features.online import OnlineFeatures
from features.permission import Use
from serving.explanations import Explainer, Reason
from serving.scorer import Scorer

MOST_REASONS: Final = 3
_PATIENCE_SECONDS: Final = 0.002


class LiveReasons:
    """Reasons for the scores of single customers, from an event store; of all columns, as sentences draw on any."""

    def __init__(self, scorer: Scorer, store: EventStore, customers: Customers, ids: Sequence[str]) -> None:
        self._features = OnlineFeatures(scorer.features, store, customers, ids)
        self._explainer = Explainer.of(scorer.bundle, scorer.features, MOST_REASONS)
        self._actions = scorer.candidates.actions
        self._loading: Thread | None = None

    def forget(self, customer_id: str) -> None:
        """Hold nothing of the customer any more."""
        self._features.forget(customer_id)

    def loaded(self) -> Iterator[None]:
        """Yields until the trees are ready to be explained, once.

        LightGBM does that, whose import takes a second or two that scores do without.
        """
        if self._loading is None:
            self._loading = Thread(target=self._explainer.load)
            self._loading.start()
        while self._loading.is_alive():
            self._loading.join(_PATIENCE_SECONDS)
            yield

    def of(self, customer_id: str, as_of_us: int, use: Use) -> Mapping[str, Sequence[Reason]]:
        """By measured channel, what moves the response to a contact about nothing in particular most."""
        rows = self._features.row(customer_id, as_of_us, self._actions, NO_CATEGORY, use)
        return self._explainer.reasons(rows)
