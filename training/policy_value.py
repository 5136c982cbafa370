"""What policies would have earned per decision, from a log of another; shows no number that the overlap cannot carry.

Every policy is valued by all estimators of `off_policy`. DR is the one to read: right on average whatever the model
says, with intervals that hold as often as they say. Shrunk DR and switch-DR, tuned by SLOPE, and DM are steadier, and
may be off by more than their intervals, which know of noise alone. Differences between policies are taken row by row,
on the same decisions, so that what both earn alike does not blur them.

Assumed: propensities are right, and every action of the policy had a chance where it matters; the gate below checks
what the log itself can say about that.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Final

import numpy as np

from models.artefact import Floats, Ints
from training.off_policy import Estimate, PolicyLog, Terms, direct, doubly_robust, estimate, ips, snips
from training.off_policy_tuning import tuned_shrunk, tuned_switch

DR: Final = "doubly robust"
SHRUNK, SWITCH, SNIPS, IPS, DM = "shrunk DR", "switch-DR", "SNIPS", "IPS", "direct method"

# The gate. Below this effective number of customers an interval is not to be trusted; above these shares a handful of
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
class PolicyValue:
    """A policy's value in EUR per decision, or the reasons why the log carries none.

    effective_size: (Σ W)² / Σ W² over the customers' summed weights W (Kish, 1965); tail_share: part of Σ w that the
    largest 1 % of the matching decisions hold; unsupported: share of decisions at which the policy's action seems to
    have had no chance, 1 − mean w; matching: decisions at which the log took it; estimates: by estimator, empty where
    refused; tuned: λ and τ that were taken, None for infinity (DR itself); lead: how much more the first policy of all
    earns than this one, by DR.
    """

    name: str
    refused: tuple[str, ...]
    effective_size: float
    tail_share: float
    unsupported: float
    matching: int
    estimates: Mapping[str, Estimate] = field(default_factory=dict)
    tuned: Mapping[str, float | None] = field(default_factory=dict)
    lead: Estimate | None = None

    @property
    def doubly_robust(self) -> Estimate | None:
        """The estimate to read."""
        return self.estimates.get(DR)


def policy_values(
    log: LoggedRewards, policies: Mapping[str, Ints], expected: Floats, level: float
) -> tuple[PolicyValue, ...]:
    """The value of every policy; the first is the one that the others are compared with.

    Args:
        log: the decisions; those without a propensity are not looked at.
        policies: by name, (n,), the action that the policy takes at each decision.
        expected: (n, n_actions), EUR that a model expects of each action; any model keeps DR unbiased.
        level: coverage of the intervals.
    """
    found: list[PolicyValue] = []
    first: Terms | None = None
    for place, (name, chosen) in enumerate(policies.items()):
        known = _known(log, chosen, expected)
        if known is None:
            found.append(PolicyValue(name, ("no propensities are logged",), 0.0, 1.0, 1.0, 0))
            continue
        value, terms = _valued(name, known, level)
        if place == 0:
            first = terms
        elif first is not None and terms is not None:
            lead = Terms(first.value - terms.value, first.influence - terms.influence)
            value = replace(value, lead=estimate(lead, known.clusters, level))
        found.append(value)
    return tuple(found)


def _known(log: LoggedRewards, chosen: Ints, expected: Floats) -> PolicyLog | None:
    """The decisions with a propensity, as the estimators take them."""
    rows = np.flatnonzero(np.isfinite(log.propensity))
    if len(rows) == 0:
        return None
    policy = np.zeros((len(rows), expected.shape[1]))
    policy[np.arange(len(rows)), chosen[rows]] = 1.0
    return PolicyLog(
        log.reward[rows], log.action[rows], log.propensity[rows], policy, expected[rows], log.customer[rows]
    )


def _valued(name: str, log: PolicyLog, level: float) -> tuple[PolicyValue, Terms | None]:
    size, tail, unsupported = overlap(log)
    refused = _refusals(size, tail, unsupported)
    value = PolicyValue(name, refused, size, tail, unsupported, int((log.weight > 0).sum()))
    if refused:
        return value, None
    shrunk, switch = tuned_shrunk(log), tuned_switch(log)
    robust = doubly_robust(log)
    terms = {DR: robust, SHRUNK: shrunk.terms, SWITCH: switch.terms, SNIPS: snips(log), IPS: ips(log), DM: direct(log)}
    estimates = {each: estimate(found, log.clusters, level) for each, found in terms.items()}
    taken = {SHRUNK: shrunk.parameter, SWITCH: switch.parameter}
    tuned = {each: None if np.isinf(parameter) else parameter for each, parameter in taken.items()}
    return replace(value, estimates=estimates, tuned=tuned), robust


def overlap(log: PolicyLog) -> tuple[float, float, float]:
    """Effective size, tail share and unsupported share, as `PolicyValue` explains them."""
    positive = np.sort(log.weight[log.weight > 0])[::-1]
    if len(positive) == 0:
        return 0.0, 1.0, 1.0
    total = positive.sum()
    top = positive[: max(1, len(positive) // 100)].sum()
    sums = np.bincount(log.clusters, weights=log.weight)
    return float(total**2 / (sums @ sums)), float(top / total), float(max(0.0, 1 - log.weight.mean()))


def _refusals(size: float, tail: float, unsupported: float) -> tuple[str, ...]:
    faults = []
    if size < LEAST_EFFECTIVE_SIZE:
        faults.append(f"effective sample size {size:.0f} is below {LEAST_EFFECTIVE_SIZE:.0f} customers")
    if tail > MOST_TAIL_SHARE:
        faults.append(f"the largest 1 % of weights hold {tail:.0%} of the mass, above {MOST_TAIL_SHARE:.0%}")
    if unsupported > MOST_UNSUPPORTED:
        faults.append(f"the log covers no such choice in {unsupported:.0%} of decisions, above {MOST_UNSUPPORTED:.0%}")
    return tuple(faults)
