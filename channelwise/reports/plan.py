"""What a plan says, on the terminal; plans nothing."""

from channelwise.console import say, show_table, warn
from channelwise.reports.eligibility import show_refusals
from serving.forecast import Estimate, Outcome
from serving.plan_files import PlanResult
from serving.plan_report import PlanReport
from serving.recording import Recorded

MOST_REASONS = 5


def show_plan(result: PlanResult) -> None:
    """Of each campaign what it brings, beside plain rules, and who is left out; then the limits of all."""
    for report in result.reports:
        if len(result.reports) > 1:
            say(f"\nCampaign {report.campaign_id}")
        _show_campaign(report)
    report = result.report
    _show_limits(report)
    say(
        f"Certified: the planned part is worth {report.value_eur:,.2f} EUR net, and no plan within the limits is worth "
        f"more than {report.bound_eur:,.2f} EUR (gap {report.gap:.4%}, {report.method})."
    )
    for line in dict.fromkeys(line for each in result.reports for line in each.warnings):
        warn(line)
    say(f"Plan: {result.plan}\nPropensities: {result.propensities}")
    say(f"Report: {result.report_file}\nPrices: {result.prices}")
    if result.page is not None:
        say(f"Page: {result.page} – open it in a browser: curve of the budget, comparison, intervals, glossary")


def show_recorded(recorded: Recorded) -> None:
    """Where the next training finds what was decided."""
    say(
        f"Recorded: {recorded.contacts:,} contacts and {recorded.withheld:,} decisions not to contact, in "
        f"{', '.join(map(str, recorded.files))}"
    )


def _show_campaign(report: PlanReport) -> None:
    _say_answer(report)
    _show_channels(report)
    _show_baselines(report)
    _show_moves(report)
    excluded = [(reason, f"{count:,}") for reason, count in list(report.excluded.items())[:MOST_REASONS]]
    if excluded:
        more = len(report.excluded) - len(excluded)
        title = "Customers whom no channel may reach" + (f" ({more} rarer reasons in the report)" if more else "")
        show_table(title, ("reason", "customers"), excluded)
    if report.eligibility is not None:
        show_refusals(report.eligibility)


def _say_answer(report: PlanReport) -> None:
    roles = ", ".join(f"{name} {count:,}" for name, count in report.roles.items())
    say(f"{report.customers:,} customers: {roles}")
    net = report.forecast.net_eur
    say(
        f"{report.contacts:,} contacts for {report.cost_eur:,.2f} EUR bring {report.expected_margin_eur:,.0f} EUR of "
        f"margin beyond no contact: {net.mean:,.0f} EUR net ({report.interval:.0%} interval {_span(net)}).\n"
    )


def _show_channels(report: PlanReport) -> None:
    parts = {name: each for name, each in report.forecast.channels.items() if each.contacts}
    rows = [_outcome_row(name, each) for name, each in [*parts.items(), ("in all", report.forecast)]]
    header = ("channel", "contacts", "responses brought", "cost EUR", "net EUR", "net, interval", "opt-outs")
    show_table("What each channel brings, by the scores", header, rows)


def _outcome_row(name: str, each: Outcome) -> tuple[str, ...]:
    opt_outs = f"{each.opt_outs.mean:,.1f}" if each.opt_outs is not None else "–"
    brought = f"{each.incremental_responses.mean:,.0f}"
    return (
        *(name, f"{each.contacts:,}", brought, f"{each.cost_eur:,.2f}", f"{each.net_eur.mean:,.0f}"),
        *(_span(each.net_eur), opt_outs),
    )


def _show_limits(report: PlanReport) -> None:
    """Those of the whole plan: of every channel, group and campaign."""
    rows = [(each.name, f"{each.limit:,.0f}", f"{each.used:,.2f}", each.text) for each in report.joint.limits]
    if rows:
        show_table("Limits", ("limit", "allowed", "used", "price"), rows)


def _show_baselines(report: PlanReport) -> None:
    others = sorted(report.baselines.items(), key=lambda each: -each[1].net_eur.mean)
    rows = [_baseline_row(name, each) for name, each in [("this plan", report.forecast), *others]]
    header = ("who chooses", "contacts", "responses brought", "cost EUR", "net EUR", f"{report.interval:.0%} interval")
    show_table("Beside plain rules under the same limits", header, rows)


def _baseline_row(name: str, each: Outcome) -> tuple[str, ...]:
    return _outcome_row(name, each)[:6]


def _show_moves(report: PlanReport) -> None:
    found = report.moves
    if found is None:
        return
    say(
        f"Since the last plan {found.moved:,} customers moved, {found.stayed:,} stayed, {found.new:,} are new and "
        f"{found.gone:,} have left the audience."
    )
    if found.reasons:
        rows = [(reason, f"{count:,}") for reason, count in found.reasons.items()]
        show_table("Why they moved", ("reason", "customers"), rows)


def _span(each: Estimate) -> str:
    return f"{each.lower:,.0f} to {each.upper:,.0f}"
