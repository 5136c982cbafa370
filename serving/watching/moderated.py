"""Whether a change is larger than changes used to be, from few periods and many columns; knows no data.

Every column g has m differences between reference periods that lie as far apart (`lag` periods) as the newest one lies
from the last of them. With their mean and variance s² the newest difference x gives Smyth's moderated t

    t = (x − mean) / (s̃ √(1 + 1/e)),   s̃² = (d₀ s₀² + d s²) / (d₀ + d)

on d₀ + d degrees of freedom (Smyth 2004, "Linear models and empirical Bayes methods", section 3): variances are drawn
towards the one that the columns share, so that one that is small by chance raises no alarm. Differences over `lag`
periods overlap: m of them count as e = max(2, m / lag). d₀ is held below 10, since columns that move together say less
of each other's variance than independent ones.

Whatever is tested together goes through Holm (1979), which needs no independence.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt
from scipy.special import digamma, polygamma
from scipy.stats import t as student

Floats = npt.NDArray[np.float64]

_MOST_PRIOR: Final = 10.0
_LEAST_VARIANCE: Final = 1e-12
_LEAST_SHARE: Final = 0.05


@dataclass(frozen=True)
class Moderated:
    """Of G columns, arrays (G,): t, its two-sided and upper-tail probability, and the difference that was expected."""

    t: Floats
    p_two_sided: Floats
    p_larger: Floats
    expected: Floats


def moderated(newest: Floats, reference: Floats, lag: int) -> Moderated:
    """Tests each newest difference (G,) against reference ones (G, m), m at least 3, `lag` periods apart.

    >>> usual = np.random.default_rng(0).normal(0.0, 1.0, (50, 9))
    >>> found = moderated(np.array([8.0] + [0.0] * 49), usual, 1)
    >>> bool(found.p_two_sided[0] < 1e-4), bool(found.p_two_sided[1] > 0.05)
    (True, True)
    """
    m = reference.shape[1]
    counted = max(2.0, m / lag)
    freedom = counted - 1
    mean = reference.mean(axis=1)
    variance = raised(reference.var(axis=1, ddof=1))
    prior, prior_freedom = shrinkage(variance, freedom)
    pooled = (prior_freedom * prior + freedom * variance) / (prior_freedom + freedom)
    value = (newest - mean) / np.sqrt(pooled * (1 + 1 / counted))
    total = prior_freedom + freedom
    return Moderated(value, 2 * student.sf(np.abs(value), total), student.sf(value, total), mean)


def raised(variance: Floats) -> Floats:
    """Variances (G,), those far below the median raised to a twentieth of it.

    A column that never moved would otherwise loosen what the others are drawn to (Phipson et al. 2016 winsorise too).
    """
    return np.maximum(variance, max(_LEAST_VARIANCE, _LEAST_SHARE * float(np.median(variance))))


def shrinkage(variance: Floats, freedom: float) -> tuple[float, float]:
    """s₀² and d₀ of variances (G,) with `freedom` each: Smyth 2004, section 6.2, by the moments of log s²."""
    log = np.log(variance)
    centred = log - digamma(freedom / 2) + np.log(freedom / 2)
    mean = float(centred.mean())
    excess = float(centred.var(ddof=1)) - float(polygamma(1, freedom / 2)) if len(variance) > 1 else 0.0
    if excess <= 0:
        return float(np.exp(mean)), _MOST_PRIOR
    own = min(_MOST_PRIOR, 2 * _trigamma_inverse(excess))
    return float(np.exp(mean + digamma(own / 2) - np.log(own / 2))), own


def _trigamma_inverse(y: float) -> float:
    """X with trigamma(x) = y, by Newton steps on 1 / trigamma (Smyth 2004, appendix)."""
    x = 0.5 + 1 / y
    for _ in range(50):
        found = float(polygamma(1, x))
        step = found * (1 - found / y) / float(polygamma(2, x))
        x += step
        if -step / x < 1e-8:
            break
    return x


def holm(p: Floats) -> Floats:
    """Adjusted probabilities (n,) that hold the chance of any false alarm (Holm 1979).

    >>> holm(np.array([0.01, 0.04, 0.03])).round(2).tolist()
    [0.03, 0.06, 0.06]
    """
    order = np.argsort(p, kind="stable")
    steps = np.maximum.accumulate(p[order] * np.arange(len(p), 0, -1))
    found = np.empty(len(p))
    found[order] = np.minimum(steps, 1.0)
    return found


def discoveries(p: Floats) -> Floats:
    """Adjusted probabilities (n,) that hold the expected share of false finds (Benjamini, Hochberg 1995).

    >>> discoveries(np.array([0.01, 0.04, 0.03])).round(2).tolist()
    [0.03, 0.04, 0.04]
    """
    order = np.argsort(p, kind="stable")
    scaled = p[order] * len(p) / np.arange(1, len(p) + 1)
    found = np.empty(len(p))
    found[order] = np.minimum(np.minimum.accumulate(scaled[::-1])[::-1], 1.0)
    return found
