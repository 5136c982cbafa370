"""The default features that are plain aggregates, as SQL over the raw columns: what the peers compute; runs nothing.

Counts, sums, means, recencies, rates, shares, trends and entropies of sets that depend on no candidate or campaign,
for all customers at one moment, each measure once. The peers are spared what is dear in them: streaks, gaps, what
follows what, pressures, circular hours.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

from benchmarks.parts.history import words_of
from features import grammar as g
from features.event_sets import EventSet
from features.events import US_PER_DAY, Codebook

PLAIN = (g.Count, g.Sum, g.Mean, g.Recency, g.Rate, g.Share, g.Trend, g.Entropy)


def plain_features(features: Sequence[g.Feature]) -> list[g.Feature]:
    """Those that the peers are asked for."""
    return [each for each in features if isinstance(each, PLAIN) and not each.candidate]


@dataclass
class Measures:
    """Measures under names of their own, each found once: what they count, add up or look for."""

    codebook: Codebook
    as_of: str
    found: dict[tuple[str, str], str] = field(default_factory=dict)

    def count(self, events: EventSet, days: float) -> str:
        """Number of events in a window."""
        return self._named("count", self.condition(events, days))

    def cents(self, events: EventSet, days: float) -> str:
        """Value of events in a window."""
        return self._named("sum", self.condition(events, days))

    def last(self, events: EventSet) -> str:
        """Time of the last event."""
        return self._named("last", self.condition(events, None))

    def condition(self, events: EventSet, days: float | None) -> str:
        """Over the raw columns."""
        parts = []
        for column, names in (("kind", events.kinds), ("channel", events.channels), ("category", events.categories)):
            words = words_of(self.codebook, column)
            if names:
                numbers = [str(words.index(name)) for name in names if name in words]
                parts.append(f"{column} IN ({', '.join(numbers) or '255'})")
        if days is not None:
            parts.append(f"ts >= {self.as_of} - {int(days * US_PER_DAY)}")
        return " AND ".join(parts) or "ts >= 0"

    def value(self, feature: g.Feature) -> str:
        """The feature over the measures."""
        match feature:
            case g.Count():
                return self.count(feature.events, feature.window_days)
            case g.Sum():
                return self.cents(feature.events, feature.window_days)
            case g.Mean():
                return f"{self.cents(feature.events, feature.window_days)} / {self.above_zero(feature)}"
            case g.Recency():
                return f"({self.as_of} - {self.last(feature.events)}) / {float(US_PER_DAY)}"
            case g.Rate():
                above, below = (self.count(each, feature.window_days) for each in (feature.events, feature.per))
                return f"({above} + {feature.pseudo * 0.1}) / ({below} + {feature.pseudo})"
            case g.Share():
                above, below = (self.count(each, feature.window_days) for each in (feature.events, feature.whole))
                return f"{above} / nullif({below}, 0)"
            case g.Trend():
                short, long = (self.count(feature.events, days) for days in (feature.window_days, feature.long_days))
                return f"({short} + 1) / ({long} * {feature.window_days / feature.long_days} + 1)"
            case g.Entropy():
                counts = [self.count(feature.events.on(name), feature.window_days) for name in feature.over]
                return " + ".join(f"CASE WHEN {n} > 0 THEN {n} * ln({n}) ELSE 0 END" for n in counts)
        raise ValueError(feature.name)

    def above_zero(self, feature: g.Mean) -> str:
        """The count below a mean, null where it is 0."""
        return f"nullif({self.count(feature.events, feature.window_days)}, 0)"

    def _named(self, what: str, condition: str) -> str:
        return self.found.setdefault((what, condition), f"m{len(self.found)}")


def duckdb_measures(measures: Measures) -> str:
    """The measures as DuckDB aggregates; `countif`, since a FILTER clause costs eight times as much."""
    spelled = {
        "count": "countif({})",
        "sum": "sum(CASE WHEN {} THEN value ELSE 0 END)",
        "last": "max(CASE WHEN {} THEN ts END)",
    }
    return ", ".join(
        f"{spelled[what].format(condition)} AS {name}" for (what, condition), name in measures.found.items()
    )
