"""The figures of a plan as data: limits, prices, gap, forecast, baselines, curve, moves, exclusions; computes no plan.

The same object is written as JSON, shown on the terminal and drawn as a page.
"""

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass

import numpy as np
import numpy.typing as npt

from contract.params import Params
from serving.board import Board
from serving.choosing import Certified
from serving.eligibility_files import Refusals
from serving.forecast import Forecast
from serving.frontier import Frontier
from serving.limit_figures import JointFigures, price_text
from serving.limit_table import Kind, Prices
from serving.limits import NO_CAPACITY, Limits
from serving.moves import Moves
from serving.outcome import Decision, Outcome
from serving.outlook import Outlook
from serving.roles import INELIGIBLE, PLAN, ROLES
from serving.rounding import used
from serving.sets import Floats

FORMAT = 2

ASSUMPTIONS = (
    "customers respond independently of each other; sums over many of them are taken as normal",
    "the model errs as on the decisions that it was judged on, alike for all of an action and for groups of like ones",
    "customers opt out after a contact as often as in the last year, whoever they are; cost is certain",
    "baselines spare the held out, take customers in order of their hash up to budget and capacity, ignore minimums",
)
CAUTIOUS = (
    "the scores came without an outlook: the model is taken to err alike for all customers of a channel, which makes "
    "intervals wide, and opt-outs are not foretold; `channelwise score` writes the outlook beside the scores"
)
ASSOCIATIONAL = "associational"
MUCH_ASSOCIATIONAL = 0.5


@dataclass(frozen=True)
class LimitUse:
    """One limit: what it is, how much the whole plan uses, what one unit more (of a minimum: one less) is worth."""

    kind: Kind
    channel: str | None
    limit: float
    used: float
    price_eur: float

    def text(self) -> str:
        """The price in the user's terms."""
        return price_text(self.kind, self.channel or "", self.price_eur)


@dataclass(frozen=True)
class PlanReport:
    """All figures of one plan; money in EUR, shares in [0, 1].

    roles, contacted: customers, and those of them who are contacted, by role. value_eur, bound_eur and gap are those of
    the part that the plan decides; exploration and holdout are apart. eligibility: what each rule refused in the
    scoring, None where the scores came without. joint: of all campaigns of the plan together; limits: those for all
    groups and campaigns, where this is the only one.
    """

    format: int
    campaign_id: str | None
    as_of: str | None
    model_version: str | None
    seed: int
    interval: float
    customers: int
    roles: dict[str, int]
    contacted: dict[str, int]
    contacts: int
    cost_eur: float
    expected_margin_eur: float
    net_eur: float
    mix: dict[str, int]
    limits: tuple[LimitUse, ...]
    value_eur: float
    bound_eur: float
    gap: float
    method: str
    exact_propensities: bool
    forecast: Forecast
    baselines: dict[str, Forecast]
    excluded: dict[str, int]
    evidence_share: dict[str, float]
    frontier: Frontier
    moves: Moves | None
    objective: str | None
    horizon_days: float | None
    warnings: tuple[str, ...]
    assumptions: tuple[str, ...]
    joint: JointFigures
    eligibility: Refusals | None

    def as_json(self) -> str:
        """The report as JSON with a stable order of keys."""
        return json.dumps(asdict(self), indent=2, ensure_ascii=False, allow_nan=False) + "\n"


@dataclass(frozen=True)
class Findings:
    """What was computed about a campaign's plan, beside the plan itself; what may be None is so where there is none."""

    expected: Forecast
    baselines: dict[str, Forecast]
    frontier: Frontier
    moves: Moves | None
    outlook: Outlook | None
    refusals: Refusals | None
    joint: JointFigures
    warnings: tuple[str, ...]


