"""What answers say beside the terms of effects: whom a channel suits, and to whom a category of campaigns appeals.

Both are scores that are linear in terms which the effects read anyway. They stand beside the terms while effects are
fitted, and are folded into what is kept, so that scoring computes no score of its own.
"""

from dataclasses import dataclass, replace
from typing import Final

import numpy as np

from models.artefact import Floats, Matrix
from models.effect_terms import Term
from models.effects import Appeal
from models.random_effects import Effects
from models.tables import Rows, column_of

_APPEAL: Final = Term(kind="value", columns=(), group="appeal")


@dataclass(frozen=True, eq=False)
class Taste:
    """What answers say of people: a standardised score of each of K channels, linear in the T terms that effects read.

    channels: names (K,). weights: (T, K). intercept: (K,).
    """

    channels: tuple[str, ...]
    weights: Floats
    intercept: Floats

    @property
    def terms(self) -> tuple[Term, ...]:
        """The scores as terms of their channels, which no reader reads."""
        usual = Term(kind="value", columns=(), group="taste", view="taste")
        return tuple(usual.model_copy(update={"channel": name}) for name in self.channels)

    def scores(self, design: Matrix) -> Matrix:
        """(n, K) of the terms (n, T)."""
        return design @ self.weights.astype(np.float32) + self.intercept.astype(np.float32)

    def folded(self, found: Effects) -> Effects:
        """Effects of terms and scores as effects of the terms alone."""
        terms, scores = np.split(found.weights, [len(self.weights)])
        return replace(
            found, intercept=found.intercept + self.intercept @ scores, weights=terms + self.weights @ scores
        )


@dataclass(frozen=True, eq=False)
class Told:
    """All that answers say, as far as they say anything."""

    taste: Taste | None = None
    appeal: Appeal | None = None

    @property
    def terms(self) -> tuple[Term, ...]:
        """The scores as terms, those of the taste first."""
        taste = () if self.taste is None else self.taste.terms
        return taste if self.appeal is None else (*taste, _APPEAL)

    def beside(self, design: Matrix, views: Rows) -> Matrix:
        """(n, T + scores) the terms (n, T) of the rows of views, and the scores."""
        parts = [design]
        if self.taste is not None:
            parts.append(self.taste.scores(design))
        if self.appeal is not None:
            category = column_of(views, self.appeal.column)
            parts.append(self.appeal.score(design, category)[:, None].astype(np.float32))
        return np.hstack(parts) if len(parts) > 1 else design

    def folded(self, found: Effects) -> tuple[Effects, Appeal | None]:
        """Effects of terms and scores as effects of the terms alone, and the appeal with its pull."""
        appeal = self.appeal
        if appeal is not None:
            appeal = appeal.model_copy(update={"pull": tuple(found.weights[-1].tolist())})
            found = replace(found, weights=found.weights[:-1])
        return (found if self.taste is None else self.taste.folded(found)), appeal


NOTHING: Final = Told()
"""Where no answers are asked."""
