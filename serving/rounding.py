"""Whole decisions from prices, one customer after the other in an order that no random draw moves; solves nothing.

Three passes, each over a fixed order, ties by the customer's hash:

1. minimums: pairs of customer and channel below its minimum, by how much the channel beats the customer's next best at
   the prices, are taken until each minimum is met;
2. choices: customers by regret, the clearest first, take their best channel with a positive reduced gain that still
   has room and fits the budget;
3. refill: customers without a contact, by the best reduced gain on a channel with room, take what is left where it
   has a positive net gain.

A customer who does not join (held out, exploring) is asked at the same turn and takes nothing. So the answer it gets
is exactly what it would have got, had it alone joined, whoever else joins: nobody before it knows of it. That makes
the logged propensities exact while every limit holds.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numba
import numpy as np
import numpy.typing as npt

from serving.demand import NO_CHANNEL, Actions, Counts, Floats, rank_choices
from serving.dual import Prices
from serving.hashing import Hashes
from serving.limits import NO_CAPACITY, Limits

CLEAR_PART = 4
"""Where customers are many, this part of them, the least clear, is sorted first; the others only if they must be."""

SORT_ALL_BELOW = 100_000
MINIMUM_MARGIN = 1.3

BUDGET_DEVIATIONS = 4.0
"""Standard deviations of the plan's demand in EUR that the least decided customers stand by for."""


@dataclass
class Remaining:
    """What is left of the limits during the passes; the compiled loops write into it.

    room, need: (k,) int64 contacts that a channel still takes, and still must get; budget: (1,) EUR.
    """

    room: Counts
    need: Counts
    budget: Floats

    @classmethod
    def of(cls, limits: Limits) -> "Remaining":
        """All of the limits."""
        return cls(limits.capacity.copy(), limits.minimum.copy(), np.array([limits.spendable_eur]))


def _serve_minimums(
    rows: Counts,
    channels: Actions,
    cost: Floats,
    joins: npt.NDArray[np.bool_],
    room: Counts,
    need: Counts,
    budget: Floats,
    action: Actions,
) -> None:
    varies = 1 if cost.shape[0] > 1 else 0
    for pair in range(len(rows)):
        row, channel = rows[pair], channels[pair]
        paid = cost[row * varies, channel]
        if action[row] >= 0 or need[channel] == 0 or paid > budget[0]:
            continue
        action[row] = channel
        if joins[row]:
            need[channel] -= 1
            room[channel] -= 1
            budget[0] -= paid


def _serve_in_order(
    order: Counts,
    kept: Floats,
    gain: Floats,
    cost: Floats,
    budget_price: float,
    toll: Floats,
    least: float,
    joins: npt.NDArray[np.bool_],
    room: Counts,
    budget: Floats,
    action: Actions,
) -> None:
    """Customers without an action take their best open channel with a net gain and a reduced gain above `least`.

    `kept` (as `order`): EUR of the budget that are not for this customer.
    """
    varies = 1 if cost.shape[0] > 1 else 0
    for position in range(len(order)):
        row = order[position]
        if action[row] >= 0:
            continue
        best = least
        choice = -1
        for channel in range(gain.shape[1]):
            paid = cost[row * varies, channel]
            if gain[row, channel] > 0.0 and room[channel] > 0 and paid <= budget[0] - kept[position]:
                reduced = gain[row, channel] - budget_price * paid - toll[channel]
                if reduced > best:
                    best = reduced
                    choice = channel
        if choice >= 0:
            action[row] = choice
            if joins[row]:
                room[choice] -= 1
                budget[0] -= cost[row * varies, choice]


def _best_open(
    gain: Floats, cost: Floats, budget_price: float, toll: Floats, room: Counts, budget: float, action: Actions
) -> Floats:
    """(n,) best reduced gain on a channel with room, a net gain and a cost within `budget`; -inf where none."""
    result = np.full(len(gain), -np.inf)
    varies = 1 if cost.shape[0] > 1 else 0
    for row in range(len(gain)):
        if action[row] >= 0:
            continue
        for channel in range(gain.shape[1]):
            paid = cost[row * varies, channel]
            if gain[row, channel] > 0.0 and room[channel] > 0 and paid <= budget:
                result[row] = max(result[row], gain[row, channel] - budget_price * paid - toll[channel])
    return result


def _advantages(gain: Floats, cost: Floats, budget_price: float, toll: Floats, channel: int) -> Floats:
    """(n,) how much `channel` beats each customer's next best (none has 0) in reduced gain; -inf where closed."""
    result = np.full(len(gain), -np.inf)
    varies = 1 if cost.shape[0] > 1 else 0
    for row in range(len(gain)):
        if gain[row, channel] == -np.inf:
            continue
        other = 0.0
        for each in range(gain.shape[1]):
            if each != channel:
                other = max(other, gain[row, each] - budget_price * cost[row * varies, each] - toll[each])
        result[row] = gain[row, channel] - budget_price * cost[row * varies, channel] - toll[channel] - other
    return result


