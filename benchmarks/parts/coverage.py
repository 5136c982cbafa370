"""How often intervals hold: scores beside the truth of a simulated retailer, over groups of like predictions.

The campaign to score has the mean strength of campaigns in every retailer, so that intervals, which know no campaign's
strength beforehand, hold too often there. `covered` is counted for that campaign, `covered_any` over campaigns of all
strengths that the retailer draws: one of strength s brings s times as many purchases, which come beside the others.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from scipy.stats import norm

from simulation.truth import Truth
from simulation.world import STRENGTH_MEAN, STRENGTH_SPREAD

Floats = npt.NDArray[np.float64]

GROUP_CUSTOMERS: Final = 200
STRENGTHS: Final = np.exp(STRENGTH_MEAN + STRENGTH_SPREAD * norm.ppf((np.arange(40) + 0.5) / 40))
"""Campaigns that stand for all: as many lie between any two neighbours."""
_BOUNDS: Final = ("", "_lower", "_upper")


@dataclass(frozen=True)
class Coverage:
    """Intervals of one channel: groups of 200 customers, the share that hold, and their mean half width.

    error: root mean square of how far the groups' mean predictions are off. covered_any: the share that hold over
    campaigns of all strengths.
    """

    groups: int
    covered: float
    covered_any: float
    half_width: float
    error: float


@dataclass(frozen=True)
class Covered:
    """The intervals of a channel's response and of its uplift."""

    response: Coverage
    uplift: Coverage


def interval_coverage(scores: pa.Table, truth: Truth) -> dict[str, Covered]:
    """Coverage by channel of the intervals in a scores file, for every channel that is scored there.

    Customers of a channel are sorted by the prediction and cut into groups of 200; an interval holds where the group's
    mean true value lies between the group's mean bounds.

    Args:
        scores: columns as `channelwise score` writes them; customers may be any part of the truth's.
        truth: of the same retailer, at the moment of scoring.
    """
    channel = scores["channel"].to_numpy(zero_copy_only=False).astype(object)
    customer = scores["customer_id"].to_numpy(zero_copy_only=False).astype(object)
    found = {}
    for at, name in enumerate(truth.channels, start=1):
        rows = np.flatnonzero(channel == name)
        people = np.searchsorted(truth.customer_ids, customer[rows])
        alone = truth.probability[people, 0]
        response = _by_strength(alone, truth.probability[people, at])
        true = {"response": response, "uplift": response - alone}
        columns = {what: _columns(scores, what, rows) for what in true}
        if len(rows) and np.isfinite(columns["response"]).all():
            found[name] = Covered(**{what: _coverage(columns[what], true[what]) for what in true})
    return found


def _by_strength(alone: Floats, contacted: Floats) -> Floats:
    """(1 + S, n) probabilities of a response to the campaign that is scored, of strength 1, and to those of other
    strengths; of (n,) without contact and to that campaign.
    """
    base, rate = -np.log1p(-alone), -np.log1p(-contacted)
    return np.asarray(-np.expm1(-base - np.array([1.0, *STRENGTHS])[:, None] * (rate - base)))


def _columns(scores: pa.Table, what: str, rows: npt.NDArray[np.int64]) -> Floats:
    """(3, n): predictions, lower and upper bounds."""
    columns = [scores[what + suffix].to_numpy(zero_copy_only=False)[rows] for suffix in _BOUNDS]
    return np.array(columns, dtype=np.float64)


def _coverage(bounded: Floats, true: Floats) -> Coverage:
    """Of (3, n) predictions with their bounds and (1 + S, n) true values, of the campaign that is scored and others."""
    predicted, lower, upper = bounded
    order = np.argsort(predicted, kind="stable")
    groups = np.array_split(order, max(1, round(len(order) / GROUP_CUSTOMERS)))
    p, low, high = (np.array([column[g].mean() for g in groups]) for column in (predicted, lower, upper))
    means = np.column_stack([true[:, g].mean(axis=1) for g in groups])
    holds, t = (low <= means) & (means <= high), means[0]
    return Coverage(
        groups=len(groups),
        covered=float(holds[0].mean()),
        covered_any=float(holds[1:].mean()),
        half_width=float(np.mean(high - low) / 2),
        error=float(np.sqrt(np.mean((p - t) ** 2))),
    )
