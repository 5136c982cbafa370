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
    title = f"{summary.customers:,} customers scored by {summary.model_version}"
    show_table(title, ("channel", "eligible", "evidence", "because"), rows)
    if summary.unknown:
        say(f"{summary.unknown:,} customers are in no table: scored as newcomers of whom nothing is known.")
    if summary.no_history:
        say(f"{summary.no_history:,} customers have no history: scored from what else is known of them.")
    show_refusals(summary.refusals)
    say(f"Scores: {summary.outputs.scores}\nEngagement preferences: {summary.outputs.engagement}")
    say(f"Eligibility: {summary.eligibility.rows}")
    if summary.explanations is not None:
        say(f"Reasons: {summary.explanations}")
