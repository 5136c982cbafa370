"""What a response is worth, EUR, per customer; one large basket never decides.

Where the objective has a fixed worth, that. Otherwise each customer's usual basket is shrunk towards the baskets of
people like them, on the log scale (empirical Bayes, Robbins 1956; the linear form of Bühlmann 1967, whose prior mean is
a regression: Hachemeister 1975). With n past purchases whose logs have the mean log b, and levels x of who the customer
is,

    margin = scale · exp((k · (prior + x · weights) + n · log b) / (k + n)),   b within [lowest, highest]

If baskets are log-normal around each customer's own mean, and these means around those of people alike, this is the
expected basket, where k is the variance of the logs of a customer's baskets by that of the means, and the prior lies
above the mean of the logs by half of the latter. Customers without purchases get the prior of people like them.
`models.margin_fit` learns the numbers.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import numpy as np

from contract.errors import ArtefactError
from models.artefact import Artefact, Floats, Matrix
from models.effect_terms import Reader, Term, columns_of


class Margin(Artefact):
    """Expected margin given a response, EUR.

    prior: of a fixed margin the EUR; else the log of a basket where no term holds. scale: turns baskets into margin
    within the horizon. strength: k, purchases that the prior counts for. lowest, highest: EUR; what lies beyond counts
    as they do. typical_column, count_column: names, the typical value of a customer's purchases and their number; none
    where the prior is all there is. terms, weights: levels of who customers are, what each adds to the prior.
    """

    kind: Literal["fixed", "shrunk"]
    prior: float
    scale: float = 1.0
    strength: float = 1.0
    lowest: float = 1.0
    highest: float = 1.0
    typical_column: str | None = None
    count_column: str | None = None
    terms: tuple[Term, ...] = ()
    weights: tuple[float, ...] = ()

    @property
    def columns(self) -> frozenset[str]:
        """Names of the columns that it reads."""
        baskets = {name for name in (self.typical_column, self.count_column) if name is not None}
        return columns_of(self.terms) | baskets

    def over(self, places: Mapping[str, int]) -> "BoundMargin":
        """The margin over a matrix whose columns lie at `places`.

        Raises:
            ArtefactError: it reads a column that the matrix has not.
        """
        if missing := sorted(self.columns - set(places)):
            raise ArtefactError(
                f"margin: reads {', '.join(missing)}, which the columns that all actions share have not; train again"
            )
        return BoundMargin(self, Reader.of(self.terms, places), dict(places))


@dataclass(frozen=True, eq=False)
class BoundMargin:
    """A margin over the columns of a matrix."""

    margin: Margin
    reader: Reader
    places: Mapping[str, int]

    def expected(self, matrix: Matrix) -> Floats:
        """(n,) EUR per response for each row of (n, p)."""
        margin = self.margin
        if margin.kind == "fixed":
            return np.full(len(matrix), margin.prior * margin.scale)
        prior = self.reader.sums(matrix, np.array([margin.prior]), self._weights)[:, 0]
        basket, count = self.baskets(matrix)
        log_basket = np.log(np.clip(basket, margin.lowest, margin.highest))
        told = margin.strength * prior + count * log_basket
        return np.asarray(margin.scale * np.exp(told / (margin.strength + count)))

    def baskets(self, matrix: Matrix) -> tuple[Floats, Floats]:
        """(n,) each: the usual past basket, EUR, and the number of purchases, both 0 where there is none."""
        typical, count = self.margin.typical_column, self.margin.count_column
        if typical is None or count is None:
            return np.zeros(len(matrix)), np.zeros(len(matrix))
        return _known(matrix[:, self.places[typical]]), _known(matrix[:, self.places[count]])

    @cached_property
    def _weights(self) -> Floats:
        return np.array(self.margin.weights).reshape(len(self.margin.terms), 1)


def fixed_margin(worth_eur: float) -> Margin:
    """Every response is worth the same."""
    return Margin(kind="fixed", prior=worth_eur)


def _known(column: Matrix) -> Floats:
    return np.asarray(np.fmax(column.astype(np.float64), 0.0))
