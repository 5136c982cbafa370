"""What the rules of eligibility need of every customer's past, once, as rows that later ones can be added to.

`serving.gathering` says what is true at one moment; here lie the rows that it is true of, so that the same can be said
at any later moment, and with events that came in since. Of rows of which only the latest can count, the latest is kept.
"""

# ruff: noqa: S608  names of the data pass listed(); the rest is ours

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple

import duckdb
import numpy as np
import numpy.typing as npt
import pyarrow as pa

from contract.kinds import SENT, Role
from contract.params import Params
from contract.rules import listed
from serving.quiet import DAY_US
from serving.rulebook import COMPLAINED

GRANTED, WITHDRAWN, UNSUBSCRIBED, OBJECTED = range(4)
"""What a row says of consent, whatever its kind is called."""

_CONSENT_KINDS: Final = ("+granted", "+withdrawn")
"""Beside the kinds of interactions, which never begin so."""

_DELIVERED: Final = "delivered"


class Meaning(NamedTuple):
    """What a kind is to the rules. says: of consent, -1 nothing; coolings: places of the rules that it begins."""

    says: int = -1
    bounce: bool = False
    arrived: bool = False
    sent: bool = False
    coolings: tuple[int, ...] = ()

    @property
    def matters(self) -> bool:
        """Whether any rule asks for it."""
        return self != Meaning()


@dataclass(frozen=True)
class Vocabulary:
    """Kinds by number with what each means, under the declared rules.

    bounces: outbound channel → bounces that close it. sends: whether sends matter. days: how far back they do.
    """

    kinds: tuple[str, ...]
    meanings: tuple[Meaning, ...]
    bounces: dict[int, int]
    days: float
    numbers: dict[str, int] = field(default_factory=dict)

    @classmethod
    def of(cls, params: Params, planned_hours: float) -> "Vocabulary":
        """planned_hours: how long a planned contact may wait for its send."""
        rules = params.eligibility
        limited = {name: each.bounces for name, each in rules.reachable.items() if each.bounces is not None}
        bounces = {at: limited[name] for at, name in enumerate(params.outbound) if name in limited}
        days = [each.length_days for each in rules.windows.values()] + [each.days for each in rules.exclusions.values()]
        if days:
            days.append(planned_hours / 24)
        kinds = (*_CONSENT_KINDS, *params.all_kinds)
        arrives = {_DELIVERED, *params.kinds_of(Role.ANSWER)} - {*rules.bounce_kinds} if bounces else set()
        says = dict.fromkeys(params.kinds_of(Role.OPT_OUT), UNSUBSCRIBED) | {COMPLAINED: OBJECTED}
        says |= dict(zip(_CONSENT_KINDS, (GRANTED, WITHDRAWN), strict=True))
        coolings = list(enumerate(rules.cooling_off.values()))
        meanings = tuple(
            Meaning(
                says.get(kind, -1),
                bool(bounces) and kind in rules.bounce_kinds,
                kind in arrives,
                bool(days) and kind == SENT,
                tuple(place for place, each in coolings if kind in each.kinds),
            )
            for kind in kinds
        )
        # A send may begin a cooling-off too, and of sends not the latest alone is kept.
        days += [each.days for _, each in coolings if SENT in each.kinds]
        numbers = {kind: number for number, kind in enumerate(kinds)}
        return cls(kinds, meanings, bounces, max(days, default=0.0), numbers)

    @property
    def wanted(self) -> tuple[str, ...]:
        """Kinds of interactions that matter."""
        pairs = zip(self.kinds, self.meanings, strict=True)
        return tuple(kind for kind, each in pairs if each.matters and kind not in _CONSENT_KINDS)

    @property
    def whole(self) -> tuple[str, ...]:
        """Those of which every row may count, and not the latest alone."""
        return tuple(kind for kind in self.wanted if self._counts_each(self.meanings[self.numbers[kind]]))

    def _counts_each(self, meaning: Meaning) -> bool:
        return meaning.sent or meaning.bounce


class Row(NamedTuple):
    """One row: when, on which outbound channel (-1 another or none), kind by number, campaign."""

    time_us: int
    channel: int
    kind: int
    campaign_id: str | None


