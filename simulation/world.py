"""The words and constants of the simulated retailer, and its calendar; knows no customer.

The numbers are chosen, not estimated: e-mail is clicked much and changes little, post shows no answer and changes much,
push sells without a purchase ever being tied to it.
"""

from dataclasses import dataclass
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt

from contract.errors import UsageError
from contract.kinds import SHIPPED_KINDS
from contract.params import Params
from simulation.config import HORIZON_DAYS, RetailerConfig

Floats = npt.NDArray[np.float64]
Longs = npt.NDArray[np.int64]

OUTBOUND: Final = ("email", "sms", "push", "phone", "mail", "social")
STEP: Final = ("phone", "social", "store", "web", "app")
CHANNELS: Final = (*OUTBOUND, "store", "web", "app")
STEP_CHANNEL: Final = tuple(CHANNELS.index(name) for name in STEP)
CATEGORIES: Final = ("basics", "fashion", "home", "garden", "beauty", "sports", "toys", "electronics")
KINDS: Final = tuple(SHIPPED_KINDS)
WITHDRAWN: Final = len(KINDS)
GRANTED: Final = len(KINDS) + 1
VECTOR: Final = len(KINDS) + 2
"""Codes past the kinds: rows of the kernel's log that belong to the consents and to the propensities."""

BULK, TRIGGER, TRANSACTIONAL = 0, 1, 2
CAMPAIGN_TYPES: Final = ("bulk", "trigger", "transactional")
NO_CATEGORY: Final = -1

STRENGTH_SPREAD: Final = 0.15
STRENGTH_MEAN: Final = -0.5 * STRENGTH_SPREAD**2
"""Of the logs of the strengths of bulk campaigns, normal; their mean strength is 1, and so is that of all others."""

SENDER_WEIGHT: Final = (0.30, 0.17, 0.17, 0.07, 0.14, 0.15)
TIED_SHARE: Final = (0.70, 0.50, 0.0, 0.85, 0.10, 0.40)
"""Probability that a purchase that a contact brought carries its send_id: never for push, seldom for post."""

WEEKDAY: Final = (0.9, 0.9, 0.95, 1.0, 1.1, 1.3, 0.85)


class World(NamedTuple):
    """What the kernel knows of the retailer; arrays only, so that Numba takes it.

    start_s, end_s: int64; season: (days + 2 horizons,) factor of a day's own steps; campaign_of_day: (days,) index of
    the bulk campaign or -1; campaign_hour, campaign_category, campaign_strength: (n_campaigns,); trigger_campaign:
    (n_categories,); needs_consent, weight, tied: (6,); fit: (6, 8) factor of the effect by channel × category.
    """

    start_s: int
    end_s: int
    days: int
    season: Floats
    campaign_of_day: Longs
    campaign_hour: Longs
    campaign_category: Longs
    campaign_strength: Floats
    trigger_campaign: Longs
    confirmation_campaign: int
    scored_campaign: int
    take_part: float
    holdout_share: float
    sender_strength: float
    confounding: float
    vectors: bool
    claimed: float
    needs_consent: npt.NDArray[np.bool_]
    weight: Floats
    tied: Floats
    step_channel: Longs
    fit: Floats


@dataclass(frozen=True)
class Campaigns:
    """The campaigns table as columns, one entry a campaign; `campaign_type` indexes `CAMPAIGN_TYPES`."""

    ids: list[str]
    names: list[str]
    starts_s: Longs
    campaign_type: Longs
    category: Longs
    strength: Floats


def check_channels(params: Params) -> None:
    """The retailer's channels must be declared, in its order.

    Raises:
        UsageError: if a channel is missing or the outbound ones are declared in another order.
    """
    missing = [name for name in CHANNELS if name not in params.channels]
    if missing:
        raise UsageError(f"channels: the simulated retailer needs {', '.join(missing)}; use the shipped params.yaml")


