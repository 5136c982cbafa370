"""Decides in SQL which rules stand against customers whatever the moment, as one bit a rule; gathers no contacts.

It reads the tables that `serving.gathering` makes of the customers asked for: `behind`, `asked` and `known_events`.
"""

# ruff: noqa: S608  names of the data pass quoted() or listed(); the rest is ours

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

import duckdb
import numpy as np
import numpy.typing as npt

from contract.kinds import Role
from contract.params import Params
from contract.rules import listed
from contract.sources import quoted
from serving.contact_state import NEVER, NarrowBits
from serving.rulebook import (
    COMPLAINED,
    NO_ADDRESS,
    NO_CONSENT,
    UNDELIVERABLE,
    UNSUBSCRIBED,
    WITHDRAWN,
    RuleBook,
)
from serving.suppression import SUPPRESSED

SLICE_CUSTOMERS: Final = 250_000
"""Customers of whom the answers of a query that has many a customer are in memory at a time."""

_DELIVERED: Final = "delivered"
_REFUSES: Final[Mapping[str, str]] = {
    NO_CONSENT: "needs_consent AND last_grant IS NULL AND last_withdrawal IS NULL",
    WITHDRAWN: "last_withdrawal >= coalesce(last_grant, last_withdrawal)",
    UNSUBSCRIBED: "last_unsubscribed >= coalesce(last_grant, last_unsubscribed)",
    COMPLAINED: "last_complained >= coalesce(last_grant, last_complained)",
}
"""Rules of consent as SQL over what is known of one id on one channel."""


def rows_of(connection: duckdb.DuckDBPyConnection, query: str) -> dict[str, npt.NDArray[Any]]:
    """The columns of an answer by name."""
    return {name: np.asarray(values) for name, values in connection.execute(query).fetchnumpy().items()}


def slices(n: int) -> Iterator[tuple[int, int]]:
    """Begin and end of runs of the n customers asked for, one at least."""
    return ((at, min(at + SLICE_CUSTOMERS, n)) for at in range(0, max(n, 1), SLICE_CUSTOMERS))


def channel_number(params: Params) -> str:
    """SQL: the place of `channel` among the outbound channels, null for another."""
    return f"CAST(list_position([{listed(params.outbound)}], channel) - 1 AS TINYINT)"


