"""Whole decisions from prices, one customer after the other in an order that no random draw moves; solves nothing.

Three passes, each over a fixed order, ties by the customer's hash:

1. minimums: pairs of customer and option below its minimum, by how much the option beats the customer's next best at
   the prices, are taken until each minimum is met;
2. choices: customers by regret, the clearest first, take their best options with a positive reduced gain that still
   have room and fit the budgets;
3. refill: customers without a contact, by the best reduced gain on an option with room, take what is left where it
   has a positive net gain.

A customer who does not join (held out, exploring) is asked at the same turn and takes nothing (`serving.turns`). So
the answer it gets is exactly what it would have got, had it alone joined, whoever else joins: nobody before it knows
of it. That makes the logged propensities exact while every limit holds.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numba
import numpy as np
import numpy.typing as npt

from serving.advantages import advantages, second_options, set_advantages
from serving.demand import Offers, add_demand, rank_choices
from serving.hashing import Hashes
from serving.limit_table import LimitTable
from serving.sets import NO_CHANNEL, Actions, Counts, Floats, Rules, Scratch, Segments, gross_gain, scratch_of
from serving.turns import REFILL, Asked, Ledger, best_open, serve_in_order, serve_minimums

CLEAR_PART = 4
"""Where customers are many, this part of them, the least clear, is sorted first; the others only if they must be."""

SORT_ALL_BELOW = 100_000
MINIMUM_MARGIN = 1.3
SURE_MARGIN, SURE_CONTACTS = 1.2, 20
"""A minimum that customers exceed of their own accord by so much, and so many contacts, needs no turn of its own."""

FEW_MINIMUMS = 8
"""With more, all pairs are sorted: picking the likely ones for each would cost more."""

BUDGET_DEVIATIONS = 4.0
"""Standard deviations of the plan's demand in EUR that the least decided customers stand by for."""


def _tally(
    picks: Actions,
    gain: Floats,
    cost: Floats,
    segment: Segments,
    rules: Rules,
    scratch: Scratch,
    count: Counts,
    spent: Floats,
) -> float:
    """Adds contacts and EUR per cell, returns the sum of net gains."""
    total = 0.0
    for row in range(picks.shape[0]):
        if picks[row, 0] < 0:
            continue
        paid = row if cost.shape[0] > 1 else 0
        part = segment[row] if segment.shape[0] > 1 else 0
        if rules.contacts > 1:
            for option in range(gain.shape[1]):
                scratch.gross[option] = gain[row, option] + cost[paid, option]
            total += gross_gain(rules, picks[row], scratch.gross)
        else:
            total += gain[row, picks[row, 0]] + cost[paid, picks[row, 0]]
        for slot in range(picks.shape[1]):
            option = picks[row, slot]
            if option >= 0:
                total -= cost[paid, option]
                count[part, option] += 1
                spent[part, option] += cost[paid, option]
    return total


_tallied: Callable[..., float] = numba.njit(nogil=True, cache=True, error_model="numpy")(_tally)


@dataclass(frozen=True)
class Joining:
    """Who takes part of the limits: `states` (Q, campaigns) and `actual` (n,) as in `serving.turns.Asked`.

    share: of customers expected to take part; like the prices, fixed before anybody's role is drawn.
    """

    states: npt.NDArray[np.bool_]
    actual: npt.NDArray[np.int8]
    share: float = 1.0

    @classmethod
    def all(cls, customers: int, campaigns: int) -> "Joining":
        """Everybody with all campaigns."""
        return cls(np.ones((1, campaigns), dtype=np.bool_), np.zeros(customers, dtype=np.int8))


@dataclass(frozen=True)
class _Round:
    """All that the passes share."""

    offers: Offers
    limits: LimitTable
    price: Floats
    tie: Hashes
    joining: Joining
    asked: Asked
    ledger: Ledger
    scratch: Scratch

    @property
    def nothing_held(self) -> Floats:
        return np.zeros((max(1, int(self.limits.money.sum())), 1))


