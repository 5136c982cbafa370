"""What each feature means, on the terminal and as a page; computes no feature."""

from collections import Counter
from collections.abc import Sequence

from channelwise.console import say, show_table
from features.description import FeatureWords
from pages.page import render


def show_features(words: Sequence[FeatureWords]) -> None:
    """Every feature with its meaning, and how each would be declared."""
    rows = [(each.name, f"{each.meaning} [{each.unit}]", each.line) for each in words]
    show_table(f"{len(words)} features", ("name", "meaning [unit]", "as a line of features.add"), rows)
    say("Customers' columns named under tables.customers.features come on top.")


def features_page(words: Sequence[FeatureWords]) -> str:
    """The same as one HTML page, by operation."""
    operations = Counter(each.operation for each in words)
    return render(
        "features.html.j2",
        title="What each feature means",
        words=sorted(words, key=lambda each: (list(operations).index(each.operation), each.name)),
        operations=operations,
    )
