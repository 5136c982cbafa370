"""What contacts add to responses, by random effects over customer × channel; reads no column by name.

A response to channel c is a Poisson event of the rate λ = b + exp(η), b what the customer would do by itself, so that

    P(response) = 1 − exp(−b − exp(η)),   η = α_c + x · (β + Σ_v γ_v m_cv + δ_c)

with a share of either stream at each mark of a response (`models.marks`), which tells how likely a contact brought it;
or, of `Differences`, η is itself the mean of an unbiased guess at what the contact changes, with normal noise. x are
the terms of a row; β is what they mean on every channel, δ_c what they mean on this one beside that, and γ_v what a
view v of the channel's own history (m_cv marks its term) means wherever it is its own. All are normal around zero, with
one variance a group of terms, so that a channel with few sends borrows from the others and a term that tells
nothing is drawn to zero. Coefficients are posterior modes, by Fisher scoring; variances are set by the evidence at the
mode (MacKay 1992, Neural Computation 4, eq. 2.14 ff.; the same as Fellner and Schall's for mixed models).

Channels share β and γ only: each iteration solves a block per channel and then what they share (Schur complement).
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final, NamedTuple, Protocol, TypeVar

import numpy as np
import numpy.typing as npt

from models.artefact import Floats, Ints, Matrix

_Real = TypeVar("_Real", np.float32, np.float64)
_ITERATIONS: Final = 30
_CLOSE, _CLOSE_VARIANCE = 0.01, 0.05
_FARTHEST_STEP: Final = 3.0
_BLOCK: Final = 16_384
_LEAST_NOISE: Final = 1e-12
_HIGHEST, _LOWEST = 0.5, -12.0
_INTERCEPT_PRECISION: Final = 0.25
"""Intercepts lie within a few logs of each other: a channel with next to no sends is taken for a usual one."""
_FIRST_PRECISION: Final = 100.0
_SHRINK_COUNT, _SHRINK_SUM = 1.0, 0.001
"""A group's variance is taken to be 0.001 as if one coefficient more had said so; keeps it from 0 and infinity, and
draws groups that tell nothing to a thirtieth, which is next to nothing.
"""
_MOST_PRECISION: Final = 1e5


class Sums(NamedTuple):
    """Score (1 + T,) and information (1 + T, 1 + T) of a channel's intercept and weights."""

    score: Floats
    information: Floats


class Likelihood(Protocol):
    """What was seen on one channel."""

    def sums(self, intercept: float, weights: Floats) -> Sums:
        """Score and information where the channel's intercept and weights (T,) are these."""


@dataclass(frozen=True, eq=False)
class Contacts:
    """Contacts on one channel: design (n, T) float32, outcome (n,) 0 or 1, base (n,) the rate b without the contact.

    at: (n,), the mark of the first response, read where there is one; alone, brought: (M,), shares of what comes by
    itself and of what the contact adds by mark. Without them there is one mark.
    """

    design: Matrix
    outcome: Floats
    base: Floats
    at: Ints | None = None
    alone: Floats = field(default_factory=lambda: np.ones(1))
    brought: Floats = field(default_factory=lambda: np.ones(1))

    def sums(self, intercept: float, weights: Floats) -> Sums:
        """Score and expected information of the events; products over rows in single precision, block by block."""
        size = 1 + len(weights)
        at = np.concatenate([[intercept], weights]).astype(np.float32)
        score, information = np.zeros(size), np.zeros((size, size))
        for start in range(0, len(self.outcome), _BLOCK):
            rows = slice(start, start + _BLOCK)
            design = _with_ones(self.design[rows], np.float32)
            extra = np.exp(np.clip((design @ at).astype(np.float64), _LOWEST, _HIGHEST))
            slope, curvature = self._marks(rows, extra)
            score += (slope * extra).astype(np.float32) @ design
            # Of one matrix with itself only a half is computed.
            weighted = design * (extra * np.sqrt(curvature)).astype(np.float32)[:, None]
            information += weighted.T @ weighted
        return Sums(score, information)

    def _marks(self, rows: slice, extra: Floats) -> tuple[Floats, Floats]:
        """Of what the contact adds, (n,) each: derivative of the log likelihood, and the expected information."""
        count = np.arange(len(extra))
        rate = np.outer(self.base[rows], self.alone) + np.outer(extra, self.brought)
        some = -np.expm1(-rate)
        odds = self.brought * (1.0 - some) / some
        waited = np.concatenate([[0.0], np.cumsum(self.brought)[:-1]])
        at = np.zeros(len(extra), np.int64) if self.at is None else self.at[rows]
        slope = np.where(self.outcome[rows] > 0, odds[count, at] - waited[at], -1.0)
        waiting = np.exp(rate - np.cumsum(rate, axis=1))
        return slope, np.asarray((waiting * odds) @ self.brought)


