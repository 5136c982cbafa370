"""The exact probability of every action while all limits bind; knows no file and no model.

The propensity of an action is its probability given everybody else's draws. For customer i and campaign c, with x_ic
the probability to explore there and w_iq that of state q (`serving.roles`):

    P_c(a) = x_ic·π_ic(a) + Σ_q w_iq·[a is among what the plan answers i in state q]
    P_c(none) = the rest: control group, held out, exploring elsewhere, and the states in which c gets nothing

π and the plan's answers must therefore not depend on the customer's own draw. Two things see to that. The limits are
split beforehand, by eligibility, gains and costs alone: each campaign's exploration gets a quota of each, the plan the
rest. And within each part customers are asked one after the other in an order that no role moves, in all states at once
(serving.turns); who is not in that part is asked at the same turn and takes nothing. π_ic is uniform over the
customer's eligible channels, or follows the intervals (serving.thompson), where the quotas are no hindrance; where a
quota is short, its channels are thinned for all alike, and once used up they are closed for those after. An
inverse-propensity estimate over such propensities is unbiased: given the others, each term is. With several contacts
a customer, each contact's propensity is the probability that it is among the customer's contacts.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numba
import numpy as np
import numpy.typing as npt

from serving.demand import Offers
from serving.dual import solve_prices
from serving.hashing import Hashes, salted, uniforms
from serving.limit_table import LimitTable
from serving.quotas import Quota, exploration_quota, no_quota
from serving.roles import NO_STATE, Drawn, Randomness, draw_roles, explore_chance, state_chance
from serving.rounding import Joining, round_choices
from serving.sets import NO_CHANNEL, Actions, Counts, Floats
from serving.turns import Ledger, is_open, take

QUOTA_ROUND_OFF = 1e-11
"""Relative: the last draw of a quota must not fail on binary fractions."""

CAPACITY_DEVIATIONS = 1.0
BUDGET_DEVIATIONS = 0.3
"""Standard deviations by which the plan's prices let demand exceed its limits. The pass over customers cuts the least
decided, which costs less than room left unused where fewer than expected were drawn into the plan; the figures had the
smallest mean gap over simulated audiences of 20,000 and 200,000."""

Weights = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Explored:
    """picks: (n, m) options that those who explore drew. chance: for each campaign (n, options + 1) probabilities, the
    last of no contact, were the customer to explore there; none where nobody does.
    """

    picks: Actions
    chance: tuple[Floats, ...]


@dataclass(frozen=True)
class Drawing:
    """What each of n customers gets, and with which probability it could have got what else.

    picks: (n, m) options, -1 none. drawn: the roles; actual: (n,) state of each customer. answers: (n, Q, m) what the
    plan would choose in each state. chance: (n, k) probability of each option, none: (n, campaigns) of no contact in
    a campaign.
    """

    picks: Actions
    drawn: Drawn
    actual: npt.NDArray[np.int8]
    answers: npt.NDArray[np.int16]
    explored: Explored
    chance: Floats
    none: Floats


@dataclass(frozen=True)
class Design:
    """All that is fixed before any draw: weights of exploration, the split of the limits, the prices that rank the
    plan's choices.
    """

    weights: Weights
    quota: Quota
    plan_limits: LimitTable
    price: Floats


def eligible_in(offers: Offers) -> npt.NDArray[np.bool_]:
    """(n, campaigns) whether any option of a campaign is open."""
    campaigns = range(len(offers.rules.moment))
    return np.stack([(offers.gain[:, offers.rules.campaign == each] > -np.inf).any(axis=1) for each in campaigns], 1)


def design(
    offers: Offers,
    weights: Weights,
    limits: LimitTable,
    tie: Hashes,
    randomness: Randomness,
    start: Floats | None = None,
) -> Design:
    """Splits the limits and prices the plan's part, from eligibility, gains and costs of all customers alone.

    Args:
        offers: of n customers.
        weights: (n, k + campaigns) how often exploration draws each option, and no contact (serving.thompson).
        limits: of plan and exploration together.
        tie: (n,) uint64 hash of each customer.
        randomness: the shares.
        start: (l,) prices of an earlier, similar plan.
    """
    if randomness.explore_share == 0 or not len(offers):
        quota = no_quota(limits, len(offers.rules.moment))
    else:
        chance = explore_chance(eligible_in(offers), randomness)
        quota = exploration_quota(weights, chance, offers, limits, randomness.explore_limit_share)
    rest = limits.with_bounds(limits.bound - quota.total)
    everyone = _for_everyone(rest, float(offers.cost.max(initial=0.0)), randomness.plan_share)
    price = solve_prices(offers, everyone, tie, start)
    return Design(weights, quota, rest, price)


def _for_everyone(limits: LimitTable, dearest: float, share: float) -> LimitTable:
    """Limits at which, if all customers were the plan's, the `share` that is would just exceed `limits`."""
    bound, spread = limits.bound / share, 1.0 - share
    capacity = np.ceil(bound + CAPACITY_DEVIATIONS * np.sqrt(spread * bound))
    budget = bound + BUDGET_DEVIATIONS * np.sqrt(spread * bound * dearest)
    minimum = np.ceil(bound)
    return limits.with_bounds(np.where(limits.money, budget, np.where(limits.sign > 0, capacity, minimum)))


