"""What the simulated retailer is like, as numbers that a test or a demo may turn; draws nothing.

The world is the same for the same configuration: every random draw is keyed by `seed` and by the customer.
"""

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Literal

from contract.errors import UsageError

HORIZON_DAYS = 7
"""Days after a decision in which a purchase counts as its response: the horizon of the shipped objective `sell`."""

_SHARES = ("newcomer_share", "drifting_share", "machine_open_share", "holdout_share", "claimed_share")
_NON_NEGATIVE = ("decisions_per_year", "sessions_per_year", "sender_strength")


@dataclass(frozen=True)
class RetailerConfig:
    """A retailer.

    customers: how many, with ids from `c00000000`; fewer with the same seed are the first of the same customers.
    years: of history before `end`, the scoring date (UTC; midnight).
    mechanism: `low_rank` gives customers a few latent tastes behind every channel; `cells` gives them a response per
    cell of demographics × habit, heavy tails and a fit of channel × category, without low rank.
    newcomer_share: customers who have signed up and done nothing yet. drifting_share: those whose tastes change once.
    machine_open_share: those whose mail program opens every e-mail at once.
    decisions_per_year: bulk decisions a customer and year. sessions_per_year: the mean customer's own visits and calls.
    sender_strength: how much the sender favours the channel with visible engagement, 0 not at all.
    holdout_share: probability with which a decision is to stay silent; drawn apart from everything else.
    log_propensities: whether the sender writes down with which probability it acted.
    confounded_sender: whether it also acts on what only its staff know: the customer's true taste and present mood.
    propensity_table: whether the whole vector of each decision of a bulk campaign is written too.
    claimed_share: of what customers buy by themselves within a week of an answer to a message, how much bears that
    message's name, as where a link takes the credit.
    audience: who may be scored: all, or those with at least one channel open at `end`.
    """

    customers: int
    seed: int = 0
    years: int = 2
    end: datetime = datetime(2026, 11, 1, tzinfo=UTC)
    mechanism: Literal["low_rank", "cells"] = "low_rank"
    newcomer_share: float = 0.08
    drifting_share: float = 0.25
    machine_open_share: float = 0.35
    decisions_per_year: float = 19.0
    sessions_per_year: float = 20.0
    sender_strength: float = 4.0
    holdout_share: float = 0.10
    log_propensities: bool = True
    confounded_sender: bool = False
    propensity_table: bool = False
    claimed_share: float = 0.0
    audience: Literal["all", "reachable"] = "all"
    margin_rate: float = 0.30

    def __post_init__(self) -> None:
        """Refuses what cannot be simulated.

        Raises:
            UsageError: with every value out of range.
        """
        faults = [
            f"{name}: found {getattr(self, name)!r}; expected a share in [0, 1]" for name in self._out(_SHARES, 1.0)
        ]
        faults += [
            f"{name}: found {getattr(self, name)!r}; expected at least 0" for name in self._out(_NON_NEGATIVE, 1e6)
        ]
        if not 1 <= self.customers <= 100_000_000:
            faults.append(f"customers: found {self.customers}; expected 1 to 100,000,000")
        if not 1 <= self.years <= 10:
            faults.append(f"years: found {self.years}; expected 1 to 10")
        if not 0 <= self.seed < 2**31:
            faults.append(f"seed: found {self.seed}; expected 0 to 2147483647")
        if self.end.tzinfo is not UTC or (self.end.hour, self.end.minute, self.end.second) != (0, 0, 0):
            faults.append(f"end: found {self.end.isoformat()}; expected a midnight in UTC")
        if self.holdout_share >= 1.0:
            faults.append("holdout_share: found 1; a retailer that never sends has nothing to learn from")
        if faults:
            raise UsageError("simulated retailer: " + "; ".join(faults))

    def _out(self, names: tuple[str, ...], top: float) -> list[str]:
        return [name for name in names if not 0.0 <= getattr(self, name) <= top]

    @property
    def days(self) -> int:
        """Days of history."""
        return 365 * self.years

    @property
    def end_s(self) -> int:
        """The scoring date in seconds since 1970-01-01 UTC."""
        return int(self.end.timestamp())

    @property
    def start_s(self) -> int:
        """The first moment of the history in seconds since 1970-01-01 UTC."""
        return self.end_s - self.days * 86_400


def large_retailer(customers: int = 1_000_000, seed: int = 0) -> RetailerConfig:
    """A retailer with about 50 interactions a customer instead of 110, for measuring at size."""
    return RetailerConfig(customers, seed=seed, decisions_per_year=8.5, sessions_per_year=7.0)
