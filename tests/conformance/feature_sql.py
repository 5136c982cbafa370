"""Every feature written a second time, plainly, as SQL over a self-join; shares only declarations with the sweep.

Each row to describe is joined with all events before its as_of; a feature is an aggregate over them, or a query of its
own. Slow on purpose: it should be obvious, not fast.
"""

from collections.abc import Mapping, Sequence

import duckdb
import numpy as np
import pandas as pd

from features import grammar as g
from features.compiler import DEFAULT_BASE_RATE
from features.event_sets import CANDIDATE, OWN_CATEGORY, EventSet
from features.events import Codebook, Events, Spine

DAY = 86_400_000_000


def number(value: float) -> str:
    """A literal that DuckDB does not take for a decimal."""
    return f"CAST({value!r} AS DOUBLE)"


def frames(codebook: Codebook, events: Events, spine: Spine) -> dict[str, pd.DataFrame]:
    """Events with their words in place of codes, and rows with the names of their action and category."""
    customers = events.first_customer + np.arange(len(events.offsets) - 1)
    entries = [codebook.entries[code] for code in events.code]
    actions = [None, *codebook.outbound]
    themes = [None, *codebook.categories]
    return {
        "history": pd.DataFrame(
            {
                "customer": np.repeat(customers, np.diff(events.offsets)),
                "t": events.time_us,
                "cents": events.cents,
                "kind": pd.array([entry.kind for entry in entries], dtype="str"),
                "channel": pd.array([entry.channel for entry in entries], dtype="str"),
                "category": pd.array([entry.category for entry in entries], dtype="str"),
                "transactional": pd.array([entry.transactional for entry in entries], dtype="bool"),
            }
        ),
        "spine": pd.DataFrame(
            {
                "row": np.arange(len(spine)),
                "customer": spine.customer,
                "as_of": spine.as_of_us,
                "own_channel": pd.array([actions[each] for each in spine.action], dtype="str"),
                "own_category": pd.array([themes[each + 1] for each in spine.category], dtype="str"),
            }
        ),
    }


