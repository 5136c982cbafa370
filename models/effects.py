"""What contacts add to what a customer would do anyway: the learned effects as data, and how scores come of them.

Trees that never look at the action give the rate b of responses without contact. An effect, by random effects over
customer × channel (`models.random_effects`), says what a contact changes: under the link `log` the log of what it adds
to the rate, which is never negative; under `identity` what it adds to the probability, which may be. So what a contact
changes is learned by itself, and not as a small difference between two large predictions.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Final, Literal

import numpy as np

from contract.errors import ArtefactError
from models.artefact import Artefact, Floats, Ints, Matrix
from models.effect_terms import Reader, Term, columns_of

_LEAST_RATE: Final = 1e-9
_HIGHEST_EXPONENT: Final = 0.5
"""A contact never brings more than exp(0.5) expected responses."""
_EDGE: Final = 1e-6
"""An effect moves no probability nearer to 0 or 1 than this."""


class Appeal(Artefact):
    """To whom a category of campaigns appeals more than the others: a score by category, linear in some terms.

    column: of the campaign's category. categories: its codes (G,). terms: positions of the A terms among those of the
    effects. weights: (A, G). pull: by outbound channel, what one unit of the score adds to what terms and weights give.
    A category that is not among them has the score 0.
    """

    column: str
    categories: tuple[int, ...]
    terms: tuple[int, ...]
    weights: tuple[tuple[float, ...], ...]
    pull: tuple[float, ...]

    def kind(self, category: Matrix) -> Ints:
        """(n,) the place of each category (n,) among those of the appeal, -1 of another or none."""
        found = category[:, None] == np.array(self.categories, dtype=np.float32)
        return np.where(found.any(axis=1), found.argmax(axis=1), -1)

    def score(self, design: Matrix, category: Matrix) -> Floats:
        """(n,) the scores of terms (n, T) of the effects for campaigns of these categories (n,)."""
        kind = self.kind(category)
        scores = design[:, self.terms] @ self._weights
        return np.asarray(np.where(kind < 0, 0.0, np.take_along_axis(scores, kind[:, None], axis=1)[:, 0]))

    def added(self, terms: int) -> Floats:
        """(G, T, C) what a campaign's category adds to the weights of all `terms` terms."""
        found = np.zeros((len(self.categories), terms, len(self.pull)))
        found[:, self.terms] = np.multiply.outer(self._weights.T, self.pull)
        return found

    @cached_property
    def _weights(self) -> Floats:
        return np.array(self.weights).reshape(len(self.terms), len(self.categories))


class ContactEffects(Artefact):
    """Terms, intercepts by outbound channel, and weights by term and channel; what a campaign is about, if it tells.

    link: log, of the log of what is added to the rate; identity, of what is added to the probability.
    """

    terms: tuple[Term, ...]
    intercept: tuple[float, ...]
    weights: tuple[tuple[float, ...], ...]
    appeal: Appeal | None = None
    link: Literal["log", "identity"] = "log"

    @property
    def columns(self) -> frozenset[str]:
        """Names of the columns that are read."""
        about = () if self.appeal is None else (self.appeal.column,)
        return columns_of(self.terms) | set(about)

    @property
    def cells(self) -> tuple[Term, ...]:
        """Those of the terms that are cells of pairs of columns."""
        return tuple(term for term in self.terms if term.kind == "cell")

    @property
    def pairs(self) -> tuple[tuple[str, ...], ...]:
        """Pairs of columns whose cells are read, each once."""
        return tuple(dict.fromkeys(cell.columns for cell in self.cells))

    def over(self, places: Mapping[str, int]) -> "BoundEffects":
        """The effects over a matrix whose columns lie at `places`.

        Raises:
            ArtefactError: a term reads a column that the matrix has not.
        """
        if missing := sorted(self.columns - set(places)):
            raise ArtefactError(f"contact effects: read {', '.join(missing)}, which depend on the action; train again")
        place = None if self.appeal is None else places[self.appeal.column]
        return BoundEffects(self, Reader.of(self.terms, places), place)


