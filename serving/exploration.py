"""Who is held out, who explores, and the exact probability of every action; knows no file and no model.

Roles come from one number per customer, uniform in [0, 1) by a hash of campaign, customer and seed: below
holdout_share the customer is held out, below holdout_share + explore_share it explores, else the plan decides. Roles
are thus reproducible, stay when the audience grows and are independent between campaigns.

Exactness while limits bind. The propensity of an action is its probability given everybody else's draws:

    P(a) = holdout·[a = none] + explore·π_i(a) + (1 − holdout − explore)·[a = plan_i]

π_i and plan_i must therefore not depend on the customer's own draw. Two things see to that. The limits are split
beforehand, by eligibility and costs alone: exploration gets a quota of each, the plan the rest. And within each part
customers are asked one after the other in an order that no role moves (serving.rounding); who is not in that part is
asked at the same turn and takes nothing. π_i is uniform over the customer's eligible channels where the quotas are no
hindrance; where a quota is short, its channel is thinned for all alike, and once used up it is closed for those
after. An inverse-propensity estimate over such propensities is unbiased: given the others, each term is.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace

import numba
import numpy as np
import numpy.typing as npt

from contract.params import Planning
from serving.demand import NO_CHANNEL, Actions, Counts, Floats, compact_cost, survey
from serving.dual import Prices, solve_prices
from serving.hashing import Hashes, salted, uniforms
from serving.limits import BUDGET_SLACK, NO_CAPACITY, Limits, minimums_cost_eur
from serving.rounding import round_choices

PLAN, EXPLORE, HOLDOUT, INELIGIBLE = range(4)
ROLES = ("plan", "explore", "holdout", "ineligible")

QUOTA_DEVIATIONS = 3.0
"""Standard deviations above the expected draws that an unhindered exploration may use, so that it rarely ends early."""

QUOTA_ROUND_OFF = 1e-11
"""Relative: the last draw of a quota must not fail on binary fractions."""

CAPACITY_DEVIATIONS = 1.0
BUDGET_DEVIATIONS = 0.3
"""Standard deviations by which the plan's prices let demand exceed its limits. The pass over customers cuts the least
decided, which costs less than room left unused where fewer than expected were drawn into the plan; the figures had the
smallest mean gap over simulated audiences of 20,000 and 200,000."""


@dataclass(frozen=True)
class Randomness:
    """What the draws of a campaign hang on: the shares, the most of any limit that exploration may use, the seed."""

    holdout_share: float
    explore_share: float
    explore_limit_share: float
    campaign: str
    seed: int

    @classmethod
    def of(cls, planning: Planning, campaign: str, seed: int) -> "Randomness":
        """As the parameters say."""
        return cls(planning.holdout_share, planning.explore_share, planning.explore_limit_share, campaign, seed)

    @property
    def plan_share(self) -> float:
        """The share whose action the plan decides."""
        return 1.0 - self.holdout_share - self.explore_share


@dataclass(frozen=True)
class Quota:
    """Exploration's part of the limits: contacts and EUR per channel (k,), and the thinning in [0, 1] that keeps it."""

    contacts: Counts
    eur: Floats
    weight: Floats


@dataclass(frozen=True)
class Decision:
    """What each of n customers gets, and with which probability it could have got what else.

    action: (n,) int16, -1 none. role: (n,) int8 index into `ROLES`. propensity: (n, k + 1), column 0 none, column
    c + 1 channel c; rows sum to one. planned: (n,) what the plan would choose for each. plan_share: its probability.
    """

    action: Actions
    role: npt.NDArray[np.int8]
    propensity: Floats
    planned: Actions
    plan_share: float = 1.0


@dataclass(frozen=True)
class Design:
    """All that is fixed before any draw: the split of the limits and the prices that rank the plan's choices."""

    quota: Quota
    plan_limits: Limits
    prices: Prices


