"""What `POST /v1/scores` does: scores of customers as of now, with what is new about them; keeps nothing."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice
from typing import NamedTuple

import numpy as np

from contract.errors import ChannelwiseError
from features.event_store import Interaction
from features.histories import EMPTY
from serving.http.answers import Answer, answer
from serving.http.desk import MOST_TOGETHER, Groupable, Pieces, Work
from serving.http.messages import Asked, CustomerScores, FreshInteraction, ScoresAnswer, ScoresRequest
from serving.http.rendering import scores_of
from serving.http.routes import Call
from serving.http.service import Service, moment, pieces
from serving.live import LiveModel, Person
from serving.live_rules import Since
from serving.scores import NOT_PROFILED, marked


class Asking(NamedTuple):
    """Which model is asked for scores, as of when, and for which campaign."""

    model: LiveModel
    now_us: int
    campaign_id: str | None

    def answer(self, found: list[CustomerScores]) -> Answer:
        """The scores as an answer."""
        return answer(
            ScoresAnswer(
                model_version=self.model.model_version,
                as_of=moment(self.now_us),
                campaign_id=self.campaign_id,
                customers=found,
            )
        )


@dataclass(frozen=True)
class Scoring:
    """Scores by what the service knows."""

    service: Service

    def scores(self, call: Call) -> Work:
        """Scores of the customers asked for, as of now; of few of them together with others who ask for few."""
        request: ScoresRequest = call.message
        if len(request.customers) < MOST_TOGETHER:
            return Groupable(("scores", request.campaign_id), self._scored_together, request)
        return self._scored_in_pieces(request)

    def _scored_in_pieces(self, request: ScoresRequest) -> Pieces:
        asking = Asking(self.service.served.model, self.service.clock(), request.campaign_id)
        found = []
        for some in pieces(request.customers):
            found += self._scored(some, asking)
            yield
        return asking.answer(found)

    def _scored_together(self, requests: Sequence[ScoresRequest]) -> list[Answer | Exception]:
        """Requests for the same campaign; what is wrong with one is told to that one."""
        asking = Asking(self.service.served.model, self.service.clock(), requests[0].campaign_id)
        try:
            found = iter(self._scored([each for request in requests for each in request.customers], asking))
        except ChannelwiseError as error:
            if len(requests) == 1:
                return [error]
            return [each for request in requests for each in self._scored_together([request])]
        return [asking.answer(list(islice(found, len(request.customers)))) for request in requests]

    def _scored(self, customers: Sequence[str | Asked], asking: Asking) -> list[CustomerScores]:
        """Scores of some customers.

        Raises:
            DataError: what is new about one breaks the contract.
        """
        model, now, campaign_id = asking
        ids = [each if isinstance(each, str) else each.customer_id for each in customers]
        told = self.service.told(ids, model)
        histories = model.histories(ids)
        asked = [self._person(*each, model, now) for each in zip(customers, histories, strict=True)]
        people = [person for person, _ in asked]
        predictions = model.predict(people, now, self.service.shop.campaign(campaign_id))
        access = self.service.rules.access(ids, now, campaign_id, Since(told, [events for _, events in asked]))
        refusing = np.array([model.knows(each) and not model.use(each).profiling for each in ids])
        if refusing.any():
            access = marked(access, refusing, NOT_PROFILED)
        known = [model.knows(each.customer_id) or each.history != EMPTY for each in people]
        return scores_of(model.bundle, ids, known, predictions, access, self.service.costs)

    def _person(
        self, each: str | Asked, history: bytes, model: LiveModel, now_us: int
    ) -> tuple[Person, tuple[Interaction, ...]]:
        """A customer with what is new about them, and the events among it.

        Raises:
            DataError: an event breaks the contract or lies in the future, or the model has no such column.
        """
        if isinstance(each, str):
            return Person(each, history), ()
        fresh = tuple(self._fresh(event, each.customer_id, now_us) for event in each.interactions)
        return Person(each.customer_id, model.history_with(history, fresh), model.columns(each.features)), fresh

    def _fresh(self, each: FreshInteraction, customer_id: str, now_us: int) -> Interaction:
        occurred_at_us = self.service.past(each.occurred_at, now_us)
        campaign = self.service.shop.campaign(each.campaign_id)
        return Interaction(
            customer_id,
            occurred_at_us,
            each.kind,
            each.channel,
            campaign_id=each.campaign_id,
            value=each.value,
            category=campaign.category,
            transactional=campaign.transactional,
        )
