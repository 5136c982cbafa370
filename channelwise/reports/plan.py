"""What a plan says, on the terminal; plans nothing."""

from channelwise.console import say, show_table, warn
from channelwise.reports.eligibility import show_refusals
from serving.forecast import Forecast
from serving.plan_files import PlanResult
from serving.plan_report import PlanReport


def show_plan(result: PlanResult) -> None:
    """Mix, limits with use and price, forecast beside the baselines, and who is left out."""
    report = result.report
    roles = ", ".join(f"{name} {count:,}" for name, count in report.roles.items())
    say(f"{report.customers:,} customers: {roles}")
    rows = [(name, f"{count:,}") for name, count in report.mix.items()]
    show_table(f"{report.contacts:,} contacts for {report.cost_eur:,.2f} EUR", ("channel", "contacts"), rows)
    _show_limits(report)
    _show_forecasts(report)
    excluded = [(reason, f"{count:,}") for reason, count in report.excluded.items()]
    if excluded:
        show_table("Customers whom no channel may reach", ("reason", "customers"), excluded[:10])
    if report.eligibility is not None:
        show_refusals(report.eligibility)
    say(
        f"Certified: the planned part is worth {report.value_eur:,.2f} EUR net, and no plan within the limits is worth "
        f"more than {report.bound_eur:,.2f} EUR (gap {report.gap:.4%}, {report.method})."
    )
    for line in report.warnings:
        warn(line)
    say(f"Plan: {result.plan}\nPropensities: {result.propensities}\nReport: {result.report_file}")


def _show_limits(report: PlanReport) -> None:
    rows = [
        (f"{each.kind} {each.channel or ''}".strip(), f"{each.limit:,.0f}", f"{each.used:,.2f}", each.text())
        for each in report.limits
    ]
    if rows:
        show_table("Limits", ("limit", "allowed", "used", "price"), rows)


def _show_forecasts(report: PlanReport) -> None:
    rows = [_forecast_row("this plan", report.forecast)]
    rows += [_forecast_row(name, each) for name, each in report.baselines.items()]
    header = ("forecast", "contacts", "responses brought", "cost EUR", "net EUR", f"{report.interval:.0%} interval")
    show_table("Forecast, by the scores", header, rows)


def _forecast_row(name: str, each: Forecast) -> tuple[str, ...]:
    net = each.net_eur
    return (
        name,
        f"{each.contacts:,}",
        f"{each.incremental_responses.mean:,.0f}",
        f"{each.cost_eur:,.2f}",
        f"{net.mean:,.0f}",
        f"{net.lower:,.0f} to {net.upper:,.0f}",
    )
