"""The limits of a plan, and why some sets of them cannot be held; chooses nobody.

A set of limits clashes where no assignment of customers to channels holds all of them. The search goes from single
limits to larger sets, so that the message names a smallest set that cannot be held together.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import combinations

import numpy as np
import numpy.typing as npt

from contract.errors import RefusedError, UsageError
from contract.params import Params
from serving.demand import Counts, Floats

NO_CAPACITY = 2**62
"""Stands for "as many as there are"; below the int64 range, so that sums of a few of them do not overflow it."""

BUDGET_SLACK = 1e-9
"""Relative: three contacts of 0.1 EUR fit a budget of 0.3 EUR, whatever binary fractions say."""

MAX_CHANNELS_TO_COMBINE = 16


@dataclass(frozen=True)
class Limits:
    """What a plan must hold, over k channels.

    channels: their names, in the order of the columns of every (n, k) array.
    budget_eur: EUR for all contacts at most; `inf` is no limit.
    capacity, minimum: (k,) int64 contacts at most (`NO_CAPACITY` is no limit) and at least, per channel.
    """

    channels: tuple[str, ...]
    budget_eur: float
    capacity: Counts
    minimum: Counts

    @property
    def spendable_eur(self) -> float:
        """The budget with the slack that binary fractions need."""
        return self.budget_eur + BUDGET_SLACK * max(1.0, self.budget_eur)


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
    if faults:
        raise UsageError("; ".join(faults))
    return Limits(
        params.outbound,
        np.inf if budget is None else float(budget),
        np.array([capacity.get(name, NO_CAPACITY) for name in params.outbound], dtype=np.int64),
        np.array([minimum.get(name, 0) for name in params.outbound], dtype=np.int64),
    )


def require_feasible(eligible: npt.NDArray[np.bool_], cost: Floats, limits: Limits, who: str = "customers") -> None:
    """Passes where some assignment holds all limits, as far as eligibility and the cheapest costs tell.

    With one cost per channel the answer is exact; where costs differ within a channel, the budget is compared with
    the sum of each channel's cheapest contacts, a lower bound on what the minimums cost.

    Args:
        eligible: (n, k) who may be contacted on which channel.
        cost: (n, k) or (1, k) EUR a contact.
        limits: to be held.
        who: what the n rows are, for the message.

    Raises:
        RefusedError: naming a smallest set of limits that clash, the figures and the remedy.
    """
    for clash in _clashes(eligible, cost, limits, who):
        raise RefusedError(f"the limits cannot be held together: {clash}")


def minimums_cost_eur(eligible: npt.NDArray[np.bool_], cost: Floats, limits: Limits) -> Floats:
    """(k,) EUR that each channel's minimum costs at least: its cheapest eligible contacts."""
    result = np.zeros(len(limits.channels))
    for channel in np.flatnonzero(limits.minimum):
        if cost.shape[0] == 1:
            result[channel] = limits.minimum[channel] * cost[0, channel]
            continue
        open_costs = cost[eligible[:, channel], channel]
        count = min(int(limits.minimum[channel]), len(open_costs))
        result[channel] = np.partition(open_costs, count - 1)[:count].sum() if count else 0.0
    return result


def _clashes(eligible: npt.NDArray[np.bool_], cost: Floats, limits: Limits, who: str) -> Iterator[str]:
    yield from _above_capacity(limits)
    yield from _above_eligible(eligible, limits, who)
    yield from _above_budget(minimums_cost_eur(eligible, cost, limits), limits)


def _above_capacity(limits: Limits) -> Iterator[str]:
    for name, low, high in zip(limits.channels, limits.minimum, limits.capacity, strict=True):
        if low > high:
            yield f"minimum {name}={low} is above capacity {name}={high}; lower the minimum or raise the capacity"


def _above_eligible(eligible: npt.NDArray[np.bool_], limits: Limits, who: str) -> Iterator[str]:
    """Hall's theorem (1935): each customer serves one minimum, so any set of minimums needs as many open customers."""
    wanted = np.flatnonzero(limits.minimum)
    if not len(wanted):
        return
    patterns, counts = _patterns(eligible[:, wanted])
    largest = len(wanted) if len(wanted) <= MAX_CHANNELS_TO_COMBINE else 2
    for size in range(1, largest + 1):
        for chosen in combinations(range(len(wanted)), size):
            open_customers = int(counts[patterns[:, chosen].any(axis=1)].sum())
            need = int(limits.minimum[wanted[list(chosen)]].sum())
            if need > open_customers:
                named = _named(limits, wanted[list(chosen)])
                yield (
                    f"{named} {'needs' if size == 1 else 'together need'} {need:,} {who} who may be contacted there, "
                    f"but there are {open_customers:,}; lower {'it' if size == 1 else 'one of them'}"
                )


def _patterns(eligible: npt.NDArray[np.bool_]) -> tuple[npt.NDArray[np.bool_], Counts]:
    """The distinct rows of an (n, m) eligibility and how often each occurs."""
    width = eligible.shape[1]
    if width > MAX_CHANNELS_TO_COMBINE:
        rows, counts = np.unique(eligible, axis=0, return_counts=True)
        return rows, counts.astype(np.int64)
    codes = eligible.astype(np.int64) @ (1 << np.arange(width, dtype=np.int64))
    counts = np.bincount(codes, minlength=1 << width).astype(np.int64)
    return ((np.arange(1 << width)[:, None] >> np.arange(width)) & 1).astype(np.bool_), counts


def _above_budget(least: Floats, limits: Limits) -> Iterator[str]:
    if least.sum() <= limits.spendable_eur:
        return
    dearest = np.argsort(-least, kind="stable")
    size = int(np.argmax(np.cumsum(least[dearest]) > limits.spendable_eur)) + 1
    chosen = np.sort(dearest[:size])
    yield (
        f"{_named(limits, chosen)} {'needs' if size == 1 else 'together need'} {least[chosen].sum():,.2f} EUR but "
        f"the budget is {limits.budget_eur:,.2f} EUR; lower {'it' if size == 1 else 'one of them'} or raise the budget"
    )


def _named(limits: Limits, channels: Counts) -> str:
    names = [f"{limits.channels[channel]}={limits.minimum[channel]}" for channel in channels]
    return ("minimum " if len(names) == 1 else "minimums ") + " and ".join(names)
