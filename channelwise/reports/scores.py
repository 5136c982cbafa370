"""What a scoring says, on the terminal; scores nothing."""

from channelwise.console import say, show_table
from channelwise.jobs.score import ScoreSummary
from channelwise.reports.check import warn_of_quarantine
from channelwise.reports.eligibility import show_refusals


def show_scores(summary: ScoreSummary) -> None:
    """How many customers were scored, who is open to which channel, and what the scores rest on."""
    warn_of_quarantine(*summary.reports)
    rows = [
        (each.action, f"{summary.eligible[each.action]:,}", each.verdict, each.reason)
        for each in summary.evidence
        if each.action != "none"
    ]
    counts = summary.counts
    title = f"{counts.customers:,} customers scored by {summary.model_version}"
    show_table(title, ("channel", "eligible", "evidence", "because"), rows)
    if counts.unknown:
        say(f"{counts.unknown:,} customers are in no table: scored as newcomers of whom nothing is known.")
    if counts.no_history:
        say(f"{counts.no_history:,} customers have no history: scored from what else is known of them.")
    if counts.kept:
        say(f"{counts.kept:,} customers had been scored by a run that was stopped: checked and kept.")
    show_refusals(summary.refusals)
    _show_cost(summary)
    say(str(summary.outputs))
    say(f"Eligibility: {summary.eligibility.rows}")
    if summary.explanations is not None:
        say(f"Reasons: {summary.explanations}")


def _show_cost(summary: ScoreSummary) -> None:
    """Rows per second and core, and where the time went, once the timeline was there."""
    cost, rows = summary.cost, (summary.counts.customers - summary.counts.kept) * len(summary.eligible)
    total = sum(cost.stages.values())
    if rows and total > 0:
        shares = ", ".join(f"{name} {seconds / total:.0%}" for name, seconds in sorted(cost.stages.items()))
        say(f"{rows:,} rows in {cost.wall_s:.1f} s, {rows / total:,.0f} rows a second and core: {shares}.")
