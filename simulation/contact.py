"""What one message sets off in one customer: delivery, answers, opt-outs, purchases; chooses no message.

Purchases, and what follows from a purchase, also live here: own purchases take the same way.
"""

from math import exp

import numpy as np

from simulation.compiled import compiled
from simulation.draws import normal, pick, poisson, uniform
from simulation.effects import answer_probability, delay_s, expected_extra
from simulation.sender import MAIL, PHONE
from simulation.state import (
    RECENT,
    SEND,
    Event,
    Log,
    State,
    expect_answer,
    note,
    pressure_at,
)
from simulation.tastes import NEVER, Traits
from simulation.world import CHANNELS, GRANTED, KINDS, WITHDRAWN, World

EMAIL, SMS, PUSH, SOCIAL = 0, 1, 2, 5
STORE, WEB, APP = CHANNELS.index("store"), CHANNELS.index("web"), CHANNELS.index("app")
SENT, DELIVERED, BOUNCED = KINDS.index("sent"), KINDS.index("delivered"), KINDS.index("bounced")
OPENED, CLICKED, REPLIED = KINDS.index("opened"), KINDS.index("clicked"), KINDS.index("replied")
UNSUBSCRIBED, COMPLAINED = KINDS.index("unsubscribed"), KINDS.index("complained")
PURCHASED, RETURNED, REVIEWED = KINDS.index("purchased"), KINDS.index("returned"), KINDS.index("reviewed")

BASKET_SPREAD = 0.8
RETURN_SHARE, REVIEW_SHARE = 0.07, 0.06
CONFIRMED_SHARE = 0.60
LEAVING = 0.0012
CLAIM_S = 7 * 86_400
NO_PROPENSITY = -1.0


@compiled
def contact(
    world: World, traits: Traits, state: State, log: Log, i: int, day: int, time_s: int, channel: int, campaign: int
) -> None:
    """A message reaches the customer; its `sent` row is already written under the send number before the next."""
    regime = 1 if day >= traits.drift_day[i] else 0
    affinity = traits.affinity[i, world.campaign_category[campaign]]
    pressure = pressure_at(state, time_s)
    send = Event(channel, campaign, state.counters[SEND] - 1)
    extra = contact_extra(world, traits, i, regime, channel, campaign, pressure)
    _remember(state, time_s, extra, channel)
    for _ in range(poisson(state.stream, extra)):
        later = time_s + int(delay_s(uniform(state.stream)))
        extra_purchase(world, traits, state, log, i, day, later, send)
    state.next_calm[0] *= 1.0 - traits.annoyance[i, regime, channel]
    _deliver(state, log, traits, i, time_s, send)
    answer = answer_probability(traits.answer[i, regime, channel], traits.fatigue[i], pressure, affinity)
    if uniform(state.stream) < answer:
        _answer(state, log, traits, i, time_s, send)
    if world.needs_consent[channel]:
        _leave(state, log, i, time_s, send, leaving_hazard(traits.leaving[i], pressure))
    state.pressure[0] = pressure + 1.0
    state.pressure[1] = time_s


@compiled
def _remember(state: State, time_s: int, extra: float, channel: int) -> None:
    """Keeps the contact in the ring, in place of the oldest."""
    slot = 0
    for k in range(RECENT):
        if state.recent_s[k] < state.recent_s[slot]:
            slot = k
    state.recent_s[slot] = time_s
    state.recent_extra[slot] = extra
    state.recent_channel[slot] = channel


@compiled
def contact_extra(
    world: World, traits: Traits, i: int, regime: int, channel: int, campaign: int, pressure: float
) -> float:
    """Expected extra purchases within the horizon of a contact by this campaign."""
    category = world.campaign_category[campaign]
    fit = traits.affinity[i, category] * world.fit[channel, category] * world.campaign_strength[campaign]
    return expected_extra(traits.effect[i, regime, channel], traits.fatigue[i], pressure, fit)


@compiled
def extra_purchase(
    world: World, traits: Traits, state: State, log: Log, i: int, day: int, time_s: int, send: Event
) -> None:
    """A purchase that a contact brought; push never gets the credit."""
    u = uniform(state.stream)
    if send.channel == PUSH:
        where = APP if u < 0.7 else WEB
    elif send.channel == PHONE and u < 0.7:
        where = PHONE
    elif send.channel == MAIL:
        where = STORE if u < 0.6 else WEB
    else:
        where = own_channel(world, traits, state, i, day)
    tied = uniform(state.stream) < world.tied[send.channel]
    event = Event(where, send.campaign, send.send) if tied else Event(where, -1, -1)
    purchase(world, traits, state, log, i, time_s, event)


@compiled
def own_purchase(world: World, traits: Traits, state: State, log: Log, i: int, time_s: int, where: int) -> None:
    """A purchase that the customer makes anyway; a message answered just before may take the credit."""
    event = Event(where, -1, -1)
    if world.claimed > 0.0 and 0 <= time_s - state.claim[0] < CLAIM_S and uniform(state.stream) < world.claimed:
        event = Event(where, state.claim[1], state.claim[2])
    purchase(world, traits, state, log, i, time_s, event)