@dataclass(frozen=True, eq=False)
class Differences:
    """Guesses at what a channel changes, kept as weighted moments: rows; square, (1 + T, 1 + T), of the design with a
    leading 1; cross, (1 + T,), of design and guess; spread, of the guess with itself. Weights have mean 1.
    """

    rows: int
    square: Floats
    cross: Floats
    spread: float

    @classmethod
    def of(cls, design: Matrix, guess: Floats, weight: Floats) -> "Differences":
        """Of a design (n, T), guesses (n,) and their weights (n,), inverse to the variance of each up to a factor."""
        size = 1 + design.shape[1]
        square, cross = np.zeros((size, size)), np.zeros(size)
        weight = weight / weight.mean() if len(weight) else weight
        for at in range(0, len(guess), _BLOCK):
            rows = slice(at, at + _BLOCK)
            own = _with_ones(design[rows], np.float64)
            weighted = own * weight[rows, None]
            square += weighted.T @ own
            cross += weighted.T @ guess[rows]
        return cls(len(guess), square, cross, float(weight @ guess**2))

    @property
    def mean(self) -> float:
        """The weighted mean of the guesses, 0 without any."""
        return float(self.cross[0]) / max(1, self.rows)

    def over(self, unit: float) -> "Differences":
        """The same in units of so much."""
        return Differences(self.rows, self.square, self.cross / unit, self.spread / unit**2)

    def sums(self, intercept: float, weights: Floats) -> Sums:
        """Score and information; the noise is as large as what is left of the guesses."""
        at = np.concatenate([[intercept], weights])
        left = self.spread - 2.0 * float(at @ self.cross) + float(at @ self.square @ at)
        certainty = self.rows / max(left, _LEAST_NOISE * self.rows, 1e-300)
        return Sums(certainty * (self.cross - self.square @ at), certainty * self.square)


@dataclass(frozen=True)
class Layout:
    """Which coefficients there are: T terms, C channels.

    group: (T,) numbers of the groups of terms. view: (T,) numbers of the views, -1 none. channel: (T,) the channel of
    which a view tells, -1 none.
    """

    group: Ints
    view: Ints
    channel: Ints

    @property
    def views(self) -> int:
        """How many views there are."""
        return int(self.view.max(initial=-1)) + 1

    def own(self, channel: int) -> Floats:
        """(T, V) marks each view's term of a channel."""
        marks = np.zeros((len(self.group), self.views))
        rows = np.flatnonzero((self.view >= 0) & (self.channel == channel))
        marks[rows, self.view[rows]] = 1.0
        return marks


@dataclass(frozen=True)
class Effects:
    """intercept: (C,) α; weights: (T, C), what each term adds to η on each channel; iterations: until nothing moved;
    size: (groups,), prior standard deviation of a group's β or δ, whichever is larger.
    """

    intercept: Floats
    weights: Floats
    iterations: int
    size: Floats


class _Precisions(NamedTuple):
    """Of β by group, of γ by view, of δ by group."""

    common: Floats
    view: Floats
    apart: Floats


class _State(NamedTuple):
    """Intercepts (C,), β (T,), γ (V,), δ (C, T)."""

    intercept: Floats
    common: Floats
    view: Floats
    apart: Floats


def fit_random_effects(channels: Sequence[Contacts], layout: Layout) -> Effects:
    """The effects that the contacts of every channel support; a channel without contacts gets the usual ones.

    Args:
        channels: the contacts of each channel, in the order of the channels.
        layout: which terms belong together.
    """
    return _modes(channels, layout, _usual(channels))


def fit_differences(channels: Sequence[Differences], layout: Layout, unit: float) -> Effects:
    """The effects that guesses at what every channel changes support; a channel without any gets the usual ones.

    Args:
        channels: the guesses of each channel, in the order of the channels.
        layout: which terms belong together.
        unit: how large an effect is thought to be, in the units of the guesses; the priors are of this size.
    """
    rows = sum(each.rows for each in channels)
    usual = sum(each.rows * each.mean for each in channels) / max(1, rows)
    found = _modes([each.over(unit) for each in channels], layout, usual / unit)
    return Effects(unit * found.intercept, unit * found.weights, found.iterations, unit * found.size)


