"""What a response is worth, EUR, per customer; one large basket never decides.

Where the objective has a fixed worth, that. Otherwise each customer's mean past basket is shrunk towards the baskets of
people like them, on the log scale (empirical Bayes, Robbins 1956; the linear form of Bühlmann 1967, whose prior mean is
a regression: Hachemeister 1975). With n past purchases of mean b, and levels x of who the customer is,

    margin = scale · exp((k · (prior + x · weights) + n · (log b + v / 2n)) / (k + n)),   b within [lowest, highest]

where v makes up for the log of a mean of few baskets lying below that of many (delta method: v is their squared
coefficient of variation). Customers without purchases get the prior of people like them. `models.margin_fit` learns
the numbers.
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
    within the horizon. strength: k, purchases that the prior counts for. variation: v. lowest, highest: EUR; what lies
    beyond counts as they do. value_column, count_column: names, the value of a customer's purchases and their number;
    none where the prior is all there is. terms, weights: levels of who customers are, what each adds to the prior.
    """

    kind: Literal["fixed", "shrunk"]
    prior: float
    scale: float = 1.0
    strength: float = 1.0
    variation: float = 0.0
    lowest: float = 1.0
    highest: float = 1.0
    value_column: str | None = None
    count_column: str | None = None
    terms: tuple[Term, ...] = ()
    weights: tuple[float, ...] = ()

    @property
    def columns(self) -> frozenset[str]:
        """Names of the columns that it reads."""
        baskets = {name for name in (self.value_column, self.count_column) if name is not None}
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
        told = np.where(count > 0, count * log_basket + margin.variation / 2, 0.0)
        return np.asarray(margin.scale * np.exp((margin.strength * prior + told) / (margin.strength + count)))

    def baskets(self, matrix: Matrix) -> tuple[Floats, Floats]:
        """(n,) each: mean past basket, EUR, and the number of purchases, both 0 where there is none."""
        value, count = self.margin.value_column, self.margin.count_column
        if value is None or count is None:
            return np.zeros(len(matrix)), np.zeros(len(matrix))
        total, n = (_known(matrix[:, self.places[name]]) for name in (value, count))
        return np.divide(total, n, out=np.zeros_like(total), where=n > 0), n

    @cached_property
    def _weights(self) -> Floats:
        return np.array(self.margin.weights).reshape(len(self.margin.terms), 1)


def fixed_margin(worth_eur: float) -> Margin:
    """Every response is worth the same."""
    return Margin(kind="fixed", prior=worth_eur)


def _known(column: Matrix) -> Floats:
    return np.asarray(np.fmax(column.astype(np.float64), 0.0))
