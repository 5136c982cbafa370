"""The limits of a plan as they are declared: budget, capacities and minimums; chooses nobody and checks no audience."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from contract.errors import UsageError
from contract.params import Params, PlanLimit
from serving.sets import Counts, Floats

NO_CAPACITY = 2**62
"""Stands for "as many as there are"; below the int64 range, so that sums of a few of them do not overflow it."""

BUDGET_SLACK = 1e-9
"""Relative: three contacts of 0.1 EUR fit a budget of 0.3 EUR, whatever binary fractions say."""


@dataclass(frozen=True)
class Limits:
    """What a plan must hold, over k channels.

    channels: their names, in the order of the columns of every (n, k) array.
    budget_eur: EUR for all contacts at most; `inf` is no limit.
    capacity, minimum: (k,) int64 contacts at most (`NO_CAPACITY` is no limit) and at least, per channel.
    further: limits of groups of customers, and of single campaigns.
    """

    channels: tuple[str, ...]
    budget_eur: float
    capacity: Counts
    minimum: Counts
    further: tuple[PlanLimit, ...] = ()

    @property
    def spendable_eur(self) -> float:
        """The budget with the slack that binary fractions need."""
        return float(with_slack(np.array(self.budget_eur)))

    @property
    def group_columns(self) -> tuple[str, ...]:
        """The columns of the customers that the limits name."""
        return tuple(sorted({column for each in self.further for column in each.group}))


def unlimited(channels: tuple[str, ...]) -> Limits:
    """No limit at all."""
    k = len(channels)
    return Limits(channels, np.inf, np.full(k, NO_CAPACITY), np.zeros(k, dtype=np.int64))


def with_slack(eur: Floats) -> Floats:
    """EUR with the slack that binary fractions need."""
    return eur + BUDGET_SLACK * np.maximum(1.0, eur)


def limits_of(
    params: Params,
    budget_eur: float | None = None,
    capacities: Mapping[str, int] | None = None,
    minimums: Mapping[str, int] | None = None,
) -> Limits:
    """The limits of `params.planning`, each replaced where the caller gives one; channels are `params.outbound`.

    Raises:
        UsageError: for a channel that is not outbound, a negative number or one that is not finite.
    """
    planning = params.planning
    budget = planning.budget_eur if budget_eur is None else budget_eur
    capacity = {**planning.capacities, **(capacities or {})}
    minimum = {**planning.minimums, **(minimums or {})}
    faults = [
        f"{option} {name}={count}: '{name}' is no outbound channel; those are {', '.join(params.outbound)}"
        for option, given in (("capacity", capacity), ("minimum", minimum))
        for name, count in given.items()
        if name not in params.outbound
    ]
    faults += [
        f"{option} {name}={count}: a count of contacts cannot be negative"
        for option, given in (("capacity", capacity), ("minimum", minimum))
        for name, count in given.items()
        if count < 0
    ]
    if budget is not None and not 0 <= budget < np.inf:
        faults.append(f"budget {budget}: expected EUR, at least 0 and finite; leave it out for no limit")
    faults += _faults_of_further(planning.limits, params.outbound)
    if faults:
        raise UsageError("; ".join(faults))
    return Limits(
        params.outbound,
        np.inf if budget is None else float(budget),
        np.array([capacity.get(name, NO_CAPACITY) for name in params.outbound], dtype=np.int64),
        np.array([minimum.get(name, 0) for name in params.outbound], dtype=np.int64),
        tuple(planning.limits),
    )


def _faults_of_further(limits: Sequence[PlanLimit], outbound: tuple[str, ...]) -> list[str]:
    return [
        f"planning.limits[{place}]: '{each.channel}' is no outbound channel; those are {', '.join(outbound)}"
        for place, each in enumerate(limits)
        if each.channel is not None and each.channel not in outbound
    ]
