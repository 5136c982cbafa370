"""What the customers are like behind what the retailer sees: tastes, habits, moods and consents; simulates no event."""

from dataclasses import dataclass
from typing import Any, Final, NamedTuple

import numpy as np
import numpy.typing as npt

from simulation.config import HORIZON_DAYS, RetailerConfig
from simulation.people import ACQUISITION, N_FACTORS, REGIONS, SEED_BLOCK, Loadings, People, draw_loadings, draw_people
from simulation.world import CATEGORIES, OUTBOUND, STEP, Floats, Longs

NEVER: Final = np.int64(2**62)
MOOD_DAYS: Final = 28
_MOOD_SD, _MOOD_KEEP = 0.45, 0.7
TOLD_BY_DEMOGRAPHICS: Final = 0.50
"""Share of the variance of the latent tastes that goes with demographics."""

N_OUT: Final = len(OUTBOUND)

_AGE_BANDS = (28, 38, 50, 63)
_N_CELLS = (len(_AGE_BANDS) + 1) * len(ACQUISITION) * 2
"""Cells of age × acquisition × digital habit in the mechanism `cells`; the regions' own draws follow them."""

# Channel by channel: email, sms, push, phone, mail, social.
_MEAN_EFFECT = np.array([0.016, 0.031, 0.029, 0.046, 0.038, 0.027])
_SPREAD = np.array([0.7, 0.9, 0.9, 0.8, 0.85, 0.9])
_TOP_EFFECT = 0.09
_MEAN_ANSWER = np.array([0.24, 0.13, 0.14, 0.20, 0.0, 0.11])
_VISIBLE = np.array([0.15, 0.75, 0.50, 0.70, 0.0, 0.65])
"""Correlation of an answer's taste with the effect's: near 0, visible engagement says little about what is caused."""

_EFFECT_LOADING = np.array(
    [
        [0.2, -0.2, 0.0, 0.9],
        [0.5, -0.1, 0.7, -0.2],
        [1.0, -0.3, -0.2, 0.0],
        [-0.4, 0.3, 0.9, -0.1],
        [-0.5, 0.9, 0.0, 0.3],
        [0.8, -0.4, 0.3, -0.4],
    ]
)
_STEP_LOADING = np.array(
    [
        [-0.4, 0.3, 1.0, -0.1],
        [0.8, -0.4, 0.4, -0.5],
        [-0.6, 1.0, 0.1, 0.0],
        [0.0, -0.3, -0.3, 0.9],
        [1.1, -0.5, -0.2, -0.1],
    ]
)
_STEP_LEVEL = np.log([0.07, 0.10, 0.30, 0.34, 0.19])
_GRANTED = np.array([0.88, 0.55, 0.50, 0.40, 0.75, 0.50])


class Traits(NamedTuple):
    """Customers as the kernel needs them; n customers, 2 regimes (before and after the drift), 6 outbound channels.

    effect: expected extra purchases of a fresh contact; annoyance: share of own purchases it costs; answer:
    probability; affinity: (n, 8) by category, mean 1; purchase_rate, session_rate: a day; mood: (n, epochs) factor;
    mix: (n, 2, 5) channels of own steps; hour: of the day, 0 to 24; basket_eur: mean; granted_from_s: (n, 6).
    """

    number: Longs
    active_from_s: Longs
    granted_from_s: Longs
    drift_day: Longs
    effect: Floats
    annoyance: Floats
    answer: Floats
    follow: Floats
    hidden: Floats
    affinity: Floats
    fatigue: Floats
    purchase_rate: Floats
    session_rate: Floats
    mood: Floats
    mix: Floats
    hour: Floats
    basket_eur: Floats
    machine: npt.NDArray[np.bool_]
    activity: Floats
    leaving: Floats


@dataclass(frozen=True)
class Mechanism:
    """What one retailer's customers share: loadings around the fixed structure, and the draws of the cells.

    fit: (6, 8) factor of the effect by channel × category; cells: (cells + regions, 6). Used by the mechanism `cells`.
    """

    loadings: Loadings
    effect: Floats
    step: Floats
    category: Floats
    fit: Floats
    cells: Floats


