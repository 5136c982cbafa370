"""What the rules of single requests were told since the past was read: in memory, for one server; judges nobody."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import NamedTuple, Protocol

from contract.params import Params
from features.event_store import Interaction
from serving.dossiers import Row, Vocabulary


class Expected(NamedTuple):
    """A contact that was decided and is not known to be sent: on which channel, for when, and when it was decided."""

    channel: int
    moment_us: int
    made_at_us: int


class Told(NamedTuple):
    """Of one id: rows that matter to a rule; the first event, -1 where none; contacts decided, by campaign; whether the
    id was to be forgotten; how many decisions were made about it, where several servers make them.
    """

    rows: Sequence[Row] = ()
    first_us: int = -1
    expected: Mapping[str, Expected] = {}
    gone: bool = False
    version: int = 0


NOTHING = Told()


class Overlay(Protocol):
    """What came in since the rules read the past."""

    def of(self, ids: Sequence[str]) -> Mapping[str, Told]:
        """What is told of each, now."""

    def take(self, event: Interaction) -> None:
        """An event came in that was not known before."""

    def expect(
        self, customer_id: str, campaign_id: str, channel: str | None, moment_us: int, made_at_us: int
    ) -> Expected | None:
        """A decision is made; it stands in place of an earlier one about customer and campaign, which is returned."""

    def settle(self, customer_id: str, campaign_id: str, earlier: Expected | None, *, kept: bool) -> None:
        """The decision expected last survives from here on, or was not kept: then the earlier one stands again."""

    def forget(self, customer_id: str) -> None:
        """Know nothing of the customer any more."""


class Reading:
    """Events as rows of the rules, under the declared parameters."""

    def __init__(self, params: Params) -> None:
        self.words = Vocabulary.of(params, params.serving.planned_hours)
        self.channels = {name: at for at, name in enumerate(params.outbound)}

    def row(self, event: Interaction) -> Row | None:
        """The event where it matters to a rule."""
        kind = self.words.numbers[event.kind]
        if not self.words.meanings[kind].matters:
            return None
        return Row(event.occurred_at_us, self.channels.get(event.channel or "", -1), kind, event.campaign_id)


class HeldOverlay:
    """See `Overlay`: in the memory of the only server."""

    def __init__(self, params: Params) -> None:
        self._reading, self._asks_first = Reading(params), bool(params.eligibility.min_relation_days)
        self._rows: dict[str, list[Row]] = defaultdict(list)
        self._first_us: dict[str, int] = {}
        self._expected: dict[str, dict[str, Expected]] = defaultdict(dict)
        self._gone: set[str] = set()

    def of(self, ids: Sequence[str]) -> Mapping[str, Told]:
        """See `Overlay`."""
        return {each: self._told(each) for each in ids}

    def _told(self, customer: str) -> Told:
        rows, expected, first = self._rows.get(customer), self._expected.get(customer), self._first_us.get(customer, -1)
        if rows is None and expected is None and first < 0 and customer not in self._gone:
            return NOTHING
        return Told(rows or (), first, expected or {}, customer in self._gone)

    def take(self, event: Interaction) -> None:
        """See `Overlay`."""
        customer = event.customer_id
        if self._asks_first:
            known = self._first_us.get(customer, event.occurred_at_us)
            self._first_us[customer] = min(known, event.occurred_at_us)
        row = self._reading.row(event)
        if row is not None:
            self._rows[customer].append(row)

    def expect(
        self, customer_id: str, campaign_id: str, channel: str | None, moment_us: int, made_at_us: int
    ) -> Expected | None:
        """See `Overlay`."""
        earlier = self._expected.get(customer_id, {}).pop(campaign_id, None)
        if channel is not None:
            expected = Expected(self._reading.channels[channel], moment_us, made_at_us)
            self._expected[customer_id][campaign_id] = expected
        return earlier

    def settle(self, customer_id: str, campaign_id: str, earlier: Expected | None, *, kept: bool) -> None:
        """See `Overlay`."""
        if kept:
            return
        self._expected.get(customer_id, {}).pop(campaign_id, None)
        if earlier is not None:
            self._expected[customer_id][campaign_id] = earlier

    def forget(self, customer_id: str) -> None:
        """See `Overlay`."""
        for told in (self._rows, self._first_us, self._expected):
            told.pop(customer_id, None)
        self._gone.add(customer_id)
