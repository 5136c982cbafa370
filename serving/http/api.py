"""The routes of the server: each path with its messages, its scope and an example; the work is the service's."""

from datetime import UTC, datetime
from typing import Any, Final

import msgspec

from serving.http.answers import TEXT, Answer
from serving.http.deciding import Deciding
from serving.http.desk import Work, at_once
from serving.http.messages import (
    CustomerAnswer,
    DecisionsAnswer,
    DecisionsRequest,
    ErasureAnswer,
    HealthAnswer,
    InteractionsAnswer,
    InteractionsRequest,
    ModelsAnswer,
    NewInteraction,
    ScoresAnswer,
    ScoresRequest,
)
from serving.http.metrics import Metrics
from serving.http.openapi import document
from serving.http.routes import ANY_KEY, OPEN, Call, Route, Routes
from serving.http.scoring import Scoring
from serving.http.service import Service

DOCUMENT: Final = "/openapi.json"

_STORE: Final = {507: "The store cannot be read or written."}
_BOUGHT: Final = NewInteraction(
    event_id="shop-4711",
    customer_id="c000017",
    occurred_at=datetime(2026, 11, 25, 9, 30, tzinfo=UTC),
    kind="purchased",
    channel="web",
    campaign_id="SPRING",
    value=39.9,
)


def routes_of(service: Service, deciding: Deciding, metrics: Metrics, version: str) -> Routes:
    """All routes of a server."""
    routes = [
        Route("GET", "/health", OPEN, "Whether the server can do its work.", service.health, HealthAnswer,
              statuses={503: "It cannot; the message says what fails."}),
        Route("POST", "/v1/scores", "score", "Scores of customers on every channel, as of now.",
              Scoring(service).scores, ScoresAnswer, ScoresRequest, cost=lambda asked: len(asked.customers),
              statuses=_STORE,
              example=ScoresRequest(customers=["c000017", "c000042"], campaign_id="SPRING")),
        Route("POST", "/v1/decisions", "decide", "Whom to contact now for a campaign, on which channel.",
              deciding.decisions, DecisionsAnswer, DecisionsRequest, cost=lambda asked: len(asked.customers),
              example=DecisionsRequest(request_id="2026-11-25-17", campaign_id="SPRING", customers=["c000017"]),
              statuses=_STORE),
        Route("POST", "/v1/interactions", "ingest", "Deliver outcomes and events; answered once they are durable.",
              service.interactions, InteractionsAnswer, InteractionsRequest,
              cost=lambda asked: len(asked.interactions), example=InteractionsRequest(interactions=[_BOUGHT]),
              statuses=_STORE),
        Route("GET", "/v1/customers/{customer_id}", "score", "What is known of a customer, and reasons.",
              service.customer, CustomerAnswer, statuses={404: "Nothing is known of this customer.", **_STORE}),
        Route("DELETE", "/v1/customers/{customer_id}", "erase", "Forget a customer; the answer says what remains.",
              service.erase, ErasureAnswer, statuses=_STORE),
        Route("GET", "/v1/models", ANY_KEY, "The model that answers, and what its scores rest on.", service.models,
              ModelsAnswer),
        Route("GET", "/metrics", "admin", "Figures of the server in Prometheus' form.", _metrics(metrics), None,
              content="text/plain"),
    ]  # fmt: skip
    written: dict[str, Any] = {}

    def described(_: Call) -> Work:
        return at_once(Answer(200, written["document"]))

    routes.append(Route("GET", DOCUMENT, ANY_KEY, "This document.", described, None))
    found = Routes(routes)
    written["document"] = msgspec.json.encode(document(found, version))
    return found


def _metrics(metrics: Metrics) -> Any:
    def told(_: Call) -> Work:
        return at_once(Answer(200, metrics.text(), TEXT))

    return told
