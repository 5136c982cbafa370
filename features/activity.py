"""What happened in each of several periods of equal length, counted: for monitoring, not for models; judges nothing.

Every figure is an amount with its basis, so that a share, a rate or a mean and how many rows it rests on stay together.
"""

from dataclasses import dataclass, field
from typing import Final

import duckdb
import numpy as np
import numpy.typing as npt

from contract.kinds import HELD_OUT, SENT, Role
from contract.params import Params
from features.engines import bounded
from features.events import US_PER_DAY
from features.permission import PERMITTED

HOURS: Final = 24
REPEAT_SECONDS: Final = 3_600
REPEATED: Final = "repeated within an hour"
_REPEATS_CUSTOMERS: Final = 50_000
"""About so many customers are looked through for repeated events, drawn by the hash of their id."""

Counts = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Periods:
    """Half-open periods of whole days, one after another, the last of which ends at `until_us`."""

    until_us: int
    days: int
    count: int

    @property
    def since_us(self) -> int:
        """Where the first begins, microseconds since 1970 UTC."""
        return self.until_us - self.count * self.days * US_PER_DAY

    def of(self, time_us: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
        """The period of each moment within them, 0 the first."""
        return (time_us - self.since_us) // (self.days * US_PER_DAY)

    @property
    def sql(self) -> str:
        """All of them as a condition on `occurred_at`."""
        return f"occurred_at >= make_timestamp({self.since_us}) AND occurred_at < make_timestamp({self.until_us})"


@dataclass(frozen=True)
class Activity:
    """Of each period, arrays of shape (periods, …).

    figures: by name, (periods, 2) of amount and basis. daily: events a day by (channel, kind), (periods, days).
    hours: own events by channel and hour of the day, (periods, 24).
    """

    figures: dict[str, Counts] = field(default_factory=dict)
    daily: dict[tuple[str, str], Counts] = field(default_factory=dict)
    hours: dict[str, Counts] = field(default_factory=dict)


@bounded("activity")
def activity(connection: duckdb.DuckDBPyConnection, params: Params, periods: Periods) -> Activity:
    """What the interactions and consents of an intake say of each period.

    Names of figures are words for readers: `opened on email` (events a day), `opened per send on email`, `value of
    purchased on store` (EUR), `consented to email` (of customers with any consent on record), `repeated within an hour
    on web` (share of events), `busiest day on web` (of the mean day).

    Args:
        connection: after `features.permission.permit`, whose uses hold here too.
        params: channels and kinds.
        periods: of whole days.

    Raises:
        StorageError: memory and spill do not suffice.
    """
    found = Activity()
    values: dict[tuple[str, str], Counts] = {}
    rows = connection.execute(f"""
        SELECT channel, kind, (epoch_us(occurred_at) - {periods.since_us}) // {US_PER_DAY} AS day, count(*),
               coalesce(sum(value) FILTER (value > 0), 0), count(*) FILTER (value > 0)
        FROM {PERMITTED} WHERE {periods.sql} AND channel IS NOT NULL AND kind <> '{HELD_OUT}'
        GROUP BY ALL ORDER BY ALL""").fetchall()  # noqa: S608  names and integers of ours
    for channel, kind, day, count, total, valued in rows:
        period, of_period = divmod(int(day), periods.days)
        found.daily.setdefault((channel, kind), np.zeros((periods.count, periods.days)))[period, of_period] += count
        values.setdefault((channel, kind), np.zeros((periods.count, 2)))[period] += (total, valued)
    _count_events(found, params, periods)
    found.figures.update(
        {f"value of {kind} on {channel}": each for (channel, kind), each in values.items() if each[:, 1].any()}
    )
    _count_hours(found, connection, params, periods)
    _count_repeats(found, connection, periods)
    _count_consents(found, connection, params, periods)
    return found


def _count_events(found: Activity, params: Params, periods: Periods) -> None:
    """Events a day, answers a send, and how much the busiest day stands out."""
    reactions = params.kinds_of(Role.ANSWER, Role.OPT_OUT, Role.DELIVERY)
    for (channel, kind), daily in found.daily.items():
        count = daily.sum(axis=1)
        found.figures[f"{kind} on {channel}"] = np.column_stack([count, np.full(periods.count, periods.days)])
        sends = found.daily.get((channel, SENT))
        if kind in reactions and sends is not None:
            found.figures[f"{kind} per send on {channel}"] = np.column_stack([count, sends.sum(axis=1)])
    for channel in params.channels:
        kinds = [daily for (where, kind), daily in found.daily.items() if where == channel and kind != SENT]
        if kinds:
            whole = np.sum(kinds, axis=0)
            found.figures[f"busiest day on {channel}"] = np.column_stack([whole.max(axis=1), whole.mean(axis=1)])


def _count_hours(found: Activity, connection: duckdb.DuckDBPyConnection, params: Params, periods: Periods) -> None:
    own = ", ".join(f"'{kind}'" for kind in params.kinds_of(Role.OWN_STEP) if kind.isidentifier())
    rows = connection.execute(f"""
        SELECT channel, (epoch_us(occurred_at) - {periods.since_us}) // {periods.days * US_PER_DAY} AS period,
               hour(occurred_at), count(*)
        FROM {PERMITTED} WHERE {periods.sql} AND channel IS NOT NULL AND kind IN ({own})
        GROUP BY ALL""").fetchall()  # noqa: S608  identifiers and integers
    for channel, period, hour, count in rows:
        found.hours.setdefault(channel, np.zeros((periods.count, HOURS)))[period, hour] += count


def _count_repeats(found: Activity, connection: duckdb.DuckDBPyConnection, periods: Periods) -> None:
    """Events alike in all but time and send within an hour of another, as a source that delivers twice leaves them."""
    ((customers,),) = connection.execute("SELECT count(*) FROM customers").fetchall()
    each = max(1, round(customers / _REPEATS_CUSTOMERS))
    rows = connection.execute(f"""
        WITH spaced AS (
            SELECT channel, occurred_at, date_diff('second', lag(occurred_at) OVER (
                PARTITION BY customer_id, channel, kind, campaign_id, value ORDER BY occurred_at), occurred_at) AS gap
            FROM {PERMITTED} WHERE {periods.sql} AND channel IS NOT NULL AND hash(customer_id) % {each} = 0)
        SELECT channel, (epoch_us(occurred_at) - {periods.since_us}) // {periods.days * US_PER_DAY} AS period,
               count(*) FILTER (gap < {REPEAT_SECONDS}), count(*)
        FROM spaced GROUP BY ALL""").fetchall()  # noqa: S608  names and integers of ours
    for channel, period, repeated, count in rows:
        name = f"{REPEATED} on {channel}"
        found.figures.setdefault(name, np.zeros((periods.count, 2)))[period] = (repeated, count)


def _count_consents(found: Activity, connection: duckdb.DuckDBPyConnection, params: Params, periods: Periods) -> None:
    """Standing consents at the end of each period, of the customers whose consents name any channel."""
    ends = [periods.until_us - i * periods.days * US_PER_DAY for i in reversed(range(periods.count))]
    for period, end_us in enumerate(ends):
        rows = connection.execute(f"""
            WITH latest AS (
                SELECT customer_id, channel, granted FROM consents
                WHERE purpose = 'contact' AND occurred_at < make_timestamp({end_us})
                QUALIFY row_number() OVER (
                    PARTITION BY customer_id, channel ORDER BY occurred_at DESC, granted) = 1)
            SELECT channel, count(*) FILTER (granted), (SELECT count(DISTINCT customer_id) FROM latest)
            FROM latest GROUP BY channel""").fetchall()  # noqa: S608  an integer of ours
        known = max((each[2] for each in rows), default=0)
        granted = {channel: count for channel, count, _ in rows}
        for channel in params.outbound:
            if params.channels[channel].consent:
                # A channel without any row has lost them all.
                name = f"consented to {channel}"
                pair = (granted.get(channel, 0), known)
                found.figures.setdefault(name, np.zeros((periods.count, 2)))[period] = pair
