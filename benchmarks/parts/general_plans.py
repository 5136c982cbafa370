"""Random audiences with limits of groups and campaigns and several contacts a customer; solves nothing."""

import numpy as np

from contract.params import PlanLimit
from serving.allocation import offers_of
from serving.demand import Offers
from serving.hashing import Hashes, mixed
from serving.limit_table import Groups, LimitTable, limit_table
from serving.limits import NO_CAPACITY, Limits
from serving.sets import several_contacts, single_contact

UNIT_EUR = np.array([0.002, 0.06, 0.0005, 2.5, 0.85, 0.03, 0.4, 1.2])
"""EUR a contact on each of eight channels."""

REGIONS = np.array(["north", "east", "south"], dtype=object)
SHIFTS = np.array(["early", "late"], dtype=object)
MOMENT_H, GAP_H = 30.0, 48.0
"""Hours between the campaigns' moments: neighbours are nearer than the gap, the others are not."""


def general_instance(
    n: int, seed: int, channels: int = 4, campaigns: int = 1, contacts: int = 1, tight: bool = False
) -> tuple[Offers, LimitTable, Hashes]:
    """Offers, limits and ties of n customers in three regions and two shifts.

    Budget, capacities and minimums of channels, groups and campaigns bind; `tight` draws bounds of a few contacts, of
    which some clash.
    """
    rng = np.random.default_rng(seed)
    k = channels * campaigns
    unit = np.tile(UNIT_EUR[:channels], campaigns)
    worth = rng.gamma(1.5, 0.6, (n, 1)) * rng.gamma(1.2, 0.5, (n, k))
    taste = np.linspace(0.6, 1.6, channels) * np.sqrt(unit[:channels] / UNIT_EUR.mean() + 0.3)
    gain = worth * np.tile(taste, campaigns) - unit
    gain[rng.random((n, k)) < 0.3] = -np.inf
    groups = Groups({"region": rng.choice(REGIONS, n), "shift": rng.choice(SHIFTS, n)})
    names = tuple(f"campaign{each}" for each in range(campaigns))
    limits = _limits(rng, n, channels, names, 1.0 if tight else 0.0)
    table, segment = limit_table(limits, names, groups)
    campaign = np.repeat(np.arange(campaigns), channels)
    rules = single_contact(k)._replace(campaign=campaign, moment=np.zeros(campaigns))
    if contacts > 1:
        rules = several_contacts(contacts, campaign, MOMENT_H * np.arange(campaigns, dtype=np.float64), GAP_H, 0.6)
    return offers_of(gain, unit[None, :], segment, rules), table, mixed(np.arange(n, dtype=np.uint64) + np.uint64(seed))


def _limits(rng: np.random.Generator, n: int, channels: int, campaigns: tuple[str, ...], more: float) -> Limits:
    """Bounds in proportion to n, and up to `more` contacts on top."""

    def contacts(low: float, high: float) -> int:
        return int(rng.uniform(low, high) * n + rng.uniform(0, more * n))

    names = tuple(f"channel{each}" for each in range(channels))
    capacity = np.full(channels, NO_CAPACITY)
    capped = rng.random(channels) < 0.4
    capacity[capped] = [contacts(0.05, 0.3) for _ in range(int(capped.sum()))]
    further = [
        PlanLimit(channel=str(rng.choice(names)), group={"region": "north"}, at_most=contacts(0.01, 0.08)),
        PlanLimit(channel=str(rng.choice(names)), group={"shift": "late"}, at_least=contacts(0.0, 0.04)),
        PlanLimit(group={"region": "south", "shift": "early"}, at_most=contacts(0.03, 0.1)),
        PlanLimit(group={"region": "east"}, budget_eur=float(rng.uniform(0.02, 0.1) * n)),
        PlanLimit(campaign=campaigns[-1], at_least=contacts(0.0, 0.1)),
        PlanLimit(campaign=campaigns[0], budget_eur=float(rng.uniform(0.05, 0.3) * n)),
    ]
    chosen = tuple(each for each in further if rng.random() < 0.7)
    return Limits(names, float(rng.uniform(0.1, 0.5) * n), capacity, np.zeros(channels, dtype=np.int64), chosen)