class Reference:
    """Events and rows in DuckDB, and the SQL of each operation."""

    def __init__(
        self, codebook: Codebook, events: Events, spine: Spine, lookback_days: float, base_rates: Mapping[str, float]
    ) -> None:
        self.codebook, self.base_rates = codebook, base_rates
        self.connection = duckdb.connect(config={"threads": 1})
        for name, frame in frames(codebook, events, spine).items():
            self.connection.register(f"{name}_frame", frame)
            self.connection.execute(f"CREATE TABLE {name} AS SELECT * FROM {name}_frame")
        self.connection.execute(
            "CREATE TABLE known AS SELECT row, as_of, own_channel, own_category, h.* FROM spine JOIN history h "
            "ON h.customer = spine.customer AND h.t < as_of;"
            f"CREATE TABLE seen AS SELECT * FROM known WHERE t >= as_of - {int(lookback_days * DAY)}"
        )

    def within(self, events: EventSet) -> str:
        """The condition for an event of the set."""
        parts = ["t IS NOT NULL"]
        for column, names in (("kind", events.kinds), ("channel", events.channels), ("category", events.categories)):
            if names in ((CANDIDATE,), (OWN_CATEGORY,)):
                parts.append(f"coalesce({column} = own_{column}, false)")
            elif names:
                parts.append(f"coalesce({column} IN ({', '.join(map(repr, names))}), false)")
        if events.transactional is not None:
            parts.append(f"transactional = {events.transactional}")
        return " AND ".join(parts)

    def recent(self, events: EventSet, days: float) -> str:
        """The condition for an event of the set within a window."""
        return f"{self.within(events)} AND t >= as_of - {int(days * DAY)}"

    def count(self, events: EventSet, days: float) -> str:
        """Number of events of the set within a window."""
        return f"countif({self.recent(events, days)})"

    def base_rate(self, feature: g.Rate) -> str:
        """The base rate of a rate, null where the row has none."""
        if not feature.candidate:
            key = f"{feature.events.name}/{feature.per.name}"
            return number(self.base_rates.get(key, DEFAULT_BASE_RATE))
        column = "own_channel" if feature.events.per_action else "own_category"
        levels = self.codebook.outbound if feature.events.per_action else self.codebook.categories
        place = CANDIDATE if feature.events.per_action else OWN_CATEGORY
        cases = []
        for level in levels:
            key = f"{feature.events.name}/{feature.per.name}".replace(place, level)
            cases.append(f"WHEN '{level}' THEN {number(self.base_rates.get(key, DEFAULT_BASE_RATE))}")
        return f"(CASE any_value(spine.{column}) {' '.join(cases)} END)"

    def compute(self, features: Sequence[g.Feature]) -> pd.DataFrame:
        """One column a feature, one row a row of the spine, in order; NaN for null."""
        aggregates = {each.name: sql for each in features if (sql := self.aggregate(each)) is not None}
        queries = {each.name: sql for each in features if (sql := self.query(each)) is not None}
        columns = ", ".join(f'{sql} AS "{name}"' for name, sql in aggregates.items()) or "0 AS none"
        found = self.connection.sql(
            f"SELECT spine.row, {columns} FROM spine LEFT JOIN (SELECT * EXCLUDE (as_of, own_channel, own_category) "
            "FROM seen) USING (row) GROUP BY spine.row ORDER BY spine.row"
        ).df()
        for name, sql in queries.items():
            values = self.connection.sql(f"SELECT spine.row, value FROM spine LEFT JOIN ({sql}) USING (row)").df()
            found[name] = values.sort_values("row")["value"].to_numpy(dtype=np.float64, na_value=np.nan)
        found = found[[each.name for each in features]].astype(np.float64)
        assert isinstance(found, pd.DataFrame)
        return found

    def aggregate(self, feature: g.Feature) -> str | None:
        """The feature as an aggregate over the events seen, if it is one."""
        return self.counted(feature) or self.timed(feature) or self.valued(feature) or self.rhythm(feature)

    def counted(self, feature: g.Feature) -> str | None:
        """Operations over numbers of events."""
        match feature:
            case g.Count():
                return self.count(feature.events, feature.window_days)
            case g.Rate():
                above = self.count(feature.events, feature.window_days)
                below = self.count(feature.per, feature.window_days)
                pseudo = number(feature.pseudo)
                return f"({above} + {pseudo} * {self.base_rate(feature)}) / nullif({below} + {pseudo}, 0)"
            case g.Share():
                whole = self.count(feature.whole, feature.window_days)
                return f"{self.count(feature.events, feature.window_days)} / nullif({whole}, 0)"
            case g.Trend():
                part = number(feature.window_days / feature.long_days)
                usual = f"{self.count(feature.events, feature.long_days)} * {part}"
                return f"({self.count(feature.events, feature.window_days)} + 1) / ({usual} + 1)"
            case g.Entropy():
                counts = [self.count(feature.events.on(name), feature.window_days) for name in feature.over]
                whole = f"({' + '.join(counts)})"
                terms = [f"CASE WHEN {n} > 0 THEN {n} / {whole} * ln({n} / {whole}) ELSE 0 END" for n in counts]
                return f"CASE WHEN {whole} > 0 THEN -({' + '.join(terms)}) END"
        return None

    def timed(self, feature: g.Feature) -> str | None:
        """Operations over times."""
        match feature:
            case g.Recency():
                return f"(max(as_of) - max(t) FILTER ({self.within(feature.events)})) / {DAY}"
            case g.First():
                return f"(max(as_of) - min(t) FILTER ({self.within(feature.events)})) / {DAY}"
            case g.Tenure():
                return f"(max(as_of) - min(t)) / {DAY}"
            case g.ActiveDays():
                first_day = f"as_of // {DAY} - {feature.span_days - 1}"
                return (
                    f"count(DISTINCT t // {DAY}) FILTER ({self.within(feature.events)} AND t // {DAY} >= {first_day})"
                )
            case g.Calendar():
                moment = "make_timestamp(any_value(spine.as_of))"
                return {
                    "hour": f"any_value(spine.as_of) % {DAY} / 3600000000",
                    "weekday": f"isodow({moment}) - 1",
                    "month": f"month({moment})",
                }[feature.part]
        return None

    def valued(self, feature: g.Feature) -> str | None:
        """Operations over values."""
        match feature:
            case g.Sum():
                return f"coalesce(sum(cents) FILTER ({self.recent(feature.events, feature.window_days)}), 0) / 100"
            case g.Mean():
                return f"avg(cents) FILTER ({self.recent(feature.events, feature.window_days)}) / 100"
            case g.LastValue():
                return f"(max(row(t, cents)) FILTER ({self.within(feature.events)}))[2] / 100"
            case g.TypicalValue():
                return f"exp(avg(ln(1 + greatest(cents, 0) / 100)) FILTER ({self.within(feature.events)})) - 1"
            case g.Total():
                return f"countif({self.within(feature.events)})"
        return None

    def rhythm(self, feature: g.Feature) -> str | None:
        """Operations over the hour and the day of the week."""
        match feature:
            case g.WeekendShare():
                weekend = "CAST(isodow(make_timestamp(t)) >= 6 AS INT)"
                return f"avg({weekend}) FILTER ({self.within(feature.events)})"
            case g.HourConcentration():
                east, north, count = self.circle(feature.events)
                return f"sqrt({east} ** 2 + {north} ** 2) / nullif({count}, 0)"
            case g.HourMean():
                east, north, count = self.circle(feature.events)
                hour = f"atan2({north}, {east}) * 12 / pi()"
                length = f"sqrt({east} ** 2 + {north} ** 2) / nullif({count}, 0)"
                return f"CASE WHEN {length} >= 1e-6 THEN CASE WHEN {hour} < 0 THEN {hour} + 24 ELSE {hour} END END"
        return None

    def circle(self, events: EventSet) -> tuple[str, str, str]:
        """Sums of cosine and sine (in 2^-20) of the middle of the quarter of an hour, and the count."""
        angle = f"((t % {DAY}) // 900000000 + 0.5) * 2 * pi() / 96"
        chosen = f"FILTER ({self.within(events)})"
        scale = "1048576"
        east, north = (f"(sum(round({f}({angle}) * {scale})) {chosen} / {scale})" for f in ("cos", "sin"))
        return east, north, f"count(*) {chosen}"

    def query(self, feature: g.Feature) -> str | None:
        """The feature as a query for (row, value), if it is not an aggregate."""
        match feature:
            case g.Pressure():
                return self.pressure(feature)
            case g.Streak():
                return self.streak(feature)
            case g.Followed():
                return self.followed(feature)
            case g.GapMean() | g.GapSpread():
                function = "avg" if isinstance(feature, g.GapMean) else "stddev_pop"
                gaps = "t // 60000000 - lag(t // 60000000) OVER (PARTITION BY row ORDER BY t) AS gap"
                chosen = f"SELECT row, {gaps} FROM seen WHERE {self.within(feature.events)}"
                return f"SELECT row, {function}(gap) / 1440 AS value FROM ({chosen}) GROUP BY row"
            case g.LatestChannel():
                chosen = f"FROM seen WHERE {self.within(feature.events)} GROUP BY ALL"
                return self.ranked(feature.over, f"SELECT row, channel, max(t) AS measure {chosen}", feature.rank)
            case g.TopChannel():
                chosen = f"FROM seen WHERE {self.recent(feature.events, feature.window_days)} GROUP BY ALL"
                return self.ranked(feature.over, f"SELECT row, channel, count(*) AS measure {chosen}", 1)
        return None

    def pressure(self, feature: g.Pressure) -> str:
        """All events of the past, where one lies in the lookback."""
        chosen = self.within(feature.events)
        decayed = f"sum(2 ** (-(as_of - t) / {number(feature.half_life_days * DAY)})) FILTER ({chosen})"
        alive = f"SELECT DISTINCT row FROM seen WHERE {chosen}"
        return (
            f"SELECT row, coalesce(d, 0) AS value FROM spine LEFT JOIN (SELECT row, {decayed} AS d FROM known "
            f"WHERE row IN ({alive}) GROUP BY row) USING (row)"
        )

    def streak(self, feature: g.Streak) -> str:
        """Events after the latest of the other set; none where a relative set stands for nothing."""
        chosen, since = self.within(feature.events), self.within(feature.since)
        columns = [column for column in ("own_channel", "own_category") if column in chosen + since]
        known = " AND ".join(["true", *(f"{column} IS NOT NULL" for column in columns)])
        latest = f"SELECT row, max(t) AS latest FROM seen WHERE {since} GROUP BY row"
        return (
            f"SELECT row, countif({known} AND {chosen} AND t > coalesce(latest, -1)) AS value "
            f"FROM (SELECT row FROM spine) spine LEFT JOIN seen USING (row) LEFT JOIN ({latest}) USING (row) "
            "GROUP BY row"
        )

    def followed(self, feature: g.Followed) -> str:
        """Events whose latest `after` strictly before lies within the time, per `after`."""
        return f"""
            SELECT spine.row, coalesce(hits, 0) / nullif(sends, 0) AS value FROM spine
            LEFT JOIN (SELECT row, count(*) AS sends FROM seen WHERE {self.recent(feature.after, feature.window_days)}
                       GROUP BY row) USING (row)
            LEFT JOIN (
                SELECT row, count(*) AS hits FROM
                (SELECT row, t FROM seen WHERE {self.recent(feature.events, feature.window_days)}) step
                WHERE EXISTS (SELECT 1 FROM (SELECT row AS sent_row, t AS sent_t FROM seen
                                             WHERE {self.within(feature.after)}) send
                              WHERE sent_row = step.row AND sent_t < step.t
                              AND sent_t >= step.t - {int(feature.within_days * DAY)})
                GROUP BY row) USING (row)"""

    def ranked(self, over: Sequence[str], measures: str, rank: int) -> str:
        """Code of the channel with the highest measure; ties: first in `over`."""
        places = ", ".join(f"('{name}', {at}, {self.codebook.channels.index(name)})" for at, name in enumerate(over))
        return f"""
            SELECT row, code AS value FROM (
                SELECT row, code, row_number() OVER (PARTITION BY row ORDER BY measure DESC, place) AS rank
                FROM ({measures}) m JOIN (VALUES {places}) places(name, place, code) ON m.channel = places.name)
            WHERE rank = {rank}"""