def round_choices(
    offers: Offers,
    limits: LimitTable,
    price: Floats,
    tie: Hashes,
    joining: Joining | None = None,
    every_minimum: bool = False,
) -> npt.NDArray[np.int16]:
    """Each customer's options (n, Q, m) in each state, under the limits, of which only those who join use anything.

    Args:
        offers: of n customers.
        limits: held by those who join.
        price: (l,) that ranks the choices; must not depend on who joins.
        tie: (n,) uint64, decides between equals.
        joining: who takes part; all by default.
        every_minimum: whether minimums that the prices meet by far are served first as well.
    """
    joins = joining or Joining.all(len(offers), len(offers.rules.moment))
    action = np.full((len(offers), len(joins.states), offers.rules.contacts), NO_CHANNEL, dtype=np.int16)
    rate, toll = limits.upper_toll(price)
    subsidy = toll - limits.toll(price)[1]
    cells = (offers.gain, offers.cost, offers.segment, rate, toll, subsidy)
    asked = Asked(*cells, offers.rules, joins.states, joins.actual, action)
    place = np.where(limits.money, np.cumsum(limits.money) - 1, 0)
    need = limits.least.copy() if every_minimum else _unsure(offers, limits, price, joins.share)
    ledger = Ledger(*limits.members, limits.money, limits.most.copy(), need, place)
    work = _Round(offers, limits, price, tie, joins, asked, ledger, scratch_of(offers.rules))
    if need.any():
        _take_minimums(work)
    _take_choices(work)
    _refill(work)
    return action


def _unsure(offers: Offers, limits: LimitTable, price: Floats, share: float) -> Floats:
    """(l,) minimums less those that the customers' own choices exceed by far, whoever joins; 0 of others."""
    if not limits.has_minimums:
        return limits.least.copy()
    _, count, spent = add_demand(offers, *limits.toll(price))
    demand = limits.use(count, spent)
    sure = share * demand - BUDGET_DEVIATIONS * np.sqrt(share * (1.0 - share) * demand)
    return np.where(sure > SURE_MARGIN * limits.least + SURE_CONTACTS, 0.0, limits.least)


def _take_minimums(work: _Round) -> None:
    """Pass 1. Pairs beyond the likely need are left out first: where they are not needed they change nothing."""
    offers, limits, ledger, action = work.offers, work.limits, work.ledger, work.asked.action
    rate, toll = limits.toll(work.price)
    needed = np.asarray(limits.cells.T @ (ledger.need > 0)).reshape(limits.shape) > 0
    cells = (offers.gain, offers.cost, offers.segment, rate, toll, needed)
    wanted = [int(option) for option in np.flatnonzero(needed.any(axis=0))]
    if offers.rules.contacts == 1:
        advantage = {option: advantages(*cells, option) for option in wanted}
    else:
        advantage = {option: set_advantages(*cells, option, offers.rules, work.scratch) for option in wanted}
    reserve = _reserve(work)
    state = (ledger.room.copy(), ledger.need.copy())
    for everybody in (False, True):
        ledger.room[:], ledger.need[:] = state
        action[:] = NO_CHANNEL
        rows, options, value = _likely_pairs(work, advantage, everybody)
        order = _descending(value, work.tie[rows])
        pairs = (rows[order], options[order].astype(np.int16))
        serve_minimums(*pairs, work.asked, ledger, work.scratch, reserve)
        if not (ledger.need > 0).any():
            return


def _reserve(work: _Round) -> Floats:
    """(limits of EUR, 1) what the minimums may still cost there."""
    limits, high = work.limits, work.offers.cost.max(axis=0, initial=0.0)
    result = work.nothing_held
    covers = limits.covers()
    for place, money in enumerate(np.flatnonzero(limits.money)):
        dearest = np.where(covers & covers[money], high, 0.0).max(axis=1, initial=0.0)
        result[place, 0] = float(work.ledger.need @ dearest)
    return result


