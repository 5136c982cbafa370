"""What `POST /v1/decisions` does: who gets which contact now, kept before it is answered; chooses nothing itself.

The decision of a customer counts as a planned contact from the moment it is made, so two requests at the same time
cannot both use the last contact that a window leaves. A decision not to contact somebody who could have been is also an
interaction, with its propensity, so that the next training knows: held out or not, or those whom the plan leaves alone
would count only where chance did so too.
"""

from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

import msgspec
import numpy as np

from contract.errors import DataError
from contract.kinds import HELD_OUT
from features.event_store import Interaction
from serving.contact_state import NEVER
from serving.decision_log import Decided
from serving.desks import CampaignDesk, Desks, Made, Offer
from serving.http.answers import Answer, Encoder
from serving.http.desk import Pieces, busy
from serving.http.messages import DecisionMade, DecisionsAnswer, DecisionsRequest
from serving.http.routes import Call
from serving.http.service import Service, microseconds, moment, pieces
from serving.live import LiveModel, Person
from serving.live_rules import Since
from serving.overlay import Expected, Told
from serving.roles import INELIGIBLE, ROLES

ATTEMPTS: Final = 20
"""To decide about customers about whom other servers decide at the same time."""

NO_CONTACT: Final = "no_contact"
UNMEASURED: Final = "its worth there is not measured"
_DECODER: Final = msgspec.json.Decoder(DecisionsAnswer)


class _Asked(NamedTuple):
    """Some customers, for which campaign, when, and what came in of them."""

    ids: Sequence[str]
    campaign_id: str
    now_us: int
    told: Mapping[str, Told]


