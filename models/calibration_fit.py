"""Chooses the map of probabilities that wins on held-out data; never reads the rows that taught the model.

A map is chosen by log loss cross-fitted over customers, and only if it gains more than one standard error (clustered by
customer) over none: on average none is hard to beat.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import TypeVar

import numpy as np
import numpy.typing as npt
from scipy.optimize import isotonic_regression, minimize
from scipy.special import expit, log_softmax

from models.artefact import Floats, Ints
from models.calibration import (
    FLOOR,
    Beta,
    BinaryMap,
    Isotonic,
    MatrixScaling,
    MulticlassMap,
    Platt,
    Temperature,
    Unchanged,
    VectorScaling,
    among,
    binary_log_losses,
    logit,
    logs,
    softmax,
)

_FOLDS = 5
_ISOTONIC_BINS = 200
_ISOTONIC_MIN_ROWS = 50
_RIDGE = 1e-3
_Map = TypeVar("_Map")


def choose_binary(probability: Floats, outcome: npt.NDArray[np.generic], customer: Ints) -> BinaryMap:
    """The binary map that wins on these held-out rows, or none.

    Args:
        probability: (n,), in [0, 1].
        outcome: (n,), 0 or 1.
        customer: (n,), numbers; rows of one customer stay in one fold.
    """
    fits: list[Callable[[Ints], BinaryMap]] = [
        lambda rows: _fit_platt(probability[rows], outcome[rows]),
        lambda rows: _fit_beta(probability[rows], outcome[rows]),
        lambda rows: _fit_isotonic(probability[rows], outcome[rows]),
    ]
    none = binary_log_losses(probability, outcome)
    weight = np.ones(len(probability))
    return _chosen(
        fits,
        lambda m, rows: binary_log_losses(m.apply(probability[rows]), outcome[rows]),
        none,
        weight,
        customer,
    )


@dataclass(frozen=True, eq=False)
class _Labels:
    """Rows with their labels: probability, possible (n, k); label, weight (n,)."""

    probability: Floats
    label: Ints
    weight: Floats
    possible: npt.NDArray[np.bool_]

    def rows(self, keep: Ints) -> "_Labels":
        """The given rows."""
        return _Labels(self.probability[keep], self.label[keep], self.weight[keep], self.possible[keep])

    @cached_property
    def share(self) -> Floats:
        """(n,) weights that sum to one."""
        return np.asarray(self.weight / self.weight.sum())

    def taken(self, values: Floats) -> Floats:
        """(n,) those of the labels."""
        return np.asarray(values[np.arange(len(self.label)), self.label])

    def allowed(self, score: Floats) -> Floats:
        """The scores, −∞ where the label was not possible."""
        return np.where(self.possible, score, -np.inf)


def choose_multiclass(
    probability: Floats,
    label: Ints,
    weight: Floats,
    customer: Ints,
    possible: npt.NDArray[np.bool_] | None = None,
) -> MulticlassMap:
    """The multiclass map that wins on these held-out rows, or none.

    Args:
        probability: (n, k), rows sum to one.
        label: (n,), class numbers.
        weight: (n,), at least 0.
        customer: (n,), numbers; rows of one customer stay in one fold.
        possible: (n, k), which labels a row could have had; any, if None. What never had a chance teaches nothing.
    """
    seen = _Labels(probability, label, weight, np.ones_like(probability, bool) if possible is None else possible)

    def losses(rows_probability: Floats, rows: Ints) -> Floats:
        return -logs(among(rows_probability, seen.possible[rows]))[np.arange(len(rows)), label[rows]]

    fits: list[Callable[[Ints], MulticlassMap]] = [
        lambda rows: _fit_temperature(seen.rows(rows)),
        lambda rows: _fit_vector(seen.rows(rows)),
        lambda rows: _fit_matrix(seen.rows(rows)),
    ]
    none = losses(probability, np.arange(len(label)))
    return _chosen(fits, lambda m, rows: losses(m.apply(probability[rows]), rows), none, weight, customer)


def _chosen(
    fits: list[Callable[[Ints], _Map]],
    losses: Callable[[_Map, Ints], Floats],
    none: Floats,
    weight: Floats,
    customer: Ints,
) -> _Map | Unchanged:
    """The map with the lowest cross-fitted loss among those that beat none by more than one standard error."""
    _, dense = np.unique(customer, return_inverse=True)
    if len(none) == 0 or dense.max() < _FOLDS:
        return Unchanged()
    fold = dense % _FOLDS
    best: _Map | Unchanged = Unchanged()
    best_gain = 0.0
    for fit in fits:
        gain = np.empty(len(none))
        for each in range(_FOLDS):
            inside, outside = np.flatnonzero(fold == each), np.flatnonzero(fold != each)
            gain[inside] = none[inside] - losses(fit(outside), inside)
        mean, error = clustered_mean(gain, weight, dense)
        if mean > max(best_gain, error):
            best, best_gain = fit(np.arange(len(none))), mean
    return best


def clustered_mean(value: Floats, weight: Floats, cluster: Ints) -> tuple[float, float]:
    """Weighted mean and its standard error when rows of a cluster (0-based, dense) depend on each other.

    The linearised (sandwich) variance of a ratio: Σ_g (Σ_{i∈g} w_i (v_i − mean))² / (Σ w)².
    """
    total = float(weight.sum())
    if total <= 0:
        return 0.0, float("inf")
    mean = float(weight @ value) / total
    sums = np.bincount(cluster, weights=weight * (value - mean))
    return mean, float(np.sqrt(sums @ sums)) / total


def _fit_platt(probability: Floats, outcome: npt.NDArray[np.generic]) -> Platt:
    """Logistic regression on the logit, with Platt's smoothed targets and a slope kept positive."""
    x, y = logit(probability), outcome.astype(np.float64)
    positives = y.sum()
    target = np.where(y > 0, (positives + 1) / (positives + 2), 1 / (len(y) - positives + 2))

    def loss(theta: Floats) -> tuple[float, Floats]:
        score = theta[0] * x + theta[1]
        residual = expit(score) - target
        value = np.mean(np.logaddexp(0, score) - target * score)
        return float(value), np.array([np.mean(residual * x), np.mean(residual)])

    found = minimize(loss, np.array([1.0, 0.0]), jac=True, method="L-BFGS-B", bounds=[(1e-3, None), (None, None)])
    return Platt(slope=float(found.x[0]), intercept=float(found.x[1]))