def _modes(channels: Sequence[Likelihood], layout: Layout, usual: float) -> Effects:
    """Intercepts near the usual one, and weights."""
    owns = [layout.own(channel) for channel in range(len(channels))]
    terms, groups = len(layout.group), int(layout.group.max(initial=0)) + 1
    start = np.full(len(channels), usual)
    state = _State(start.copy(), np.zeros(terms), np.zeros(layout.views), np.zeros((len(channels), terms)))
    precision = _Precisions(*(np.full(n, _FIRST_PRECISION) for n in (groups, layout.views, groups)))
    done = 0
    for done in range(1, _ITERATIONS + 1):
        weights = _weights(state, owns)
        sums = [each.sums(state.intercept[c], weights[:, c]) for c, each in enumerate(channels)]
        moved, spread = _solved(sums, state, precision, layout, owns, start)
        farthest = max(float(np.abs(part).max(initial=0.0)) for part in moved)
        damping = min(1.0, _FARTHEST_STEP / max(farthest, 1e-12))
        state = _State(*(old + damping * step for old, step in zip(state, moved, strict=True)))
        if done < 3:
            continue
        before, precision = precision, _evidence(state, precision, spread, layout)
        settled = all(
            np.allclose(np.log(old), np.log(new), atol=_CLOSE_VARIANCE)
            for old, new in zip(before, precision, strict=True)
        )
        if farthest < _CLOSE and settled:
            break
    size = 1.0 / np.sqrt(np.minimum(precision.common, precision.apart))
    return Effects(state.intercept, _weights(state, owns), done, size)


def _usual(channels: Sequence[Contacts]) -> float:
    """The log of what a contact brings on average, at least one response in ten thousand."""
    rows = sum(len(each.outcome) for each in channels)
    extra = sum(float((each.outcome - each.base).sum()) for each in channels)
    return float(np.log(max(extra / max(1, rows), 1e-4)))


def _weights(state: _State, owns: Sequence[Floats]) -> Floats:
    """(T, C)."""
    return np.column_stack([state.common + own @ state.view + state.apart[c] for c, own in enumerate(owns)])


def _with_ones(design: Matrix, kind: type[_Real]) -> npt.NDArray[_Real]:
    """(n, 1 + T), a leading 1 for the intercept."""
    found = np.empty((len(design), 1 + design.shape[1]), kind)
    found[:, 0], found[:, 1:] = 1, design
    return found


def _solved(
    sums: Sequence[Sums],
    state: _State,
    precision: _Precisions,
    layout: Layout,
    owns: Sequence[Floats],
    start: Floats,
) -> tuple[_State, _State]:
    """The step to the mode, and the posterior variance of every coefficient (of intercepts 0: nobody asks)."""
    prior_own = np.concatenate([[_INTERCEPT_PRECISION], precision.apart[layout.group]])
    prior_shared = np.concatenate([precision.common[layout.group], precision.view])
    shared = np.concatenate([state.common, state.view])
    system, right = np.diag(prior_shared), -prior_shared * shared
    blocks = []
    for c, (score, information) in enumerate(sums):
        # What channels share reaches a channel's own coefficients but for the intercept, by way of their sums.
        away = np.concatenate([[state.intercept[c] - start[c]], state.apart[c]])
        inverse, coupling = np.linalg.inv(information + np.diag(prior_own)), _reached(information[:, 1:].T, owns[c]).T
        pulled, own_step = inverse @ coupling, inverse @ (score - prior_own * away)
        system += _reached(coupling[1:], owns[c]) - coupling.T @ pulled
        right += _reached(score[1:], owns[c]) - coupling.T @ own_step
        blocks.append((inverse, pulled, own_step))
    covariance = np.linalg.inv(system)
    step = covariance @ right
    own = [own_step - pulled @ step for _, pulled, own_step in blocks]
    spread = [np.diag(inverse) + ((pulled @ covariance) * pulled).sum(axis=1) for inverse, pulled, _ in blocks]
    terms, variance = len(layout.group), np.diag(covariance)
    moved = _State(np.array([u[0] for u in own]), step[:terms], step[terms:], np.array([u[1:] for u in own]))
    known = _State(np.zeros(len(sums)), variance[:terms], variance[terms:], np.array([s[1:] for s in spread]))
    return moved, known


def _reached(of_terms: Floats, own: Floats) -> Floats:
    """What is said of a channel's terms (T, …) as said of β and γ (T + V, …): each view is its own term's."""
    return np.concatenate([of_terms, own.T @ of_terms])


def _evidence(state: _State, precision: _Precisions, spread: _State, layout: Layout) -> _Precisions:
    """The precisions under which the data are likeliest, at the mode: effective coefficients over their squares."""
    groups = range(len(precision.common))
    common = [_precision(state.common, spread.common, precision.common[g], layout.group == g) for g in groups]
    apart = [_precision(state.apart, spread.apart, precision.apart[g], layout.group == g) for g in groups]
    view = [
        _precision(state.view, spread.view, precision.view[v], np.arange(len(state.view)) == v)
        for v in range(len(state.view))
    ]
    return _Precisions(np.array(common), np.array(view), np.array(apart))


def _precision(
    mode: Floats, variance: Floats, precision: float, of: np.ndarray[tuple[int], np.dtype[np.bool_]]
) -> float:
    mode, variance = mode[..., of], variance[..., of]
    effective = max(0.0, mode.size - precision * float(variance.sum()))
    found = (effective + _SHRINK_COUNT) / (float((mode**2).sum()) + _SHRINK_SUM)
    return min(found, _MOST_PRECISION)