def draw_mechanism(config: RetailerConfig) -> Mechanism:
    """The retailer's mechanism from its seed."""
    rng = np.random.default_rng(np.random.SeedSequence(config.seed, spawn_key=(1,)))
    effect = _EFFECT_LOADING + rng.normal(0.0, 0.15, _EFFECT_LOADING.shape)
    cells = rng.standard_t(4.0, (_N_CELLS + len(REGIONS), N_OUT)) / np.sqrt(2.0)
    fit = np.exp(rng.normal(0.0, 0.45, (N_OUT, len(CATEGORIES)))) if config.mechanism == "cells" else None
    return Mechanism(
        loadings=draw_loadings(rng),
        effect=effect / np.linalg.norm(effect, axis=1, keepdims=True),
        step=_STEP_LOADING + rng.normal(0.0, 0.1, _STEP_LOADING.shape),
        category=rng.normal(0.0, 0.15, (N_FACTORS, len(CATEGORIES))),
        fit=np.ones((N_OUT, len(CATEGORIES))) if fit is None else fit / fit.mean(axis=1, keepdims=True),
        cells=cells - cells[:_N_CELLS].mean(axis=0),
    )


def draw_customers(config: RetailerConfig, mechanism: Mechanism, first: int, stop: int) -> tuple[People, Traits]:
    """Customers `first` to `stop`, whatever else is drawn: whole seed blocks are drawn and cut."""
    people: list[People] = []
    traits: list[tuple[npt.NDArray[Any], ...]] = []
    for block in range(first // SEED_BLOCK, -(-stop // SEED_BLOCK)):
        rng = np.random.default_rng(np.random.SeedSequence(config.seed, spawn_key=(2, block)))
        drawn = draw_people(config, mechanism.loadings, block, rng)
        held = slice(max(first - block * SEED_BLOCK, 0), min(stop - block * SEED_BLOCK, SEED_BLOCK))
        people.append(People(**{name: column[held] for name, column in vars(drawn).items()}))
        traits.append(tuple(column[held] for column in _draw_traits(config, mechanism, drawn, rng)))
    joined: list[npt.NDArray[Any]] = [np.concatenate(columns) for columns in zip(*traits, strict=True)]
    return (
        People(**{name: np.concatenate([vars(each)[name] for each in people]) for name in vars(people[0])}),
        Traits(*joined),
    )


def _draw_traits(config: RetailerConfig, mechanism: Mechanism, people: People, rng: np.random.Generator) -> Traits:
    n = len(people.number)
    factors = _factors(people.expected, rng)
    taste = _tastes(config, mechanism, people, factors, rng)
    rate = rng.lognormal(-0.5 * 0.65**2, 0.65, n)
    drifts = rng.random(n) < config.drifting_share
    drift_day = (config.days * rng.uniform(0.3, 0.95, n)).astype(np.int64)
    effect = np.minimum(_MEAN_EFFECT * np.exp(_SPREAD * taste - 0.5 * _SPREAD**2), _TOP_EFFECT)
    sour = np.clip(rng.lognormal(-0.3, 0.6, n), 0.0, 2.5)[:, None, None]
    annoyance = np.minimum(0.9, 0.12 * sour / (1.0 + np.exp(2.0 * (taste + 0.8))))
    return Traits(
        number=people.number,
        active_from_s=people.active_from_s,
        granted_from_s=_granted_from(config, people, rng),
        drift_day=np.where(drifts, drift_day, 10 * config.days),
        effect=effect,
        annoyance=annoyance,
        answer=_answers(taste, rng),
        follow=rng.beta(2.0, 3.0, n),
        hidden=taste,
        affinity=_affinity(mechanism, factors[:, 1], rng),
        fatigue=rng.lognormal(np.log(0.30), 0.5, n),
        purchase_rate=np.minimum(0.040 / 7.0 * rate, 0.05),
        session_rate=config.sessions_per_year / 365.0 * rate**0.7 * rng.lognormal(-0.5 * 0.6**2, 0.6, n),
        mood=_mood(config, n, rng),
        mix=_mix(mechanism, factors, rng),
        hour=rng.normal(17.0, 3.5, n) % 24.0,
        basket_eur=np.exp(np.log(62.0) + 0.48 * rng.normal(size=n) + 0.30 * people.expected[:, 1]),
        machine=rng.random(n) < config.machine_open_share,
        activity=np.minimum(rng.lognormal(-0.5 * 0.3**2, 0.3, n), 2.0),
        leaving=rng.lognormal(0.0, 0.7, n),
    )


def _factors(expected: Floats, rng: np.random.Generator) -> Floats:
    """Latent tastes (n, 2, 4): in part told by demographics, and loosely tied before and after a drift."""
    own = rng.normal(size=expected.shape)
    fresh = rng.normal(size=expected.shape)
    told, untold = np.sqrt(TOLD_BY_DEMOGRAPHICS), np.sqrt(1.0 - TOLD_BY_DEMOGRAPHICS)
    later = 0.4 * own + np.sqrt(1.0 - 0.4**2) * fresh
    return np.stack([told * expected + untold * own, told * expected + untold * later], axis=1)


def _tastes(
    config: RetailerConfig, mechanism: Mechanism, people: People, factors: Floats, rng: np.random.Generator
) -> Floats:
    """Standardised taste for being contacted, (n, 2, 6)."""
    noise = rng.normal(size=(len(factors), 1, N_OUT))
    if config.mechanism == "low_rank":
        return np.asarray(0.97 * factors @ mechanism.effect.T + 0.24 * noise)
    band = np.digitize(people.age, _AGE_BANDS)
    habit = (factors[:, :, 0] > 0.0).astype(np.int64)
    place = band * len(ACQUISITION) + people.acquisition
    by_region = mechanism.cells[_N_CELLS + people.region][:, None]
    return np.asarray(0.75 * mechanism.cells[place[:, None] * 2 + habit] + 0.4 * by_region + 0.5 * noise)


def _answers(taste: Floats, rng: np.random.Generator) -> Floats:
    """Probability of a visible answer, (n, 2, 6): by channel more or less of a kind with the effect."""
    n = len(taste)
    talkative = rng.normal(size=(n, 1, 1))
    apart = 0.6 * talkative + 0.8 * rng.normal(size=taste.shape)
    score = _VISIBLE * taste + np.sqrt(1.0 - _VISIBLE**2) * apart
    level = np.log(np.maximum(_MEAN_ANSWER, 1e-12)) - np.log1p(-_MEAN_ANSWER) - 0.2
    return np.asarray(np.where(_MEAN_ANSWER > 0.0, 1.0 / (1.0 + np.exp(-level - score)), 0.0))


def _affinity(mechanism: Mechanism, factors: Floats, rng: np.random.Generator) -> Floats:
    score = factors @ mechanism.category + 0.25 * rng.normal(size=(len(factors), len(CATEGORIES)))
    raw = np.exp(score)
    return np.asarray(raw / raw.mean(axis=1, keepdims=True))


def _mix(mechanism: Mechanism, factors: Floats, rng: np.random.Generator) -> Floats:
    score = _STEP_LEVEL + 1.2 * factors @ mechanism.step.T + 0.3 * rng.normal(size=(len(factors), 1, len(STEP)))
    raw = np.exp(score)
    return np.asarray(raw / raw.sum(axis=2, keepdims=True))


def epochs(days: int) -> int:
    """Number of stretches of equal mood in `days` of history and the horizon after them."""
    return -(-(days + HORIZON_DAYS) // MOOD_DAYS)


def _mood(config: RetailerConfig, n: int, rng: np.random.Generator) -> Floats:
    """Slow ups and downs of intent, mean 1: a Gaussian chain per `MOOD_DAYS`, the last stretch holding the horizon."""
    chain = np.empty((n, epochs(config.days)))
    chain[:, 0] = rng.normal(0.0, _MOOD_SD, n)
    for i in range(1, chain.shape[1]):
        chain[:, i] = _next_mood(chain[:, i - 1], rng)
    return np.asarray(np.exp(chain - 0.5 * _MOOD_SD**2))


def _next_mood(chain: Floats, rng: np.random.Generator) -> Floats:
    return np.asarray(_MOOD_KEEP * chain + np.sqrt(1.0 - _MOOD_KEEP**2) * rng.normal(0.0, _MOOD_SD, len(chain)))


def later_moods(mood: Floats, stretches: int, rng: np.random.Generator) -> Floats:
    """(n, epochs + stretches) the moods, and as many more as the same chain goes on to."""
    chain = [np.log(mood[:, -1]) + 0.5 * _MOOD_SD**2]
    for _ in range(stretches):
        chain.append(_next_mood(chain[-1], rng))
    return np.hstack([mood, np.exp(np.stack(chain[1:], axis=1) - 0.5 * _MOOD_SD**2)])


def _granted_from(config: RetailerConfig, people: People, rng: np.random.Generator) -> Longs:
    """When each consent was first given: at sign-up, later, or never; (n, 6)."""
    n = len(people.number)
    at_signup = np.broadcast_to(people.signup_s[:, None], (n, N_OUT))
    later = at_signup + (rng.uniform(20.0, 700.0, (n, N_OUT)) * 86_400).astype(np.int64)
    u = rng.random((n, N_OUT))
    granted = np.where(u < _GRANTED, at_signup, np.where(u < _GRANTED + 0.06, later, NEVER))
    return np.where(granted < config.end_s, granted, NEVER)
