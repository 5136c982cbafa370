"""Estimators of what a policy would have earned per decision, from a log of another; gates nothing and shows nothing.

With w = π(a | x) / p of the logged action a, its propensity p and reward r, and a model's expected reward q:

    IPS        mean of w r                                            Horvitz & Thompson, 1952
    SNIPS      Σ w r / Σ w                                            Swaminathan & Joachims, 2015
    DM         mean of q(π) = Σ_b π(b | x) q(x, b)
    DR         mean of q(π) + w (r − q(a))                             Dudík, Langford & Li, 2011
    switch-DR  DR with w only where w ≤ τ, else 0                      Wang, Agarwal & Dudík, 2017
    shrunk DR  DR with λ w / (w² + λ) in place of w (DRos)             Su, Dimakopoulou, Krishnamurthy & Dudík, 2020

IPS, SNIPS and DR are right on average, or nearly, for any q where p is right; DM, switch-DR and shrunk DR trade some of
that for less noise. `tuned` lets the data make that trade.

>>> import numpy as np
>>> log = PolicyLog(
...     reward=np.array([1.0, 0.0, 1.0]), action=np.array([0, 1, 1]), propensity=np.array([0.5, 0.5, 0.5]),
...     policy=np.array([[0.0, 1.0]] * 3), predicted=np.zeros((3, 2)), cluster=np.array([0, 1, 2]))
>>> snips(log).value, doubly_robust(log).value == ips(log).value
(0.5, True)
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from scipy.stats import t as student

from contract.errors import UsageError
from models.artefact import Floats, Ints


@dataclass(frozen=True, eq=False)
class PolicyLog:
    """n logged decisions over k actions, and the policy to be valued.

    reward: (n,), any unit; action: (n,), in [0, k); propensity: (n,), in (0, 1], of the logged action; policy: (n, k),
    the probabilities of the policy, rows sum to one; predicted: (n, k), the reward that a model expects of each action,
    fitted on other rows; cluster: (n,), rows of one cluster (customer) may depend on each other.
    """

    reward: Floats
    action: Ints
    propensity: Floats
    policy: Floats
    predicted: Floats
    cluster: Ints

    def __post_init__(self) -> None:
        faults = _faults(self)
        if faults:
            raise UsageError("policy log: " + "; ".join(faults))

    def __len__(self) -> int:
        return len(self.reward)

    @cached_property
    def weight(self) -> Floats:
        """(n,), π(a | x) / p of the logged action."""
        return np.asarray(self.policy[np.arange(len(self)), self.action] / self.propensity)

    @cached_property
    def residual(self) -> Floats:
        """(n,), r − q(a)."""
        return self.reward - self.predicted[np.arange(len(self)), self.action]

    @cached_property
    def modelled(self) -> Floats:
        """(n,), q(π)."""
        result: Floats = np.einsum("ij,ij->i", self.policy, self.predicted)
        return result

    @cached_property
    def clusters(self) -> Ints:
        """(n,), the clusters numbered from 0 without gaps."""
        return np.unique(self.cluster, return_inverse=True)[1]


@dataclass(frozen=True, eq=False)
class Terms:
    """A value and each row's influence on it, (n,): n times the derivative by the row's weight; they sum to zero."""

    value: float
    influence: Floats


@dataclass(frozen=True)
class Estimate:
    """A value in the unit of the rewards, with its standard error and interval."""

    value: float
    error: float
    lower: float
    upper: float


def ips(log: PolicyLog) -> Terms:
    """Inverse propensity score weighting."""
    return _mean(log.weight * log.reward)


def snips(log: PolicyLog) -> Terms:
    """Self-normalised IPS: the weights' own sum stands for n. NaN where the log never took what the policy takes."""
    total = log.weight.sum()
    if total == 0:
        return Terms(float("nan"), np.full(len(log), np.nan))
    value = float(log.weight @ log.reward / total)
    return Terms(value, log.weight * (log.reward - value) * (len(log) / total))


def direct(log: PolicyLog) -> Terms:
    """The direct method: what the model says, without a look at the rewards."""
    return _mean(log.modelled)


def doubly_robust(log: PolicyLog) -> Terms:
    """The model, corrected by the weighted residuals."""
    return _corrected(log, log.weight)


def switch_dr(log: PolicyLog, threshold: float) -> Terms:
    """DR where the weight is at most `threshold` (τ ≥ 0), the model alone elsewhere."""
    return _corrected(log, np.where(log.weight <= threshold, log.weight, 0.0))


def shrunk_dr(log: PolicyLog, strength: float) -> Terms:
    """DR with shrunk weights; `strength` (λ ≥ 0): 0 is the direct method, infinity DR."""
    w = log.weight
    if np.isinf(strength):
        return _corrected(log, w)
    return _corrected(log, strength * w / np.maximum(w * w + strength, np.finfo(np.float64).tiny))


def estimate(terms: Terms, clusters: Ints, level: float) -> Estimate:
    """The value with an interval of coverage `level` that allows for dependence within clusters.

    The linearised variance Σ_g (Σ_{i∈g} influence_i)² / n², times G / (G − 1), with Student's t on G − 1 degrees of
    freedom for G clusters (Liang & Zeger, 1986). It knows of noise, not of a bias.

    Args:
        terms: of an estimator.
        clusters: (n,), numbered from 0 without gaps.
        level: in (0, 1).
    """
    error, count = standard_error(terms, clusters), int(clusters.max()) + 1
    reach = float(student.ppf(0.5 + level / 2, max(1, count - 1))) * error
    return Estimate(terms.value, error, terms.value - reach, terms.value + reach)


def standard_error(terms: Terms, clusters: Ints) -> float:
    """The clustered standard error of a value; infinite with a single cluster."""
    sums = np.bincount(clusters, weights=terms.influence)
    if len(sums) < 2:
        return float("inf")
    return float(np.sqrt(sums @ sums * len(sums) / (len(sums) - 1))) / len(clusters)


def _mean(values: Floats) -> Terms:
    value = float(values.mean())
    return Terms(value, values - value)


def _corrected(log: PolicyLog, weight: Floats) -> Terms:
    return _mean(log.modelled + weight * log.residual)


def _faults(log: PolicyLog) -> list[str]:
    n = len(log.reward)
    if log.policy.ndim != 2 or log.predicted.shape != log.policy.shape:
        return [
            f"policy and predicted have shapes {log.policy.shape} and {log.predicted.shape}; expected (n, k) of both"
        ]
    sizes = {name: len(vars(log)[name]) for name in ("action", "propensity", "policy", "cluster")}
    wrong = {name: size for name, size in sizes.items() if size != n}
    if n == 0 or wrong:
        return [f"{n} rewards, but {', '.join(f'{size} rows of {name}' for name, size in wrong.items()) or 'no row'}"]
    k = log.policy.shape[1]
    faults = []
    if log.action.min() < 0 or log.action.max() >= k:
        faults.append(f"action: found {log.action.min()} to {log.action.max()}; expected 0 to {k - 1}")
    if not np.all((log.propensity > 0) & (log.propensity <= 1)):
        faults.append("propensity: expected all in (0, 1]; leave out decisions that have none")
    if np.any(log.policy < 0) or not np.allclose(log.policy.sum(axis=1), 1, atol=1e-6):
        faults.append("policy: rows are no probabilities that sum to one")
    if not (np.all(np.isfinite(log.reward)) and np.all(np.isfinite(log.predicted))):
        faults.append("reward or predicted: holds what is no finite number")
    return faults
