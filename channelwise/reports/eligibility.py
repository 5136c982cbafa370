"""What the rules of eligibility refused, on the terminal; judges nobody."""

from channelwise.console import show_table, warn
from serving.eligibility_files import Refusals


def show_refusals(refusals: Refusals) -> None:
    """How many pairs of customer and channel each rule refused, as the first and in all, and how many wait."""
    rows = [(each.rule, each.reason, f"{each.first:,}", f"{each.all:,}") for each in refusals.rules if each.all]
    if rows:
        title = f"Refused pairs of customer and channel ({refusals.open:,} are open)"
        show_table(title, ("rule", "reason", "as the first", "in all"), rows)
    if refusals.waiting:
        show_table("Open, but not at once", ("why", "pairs"), [("quiet times", f"{refusals.waiting:,}")])
    if refusals.foreign_zones:
        warn(f"{refusals.foreign_zones:,} customers have a time zone that does not exist, and got eligibility.zone")