def design(
    gain: Floats, cost: Floats, open_cells: npt.NDArray[np.bool_], limits: Limits, tie: Hashes, randomness: Randomness
) -> Design:
    """Splits the limits and prices the plan's part, from eligibility, gains and costs of all customers alone.

    Args:
        gain: (n, k) EUR net of cost; -inf where the customer may not be contacted.
        cost: (n, k) or (1, k) EUR.
        open_cells: (n, k) where the customer may be contacted.
        limits: of plan and exploration together.
        tie: (n,) uint64 hash of each customer.
        randomness: the shares.
    """
    quota = exploration_quota(open_cells, cost, limits, randomness)
    rest = replace(
        limits,
        budget_eur=limits.budget_eur - float(quota.eur.sum()),
        capacity=np.where(limits.capacity < NO_CAPACITY, limits.capacity - quota.contacts, NO_CAPACITY),
    )
    compact = compact_cost(cost, survey(gain, cost))
    prices = solve_prices(
        gain, compact, _for_everyone(rest, float(compact.max(initial=0.0)), randomness.plan_share), tie
    )
    return Design(quota, rest, prices)


def _for_everyone(limits: Limits, dearest: float, share: float) -> Limits:
    """Limits at which, if all customers were the plan's, the `share` that is would just exceed `limits`."""
    spread = 1.0 - share
    capacity = limits.capacity / share + CAPACITY_DEVIATIONS * np.sqrt(spread * limits.capacity / share)
    budget = limits.budget_eur
    if np.isfinite(budget):
        budget = budget / share + BUDGET_DEVIATIONS * np.sqrt(spread * budget / share * dearest)
    return replace(
        limits,
        budget_eur=budget,
        capacity=np.where(limits.capacity < NO_CAPACITY, np.ceil(capacity), NO_CAPACITY).astype(np.int64),
        minimum=np.ceil(limits.minimum / share).astype(np.int64),
    )


def exploration_quota(open_cells: npt.NDArray[np.bool_], cost: Floats, limits: Limits, randomness: Randomness) -> Quota:
    """Contacts and EUR per channel that exploration may use, and how far each channel is thinned for it.

    A channel is granted its expected draws and three standard deviations, but no more than the declared share of its
    capacity, nor what its minimum needs; of the budget, dear channels are cut to an equal amount each until all fit.
    """
    k = len(limits.channels)
    if randomness.explore_share == 0 or not len(open_cells):
        return Quota(np.zeros(k, dtype=np.int64), np.zeros(k), np.ones(k))
    width = open_cells.sum(axis=1)
    chance = np.divide(randomness.explore_share, width, out=np.zeros(len(width)), where=width > 0)
    expected = chance @ open_cells
    wanted = np.ceil(expected + QUOTA_DEVIATIONS * np.sqrt(expected))
    granted = np.where(
        limits.capacity < NO_CAPACITY, np.floor(limits.capacity * randomness.explore_limit_share), wanted
    )
    granted = np.minimum(np.minimum(wanted, granted), limits.capacity - limits.minimum)
    typical = _mean_cost(open_cells, cost)
    spare = limits.budget_eur - float(minimums_cost_eur(open_cells, cost, limits).sum())
    share_eur = limits.budget_eur * randomness.explore_limit_share if np.isfinite(limits.budget_eur) else np.inf
    allowed = max(0.0, min(spare, share_eur))
    eur = _level(granted * typical, allowed)
    paid = typical > 0
    affordable = np.divide(eur, typical, out=granted.copy(), where=paid)
    granted = np.where(paid, np.floor(affordable + BUDGET_SLACK), granted)
    usual = np.divide(granted, expected, out=np.zeros(k), where=expected > 0)
    return Quota(granted.astype(np.int64), granted * typical, np.minimum(1.0, usual))


def _mean_cost(open_cells: npt.NDArray[np.bool_], cost: Floats) -> Floats:
    if len(cost) == 1:
        unit: Floats = cost[0]
        return unit
    count = open_cells.sum(axis=0)
    mean: Floats = np.divide((cost * open_cells).sum(axis=0), count, out=np.zeros(len(count)), where=count > 0)
    return mean


def _level(amounts: Floats, total: float) -> Floats:
    """`amounts`, the largest cut to one level so that their sum is at most `total`."""
    if amounts.sum() <= total:
        return amounts
    rising = np.sort(amounts)
    below = np.concatenate([[0.0], np.cumsum(rising)[:-1]])
    levels = (total - below) / np.arange(len(amounts), 0, -1)
    first = int(np.argmax(levels <= rising))
    return np.minimum(amounts, max(0.0, levels[first]))