def _second_costs(
    rows: Counts, gain: Floats, cost: Floats, budget_price: float, toll: Floats, choice: Actions
) -> Floats:
    """Cost of the next best action after `choice` of each of `rows`; 0 where that is no contact."""
    result = np.zeros(len(rows))
    varies = 1 if cost.shape[0] > 1 else 0
    for position in range(len(rows)):
        row = rows[position]
        best = 0.0
        for channel in range(gain.shape[1]):
            reduced = gain[row, channel] - budget_price * cost[row * varies, channel] - toll[channel]
            if channel != choice[row] and reduced > best:
                best = reduced
                result[position] = cost[row * varies, channel]
    return result


_minimums: Callable[..., None] = numba.njit(nogil=True, cache=True, error_model="numpy")(_serve_minimums)
_serve: Callable[..., None] = numba.njit(nogil=True, cache=True, error_model="numpy")(_serve_in_order)
_open: Callable[..., Floats] = numba.njit(nogil=True, cache=True, error_model="numpy")(_best_open)
_second_cost: Callable[..., Floats] = numba.njit(nogil=True, cache=True, error_model="numpy")(_second_costs)
_advantage: Callable[..., Floats] = numba.njit(nogil=True, cache=True, error_model="numpy")(_advantages)


@dataclass(frozen=True)
class Rounding:
    """Whole decisions: action (n,) int16, `NO_CHANNEL` none, also for those who do not join; unmet (k,) of minimums."""

    action: Actions
    unmet: Counts


@dataclass(frozen=True)
class Asked:
    """The customers to be asked, as `round_choices` takes them."""

    gain: Floats
    cost: Floats
    prices: Prices
    tie: Hashes
    joins: npt.NDArray[np.bool_]
    join_share: float


def round_choices(
    gain: Floats,
    cost: Floats,
    limits: Limits,
    prices: Prices,
    tie: Hashes,
    joins: npt.NDArray[np.bool_] | None = None,
    join_share: float = 1.0,
) -> Rounding:
    """Each customer's action under the limits, of which only those who join use anything.

    Args:
        gain: (n, k) EUR net of cost; -inf where the customer may not be contacted.
        cost: (n, k) or (1, k) EUR.
        limits: held by those who join.
        prices: that rank the choices; must not depend on who joins.
        tie: (n,) uint64, decides between equals.
        joins: (n,) who takes part; all by default.
        join_share: the share expected to join; like the prices, fixed before anybody's role is drawn.
    """
    joining = np.ones(len(gain), dtype=np.bool_) if joins is None else joins
    asked = Asked(gain, cost, prices, tie, joining, join_share)
    left = Remaining.of(limits)
    action = np.full(len(gain), NO_CHANNEL, dtype=np.int16)
    if limits.minimum.any():
        _take_minimums(asked, left, action)
    _take_choices(asked, left, action)
    _refill(asked, left, action)
    return Rounding(action, left.need)


def _take_minimums(asked: Asked, left: Remaining, action: Actions) -> None:
    """Pass 1. Pairs beyond the likely need are left out first: where they are not needed they change nothing."""
    prices, tie = asked.prices, asked.tie
    wanted = np.flatnonzero(left.need)
    advantage = {int(c): _advantage(asked.gain, asked.cost, prices.budget, prices.toll, c) for c in wanted}
    likely = {c: int(MINIMUM_MARGIN * left.need[c] / asked.join_share) + 1_000 for c in advantage}
    state = (left.room.copy(), left.need.copy(), left.budget.copy(), action.copy())
    for limit in (likely, dict.fromkeys(advantage, len(action))):
        left.room[:], left.need[:], left.budget[:], action[:] = state
        chosen = [_largest(advantage[c], limit[c]) for c in advantage]
        rows = np.concatenate(chosen)
        channels = np.concatenate([np.full(len(each), c) for c, each in zip(advantage, chosen, strict=True)])
        value = np.concatenate([advantage[c][each] for c, each in zip(advantage, chosen, strict=True)])
        # Pairs of one customer with equal values stand in order of channels already.
        order = _descending(value, tie[rows])
        pairs = (rows[order], channels[order].astype(np.int16))
        _minimums(*pairs, asked.cost, asked.joins, left.room, left.need, left.budget, action)
        if not left.need.any():
            return


def _largest(values: Floats, count: int) -> Counts:
    """Rows of the `count` largest finite values, all that equal the least of them included; in no order."""
    finite = np.flatnonzero(values > -np.inf)
    if count >= len(finite):
        return finite
    least = np.partition(values[finite], len(finite) - count)[len(finite) - count]
    chosen: Counts = finite[values[finite] >= least]
    return chosen


