"""Who may be contacted on which channel at as-of, by which rules not, and from when; writes nothing, plans nothing.

The rules are an ordered list (`serving.rulebook`): the first that refuses gives the reason. An `unsubscribed` or
`complained` at or after the last grant on a channel counts as a withdrawal, also where the consents table was never
told. A channel that needs no consent is closed by an objection all the same.
"""

from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

import duckdb
import numpy as np
import numpy.typing as npt
import pyarrow as pa

from contract.contact_rules import zone_of
from contract.params import Params
from serving.contact_state import Bits, ContactState
from serving.gathering import Gatherer, matches
from serving.judging import Campaign, Judgement, Policy, judge, policy_of
from serving.planned import PLANNED, read_plans
from serving.quiet import DAY_US, QuietClock
from serving.rulebook import ONE_PERSON, rulebook
from serving.scores import Access
from serving.suppression import read_lists


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
        audience: Sequence[str] | None = None,
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
        self._ids: npt.NDArray[np.object_] | None = None
        self.foreign_zones = 0
        if audience is not None:
            self._ids = np.unique(np.asarray(audience, dtype=object))
            gathered = self._gatherer.gather(pa.array(self._ids, pa.string()))
            self._state, self._policy = gathered.state, self._ready(gathered.zones)
            self.foreign_zones = gathered.foreign_zones
            self._choose_ids(gathered.person)

    @property
    def audience(self) -> npt.NDArray[np.object_]:
        """(n,) the customers of the audience, ascending; none where none was given."""
        return self._ids if self._ids is not None else np.zeros(0, dtype=object)

    @property
    def channels(self) -> tuple[str, ...]:
        """The k outbound channels."""
        return self._params.outbound

    @property
    def reasons(self) -> tuple[str, ...]:
        """What each rule says, by its bit."""
        return tuple(rule.reason for rule in self.book.rules)

    def access(self, customer_ids: Sequence[str] | npt.NDArray[np.object_] | pa.Array) -> Access:
        """Eligibility and reason (None where eligible) of each of n customers on each of the k outbound channels."""
        refused = self.judged(customer_ids).refused
        texts = np.array([*self.reasons, None], dtype=object)
        return Access(eligible=refused == 0, reason=texts[first_rule(refused)])

    def judged(self, customer_ids: Sequence[str] | npt.NDArray[np.object_] | pa.Array) -> Judgement:
        """Every rule that refuses n customers on the k outbound channels, and from when none does."""
        policy, state = self._known(np.asarray(customer_ids, dtype=object))
        return judge(policy, state)

    def _known(self, ids: npt.NDArray[np.object_]) -> tuple[Policy, ContactState]:
        if self._ids is not None and len(ids):
            first = int(np.searchsorted(self._ids, ids[0]))
            if np.array_equal(self._ids[first : first + len(ids)], ids):
                return self._policy, self._state.take(np.arange(first, first + len(ids)))
            rows = np.minimum(np.searchsorted(self._ids, ids), len(self._ids) - 1)
            if np.array_equal(self._ids[rows], ids):
                return self._policy, self._state.take(rows)
        gathered = self._gatherer.gather(pa.array(ids, pa.string()))
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
        self._state.standing[np.delete(rows[order], first)] |= np.uint64(1 << self.book.bit(ONE_PERSON))

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


def first_rule(refused: Bits) -> npt.NDArray[np.int64]:
    """The place of the first rule among the bits, -1 where there is none; of the shape given."""
    lowest = refused & (~refused + np.uint64(1))
    return np.where(refused == 0, -1, np.log2(np.maximum(lowest, 1)).astype(np.int64))


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
