"""What a response is worth, EUR, per customer; one large basket never decides.

Where the objective has a fixed worth, that. Otherwise each customer's mean past basket is shrunk towards the mean of
all (empirical Bayes, Robbins 1956; the linear form of Bühlmann 1967): with n past purchases of mean b,

    margin = scale · (k · prior + n · min(b, cap)) / (k + n)

k is the ratio of the variance within customers to that between them, estimated on training responders; cap is the
99th percentile of mean baskets. `scale` turns baskets into margin within the horizon, so that the mean is right.
"""

from typing import Literal

import numpy as np

from models.artefact import Artefact, Floats, Matrix

_GRID = tuple(float(2.0**e) for e in range(-3, 9))
_CAP_PERCENTILE = 99.0


class Margin(Artefact):
    """Expected margin given a response, EUR."""

    kind: Literal["fixed", "shrunk"]
    prior: float
    scale: float = 1.0
    strength: float = 0.0
    cap: float = 0.0
    value_column: int | None = None
    count_column: int | None = None

    def expected(self, matrix: Matrix) -> Floats:
        """EUR per response for each row of (n, p)."""
        if self.kind == "fixed" or self.value_column is None or self.count_column is None:
            return np.full(len(matrix), self.prior * self.scale)
        basket, count = _baskets(matrix, self.value_column, self.count_column)
        return self.scale * _shrunk(np.minimum(basket, self.cap), count, self.prior, self.strength)


def fixed_margin(worth_eur: float) -> Margin:
    """Every response is worth the same."""
    return Margin(kind="fixed", prior=worth_eur)


def fit_margin(matrix: Matrix, margin_eur: Floats, value_column: int | None, count_column: int | None) -> Margin:
    """The margin model of training responders.

    Args:
        matrix: (n, p), rows of decisions that were answered by a response.
        margin_eur: (n,), the margin that followed within the horizon, EUR.
        value_column: column of the customer's past purchase value, EUR; None where there is none.
        count_column: column of the number of those purchases.
    """
    if len(margin_eur) == 0:
        return fixed_margin(0.0)
    mean = float(margin_eur.mean())
    if value_column is None or count_column is None:
        return fixed_margin(mean)
    basket, count = _baskets(matrix, value_column, count_column)
    known = count > 0
    if not known.any():
        return fixed_margin(mean)
    cap = float(np.percentile(basket[known], _CAP_PERCENTILE))
    capped = np.minimum(basket, cap)
    prior = float(capped[known].mean())
    ceiling = float(np.percentile(margin_eur, _CAP_PERCENTILE))
    # Each strength is judged by squared error of capped margins, relative to its own best scale.
    target = np.minimum(margin_eur, ceiling)
    losses = [_loss(_shrunk(capped, count, prior, k), target) for k in _GRID]
    strength = _GRID[int(np.argmin(losses))]
    scale = mean / float(_shrunk(capped, count, prior, strength).mean()) if prior > 0 else 1.0
    return Margin(
        kind="shrunk",
        prior=prior,
        scale=scale,
        strength=strength,
        cap=cap,
        value_column=value_column,
        count_column=count_column,
    )


def _loss(prediction: Floats, target: Floats) -> float:
    square = float(prediction @ prediction)
    scale = float(prediction @ target) / square if square > 0 else 0.0
    return float(np.mean((target - scale * prediction) ** 2))


def _baskets(matrix: Matrix, value_column: int, count_column: int) -> tuple[Floats, Floats]:
    value = np.maximum(np.nan_to_num(matrix[:, value_column].astype(np.float64)), 0.0)
    count = np.maximum(np.nan_to_num(matrix[:, count_column].astype(np.float64)), 0.0)
    return np.divide(value, count, out=np.zeros_like(value), where=count > 0), count


def _shrunk(basket: Floats, count: Floats, prior: float, strength: float) -> Floats:
    return (strength * prior + count * basket) / (strength + count)
