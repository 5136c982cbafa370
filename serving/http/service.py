"""What the routes share, and what most of them do: interactions, a customer's view, erasure, model and health.

Each piece of work is a generator that yields between customers, so that nobody waits for another's thousand.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from http import HTTPStatus
from typing import Final, TypeVar

from contract.errors import ChannelwiseError, DataError, StorageError
from contract.kinds import HELD_OUT, SENT, Role
from contract.params import Params
from features.event_store import EventStore, Interaction, erased_customer
from features.events import US_PER_DAY
from features.histories import EMPTY
from models.bundle import Bundle
from serving.decision_log import DecisionLog
from serving.http.answers import HttpError, answer
from serving.http.desk import Pieces
from serving.http.messages import (
    ChannelHistory,
    CustomerAnswer,
    ErasureAnswer,
    HealthAnswer,
    InteractionsAnswer,
    InteractionsRequest,
    ModelAnswer,
    ModelsAnswer,
    NewInteraction,
    PastDecision,
    RefusedInteraction,
    SpokenReason,
)
from serving.http.routes import Call
from serving.live import LiveModel, Person, Shop
from serving.live_rules import LiveRules
from serving.overlay import Told
from serving.scores import Predictions

T = TypeVar("T")

PIECE: Final = 50
"""Customers scored before others get their turn. A piece has a cost of its own, that of fifteen customers."""

Clock = Callable[[], int]
"""The time, microseconds since 1970 UTC."""


@dataclass
class Served:
    """What changes while the server runs: the model, since when, and why the last one offered was refused."""

    model: LiveModel
    since_us: int
    refused: str | None = None


@dataclass
class Service:
    """The state that all requests share."""

    params: Params
    store: EventStore
    log: DecisionLog
    shop: Shop
    served: Served
    rules: LiveRules
    clock: Clock
    newest_us: int | None = None
    _channels: tuple[str, ...] = field(init=False)

    def __post_init__(self) -> None:
        self._channels = self.params.outbound
        self.costs = [self.params.channels[name].unit_cost for name in self._channels]
        self._answers = frozenset(self.params.kinds_of(Role.ANSWER))
        self._steps = frozenset(self.params.kinds_of(Role.OWN_STEP))

    def take(self, bundle: Bundle) -> None:
        """Answer by another model from the next request on; one that cannot answer is refused."""
        now = self.clock()
        try:
            model = LiveModel(bundle, self.params, self.store, self.shop, now)
        except ChannelwiseError as error:
            self.served.refused = f"{bundle.model_version}: {error}"
            return
        self.served = Served(model, now)

    def told(self, ids: Sequence[str], model: LiveModel) -> Mapping[str, Told]:
        """What the rules are told of customers; the model forgets those whom this or another server erased."""
        told = self.rules.told(ids)
        for each in ids:
            if told[each].gone:
                model.forget(each)
        return told

    def interactions(self, call: Call) -> Pieces:
        """Keep what happened; an event is counted as accepted only once it survives the end of the server."""
        request: InteractionsRequest = call.message
        now, accepted, known, refused = self.clock(), 0, 0, []
        for at, each in enumerate(request.interactions):
            try:
                event = self._event(each, now)
                added = self.keep(event)
            except DataError as error:
                refused.append(RefusedInteraction(event_id=each.event_id, reason=str(error)))
            else:
                accepted, known = accepted + added, known + (not added)
                self.newest_us = max(self.newest_us or 0, event.occurred_at_us)
            if at % PIECE == PIECE - 1:
                yield
        yield
        return answer(InteractionsAnswer(accepted=accepted, known=known, refused=refused))

    def customer(self, call: Call) -> Pieces:
        """What is known of a customer."""
        customer_id, now, model = call.variable, self.clock(), self.served.model
        self.told([customer_id], model)
        history = model.history(customer_id)
        known = history != EMPTY
        if not known and not model.knows(customer_id):
            raise HttpError(HTTPStatus.NOT_FOUND, "nothing is known of this customer")
        predictions = model.predict([Person(customer_id, history)], now, self.shop.campaign(None))
        yield
        yield from model.reasons.loaded()
        times, channels = self._channel_histories(model, customer_id, now)
        return answer(
            CustomerAnswer(
                customer_id=customer_id,
                known=known,
                profiling=model.use(customer_id).profiling,
                events=len(times),
                first_at=moment(times[0]) if times else None,
                last_at=moment(times[-1]) if times else None,
                channels=channels,
                preference=dict(zip(self._channels, predictions.contact[0].tolist(), strict=True)),
                engagement=self._engagement(model, predictions, 0),
                reasons=self._reasons(model, customer_id, now),
                decisions=[
                    PastDecision(campaign_id=campaign_id, made_at=moment(made_at), channel=channel, role=role)
                    for campaign_id, made_at, channel, role in self.log.of_customer(customer_id)
                ],
                model_version=model.model_version,
            )
        )

    def erase(self, call: Call) -> Pieces:
        """Forget a customer: events, decisions, and every later training."""
        customer_id = call.variable
        decisions = self.log.forget(customer_id)
        yield
        events = self.store.forget(customer_id)
        self.served.model.forget(customer_id)
        self.rules.forget(customer_id)
        window = self.served.model.bundle.manifest.window
        until = moment(window.end_us).date()
        remains = [
            (
                f"model {self.served.model.model_version} learned from events before {until} and may have counted this "
                "customer in a leaf, with nine others at least; the next training is without"
            ),
            "rows that the store began with are skipped by every reading, and leave the file at the next start",
            "tables outside the store, and copies of the store, are not reached from here",
        ]
        return answer(
            ErasureAnswer(customer_id=customer_id, events_removed=events, decisions_removed=decisions, remains=remains)
        )

    def models(self, _: Call) -> Pieces:
        """The model that answers now."""
        yield
        manifest, served = self.served.model.bundle.manifest, self.served
        return answer(
            ModelsAnswer(
                serving=ModelAnswer(
                    model_version=manifest.model_version,
                    objective=manifest.objective_name,
                    trained_from=moment(manifest.window.start_us),
                    trained_until=moment(manifest.window.end_us),
                    decisions=manifest.window.decisions,
                    customers=manifest.window.customers,
                    evidence={
                        name: each.verdict
                        for name, each in zip(("no_contact", *self._channels), manifest.evidence, strict=True)
                    },
                    columns=served.model.replaceable,
                    since=moment(served.since_us),
                ),
                refused=served.refused,
            )
        )

    def health(self, _: Call) -> Pieces:
        """Predicts for somebody unknown, and reads and writes the store; 503 where one of them fails."""
        yield
        model, trouble = self.served.model, ""
        try:
            model.predict([Person("", model.history(""))], self.clock(), self.shop.campaign(None))
            self.store.refresh()
            self.log.answered("", b"")
        except StorageError as error:
            trouble = str(error)
        status = HTTPStatus.SERVICE_UNAVAILABLE if trouble else HTTPStatus.OK
        return answer(
            HealthAnswer(
                status="failing" if trouble else "ok",
                model_version=model.model_version,
                columns=len(model.bundle.names),
                newest_event_at=moment(self.newest_us) if self.newest_us is not None else None,
                store="failing" if trouble else "ok",
            ),
            status.value,
        )

    def keep(self, event: Interaction) -> bool:
        """Keep an event; whether it is new. From the next answer on it counts.

        Raises:
            DataError: it breaks the contract.
            StorageError: the store cannot be written.
        """
        added = self.store.append(event).added
        if added:
            self.rules.take(event)
        return added

    def past(self, time: datetime, now_us: int) -> int:
        """A time in microseconds, unless it lies further ahead than clocks do.

        Raises:
            DataError: it does.
        """
        occurred_at_us = microseconds(time)
        if occurred_at_us > now_us + round(self.params.check.late_days * US_PER_DAY):
            raise DataError(
                f"interactions.occurred_at: {time.isoformat()} lies in the future; expected none later "
                f"than {self.params.check.late_days:g} days after now; mend the clock or the zone of the source"
            )
        return occurred_at_us

    def _event(self, each: NewInteraction, now_us: int) -> Interaction:
        """The interaction as the store keeps it.

        Raises:
            DataError: it lies in the future, or its customer was to be forgotten.
        """
        occurred_at_us = self.past(each.occurred_at, now_us)
        if self.log.is_erased(each.customer_id):
            raise erased_customer()
        campaign = self.shop.campaign(each.campaign_id)
        propensity = each.propensity
        if propensity is None and each.campaign_id is not None and each.kind in (SENT, HELD_OUT):
            propensity = self.log.propensity(each.customer_id, each.campaign_id, each.channel)
        return Interaction(
            customer_id=each.customer_id,
            occurred_at_us=occurred_at_us,
            kind=each.kind,
            channel=each.channel,
            campaign_id=each.campaign_id,
            send_id=each.send_id,
            value=each.value,
            cost=each.cost,
            propensity=propensity,
            category=campaign.category,
            transactional=campaign.transactional,
            event_id=each.event_id,
        )

    def _reasons(self, model: LiveModel, customer_id: str, now_us: int) -> dict[str, list[SpokenReason]]:
        use = model.use(customer_id)
        found = model.reasons.of(customer_id, now_us, use) if use.profiling else {}
        return {
            channel: [SpokenReason(words=each.words, factor=each.factor) for each in reasons]
            for channel, reasons in found.items()
        }

    def _engagement(self, model: LiveModel, predictions: Predictions, at: int) -> dict[str, float]:
        return dict(zip(model.bundle.engagement_channels, predictions.engagement[at].tolist(), strict=True))

    def _channel_histories(
        self, model: LiveModel, customer_id: str, now_us: int
    ) -> tuple[list[int], dict[str, ChannelHistory]]:
        """When each event was, and what there was on each channel."""
        if not model.use(customer_id).profiling:
            return [], {}
        events = model.shared.events(customer_id, now_us)
        entries = self.store.refresh().entries
        times = events.time_us.tolist()
        found: dict[str, ChannelHistory] = {}
        for time_us, code in zip(times, events.code.tolist(), strict=True):
            entry = entries[code]
            if entry.channel is None:
                continue
            before = found.get(entry.channel) or ChannelHistory(sent=0, answers=0, own_steps=0, last_at=None)
            found[entry.channel] = ChannelHistory(
                sent=before.sent + (entry.kind == SENT),
                answers=before.answers + (entry.kind in self._answers),
                own_steps=before.own_steps + (entry.kind in self._steps),
                last_at=moment(time_us),
            )
        return times, found


def moment(time_us: int) -> datetime:
    """Microseconds since 1970 as a time in UTC."""
    return datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=int(time_us))


def microseconds(time: datetime) -> int:
    """A time as microseconds since 1970 UTC; one without a zone is UTC."""
    aware = time if time.tzinfo is not None else time.replace(tzinfo=UTC)
    return (aware - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1)


def pieces(ids: Sequence[T]) -> Iterator[Sequence[T]]:
    """As many at a time as may hold up others."""
    for start in range(0, len(ids), PIECE):
        yield ids[start : start + PIECE]
