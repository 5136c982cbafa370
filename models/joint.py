"""The models of a bundle over customers who share an as-of, each with the same actions; what is alike is done once.

Columns come in two matrices: those that all actions of a customer share, (n, p), and the actions' own,
(n · actions, q), a customer's rows side by side. Without columns of their own, actions are rows like any other. Columns
that no model reads need to be in neither.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from contract.errors import ArtefactError
from models.artefact import Floats, Ints, Matrix
from models.effects import BoundEffects, answer_probability
from models.intervals import History
from models.margin import BoundMargin
from models.response import Learned, Response
from models.tables import places_of
from models.trees import UNREAD, Trees, probabilities, shares_of

if TYPE_CHECKING:
    from models.bundle import Manifest, Preference


@dataclass(frozen=True)
class Parts:
    """The response of a bundle and the model texts of its preferences; one without trees has none."""

    response: Learned
    contact: str | None
    engagement: str | None


@dataclass(frozen=True)
class Joint:
    """From the two matrices to probabilities.

    shared, own: names of the columns of each matrix, in order; own are those that depend on the row's action.
    """

    manifest: "Manifest"
    parts: Parts
    shared: tuple[str, ...]
    own: tuple[str, ...] = ()
    threads: int = 1

    def response(self, shared: Matrix, own: Matrix | None = None) -> Floats:
        """(n, actions) calibrated probability of a response to each action."""
        return self._response.probability(shared, own, threads=self.threads)

    def contact(self, shared: Matrix, own: Matrix | None = None) -> Floats:
        """(n, outbound channels): shares of the next answer under equal contact; rows sum to one.

        A customer's actions are no contact and every outbound channel, in this order. A channel on which no answer was
        ever seen has share 0.
        """
        head, actions = self.manifest.contact, len(self.manifest.outbound) + 1
        if head.fixed is not None:
            customers = len(shared) // actions if own is None else len(shared)
            shares = np.tile(np.array(head.fixed), (customers, 1))
        else:
            shares = head.calibration.apply(shares_of(self._answers(shared, own)[:, self._answered]))
        result = np.zeros((len(shares), actions - 1))
        result[:, self._answered] = shares
        return result

    def _answers(self, shared: Matrix, own: Matrix | None) -> Floats:
        """(n, outbound channels), probability that a contact on each is answered."""
        actions = len(self.manifest.outbound) + 1
        if self._answer_effects is not None:
            customers = shared if own is not None else np.ascontiguousarray(shared[::actions])
            return answer_probability(self._answer_effects.excess(customers)[:, 1:])
        assert self._contact is not None
        raw = self._contact.raw(shared, own, threads=self.threads).reshape(-1, actions, 1)
        return probabilities(raw)[:, 1:, 0]

    def engagement(self, shared: Matrix) -> Floats:
        """(n, channels of the engagement preference): shares of the customer's next own step; rows sum to one."""
        return self._shares(self._engagement, self.manifest.engagement, shared)

    def worth(self, shared: Matrix) -> Floats:
        """(n,) EUR that a response of the customer is worth."""
        return self._margin.expected(shared)

    def stratum(self, shared: Matrix) -> Ints:
        """(n,) how much is known of each customer, as `History.stratum` has it."""
        return self._history.stratum(shared)

    @cached_property
    def _margin(self) -> BoundMargin:
        """The manifest's, reading the shared matrix."""
        return self.manifest.margin.over(places_of(self.shared))

    @cached_property
    def _history(self) -> History:
        """The manifest's, reading the shared matrix."""
        history = self.manifest.history
        return history.model_copy(update={"columns": tuple(map(self._moved, history.columns))})

    @property
    def refused(self) -> Mapping[str, str]:
        """Which models LightGBM evaluates, by name, and why the forest does not."""
        heads = {"response": self._response.trees, "contact": self._contact, "engagement": self._engagement}
        return {name: trees.refused for name, trees in heads.items() if trees is not None and trees.forest is None}

    @cached_property
    def _response(self) -> Response:
        return Response(self.parts.response, self.manifest.names, self._places)

    @cached_property
    def _contact(self) -> Trees | None:
        text, columns = self.parts.contact, self.manifest.contact.columns
        return None if text is None else Trees.of(text, [self._place(column) for column in columns])

    @cached_property
    def _answer_effects(self) -> BoundEffects | None:
        effects = self.manifest.contact.effects
        return None if effects is None else effects.over(places_of(self.shared))

    @cached_property
    def _answered(self) -> Ints:
        """Places, among the outbound channels, of those that the contact preference knows."""
        return np.array([self.manifest.outbound.index(name) for name in self.manifest.contact.channels], np.int64)

    @cached_property
    def _engagement(self) -> Trees | None:
        text, columns = self.parts.engagement, self.manifest.engagement.columns
        return None if text is None else Trees.of(text, [self._moved(column) for column in columns])

    def _shares(self, trees: Trees | None, head: "Preference", shared: Matrix) -> Floats:
        if head.fixed is not None or trees is None:
            return np.tile(np.array(head.fixed), (len(shared), 1))
        if len(shared) == 0:
            return np.zeros((0, len(head.channels)))
        return head.calibration.apply(probabilities(trees.raw(shared, threads=self.threads))[:, 0])

    def _moved(self, column: int) -> int:
        place = self._place(column)
        if place < 0:
            raise ArtefactError(
                f"model {self.manifest.model_version}: reads '{self.manifest.names[column]}', which depends on the "
                "action, where the action may not matter; train again"
            )
        return place

    def _place(self, column: int) -> int:
        """Of one of the manifest's columns."""
        return self._places.get(self.manifest.names[column], UNREAD)

    @cached_property
    def _places(self) -> Mapping[str, int]:
        """Of each column of either matrix, as `Forest.parsed` has places."""
        return places_of(self.shared) | {name: ~place for name, place in places_of(self.own).items()}