def _fit_beta(probability: Floats, outcome: npt.NDArray[np.generic]) -> Beta:
    """Logistic regression on log p and −log(1 − p), both slopes kept positive and drawn slightly to 1."""
    p = np.clip(probability, FLOOR, 1 - FLOOR)
    x, y = np.column_stack([np.log(p), -np.log1p(-p), np.ones(len(p))]), outcome.astype(np.float64)
    centre, pull = np.array([1.0, 1.0, 0.0]), np.array([_RIDGE, _RIDGE, 0.0])

    def loss(theta: Floats) -> tuple[float, Floats]:
        score = x @ theta
        apart = theta - centre
        value = np.mean(np.logaddexp(0, score) - y * score) + pull @ apart**2 / 2
        return float(value), x.T @ (expit(score) - y) / len(y) + pull * apart

    bounds = [(0.0, None), (0.0, None), (None, None)]
    found = minimize(loss, centre, jac=True, method="L-BFGS-B", bounds=bounds)
    a, b, c = (float(each) for each in found.x)
    return Beta(a=a, b=b, c=c)


def _fit_isotonic(probability: Floats, outcome: npt.NDArray[np.generic]) -> Isotonic | Unchanged:
    """Isotonic regression on bins of equal count, so that no knot stands for a single customer."""
    order = np.argsort(probability, kind="stable")
    bins = min(_ISOTONIC_BINS, len(order) // _ISOTONIC_MIN_ROWS)
    if bins < 2:
        return Unchanged()
    parts = np.array_split(order, bins)
    count = np.array([len(part) for part in parts], dtype=np.float64)
    score = np.array([probability[part].mean() for part in parts])
    rate = np.array([(outcome[part].sum() + 0.5) / (len(part) + 1.0) for part in parts])
    fitted = isotonic_regression(rate, weights=count)
    blocks = fitted.blocks
    x = np.add.reduceat(score * count, blocks[:-1]) / np.add.reduceat(count, blocks[:-1])
    y = fitted.x[blocks[:-1]]
    return Isotonic(score=tuple(x.tolist()), probability=tuple(np.clip(y, FLOOR, 1 - FLOOR).tolist()))


def _fit_temperature(seen: _Labels) -> Temperature:
    x = logs(seen.probability)
    taken = seen.taken(x)

    def loss(theta: Floats) -> tuple[float, Floats]:
        score = seen.allowed(float(theta[0]) * x)
        value = -seen.share @ seen.taken(log_softmax(score, axis=1))
        return float(value), np.array([seen.share @ ((softmax(score) * x).sum(axis=1) - taken)])

    found = minimize(loss, np.array([1.0]), jac=True, method="L-BFGS-B", bounds=[(0.05, 20.0)])
    return Temperature(temperature=1 / float(found.x[0]))


def _fit_vector(seen: _Labels) -> VectorScaling:
    """Vector scaling with a slight pull towards slope 1 and intercept 0, which keeps rare classes finite."""
    matrix, intercept = _fit_linear(seen, np.eye(seen.probability.shape[1], dtype=bool))
    return VectorScaling(slope=tuple(np.diag(matrix).tolist()), intercept=tuple(intercept.tolist()))


def _fit_matrix(seen: _Labels) -> MatrixScaling:
    """Matrix scaling, drawn to the identity as vector scaling is (off-diagonal regularisation, Kull et al., 2019)."""
    k = seen.probability.shape[1]
    matrix, intercept = _fit_linear(seen, np.ones((k, k), dtype=bool))
    return MatrixScaling(weight=tuple(map(tuple, matrix.tolist())), intercept=tuple(intercept.tolist()))


def _fit_linear(seen: _Labels, free: npt.NDArray[np.bool_]) -> tuple[Floats, Floats]:
    """Multinomial regression of the label on log p: (k, k) weights, only those of `free`, and (k,) intercepts."""
    x = logs(seen.probability)
    k = x.shape[1]
    hot = np.zeros_like(x)
    hot[np.arange(len(x)), seen.label] = 1

    def spread(theta: Floats) -> Floats:
        matrix = np.zeros((k, k))
        matrix[free] = theta
        return matrix

    def loss(theta: Floats) -> tuple[float, Floats]:
        matrix, intercept = spread(theta[:-k]), theta[-k:]
        score = seen.allowed(x @ matrix.T + intercept)
        residual = (softmax(score) - hot) * seen.share[:, None]
        value = -seen.share @ seen.taken(log_softmax(score, axis=1))
        pull = np.concatenate([theta[:-k] - np.eye(k)[free], intercept])
        gradient = np.concatenate([(residual.T @ x)[free], residual.sum(axis=0)]) + _RIDGE * pull
        return float(value + _RIDGE * (pull @ pull) / 2), gradient

    start = np.concatenate([np.eye(k)[free], np.zeros(k)])
    found = minimize(loss, start, jac=True, method="L-BFGS-B", options={"maxiter": 60})
    return spread(found.x[:-k]), found.x[-k:]
