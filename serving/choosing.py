"""Roles, contacts and propensities of a whole market, certified; reads and writes nothing."""

from dataclasses import dataclass
from statistics import NormalDist

import numpy as np

from contract.params import Planning
from serving.allocation import Method, allocate, relative_gap, value_of
from serving.clashes import require_feasible
from serving.demand import Offers
from serving.dual import dual_value, solve_prices
from serving.exploration import Design, Drawing, Explored, Weights, decide, design, eligible_in, logged
from serving.hashing import Hashes
from serving.limit_table import LimitTable, Prices
from serving.market import Market, error_eur, gain_of
from serving.roles import NO_STATE, Randomness, draw_roles
from serving.rounding import holds
from serving.sets import NO_CHANNEL, Counts, Floats
from serving.thompson import thompson_weights, uniform_weights

PLANNED_PART = "customers whom the plan decides for (the rest is held out or explores)"


@dataclass(frozen=True)
class Certified:
    """A decision, and how good the part that the plan decides is at least.

    limits: those of that part. value_eur, bound_eur, gap, prices, method: as in `serving.allocation.Allocation`.
    thinning: (S, k) of exploration. exact_propensities: false where the limits were so tight that the plan's part had
    to be solved on its own.
    """

    drawing: Drawing
    limits: LimitTable
    value_eur: float
    bound_eur: float
    gap: float
    prices: Prices
    method: Method
    thinning: Floats
    exact_propensities: bool


def choose(
    offers: Offers,
    limits: LimitTable,
    tie: Hashes,
    randomness: Randomness,
    weights: Weights,
    exact_below: int,
    start: Floats | None = None,
) -> Certified:
    """Roles, actions and propensities of all customers, certified.

    Args:
        offers: of n customers.
        limits: of plan and exploration together.
        tie: (n,) uint64 hash of each customer.
        randomness: the shares, campaigns and seed.
        weights: (n, k + campaigns) of exploration (`exploration_weights`).
        exact_below: customers below which a plan without randomness is solved to the end.
        start: (l,) prices of an earlier plan with the same limits but for their bounds.

    Raises:
        RefusedError: the limits clash for the audience, or for those of it whom the plan decides for.
    """
    require_feasible(offers, limits)
    if randomness.nothing_random:
        return _all_planned(offers, limits, tie, randomness, exact_below, start)
    fixed = design(offers, weights, limits, tie, randomness, start)
    roles = draw_roles(tie, eligible_in(offers), randomness)
    actual = roles.actual(randomness)
    part, _ = planned_part(offers, actual, randomness)
    require_feasible(part, fixed.plan_limits, PLANNED_PART)
    drawing = decide(offers, limits, tie, fixed, randomness, roles)
    return _certified(offers, part, tie, fixed, drawing, randomness)


def exploration_weights(market: Market, offers: Offers, planning: Planning) -> Weights:
    """(n, k + campaigns) how often exploration draws each option, by `planning.exploration`."""
    if planning.explore_share == 0.0:
        return np.zeros((len(offers), offers.gain.shape[1] + len(market.boards)), dtype=np.float32)
    if planning.exploration == "uniform":
        none = np.zeros((len(offers), len(market.boards)), dtype=np.float32)
        return np.hstack([uniform_weights(offers.gain)[:, :-1], none])
    z = NormalDist().inv_cdf((1 + planning.interval) / 2)
    found = [thompson_weights(gain_of(board, lower=False), error_eur(board, z)) for board in market.boards]
    options = market.spread([each[:, :-1].astype(np.float64) for each in found], 0.0)
    none = np.zeros((len(offers), len(found)), dtype=np.float32)
    for place, (rows, each) in enumerate(zip(market.rows, found, strict=True)):
        none[rows, place] = each[:, -1]
    return np.hstack([options, none]).astype(np.float32)


def planned_part(
    offers: Offers, actual: np.ndarray[tuple[int], np.dtype[np.int8]], randomness: Randomness
) -> tuple[Offers, Counts]:
    """The offers of those whom the plan decides for, with only the campaigns that are open to it, and their rows."""
    rows = np.flatnonzero(actual > NO_STATE)
    part = offers.rows(rows)
    if len(randomness.states) == 1:
        return part, rows
    allowed = randomness.states[actual[rows]][:, offers.rules.campaign]
    return Offers(np.where(allowed, part.gain, -np.inf), part.cost, part.segment, part.rules), rows


def _all_planned(
    offers: Offers, limits: LimitTable, tie: Hashes, randomness: Randomness, exact_below: int, start: Floats | None
) -> Certified:
    """Without holdout and exploration the plan is the allocation, and each action certain."""
    found = allocate(offers, limits, tie, exact_below, start)
    roles = draw_roles(tie, eligible_in(offers), randomness)
    nobody = Explored(np.full(found.picks.shape, NO_CHANNEL, dtype=np.int16), ())
    drawing = logged(offers, randomness, roles, found.picks[:, None], nobody)
    figures = (found.value_eur, found.bound_eur, found.gap, found.prices, found.method)
    return Certified(drawing, limits, *figures, np.ones(limits.shape), True)


def _certified(
    offers: Offers, part: Offers, tie: Hashes, fixed: Design, drawing: Drawing, randomness: Randomness
) -> Certified:
    rows = np.flatnonzero(drawing.actual > NO_STATE)
    held = holds(drawing.picks[rows], part, fixed.plan_limits)
    if not held:
        drawing = _solved_apart(offers, part, tie[rows], fixed, drawing, randomness)
    price = solve_prices(part, fixed.plan_limits, tie[rows], fixed.price)
    value = value_of(drawing.picks[rows], part, fixed.plan_limits)
    bound = dual_value(part, fixed.plan_limits, price)
    prices = fixed.plan_limits.prices(price)
    figures = (value, bound, relative_gap(value, bound), prices)
    return Certified(drawing, fixed.plan_limits, *figures, "dual", fixed.quota.weight, held)


def _solved_apart(
    offers: Offers, part: Offers, tie: Hashes, fixed: Design, drawing: Drawing, randomness: Randomness
) -> Drawing:
    """The plan's part as an allocation of its own, where asking one after the other could not meet the minimums.

    Its propensities name what each planned customer got; what the others would have got stays as first asked.
    """
    planned = np.flatnonzero(drawing.actual > NO_STATE)
    found = allocate(part, fixed.plan_limits, tie, exact_below=0, start=fixed.price)
    answers = drawing.answers.copy()
    answers[planned, drawing.actual[planned]] = found.picks
    return logged(offers, randomness, drawing.drawn, answers, drawing.explored)
