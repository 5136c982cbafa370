"""What a response says of where it came from: how soon it came, and whether it bears the name of the send.

The horizon is cut into bins. What comes by itself comes at the rate b, of which the share w_k falls into bin k; what a
contact adds comes at the rate e, of which f_k does. Of the former the share u bears the name of a send that went to the
customer, since whoever buys anyway may do so by a link in a message; of the latter the share t does, since many who buy
because of a letter name none. So a response has a mark, a bin and whether it is tied, and either stream has a share of
each mark: w_k u and w_k (1 − u), f_k t and f_k (1 − t). A customer who has not responded before mark m responds with it
with probability 1 − exp(−b w_m − e f_m) (discrete-time survival with complementary log-log link: Prentice and Gloeckler
1978, Biometrics 34; within a bin the tied ones are counted first, which at such rates makes no difference). Over all
marks that is 1 − exp(−b − e), whatever the shares are. With one mark nothing is told.

The shares w are those of customers left alone, f those of contacts beside them (EM: Dempster, Laird and Rubin 1977), t
and u by channel those under which what is tied is likeliest; all are drawn to what is usual, t and u to one and the
same, as few responses say little. Assumed: what comes by itself is spread over the horizon alike whether or not
somebody is contacted, and a channel's t and u are the same for all customers.
"""

from dataclasses import dataclass
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt
from scipy.optimize import minimize

from models.artefact import Floats, Ints

_BINS: Final = 12
_LEAST_RESPONSES: Final = 10_000
"""Fewer responses to contacts, or ones whose delay is not known, are not told apart by it: see decision 0033."""
_EVEN_RESPONSES, _USUAL_RESPONSES, _LIKE_RESPONSES = 100.0, 200.0, 20.0
"""As if so many responses had come evenly over the horizon; as if so many of a channel had come as on any other; as if
so many of either stream had been tied as often as those of both.
"""
_ROUNDS: Final = 30
_LEAST_SHARE: Final = 1e-4


class Came(NamedTuple):
    """How the first responses to n decisions came: delay, after which share of the horizon, NaN where there was none or
    it is not known; tied, whether it bears the name of the decision's own send.
    """

    delay: npt.NDArray[np.float32]
    tied: npt.NDArray[np.bool_]

    def rows(self, rows: Ints) -> "Came":
        """Of some of the decisions."""
        return Came(self.delay[rows], self.tied[rows])


class Ties(NamedTuple):
    """Shares of a channel's responses that bear its sends' names: of those by themselves, of those that it brought."""

    alone: float
    brought: float


@dataclass(frozen=True, eq=False)
class Marks:
    """The marks of a horizon, M in all, and which share of the responses has each.

    edges: (K − 1,) ascending, between the bins, in shares of the horizon. alone: (1 + C, M), of those that come by
    themselves, by action, with a row for no contact. brought: (C, M), of those that a contact on each channel adds.
    Shares sum to 1. M is 2 K, tied and not tied by bin, or K where nothing is ever tied.
    """

    edges: Floats
    alone: Floats
    brought: Floats

    def of(self, came: Came) -> Ints:
        """(n,) the mark of each response; that of none is the last, and means nothing."""
        at = _bins(self.edges, came)
        return 2 * at + ~came.tied if self._tells_ties else at

    def without(self, base: Floats, excess: Floats, action: Ints, came: Came) -> Floats:
        """(n,) responses expected to have come by themselves, of those who first responded so.

        At the mark the two share by their rates; after it they are as free as before.

        Args:
            base: (n,), rates by themselves.
            excess: (n,), what the action taken adds.
            action: (n,), 0 for no contact.
            came: how it came.
        """
        at = self.of(came)
        alone = base * self.alone[action, at]
        rate = alone + excess * self.brought[np.maximum(action, 1) - 1, at]
        later = 1.0 - np.cumsum(self.alone, axis=1)
        return np.asarray(alone / np.maximum(-np.expm1(-rate), 1e-300) + base * later[action, at])

    def named(self, channel: int) -> Ties | None:
        """The shares u and t of an outbound channel; None where ties are not told apart."""
        if not self._tells_ties:
            return None
        return Ties(float(self.alone[1 + channel, ::2].sum()), float(self.brought[channel, ::2].sum()))

    @property
    def _tells_ties(self) -> bool:
        return bool(self.alone.shape[1] > 1 + len(self.edges))


def unmarked(channels: int) -> Marks:
    """One mark: how a response came says nothing."""
    return Marks(np.zeros(0), np.ones((1 + channels, 1)), np.ones((channels, 1)))


