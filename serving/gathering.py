"""Gathers what the rules of eligibility know of customers before as-of, by SQL over the input tables; judges nobody.

Of a person with several ids, contacts, complaints and the begin of the relation are those of all ids; a refusal of
consent by one of them, or its place on a suppression list, refuses the others too. Silence of another id says nothing.
"""

# ruff: noqa: S608  names of the data pass quoted() or listed(); the rest is ours

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import duckdb
import numpy as np
import numpy.typing as npt
import pyarrow as pa

from contract.contact_rules import zone_of
from contract.errors import DataError
from contract.kinds import SENT, Role
from contract.params import Params
from contract.rules import listed
from contract.sources import quoted
from serving.contact_state import NEVER, Bits, Contacts, ContactState
from serving.planned import PLANNED
from serving.quiet import DAY_US
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

MOST_IDS: Final = 100
"""Ids of one person; a value of person_column that more customers share is no person."""

_DELIVERED: Final = "delivered"
_REFUSES: Final[Mapping[str, str]] = {
    NO_CONSENT: "needs_consent AND last_grant IS NULL AND last_withdrawal IS NULL",
    WITHDRAWN: "last_withdrawal >= coalesce(last_grant, last_withdrawal)",
    UNSUBSCRIBED: "last_unsubscribed >= coalesce(last_grant, last_unsubscribed)",
    COMPLAINED: "last_complained >= coalesce(last_grant, last_complained)",
}
"""Rules of consent as SQL over what is known of one id on one channel."""


@dataclass(frozen=True)
class Gathered:
    """The state of n customers; zones: names behind its zone; foreign_zones: customers whose own is no zone.

    person: (n,) number of the person where another of its ids is among the n, -1 elsewhere.
    """

    state: ContactState
    zones: tuple[str, ...]
    foreign_zones: int
    person: npt.NDArray[np.int64]