@dataclass(frozen=True, eq=False)
class BoundEffects:
    """Effects over the columns of a matrix; C outbound channels. place: of the campaign's category, where it tells."""

    effects: ContactEffects
    reader: Reader
    place: int | None

    def excess(self, matrix: Matrix) -> Floats:
        """(n, 1 + C) what each action adds, 0 for no contact: responses to the rate (log), or to the probability."""
        found, about = np.zeros((len(matrix), 1 + len(self._intercept))), self._about(matrix)
        alike = len(about) > 0 and (about == about[0]).all()
        for each in about[:1] if alike else np.unique(about):
            rows = slice(None) if alike else np.flatnonzero(about == each)
            found[rows, 1:] = self._effect(self.reader.sums(matrix[rows], self._intercept, self._weights[each]))
        return found

    def probability(self, log_base: Floats, excess: Floats) -> Floats:
        """The probability of a response, of the rate without contact (its log) and the excess; broadcast."""
        if self.effects.link == "log":
            return response_probability(log_base, excess)
        return added_probability(log_base, excess)

    def log_gain(self, log_base: Floats, excess: Floats) -> Floats:
        """By how much the excess moves the log of the rate that the probability stands for."""
        if self.effects.link == "log":
            return np.log1p(excess * np.exp(-log_base))
        moved = np.log(rate_of(added_probability(log_base, excess))) - log_base
        return np.where(excess == 0.0, 0.0, moved)

    def parts(self, matrix: Matrix, action: Ints) -> Floats:
        """(n, T) what each term adds, of the row's action: to the log of the excess, or to the excess; 0 for none."""
        chosen = self._weights[self._about(matrix), :, np.maximum(action, 1) - 1]
        return np.asarray(self.reader.design(matrix) * np.where((action > 0)[:, None], chosen, 0.0), dtype=np.float64)

    def plain(self, action: Ints) -> Floats:
        """(n,) the excess of each action where every term is 0."""
        return np.where(action > 0, self._effect(self._intercept[np.maximum(action, 1) - 1]), 0.0)

    def _effect(self, sums: Floats) -> Floats:
        return np.exp(np.minimum(sums, _HIGHEST_EXPONENT)) if self.effects.link == "log" else sums

    @cached_property
    def _intercept(self) -> Floats:
        return np.array(self.effects.intercept)

    def _about(self, matrix: Matrix) -> Ints:
        """(n,) whose weights are each row's: 0 where the category tells nothing."""
        appeal = self.effects.appeal
        if appeal is None or self.place is None:
            return np.zeros(len(matrix), np.int64)
        return 1 + appeal.kind(matrix[:, self.place])

    @cached_property
    def _weights(self) -> Floats:
        """(1 + G, T, C) of campaigns about nothing that tells, and of each category that does."""
        effects = self.effects
        plain = np.array(effects.weights).reshape(1, len(effects.terms), len(effects.intercept))
        if effects.appeal is None:
            return plain
        return np.concatenate([plain, plain + effects.appeal.added(len(effects.terms))])


def response_probability(log_base: Floats, excess: Floats) -> Floats:
    """1 − exp(−rate) of the rate without contact (its log) and the excess; the arrays are broadcast."""
    return np.asarray(-np.expm1(-(np.exp(log_base) + excess)))


def answer_probability(excess: Floats) -> Floats:
    """The probability of an answer, which never comes by itself: 1 − exp(−excess), shape as given."""
    return np.asarray(-np.expm1(-excess))


def added_probability(log_base: Floats, excess: Floats) -> Floats:
    """The probability without contact (log of its rate) and the excess in probability, their sum cut off short of 0, 1.

    Without excess it is that without contact, however near to 0 or 1 that is.
    """
    alone = response_probability(log_base, np.zeros(1))
    return np.clip(alone + excess, np.minimum(alone, _EDGE), np.maximum(alone, 1.0 - _EDGE))


def rate_of(probability: Floats) -> Floats:
    """The rate of a probability of at least one response: −log(1 − p)."""
    return np.asarray(np.maximum(-np.log1p(-np.minimum(probability, 1 - 1e-9)), _LEAST_RATE))
