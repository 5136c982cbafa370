"""From a scores file to a plan: who is contacted on which channel, with what probability, worth and certainty.

Puts the parts together in order: read, split off exploration and holdout, allocate, forecast, write. Learns nothing.
"""

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt

from contract.params import Params
from contract.progress import Progress, silent
from serving.allocation import Method, allocate, relative_gap
from serving.baselines import baseline_actions
from serving.board import Board, read_scores
from serving.demand import Floats, compact_cost, survey
from serving.dual import Prices, dual_value, solve_prices
from serving.exploration import EXPLORE, INELIGIBLE, PLAN, Decision, Design, Randomness, decide, design, draw_roles
from serving.forecast import Certainty, forecast
from serving.frontier import frontier
from serving.hashing import Hashes, customer_hashes
from serving.limits import Limits, require_feasible
from serving.moments import moments_beside_plan, refusals_of
from serving.moves import LastPlan, moves, read_last_plan
from serving.outlook import Outlook, read_outlook
from serving.plan_files import PageOf, PlanResult, write_plan
from serving.plan_report import Findings, PlanReport, report_of
from serving.rounding import holds, total_gain

STAGES = 4


@dataclass(frozen=True)
class Certified:
    """A decision, and how good the part that the plan decides is at least.

    limits: those of that part. value_eur, bound_eur, gap, prices, method: as in `serving.allocation.Allocation`.
    exact_propensities: false where the limits were so tight that the plan's part had to be solved on its own.
    """

    decision: Decision
    limits: Limits
    value_eur: float
    bound_eur: float
    gap: float
    prices: Prices
    method: Method
    exact_propensities: bool


@dataclass(frozen=True)
class PlanOptions:
    """What a planning may be given beside what it plans.

    progress: told after each stage. last_plan: a plan to compare with. page: draws the report as a page, NAME.html.
    """

    progress: Progress = silent
    last_plan: Path | None = None
    page: PageOf | None = None


PLAIN = PlanOptions()


def make_plan(scores: Path, out: Path, params: Params, limits: Limits, options: PlanOptions = PLAIN) -> PlanResult:
    """Plans the audience of `scores` and writes the plan, its propensities and its report, all or none of them.

    Args:
        scores: what `channelwise score` wrote, Parquet or CSV, with its outlook beside it if there is one.
        out: the plan; .csv or .parquet. Beside it NAME.propensities.SUFFIX, NAME.moments.SUFFIX, NAME.json and, if
            asked for, NAME.html.
        params: shares of holdout and exploration, seed, channels and how certain intervals are.
        limits: held exactly (`serving.limits.limits_of`).
        options: what else is wanted.

    Raises:
        DataError: the scores, or the last plan, are not of the form that `score`, or `plan`, writes.
        RefusedError: the limits clash.
        UsageError: `out` has another suffix.
    """
    progress = options.progress
    progress("plan", 0, STAGES)
    board = read_scores(scores, params)
    context = Context.of(scores, options.last_plan, board)
    progress("plan", 1, STAGES)
    tie = customer_hashes(board.ids)
    chosen = choose(board, limits, tie, Randomness.of(params.planning, board.campaign_id or "", params.seed), params)
    progress("plan", 2, STAGES)
    refusals = refusals_of(scores, board)
    report = replace(plan_report(board, chosen, limits, context, params), eligibility=refusals)
    progress("plan", 3, STAGES)
    with moments_beside_plan(out, scores, board, chosen.decision, refusals):
        result = write_plan(out, board, chosen.decision, report, options.page)
    progress("plan", STAGES, STAGES)
    return result


def choose(board: Board, limits: Limits, tie: Hashes, randomness: Randomness, params: Params) -> Certified:
    """Roles, actions and propensities of all customers, certified.

    Raises:
        RefusedError: the limits clash for the audience, or for those of it whom the plan decides for.
    """
    gain = board.gain
    cost = compact_cost(board.cost, survey(gain, board.cost))
    require_feasible(board.open, cost, limits)
    if randomness.plan_share == 1.0:
        return _all_planned(gain, cost, board.open, limits, tie, params.planning.exact_below_customers)
    fixed = design(gain, cost, board.open, limits, tie, randomness)
    roles = draw_roles(tie, np.asarray(board.open.any(axis=1)), randomness)
    planned = roles == PLAN
    who = "customers whom the plan decides for (the rest is held out or explores)"
    require_feasible(board.open[planned], cost if len(cost) == 1 else cost[planned], fixed.plan_limits, who)
    decision = decide(gain, cost, board.open, tie, fixed, randomness, roles)
    return _certified(gain, cost, tie, fixed, decision)