@compiled
def own_channel(world: World, traits: Traits, state: State, i: int, day: int) -> int:
    """Where the customer buys by itself: as it visits, but nothing is sold on social media."""
    regime = 1 if day >= traits.drift_day[i] else 0
    where = world.step_channel[pick(state.stream, traits.mix[i, regime])]
    return int(WEB if where == SOCIAL else where)


@compiled
def purchase(world: World, traits: Traits, state: State, log: Log, i: int, time_s: int, event: Event) -> None:
    """A purchase, its basket log-normal around the customer's mean, and what follows: confirmation, return, review."""
    basket = traits.basket_eur[i] * exp(BASKET_SPREAD * normal(state.stream) - 0.5 * BASKET_SPREAD**2)
    cents = max(1, round(100.0 * basket))
    note(log, i, time_s, PURCHASED, event, cents, NO_PROPENSITY)
    where = WEB if event.channel == PHONE else event.channel
    if uniform(state.stream) < RETURN_SHARE:
        later = time_s + int((3.0 + 17.0 * uniform(state.stream)) * 86_400)
        note(log, i, later, RETURNED, Event(where, -1, -1), cents, NO_PROPENSITY)
    if event.channel == WEB and uniform(state.stream) < REVIEW_SHARE:
        later = time_s + int((2.0 + 8.0 * uniform(state.stream)) * 86_400)
        note(log, i, later, REVIEWED, Event(WEB, -1, -1), 0, NO_PROPENSITY)
    if uniform(state.stream) < CONFIRMED_SHARE:
        channel = EMAIL if uniform(state.stream) < 0.8 else SMS
        send = Event(channel, world.confirmation_campaign, state.counters[SEND])
        state.counters[SEND] += 1
        note(log, i, time_s + 30, SENT, send, 0, NO_PROPENSITY)
        _deliver(state, log, traits, i, time_s + 30, send)
        if channel == EMAIL and uniform(state.stream) < 0.6:
            note(log, i, time_s + 60 + int(7_200 * uniform(state.stream)), OPENED, send, 0, NO_PROPENSITY)


@compiled
def _deliver(state: State, log: Log, traits: Traits, i: int, time_s: int, send: Event) -> None:
    """Delivery, after a bounce at the second try; some mail programs open an e-mail within seconds, unread."""
    if send.channel > PUSH:
        return
    arrived = time_s + 1 + int(3.0 * uniform(state.stream))
    if send.channel == EMAIL and uniform(state.stream) < 0.01:
        note(log, i, arrived, BOUNCED, send, 0, NO_PROPENSITY)
        arrived += 1_800
    note(log, i, arrived, DELIVERED, send, 0, NO_PROPENSITY)
    if send.channel == EMAIL and traits.machine[i] and uniform(state.stream) < 0.9:
        seen = arrived + 1 + int(8.0 * uniform(state.stream))
        note(log, i, seen, OPENED, send, 0, NO_PROPENSITY)


@compiled
def _answer(state: State, log: Log, traits: Traits, i: int, time_s: int, send: Event) -> None:
    """A visible answer by the customer's own hand, in the channel's way."""
    u = uniform(state.stream)
    later = time_s + 60 + min(172_000, int(-20_000.0 * np.log(1.0 - uniform(state.stream))))
    if send.channel == EMAIL:
        note(log, i, later, OPENED, send, 0, NO_PROPENSITY)
        if u < traits.follow[i]:
            note(log, i, later + 40, CLICKED, send, 0, NO_PROPENSITY)
    elif send.channel == PUSH:
        note(log, i, later, OPENED, send, 0, NO_PROPENSITY)
    elif send.channel == PHONE:
        later = time_s + 20 + int(200.0 * u)
        note(log, i, later, REPLIED, send, 0, NO_PROPENSITY)
    elif send.channel == SMS and u < 0.2:
        note(log, i, later, REPLIED, send, 0, NO_PROPENSITY)
    else:
        note(log, i, later, CLICKED, send, 0, NO_PROPENSITY)
    expect_answer(state, later, send.channel)
    state.claim[0], state.claim[1], state.claim[2] = later, send.campaign, send.send


@compiled
def leaving_hazard(leaving: float, pressure: float) -> float:
    """Probability that a contact makes the customer opt out of its channel."""
    return LEAVING * leaving * (1.0 + pressure)


@compiled
def _leave(state: State, log: Log, i: int, time_s: int, send: Event, hazard: float) -> None:
    """Perhaps the customer opts out of the channel, some to come back months later."""
    u = uniform(state.stream)
    if u >= hazard:
        return
    gone = time_s + 120 + int(86_400.0 * uniform(state.stream))
    back = uniform(state.stream)
    channel = send.channel
    if channel == PHONE or (channel == EMAIL and u < 0.15 * hazard):
        note(log, i, gone, COMPLAINED, send, 0, NO_PROPENSITY)
    elif channel != SOCIAL:
        note(log, i, gone, UNSUBSCRIBED, send, 0, NO_PROPENSITY)
    note(log, i, gone, WITHDRAWN, send, 0, NO_PROPENSITY)
    state.closed_from_s[channel] = gone
    state.reopened_s[channel] = NEVER
    if back < 0.15:
        state.reopened_s[channel] = gone + int((60.0 + 1_200.0 * back) * 86_400)
        note(log, i, state.reopened_s[channel], GRANTED, send, 0, NO_PROPENSITY)
