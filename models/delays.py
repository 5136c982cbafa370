"""How soon responses come, by themselves and by a contact: one that comes soon after a contact is likelier owed to it.

The horizon is cut into bins. What comes by itself comes at the rate b, of which the share w_k falls into bin k; what a
contact adds comes at the rate e, of which f_k does. A customer who has not responded before bin k responds in it with
probability 1 − exp(−b w_k − e f_k) (discrete-time survival with complementary log-log link: Prentice and Gloeckler
1978, Biometrics 34), so that over the whole horizon the probability is 1 − exp(−b − e), whatever the shares are. With
one bin nothing is told by the delay.

The shares w are those of customers left alone, f those of contacts beside them (EM: Dempster, Laird and Rubin 1977);
both are drawn to what is usual, as few responses say little. Assumed: what comes by itself is spread over the horizon
alike whether or not somebody is contacted.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from models.artefact import Floats, Ints

_BINS: Final = 12
_LEAST_RESPONSES: Final = 10_000
"""Fewer responses to contacts, or ones whose delay is not known, are not told apart by it: see decision 0033."""
_EVEN_RESPONSES, _USUAL_RESPONSES = 100.0, 200.0
"""As if so many responses had come evenly over the horizon; as if so many of a channel had come as on any other."""
_ROUNDS: Final = 30


@dataclass(frozen=True, eq=False)
class Delays:
    """Bins of the horizon, and which share of the responses comes in each.

    edges: (K − 1,) ascending, between the bins, in shares of the horizon. alone: (K,), of those that come by
    themselves. brought: (C, K), of those that a contact on each channel adds. Shares sum to 1.
    """

    edges: Floats
    alone: Floats
    brought: Floats

    def bins(self, delay: npt.NDArray[np.float32]) -> Ints:
        """(n,) the bin of each delay; that of an unknown one is the last, and means nothing."""
        return np.searchsorted(self.edges, delay, side="right")

    def without(self, base: Floats, excess: Floats, action: Ints, delay: npt.NDArray[np.float32]) -> Floats:
        """(n,) responses expected to have come by themselves, of those who first responded after `delay`.

        Within the bin the two share by their rates; after it they are as free as before.

        Args:
            base: (n,), rates by themselves.
            excess: (n,), what the action taken adds.
            action: (n,), 0 for no contact.
            delay: (n,), shares of the horizon.
        """
        at = self.bins(delay)
        alone = base * self.alone[at]
        rate = alone + excess * self.brought[np.maximum(action, 1) - 1, at]
        later = 1.0 - np.cumsum(self.alone)
        return np.asarray(alone / np.maximum(-np.expm1(-rate), 1e-300) + base * later[at])


def untimed(channels: int) -> Delays:
    """One bin: a delay says nothing."""
    return Delays(np.zeros(0), np.ones(1), np.ones((channels, 1)))


def fit_delays(action: Ints, delay: npt.NDArray[np.float32], base: Floats, excess: Floats, channels: int) -> Delays:
    """The delays of decisions whose rates are known roughly.

    Args:
        action: (n,), 0 for no contact.
        delay: (n,), after which share of the horizon the first response came; NaN where none did.
        base: (n,), rates by themselves.
        excess: (n,), what the action taken adds.
        channels: how many outbound channels there are.
    """
    came = np.isfinite(delay)
    helped = delay[came & (action > 0)]
    if len(helped) < _LEAST_RESPONSES or not (came & (action == 0)).any():
        return untimed(channels)
    edges = np.unique(np.quantile(helped, np.arange(1, _BINS) / _BINS)).astype(np.float64)
    edges = edges[(edges > 0.0) & (edges < 1.0)]
    even = np.diff(np.concatenate([[0.0], edges, [1.0]]))
    start = Delays(edges, even, np.tile(even, (channels, 1)))
    at = np.where(came, start.bins(delay), -1)
    alone = _alone(at[action == 0], even)
    cases = [_Cases.of(at, base, excess, action == 1 + c, len(even)) for c in range(channels)]
    usual = _brought(cases, alone, even, _EVEN_RESPONSES)
    return Delays(edges, alone, np.array([_brought([each], alone, usual, _USUAL_RESPONSES) for each in cases]))


def _alone(at: Ints, even: Floats) -> Floats:
    """(K,) shares of the hazard of those left alone; at: (n,), the bin of the first response, −1 for none."""
    came = np.bincount(at[at >= 0], minlength=len(even)).astype(np.float64)
    waiting = len(at) - (np.cumsum(came) - came)
    hazard = (came + _EVEN_RESPONSES * even) / waiting
    return np.asarray(hazard / hazard.sum())


@dataclass(frozen=True, eq=False)
class _Cases:
    """Contacts on a channel: at, base, excess of those who responded; exposed (K,), the excess of all still waiting."""

    at: Ints
    base: Floats
    excess: Floats
    exposed: Floats

    @classmethod
    def of(cls, at: Ints, base: Floats, excess: Floats, own: npt.NDArray[np.bool_], bins: int) -> "_Cases":
        came = np.flatnonzero(own & (at >= 0))
        gone = np.bincount(at[came], weights=excess[came], minlength=bins)
        exposed = float(excess[own].sum()) - (np.cumsum(gone) - gone)
        return cls(at[came], base[came], excess[came], np.asarray(exposed, dtype=np.float64))


def _brought(cases: list[_Cases], alone: Floats, usual: Floats, strength: float) -> Floats:
    """(K,) shares of the hazard that contacts add, drawn to the usual ones as if by so many responses."""
    exposed = np.maximum(sum((each.exposed for each in cases), np.zeros(len(usual))), 1e-9)
    shares = usual
    for _ in range(_ROUNDS):
        owed = strength * usual
        for each in cases:
            added = each.excess * shares[each.at]
            owed = owed + np.bincount(
                each.at, weights=added / (added + each.base * alone[each.at]), minlength=len(usual)
            )
        hazard = owed / (exposed / exposed[0])
        shares = hazard / hazard.sum()
    return shares
