"""The truth at the scoring date, from each customer's state by the formulas that made the history; draws nothing."""

from math import exp
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from simulation.compiled import compiled
from simulation.config import HORIZON_DAYS
from simulation.contact import RETURN_SHARE, REVIEW_SHARE, SOCIAL, WEB, contact_extra, leaving_hazard
from simulation.effects import answer_probability, expected_own, remaining
from simulation.sender import N_OUT, PHONE
from simulation.state import RECENT, State, calm_on, consent_open, mood_epoch, pressure_at, turn_day
from simulation.tastes import Traits
from simulation.world import STEP, Floats, World


class Outlook(NamedTuple):
    """True expectations at the scoring date; column 0 is no contact, i the i-th outbound channel.

    purchases: (n, 7) expected within the horizon; probability: (n, 7) of at least one; answer: (n, 6) probability of an
    answer or tied purchase; share: (n, 5) of own steps by channel; reachable: (n, 6) whether consent allows a contact;
    opt_out: (n, 6) probability that a contact makes the customer opt out, on a channel that needs consent.
    """

    purchases: Floats
    probability: Floats
    answer: Floats
    share: Floats
    reachable: npt.NDArray[np.bool_]
    opt_out: Floats


def new_outlook(customers: int) -> Outlook:
    """Room for the truth about `customers`."""
    return Outlook(
        purchases=np.empty((customers, 1 + N_OUT)),
        probability=np.empty((customers, 1 + N_OUT)),
        answer=np.empty((customers, N_OUT)),
        share=np.empty((customers, len(STEP))),
        reachable=np.empty((customers, N_OUT), np.bool_),
        opt_out=np.empty((customers, N_OUT)),
    )


@compiled
def look_ahead(world: World, traits: Traits, state: State, i: int, outlook: Outlook) -> None:
    """Fills row `i`; the state is the one at the end of the history, and one day is turned in it."""
    turn_day(state.calm, state.next_calm, world.days)
    regime = 1 if world.days >= traits.drift_day[i] else 0
    pressure = pressure_at(state, world.end_s)
    own = 0.0
    for ahead in range(HORIZON_DAYS):
        day = world.days + ahead
        mood = traits.mood[i, mood_epoch(traits.mood.shape[1], world.days, day)]
        bought = expected_own(traits.purchase_rate[i], mood, world.season[day])
        own += bought * calm_on(state.calm, world.days, ahead)
    late = 0.0
    for k in range(RECENT):
        late += state.recent_extra[k] * remaining(world.end_s - state.recent_s[k])
    outlook.purchases[i, 0] = own + late
    category = world.campaign_category[world.scored_campaign]
    for j in range(N_OUT):
        extra = contact_extra(world, traits, i, regime, j, world.scored_campaign, pressure)
        outlook.purchases[i, j + 1] = own * (1.0 - traits.annoyance[i, regime, j]) + late + extra
        answer = answer_probability(
            traits.answer[i, regime, j], traits.fatigue[i], pressure, traits.affinity[i, category]
        )
        outlook.answer[i, j] = 1.0 - (1.0 - answer) * exp(-extra * world.tied[j])
        granted, closed, reopened = traits.granted_from_s[i, j], state.closed_from_s[j], state.reopened_s[j]
        outlook.opt_out[i, j] = leaving_hazard(traits.leaving[i], pressure) if world.needs_consent[j] else 0.0
        consented = consent_open(granted, closed, reopened, world.end_s)
        outlook.reachable[i, j] = consented or not world.needs_consent[j]
    for a in range(1 + N_OUT):
        outlook.probability[i, a] = 1.0 - exp(-outlook.purchases[i, a])
    _own_shares(world, traits, i, regime, outlook)


@compiled
def _own_shares(world: World, traits: Traits, i: int, regime: int, outlook: Outlook) -> None:
    """Shares of the channels in the customer's own steps in the long run: visits, purchases, returns, reviews."""
    visits = traits.session_rate[i]
    bought = traits.purchase_rate[i]
    share = outlook.share[i]
    web = 0
    moved = 0.0
    for s in range(len(share)):
        mix = traits.mix[i, regime, s]
        channel = world.step_channel[s]
        share[s] = visits * mix
        if channel == SOCIAL:
            moved += bought * mix * (1.0 + RETURN_SHARE + REVIEW_SHARE)
        elif channel == PHONE:
            share[s] += bought * mix
            moved += bought * mix * RETURN_SHARE
        else:
            share[s] += bought * mix * (1.0 + RETURN_SHARE)
        if channel == WEB:
            web = s
            moved += bought * mix * REVIEW_SHARE
    share[web] += moved
    total = share.sum()
    for s in range(len(share)):
        share[s] /= total