def fit_marks(action: Ints, came: Came, base: Floats, excess: Floats, channels: int) -> Marks:
    """The marks of decisions whose rates are known roughly.

    Args:
        action: (n,), 0 for no contact.
        came: how first responses came.
        base: (n,), rates by themselves.
        excess: (n,), what the action taken adds.
        channels: how many outbound channels there are.
    """
    some = np.isfinite(came.delay)
    helped = came.delay[some & (action > 0)]
    if len(helped) < _LEAST_RESPONSES or not (some & (action == 0)).any():
        return unmarked(channels)
    edges = np.unique(np.quantile(helped, np.arange(1, _BINS) / _BINS)).astype(np.float64)
    edges = edges[(edges > 0.0) & (edges < 1.0)]
    even = np.diff(np.concatenate([[0.0], edges, [1.0]]))
    at = np.where(some, _bins(edges, came), -1)
    alone = _alone(at[action == 0], even)
    cases = [_Cases.of(at, came.tied, base, excess, action == 1 + c, len(even)) for c in range(channels)]
    ties = [Ties(0.5, 0.5)] * channels
    for _ in range(2):
        usual = _brought(cases, ties, alone, even, _EVEN_RESPONSES)
        brought = [
            _brought([case], [tie], alone, usual, _USUAL_RESPONSES) for case, tie in zip(cases, ties, strict=True)
        ]
        ties = [_ties(case, alone, shares) for case, shares in zip(cases, brought, strict=True)]
    if not any(case.tied.any() for case in cases):
        return Marks(edges, np.tile(alone, (1 + channels, 1)), np.array(brought))
    by_itself = [_split(alone, share) for share in (0.0, *(tie.alone for tie in ties))]
    added = [_split(shares, tie.brought) for shares, tie in zip(brought, ties, strict=True)]
    return Marks(edges, np.array(by_itself), np.array(added))


def _bins(edges: Floats, came: Came) -> Ints:
    """(n,) the bin of each response; that of none is the last."""
    return np.searchsorted(edges, came.delay, side="right")


def _split(shares: Floats, tied: float) -> Floats:
    """(2 K,) of shares (K,) by bin: tied and not."""
    return np.column_stack([shares * tied, shares * (1.0 - tied)]).reshape(-1)


def _alone(at: Ints, even: Floats) -> Floats:
    """(K,) shares of the hazard of those left alone; at: (n,), the bin of the first response, −1 for none."""
    came = np.bincount(at[at >= 0], minlength=len(even)).astype(np.float64)
    waiting = len(at) - (np.cumsum(came) - came)
    hazard = (came + _EVEN_RESPONSES * even) / waiting
    return np.asarray(hazard / hazard.sum())


@dataclass(frozen=True, eq=False)
class _Cases:
    """Contacts on a channel: bin, tied, base, excess of those who responded; exposed (K,), the excess of all still
    waiting.
    """

    at: Ints
    tied: npt.NDArray[np.bool_]
    base: Floats
    excess: Floats
    exposed: Floats

    @classmethod
    def of(
        cls,
        at: Ints,
        tied: npt.NDArray[np.bool_],
        base: Floats,
        excess: Floats,
        own: npt.NDArray[np.bool_],
        bins: int,
    ) -> "_Cases":
        came = np.flatnonzero(own & (at >= 0))
        gone = np.bincount(at[came], weights=excess[came], minlength=bins)
        exposed = float(excess[own].sum()) - (np.cumsum(gone) - gone)
        return cls(at[came], tied[came], base[came], excess[came], np.asarray(exposed, dtype=np.float64))

    def rates(self, alone: Floats, brought: Floats) -> tuple[Floats, Floats]:
        """(n,) each: at the response's bin, what comes by itself and what the contact adds."""
        return self.base * alone[self.at], self.excess * brought[self.at]


def _brought(cases: list[_Cases], ties: list[Ties], alone: Floats, usual: Floats, strength: float) -> Floats:
    """(K,) shares of the hazard that contacts add, drawn to the usual ones as if by so many responses."""
    exposed = np.maximum(sum((each.exposed for each in cases), np.zeros(len(usual))), 1e-9)
    shares = usual
    for _ in range(_ROUNDS):
        owed = strength * usual
        for each, tie in zip(cases, ties, strict=True):
            own, added = each.rates(alone, shares)
            own = own * np.where(each.tied, tie.alone, 1.0 - tie.alone)
            added = added * np.where(each.tied, tie.brought, 1.0 - tie.brought)
            owed = owed + np.bincount(each.at, weights=added / (added + own), minlength=len(usual))
        hazard = owed / (exposed / exposed[0])
        shares = hazard / hazard.sum()
    return shares


def _ties(case: _Cases, alone: Floats, brought: Floats) -> Ties:
    """The shares u and t under which the ties of a channel are likeliest: Σ log(u own + t added) over the tied ones,
    Σ log((1 − u) own + (1 − t) added) over the others, which has one maximum.
    """
    own, added = case.rates(alone, brought)
    whole = own + added
    parts, tied = np.column_stack([own / whole, added / whole]), case.tied.astype(np.float64)
    usual = (tied.sum() + 1.0) / (len(tied) + 2.0)
    like = _LIKE_RESPONSES * np.array([usual, 1.0 - usual])

    def loss(shares: Floats) -> tuple[float, Floats]:
        chance = np.clip(parts @ shares, 1e-12, 1.0 - 1e-12)
        value = tied @ np.log(chance) + (1.0 - tied) @ np.log1p(-chance)
        value += float((like[0] * np.log(shares) + like[1] * np.log1p(-shares)).sum())
        slope = (tied / chance - (1.0 - tied) / (1.0 - chance)) @ parts
        slope += like[0] / shares - like[1] / (1.0 - shares)
        return -float(value), -np.asarray(slope)

    within = (_LEAST_SHARE, 1.0 - _LEAST_SHARE)
    found = minimize(loss, np.array([usual, usual]), jac=True, method="L-BFGS-B", bounds=[within, within])
    return Ties(float(found.x[0]), float(found.x[1]))
