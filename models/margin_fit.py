"""Learns what a response is worth from those who responded; stores nobody's extreme and no single customer's basket.

With r = k / (k + n) the log of the expected margin is linear in all but k,

    log margin = log scale + (1 − r) · log b + r · (prior + x · weights)

so that for a k of a grid a Gamma regression with log link is fitted (McCullagh and Nelder 1989, ch. 8), to which a
basket counts by its ratio to the expected one. What levels of people add is normal around zero, its variance set by the
evidence (MacKay 1992, Neural Computation 4). The k of the least deviance is kept, and `scale` makes the mean right.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np

from models.artefact import Floats
from models.effect_terms import Term
from models.margin import BoundMargin, Margin, fixed_margin
from models.tables import Rows, mapped, places_of

_GRID: Final = tuple(float(2.0**e) for e in range(-3, 9))
_CAP_PERCENTILE: Final = 99.0
_MOST_OF_ALL: Final = 0.01
"""A margin beyond the 99th percentile counts for no more than a hundredth of all of them."""
_FAR: Final = 2.5
"""Standard deviations of log baskets beyond which a mean basket counts as if it lay there."""
_ITERATIONS, _CLOSE = 25, 1e-4
_FIRST_VARIANCE: Final = 0.05
_SHRINK_COUNT, _SHRINK_SUM = 1.0, 0.02
"""The variance of what levels add is taken to be 0.02 as if one level more had said so."""
_FREE: Final = 2
"""Coefficients that are no weights: level and shift; the latter is drawn to zero as if by one row."""
_LEAST_MEAN: Final = 1e-9


def fit_margin(
    table: Rows, margin_eur: Floats, typical_column: str | None, count_column: str | None, terms: tuple[Term, ...] = ()
) -> Margin:
    """The margin model of training responders.

    Args:
        table: n rows of decisions that were answered by a response, a customer's rows side by side.
        margin_eur: (n,), the margin that followed within the horizon, EUR.
        typical_column: name of the column of the typical value of a customer's past purchases, EUR; None where there is
            none.
        count_column: name of the column of the number of those purchases.
        terms: levels of who the customer is, each held by enough customers.
    """
    margin = np.maximum(margin_eur, 0.0)
    if len(margin) == 0 or margin.mean() < _LEAST_MEAN:
        return fixed_margin(0.0)
    if typical_column is None or count_column is None:
        typical_column = count_column = None
    plain = Margin(
        kind="shrunk",
        prior=0.0,
        typical_column=typical_column,
        count_column=count_column,
        terms=terms,
        weights=(0.0,) * len(terms),
    )
    bound = plain.over(places_of(table.names))
    found = plain.model_copy(update=_learned(_Known.of(bound, table, margin)))
    expected = mapped(table, found.over(bound.places).expected)
    return found.model_copy(update={"scale": float(_counted(margin).mean() / expected.mean())})


def _learned(known: "_Known") -> dict[str, float | tuple[float, ...]]:
    """All of a margin but its scale."""
    best = _downhill(known) if known.count.any() else known.fitted(1.0, known.first())
    return {
        "prior": known.center + best.shift,
        "strength": best.strength,
        "lowest": known.bounds[0],
        "highest": known.bounds[1],
        "weights": tuple(best.weights.tolist()),
    }


def _downhill(known: "_Known") -> "_Fit":
    """The fit at the strength of the grid from which neither neighbour is better; the loss has one valley."""
    at = len(_GRID) // 2 - 1
    fits = {at: known.fitted(_GRID[at], known.first())}
    while True:
        for i in (at - 1, at + 1):
            if 0 <= i < len(_GRID) and i not in fits:
                fits[i] = known.fitted(_GRID[i], fits[at])
        best = min((i for i in (at, at - 1, at + 1) if i in fits), key=lambda i: fits[i].loss)
        if best == at:
            return fits[at]
        at = best


def _counted(margin: Floats) -> Floats:
    """Margins as they count for the mean."""
    ceiling = float(np.percentile(margin, _CAP_PERCENTILE))
    return np.minimum(margin, max(ceiling, _MOST_OF_ALL * float(np.minimum(margin, ceiling).sum())))


@dataclass(frozen=True, eq=False)
class _Fit:
    """Coefficients (2 + T,) at one strength, and their loss: level, shift of the prior, weights.

    variance: of the weights, as the evidence has it.
    """

    strength: float
    coefficients: Floats
    variance: float
    loss: float = np.inf

    @property
    def shift(self) -> float:
        """What the prior lies above the center of known baskets, log."""
        return float(self.coefficients[1])

    @property
    def weights(self) -> Floats:
        """(T,)."""
        return self.coefficients[_FREE:]


@dataclass(frozen=True, eq=False)
class _Known:
    """What is known of n responses: levels (n, T), log baskets less their center (n,), counts (n,), margins (n,).

    bounds: the lowest and the highest basket, EUR. repeats: rows a customer, whose margins may be the same purchase.
    """

    levels: Floats
    log_basket: Floats
    count: Floats
    target: Floats
    center: float
    bounds: tuple[float, float]
    repeats: float

    @classmethod
    def of(cls, bound: BoundMargin, table: Rows, margin: Floats) -> "_Known":
        """Of the rows of a table; the bounds follow from mean and spread, and so are no customer's basket."""
        levels = mapped(table, bound.reader.design).astype(np.float64)
        basket, count = mapped(table, lambda block: np.column_stack(bound.baskets(block))).T
        logs = np.log(basket[(count > 0) & (basket > 0)])
        logs = np.clip(logs, *np.percentile(logs, (100.0 - _CAP_PERCENTILE, _CAP_PERCENTILE))) if len(logs) else logs
        center = float(logs.mean()) if len(logs) else 0.0
        far = _FAR * float(logs.std()) if len(logs) else 0.0
        bounds = float(np.exp(center - far)), float(np.exp(center + far))
        target = np.minimum(margin, float(np.percentile(margin, _CAP_PERCENTILE)))
        repeats = len(margin) / len(np.unique(table.customer))
        return cls(levels, np.log(np.clip(basket, *bounds)) - center, count, target, center, bounds, repeats)

    def first(self) -> _Fit:
        """Where the first fit starts."""
        none = np.zeros(_FREE - 1 + self.levels.shape[1])
        return _Fit(1.0, np.concatenate([[np.log(self.target.mean())], none]), _FIRST_VARIANCE)

    def fitted(self, strength: float, start: _Fit) -> _Fit:
        """Posterior mode at a strength, by Fisher scoring; all working weights of a Gamma with log link are one."""
        share = strength / (strength + self.count)
        offset = (1.0 - share) * self.log_basket
        design = np.column_stack([np.ones(len(share)), share, share[:, None] * self.levels])
        gram = design.T @ design
        found, variance = start.coefficients, start.variance
        ratio = self.target * np.exp(-offset - design @ found)
        for _ in range(_ITERATIONS):
            noise = self.repeats * float(np.mean((ratio - 1.0) ** 2))
            precision = np.full(len(found), max(1.0, noise / variance))
            precision[0] = 0.0
            precision[1:_FREE] = 1.0
            covariance = np.linalg.inv(gram + np.diag(precision))
            step = covariance @ (design.T @ (ratio - 1.0) - precision * found)
            found = found + step
            told = float(np.sum(1.0 - precision[_FREE:] * np.diag(covariance)[_FREE:]))
            variance = (float(found[_FREE:] @ found[_FREE:]) + _SHRINK_SUM) / (told + _SHRINK_COUNT)
            log_mean = offset + design @ found
            ratio = self.target * np.exp(-log_mean)
            if np.abs(step).max() < _CLOSE:
                break
        loss = float(np.mean(ratio + log_mean))
        return _Fit(strength, found, variance, loss)
