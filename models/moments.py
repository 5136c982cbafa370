"""Variances of a model's errors from pairs of its residuals, without the noise of the outcomes; fits no model.

With z = y − p and v = p (1 − p), two rows whose outcomes are independent given the truth have E[z_i z_j] = v_i v_j c to
first order, c the covariance of their errors on the logit scale. Over any set of such pairs, Σ z_i z_j / Σ v_i v_j is
unbiased for the mean of c (a U-statistic, Hoeffding 1948), and weighs pairs by the inverse of their noise.
"""

from dataclasses import dataclass
from math import erf
from statistics import NormalDist
from typing import Final

import numpy as np
import numpy.typing as npt

from models.artefact import Floats, Ints

_USUAL: Final = 0.01
_GRID: Final = np.linspace(0.0, 2.0, 401)[1:]
_PLACES: Final = (np.arange(64) + 0.5) / 64
_NOMINAL: Final = 0.9
_HALVINGS: Final = 40


def added(one: Floats, other: Floats) -> Floats:
    """(64,) equally likely values of the sum of two independent variances, of whose each they are given, ascending."""
    return np.quantile(np.add.outer(one, other), _PLACES)


def covering(values: Floats) -> float:
    """The variance that gives an interval its nominal coverage on average over what is known of the true one.

    Found is τ̂² of mean(2 Φ(z τ̂/τ) − 1) = 0.9 at z = 1.645 over the equally likely values τ² (n,). Too narrow an
    interval costs more coverage than too wide a one gains, so it lies above the median.
    """
    roots, z = np.sqrt(values), NormalDist().inv_cdf(0.5 + _NOMINAL / 2)
    low, high = float(roots.min()), float(roots.max())
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        if np.mean([erf(each) for each in z * middle / roots / np.sqrt(2)]) < _NOMINAL:
            low = middle
        else:
            high = middle
    return high**2


@dataclass(frozen=True)
class Pairs:
    """Sums over pairs of rows of one unit, (k units,): z_i z_j and v_i v_j."""

    unit: Ints
    product: Floats
    weight: Floats

    def among(self, kept: npt.NDArray[np.bool_]) -> "Pairs":
        """Those of some units."""
        return Pairs(self.unit[kept], self.product[kept], self.weight[kept])

    @property
    def share(self) -> Floats:
        """Of each unit in the estimate: best where the variance is `_USUAL`, its noise being 2 (τ² + 1/√weight)²."""
        share = self.weight / (1 + _USUAL * np.sqrt(self.weight)) ** 2
        total = share.sum()
        return share / total if total > 0 else share

    @property
    def estimate(self) -> float:
        """The mean covariance; 0 where there is no pair."""
        some = self.weight > 0
        return float(self.share[some] @ (self.product[some] / self.weight[some]))

    def error(self, tau2: npt.ArrayLike) -> Floats:
        """Standard error of the estimate where units err independently with variance `tau2`, shape as given."""
        some = self.weight > 0
        if not some.any():
            return np.full(np.shape(tau2), np.inf)
        noise = np.add.outer(np.asarray(tau2, np.float64), 1 / np.sqrt(self.weight[some]))
        result: Floats = np.sqrt(2 * (noise**2 @ self.share[some] ** 2))
        return result

    def posterior(self, scale: float, less: float = 0.0) -> Floats:
        """(64,) equally likely values of the variance, less a known one, under a half-Cauchy prior on its root.

        Args:
            scale: the prior's median of the root.
            less: taken from the estimate.
        """
        error = self.error(_GRID**2 + less)
        apart = (self.estimate - less - _GRID**2) / error
        density = -np.log1p((_GRID / scale) ** 2)
        if np.isfinite(error).all():
            density = density - np.log(error) - apart**2 / 2
        share = np.exp(density - density.max())
        share /= share.sum()
        return np.asarray(np.interp(_PLACES, np.cumsum(share), _GRID) ** 2)

    def near(self, centre: float) -> float:
        """The variance of these units as one of several around `centre`, which differ from it by as much as it is.

        The best linear estimate (empirical Bayes, Robbins 1956); at least a tenth of the centre.
        """
        noise = float(self.error(centre)) ** 2
        share = centre**2 / (centre**2 + noise) if np.isfinite(noise) else 0.0
        return max(0.1 * centre, share * self.estimate + (1 - share) * centre)


def paired(z: Floats, v: Floats, unit: Ints, one: Ints, other: Ints | None = None) -> Pairs:
    """All ordered pairs of rows of the same unit that differ in `one`, and in `other` if given; all arrays (n,)."""
    units, at = np.unique(unit, return_inverse=True)
    alike = [one] if other is None else [one, other]
    sums = [_sums(at, column, len(units)) ** 2 for column in (z, v)]
    for labels in alike:
        sums = [whole - part for whole, part in zip(sums, _squares(z, v, at, labels, len(units)), strict=True)]
    if other is not None:
        both = one * (int(other.max(initial=0)) + 1) + other
        sums = [whole + part for whole, part in zip(sums, _squares(z, v, at, both, len(units)), strict=True)]
    return Pairs(units, sums[0], np.maximum(sums[1], 0.0))


def _squares(z: Floats, v: Floats, at: Ints, label: Ints, n_units: int) -> tuple[Floats, Floats]:
    """Per unit, the sum over labels of (Σ z)² and of (Σ v)²."""
    cells, cell = np.unique(at * (int(label.max(initial=0)) + 1) + label, return_inverse=True)
    unit = np.zeros(len(cells), np.int64)
    unit[cell] = at
    first, second = (_sums(unit, _sums(cell, column, len(cells)) ** 2, n_units) for column in (z, v))
    return first, second


def _sums(at: Ints, value: Floats, count: int) -> Floats:
    """(count,) sums of the values at each number."""
    return np.asarray(np.bincount(at, weights=value, minlength=count), dtype=np.float64)
