"""From scores files to a plan: who is contacted on which channel, with what probability, worth and certainty.

Puts the parts together in order: read, split off exploration and holdout, allocate, forecast, write. Learns nothing.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from contract.errors import UsageError
from contract.params import Params
from contract.progress import Progress, silent
from serving.baselines import baseline_actions
from serving.board import Board, read_scores
from serving.choosing import Certified, choose, exploration_weights, planned_part
from serving.demand import Offers
from serving.eligibility_files import Refusals
from serving.forecast import Certainty, forecast
from serving.frontier import Frontier, frontier
from serving.groups import missing_groups, read_groups
from serving.limit_figures import JointFigures, joint_figures
from serving.limit_table import LimitTable, limit_table
from serving.limits import Limits, unlimited
from serving.market import Market, market_of, market_offers, require_few_campaigns
from serving.moments import Scored, moments_beside_plan, refusals_of
from serving.moves import LastPlan, moves, read_last_plan
from serving.outcome import Outcome, outcome
from serving.outlook import Outlook, read_outlook
from serving.plan_files import PageOf, PlanResult, write_plan
from serving.plan_report import Findings, PlanReport, report_of
from serving.roles import EXPLORE, PLAN, Randomness
from serving.saved_prices import SavedPrices, read_prices, start_from

STAGES = 4


@dataclass(frozen=True)
class Request:
    """What to plan from.

    scores: one file per campaign, as `channelwise score` writes. groups: customer_id and the columns that limits name.
    prices: of an earlier plan, to start from.
    """

    scores: tuple[Path, ...]
    groups: Path | None = None
    prices: Path | None = None


@dataclass(frozen=True)
class PlanOptions:
    """What a planning may be given beside what it plans.

    progress: told after each stage. last_plan: a plan to compare with. page: draws the report as a page, NAME.html.
    """

    progress: Progress = silent
    last_plan: Path | None = None
    page: PageOf | None = None


PLAIN = PlanOptions()


@dataclass(frozen=True)
class Context:
    """What is known beside a campaign's scores: their outlook, refusals and the last plan, where there are any."""

    outlook: Outlook | None = None
    last: LastPlan | None = None
    refusals: Refusals | None = None

    @classmethod
    def of(cls, scores: Path, last_plan: Path | None, board: Board) -> "Context":
        """Read from the files beside the scores and from the last plan."""
        outlook = read_outlook(scores, board.campaign_id, board.as_of, board.model_version)
        last = read_last_plan(last_plan, board) if last_plan is not None else None
        return cls(outlook, last, refusals_of(scores, board))


@dataclass(frozen=True)
class Planned:
    """Everything a plan is made of, before it is written; one outcome a campaign, in the order of the market."""

    market: Market
    offers: Offers
    limits: LimitTable
    randomness: Randomness
    chosen: Certified
    outcomes: tuple[Outcome, ...]
    joint: JointFigures
    curve: Frontier
    warnings: tuple[str, ...]


def make_plan(
    scores: Path | Request, out: Path, params: Params, limits: Limits, options: PlanOptions = PLAIN
) -> PlanResult:
    """Plans the audience of `scores` and writes the plan, its propensities, its report and its prices, all or none.

    Args:
        scores: what `channelwise score` wrote, Parquet or CSV, with its outlook beside it if there is one; or the
            request for several campaigns or groups.
        out: the plan, .csv or .parquet; beside it NAME.propensities.SUFFIX, NAME.moments.SUFFIX, NAME.json,
            NAME.prices.json and, if asked for, NAME.html.
        params: shares of holdout and exploration, seed, channels and how certain intervals are.
        limits: held exactly (`serving.limits.limits_of`).
        options: what else is wanted.

    Raises:
        DataError: scores, groups, prices or the last plan are not of the form they should have.
        RefusedError: the limits clash.
        UsageError: `out` has another suffix; a limit names an unknown campaign, or a group without a file of groups.
    """
    request = scores if isinstance(scores, Request) else Request((scores,))
    progress = options.progress
    progress("plan", 0, STAGES)
    read = [(path, read_scores(path, params)) for path in request.scores]
    market = market_of([board for _, board in read])
    paths = [next(path for path, board in read if board is each) for each in market.boards]
    contexts = [Context.of(path, options.last_plan, board) for path, board in zip(paths, market.boards, strict=True)]
    progress("plan", 1, STAGES)
    planned = planned_market(market, request, params, limits)
    progress("plan", 2, STAGES)
    reports = tuple(campaign_report(planned, place, context, params, limits) for place, context in enumerate(contexts))
    progress("plan", 3, STAGES)
    saved = SavedPrices.of(planned.limits, planned.chosen, planned.randomness, params)
    scored = [
        Scored(path, context.refusals, each)
        for path, context, each in zip(paths, contexts, planned.outcomes, strict=True)
    ]
    with moments_beside_plan(out, scored, params.planning.gap_hours):
        result = write_plan(out, planned.outcomes, reports, saved, options.page)
    progress("plan", STAGES, STAGES)
    return result