@dataclass(frozen=True)
class Deciding:
    """Decides by the desks of campaigns, with what the service knows."""

    service: Service
    desks: Desks

    def decisions(self, call: Call) -> Pieces:
        """Decisions about the customers asked for, or what was answered under the request's id before.

        Raises:
            DataError: the id was given to another question, or a customer was erased.
        """
        request: DecisionsRequest = call.message
        question = Encoder.encode(request)
        kept = self.service.log.answered(request.request_id, question)
        if kept is not None:
            self._follow(request.request_id, _DECODER.decode(kept))
            return Answer(200, kept)
        for _ in range(ATTEMPTS):
            told, kept = yield from self._attempted(request, question)
            if kept is not None:
                self._follow(request.request_id, told)
                return Answer(200, kept)
        raise busy(1.0)

    def _attempted(
        self, request: DecisionsRequest, question: bytes
    ) -> Generator[None, None, tuple[DecisionsAnswer, bytes | None]]:
        """Decisions about all customers, as message and as bytes; no bytes where another server decided meanwhile."""
        campaign_id, now = request.campaign_id, self.service.clock()
        model, desk = self.service.served.model, self.desks.of(campaign_id)
        made: dict[str, DecisionMade] = {}
        earlier: dict[str, Expected | None] = {}
        versions: dict[str, int] = {}
        settled = False
        try:
            for ids in pieces(list(dict.fromkeys(request.customers))):
                since = self.service.told(ids, model)
                versions = {name: each.version for name, each in since.items()} | versions
                for each in self._made(_Asked(ids, campaign_id, now, since), model, desk):
                    made[each.customer_id] = each
                    earlier[each.customer_id] = self._expect(campaign_id, each, now)
                yield
            told = DecisionsAnswer(
                request_id=request.request_id,
                campaign_id=campaign_id,
                model_version=model.model_version,
                as_of=moment(now),
                priced=desk.priced,
                decisions=[made[each] for each in request.customers],
            )
            body, decided = Encoder.encode(told), self._decided(request, told)
            kept = self.service.log.keep(request.request_id, question, body, decided, versions)
            settled = kept == body
            return (told, kept) if settled or kept is None else (_DECODER.decode(kept), kept)
        finally:
            for customer_id, before in earlier.items():
                self.service.rules.settle(customer_id, campaign_id, before, kept=settled)

    def _made(self, asked: _Asked, model: LiveModel, desk: CampaignDesk) -> list[DecisionMade]:
        service, (ids, campaign_id, now_us, told) = self.service, asked
        people = list(map(Person, ids, model.histories(ids)))
        predicted = model.predict(people, now_us, service.shop.campaign(campaign_id))
        judged = service.rules.judged(ids, now_us, campaign_id, Since(told))
        access = service.rules.shown(judged)
        reasons, measured = access.reason.tolist(), ~np.isnan(predicted.uplift)
        worth, channels = predicted.worth.tolist(), service.params.outbound
        found = []
        for at, customer_id in enumerate(ids):
            reason = [
                why if why is not None or known else UNMEASURED
                for why, known in zip(reasons[at], measured[at].tolist(), strict=True)
            ]
            offer = Offer(
                customer_id,
                (access.eligible[at] & measured[at]).tolist(),
                predicted.uplift[at],
                predicted.uplift_lower[at],
                predicted.uplift_upper[at],
                worth[at],
                reason,
            )
            made = desk.decide(offer)
            place = -1 if made.channel is None else channels.index(made.channel)
            earliest = int(judged.earliest_us[at, place]) if place >= 0 else now_us
            value = float(predicted.uplift[at, place]) * worth[at] if place >= 0 else 0.0
            cost = service.costs[place] if place >= 0 else 0.0
            found.append(_message(customer_id, made, value, cost, earliest if now_us < earliest < NEVER else None))
        return found

    def _decided(self, request: DecisionsRequest, told: DecisionsAnswer) -> list[Decided]:
        """The decisions as the log has them, one of each customer.

        Raises:
            DataError: a customer was to be forgotten.
        """
        log, made = self.service.log, list({each.customer_id: each for each in told.decisions}.values())
        erased = log.erased_among([each.customer_id for each in made])
        if erased:
            places = ", ".join(f"customers[{request.customers.index(each)}]" for each in erased[:5])
            raise DataError(f"{places}: was erased, and is not decided about; ask without")
        as_of_us = microseconds(told.as_of)
        return [
            Decided(
                each.customer_id,
                told.campaign_id,
                as_of_us,
                each.channel,
                each.role,
                told.model_version,
                {None if name == NO_CONTACT else name: share for name, share in each.propensities.items()},
                None if each.not_before is None else microseconds(each.not_before),
            )
            for each in made
        ]

    def _follow(self, request_id: str, answered: DecisionsAnswer) -> None:
        """What follows from kept decisions; doing it twice changes nothing."""
        made_us, campaign = microseconds(answered.as_of), self.service.shop.campaign(answered.campaign_id)
        for each in answered.decisions:
            if each.channel is None and each.role != ROLES[INELIGIBLE]:
                self.service.keep(
                    Interaction(
                        each.customer_id,
                        made_us,
                        HELD_OUT,
                        None,
                        campaign_id=answered.campaign_id,
                        propensity=each.propensity,
                        category=campaign.category,
                        transactional=campaign.transactional,
                        event_id=f"decision:{request_id}",
                    )
                )

    def _expect(self, campaign_id: str, each: DecisionMade, now_us: int) -> Expected | None:
        """What was expected until now."""
        moment_us = now_us if each.not_before is None else microseconds(each.not_before)
        return self.service.rules.expect(each.customer_id, campaign_id, each.channel, moment_us, now_us)


def _message(
    customer_id: str, made: Made, value_eur: float, cost_eur: float, not_before_us: int | None
) -> DecisionMade:
    return DecisionMade(
        customer_id=customer_id,
        channel=made.channel,
        role=made.role,
        reason=made.reason,
        propensity=made.chance[made.channel],
        propensities={NO_CONTACT if name is None else name: share for name, share in made.chance.items()},
        expected_value=value_eur,
        cost=cost_eur,
        not_before=None if not_before_us is None else moment(not_before_us),
    )
