"""A plan's report as one HTML page, for who decides on a campaign and for who checks its figures; plans nothing."""

from collections.abc import Sequence

import numpy as np

from pages.page import Markup, eur, percent, render, whole
from pages.plots import Axis, Bar, Mark, bars, curve, intervals, matrix, shares
from serving.forecast import Estimate, Forecast, Outcome
from serving.limit_figures import LimitFigure
from serving.plan_report import PlanReport
from serving.roles import EXPLORE, HOLDOUT, INELIGIBLE, PLAN, ROLES

Rows = list[tuple[str, ...]]

MOST_REASONS = 12
WHOLE_FROM_EUR = 100
UNKNOWN = "–"


def plan_page(reports: Sequence[PlanReport]) -> str:
    """The page's text; loads nothing from elsewhere. What several campaigns share stands before each of them."""
    first = reports[0]
    names = [f"“{each.campaign_id}”" if each.campaign_id else "without a campaign" for each in reports]
    return render(
        "plan.html.j2",
        title=f"Plan for campaign{'s' if len(reports) > 1 else ''} {', '.join(names)}",
        joint=first.joint,
        first=first,
        level=percent(first.interval, 0),
        net_eur=sum(each.net_eur for each in reports),
        warnings=list(dict.fromkeys(line for each in reports for line in each.warnings)),
        assumptions=list(
            dict.fromkeys(line for each in reports for line in (*each.assumptions, *each.joint.assumptions))
        ),
        limits_plot=_limits_plot(first.joint.limits),
        prices=[(each.name, each.text) for each in first.joint.limits],
        budget_plot=_budget_plot(first),
        budget_rows=[
            (money(each.budget_eur), money(each.net_eur), f"{each.price:,.2f} EUR") for each in first.frontier.points
        ],
        campaigns=[_campaign(each, names[at], at, len(reports) > 1) for at, each in enumerate(reports)],
    )


def _campaign(report: PlanReport, name: str, number: int, several: bool) -> dict[str, object]:
    """What the page says of one campaign; `mark` tells its sections from those of others, `of` its plots."""
    of = f"{name}: " if several else ""
    return {
        "name": name,
        "mark": f"-{number + 1}" if number else "",
        "report": report,
        "net": report.forecast.net_eur,
        "key": _key_figures(report),
        "compared": _compared(report),
        "baselines_plot": _baselines_plot(report, of),
        "baselines_rows": _baselines_rows(report),
        "mix_plot": _mix_plot(report, of),
        "channel_rows": _channel_rows(report),
        "moves_plot": _moves_plot(report, of),
        "reasons_plot": _reasons_plot(report.moves.reasons if report.moves else {}, "moved", of),
        "roles_plot": _roles_plot(report, of),
        "excluded_plot": _reasons_plot(report.excluded, "may not be contacted", of),
        "more_reasons": max(0, len(report.excluded) - MOST_REASONS),
        "evidence_plot": _evidence_plot(report, of),
    }


def money(value: float) -> str:
    """EUR for a reader: cents only where they matter.

    >>> money(12345.6), money(12.345)
    ('12,346 EUR', '12.35 EUR')
    """
    return eur(value, 0 if abs(value) >= WHOLE_FROM_EUR else 2)


def span(each: Estimate, unit: str = "") -> str:
    """The bounds of an interval.

    >>> span(Estimate(2.0, 1.0, 3.4), " EUR")
    '1 to 3 EUR'
    """
    return f"{whole(each.lower)} to {whole(each.upper)}{unit}"