def _all_planned(
    gain: Floats, cost: Floats, open_cells: npt.NDArray[np.bool_], limits: Limits, tie: Hashes, exact_below: int
) -> Certified:
    """Without holdout and exploration the plan is the allocation, and each action certain."""
    found = allocate(gain, cost, limits, tie, exact_below)
    role = np.where(open_cells.any(axis=1), PLAN, INELIGIBLE).astype(np.int8)
    propensity = np.zeros((len(gain), gain.shape[1] + 1))
    propensity[np.arange(len(gain)), found.action + 1] = 1.0
    decision = Decision(found.action, role, propensity, found.action)
    return Certified(decision, limits, found.value_eur, found.bound_eur, found.gap, found.prices, found.method, True)


def _certified(gain: Floats, cost: Floats, tie: Hashes, fixed: Design, decision: Decision) -> Certified:
    planned = decision.role == PLAN
    own_gain, own_tie = gain[planned], tie[planned]
    own_cost = cost[planned] if len(cost) > 1 else cost
    held = holds(decision.action[planned], own_cost, fixed.plan_limits)
    if not held:
        decision = _solved_apart(own_gain, own_cost, own_tie, fixed, decision)
    action = decision.action[planned]
    prices = solve_prices(own_gain, own_cost, fixed.plan_limits, own_tie, fixed.prices)
    value = total_gain(action, own_gain)
    bound = dual_value(own_gain, own_cost, fixed.plan_limits, prices)
    gap = relative_gap(value, bound)
    return Certified(decision, fixed.plan_limits, value, bound, gap, prices, "dual", held)


def _solved_apart(gain: Floats, cost: Floats, tie: Hashes, fixed: Design, decision: Decision) -> Decision:
    """The plan's part as an allocation of its own, where asking one after the other could not meet the minimums.

    Its propensities name what each planned customer got; what the others would have got stays as first asked.
    """
    planned = np.flatnonzero(decision.role == PLAN)
    found = allocate(gain, cost, fixed.plan_limits, tie, exact_below=0, start=fixed.prices)
    action, propensity, would = decision.action.copy(), decision.propensity.copy(), decision.planned.copy()
    share = decision.plan_share
    propensity[planned, would[planned] + 1] -= share
    propensity[planned, found.action + 1] += share
    action[planned], would[planned] = found.action, found.action
    return replace(decision, action=action, propensity=np.maximum(propensity, 0.0), planned=would)


@dataclass(frozen=True)
class Context:
    """What is known beside the scores: their outlook and the last plan, where there are any."""

    outlook: Outlook | None = None
    last: LastPlan | None = None

    @classmethod
    def of(cls, scores: Path, last_plan: Path | None, board: Board) -> "Context":
        """Read from the file beside the scores and from the last plan."""
        outlook = read_outlook(scores, board.campaign_id, board.as_of, board.model_version)
        last = read_last_plan(last_plan, board) if last_plan is not None else None
        return cls(outlook, last)


def plan_report(board: Board, chosen: Certified, limits: Limits, context: Context, params: Params) -> PlanReport:
    """All figures of a plan: use and price of limits, forecast, baselines, curve, moves, who is excluded and why."""
    decision, last = chosen.decision, context.last
    certainty = Certainty.of(params.planning.interval, context.outlook)
    tie = customer_hashes(board.ids)
    available = np.isin(decision.role, (PLAN, EXPLORE))
    plain = baseline_actions(board, available, limits, tie, None if last is None else last.channel)
    planned = np.flatnonzero(decision.role == PLAN)
    gain = board.gain[planned]
    cost = compact_cost(board.cost[planned], survey(gain, board.cost[planned]))
    findings = Findings(
        expected=forecast(board, decision.action, certainty),
        baselines={name: forecast(board, each, certainty) for name, each in plain.items()},
        frontier=frontier(gain, cost, chosen.limits, tie[planned], chosen.prices),
        moves=None if last is None else moves(board, decision, last),
        outlook=context.outlook,
    )
    return report_of(board, chosen, limits, findings, params)