def report_of(each: Outcome, chosen: Certified, limits: Limits, findings: Findings, params: Params) -> PlanReport:
    """The report of one campaign's outcome under the certificate of the joint plan."""
    board, decision, expected, outlook = each.board, each.decision, findings.expected, findings.outlook
    evidence = _evidence_share(board, decision)
    role, contacted = decision.role[each.first], decision.action[each.first] >= 0
    return PlanReport(
        format=FORMAT,
        campaign_id=board.campaign_id,
        as_of=board.as_of.isoformat() if board.as_of is not None else None,
        model_version=board.model_version,
        seed=params.seed,
        interval=params.planning.interval,
        customers=len(role),
        roles={name: int((role == index).sum()) for index, name in enumerate(ROLES)},
        contacted={name: int(((role == index) & contacted).sum()) for index, name in enumerate(ROLES)},
        contacts=expected.contacts,
        cost_eur=expected.cost_eur,
        expected_margin_eur=expected.margin_eur.mean,
        net_eur=expected.net_eur.mean,
        mix=expected.mix,
        limits=_limit_uses(board, decision, chosen.prices, limits),
        value_eur=chosen.value_eur,
        bound_eur=chosen.bound_eur,
        gap=chosen.gap,
        method=chosen.method,
        exact_propensities=chosen.exact_propensities,
        forecast=expected,
        baselines=findings.baselines,
        excluded=_excluded(board, decision),
        evidence_share=evidence,
        frontier=findings.frontier,
        moves=findings.moves,
        objective=None if outlook is None else outlook.objective,
        horizon_days=None if outlook is None else outlook.horizon_days,
        warnings=(*_warnings(board, chosen, evidence), *findings.warnings),
        assumptions=ASSUMPTIONS if outlook is not None else (CAUTIOUS, *ASSUMPTIONS[:1], *ASSUMPTIONS[3:]),
        joint=findings.joint,
        eligibility=findings.refusals,
    )


def excluded_reasons(board: Board, rows: npt.NDArray[np.int64]) -> tuple[npt.NDArray[np.int64], list[str]]:
    """For each of `rows`, customers whom no channel is open to, an index into the texts of their reasons."""
    codes = board.reason[rows]
    if not len(rows):
        return np.zeros(0, dtype=np.int64), []
    patterns, index = np.unique(codes, axis=0, return_inverse=True)
    return index.astype(np.int64).reshape(-1), [_text(pattern, board) for pattern in patterns]


def _text(pattern: Sequence[int], board: Board) -> str:
    """Reasons in order of channels, each once; channels named where they differ."""
    by_reason: dict[str, list[str]] = {}
    for channel, code in zip(board.channels, pattern, strict=True):
        by_reason.setdefault(board.words[code] or "not eligible", []).append(channel)
    if len(by_reason) == 1:
        return next(iter(by_reason))
    return "; ".join(f"{reason} ({', '.join(channels)})" for reason, channels in by_reason.items())


def _excluded(board: Board, decision: Decision) -> dict[str, int]:
    index, texts = excluded_reasons(board, np.flatnonzero(decision.role == INELIGIBLE))
    counts = Counter({text: int(n) for text, n in zip(texts, np.bincount(index, minlength=len(texts)), strict=True)})
    return dict(sorted(counts.items(), key=lambda each: (-each[1], each[0])))


def _limit_uses(board: Board, decision: Decision, prices: Prices, limits: Limits) -> tuple[LimitUse, ...]:
    """Minimums count what the plan's part contacts; budget and capacities what all contacts use."""
    count, spent = used(decision.action, board.cost, len(limits.channels))
    planned, _ = used(np.where(decision.role == PLAN, decision.action, np.int16(-1)), board.cost, len(limits.channels))
    uses = []
    if np.isfinite(limits.budget_eur):
        uses.append(LimitUse("budget", None, limits.budget_eur, spent, prices.budget))
    for index, name in enumerate(limits.channels):
        if limits.capacity[index] < NO_CAPACITY:
            capacity = float(limits.capacity[index])
            uses.append(LimitUse("capacity", name, capacity, float(count[index]), float(prices.capacity[index])))
        if limits.minimum[index]:
            minimum = float(limits.minimum[index])
            uses.append(LimitUse("minimum", name, minimum, float(planned[index]), float(prices.minimum[index])))
    return tuple(uses)


def _evidence_share(board: Board, decision: Decision) -> dict[str, float]:
    """Share of the expected margin that rests on each kind of evidence."""
    rows = np.flatnonzero(decision.action >= 0)
    value: Floats = np.maximum(board.expected_value[rows, decision.action[rows]], 0.0)
    codes = board.evidence[rows, decision.action[rows]]
    total = float(value.sum())
    sums = np.bincount(codes, value, len(board.words))
    return {board.words[code] or "unknown": float(sums[code] / total) for code in np.unique(codes) if total > 0}


def _warnings(board: Board, chosen: Certified, evidence: dict[str, float]) -> tuple[str, ...]:
    warnings = []
    if (share := evidence.get(ASSOCIATIONAL, 0.0)) > MUCH_ASSOCIATIONAL:
        warnings.append(
            f"{share:.0%} of the expected margin rests on associational scores: what was seen together, not what "
            "contact causes"
        )
    if not chosen.exact_propensities:
        warnings.append(
            "the limits are so tight that the propensities of customers at the margin are approximate; loosen a minimum"
        )
    if not len(board.ids):
        warnings.append("the audience is empty")
    elif not board.open.any():
        warnings.append("nobody in the audience may be contacted on any channel")
    return tuple(warnings)