def _key_figures(report: PlanReport) -> Rows:
    found = report.forecast
    level = percent(report.interval, 0)
    opt_outs = found.opt_outs
    return [
        (money(report.net_eur), f"net of cost, beyond no contact; {level} interval {span(found.net_eur)}"),
        (whole(report.contacts), f"contacts to {whole(report.customers)} customers, at most {_most(report)} each"),
        (money(report.cost_eur), "for all contacts"),
        (
            whole(found.incremental_responses.mean),
            f"responses more than without contact; {span(found.incremental_responses)}",
        ),
        (
            whole(opt_outs.mean) if opt_outs else UNKNOWN,
            f"opt-outs to expect; {span(opt_outs)}" if opt_outs else "opt-outs: no rate is known",
        ),
        (_gap(report.gap), "at most below the best plan there is under these limits, by the same scores"),
    ]


def _most(report: PlanReport) -> str:
    most = report.joint.contacts_per_customer
    return "one" if most == 1 else str(most)


def _share(share: float) -> str:
    return "under 1 %" if 0 < share < 0.005 else percent(share, 0)


def _gap(gap: float) -> str:
    return "0 %" if gap == 0 else f"{gap:.3%}".replace("%", " %") if gap >= 5e-6 else "under 0.001 %"


def _compared(report: PlanReport) -> str:
    """One sentence on what the plan changes against the best plain rule."""
    others = {name: each for name, each in report.baselines.items() if each.contacts}
    if not others or not report.contacts:
        return ""
    name, best = max(others.items(), key=lambda each: each[1].net_eur.mean)
    more = report.net_eur - best.net_eur.mean
    if more < 0:
        alone = ", serves those who explore like everybody, and has every limit to itself, which here campaigns share."
        usual = " and serves those who explore like everybody."
        ending = alone if len(report.joint.campaigns) > 1 else usual
        return f"By the scores “{name}” would earn {money(-more)} more, as it heeds no minimums{ending}"
    return f"The best of the plain rules under the same limits, “{name}”, would earn {money(more)} less."


def _baselines_plot(report: PlanReport, of: str) -> Markup:
    rows = [_net_bar("this plan", report.forecast, ours=True)]
    rows += [_net_bar(name, each, ours=False) for name, each in _ordered(report.baselines)]
    words = f"{of}Net of cost with interval: " + "; ".join(f"{row.name} {row.text}" for row in rows)
    return intervals(rows, words, "Margin brought, net of cost, EUR")


def _ordered(baselines: dict[str, Forecast]) -> list[tuple[str, Forecast]]:
    return sorted(baselines.items(), key=lambda each: -each[1].net_eur.mean)


def _net_bar(name: str, each: Outcome, *, ours: bool) -> Bar:
    net = each.net_eur
    return Bar(name, net.mean, whole(net.mean), net.lower, net.upper, ours=ours)


def _baselines_rows(report: PlanReport) -> Rows:
    return [(name, *_cells(each)) for name, each in (("this plan", report.forecast), *_ordered(report.baselines))]


def _cells(each: Outcome) -> tuple[str, ...]:
    """Contacts, responses brought, margin, cost, net with its interval, opt-outs."""
    opt_outs = f"{whole(each.opt_outs.mean)} ({span(each.opt_outs)})" if each.opt_outs else UNKNOWN
    return (
        whole(each.contacts),
        f"{whole(each.incremental_responses.mean)} ({span(each.incremental_responses)})",
        whole(each.margin_eur.mean),
        f"{each.cost_eur:,.2f}",
        whole(each.net_eur.mean),
        span(each.net_eur),
        opt_outs,
    )


def _mix_plot(report: PlanReport, of: str) -> Markup:
    total = max(1, report.contacts)
    rows = [
        Bar(name, float(count), f"{whole(count)} ({_share(count / total)})", ours=count > 0)
        for name, count in report.mix.items()
    ]
    return bars(rows, f"{of}Contacts by channel: " + "; ".join(f"{row.name} {row.text}" for row in rows))


def _channel_rows(report: PlanReport) -> Rows:
    parts = sorted(report.forecast.channels.items(), key=lambda each: -each[1].net_eur.mean)
    return [*((name, *_cells(each)) for name, each in parts), ("in all", *_cells(report.forecast))]


