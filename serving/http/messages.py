"""What campaign tools send and get back, as types that check, write and document themselves; does no work.

Money is in EUR, probabilities in [0, 1], times are ISO 8601 and UTC where they name no zone.
"""

from datetime import datetime
from typing import Annotated, Final, Literal

import msgspec
from msgspec import Meta

MOST_CUSTOMERS: Final = 1_000
"""Customers that one request may ask for."""

MOST_INTERACTIONS: Final = 1_000
"""Interactions that one request may deliver."""

Scope = Literal["score", "decide", "ingest", "erase", "admin"]
"""What a key may do; admin may do everything."""

Id = Annotated[str, Meta(min_length=1, max_length=200)]
Word = Annotated[str, Meta(min_length=1, max_length=100)]
Amount = Annotated[float, Meta(ge=0, le=1e13)]
Probability = Annotated[float, Meta(gt=0, le=1)]
Time = Annotated[datetime, Meta(extra_json_schema={"format": "date-time"})]
"""One that names no zone is taken too, as UTC, beyond what the format says."""

Figure = Annotated[float, Meta(ge=-1e30, le=1e30)]


class Message(msgspec.Struct, kw_only=True, omit_defaults=False, forbid_unknown_fields=True):
    """Root of all messages: unknown fields are refused, so that a misspelt one is not silently without effect."""


class NewInteraction(Message):
    """An event between a customer and the brand that has just happened; the columns of the table `interactions`.

    event_id is the sender's own name of it: delivered again under the same id, it counts once.
    """

    event_id: Id
    customer_id: Id
    occurred_at: Time
    kind: Word
    channel: Word | None = None
    campaign_id: Id | None = None
    send_id: Id | None = None
    value: Amount | None = None
    cost: Amount | None = None
    propensity: Probability | None = None


class FreshInteraction(Message):
    """An event that counts for this answer only and is not kept."""

    occurred_at: Time
    kind: Word
    channel: Word | None = None
    campaign_id: Id | None = None
    value: Amount | None = None


class Asked(Message):
    """A customer to be scored.

    interactions count beside those that the store holds, as if they had been delivered. features replace columns of the
    model by name, such as the age of somebody of whom nothing is known; a column of levels takes the level's text, null
    is not known. Neither counts where the customer does not allow profiling.
    """

    customer_id: Id
    interactions: Annotated[list[FreshInteraction], Meta(max_length=MOST_INTERACTIONS)] = []
    features: dict[str, Figure | Word | None] = {}


class ScoresRequest(Message):
    """Customers, by id or with what is new about them, and the campaign that they are scored for."""

    customers: Annotated[list[Id | Asked], Meta(min_length=1, max_length=MOST_CUSTOMERS)]
    campaign_id: Id | None = None


class ChannelScore(Message):
    """One outbound channel for one customer; what could not be measured is null."""

    channel: str
    preference: float
    preference_rank: int
    response: float | None
    response_lower: float | None
    response_upper: float | None
    uplift: float | None
    uplift_lower: float | None
    uplift_upper: float | None
    expected_value: float | None
    cost: float
    eligible: bool
    reason: str | None
    evidence: str


class CustomerScores(Message):
    """A customer's scores; known says whether the store holds anything of them."""

    customer_id: str
    known: bool
    response_no_contact: float
    channels: list[ChannelScore]
    engagement: dict[str, float]


class ScoresAnswer(Message):
    """Scores in the order of the request."""

    model_version: str
    as_of: Time
    campaign_id: str | None
    customers: list[CustomerScores]


class DecisionsRequest(Message):
    """Who may be contacted now for a campaign; sent again with the same request_id, the answer is the same."""

    request_id: Id
    campaign_id: Id
    customers: Annotated[list[Id], Meta(min_length=1, max_length=MOST_CUSTOMERS)]


class DecisionMade(Message):
    """Whom to contact how, and the probability with which each action could have been taken; null is no contact."""

    customer_id: str
    channel: str | None
    role: str
    reason: str
    propensity: float
    propensities: dict[str, float]
    expected_value: float
    cost: float
    not_before: Time | None = None


class DecisionsAnswer(Message):
    """Decisions in the order of the request. `no_contact` names the absence of contact in `propensities`.

    priced: whether a plan of the campaign was given, whose prices count; without, net value decides.
    """

    request_id: str
    campaign_id: str
    model_version: str
    as_of: Time
    priced: bool
    decisions: list[DecisionMade]


class InteractionsRequest(Message):
    """What happened since: outcomes of sends, and the customers' own steps."""

    interactions: Annotated[list[NewInteraction], Meta(min_length=1, max_length=MOST_INTERACTIONS)]


class RefusedInteraction(Message):
    """An interaction that breaks the contract; the others of the request are kept."""

    event_id: str
    reason: str


class InteractionsAnswer(Message):
    """Every accepted or known event survives the end of the server from here on."""

    accepted: int
    known: int
    refused: list[RefusedInteraction]


class ChannelHistory(Message):
    """What happened with a customer on one channel, as far as may be used and is not older than the lookback."""

    sent: int
    answers: int
    own_steps: int
    last_at: Time | None


class PastDecision(Message):
    """A decision made here."""

    campaign_id: str
    made_at: Time
    channel: str | None
    role: str


class SpokenReason(Message):
    """What the history says of a customer, and by which factor that multiplies the odds of a response, or the expected
    responses where the model counts these.
    """

    words: str
    factor: float


class CustomerAnswer(Message):
    """What is known of a customer and what the model makes of it; reasons: by channel, what moves the response there
    most, the strongest first, none without consent to profiling.
    """

    customer_id: str
    known: bool
    profiling: bool
    events: int
    first_at: Time | None
    last_at: Time | None
    channels: dict[str, ChannelHistory]
    preference: dict[str, float]
    engagement: dict[str, float]
    reasons: dict[str, list[SpokenReason]]
    decisions: list[PastDecision]
    model_version: str


class ErasureAnswer(Message):
    """What was removed, and what remains until when."""

    customer_id: str
    events_removed: bool
    decisions_removed: bool
    remains: list[str]


class ModelAnswer(Message):
    """The model that answers: what it learned from, what each channel's scores rest on, and the columns that a request
    for scores may give.
    """

    model_version: str
    objective: str
    trained_from: Time
    trained_until: Time
    decisions: int
    customers: int
    evidence: dict[str, str]
    columns: list[str]
    since: Time


class ModelsAnswer(Message):
    """The model that answers now, and why the last one offered was not taken, if it was not."""

    serving: ModelAnswer
    refused: str | None


class HealthAnswer(Message):
    """Whether the server can do its work: status is ok, or what is wrong.

    newest_event_at: of all that were delivered since the server started; store: whether it could be read and written.
    """

    status: str
    model_version: str
    columns: int
    newest_event_at: Time | None
    store: str


class Problem(Message):
    """What went wrong, in the form of RFC 9457."""

    type: str
    title: str
    status: int
    detail: str
