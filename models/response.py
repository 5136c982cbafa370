"""The response model: from a row's columns to the calibrated probability of a response; one form for every learner.

Without effects the trees look at the action and give log-odds (the joint S-learner). With effects they give the log of
the rate without contact, and the effects what the action adds to it or to its probability (`models.effects`).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from models.artefact import Floats, Ints, Matrix
from models.calibration import BinaryMap
from models.effects import BoundEffects, ContactEffects
from models.explanation import Explanation, explain, with_effects
from models.tables import places_of
from models.trees import UNREAD, Trees, probabilities

ACTION = "action"


@dataclass(frozen=True)
class Learned:
    """What a learner found, as data: model text, the effects beside it if any, calibration."""

    text: str
    effects: ContactEffects | None
    calibration: BinaryMap


@dataclass(frozen=True)
class Response:
    """A learned response over two matrices: columns that all actions of a customer share, and the actions' own.

    places: of each column that is read, by name; i in the shared matrix, ~i in the own one. columns: all names, in the
    text's order.
    """

    learned: Learned
    columns: tuple[str, ...]
    places: Mapping[str, int]

    @classmethod
    def of_rows(cls, learned: Learned, columns: tuple[str, ...]) -> "Response":
        """Over whole rows (n, p) that each bear one action."""
        return cls(learned, columns, places_of(columns))

    def probability(self, shared: Matrix, own: Matrix | None = None, *, threads: int = 1) -> Floats:
        """(n, actions) calibrated probability of a response; without `own`, (n, 1) of the action that each row bears.

        Args:
            shared: (n, p).
            own: (n · actions, q), a customer's rows side by side.
            threads: of the trees.
        """
        if self._effects is None:
            found = probabilities(self.trees.raw(shared, own, threads=threads))[..., 0]
            return self.learned.calibration.apply(found)
        log_base = self.trees.raw(shared, threads=threads)[:, 0]
        action = self._actions(shared, own)
        excess = self._effects.excess(shared)[np.arange(len(shared))[:, None], action]
        return self.learned.calibration.apply(self._effects.probability(log_base, excess))

    def explain(self, rows: Matrix, threads: int = 1) -> Explanation:
        """What each column adds to the score of whole rows (n, p), before calibration; places are those of rows."""
        found = explain(self.trees.booster, rows, threads)
        if self._effects is None:
            return found
        return with_effects(found, self._effects, rows, self._actions(rows, None)[:, 0], self.columns)

    @cached_property
    def trees(self) -> Trees:
        """The trees over both matrices."""
        return Trees.of(self.learned.text, [self.places.get(name, UNREAD) for name in self.columns])

    def _actions(self, shared: Matrix, own: Matrix | None) -> Ints:
        """(n, actions) numbers of the actions."""
        place = self.places[ACTION]
        if place >= 0:
            return shared[:, [place]].astype(np.int64)
        assert own is not None
        return own[:, ~place].astype(np.int64).reshape(len(shared), -1)

    @cached_property
    def _effects(self) -> BoundEffects | None:
        if self.learned.effects is None:
            return None
        return self.learned.effects.over({name: place for name, place in self.places.items() if place >= 0})