def _limits_plot(limits: Sequence[LimitFigure]) -> Markup | None:
    if not limits:
        return None
    rows = []
    for each in limits:
        unit = " EUR" if each.kind == "budget" else ""
        share = each.used / each.limit if each.limit > 0 else 1.0
        least = "at least " if each.kind == "minimum" else ""
        text = f"{each.used:,.0f} of {least}{each.limit:,.0f}{unit}"
        rows.append(Bar(each.name, min(share, 1.5), text, full=1.0, ours=each.binds))
    words = "Use of limits: " + "; ".join(f"{row.name} {row.text}" for row in rows)
    return bars(rows, words)


def _budget_plot(report: PlanReport) -> Markup | None:
    found = report.frontier
    if not found.points:
        return None
    x, y = [each.budget_eur for each in found.points], [each.net_eur for each in found.points]
    budget = next((each for each in report.joint.limits if each.name == "budget"), None)
    here = budget.limit if budget is not None else found.enough_eur
    own = float(np.interp(here, x, y))
    price = budget.price_eur if budget is not None else 0.0
    text = f"this plan: the last of {money(here)} earns {price:,.2f} EUR" if budget else f"{money(here)} is enough"
    ends = f"{money(y[0])} at {money(x[0])}, {money(own)} at {money(here)}, {money(y[-1])} at {money(x[-1])}"
    words = f"Best net value by budget: {ends}"
    return curve(x, y, [Mark(here, own, text)], words, Axis("Budget, EUR", "Net of cost, EUR"))


def _moves_plot(report: PlanReport, of: str) -> Markup | None:
    found = report.moves
    if found is None:
        return None
    # What was outside the last plan has no place of its own now: the square shows flows between the same names.
    shown = [row for row, name in enumerate(found.was) if row < len(found.now) or any(found.counts[row])]
    counts = np.array([found.counts[row] for row in shown], dtype=np.int64)
    names = [found.was[row] for row in shown]
    flows = [
        f"{names[row]} to {found.now[column]} {counts[row, column]:,}"
        for row in range(len(names))
        for column in range(len(found.now))
        if counts[row, column] and names[row] != found.now[column]
    ]
    words = f"{of}Customers by channel in the last plan and now; moved: " + ("; ".join(flows) or "nobody")
    return matrix(names, found.now, counts, words, Axis("in this plan", "in the last plan"))


def _reasons_plot(reasons: dict[str, int], what: str, of: str) -> Markup | None:
    if not reasons:
        return None
    rows = [Bar(name, float(count), whole(count)) for name, count in list(reasons.items())[:MOST_REASONS]]
    return bars(rows, f"{of}Customers who {what}, by reason: " + "; ".join(f"{row.name} {row.text}" for row in rows))


def _roles_plot(report: PlanReport, of: str) -> Markup:
    roles, contacted = report.roles, report.contacted
    plan, explore, holdout, ineligible = (ROLES[code] for code in (PLAN, EXPLORE, HOLDOUT, INELIGIBLE))
    parts = {
        "contacted by the plan": contacted[plan],
        "contacted to explore": contacted[explore],
        "open, but no channel pays or none has room": (
            roles[plan] + roles[explore] - contacted[plan] - contacted[explore]
        ),
        "held out, to measure what contact brings": roles[holdout],
        "may not be contacted": roles[ineligible],
    }
    total = max(1, report.customers)
    rows = [
        Bar(name, float(count), f"{whole(count)} ({_share(count / total)})", ours=name.startswith("contacted"))
        for name, count in parts.items()
    ]
    return bars(rows, f"{of}Customers: " + "; ".join(f"{row.name} {row.text}" for row in rows))


def _evidence_plot(report: PlanReport, of: str) -> Markup | None:
    if not report.evidence_share:
        return None
    parts = sorted(report.evidence_share.items(), key=lambda each: -each[1])
    words = f"{of}Share of the expected margin by evidence: " + "; ".join(
        f"{name} {share:.0%}" for name, share in parts
    )
    return shares(parts, words)
