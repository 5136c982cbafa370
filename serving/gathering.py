"""Gathers what the rules of eligibility know of customers before as-of, by SQL over the input tables; judges nobody.

Of a person with several ids, contacts, complaints and the begin of the relation are those of all ids; a refusal of
consent by one of them, or its place on a suppression list, refuses the others too. Silence of another id says nothing.
"""

# ruff: noqa: S608  names of the data pass quoted() or listed(); the rest is ours

from collections.abc import Iterator, Mapping
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
from serving.contact_state import NEVER, Contacts, ContactState
from serving.planned import PLANNED
from serving.quiet import DAY_US
from serving.rulebook import RuleBook
from serving.standing_rules import StandingRules, channel_number, rows_of, slices

MOST_IDS: Final = 100
"""Ids of one person; a value of person_column that more customers share is no person."""


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
        self._know_ids(ids)
        rules = StandingRules(self.connection, self.params, self.book, self.as_of_us)
        self._know_events(rules.bounces)
        zones, zone, foreign = self._zones(n)
        since = self._since(n) if self.params.eligibility.min_relation_days else np.broadcast_to(np.int64(NEVER), n)
        state = ContactState(rules.bits(n), self._contacts(n), self._cooled(n), since, zone)
        gathered = Gathered(state, zones, foreign, self._persons(n))
        self.connection.execute(
            "DROP TABLE known_events; DROP VIEW asked; DROP TABLE behind; DROP TABLE IF EXISTS persons"
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

    def _know_ids(self, ids: pa.Array) -> None:
        """Table `behind`: for each customer asked (place) its own id and the other ids of the person."""
        person = self.params.eligibility.person_column
        own = "SELECT place, customer_id, true AS own FROM asked_now"
        others = ""
        if person is not None:
            self._know_persons(person)
            others = """
                UNION ALL
                SELECT asked_now.place, other.customer_id, false FROM asked_now
                JOIN persons AS mine USING (customer_id) JOIN persons AS other USING (person)
                WHERE other.customer_id <> asked_now.customer_id"""
        member = "row_number() OVER () - 1" if others else "place"
        places = pa.array(np.arange(len(ids), dtype=np.int32))
        self.connection.register("asked_now", pa.table({"customer_id": ids, "place": places}))
        try:
            self.connection.execute(
                f"CREATE OR REPLACE TEMP TABLE behind AS SELECT {member} AS member, * FROM ({own}{others})"
            )
        finally:
            self.connection.unregister("asked_now")
        self.connection.execute("CREATE OR REPLACE TEMP VIEW asked AS SELECT place, customer_id FROM behind WHERE own")

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

    def _know_events(self, bounces: Mapping[int, int]) -> None:
        """Table `known_events`, by one scan of the interactions: what any rule needs of them."""
        declared = self.params.eligibility
        wanted = [f"kind IN ({listed(self.params.kinds_of(Role.OPT_OUT))})"]
        if bounces:
            wanted.append(f"kind IN ({listed(declared.bounce_kinds)})")
        for each in declared.cooling_off.values():
            since = f"make_timestamp({self.as_of_us - round(each.days * DAY_US)})"
            wanted.append(f"kind IN ({listed(each.kinds)}) AND occurred_at >= {since}")
        if self.sends_since_us is not None:
            wanted.append(f"kind = '{SENT}' AND occurred_at >= make_timestamp({self.sends_since_us})")
        campaign = "campaign_id" if self.sends_since_us is not None else "NULL::VARCHAR"
        self.connection.execute(f"""
            CREATE OR REPLACE TEMP TABLE known_events AS
            SELECT member, place, own, coalesce({channel_number(self.params)}, -1) AS number, kind,
                epoch_us(occurred_at) AS time_us, {campaign} AS campaign_id
            FROM interactions JOIN behind USING (customer_id)
            WHERE occurred_at < make_timestamp({self.as_of_us}) AND ({" OR ".join(f"({each})" for each in wanted)})""")

    def _rows(self, query: str) -> dict[str, npt.NDArray[Any]]:
        return rows_of(self.connection, query)

    def _contacts(self, n: int) -> Contacts:
        """Sends before as-of and planned contacts, of all ids of a person.

        A planned contact that a send of its campaign, channel and id at or after its plan answers to is that send; one
        whose moment is past is taken to go out at as-of.
        """
        if self.sends_since_us is None:
            none = np.zeros(0, dtype=np.int64)
            empty = np.zeros(0, dtype=np.bool_), np.zeros(0, dtype=np.uint64)
            return Contacts(np.zeros(n + 1, dtype=np.int64), none, none.astype(np.int8), *empty)
        counts, *columns = zip(*self._contacts_by_slice(n), strict=True)
        offsets = np.concatenate([[0], np.cumsum(np.concatenate(counts))])
        return Contacts(offsets.astype(np.int64), *map(np.concatenate, columns))

    def _contacts_by_slice(self, n: int) -> Iterator[tuple[npt.NDArray[Any], ...]]:
        """How many contacts each customer of a slice has, and their times, channels, and what they count for."""
        excludes = " + ".join(
            f"CASE WHEN {matches(each.after)} THEN {1 << place} ELSE 0 END::UBIGINT"
            for place, each in enumerate(self.params.eligibility.exclusions.values())
        )
        exempt = self.params.eligibility.transactional == "exempt"
        transactional = "(SELECT campaign_id FROM campaigns WHERE type = 'transactional')"
        counted = f"coalesce(campaign_id, '') NOT IN {transactional}" if exempt else "true"
        for begin, end in slices(n):
            found = self._rows(f"""
                SELECT * FROM (
                    SELECT place, time_us, number, {counted} AS counted, {excludes or "0::UBIGINT"} AS excludes FROM (
                        SELECT place, time_us, number, campaign_id FROM known_events WHERE kind = '{SENT}'
                        {self._planned()}) WHERE place >= {begin} AND place < {end})
                WHERE counted OR excludes > 0 ORDER BY place, time_us""")
            yield (
                np.bincount(found["place"] - begin, minlength=end - begin),
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
        nobody = np.broadcast_to(np.int64(-1), n)
        if self.params.eligibility.person_column is None:
            return nobody
        found = self._rows("""
            SELECT place, dense_rank() OVER (ORDER BY person) - 1 AS person
            FROM asked JOIN persons USING (customer_id) QUALIFY count(*) OVER (PARTITION BY person) > 1""")
        person = nobody.copy()
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
