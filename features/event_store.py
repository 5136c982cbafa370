"""What every store of events online promises: acknowledged means kept, once, in its place; knows no database.

An event is acknowledged when `append` returns. The history that a store then holds is the one that a timeline built
from the same rows holds: late events stand where their time puts them, exact copies count once, and codes are only
ever appended. The delivered row is kept too, so that a training can take the store as its data.
"""

from collections.abc import Collection, Iterator, Sequence
from hashlib import blake2b, sha256
from itertools import pairwise
from math import isfinite
from typing import Final, NamedTuple, Protocol

from contract.errors import DataError, UsageError
from contract.kinds import HELD_OUT
from contract.params import Params
from features.encoding import built_codebook, continues
from features.events import Codebook, EventCode
from features.histories import packed
from features.timeline import Timeline

VERSION: Final = 1
FILL_EVENTS: Final = 500_000
MAX_AMOUNT_EUR: Final = 1e13
"""Cents of more would not be whole numbers in a double."""


class Interaction(NamedTuple):
    """One delivered row of `interactions`, with what its campaign is.

    occurred_at_us: microseconds since 1970 UTC; value, cost: EUR; propensity: in (0, 1]; category, transactional: of
    the campaign; event_id: the sender's own name of the event, by which a repeated delivery is known.
    """

    customer_id: str
    occurred_at_us: int
    kind: str
    channel: str | None
    campaign_id: str | None = None
    send_id: str | None = None
    value: float | None = None
    cost: float | None = None
    propensity: float | None = None
    category: str | None = None
    transactional: bool = False
    event_id: str | None = None


class Appended(NamedTuple):
    """What became of an event: `added`, or known already; history: all the customer's events, as `histories` has it."""

    added: bool
    history: bytes


class EventStore(Protocol):
    """Events of every customer, to be added to and read one customer at a time."""

    @property
    def codebook(self) -> Codebook:
        """What the codes mean; grows, and never renumbers."""

    def append(self, event: Interaction) -> Appended:
        """Keep one event; when this returns, it survives the end of this process by any means.

        Raises:
            DataError: The event breaks the contract, or its id was given to another event of the customer.
            StorageError: The store cannot be written; the event is not kept.
        """

    def history(self, customer_id: str) -> bytes:
        """The customer's events, as `histories` has them; `histories.EMPTY` for a customer who is not known."""

    def histories(self, customer_ids: Sequence[str]) -> list[bytes]:
        """`history` of each, asked for at once."""

    def refresh(self) -> Codebook:
        """Read the codebook anew, for codes that another process appended."""

    def fill(self, timeline: Timeline) -> int:
        """Take all events of a timeline into an empty store; how many customers have any.

        A timeline has no delivered rows: `interactions` does not show these, and a repeated delivery of one of them is
        not known as such. Deliver only what came after the timeline was built.

        Raises:
            UsageError: The store holds customers, or the timeline numbers its codes otherwise.
        """

    def forget(self, customer_id: str) -> bool:
        """Remove all that is held of the customer; whether anything was."""

    def encoded(self, event: Interaction) -> tuple[int, int]:
        """Code and cents that the event would have in a history; a code that is new is appended, the event is not.

        Raises:
            DataError: The event breaks the contract.
            StorageError: The store cannot be written.
        """

    def interactions(self, kinds: Collection[str] | None = None) -> Iterator[Interaction]:
        """Every delivered row that counts, of these kinds or of all, ascending by customer."""

    def close(self) -> None:
        """Let go of what is open."""