@dataclass(frozen=True)
class Dossiers:
    """Rows of n customers, by customer.

    offsets: (n + 1,) where each one's begin; time_us, channel, kind, campaign: (r,), the last an index into
    `campaigns`. signup_us, first_us: (n,) signup and first interaction, -1 where unknown or of no interest.
    """

    offsets: npt.NDArray[np.int64]
    time_us: npt.NDArray[np.int64]
    channel: npt.NDArray[np.int8]
    kind: npt.NDArray[np.int16]
    campaign: npt.NDArray[np.int32]
    campaigns: tuple[str | None, ...]
    signup_us: npt.NDArray[np.int64]
    first_us: npt.NDArray[np.int64]

    def rows(self, number: int) -> list[Row]:
        """Those of one customer."""
        held = slice(self.offsets[number], self.offsets[number + 1])
        names = self.campaigns
        return [
            Row(time_us, channel, kind, names[campaign])
            for time_us, channel, kind, campaign in zip(
                self.time_us[held].tolist(), self.channel[held].tolist(), self.kind[held].tolist(),
                self.campaign[held].tolist(), strict=True,
            )
        ]  # fmt: skip


def read_dossiers(
    connection: duckdb.DuckDBPyConnection, ids: Sequence[str], params: Params, words: Vocabulary, now_us: int
) -> Dossiers:
    """The dossiers of the customers `ids`.

    Args:
        connection: holds the views of an intake.
        ids: (n,) text, in the order of the dossiers.
        params: channels and rules.
        words: what of it matters.
        now_us: no earlier moment will be asked for.
    """
    numbered = pa.table({"customer_id": pa.array(ids, pa.string()), "place": np.arange(len(ids))})
    connection.register("numbered_now", numbered)
    try:
        found = _columns(connection, _rows_query(params, words, now_us))
        long = bool(params.eligibility.min_relation_days)
        signup = _moments(connection, "customers", "signup_at", len(ids), wanted=long)
        first = _moments(connection, "interactions", "occurred_at", len(ids), wanted=long)
    finally:
        connection.unregister("numbered_now")
    campaigns = found["campaign_id"]
    names = (None, *sorted({each for each in campaigns.unique().to_pylist() if each is not None}))
    places = {name: place for place, name in enumerate(names)}
    return Dossiers(
        offsets=np.concatenate([[0], np.cumsum(np.bincount(found["place"].to_numpy(), minlength=len(ids)))]),
        time_us=found["time_us"].to_numpy(),
        channel=found["number"].to_numpy().astype(np.int8),
        kind=found["kind"].to_numpy().astype(np.int16),
        campaign=np.array([places[each] for each in campaigns.to_pylist()], dtype=np.int32),
        campaigns=names,
        signup_us=signup,
        first_us=first,
    )


def _rows_query(params: Params, words: Vocabulary, now_us: int) -> str:
    number = f"coalesce(list_position([{listed(params.outbound)}], channel) - 1, -1) AS number"
    whole = words.whole
    latest = [kind for kind in words.wanted if kind not in whole]
    granted, withdrawn = _CONSENT_KINDS
    since = now_us - round(words.days * DAY_US)
    return f"""
        SELECT place, number, list_position([{listed(words.kinds)}], kind) - 1 AS kind, time_us, campaign_id FROM (
            SELECT customer_id, number, kind, max(time_us) AS time_us, NULL::VARCHAR AS campaign_id FROM (
                SELECT customer_id, {number}, CASE WHEN granted THEN '{granted}' ELSE '{withdrawn}' END AS kind,
                    epoch_us(occurred_at) AS time_us
                FROM consents WHERE coalesce(purpose, 'contact') = 'contact'
                UNION ALL
                SELECT customer_id, {number}, kind, epoch_us(occurred_at) FROM interactions
                WHERE kind IN ({listed(latest) or "NULL"}))
            GROUP BY customer_id, number, kind, greatest(time_us, {now_us})
            UNION ALL
            SELECT customer_id, {number}, kind, epoch_us(occurred_at), campaign_id FROM interactions
            WHERE kind IN ({listed(whole) or "NULL"})
                AND (kind <> '{SENT}' OR occurred_at >= make_timestamp({since})))
        JOIN numbered_now USING (customer_id) ORDER BY place"""


def _columns(connection: duckdb.DuckDBPyConnection, query: str) -> dict[str, Any]:
    table = connection.sql(query).to_arrow_table()
    return {name: table[name].combine_chunks() for name in table.column_names}


def _moments(
    connection: duckdb.DuckDBPyConnection, table: str, column: str, n: int, *, wanted: bool
) -> npt.NDArray[np.int64]:
    """(n,) the first such moment of each customer, -1 where there is none, or nobody asks."""
    moments = np.full(n, -1, dtype=np.int64)
    if wanted:
        found = _columns(
            connection,
            f"SELECT place, min(epoch_us({column})) AS time_us FROM {table} JOIN numbered_now USING (customer_id) "
            f"WHERE {column} IS NOT NULL GROUP BY place",
        )
        moments[found["place"].to_numpy()] = found["time_us"].to_numpy()
    return moments