def _take_choices(asked: Asked, left: Remaining, action: Actions) -> None:
    """Pass 2. The order only matters once a limit is reached, so the clear cases go unsorted while none can be."""
    gain, cost, prices = asked.gain, asked.cost, asked.prices
    choice, regret = rank_choices(gain, cost, prices.budget, prices.capacity)
    willing = np.flatnonzero((choice >= 0) & (action < 0))
    clear, close = np.zeros(0, dtype=np.int64), willing
    if len(willing) > SORT_ALL_BELOW:
        edge = np.partition(regret[willing], len(willing) // CLEAR_PART)[len(willing) // CLEAR_PART]
        above = willing[regret[willing] > edge]
        if _fits(above, choice, cost, left):
            clear, close = above, willing[regret[willing] <= edge]
    close = descending(close, regret[close], asked.tie)
    kept = np.zeros(len(willing))
    kept[len(clear) :] = _kept_for_later(asked, clear, close, choice, left)
    order = np.concatenate([clear, close])
    args = (prices.budget, prices.capacity, 0.0, asked.joins, left.room, left.budget, action)
    _serve(order, kept, gain, cost, *args)


def _kept_for_later(asked: Asked, clear: Counts, close: Counts, choice: Actions, left: Remaining) -> Floats:
    """EUR at each turn of `close` that those after it will need, so that a spent budget starves nobody.

    If demand exceeds the budget, by choice of prices or by chance of who joins, somebody must take less than the best.
    The last in order mind least: so many of them as may be needed count with the cost of their next best only.
    """
    if not len(close) or not np.isfinite(left.budget[0]):
        return np.zeros(len(close))
    gain, cost, prices, share = asked.gain, asked.cost, asked.prices, asked.join_share
    best = _paid(cost, close, choice)
    spare = _second_cost(close, gain, cost, prices.budget, prices.capacity, choice)
    first = _paid(cost, clear, choice)
    expected = share * float(best.sum() + first.sum())
    deviation = np.sqrt(share * (1.0 - share) * float((best**2).sum() + (first**2).sum()))
    short = expected + BUDGET_DEVIATIONS * float(deviation) - float(left.budget[0])
    flexible = share * np.maximum(best - spare, 0.0)
    after = np.cumsum(flexible[::-1])[::-1] - flexible
    needed = np.where(after < short, np.minimum(best, spare), best)
    kept: Floats = share * (np.cumsum(needed[::-1])[::-1] - needed)
    return kept


def _paid(cost: Floats, rows: Counts, choice: Actions) -> Floats:
    paid: Floats = cost[rows, choice[rows]] if len(cost) != 1 else cost[0, choice[rows]]
    return paid


def _fits(rows: Counts, choice: Actions, cost: Floats, left: Remaining) -> bool:
    """Whether all of `rows` can have their first choice and leave room for one more everywhere."""
    count = np.bincount(choice[rows], minlength=len(left.room))
    paid = cost[rows, choice[rows]].sum() if len(cost) > 1 else float(cost[0] @ count)
    wanted = count > 0
    return bool((count < left.room)[wanted].all() and paid + cost.max() < left.budget[0])


def descending(rows: Counts, value: Floats, tie: Hashes) -> Counts:
    """`rows` by their `value`, largest first; equals by the hash of the customer."""
    return rows[_descending(value, tie[rows])]


def _descending(value: Floats, tie: Hashes) -> Counts:
    """The stable order of `value`, largest first; equals by `tie`, which is only looked at where there are equals."""
    order = np.argsort(-value, kind="stable")
    ordered = value[order]
    return np.lexsort((tie, -value)) if (ordered[1:] == ordered[:-1]).any() else order


def _refill(asked: Asked, left: Remaining, action: Actions) -> None:
    """Pass 3. Its order may look at what is left: those who are still without an action have taken nothing of it."""
    if not (left.room > 0).any():
        return
    gain, cost, prices = asked.gain, asked.cost, asked.prices
    best = _open(gain, cost, prices.budget, prices.capacity, left.room, left.budget[0], action)
    rows = np.flatnonzero(best > -np.inf)
    order = descending(rows, best[rows], asked.tie)
    args = (prices.budget, prices.capacity, -np.inf, asked.joins, left.room, left.budget, action)
    _serve(order, np.zeros(len(order)), gain, cost, *args)


def used(action: Actions, cost: Floats, channels: int) -> tuple[Counts, float]:
    """(k,) contacts per channel, and EUR they cost."""
    rows = np.flatnonzero(action >= 0)
    count = np.bincount(action[rows], minlength=channels).astype(np.int64)
    paid = cost[rows, action[rows]] if len(cost) != 1 else cost[0, action[rows]]
    return count, float(paid.sum())


def holds(action: Actions, cost: Floats, limits: Limits) -> bool:
    """Whether every limit is held."""
    count, spent = used(action, cost, len(limits.channels))
    capacity = np.where(limits.capacity < NO_CAPACITY, limits.capacity, len(action))
    return bool((count <= capacity).all() and (count >= limits.minimum).all() and spent <= limits.spendable_eur)


def total_gain(action: Actions, gain: Floats) -> float:
    """EUR that the actions bring net of their cost."""
    rows = np.flatnonzero(action >= 0)
    return float(gain[rows, action[rows]].sum())
