"""Why the response model scores a row as it does: what each column adds to its raw score; knows no words.

Exact TreeSHAP (Lundberg et al., 2020, "path-dependent"), as LightGBM computes it from the trees' own counts. The
contributions of a row and the start, which is what the trees expect of an average row, add up to the raw score before
calibration, which is monotone and thus keeps the order: the log-odds of a response, or where contact effects stand
beside the trees the log of the expected number of responses. A contribution says what the model makes of a value, not
what changing the value would do.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from models.artefact import Floats, Ints, Matrix
from models.effects import BoundEffects

if TYPE_CHECKING:
    import lightgbm as lgb

_NOTHING: Final = 1e-9


@dataclass(frozen=True, eq=False)
class Explanation:
    """contribution: (n, p), log-odds (or log rate) that each column adds; start: (n,), what they are added to."""

    contribution: Floats
    start: Floats

    @property
    def raw(self) -> Floats:
        """(n,), the raw score."""
        return np.asarray(self.start + self.contribution.sum(axis=1))

    def strongest(self, most: int) -> Ints:
        """(n, min(most, p)), the columns that move each row's score furthest, up or down; ties in column order."""
        return np.argsort(-np.abs(self.contribution), axis=1, kind="stable")[:, :most]


def explain(booster: "lgb.Booster", matrix: Matrix, threads: int = 1) -> Explanation:
    """The contributions of every column to each row's raw score.

    Args:
        booster: of log-odds or log rates.
        matrix: (n, p), in the booster's order of columns.
        threads: of LightGBM.
    """
    rows = np.ascontiguousarray(matrix, dtype=np.float32)
    if len(rows) == 0:
        return Explanation(np.zeros(rows.shape), np.zeros(0))
    found = np.asarray(booster.predict(rows, pred_contrib=True, num_threads=threads), dtype=np.float64)
    return Explanation(found[:, :-1], found[:, -1])


def with_effects(
    base: Explanation, effects: BoundEffects, rows: Matrix, action: Ints, columns: Sequence[str]
) -> Explanation:
    """The contributions where effects stand beside the rate b that the trees give: their sum is the log of the whole.

    The trees' own are as they were. What a contact on the channel brings to anybody stands with the column of the
    action: of effects on the rate (link log) log((b + e0) / b), of effects on the probability (identity) log(r0 / b),
    r0 = −log(1 − p0 − e0) the rate at which p0 + e0 is reached. What is left, up to the effect e of all terms, is the
    terms': on the straight way from none of them to all of them each moves the score in proportion to its part of log e
    (log) or of e (identity), so its share is that part (Aumann and Shapley, 1974; integrated gradients). A term's share
    stands with its first column. Where a probability is cut off, the terms share what is left of their effect.
    """
    excess = np.take_along_axis(effects.excess(rows), action[:, None], axis=1)[:, 0]
    start, end = effects.log_gain(base.raw, effects.plain(action)), effects.log_gain(base.raw, excess)
    parts = effects.parts(rows, action)
    total = parts.sum(axis=1)
    share = np.divide(end - start, total, out=np.zeros_like(total), where=np.abs(total) > _NOTHING)
    contribution = base.contribution.copy()
    contribution[:, columns.index("action")] += start
    for part, term in zip(parts.T, effects.effects.terms, strict=True):
        contribution[:, columns.index(term.columns[0])] += part * share
    return Explanation(contribution, base.start)