@dataclass(frozen=True)
class Gatherer:
    """Reads the views `consents` and `interactions` of an intake; `customers` and `campaigns` where rules need them.

    as_of_us: only what happened before it counts. plans: whether `PLANNED` is there. sends_since_us: from when on sends
    matter, None where they do not.
    """

    connection: duckdb.DuckDBPyConnection
    params: Params
    book: RuleBook
    as_of_us: int
    plans: bool
    sends_since_us: int | None

    def gather(self, ids: pa.Array) -> Gathered:
        """The state of the customers `ids`, in their order.

        Raises:
            DataError: a column that the rules name is missing, or holds no persons.
        """
        self._refuse_missing()
        n = len(ids)
        asked = pa.table({"customer_id": ids, "place": pa.array(np.arange(n), pa.int64())})
        self.connection.register("asked_now", asked)
        try:
            self.connection.execute("CREATE OR REPLACE TEMP TABLE asked AS FROM asked_now")
        finally:
            self.connection.unregister("asked_now")
        self._know_ids()
        self._know_events()
        zones, zone, foreign = self._zones(n)
        since = self._since(n) if self.params.eligibility.min_relation_days else np.full(n, NEVER)
        state = ContactState(self._standing(n), self._contacts(n), self._cooled(n), since, zone)
        gathered = Gathered(state, zones, foreign, self._persons(n))
        self.connection.execute(
            "DROP TABLE known_events; DROP TABLE behind; DROP TABLE IF EXISTS persons; DROP TABLE asked"
        )
        return gathered

    def _refuse_missing(self) -> None:
        named = self.params.eligibility.customer_columns
        if not named:
            return
        there = self.connection.sql("SELECT * FROM customers LIMIT 0").columns
        missing = [f"{path}: customers has no column '{name}'" for path, name in named.items() if name not in there]
        if missing:
            raise DataError("\n".join(f"{each}; add it, or correct the parameter" for each in missing))

    def _know_ids(self) -> None:
        """Table `behind`: for each customer asked (place) its own id and the other ids of the person."""
        person = self.params.eligibility.person_column
        own = "SELECT place, customer_id, true AS own FROM asked"
        others = ""
        if person is not None:
            self._know_persons(person)
            others = """
                UNION ALL
                SELECT asked.place, other.customer_id, false FROM asked
                JOIN persons AS mine USING (customer_id) JOIN persons AS other USING (person)
                WHERE other.customer_id <> asked.customer_id"""
        member = "row_number() OVER () - 1" if others else "place"
        self.connection.execute(
            f"CREATE OR REPLACE TEMP TABLE behind AS SELECT {member} AS member, * FROM ({own}{others})"
        )

    def _know_persons(self, column: str) -> None:
        named = quoted(column)
        self.connection.execute(f"""
            CREATE OR REPLACE TEMP TABLE persons AS
            SELECT customer_id, CAST({named} AS VARCHAR) AS person FROM customers
            WHERE CAST({named} AS VARCHAR) <> ''
            QUALIFY count(*) OVER (PARTITION BY person) > 1""")
        crowds = self.connection.execute(
            f"SELECT person, count(*) FROM persons GROUP BY person HAVING count(*) > {MOST_IDS} ORDER BY 2 DESC LIMIT 1"
        ).fetchall()
        for person, customers in crowds:
            raise DataError(
                f"customers.{column}: '{person}' is shared by {customers:,} customers, and one person has at most "
                f"{MOST_IDS} ids; leave it empty where the person is not known (eligibility.person_column)"
            )

    def _know_events(self) -> None:
        """Table `known_events`, by one scan of the interactions: what any rule needs of them."""
        declared = self.params.eligibility
        wanted = [f"kind IN ({listed(self.params.kinds_of(Role.OPT_OUT))})"]
        if self._bounces:
            wanted.append(f"kind IN ({listed(declared.bounce_kinds)})")
        for each in declared.cooling_off.values():
            since = f"make_timestamp({self.as_of_us - round(each.days * DAY_US)})"
            wanted.append(f"kind IN ({listed(each.kinds)}) AND occurred_at >= {since}")
        if self.sends_since_us is not None:
            wanted.append(f"kind = '{SENT}' AND occurred_at >= make_timestamp({self.sends_since_us})")
        campaign = "campaign_id" if self.sends_since_us is not None else "NULL::VARCHAR"
        self.connection.execute(f"""
            CREATE OR REPLACE TEMP TABLE known_events AS
            SELECT member, place, own, coalesce({self._number}, -1) AS number, kind, epoch_us(occurred_at) AS time_us,
                {campaign} AS campaign_id
            FROM interactions JOIN behind USING (customer_id)
            WHERE occurred_at < make_timestamp({self.as_of_us}) AND ({" OR ".join(f"({each})" for each in wanted)})""")

    @property
    def _number(self) -> str:
        return f"list_position([{listed(self.params.outbound)}], channel) - 1"

    @property
    def _bounces(self) -> dict[int, int]:
        """Outbound channel → bounces that close it."""
        reachable = self.params.eligibility.reachable
        found = {at: reachable[name].bounces for at, name in enumerate(self.params.outbound) if name in reachable}
        return {at: bounces for at, bounces in found.items() if bounces is not None}

    def _bit(self, name: str) -> np.uint64:
        return np.uint64(1 << self.book.bit(name))

    def _rows(self, query: str) -> dict[str, npt.NDArray[Any]]:
        return {name: np.asarray(values) for name, values in self.connection.execute(query).fetchnumpy().items()}

    def _standing(self, n: int) -> Bits:
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

    def _consents(self, n: int) -> Bits:
        """(n, k) bits of the rules of consent: of the own id, and what other ids of the person object to."""
        bits = " + ".join(
            f"CASE WHEN {refuses} THEN {self._bit(name)} ELSE 0 END::UBIGINT" for name, refuses in _REFUSES.items()
        )
        objections = sum(int(self._bit(name)) for name in _REFUSES if name != NO_CONSENT)
        needs = [self.params.channels[name].consent for name in self.params.outbound]
        last = {
            name: f"max(CASE WHEN what = '{name}' THEN time_us END)" for name in ("granted", "withdrawn", COMPLAINED)
        }
        found = self._rows(f"""
            SELECT place, number, own, {bits} AS bits FROM (
                SELECT any_value(place) AS place, any_value(own) AS own, number, {needs}[number + 1] AS needs_consent,
                    {last["granted"]} AS last_grant, {last["withdrawn"]} AS last_withdrawal,
                    {last[COMPLAINED]} AS last_complained,
                    max(CASE WHEN what NOT IN ('granted', 'withdrawn', '{COMPLAINED}') THEN time_us END)
                        AS last_unsubscribed
                FROM (
                    SELECT member, place, own, {self._number} AS number, epoch_us(occurred_at) AS time_us,
                        CASE WHEN granted THEN 'granted' ELSE 'withdrawn' END AS what
                    FROM consents JOIN behind USING (customer_id)
                    WHERE coalesce(purpose, 'contact') = 'contact' AND occurred_at < make_timestamp({self.as_of_us})
                    UNION ALL
                    SELECT member, place, own, number, time_us, kind FROM known_events
                    WHERE kind IN ({listed(self.params.kinds_of(Role.OPT_OUT))})
                ) WHERE number >= 0 GROUP BY member, number)""")
        standing: Bits = np.where(needs, self._bit(NO_CONSENT), np.uint64(0)) * np.ones((n, 1), dtype=np.uint64)
        place, number, own, found_bits = found["place"], found["number"], found["own"].astype(np.bool_), found["bits"]
        standing[place[own], number[own]] = found_bits[own]
        others = found_bits[~own].astype(np.uint64) & np.uint64(objections)
        np.bitwise_or.at(standing, (place[~own], number[~own]), others)
        return standing

    def _add_addresses(self, standing: Bits) -> None:
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

    def _add_bounces(self, standing: Bits) -> None:
        """Those at or after the last delivery or answer of the own id on the channel count; a tie goes against it."""
        if not self._bounces:
            return
        bounce_kinds = self.params.eligibility.bounce_kinds
        arrived = [kind for kind in (_DELIVERED, *self.params.kinds_of(Role.ANSWER)) if kind not in bounce_kinds]
        self.connection.execute(f"""
            CREATE OR REPLACE TEMP TABLE bounced AS
            SELECT place, customer_id, number, [{listed(self.params.outbound)}][number + 1] AS channel, time_us
            FROM known_events JOIN asked USING (place)
            WHERE own AND number IN ({", ".join(map(str, self._bounces))}) AND kind IN ({listed(bounce_kinds)})""")
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
        most = np.array([self._bounces.get(at, NEVER) for at in range(standing.shape[1])])
        over = found["bounces"] >= most[found["number"]]
        standing[found["place"][over], found["number"][over]] |= self._bit(UNDELIVERABLE)

    def _contacts(self, n: int) -> Contacts:
        """Sends before as-of and planned contacts, of all ids of a person.

        A planned contact that a send of its campaign, channel and id at or after its plan answers to is that send; one
        whose moment is past is taken to go out at as-of.
        """
        if self.sends_since_us is None:
            none = np.zeros(0, dtype=np.int64)
            empty = np.zeros(0, dtype=np.bool_), np.zeros(0, dtype=np.uint64)
            return Contacts(np.zeros(n + 1, dtype=np.int64), none, none.astype(np.int8), *empty)
        excludes = " + ".join(
            f"CASE WHEN {matches(each.after)} THEN {1 << place} ELSE 0 END::UBIGINT"
            for place, each in enumerate(self.params.eligibility.exclusions.values())
        )
        exempt = self.params.eligibility.transactional == "exempt"
        transactional = "(SELECT campaign_id FROM campaigns WHERE type = 'transactional')"
        counted = f"coalesce(campaign_id, '') NOT IN {transactional}" if exempt else "true"
        found = self._rows(f"""
            SELECT * FROM (
                SELECT place, time_us, number, {counted} AS counted, {excludes or "0::UBIGINT"} AS excludes FROM (
                    SELECT place, time_us, number, campaign_id FROM known_events WHERE kind = '{SENT}'
                    {self._planned()}))
            WHERE counted OR excludes > 0 ORDER BY place, time_us""")
        offsets = np.concatenate([[0], np.cumsum(np.bincount(found["place"], minlength=n))])
        return Contacts(
            offsets.astype(np.int64),
            found["time_us"].astype(np.int64),
            found["number"].astype(np.int8),
            found["counted"].astype(np.bool_),
            found["excludes"].astype(np.uint64),
        )

    def _planned(self) -> str:
        if not self.plans:
            return ""
        return f"""
            UNION ALL
            SELECT place, greatest(moment_us, {self.as_of_us}), number, campaign_id
            FROM {PLANNED} AS planned JOIN behind USING (customer_id)
            WHERE NOT EXISTS (
                FROM known_events AS sent WHERE sent.kind = '{SENT}' AND sent.member = behind.member
                AND sent.number = planned.number AND sent.campaign_id = planned.campaign_id
                AND sent.time_us >= planned.plan_us)"""

    def _cooled(self, n: int) -> npt.NDArray[np.int64]:
        kinds = [each.kinds for each in self.params.eligibility.cooling_off.values()]
        cooled = np.full((n, len(kinds)), -NEVER, dtype=np.int64)
        for column, each in enumerate(kinds):
            found = self._rows(
                f"SELECT place, max(time_us) AS time_us FROM known_events WHERE kind IN ({listed(each)}) GROUP BY place"
            )
            cooled[found["place"], column] = found["time_us"]
        return cooled

    def _since(self, n: int) -> npt.NDArray[np.int64]:
        """Begin of each relation: the first signup_at of the person's ids before as-of, else the first interaction."""
        since = np.full(n, NEVER, dtype=np.int64)
        before = f"make_timestamp({self.as_of_us})"
        signed = self._rows(
            f"SELECT place, min(epoch_us(signup_at)) AS time_us FROM customers JOIN behind USING (customer_id) "
            f"WHERE signup_at < {before} GROUP BY place"
        )
        since[signed["place"]] = signed["time_us"]
        self.connection.register("unsigned", pa.table({"place": np.flatnonzero(since == NEVER)}))
        try:
            first = self._rows(
                f"SELECT place, min(epoch_us(occurred_at)) AS time_us FROM interactions JOIN ("
                f"SELECT place, customer_id FROM behind SEMI JOIN unsigned USING (place)) USING (customer_id) "
                f"WHERE occurred_at < {before} GROUP BY place"
            )
        finally:
            self.connection.unregister("unsigned")
        since[first["place"]] = first["time_us"]
        return since

    def _zones(self, n: int) -> tuple[tuple[str, ...], npt.NDArray[np.int16], int]:
        """Names of zones, the default first; each customer's; how many name one that is none, and get the default."""
        declared = self.params.eligibility
        zone = np.zeros(n, dtype=np.int16)
        if declared.zone_column is None or not declared.quiet:
            return (declared.zone,), zone, 0
        name = f"CAST({quoted(declared.zone_column)} AS VARCHAR)"
        rows = f"FROM asked JOIN customers USING (customer_id) WHERE {name} <> ''"
        found = [each for (each,) in self.connection.execute(f"SELECT DISTINCT {name} {rows} ORDER BY 1").fetchall()]
        names = (declared.zone, *(each for each in found if each != declared.zone and _exists(each)))
        own = self._rows(f"SELECT place, coalesce(list_position([{listed(names)}], {name}), 0) - 1 AS zone {rows}")
        known = own["zone"] >= 0
        zone[own["place"][known]] = own["zone"][known]
        return names, zone, int((~known).sum())

    def _persons(self, n: int) -> npt.NDArray[np.int64]:
        person = np.full(n, -1, dtype=np.int64)
        if self.params.eligibility.person_column is not None:
            found = self._rows("""
                SELECT place, dense_rank() OVER (ORDER BY person) - 1 AS person
                FROM asked JOIN persons USING (customer_id) QUALIFY count(*) OVER (PARTITION BY person) > 1""")
            person[found["place"]] = found["person"]
        return person


def matches(patterns: list[str], of: str = "campaign_id") -> str:
    """SQL: whether the text matches one of the patterns, in which * stands for any letters; false where it is null."""
    likes = []
    for pattern in patterns:
        escaped = pattern.replace("!", "!!").replace("%", "!%").replace("_", "!_").replace("*", "%")
        likes.append(f"{of} LIKE '{escaped.replace(chr(39), chr(39) * 2)}' ESCAPE '!'")
    return f"coalesce({' OR '.join(likes)}, false)"


def _exists(zone: str) -> bool:
    try:
        zone_of(zone)
    except ValueError:
        return False
    return True
