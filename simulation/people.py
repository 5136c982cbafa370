"""Who the customers are: what the retailer sees of them, and the part of their tastes that goes with it.

Draws no behaviour. Drawn in seed blocks of fixed size, so that any customer is the same in a retailer of any size.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np

from simulation.config import RetailerConfig
from simulation.world import Floats, Longs

SEED_BLOCK: Final = 4_096
N_FACTORS: Final = 4
"""Latent tastes: digital and mobile; by hand and in shops; personal talk; reading and bargains."""

GENDERS: Final = ("female", "male", "other")
REGIONS: Final = ("coast", "north", "west", "capital", "middle", "south", "hills", "east")
ACQUISITION: Final = ("store", "web", "app", "social", "referral")

_AGE_LOADING = np.array([[-0.8], [0.8], [0.2], [0.3]])
_ACQUISITION_LOADING = np.array(
    [
        [-0.6, 1.0, 0.4, -0.2],
        [-0.1, -0.2, -0.4, 0.8],
        [1.0, -0.5, -0.2, -0.1],
        [0.8, -0.3, 0.3, -0.6],
        [0.0, 0.2, 0.8, 0.1],
    ]
)


@dataclass(frozen=True)
class Loadings:
    """How demographics go with tastes: per seed, around a fixed structure. Shapes (levels, N_FACTORS)."""

    region: Floats
    acquisition: Floats
    gender: Floats
    age: Floats
    scale: Floats


@dataclass(frozen=True)
class People:
    """Customers as the retailer sees them, arrays of shape (n,), and `expected`: (n, 4) tastes told by demographics.

    birth_year: 0 is unknown; gender: -1 unknown; signup_s: seconds; active_from_s: start of history, or the end for
    newcomers.
    """

    number: Longs
    birth_year: Longs
    gender: Longs
    region: Longs
    acquisition: Longs
    loyalty: Longs
    signup_s: Longs
    active_from_s: Longs
    newcomer: np.ndarray[tuple[int], np.dtype[np.bool_]]
    age: Floats
    expected: Floats


def draw_loadings(rng: np.random.Generator) -> Loadings:
    """Loadings of one retailer, scaled so that the expected tastes have unit variance."""
    raw = Loadings(
        region=rng.normal(0.0, 0.6, (len(REGIONS), N_FACTORS)),
        acquisition=_ACQUISITION_LOADING + rng.normal(0.0, 0.25, _ACQUISITION_LOADING.shape),
        gender=rng.normal(0.0, 0.25, (len(GENDERS), N_FACTORS)),
        age=_AGE_LOADING[:, 0] + rng.normal(0.0, 0.15, N_FACTORS),
        scale=np.ones((2, N_FACTORS)),
    )
    n = SEED_BLOCK
    sample = _expected(
        raw, rng.normal(size=n), *(rng.integers(0, k, n) for k in (len(GENDERS), len(REGIONS), len(ACQUISITION)))
    )
    scale = np.stack([sample.mean(axis=0), sample.std(axis=0)])
    return Loadings(raw.region, raw.acquisition, raw.gender, raw.age, scale)


def draw_people(config: RetailerConfig, loadings: Loadings, block: int, rng: np.random.Generator) -> People:
    """The customers of one seed block, all `SEED_BLOCK` of them."""
    n = SEED_BLOCK
    age = np.clip(rng.normal(46.0, 16.0, n), 18.0, 92.0)
    gender = rng.choice(3, n, p=[0.52, 0.46, 0.02])
    region = rng.choice(len(REGIONS), n, p=[0.08, 0.12, 0.2, 0.14, 0.16, 0.15, 0.05, 0.1])
    acquisition = rng.choice(len(ACQUISITION), n, p=[0.3, 0.3, 0.15, 0.12, 0.13])
    newcomer = rng.random(n) < config.newcomer_share
    before, within, lately = rng.gamma(2.0, 600.0, n), rng.random(n), rng.random(n)
    days = np.where(rng.random(n) < 0.72, -before, config.days * 0.97 * within)
    days = np.where(newcomer, config.days - 20.0 * lately, days)
    signup = config.start_s + (days * 86_400).astype(np.int64)
    year = config.end.year - age.astype(np.int64)
    return People(
        number=np.arange(block * n, (block + 1) * n, dtype=np.int64),
        birth_year=np.where(rng.random(n) < 0.07, 0, year),
        gender=np.where(rng.random(n) < 0.04, -1, gender),
        region=region,
        acquisition=acquisition,
        loyalty=rng.integers(0, 4, n),
        signup_s=signup,
        active_from_s=np.where(newcomer, config.end_s, np.maximum(signup, config.start_s)),
        newcomer=newcomer,
        age=age,
        expected=(_expected(loadings, (age - 46.0) / 16.0, gender, region, acquisition) - loadings.scale[0])
        / loadings.scale[1],
    )


def _expected(loadings: Loadings, age: Floats, gender: Longs, region: Longs, acquisition: Longs) -> Floats:
    """Tastes told by demographics; the bend in age keeps them from being linear."""
    bend = np.tanh(1.5 * age)[:, None] * loadings.age
    return np.asarray(
        bend + loadings.gender[gender] + loadings.region[region] + loadings.acquisition[acquisition], dtype=np.float64
    )
