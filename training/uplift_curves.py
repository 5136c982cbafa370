"""What contact on a channel truly added, by how much the model expected it to add; fits nothing and draws nothing.

Only decisions whose propensity was logged count, each weighted by its inverse, so that those contacted and those left
alone stand for the same people. Among the share φ of decisions with the highest predicted uplift, the curve is

    Q(φ) = φ (R_c − R_0),   R_a = Σ y / p over rows with action a, divided by Σ 1 / p

that is the Qini curve (Radcliffe, 2007) per decision, with weighted rates in place of counts. The Qini coefficient is
the mean over φ of Q(φ) − φ Q(1): what the model's order adds over contacting at random. Only customers contacted on the
channel within the longest window count: for others nobody knows whether it is open. Where responses are tied to a send,
R_0 is 0 by definition. Intervals are pointwise, clustered by customer, and take the order as given.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from models.artefact import Floats, Ints
from models.evidence import Evidence
from training.off_policy import Estimate, Terms, estimate

SHARES = tuple(round(0.05 * step, 2) for step in range(1, 21))
GROUPS = 5
LEAST_EFFECTIVE, LEAST_RESPONDERS, LEAST_IN_GROUP = 100.0, 20, 50.0
"""Customers in effect behind each arm, who responded in each, and in effect behind each arm of a part."""


@dataclass(frozen=True)
class UpliftLog:
    """n held-out decisions, A actions, the first of them no contact.

    action, customer: (n,); response: (n,), 0 or 1; propensity: (n,), logged, else NaN; predicted: (n, A), the response
    to each action; is_open: (n, A − 1), whether each channel is known to be open; tied: responses are tied to sends.
    """

    action: Ints
    customer: Ints
    response: Floats
    propensity: Floats
    predicted: Floats
    is_open: npt.NDArray[np.bool_]
    tied: bool


@dataclass(frozen=True)
class Group:
    """A part of the decisions, by predicted uplift: its mean, and what was measured; probability of a response."""

    predicted: float
    measured: Estimate


@dataclass(frozen=True)
class UpliftCurve:
    """A channel's curve, or why there is none.

    contacted, alone: decisions of each arm; gain: Q(φ), extra responses per decision, at each of `shares`; qini: the
    coefficient, in the same unit; groups: by descending prediction.
    """

    channel: str
    refused: str
    contacted: int
    alone: int
    shares: tuple[float, ...] = ()
    gain: tuple[Estimate, ...] = ()
    qini: Estimate | None = None
    groups: tuple[Group, ...] = ()


def uplift_curves(log: UpliftLog, evidence: Sequence[Evidence], level: float) -> tuple[UpliftCurve, ...]:
    """The curve of every channel, in the order of the evidence, which begins with that of no contact.

    Args:
        log: the decisions.
        evidence: of each action; only what is randomised is measured here.
        level: coverage of the intervals.
    """
    return tuple(_curve(log, at, each, level) for at, each in enumerate(evidence) if at)


@dataclass(frozen=True, eq=False)
class _Arms:
    """Rows of one channel in descending order of predicted uplift: weights of both arms, response and prediction."""

    contact: Floats
    alone: Floats
    response: Floats
    predicted: Floats
    clusters: Ints
    tied: bool

    def effect(self, keep: slice, scale: float) -> Terms | None:
        """`scale` times the difference of rates within the rows; None where an arm is too small."""
        arms = (self.contact,) if self.tied else (self.contact, self.alone)
        value, influence = 0.0, np.zeros(len(self.response))
        for sign, arm in zip((1.0, -1.0), arms, strict=False):
            weight, total = arm[keep], arm[keep].sum()
            if total == 0 or _effective(weight, self.clusters[keep]) < LEAST_IN_GROUP:
                return None
            rate = float(weight @ self.response[keep] / total)
            value += sign * scale * rate
            influence[keep] += sign * scale * len(influence) * weight * (self.response[keep] - rate) / total
        return Terms(value, influence)


def _curve(log: UpliftLog, action: int, evidence: Evidence, level: float) -> UpliftCurve:
    rows = np.flatnonzero(log.is_open[:, action - 1] & np.isfinite(log.propensity))
    alone = np.zeros(len(rows)) if log.tied else log.predicted[rows, 0]
    uplift = log.predicted[rows, action] - alone
    order = np.argsort(-uplift, kind="stable")
    rows = rows[order]
    taken, inverse = log.action[rows], 1 / log.propensity[rows]
    arms = _Arms(
        contact=np.where(taken == action, inverse, 0.0),
        alone=np.where(taken == 0, inverse, 0.0),
        response=log.response[rows],
        predicted=uplift[order],
        clusters=np.unique(log.customer[rows], return_inverse=True)[1],
        tied=log.tied,
    )
    counts = int((taken == action).sum()), int((taken == 0).sum())
    refused = _refused(evidence, arms)
    if refused:
        return UpliftCurve(evidence.action, refused, *counts)
    found = [(share, arms.effect(slice(0, round(share * len(rows))), share)) for share in SHARES]
    shown = [(share, terms) for share, terms in found if terms is not None]
    return UpliftCurve(
        evidence.action,
        "",
        *counts,
        shares=tuple(share for share, _ in shown),
        gain=tuple(estimate(terms, arms.clusters, level) for _, terms in shown),
        qini=estimate(_qini(shown), arms.clusters, level),
        groups=tuple(_groups(arms, level)),
    )


def _qini(shown: Sequence[tuple[float, Terms]]) -> Terms:
    share = np.array([each for each, _ in shown])
    whole = shown[-1][1]
    value = np.mean([terms.value for _, terms in shown]) - share.mean() * whole.value
    influence = np.mean([terms.influence for _, terms in shown], axis=0) - share.mean() * whole.influence
    return Terms(float(value), influence)


def _groups(arms: _Arms, level: float) -> Sequence[Group]:
    edges = np.linspace(0, len(arms.response), GROUPS + 1).astype(np.int64)
    parts = [slice(int(low), int(high)) for low, high in pairwise(edges)]
    found = [(part, arms.effect(part, 1.0)) for part in parts]
    return [
        Group(float(arms.predicted[part].mean()), estimate(terms, arms.clusters, level))
        for part, terms in found
        if terms is not None
    ]


def _refused(evidence: Evidence, arms: _Arms) -> str:
    if evidence.verdict != "randomised":
        return f"its effect is {evidence.verdict}: no logged propensities to measure it by"
    named = (("contacted", arms.contact), ("left alone", arms.alone))
    for words, weight in named[: 1 if arms.tied else 2]:
        effective = _effective(weight, arms.clusters)
        if effective < LEAST_EFFECTIVE:
            return f"only {effective:.0f} customers in effect were {words}; {LEAST_EFFECTIVE:.0f} are needed"
        responders = len(np.unique(arms.clusters[(weight > 0) & (arms.response > 0)]))
        if responders < LEAST_RESPONDERS:
            return f"only {responders} customers {words} responded; {LEAST_RESPONDERS} are needed"
    return ""


def _effective(weight: Floats, clusters: Ints) -> float:
    """(Σ W)² / Σ W² over the clusters' summed weights (Kish, 1965)."""
    sums = np.bincount(clusters, weights=weight)
    square = float(sums @ sums)
    return float(sums.sum()) ** 2 / square if square > 0 else 0.0
