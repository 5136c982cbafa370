"""How far apart two distributions over the same bins are, and how far chance alone puts samples; decides nothing.

Jensen-Shannon divergence in nats (Lin 1991). For close distributions it is an eighth of Σ (p − q)² / m, so two samples
of n₁ and n₂ rows over K bins lie (K − 1) / 8 (1 / n₁ + 1 / n₂) apart by chance, on average.
"""

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]


def shares(counts: Floats) -> Floats:
    """Counts (…, K) as shares; an empty row stays empty."""
    total = counts.sum(axis=-1, keepdims=True)
    return np.asarray(np.divide(counts, total, out=np.zeros_like(counts), where=total > 0))


def divergence(first: Floats, second: Floats) -> Floats:
    """Jensen-Shannon divergence of counts (…, K), nats, in [0, log 2].

    >>> float(divergence(np.array([1.0, 0.0]), np.array([0.0, 1.0])).round(3))
    0.693
    """
    p, q = shares(first), shares(second)
    middle = (p + q) / 2

    def relative(each: Floats) -> Floats:
        ratio = np.divide(each, middle, out=np.ones_like(each), where=each > 0)
        return np.asarray((each * np.log(ratio)).sum(axis=-1))

    return np.maximum((relative(p) + relative(q)) / 2, 0.0)


def chance(first: Floats, second: Floats) -> Floats:
    """The divergence that two samples (…, K) of one distribution have on average."""
    used = np.maximum(((first + second) > 0).sum(axis=-1) - 1, 1)
    return np.asarray(used / 8 * (1 / np.maximum(first.sum(axis=-1), 1) + 1 / np.maximum(second.sum(axis=-1), 1)))


def moved(first: Floats, second: Floats) -> Floats:
    """Share that lies in other bins than before: total variation, in [0, 1].

    >>> float(moved(np.array([3.0, 1.0]), np.array([1.0, 1.0])))
    0.25
    """
    return np.asarray(np.abs(shares(first) - shares(second)).sum(axis=-1) / 2)
