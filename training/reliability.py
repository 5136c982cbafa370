"""Whether probabilities come true: curves by bins, their mean error, and what of that error is chance; fits nothing.

Even a perfect forecast misses by chance: with n_b decisions of mean probability p_b in a bin, its gap has the mean
√(2 p_b (1 − p_b) / (π n_b)) (the mean of a half-normal), which stands beside every error. A set of fewer than
2 p (1 − p) / (π δ²) decisions, p being the rate of all, could be off by δ on the whole by chance: it says nothing.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil, pi, sqrt
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.stats import norm

from models.artefact import Floats, Ints
from models.calibration import binary_log_losses
from training.off_policy import Estimate, Terms, estimate

TOLERANCE = 0.01
LEAST_ROWS, LEAST_CUSTOMERS = 200, 50
"""In every bin, whatever the rate: a picture of fewer could show single people."""


@dataclass(frozen=True)
class Bin:
    """Decisions of like probability: their number, its mean, the rate seen, and the interval of the rate."""

    rows: int
    predicted: float
    seen: float
    lower: float
    upper: float


@dataclass(frozen=True)
class Reliability:
    """A set of rows: error is the expected calibration error over the bins, chance what a perfect forecast would show.

    rate: of responses; predicted: mean probability; log_loss: nats a decision; gap: mean probability less rate, with an
    interval clustered by customer.
    """

    rows: int
    customers: int
    rate: float
    predicted: float
    log_loss: float
    gap: Estimate
    error: float
    chance: float
    bins: tuple[Bin, ...]


def least_rows(rate: float, tolerance: float = TOLERANCE) -> int:
    """The smallest number of decisions whose mean is off by less than `tolerance` by chance, at a rate in [0, 1].

    >>> least_rows(0.05), least_rows(0.5)
    (303, 1592)
    """
    return max(LEAST_ROWS, ceil(2 * rate * (1 - rate) / (pi * tolerance**2)))


def reliability(
    probability: Floats, outcome: npt.NDArray[Any], customer: Ints, *, most_bins: int, level: float, rate: float
) -> Reliability | None:
    """Compares probabilities with what happened; None where there are too few rows or customers.

    Args:
        probability: (n,), predicted.
        outcome: (n,), 0 or 1.
        customer: (n,).
        most_bins: at most so many bins of equal count.
        level: of the bins' intervals (Wilson, 1927, over customers: decisions of one customer are no more than one).
        rate: of responses among all, which sets the least size.
    """
    names, dense = np.unique(customer, return_inverse=True)
    rows, customers = len(outcome), len(names)
    if rows < least_rows(rate) or customers < LEAST_CUSTOMERS:
        return None
    count = min(most_bins, rows // LEAST_ROWS, customers // LEAST_CUSTOMERS)
    y = outcome.astype(np.float64)
    order = np.argsort(probability, kind="stable")
    parts = np.array_split(order, count)
    while count > 1 and min(len(np.unique(dense[part])) for part in parts) < LEAST_CUSTOMERS:
        count -= 1
        parts = np.array_split(order, count)
    bins = tuple(_bin(probability[part], y[part], customer[part], level) for part in parts)
    return Reliability(
        rows=rows,
        customers=customers,
        rate=float(y.mean()),
        predicted=float(probability.mean()),
        gap=estimate(Terms(float(probability.mean() - y.mean()), _centred(probability - y)), dense, level),
        log_loss=float(binary_log_losses(probability, outcome).mean()),
        error=_weighted([abs(each.predicted - each.seen) for each in bins], bins),
        chance=_weighted([sqrt(2 * each.predicted * (1 - each.predicted) / (pi * each.rows)) for each in bins], bins),
        bins=bins,
    )


def _centred(values: Floats) -> Floats:
    return np.asarray(values - values.mean())


def _bin(probability: Floats, outcome: Floats, customer: Ints, level: float) -> Bin:
    seen = float(outcome.mean())
    n, z = len(np.unique(customer)), float(norm.ppf(0.5 + level / 2))
    centre = (seen + z * z / (2 * n)) / (1 + z * z / n)
    reach = z / (1 + z * z / n) * sqrt(seen * (1 - seen) / n + z * z / (4 * n * n))
    return Bin(len(outcome), float(probability.mean()), seen, max(0.0, centre - reach), min(1.0, centre + reach))


def _weighted(values: Sequence[float], bins: Sequence[Bin]) -> float:
    rows = np.array([each.rows for each in bins])
    return float(np.array(values) @ rows / rows.sum())
