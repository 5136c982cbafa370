"""Who is held out, who explores, and how likely that was: by a hash of campaign and customer; plans nothing.

Roles come from one number per customer and campaign, uniform in [0, 1) by a hash of campaign, customer and seed: below
holdout_share the customer is held out of the campaign, below holdout_share + explore_share it explores there, else the
plan decides. Another number, by customer and seed alone, puts control_share into the control group, which no campaign
contacts. Roles are thus reproducible, stay when the audience grows and are independent between campaigns; the control
group is the same in all of them.

A customer who explores in several campaigns explores in the first of them only, and who explores in one is planned in
none: what is drawn at random is then not mixed up with another contact.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from contract.params import Planning
from serving.hashing import Hashes, salted, uniforms
from serving.sets import Counts, Floats

PLAN, EXPLORE, HOLDOUT, INELIGIBLE = range(4)
ROLES = ("plan", "explore", "holdout", "ineligible")
NO_STATE = -1


@dataclass(frozen=True)
class Randomness:
    """What the draws hang on: the shares, the most of any limit that exploration may use, the campaigns, the seed."""

    holdout_share: float
    explore_share: float
    explore_limit_share: float
    campaigns: tuple[str, ...]
    seed: int
    control_share: float = 0.0

    @classmethod
    def of(cls, planning: Planning, campaigns: tuple[str, ...], seed: int) -> "Randomness":
        """As the parameters say."""
        shares = (planning.holdout_share, planning.explore_share, planning.explore_limit_share)
        return cls(*shares, campaigns, seed, planning.control_share)

    @property
    def own_share(self) -> float:
        """The share of a campaign's customers outside the control group whom neither holdout nor exploration takes."""
        return 1.0 - self.holdout_share - self.explore_share

    @property
    def plan_share(self) -> float:
        """The share of customers whom the plan decides for in a given campaign, if all are in all campaigns."""
        alone = (1.0 - self.explore_share) ** (len(self.campaigns) - 1)
        return (1.0 - self.control_share) * self.own_share * alone

    @property
    def nothing_random(self) -> bool:
        """Whether every action is certain."""
        return self.holdout_share == self.explore_share == self.control_share == 0.0

    @property
    def states(self) -> npt.NDArray[np.bool_]:
        """(Q, campaigns) what may be open to the plan: first all, never none."""
        size = len(self.campaigns)
        masks = np.arange(2**size - 1, 0, -1) if not self.nothing_random else np.array([2**size - 1])
        return ((masks[:, None] >> np.arange(size)) & 1).astype(np.bool_)


@dataclass(frozen=True)
class Drawn:
    """The roles (n, campaigns) int8, and who is in the control group (n,)."""

    role: npt.NDArray[np.int8]
    control: npt.NDArray[np.bool_]

    @property
    def explores_in(self) -> npt.NDArray[np.int64]:
        """(n,) the campaign that a customer explores in, -1 none."""
        explores = (self.role == EXPLORE) & ~self.control[:, None]
        return np.where(explores.any(axis=1), explores.argmax(axis=1), -1)

    def actual(self, randomness: Randomness) -> npt.NDArray[np.int8]:
        """(n,) index into `Randomness.states` of what is open to the plan, `NO_STATE` where nothing is."""
        open_to_plan = (self.role == PLAN) | (self.role == INELIGIBLE)
        if randomness.nothing_random:
            return np.zeros(len(self.role), dtype=np.int8)
        mask = open_to_plan @ (1 << np.arange(self.role.shape[1]))
        state = 2 ** self.role.shape[1] - 1 - mask
        out = self.control | (self.explores_in >= 0) | ~(self.role == PLAN).any(axis=1)
        return np.where(out, NO_STATE, state).astype(np.int8)


def draw_roles(tie: Hashes, eligible: npt.NDArray[np.bool_], randomness: Randomness) -> Drawn:
    """The roles of n customers; `eligible` (n, campaigns): on any channel of the campaign."""
    role = np.full(eligible.shape, PLAN, dtype=np.int8)
    for place, campaign in enumerate(randomness.campaigns):
        number = uniforms(salted(tie, "role", campaign, randomness.seed))
        role[number < randomness.holdout_share + randomness.explore_share, place] = EXPLORE
        role[number < randomness.holdout_share, place] = HOLDOUT
    role[~eligible] = INELIGIBLE
    control = uniforms(salted(tie, "control group", randomness.seed)) < randomness.control_share
    return Drawn(role, control)


def explore_chance(eligible: npt.NDArray[np.bool_], randomness: Randomness) -> Floats:
    """(n, campaigns) probability that a customer explores in a campaign: drawn there, and in none before it."""
    before: Counts = np.cumsum(eligible, axis=1) - eligible
    alone = randomness.explore_share * (1.0 - randomness.explore_share) ** before
    chance: Floats = np.where(eligible, (1.0 - randomness.control_share) * alone, 0.0)
    return chance


def state_chance(eligible: npt.NDArray[np.bool_], randomness: Randomness) -> Floats:
    """(n, Q) probability of each state of `Randomness.states`: the roles of the eligible campaigns multiply."""
    states = randomness.states
    result = np.zeros((len(eligible), len(states)))
    if randomness.nothing_random:
        result[:, 0] = 1.0
        return result
    anywhere = eligible.any(axis=1)
    for place, state in enumerate(states):
        share = np.full(len(eligible), 1.0 - randomness.control_share)
        for campaign, is_open in enumerate(state):
            there = eligible[:, campaign]
            share[there] *= randomness.own_share if is_open else randomness.holdout_share
            share[~there & ~is_open] = 0.0
        chosen = (eligible & state).any(axis=1)
        result[:, place] = np.where(chosen & anywhere, share, 0.0)
    return result
