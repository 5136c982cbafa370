"""Who may be contacted on which channel at as-of, by which rules not, and from when; writes nothing, plans nothing.

The rules are an ordered list (`serving.rulebook`): the first that refuses gives the reason. An `unsubscribed` or
`complained` at or after the last grant on a channel counts as a withdrawal, also where the consents table was never
told. A channel that needs no consent is closed by an objection all the same.
"""

from bisect import bisect_left
from collections.abc import Sequence
from datetime import UTC, datetime
from operator import methodcaller
from pathlib import Path
from typing import TypeAlias

import duckdb
import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from contract.contact_rules import zone_of
from contract.params import Params
from serving.contact_state import ContactState, first_rule
from serving.gathering import Gatherer, matches
from serving.judging import Campaign, Judgement, Policy, judge, policy_of
from serving.planned import PLANNED, read_plans
from serving.quiet import DAY_US, QuietClock
from serving.rulebook import ONE_PERSON, rulebook
from serving.scores import Access
from serving.suppression import read_lists

Ids: TypeAlias = Sequence[str] | npt.NDArray[np.object_] | pa.Array
"""Customers' ids, in whatever form they are at hand."""


class Eligibility:
    """The rules applied at one as-of to one campaign, ready to be asked for blocks of customers."""

    def __init__(
        self,
        connection: duckdb.DuckDBPyConnection,
        params: Params,
        as_of: datetime,
        campaign_id: str | None = None,
        *,
        planned: Sequence[Path] = (),
        audience: Ids | None = None,
    ) -> None:
        """Reads lists and earlier plans, and gathers the state of the audience once.

        Args:
            connection: holds the views of an intake.
            params: channels with their need of consent, kinds with the role opt_out, and the section eligibility.
            as_of: only what happened before it counts; UTC where naive.
            campaign_id: what is to be sent; None is a campaign that no exclusion names.
            planned: earlier plans whose contacts count until they are sent.
            audience: all customers of the campaign; blocks of it are then asked without reading anything, and of a
                person's ids one is chosen. None gathers whoever is asked for.

        Raises:
            DataError: a suppression list or an earlier plan cannot be read, or customers lack a column that is named.
            UsageError: a plan is given twice.
        """
        moment = as_of if as_of.tzinfo else as_of.replace(tzinfo=UTC)
        self.as_of_us = (moment - datetime(1970, 1, 1, tzinfo=UTC)) // (moment.resolution)
        self.book = rulebook(params.eligibility)
        self.campaign_id = campaign_id
        self._params = params
        if params.eligibility.suppression:
            read_lists(connection, params)
        if planned:
            read_plans(connection, planned, params)
        self._campaign = _campaign(connection, params, campaign_id)
        since = self._sends_since(connection, plans=bool(planned))
        self._gatherer = Gatherer(connection, params, self.book, self.as_of_us, bool(planned), since)
        self._ids: pa.Array | None = None
        self.foreign_zones = 0
        if audience is not None:
            self._ids = _ascending(_texts(audience))
            gathered = self._gatherer.gather(self._ids)
            self._state, self._policy = gathered.state, self._ready(gathered.zones)
            self.foreign_zones = gathered.foreign_zones
            self._choose_ids(gathered.person)

    @property
    def audience(self) -> pa.Array:
        """(n,) the customers of the audience, ascending; none where none was given."""
        return self._ids if self._ids is not None else _texts([])

    @property
    def channels(self) -> tuple[str, ...]:
        """The k outbound channels."""
        return self._params.outbound

    @property
    def reasons(self) -> tuple[str, ...]:
        """What each rule says, by its bit."""
        return tuple(rule.reason for rule in self.book.rules)

    def access(self, customer_ids: Ids) -> Access:
        """Eligibility and reason (None where eligible) of each of n customers on each of the k outbound channels."""
        refused = self.judged(customer_ids).refused
        return Access(refused == 0, self.reasons, first_rule(refused))

    def judged(self, customer_ids: Ids) -> Judgement:
        """Every rule that refuses n customers on the k outbound channels, and from when none does."""
        policy, state = self._known(_texts(customer_ids))
        return judge(policy, state)

    def _known(self, ids: pa.Array) -> tuple[Policy, ContactState]:
        if self._ids is not None and len(ids):
            first = bisect_left(self._ids, ids[0].as_py(), key=methodcaller("as_py"))
            if self._ids.slice(first, len(ids)).equals(ids):
                return self._policy, self._state.take(np.arange(first, first + len(ids)))
            rows = pc.index_in(ids, value_set=self._ids)
            if rows.null_count == 0:
                return self._policy, self._state.take(rows.to_numpy().astype(np.int64))
        gathered = self._gatherer.gather(ids)
        return self._ready(gathered.zones), gathered.state

    def _ready(self, zones: Sequence[str]) -> Policy:
        quiet = QuietClock(
            self._params.eligibility.quiet, self._params.outbound, [zone_of(name) for name in zones], self.as_of_us
        )
        return policy_of(self._params, self.book, self.as_of_us, self._campaign, quiet)

    def _choose_ids(self, person: npt.NDArray[np.int64]) -> None:
        """Of a person's ids in the audience the one with most open channels stays, of equal ones the least id."""
        rows = np.flatnonzero(person >= 0)
        if not len(rows):
            return
        closed_channels = (judge(self._policy, self._state.take(rows)).refused != 0).sum(axis=1)
        order = np.lexsort((rows, closed_channels, person[rows]))
        _, first = np.unique(person[rows][order], return_index=True)
        standing = self._state.standing
        standing[np.delete(rows[order], first)] |= standing.dtype.type(1 << self.book.bit(ONE_PERSON))

    def _sends_since(self, connection: duckdb.DuckDBPyConnection, plans: bool) -> int | None:
        """The moment from which on sends matter to a rule that holds, in microseconds."""
        declared = self._params.eligibility
        days = [each.length_days for each in declared.windows.values()] if self._campaign.in_windows else []
        exclusions = zip(declared.exclusions.values(), self._campaign.excluded, strict=True)
        days += [each.days for each, holds in exclusions if holds]
        if not days:
            return None
        since = self.as_of_us - round(max(days) * DAY_US)
        if plans:
            ((first,),) = connection.execute(f"SELECT min(plan_us) FROM {PLANNED}").fetchall()  # noqa: S608
            since = since if first is None else min(since, first)
        return since


def _texts(ids: Ids) -> pa.Array:
    """The ids as Arrow holds them: a few bytes each, where objects would take sixty more."""
    return ids.cast(pa.large_string()) if isinstance(ids, pa.Array) else pa.array(ids, pa.large_string())


def _ascending(ids: pa.Array) -> pa.Array:
    """The different ids, ascending."""
    if pc.all(pc.less(ids[:-1], ids[1:])).as_py() is not False:
        return ids
    different = ids.unique()
    return different.take(pc.array_sort_indices(different))


def _campaign(connection: duckdb.DuckDBPyConnection, params: Params, campaign_id: str | None) -> Campaign:
    declared = params.eligibility
    in_windows = True
    if campaign_id is not None and declared.transactional == "exempt" and declared.windows:
        kinds = connection.execute("SELECT type FROM campaigns WHERE campaign_id = ?", [campaign_id]).fetchall()
        in_windows = ("transactional",) not in kinds
    excluded = [
        campaign_id is not None
        and connection.execute(f"SELECT {matches(each.refuse, '$1')}", [campaign_id]).fetchall() == [(True,)]
        for each in declared.exclusions.values()
    ]
    return Campaign(in_windows, tuple(excluded))
