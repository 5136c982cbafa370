"""What a contact does: the one set of formulas that both makes the history and states the truth; draws nothing.

Purchases within the horizon after a contact are Poisson: the customer's own ones, thinned by annoyance, and extra ones
that the contact brings. So the probability of a response is 1 - exp(-expected purchases), exactly.
"""

from math import exp, log, sqrt

from simulation.compiled import compiled

PRESSURE_DAYS = 10.0
"""Days in which the pressure of a contact falls to 1/e."""

DELAY_DAYS = 2.0
"""Mean delay of an extra purchase, before it is cut off at the horizon."""

HORIZON = 7.0

_CUT = 1.0 - exp(-HORIZON / DELAY_DAYS)


@compiled
def faded(pressure: float, elapsed_s: float) -> float:
    """Pressure of earlier contacts after `elapsed_s` more seconds."""
    return pressure * exp(-elapsed_s / (86_400.0 * PRESSURE_DAYS))


@compiled
def expected_own(rate: float, mood: float, season: float) -> float:
    """Expected own steps or purchases of a day at `rate` a day."""
    return rate * mood * season


@compiled
def expected_extra(effect: float, fatigue: float, pressure: float, affinity: float) -> float:
    """Expected extra purchases within the horizon of a contact under `pressure` in a category with `affinity`."""
    return effect * affinity * exp(-fatigue * pressure)


@compiled
def answer_probability(answer: float, fatigue: float, pressure: float, affinity: float) -> float:
    """Probability of a visible answer by the customer's own hand."""
    return min(0.95, answer * sqrt(affinity) * exp(-fatigue * pressure))


@compiled
def delay_s(u: float) -> float:
    """Delay of an extra purchase in seconds, from a uniform `u` (exponential, cut off at the horizon)."""
    return -86_400.0 * DELAY_DAYS * log(1.0 - u * _CUT)


@compiled
def remaining(elapsed_s: float) -> float:
    """Share of a contact's extra purchases that come later than `elapsed_s` after it."""
    if elapsed_s >= 86_400.0 * HORIZON:
        return 0.0
    return (exp(-elapsed_s / (86_400.0 * DELAY_DAYS)) - (1.0 - _CUT)) / _CUT


@compiled
def remaining_delay_s(u: float, elapsed_s: float) -> float:
    """Delay counted from the contact of an extra purchase known to come later than `elapsed_s`, from a uniform `u`."""
    past = 1.0 - exp(-elapsed_s / (86_400.0 * DELAY_DAYS))
    return -86_400.0 * DELAY_DAYS * log(1.0 - past - u * (_CUT - past))
