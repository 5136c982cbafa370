"""The life of each customer, day by day: own steps, the retailer's decisions, purchases; and its possible futures.

The future that `replay` plays is made by the same functions as the history, so that the truth can be checked by it.
"""

from simulation.compiled import compiled
from simulation.config import HORIZON_DAYS
from simulation.contact import (
    APP,
    CLICKED,
    NO_PROPENSITY,
    OPENED,
    PURCHASED,
    REPLIED,
    SENT,
    SOCIAL,
    WEB,
    contact,
    extra_purchase,
    own_channel,
    own_purchase,
)
from simulation.draws import pick, poisson, seed_stream, uniform
from simulation.effects import expected_own, remaining, remaining_delay_s
from simulation.outlook import Outlook, look_ahead
from simulation.sender import N_OUT, PHONE, channel_shares
from simulation.state import (
    RECENT,
    SEND,
    Event,
    Log,
    State,
    calm_on,
    copy_state,
    mood_epoch,
    note,
    reset,
    see_answers,
    turn_day,
)
from simulation.tastes import Traits
from simulation.world import KINDS, VECTOR, Floats, World

HELD_OUT = KINDS.index("held_out")
VISITED, CALLED = KINDS.index("visited"), KINDS.index("called")
CHATTED, SHARED = KINDS.index("chatted"), KINDS.index("shared")
DAY_S = 86_400
TRIGGER_SHARE = 0.06
HISTORY = 0


@compiled
def simulate(world: World, traits: Traits, seed: int, state: State, log: Log, outlook: Outlook) -> None:
    """The history of all customers into `log` and their true outlook at the end into `outlook`."""
    log.length[0] = 0
    log.span[0] = 0
    log.span[1] = world.end_s
    for i in range(len(traits.number)):
        seed_stream(state.stream, seed, traits.number[i], HISTORY)
        history_of(world, traits, state, log, i)
        look_ahead(world, traits, state, i, outlook)


@compiled
def replay(
    world: World, traits: Traits, seed: int, action: int, now: State, state: State, log: Log, counts: Floats
) -> None:
    """Plays the horizon after the end `counts.shape[1]` times under a forced action (0 none, i the i-th channel).

    now, state: two states to work in. counts: (n_customers, n_replays, 2), filled with the number of purchases and
    whether an answer or a tied purchase came, opens by machine included. The last replay's events stay in `log`.
    """
    for i in range(len(traits.number)):
        log.span[:] = 0
        seed_stream(now.stream, seed, traits.number[i], HISTORY)
        history_of(world, traits, now, log, i)
        log.span[0] = world.end_s
        log.span[1] = world.end_s + HORIZON_DAYS * DAY_S
        for r in range(counts.shape[1]):
            log.length[0] = 0
            copy_state(now, state)
            seed_stream(state.stream, seed, traits.number[i], 1 + r)
            _live_on(world, traits, state, log, i, action)
            _count(world, log, counts[i, r])


@compiled
def _count(world: World, log: Log, counts: Floats) -> None:
    counts[:] = 0.0
    for k in range(log.length[0]):
        kind = log.kind[k]
        if kind == PURCHASED:
            counts[0] += 1.0
        if log.campaign[k] == world.scored_campaign and kind in (OPENED, CLICKED, REPLIED, PURCHASED):
            counts[1] = 1.0