def _likely_pairs(work: _Round, advantage: dict[int, Floats], everybody: bool) -> tuple[Counts, Counts, Floats]:
    """Rows, options and advantages of the pairs that minimums may need; pairs of equal value in order of options."""
    limits = work.limits
    need = work.ledger.need
    minimums = np.flatnonzero(need)
    if everybody or len(minimums) > FEW_MINIMUMS:
        chosen = [(option, _largest(each, len(each))) for option, each in advantage.items()]
    else:
        inside = limits.cells.toarray().reshape(-1, *limits.shape) > 0
        chosen = []
        for option, each in advantage.items():
            found = [np.zeros(0, dtype=np.int64)]
            for limit in minimums:
                if inside[limit, :, option].any():
                    likely = int(MINIMUM_MARGIN * need[limit] / work.joining.share) + 1_000
                    found.append(_largest(_only(each, work.offers, inside[limit, :, option]), likely))
            chosen.append((option, np.unique(np.concatenate(found)) if len(found) > 2 else found[-1]))
    rows = np.concatenate([each for _, each in chosen])
    options = np.concatenate([np.full(len(each), option) for option, each in chosen])
    return rows, options, np.concatenate([advantage[option][each] for option, each in chosen])


def _only(value: Floats, offers: Offers, segments: npt.NDArray[np.bool_]) -> Floats:
    """`value`, -inf outside the segments."""
    if len(offers.segment) == 1 or segments.all():
        return value
    inside: Floats = np.where(segments[offers.segment], value, -np.inf)
    return inside


def _largest(values: Floats, count: int) -> Counts:
    """Rows of the `count` largest finite values, all that equal the least of them included; in no order."""
    finite = np.flatnonzero(values > -np.inf)
    if count >= len(finite):
        return finite
    least = np.partition(values[finite], len(finite) - count)[len(finite) - count]
    chosen: Counts = finite[values[finite] >= least]
    return chosen