def _explore_in_order(
    order: Counts,
    options: Counts,
    weights: Weights,
    none: int,
    cost: Floats,
    segment: npt.NDArray[np.int32],
    thinning: Floats,
    explores: npt.NDArray[np.bool_],
    draw: Floats,
    ledger: Ledger,
    chance: Floats,
    picks: Actions,
) -> None:
    """Fills each customer's row of `chance` (options, none) at its turn; those who explore draw and use the quota."""
    k = thinning.shape[1]
    last = len(options)
    held = np.zeros((max(1, ledger.money.sum()), 1))
    for position in range(len(order)):
        row = order[position]
        paid = row if cost.shape[0] > 1 else 0
        part = segment[row] if segment.shape[0] > 1 else 0
        total = float(weights[row, none])
        chance[row, last] = total
        for place in range(last):
            option = options[place]
            weight = weights[row, option] * thinning[part, option]
            if weight > 0.0 and is_open(ledger, part * k + option, cost[paid, option], held, 0):
                chance[row, place] = weight
                total += weight
        if total == 0.0:
            chance[row, last] = 1.0
            continue
        below = 0.0
        choice = -1
        for place in range(last + 1):
            if chance[row, place] > 0.0:
                chance[row, place] /= total
                if below <= draw[row]:
                    choice = place
                below += chance[row, place]
        if explores[row] and choice < last:
            picks[row, 0] = options[choice]
            take(ledger, part * k + options[choice], cost[paid, options[choice]])


_explore: Callable[..., None] = numba.njit(nogil=True, cache=True, error_model="numpy")(_explore_in_order)


def decide(
    offers: Offers, limits: LimitTable, tie: Hashes, fixed: Design, randomness: Randomness, drawn: Drawn | None = None
) -> Drawing:
    """Lets explorers and plan use their parts of the limits, and logs every action's probability.

    Arguments as in `design`, whose result is `fixed`; `drawn` are the roles that `draw_roles` draws.
    """
    roles = draw_roles(tie, eligible_in(offers), randomness) if drawn is None else drawn
    actual = roles.actual(randomness)
    joining = Joining(randomness.states, actual, randomness.plan_share)
    answers = round_choices(offers, fixed.plan_limits, fixed.price, tie, joining)
    explored = Explored(np.full((len(offers), offers.rules.contacts), NO_CHANNEL, dtype=np.int16), ())
    if randomness.explore_share > 0:
        asked = (offers, limits, tie, fixed, randomness, roles)
        chance = [_explored(*asked, campaign, explored.picks) for campaign in range(len(randomness.campaigns))]
        explored = Explored(explored.picks, tuple(chance))
    return logged(offers, randomness, roles, answers, explored)


def _explored(
    offers: Offers,
    limits: LimitTable,
    tie: Hashes,
    fixed: Design,
    randomness: Randomness,
    roles: Drawn,
    campaign: int,
    picks: Actions,
) -> Floats:
    """(n, options + 1) probabilities of one campaign's exploration; writes what is drawn into `picks`."""
    name = randomness.campaigns[campaign]
    order = np.argsort(salted(tie, "explore order", name, randomness.seed), kind="stable")
    draw = uniforms(salted(tie, "explore draw", name, randomness.seed))
    room = fixed.quota.use[campaign] * np.where(limits.money, 1.0 + QUOTA_ROUND_OFF, 1.0)
    place = np.where(limits.money, np.cumsum(limits.money) - 1, 0)
    ledger = Ledger(*limits.members, limits.money, room, np.zeros(len(room)), place)
    options = np.flatnonzero(offers.rules.campaign == campaign)
    chance = np.zeros((len(offers), len(options) + 1))
    where = (offers.cost, offers.segment, fixed.quota.weight, roles.explores_in == campaign, draw, ledger)
    _explore(order, options, fixed.weights, limits.shape[1] + campaign, *where, chance, picks)
    return chance


def logged(
    offers: Offers, randomness: Randomness, roles: Drawn, answers: npt.NDArray[np.int16], explored: Explored
) -> Drawing:
    """The decision with the probability of every action, by the formula in the head of this module."""
    n, k = offers.gain.shape
    eligible = eligible_in(offers)
    by_state, exploring = state_chance(eligible, randomness), explore_chance(eligible, randomness)
    chance, none = np.zeros((n, k)), np.zeros((n, len(randomness.campaigns)))
    every = np.arange(n)
    for state in range(answers.shape[1]):
        contacted = np.zeros(none.shape, dtype=np.bool_)
        for slot in range(answers.shape[2]):
            rows = np.flatnonzero(answers[:, state, slot] >= 0)
            option = answers[rows, state, slot].astype(np.int64)
            chance[rows, option] += by_state[rows, state]
            contacted[rows, offers.rules.campaign[option]] = True
        none += np.where(contacted, 0.0, by_state[:, [state]])
    for campaign, own in enumerate(explored.chance):
        options = np.flatnonzero(offers.rules.campaign == campaign)
        chance[:, options] += exploring[:, [campaign]] * own[:, :-1]
        none[:, campaign] += exploring[:, campaign] * own[:, -1]
    elsewhere = exploring.sum(axis=1, keepdims=True) - exploring
    kept_out = _kept_out(eligible, randomness)
    none = np.where(eligible, none + elsewhere + kept_out[:, None], 1.0)
    actual = roles.actual(randomness)
    planned = answers[every, np.maximum(actual, 0)]
    picks = np.where((actual > NO_STATE)[:, None], planned, explored.picks).astype(np.int16)
    return Drawing(picks, roles, actual, answers, explored, chance, none)


def _kept_out(eligible: npt.NDArray[np.bool_], randomness: Randomness) -> Floats:
    """(n,) probability of the control group, or of being held out of every campaign."""
    held = randomness.holdout_share ** eligible.sum(axis=1)
    share: Floats = randomness.control_share + (1.0 - randomness.control_share) * held
    return share