@dataclass(frozen=True)
class StandingRules:
    """The rules that stand, over the views `consents`, `interactions` and, where rules need it, `customers`."""

    connection: duckdb.DuckDBPyConnection
    params: Params
    book: RuleBook
    as_of_us: int

    def bits(self, n: int) -> NarrowBits:
        """(n, k) of the customers asked for, in the narrowest type that holds all rules."""
        standing = self._consents(n)
        for place, (name, each) in enumerate(self.params.eligibility.suppression.items()):
            found = self._rows(
                f"SELECT DISTINCT place, number FROM {SUPPRESSED} JOIN behind USING (customer_id) WHERE list = {place}"
            )
            listed_cells = np.zeros(standing.shape, dtype=np.bool_)
            whole = found["number"] < 0
            listed_cells[found["place"][whole]] = True
            listed_cells[found["place"][~whole], found["number"][~whole]] = True
            listed_cells &= [not each.channels or channel in each.channels for channel in self.params.outbound]
            standing[listed_cells] |= self._bit(f"suppression.{name}")
        self._add_addresses(standing)
        self._add_bounces(standing)
        return standing

    @property
    def bounces(self) -> dict[int, int]:
        """Outbound channel → bounces that close it."""
        reachable = self.params.eligibility.reachable
        found = {at: reachable[name].bounces for at, name in enumerate(self.params.outbound) if name in reachable}
        return {at: bounces for at, bounces in found.items() if bounces is not None}

    def _bit(self, name: str) -> np.unsignedinteger[Any]:
        narrowest = np.min_scalar_type((1 << len(self.book.rules)) - 1)
        bit: np.unsignedinteger[Any] = narrowest.type(1 << self.book.bit(name))
        return bit

    def _rows(self, query: str) -> dict[str, npt.NDArray[Any]]:
        return rows_of(self.connection, query)

    def _consents(self, n: int) -> NarrowBits:
        """(n, k) bits of the rules of consent: of the own id, and what other ids of the person object to."""
        needs = [self.params.channels[name].consent for name in self.params.outbound]
        none = self._bit(NO_CONSENT)
        standing: NarrowBits = np.tile(np.where(needs, none, none & ~none), (n, 1))
        objections = sum(self._bit(name) for name in _REFUSES if name != NO_CONSENT)
        self._know_consents()
        for begin, end in slices(n):
            found = self._rows(self._consents_of(begin, end))
            place, number, own = found["place"], found["number"], found["own"].astype(np.bool_)
            bits = found["bits"].astype(standing.dtype)
            standing[place[own], number[own]] = bits[own]
            np.bitwise_or.at(standing, (place[~own], number[~own]), bits[~own] & objections)
        self.connection.execute("DROP TABLE known_consents")
        return standing

    def _know_consents(self) -> None:
        """Table `known_consents`, by one scan of the consents, with small numbers in place of texts."""
        self.connection.execute(f"""
            CREATE OR REPLACE TEMP TABLE known_consents AS
            SELECT member, place, own, {channel_number(self.params)} AS number, epoch_us(occurred_at) AS time_us,
                CASE WHEN granted THEN 'granted' ELSE 'withdrawn' END AS what
            FROM consents JOIN behind USING (customer_id)
            WHERE coalesce(purpose, 'contact') = 'contact' AND occurred_at < make_timestamp({self.as_of_us})
                AND list_contains([{listed(self.params.outbound)}], channel)""")

    def _consents_of(self, begin: int, end: int) -> str:
        """SQL: (place, number, own, bits) of what is known of the customers from `begin` to `end`."""
        bits = " + ".join(
            f"CASE WHEN {refuses} THEN {self._bit(name)} ELSE 0 END::UBIGINT" for name, refuses in _REFUSES.items()
        )
        needs = [self.params.channels[name].consent for name in self.params.outbound]
        last = {
            name: f"max(CASE WHEN what = '{name}' THEN time_us END)" for name in ("granted", "withdrawn", COMPLAINED)
        }
        some = f"place >= {begin} AND place < {end}"
        return f"""
            SELECT place, number, own, {bits} AS bits FROM (
                SELECT any_value(place) AS place, any_value(own) AS own, number, {needs}[number + 1] AS needs_consent,
                    {last["granted"]} AS last_grant, {last["withdrawn"]} AS last_withdrawal,
                    {last[COMPLAINED]} AS last_complained,
                    max(CASE WHEN what NOT IN ('granted', 'withdrawn', '{COMPLAINED}') THEN time_us END)
                        AS last_unsubscribed
                FROM (
                    SELECT member, place, own, number, time_us, what FROM known_consents WHERE {some}
                    UNION ALL
                    SELECT member, place, own, number, time_us, kind FROM known_events
                    WHERE kind IN ({listed(self.params.kinds_of(Role.OPT_OUT))}) AND number >= 0 AND {some}
                ) GROUP BY member, number)"""

    def _add_addresses(self, standing: NarrowBits) -> None:
        """Own ids only: another id's address is another address."""
        for name, each in self.params.eligibility.reachable.items():
            if each.address is None:
                continue
            text = f"lower(CAST({quoted(each.address)} AS VARCHAR))"
            found = self._rows(
                f"SELECT place FROM asked JOIN customers USING (customer_id) "
                f"WHERE {text} NOT IN ('', '0', '0.0', 'f', 'false', 'n', 'no', 'nan')"
            )
            unreachable = np.ones(len(standing), dtype=np.bool_)
            unreachable[found["place"]] = False
            standing[unreachable, self.params.outbound.index(name)] |= self._bit(NO_ADDRESS)

    def _add_bounces(self, standing: NarrowBits) -> None:
        """Those at or after the last delivery or answer of the own id on the channel count; a tie goes against it."""
        if not self.bounces:
            return
        bounce_kinds = self.params.eligibility.bounce_kinds
        arrived = [kind for kind in (_DELIVERED, *self.params.kinds_of(Role.ANSWER)) if kind not in bounce_kinds]
        self.connection.execute(f"""
            CREATE OR REPLACE TEMP TABLE bounced AS
            SELECT place, customer_id, number, [{listed(self.params.outbound)}][number + 1] AS channel, time_us
            FROM known_events JOIN asked USING (place)
            WHERE own AND number IN ({", ".join(map(str, self.bounces))}) AND kind IN ({listed(bounce_kinds)})""")
        if self.connection.execute("SELECT count(*) FROM bounced").fetchall() == [(0,)]:
            return
        found = self._rows(f"""
            WITH arrived AS (
                SELECT place, number, max(epoch_us(occurred_at)) AS last_us FROM interactions
                JOIN (SELECT DISTINCT place, number, customer_id, channel FROM bounced) USING (customer_id, channel)
                WHERE kind IN ({listed(arrived)}) AND occurred_at < make_timestamp({self.as_of_us})
                GROUP BY place, number)
            SELECT place, number, count(*) AS bounces FROM bounced LEFT JOIN arrived USING (place, number)
            WHERE last_us IS NULL OR time_us >= last_us GROUP BY place, number""")
        most = np.array([self.bounces.get(at, NEVER) for at in range(standing.shape[1])])
        over = found["bounces"] >= most[found["number"]]
        standing[found["place"][over], found["number"][over]] |= self._bit(UNDELIVERABLE)