class Coding:
    """The codebook of a store, and the rules for what may be added under it."""

    def __init__(self, params: Params, codebook: Codebook | None) -> None:
        self._params = params
        self._kinds = frozenset(params.all_kinds)
        self._channels = frozenset(params.channels)
        self.use(codebook or built_codebook((), (), params))

    def use(self, codebook: Codebook) -> None:
        """Take a codebook that continues the one before."""
        self.codebook = codebook
        self._numbers: dict[tuple[str, str | None, str | None, bool], int] = {
            (entry.kind, entry.channel, entry.category, entry.transactional): number
            for number, entry in enumerate(codebook.entries)
        }

    def number(self, event: Interaction) -> int | None:
        """The event's code, None where the codebook lacks it."""
        return self._numbers.get((event.kind, event.channel, event.category, event.transactional))

    def grown(self, event: Interaction) -> Codebook:
        """The codebook with the event's code and category appended."""
        code = EventCode(event.kind, event.channel, event.category, event.transactional)
        categories = () if event.category is None else (event.category,)
        return built_codebook([code], categories, self._params, self.codebook)

    def checked(self, event: Interaction) -> int:
        """Cents of an event that keeps the contract, rounded half to even as a timeline's are.

        Raises:
            DataError: It does not; the message names every fault.
        """
        value, cost, propensity = event.value, event.cost, event.propensity
        if (
            not event.customer_id
            or event.kind not in self._kinds
            or (event.channel not in self._channels and (event.channel is not None or event.kind != HELD_OUT))
            or event.occurred_at_us < 0
            or not (value is None or 0 <= value <= MAX_AMOUNT_EUR)
            or not (cost is None or 0 <= cost <= MAX_AMOUNT_EUR)
            or not (propensity is None or 0 < propensity <= 1)
        ):
            raise DataError("\n".join(self._faults(event)))
        return round(value * 100) if value else 0

    def _faults(self, event: Interaction) -> Iterator[str]:
        if not event.customer_id:
            yield "interactions.customer_id: is empty; expected a value in every row; fill it at the source"
        if event.kind not in self._kinds:
            yield (
                f"interactions.kind: '{event.kind}' is not declared; declared kinds are "
                f"{', '.join(self._params.all_kinds)}; add it under kinds: in params.yaml"
            )
        if event.channel is None and event.kind != HELD_OUT:
            yield f"interactions.channel: is empty for '{event.kind}'; only {HELD_OUT} may have none; fill it in"
        if event.channel is not None and event.channel not in self._channels:
            yield (
                f"interactions.channel: '{event.channel}' is not declared; declared channels are "
                f"{', '.join(self._params.channels)}; add it under channels: in params.yaml"
            )
        if event.occurred_at_us < 0:
            yield (
                f"interactions.occurred_at: {event.occurred_at_us} µs lies before 1970; expected a time from 1970 on; "
                "mend the source"
            )
        for name, amount in (("value", event.value), ("cost", event.cost)):
            if amount is not None and not (isfinite(amount) and 0 <= amount <= MAX_AMOUNT_EUR):
                yield (
                    f"interactions.{name}: {amount}; expected a finite amount from 0 to {MAX_AMOUNT_EUR:g} EUR; write "
                    "a refund as the kind returned, with a positive value"
                )
        if event.propensity is not None and not 0 < event.propensity <= 1:
            yield (
                f"interactions.propensity: {event.propensity}; expected one in (0, 1]; give the probability of the "
                "action taken, or leave it empty"
            )


def identity(event: Interaction) -> bytes:
    """16 bytes that tell the customer's rows apart as a batch does: by all columns of the table `interactions`.

    What the campaign is, and the sender's id, are not columns of it. 3 and 3.0, and 0.0 and -0.0, are the same.
    """
    _, time_us, kind, channel, campaign, send, value, cost, propensity, _, _, _ = event
    numbers = [None if number is None else float(number) + 0.0 for number in (value, cost, propensity)]
    return blake2b(repr((int(time_us), kind, channel, campaign, send, numbers)).encode(), digest_size=16).digest()


def conflicting_id(event: Interaction) -> DataError:
    """The error for an id that was given to two events."""
    return DataError(
        f"interactions: event_id '{event.event_id}' of customer '{event.customer_id}' was delivered before with other "
        "content; an id names one event; deliver it again as it was, or under an id of its own"
    )


def erased_digest(customer_id: str) -> str:
    """By which an erased customer is known without keeping the id."""
    return sha256(customer_id.encode()).hexdigest()


def erased_customer() -> DataError:
    """The error for an event of a customer who was to be forgotten."""
    return DataError("interactions.customer_id: this customer was erased; give somebody new an id of their own")


def codebook_to_fill(held: Codebook, timeline: Timeline, n_customers: int) -> Codebook:
    """The codebook of a store once it took the timeline.

    Raises:
        UsageError: The store holds customers, or neither codebook continues the other.
    """
    if n_customers:
        raise UsageError(
            f"event store: holds {n_customers} customers; only an empty store can be filled from a timeline; name a "
            "new one"
        )
    if not held.entries or continues(timeline.codebook, held):
        return timeline.codebook
    if continues(held, timeline.codebook):
        return held
    raise UsageError(
        "event store: numbers its codes otherwise than the timeline; build the timeline with codebook= of the store, "
        "or name a new store"
    )


def opened_codebook(held: Codebook | None, given: Codebook | None) -> Codebook | None:
    """The codebook that a store opens with; None where neither is known.

    Raises:
        UsageError: The one held is no continuation of the one given.
    """
    if held is None or given is None:
        return held or given
    if continues(held, given):
        return held
    if continues(given, held):
        return given
    raise UsageError(
        "event store: its codebook does not continue the one given; fill a new store from a timeline built with that "
        "codebook"
    )


def filled(timeline: Timeline) -> Iterator[tuple[str, bytes]]:
    """(customer id, history) of every customer of the timeline who has events."""
    ids = timeline.customer_ids
    for block in timeline.blocks(FILL_EVENTS):
        for local, (begin, end) in enumerate(pairwise(block.offsets.tolist())):
            if begin < end:
                rows = slice(begin, end)
                own = packed(block.time_us[rows], block.code[rows], block.cents[rows])
                yield ids[block.first_customer + local], own