def _take_choices(work: _Round) -> None:
    """Pass 2. The order only matters once a limit is reached, so the clear cases go unsorted while none can be."""
    asked = work.asked
    choice, regret = rank_choices(work.offers, asked.rate, asked.toll)
    willing = np.flatnonzero((choice[:, 0] >= 0) & (asked.action[:, 0, 0] < 0))
    clear, close = np.zeros(0, dtype=np.int64), willing
    if len(willing) > SORT_ALL_BELOW:
        edge = np.partition(regret[willing], len(willing) // CLEAR_PART)[len(willing) // CLEAR_PART]
        above = willing[regret[willing] > edge]
        if _fits(work, above, choice):
            clear, close = above, willing[regret[willing] <= edge]
    close = descending(close, regret[close], work.tie)
    held = _kept_for_later(work, clear, close, choice)
    serve_in_order(np.concatenate([clear, close]), asked, work.ledger, work.scratch, held, 0.0)


def _kept_for_later(work: _Round, clear: Counts, close: Counts, choice: Actions) -> Floats:
    """(limits of EUR, turns) EUR that those after a turn will need, so that a spent budget starves nobody.

    If demand exceeds a budget, by choice of prices or by chance of who joins, somebody must take less than the best.
    The last in order mind least: so many of them as may be needed count with the cost of their next best only. With
    several contacts that is the cost of all but the last.
    """
    limits = work.limits
    if not len(close) or not limits.money.any():
        return np.zeros((max(1, int(limits.money.sum())), len(clear) + len(close)))
    share = work.joining.share
    held = np.zeros((int(limits.money.sum()), len(clear) + len(close)))
    spares = _spare_options(work, close, choice)
    for place, limit in enumerate(np.flatnonzero(limits.money)):
        best, first = _paid(work, int(limit), close, choice[close]), _paid(work, int(limit), clear, choice[clear])
        spare = _paid(work, int(limit), close, spares)
        deviation = np.sqrt(share * (1.0 - share) * float((best**2).sum() + (first**2).sum()))
        expected = share * float(best.sum() + first.sum())
        short = expected + BUDGET_DEVIATIONS * float(deviation) - float(work.ledger.room[limit])
        flexible = share * np.maximum(best - spare, 0.0)
        after = np.cumsum(flexible[::-1])[::-1] - flexible
        needed = np.where(after < short, np.minimum(best, spare), best)
        held[place, len(clear) :] = share * (np.cumsum(needed[::-1])[::-1] - needed)
    return held


def _spare_options(work: _Round, rows: Counts, choice: Actions) -> Actions:
    """(rows, m) what each would fall back on."""
    asked = work.asked
    if choice.shape[1] == 1:
        args = (asked.gain, asked.cost, asked.segment, asked.rate, asked.toll)
        return second_options(rows, *args, choice[:, 0])[:, None].astype(np.int16)
    spare = choice[rows].copy()
    last = np.maximum((spare >= 0).sum(axis=1) - 1, 0)
    spare[np.arange(len(rows)), last] = NO_CHANNEL
    return spare


def _paid(work: _Round, limit: int, rows: Counts, options: Actions) -> Floats:
    """(rows,) EUR of a limit that the options (rows, m) cost."""
    counted = work.limits.cells[[limit]].toarray().reshape(work.limits.shape)
    total = np.zeros(len(rows))
    parts = work.offers.segments(rows)
    for slot in range(options.shape[1]):
        option = np.maximum(options[:, slot], 0).astype(np.int64)
        there = (options[:, slot] >= 0) * counted[parts, option]
        total += there * work.offers.costs(rows, option)
    return total


def _fits(work: _Round, rows: Counts, choice: Actions) -> bool:
    """Whether all of `rows` can have their first choice and leave room for one more everywhere."""
    limits = work.limits
    count, spent, _ = tally(work.offers.rows(rows), choice[rows], limits.shape)
    dearest = float(work.offers.cost.max(initial=0.0))
    more = np.where(limits.money, dearest, 1.0) * work.offers.rules.contacts
    use = limits.use(count, spent)
    return bool(((use == 0) | (use + more <= work.ledger.room)).all())


def descending(rows: Counts, value: Floats, tie: Hashes) -> Counts:
    """`rows` by their `value`, largest first; equals by the hash of the customer."""
    return rows[_descending(value, tie[rows])]


def _descending(value: Floats, tie: Hashes) -> Counts:
    """The stable order of `value`, largest first; equals by `tie`, which is only looked at where there are equals."""
    order = np.argsort(-value, kind="stable")
    ordered = value[order]
    return np.lexsort((tie, -value)) if (ordered[1:] == ordered[:-1]).any() else order


def _refill(work: _Round) -> None:
    """Pass 3. Its order may look at what is left: those who are still without an answer have taken nothing of it."""
    best = best_open(work.asked, work.ledger, work.nothing_held)
    rows = np.flatnonzero(best > -np.inf)
    order = descending(rows, best[rows], work.tie)
    serve_in_order(order, work.asked, work.ledger, work.scratch, work.nothing_held, REFILL)


def tally(offers: Offers, picks: Actions, shape: tuple[int, int]) -> tuple[Counts, Floats, float]:
    """Contacts and EUR per cell (S, k), and the sum of net gains, of each customer's options (n, m)."""
    count, spent = np.zeros(shape, dtype=np.int64), np.zeros(shape)
    args = (offers.gain, offers.cost, offers.segment, offers.rules, scratch_of(offers.rules))
    gained = _tallied(np.ascontiguousarray(picks), *args, count, spent)
    return count, spent, gained


def holds(picks: Actions, offers: Offers, limits: LimitTable) -> bool:
    """Whether every limit is held."""
    count, spent, _ = tally(offers, picks, limits.shape)
    return limits.holds(limits.use(count, spent))


def used(action: Actions, cost: Floats, channels: int) -> tuple[Counts, float]:
    """(k,) contacts per channel, and EUR they cost, of one channel a customer (n,)."""
    rows = np.flatnonzero(action >= 0)
    count = np.bincount(action[rows], minlength=channels).astype(np.int64)
    paid = cost[rows, action[rows]] if len(cost) != 1 else cost[0, action[rows]]
    return count, float(paid.sum())
