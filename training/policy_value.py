"""What a policy would have earned per decision, from a log of another; shows no number that the overlap cannot carry.

With w = 1[policy takes the logged action] / propensity, reward r in EUR, and q(a) a model's expected reward:

    SNIPS  Σ w r / Σ w                                        (Swaminathan & Joachims, 2015)
    DR     mean of q(policy) + w (r − q(logged))              (Dudík, Langford & Li, 2011)

Intervals are normal, with standard errors clustered by customer. Assumed: propensities are right, and every action of
the policy had a chance where it matters; the gate below checks what the log itself can say about that.
"""

from dataclasses import dataclass

import numpy as np
from scipy.stats import norm

from models.artefact import Floats, Ints
from models.calibration import clustered_mean

# The gate. Below this effective sample size a normal interval is not to be trusted; above these shares a handful of
# decisions, or decisions that the log never covers, would make the number.
LEAST_EFFECTIVE_SIZE = 100.0
MOST_TAIL_SHARE = 0.5
MOST_UNSUPPORTED = 0.2


@dataclass(frozen=True)
class LoggedRewards:
    """Held-out decisions: action, customer (n,), propensity of the action taken and reward in EUR (n,)."""

    action: Ints
    customer: Ints
    propensity: Floats
    reward: Floats


@dataclass(frozen=True)
class Estimate:
    """EUR per decision, with its interval."""

    value: float
    lower: float
    upper: float


@dataclass(frozen=True)
class PolicyValue:
    """A policy's value, or the reasons why the log carries none.

    effective_size: (Σ w)² / Σ w²; tail_share: part of Σ w that the largest 1 % of the matching decisions hold;
    unsupported: share of decisions at which the policy's action seems to have had no chance, 1 − mean w.
    """

    name: str
    refused: tuple[str, ...]
    effective_size: float
    tail_share: float
    unsupported: float
    matching: int
    snips: Estimate | None
    doubly_robust: Estimate | None


def policy_value(name: str, log: LoggedRewards, chosen: Ints, expected: Floats, level: float) -> PolicyValue:
    """The value of a policy that takes `chosen` (n,) at every logged decision.

    Args:
        name: of the policy.
        log: the decisions; those without a propensity are not looked at.
        chosen: (n,), the policy's action at each decision.
        expected: (n, n_actions), EUR that a model expects of each action; any model keeps DR unbiased.
        level: coverage of the intervals.
    """
    known = np.flatnonzero(np.isfinite(log.propensity))
    action, chosen, reward, expected = log.action[known], chosen[known], log.reward[known], expected[known]
    cluster = np.unique(log.customer[known], return_inverse=True)[1]
    weight = np.where(action == chosen, 1 / log.propensity[known], 0.0)
    size, tail, unsupported = _overlap(weight)
    refused = _refusals(len(known), size, tail, unsupported)
    snips = robust = None
    if not refused:
        rows = np.arange(len(known))
        score = expected[rows, chosen] + weight * (reward - expected[rows, action])
        snips = _estimate(reward, weight, cluster, level)
        robust = _estimate(score, np.ones(len(score)), cluster, level)
    return PolicyValue(name, refused, size, tail, unsupported, int((weight > 0).sum()), snips, robust)


def _overlap(weight: Floats) -> tuple[float, float, float]:
    positive = np.sort(weight[weight > 0])[::-1]
    if len(positive) == 0:
        return 0.0, 1.0, 1.0
    total = positive.sum()
    top = positive[: max(1, len(positive) // 100)].sum()
    return float(total**2 / (positive @ positive)), float(top / total), float(max(0.0, 1 - weight.mean()))


def _refusals(decisions: int, size: float, tail: float, unsupported: float) -> tuple[str, ...]:
    if decisions == 0:
        return ("no propensities are logged",)
    faults = []
    if size < LEAST_EFFECTIVE_SIZE:
        faults.append(f"effective sample size {size:.0f} is below {LEAST_EFFECTIVE_SIZE:.0f}")
    if tail > MOST_TAIL_SHARE:
        faults.append(f"the largest 1 % of weights hold {tail:.0%} of the mass, above {MOST_TAIL_SHARE:.0%}")
    if unsupported > MOST_UNSUPPORTED:
        faults.append(f"the log covers no such choice in {unsupported:.0%} of decisions, above {MOST_UNSUPPORTED:.0%}")
    return tuple(faults)


def _estimate(value: Floats, weight: Floats, cluster: Ints, level: float) -> Estimate:
    mean, error = clustered_mean(value, weight, cluster)
    clusters = int(cluster.max()) + 1
    # One degree of freedom goes to the mean.
    reach = float(norm.ppf(0.5 + level / 2)) * error * float(np.sqrt(clusters / max(1, clusters - 1)))
    return Estimate(mean, mean - reach, mean + reach)