def _explore_in_order(
    order: Counts,
    open_cells: npt.NDArray[np.bool_],
    cost: Floats,
    weight: Floats,
    explores: npt.NDArray[np.bool_],
    draw: Floats,
    room: Counts,
    eur: Floats,
    chance: Floats,
    action: Actions,
) -> None:
    """Fills each customer's row of `chance` (none, channels) at its turn; those who explore draw and use the quota."""
    k = open_cells.shape[1]
    varies = 1 if cost.shape[0] > 1 else 0
    for position in range(len(order)):
        row = order[position]
        total = 0.0
        for channel in range(k):
            if open_cells[row, channel] and room[channel] > 0 and cost[row * varies, channel] <= eur[channel]:
                chance[row, channel + 1] = weight[channel]
                total += weight[channel]
        if total == 0.0:
            chance[row, 0] = 1.0
            continue
        below = 0.0
        choice = -1
        for channel in range(k):
            if chance[row, channel + 1] > 0.0:
                chance[row, channel + 1] /= total
                if below <= draw[row]:
                    choice = channel
                below += chance[row, channel + 1]
        if explores[row]:
            action[row] = choice
            room[choice] -= 1
            eur[choice] -= cost[row * varies, choice]


_explore: Callable[..., None] = numba.njit(nogil=True, cache=True, error_model="numpy")(_explore_in_order)


def draw_roles(tie: Hashes, eligible: npt.NDArray[np.bool_], randomness: Randomness) -> npt.NDArray[np.int8]:
    """(n,) int8 role of each customer, by its hash, the campaign and the seed; `eligible` (n,) on any channel."""
    number = uniforms(salted(tie, "role", randomness.campaign, randomness.seed))
    role = np.full(len(tie), PLAN, dtype=np.int8)
    role[number < randomness.holdout_share + randomness.explore_share] = EXPLORE
    role[number < randomness.holdout_share] = HOLDOUT
    role[~eligible] = INELIGIBLE
    return role


def decide(
    gain: Floats,
    cost: Floats,
    open_cells: npt.NDArray[np.bool_],
    tie: Hashes,
    fixed: Design,
    randomness: Randomness,
    roles: npt.NDArray[np.int8] | None = None,
) -> Decision:
    """Lets explorers and plan use their parts of the limits, and logs every action's probability.

    Arguments as in `design`, whose result is `fixed`; `roles` are those that `draw_roles` draws.
    """
    n, k = open_cells.shape
    role = draw_roles(tie, np.asarray(open_cells.any(axis=1)), randomness) if roles is None else roles
    compact = compact_cost(cost, survey(gain, cost))
    rounded = round_choices(gain, compact, fixed.plan_limits, fixed.prices, tie, role == PLAN, randomness.plan_share)
    chance = np.zeros((n, k + 1))
    explored = np.full(n, NO_CHANNEL, dtype=np.int16)
    if randomness.explore_share > 0:
        order = np.argsort(salted(tie, "explore order", randomness.campaign, randomness.seed), kind="stable")
        draw = uniforms(salted(tie, "explore draw", randomness.campaign, randomness.seed))
        eur = fixed.quota.eur * (1.0 + QUOTA_ROUND_OFF)
        _explore(
            order,
            open_cells,
            compact,
            fixed.quota.weight,
            role == EXPLORE,
            draw,
            fixed.quota.contacts.copy(),
            eur,
            chance,
            explored,
        )
    propensity = chance * randomness.explore_share
    propensity[:, 0] += randomness.holdout_share
    propensity[np.arange(n), rounded.action + 1] += randomness.plan_share
    propensity[role == INELIGIBLE] = 0.0
    propensity[role == INELIGIBLE, 0] = 1.0
    action = np.where(role == PLAN, rounded.action, np.where(role == EXPLORE, explored, NO_CHANNEL)).astype(np.int16)
    return Decision(action, role, propensity, rounded.action, randomness.plan_share)
