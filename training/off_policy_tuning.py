"""Chooses how far an estimator of policy value gives up being unbiased for being steady; the data decide.

SLOPE (Su, Srinath & Krishnamurthy, 2020, "Adaptive estimator selection"; sorted by width as in SLOPE++, Tucker & Lee,
2021): candidates by descending width of their one-sided intervals c_i; the last one is taken whose value lies within
c_i + (√6 − 1) c_j of every wider candidate j before it. No bias is ever estimated: that a value has left the intervals
of the less biased ones shows it.

Smallest estimated error (Su, Dimakopoulou, Krishnamurthy & Dudík, 2020, section 5): squared estimated bias plus
variance, the bias as the mean of (w − ŵ)(r − q), by which the candidate differs from DR.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.stats import t as student

from models.artefact import Ints
from training.off_policy import PolicyLog, Terms, shrunk_dr, standard_error, switch_dr

_GRID = 30
_DELTA = 0.1


@dataclass(frozen=True, eq=False)
class Tuned:
    """What was chosen: the hyperparameter and its terms."""

    parameter: float
    terms: Terms


def strengths(log: PolicyLog) -> tuple[float, ...]:
    """λ of the shrunk DR to choose among: 0, infinity, and between them as Su et al. (2020) space them.

    That is 0.01 w₀.₀₅² to 100 w₀.₉₅², in equal ratios, quantiles over the weights above zero.
    """
    low, high = _quantiles(log)
    return (0.0, *np.geomspace(0.01 * low**2, 100 * high**2, _GRID).tolist(), float("inf"))


def thresholds(log: PolicyLog) -> tuple[float, ...]:
    """τ of the switch to choose among: 0, infinity, and w₀.₀₅ to w₀.₉₅ in equal ratios (Su et al., 2020)."""
    low, high = _quantiles(log)
    return (0.0, *np.geomspace(low, high, _GRID).tolist(), float("inf"))


def tuned_shrunk(log: PolicyLog) -> Tuned:
    """The shrunk DR with the λ that SLOPE takes."""
    found = strengths(log)
    return _taken(found, [shrunk_dr(log, each) for each in found], log)


def tuned_switch(log: PolicyLog) -> Tuned:
    """The switch-DR with the τ that SLOPE takes."""
    found = thresholds(log)
    return _taken(found, [switch_dr(log, each) for each in found], log)


def slope(candidates: Sequence[Terms], clusters: Ints, delta: float = _DELTA) -> int:
    """Which candidate SLOPE takes; each interval holds with probability 1 − `delta` on its one side."""
    value = np.array([each.value for each in candidates])
    quantile = float(student.ppf(1 - delta, max(1, int(clusters.max()))))
    width = quantile * np.array([standard_error(each, clusters) for each in candidates])
    # From the widest on; of equal ones the later first, as a stable sort turned round gives them.
    order = np.argsort(width)[::-1]
    reach = np.sqrt(6) - 1
    for place in range(1, len(order)):
        mine, wider = order[place], order[:place]
        if np.any(np.abs(value[wider] - value[mine]) > width[mine] + reach * width[wider]):
            return int(order[place - 1])
    return int(order[-1])


def smallest_error(candidates: Sequence[Terms], unbiased: Terms, clusters: Ints) -> int:
    """Which candidate has the smallest estimated squared bias plus variance; `unbiased` is what DR gives."""
    bias = np.array([each.value - unbiased.value for each in candidates])
    variance = np.array([standard_error(each, clusters) ** 2 for each in candidates])
    return int(np.argmin(bias**2 + variance))


def _taken(parameters: Sequence[float], candidates: Sequence[Terms], log: PolicyLog) -> Tuned:
    index = slope(candidates, log.clusters)
    return Tuned(parameters[index], candidates[index])


def _quantiles(log: PolicyLog) -> tuple[float, float]:
    positive = log.weight[log.weight > 0]
    if len(positive) == 0:
        return 1.0, 1.0
    low, high = np.quantile(positive, (0.05, 0.95))
    return float(low), float(high)
