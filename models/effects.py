"""What contacts add to what a customer would do anyway: the learned effects as data, and how scores come of them.

The rate of responses is that without contact plus an excess, which random effects over customer × channel give
(`models.random_effects`); the trees that give the former never look at the action. So what a contact changes is learned
by itself, and not as a small difference between two large predictions.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from contract.errors import ArtefactError
from models.artefact import Artefact, Floats, Ints, Matrix
from models.effect_terms import Reader, Term

_LEAST_RATE = 1e-9


class ContactEffects(Artefact):
    """Terms, intercepts by outbound channel, and weights by term and channel; all of log excess rate."""

    terms: tuple[Term, ...]
    intercept: tuple[float, ...]
    weights: tuple[tuple[float, ...], ...]

    def over(self, places: Mapping[str, int]) -> "BoundEffects":
        """The effects over a matrix whose columns lie at `places`.

        Raises:
            ArtefactError: a term reads a column that the matrix has not.
        """
        wanted = {name for term in self.terms for name in term.columns}
        if missing := sorted(wanted - set(places)):
            raise ArtefactError(f"contact effects: read {', '.join(missing)}, which depend on the action; train again")
        return BoundEffects(self, Reader.of(self.terms, places))


@dataclass(frozen=True, eq=False)
class BoundEffects:
    """Effects over the columns of a matrix; C outbound channels."""

    effects: ContactEffects
    reader: Reader

    def excess(self, matrix: Matrix) -> Floats:
        """(n, 1 + C) responses that each action adds to the rate, 0 for no contact."""
        found = np.zeros((len(matrix), 1 + len(self._intercept)))
        found[:, 1:] = np.exp(self.reader.exponents(matrix, self._intercept, self._weights))
        return found

    def parts(self, matrix: Matrix, action: Ints) -> Floats:
        """(n, T) what each term adds to the log of the excess of the row's action; 0 where that is no contact."""
        chosen = np.where((action > 0)[:, None], self._weights.T[np.maximum(action, 1) - 1], 0.0)
        return np.asarray(self.reader.design(matrix) * chosen, dtype=np.float64)

    def plain(self, action: Ints) -> Floats:
        """(n,) the excess of each action where every term is 0."""
        return np.where(action > 0, np.exp(self._intercept[np.maximum(action, 1) - 1]), 0.0)

    @cached_property
    def _intercept(self) -> Floats:
        return np.array(self.effects.intercept)

    @cached_property
    def _weights(self) -> Floats:
        return np.array(self.effects.weights).reshape(len(self.effects.terms), len(self.effects.intercept))


def response_probability(log_base: Floats, excess: Floats) -> Floats:
    """1 − exp(−rate) of the rate without contact (its log) and the excess; the arrays are broadcast."""
    return np.asarray(-np.expm1(-(np.exp(log_base) + excess)))


def rate_of(probability: Floats) -> Floats:
    """The rate of a probability of at least one response: −log(1 − p)."""
    return np.asarray(np.maximum(-np.log1p(-np.minimum(probability, 1 - 1e-9)), _LEAST_RATE))