@compiled
def history_of(world: World, traits: Traits, state: State, log: Log, i: int) -> None:
    """One customer's history, from its first whole day."""
    reset(state)
    first = -((world.start_s - traits.active_from_s[i]) // DAY_S)
    days_of(world, traits, state, log, i, max(0, first), world.days)


@compiled
def _live_on(world: World, traits: Traits, state: State, log: Log, i: int, action: int) -> None:
    """The horizon after the history: the forced action at its first moment, no other contact."""
    for k in range(RECENT):
        elapsed = world.end_s - state.recent_s[k]
        send = Event(state.recent_channel[k], -1, -1)
        for _ in range(poisson(state.stream, state.recent_extra[k] * remaining(elapsed))):
            later = state.recent_s[k] + int(remaining_delay_s(uniform(state.stream), elapsed))
            extra_purchase(world, traits, state, log, i, world.days, max(later, world.end_s), send)
    if action > 0:
        send = Event(action - 1, world.scored_campaign, state.counters[SEND])
        state.counters[SEND] += 1
        note(log, i, world.end_s, SENT, send, 0, 1.0)
        contact(world, traits, state, log, i, world.days, world.end_s, action - 1, world.scored_campaign)
    days_of(world, traits, state, log, i, world.days, world.days + HORIZON_DAYS)


@compiled
def days_of(world: World, traits: Traits, state: State, log: Log, i: int, first: int, stop: int) -> None:
    """Days `first` to `stop`; most are quiet, and those must cost no call that takes the whole world along."""
    stream, calm, next_calm, season = state.stream, state.calm, state.next_calm, world.season
    bulk, mood, days, n_epochs = world.campaign_of_day, traits.mood[i], world.days, traits.mood.shape[1]
    visits, bought = traits.session_rate[i], traits.purchase_rate[i]
    taking = world.take_part * traits.activity[i]
    for day in range(first, stop):
        turn_day(calm, next_calm, day)
        campaign = -1
        if day < days and bulk[day] >= 0 and uniform(stream) < taking:
            campaign = bulk[day]
        mean = expected_own(visits + bought, mood[mood_epoch(n_epochs, days, day)], season[day])
        own = poisson(stream, mean)
        if own > 0 or campaign >= 0:
            _busy_day(world, traits, state, log, i, day, campaign, own)


@compiled
def _busy_day(world: World, traits: Traits, state: State, log: Log, i: int, day: int, campaign: int, own: int) -> None:
    """A day with `own` steps and purchases of the customer's or a bulk campaign; at most one decision a day."""
    purchases = 0
    for _ in range(own):
        if uniform(state.stream) * (traits.session_rate[i] + traits.purchase_rate[i]) < traits.purchase_rate[i]:
            purchases += 1
    basket_left = -1
    for _ in range(own - purchases):
        left = _own_step(world, traits, state, log, i, day)
        basket_left = max(basket_left, left)
    if campaign >= 0:
        time_s = world.start_s + day * DAY_S + world.campaign_hour[campaign] * 3_600
        _choose(world, traits, state, log, i, day, time_s + int(5_400.0 * uniform(state.stream)), campaign)
    elif basket_left >= 0 and day < world.days:
        _remind(world, traits, state, log, i, day, basket_left)
    for _ in range(purchases):
        if uniform(state.stream) < calm_on(state.calm, day, 0):
            where = own_channel(world, traits, state, i, day)
            own_purchase(world, traits, state, log, i, _moment(world, traits, state, i, day), where)


@compiled
def _moment(world: World, traits: Traits, state: State, i: int, day: int) -> int:
    """A second of the day around the customer's hour."""
    hour = (traits.hour[i] + 4.0 * (uniform(state.stream) + uniform(state.stream) - 1.0)) % 24.0
    return int(world.start_s + day * DAY_S + int(hour * 3_600.0) % DAY_S)


@compiled
def _own_step(world: World, traits: Traits, state: State, log: Log, i: int, day: int) -> int:
    """A visit or call; its second if it left a full basket behind, else -1."""
    regime = 1 if day >= traits.drift_day[i] else 0
    channel = world.step_channel[pick(state.stream, traits.mix[i, regime])]
    time_s = _moment(world, traits, state, i, day)
    kind = VISITED
    u = uniform(state.stream)
    if channel == PHONE:
        kind = CALLED
    elif channel == SOCIAL and u < 0.5:
        kind = SHARED if u < 0.3 else CHATTED
    elif channel == WEB and u < 0.06:
        kind = CHATTED
    note(log, i, time_s, kind, Event(channel, -1, -1), 0, NO_PROPENSITY)
    if (channel in (WEB, APP)) and uniform(state.stream) < TRIGGER_SHARE:
        return time_s
    return -1


@compiled
def _remind(world: World, traits: Traits, state: State, log: Log, i: int, day: int, basket_left: int) -> None:
    """The trigger campaign of a category follows a basket left behind, on the same day or not at all."""
    time_s = basket_left + 1_800 + int(7_200.0 * uniform(state.stream))
    if time_s < world.start_s + (day + 1) * DAY_S:
        trigger = world.trigger_campaign[pick(state.stream, traits.affinity[i] / len(world.trigger_campaign))]
        _choose(world, traits, state, log, i, day, time_s, trigger)


@compiled
def _choose(world: World, traits: Traits, state: State, log: Log, i: int, day: int, time_s: int, campaign: int) -> None:
    """Stays silent with the holdout's probability, else sends on a channel drawn by the sender's shares."""
    see_answers(state, time_s)
    regime = 1 if day >= traits.drift_day[i] else 0
    mood = traits.mood[i, mood_epoch(traits.mood.shape[1], world.days, day)]
    if not channel_shares(world, traits, state, i, time_s, traits.hidden[i, regime], mood):
        return
    sending = 1.0 - world.holdout_share
    if world.vectors and world.campaign_of_day[day] == campaign:
        note(log, i, time_s, VECTOR, Event(-1, campaign, -1), 0, world.holdout_share)
        for j in range(N_OUT):
            note(log, i, time_s, VECTOR, Event(j, campaign, -1), 0, sending * state.shares[j])
    if uniform(state.stream) < world.holdout_share:
        note(log, i, time_s, HELD_OUT, Event(-1, campaign, -1), 0, world.holdout_share)
        return
    channel = pick(state.stream, state.shares)
    send = Event(channel, campaign, state.counters[SEND])
    state.counters[SEND] += 1
    note(log, i, time_s, SENT, send, 0, sending * state.shares[channel])
    contact(world, traits, state, log, i, day, time_s, channel, campaign)