def planned_market(market: Market, request: Request, params: Params, limits: Limits) -> Planned:
    """The plan of a market, not yet written."""
    _require_campaigns(limits, market.campaigns)
    randomness = Randomness.of(params.planning, market.campaigns, params.seed)
    require_few_campaigns(randomness)
    groups = read_groups(request.groups, limits, market.ids)
    names: Sequence[str | None] = market.campaigns
    table, segment = limit_table(limits, names, groups)
    offers = market_offers(market, params.planning, segment)
    weights = exploration_weights(market, offers, params.planning)
    start = None if request.prices is None else start_from(read_prices(request.prices), table)
    exact_below = params.planning.exact_below_customers
    chosen = choose(offers, table, market.tie, randomness, weights, exact_below, start)
    outcomes = tuple(
        outcome(board, rows, place, chosen.drawing, offers.rules)
        for place, (board, rows) in enumerate(zip(market.boards, market.rows, strict=True))
    )
    lost = missing_groups(groups, limits)
    warnings = (f"no customer of the audience is in {', '.join(lost)}: its limits do nothing",) if lost else ()
    return Planned(
        market=market,
        offers=offers,
        limits=table,
        randomness=randomness,
        chosen=chosen,
        outcomes=outcomes,
        joint=joint_figures(market.campaigns, offers, table, chosen, params.planning),
        curve=_curve(market, offers, chosen, randomness),
        warnings=warnings,
    )


def _curve(market: Market, offers: Offers, chosen: Certified, randomness: Randomness) -> Frontier:
    """What another budget would earn the part that the plan decides."""
    part, rows = planned_part(offers, chosen.drawing.actual, randomness)
    return frontier(part, chosen.limits, market.tie[rows], chosen.prices.each)


def _require_campaigns(limits: Limits, campaigns: tuple[str, ...]) -> None:
    named = {each.campaign for each in limits.further if each.campaign is not None}
    if unknown := sorted(named - set(campaigns)):
        raise UsageError(
            f"planning.limits: no scores of campaign {', '.join(unknown)}; planned are {', '.join(campaigns)}"
        )


def campaign_report(planned: Planned, place: int, context: Context, params: Params, limits: Limits) -> PlanReport:
    """All figures of one campaign; limits are told of it where it is the only one, else of all together."""
    each, board, last = planned.outcomes[place], planned.market.boards[place], context.last
    certainty = Certainty.of(params.planning.interval, context.outlook)
    first = each.decision.of_first(each.first)
    tie = planned.market.tie[planned.market.rows[place]]
    available = np.isin(first.role, (PLAN, EXPLORE))
    plain = baseline_actions(board, available, limits, tie, None if last is None else last.channel)
    findings = Findings(
        expected=forecast(each.board, each.decision.action, certainty),
        baselines={name: forecast(board, actions, certainty) for name, actions in plain.items()},
        frontier=planned.curve,
        moves=None if last is None else moves(board, first, last),
        outlook=context.outlook,
        refusals=context.refusals,
        joint=planned.joint,
        warnings=planned.warnings,
    )
    own = limits if len(planned.outcomes) == 1 else unlimited(limits.channels)
    return report_of(each, planned.chosen, own, findings, params)
