"""From scores files to a plan: who is contacted on which channel, with what probability, worth and certainty.

Puts the parts together in order: read, split off exploration and holdout, allocate, forecast, write. Learns nothing.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from contract.errors import UsageError
from contract.params import Params
from contract.progress import Progress, silent
from serving.allocation import Method
from serving.board import read_scores
from serving.choosing import Certified, choose, exploration_weights
from serving.demand import Offers
from serving.forecast import baselines, forecast
from serving.groups import missing_groups, read_groups
from serving.limit_figures import JointFigures, joint_figures
from serving.limit_table import LimitTable, Prices, limit_table
from serving.limits import Limits, unlimited
from serving.market import Market, market_of, market_offers, require_few_campaigns
from serving.outcome import Decision, Outcome, outcome
from serving.plan_files import PlanResult, write_plan
from serving.plan_report import PlanReport, report_of
from serving.roles import EXPLORE, PLAN, ROLES, Randomness
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
class _Certificate:
    """One campaign's decision with the certificate of the joint plan."""

    decision: Decision
    value_eur: float
    bound_eur: float
    gap: float
    prices: Prices
    method: Method
    exact_propensities: bool


@dataclass(frozen=True)
class Planned:
    """Everything a plan is made of, before it is written."""

    market: Market
    offers: Offers
    limits: LimitTable
    randomness: Randomness
    chosen: Certified
    outcomes: tuple[Outcome, ...]
    joint: JointFigures
    warnings: tuple[str, ...]


def make_plan(
    scores: Path | Request, out: Path, params: Params, limits: Limits, progress: Progress = silent
) -> PlanResult:
    """Plans the audience of `scores` and writes the plan, its propensities, its report and its prices, all or none.

    Args:
        scores: what `channelwise score` wrote, Parquet or CSV; or the request for several campaigns or groups.
        out: the plan, .csv or .parquet; beside it NAME.propensities.SUFFIX, NAME.json and NAME.prices.json.
        params: shares of holdout and exploration, seed, channels and how certain intervals are.
        limits: held exactly (`serving.limits.limits_of`).
        progress: told after each stage.

    Raises:
        DataError: scores, groups or prices are not of the form they should have.
        RefusedError: the limits clash.
        UsageError: `out` has another suffix; a limit names an unknown campaign, or a group without a file of groups.
    """
    request = scores if isinstance(scores, Request) else Request((scores,))
    progress("plan", 0, STAGES)
    market = market_of([read_scores(path, params) for path in request.scores])
    progress("plan", 1, STAGES)
    planned = planned_market(market, request, params, limits)
    progress("plan", 2, STAGES)
    reports = tuple(_campaign_report(planned, place, params, limits) for place in range(len(planned.market.boards)))
    progress("plan", 3, STAGES)
    saved = SavedPrices.of(planned.limits, planned.chosen, planned.randomness, params)
    result = write_plan(out, planned.outcomes, reports, planned.joint, saved)
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
    joint = joint_figures(market.campaigns, offers, table, chosen, params.planning)
    outcomes = tuple(
        outcome(board, rows, place, chosen.drawing, offers.rules)
        for place, (board, rows) in enumerate(zip(market.boards, market.rows, strict=True))
    )
    lost = missing_groups(groups, limits)
    warnings = (f"no customer of the audience is in {', '.join(lost)}: its limits do nothing",) if lost else ()
    return Planned(market, offers, table, randomness, chosen, outcomes, joint, warnings)


def _require_campaigns(limits: Limits, campaigns: tuple[str, ...]) -> None:
    named = {each.campaign for each in limits.further if each.campaign is not None}
    if unknown := sorted(named - set(campaigns)):
        raise UsageError(
            f"planning.limits: no scores of campaign {', '.join(unknown)}; planned are {', '.join(campaigns)}"
        )


def _campaign_report(planned: Planned, place: int, params: Params, limits: Limits) -> PlanReport:
    """All figures of one campaign; limits are told of it where it is the only one, else of all together."""
    each, chosen, alone = planned.outcomes[place], planned.chosen, len(planned.outcomes) == 1
    interval = params.planning.interval
    own = limits if alone else unlimited(limits.channels)
    expected = forecast(each.board, each.decision.action, interval)
    available = np.isin(each.decision.role, (PLAN, EXPLORE)) & each.first
    tie = planned.market.tie[planned.market.rows[place][each.customers]]
    plain = baselines(each.board, available, limits, tie, interval)
    figures = (chosen.value_eur, chosen.bound_eur, chosen.gap, chosen.prices, chosen.method, chosen.exact_propensities)
    report = report_of(each.board, _Certificate(each.decision, *figures), own, expected, plain, params)
    role = each.decision.role[each.first]
    return replace(
        report,
        customers=int(each.first.sum()),
        roles={name: int((role == index).sum()) for index, name in enumerate(ROLES)},
        warnings=(*report.warnings, *planned.warnings),
        joint=planned.joint,
    )