def season(config: RetailerConfig) -> Floats:
    """Factor of each day's own steps, mean about 1: a yearly wave with a peak in December, and the weekdays."""
    days = np.arange(config.days + 2 * HORIZON_DAYS) + config.start_s // 86_400
    wave = 1.0 + 0.15 * np.cos(2.0 * np.pi * (days - 340.0) / 365.25)
    return np.asarray(wave * np.asarray(WEEKDAY)[(days + 3) % 7])


def draw_campaigns(config: RetailerConfig, rng: np.random.Generator) -> tuple[Campaigns, Longs]:
    """The campaigns, and per day of the history the bulk campaign that runs, or -1. The last is the one to score."""
    bulk_days = np.array([day for day in range(config.days) if (day % 7) in (1, 4)])
    n_bulk = len(bulk_days)
    n_trigger = len(CATEGORIES)
    of_day = np.full(config.days, -1, dtype=np.int64)
    of_day[bulk_days] = np.arange(n_bulk)
    hours = rng.choice([8, 9, 10, 11, 17, 18], n_bulk)
    category = rng.integers(0, len(CATEGORIES), n_bulk)
    starts = config.start_s + bulk_days * 86_400 + hours * 3_600
    campaigns = Campaigns(
        ids=[f"k{i:04d}" for i in range(n_bulk)]
        + [f"abandoned-{name}" for name in CATEGORIES]
        + ["order-confirmation", "next"],
        names=[f"{CATEGORIES[c]} {i + 1}" for i, c in enumerate(category)]
        + [f"Left in the basket: {name}" for name in CATEGORIES]
        + ["Order confirmation", "The campaign to score"],
        starts_s=np.concatenate([starts, np.full(n_trigger + 1, config.start_s), [config.end_s]]).astype(np.int64),
        campaign_type=np.array([BULK] * n_bulk + [TRIGGER] * n_trigger + [TRANSACTIONAL, BULK], dtype=np.int64),
        category=np.concatenate([category, np.arange(n_trigger), [NO_CATEGORY, int(rng.integers(0, n_trigger))]]),
        strength=np.concatenate([rng.lognormal(STRENGTH_MEAN, STRENGTH_SPREAD, n_bulk), np.ones(n_trigger + 2)]),
    )
    return campaigns, of_day


def build_world(config: RetailerConfig, params: Params, fit: Floats) -> tuple[World, Campaigns]:
    """The retailer without its customers."""
    check_channels(params)
    rng = np.random.default_rng(np.random.SeedSequence(config.seed, spawn_key=(0,)))
    campaigns, of_day = draw_campaigns(config, rng)
    n_campaigns = len(campaigns.ids)
    per_year = 365.0 * len(np.flatnonzero(of_day >= 0)) / config.days
    world = World(
        start_s=config.start_s,
        end_s=config.end_s,
        days=config.days,
        season=season(config),
        campaign_of_day=of_day,
        campaign_hour=(campaigns.starts_s // 3_600) % 24,
        campaign_category=campaigns.category,
        campaign_strength=campaigns.strength,
        trigger_campaign=np.arange(n_campaigns - 2 - len(CATEGORIES), n_campaigns - 2, dtype=np.int64),
        confirmation_campaign=n_campaigns - 2,
        scored_campaign=n_campaigns - 1,
        take_part=min(1.0, config.decisions_per_year / per_year),
        holdout_share=config.holdout_share,
        sender_strength=config.sender_strength,
        confounding=1.0 if config.confounded_sender else 0.0,
        vectors=config.propensity_table,
        claimed=config.claimed_share,
        needs_consent=np.array([params.channels[name].consent for name in OUTBOUND]),
        weight=np.array(SENDER_WEIGHT),
        tied=np.array(TIED_SHARE),
        step_channel=np.array(STEP_CHANNEL, dtype=np.int64),
        fit=fit,
    )
    return world, campaigns
