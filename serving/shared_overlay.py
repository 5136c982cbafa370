"""What the rules are told since the past was read, where servers share a store: asked of Redis at every answer."""

import json
from collections import defaultdict
from collections.abc import Mapping, Sequence

from contract.params import Params
from contract.shared_store import CUSTOMER, DECIDED, ERASED, ROW, Shared, connect, reading
from features.event_store import Interaction, erased_digest
from serving.dossiers import Row
from serving.overlay import Expected, Reading, Told
from serving.redis_log import VERSION, decisions_in

Fields = Mapping[bytes, bytes]


class SharedOverlay:
    """See `Overlay`. What is being decided here and is not kept yet is known here alone."""

    def __init__(self, shared: Shared, params: Params) -> None:
        """Connect.

        Raises:
            UsageError: redis is not installed.
        """
        self._shared, self._client, self._reading = shared, connect(shared.url), Reading(params)
        self._deciding: dict[str, dict[str, Expected | None]] = defaultdict(dict)

    def of(self, ids: Sequence[str]) -> Mapping[str, Told]:
        """See `Overlay`."""
        shared = self._shared
        with reading(), self._client.pipeline(transaction=False) as asking:
            for each in ids:
                asking.hgetall(shared.key(CUSTOMER, each))
                asking.hgetall(shared.key(DECIDED, each))
                asking.sismember(shared.key(ERASED), erased_digest(each))
            told = asking.execute()
        return {each: self._told(each, *told[3 * at : 3 * at + 3]) for at, each in enumerate(ids)}

    def _told(self, customer_id: str, events: Fields, decided: Fields, gone: bool) -> Told:
        since = [Interaction(customer_id, *json.loads(row)) for field, row in events.items() if field.startswith(ROW)]
        rows: list[Row] = [row for row in map(self._reading.row, since) if row is not None]
        rows.sort(key=lambda row: row.time_us)
        places = self._reading.channels
        expected = {
            each.campaign_id: Expected(places[each.channel], each.earliest_us, each.made_at_us)
            for each in decisions_in(customer_id, decided)
            if each.channel in places
        }
        for campaign, each in self._deciding.get(customer_id, {}).items():
            if each is None:
                expected.pop(campaign, None)
            else:
                expected[campaign] = each
        first_us = min((each.occurred_at_us for each in since), default=-1)
        return Told(rows, first_us, expected, bool(gone), int(decided.get(VERSION, 0)))

    def take(self, event: Interaction) -> None:
        """See `Overlay`: the store has it."""

    def expect(
        self, customer_id: str, campaign_id: str, channel: str | None, moment_us: int, made_at_us: int
    ) -> Expected | None:
        """See `Overlay`."""
        earlier = self._deciding.get(customer_id, {}).get(campaign_id)
        place = None if channel is None else self._reading.channels[channel]
        self._deciding[customer_id][campaign_id] = None if place is None else Expected(place, moment_us, made_at_us)
        return earlier

    def settle(self, customer_id: str, campaign_id: str, earlier: Expected | None, *, kept: bool) -> None:  # noqa: ARG002
        """See `Overlay`: from here on what the store has of it counts."""
        deciding = self._deciding[customer_id]
        deciding.pop(campaign_id, None)
        if not deciding:
            del self._deciding[customer_id]

    def forget(self, customer_id: str) -> None:
        """See `Overlay`: the store knows."""
