"""Why the response model scores a row as it does: what each column adds to its raw score; knows no words.

Exact TreeSHAP (Lundberg et al., 2020, "path-dependent"), as LightGBM computes it from the trees' own counts. The
contributions of a row and the start, which is what the trees expect of an average row, add up to the raw score: the
log-odds of a response before calibration, which is monotone and thus keeps the order. A contribution says what the
model makes of a value, not what changing the value would do.
"""

from dataclasses import dataclass

import lightgbm as lgb
import numpy as np

from models.artefact import Floats, Ints, Matrix


@dataclass(frozen=True, eq=False)
class Explanation:
    """contribution: (n, p), log-odds that each column adds; start: (n,), log-odds that they are added to."""

    contribution: Floats
    start: Floats

    @property
    def raw(self) -> Floats:
        """(n,), the raw score."""
        return np.asarray(self.start + self.contribution.sum(axis=1))

    def strongest(self, most: int) -> Ints:
        """(n, min(most, p)), the columns that move each row's score furthest, up or down; ties in column order."""
        return np.argsort(-np.abs(self.contribution), axis=1, kind="stable")[:, :most]


def explain(booster: lgb.Booster, matrix: Matrix, threads: int = 1) -> Explanation:
    """The contributions of every column to each row's raw score.

    Args:
        booster: a binary model.
        matrix: (n, p), in the booster's order of columns.
        threads: of LightGBM.
    """
    rows = np.ascontiguousarray(matrix, dtype=np.float32)
    if len(rows) == 0:
        return Explanation(np.zeros(rows.shape), np.zeros(0))
    found = np.asarray(booster.predict(rows, pred_contrib=True, num_threads=threads), dtype=np.float64)
    return Explanation(found[:, :-1], found[:, -1])
