"""How the retailer chose its channels: biased, random enough to learn from; knows no truth unless confounded."""

from math import exp

from simulation.compiled import compiled
from simulation.state import State, consent_open
from simulation.tastes import Traits
from simulation.world import Floats, World

CONFOUNDING_TASTE = 0.6
CONFOUNDING_MOOD = 1.0
N_OUT = 6
PHONE, MAIL = 3, 4


@compiled
def channel_shares(
    world: World, traits: Traits, state: State, i: int, time_s: int, hidden: Floats, mood: float
) -> bool:
    """Fills `state.shares` with the probability of each channel, given that a message is sent; False: none is open.

    A channel's weight grows with its share of the customer's visible answers. The confounded sender also favours the
    customer's true taste, and dear channels in times of a buying mood: things that no table holds.
    """
    answers = state.engaged.sum()
    total = 0.0
    for j in range(N_OUT):
        weight = 0.0
        granted, closed, reopened = traits.granted_from_s[i, j], state.closed_from_s[j], state.reopened_s[j]
        if not world.needs_consent[j] or consent_open(granted, closed, reopened, time_s):
            seen = state.engaged[j] / (answers + 1.0)
            weight = world.weight[j] * (1.0 + world.sender_strength * seen)
            weight *= exp(world.confounding * CONFOUNDING_TASTE * hidden[j])
            if j in (PHONE, MAIL):
                weight *= mood ** (world.confounding * CONFOUNDING_MOOD)
        state.shares[j] = weight
        total += weight
    if total <= 0.0:
        return False
    for j in range(N_OUT):
        state.shares[j] /= total
    return True
