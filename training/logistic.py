"""A logistic regression on the models' own columns: the plain statistician's answer, to be beaten or conceded to."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from models.artefact import Floats, Ints, Matrix
from models.tables import Rows, Table, mapped

_MOST_ROWS = 40_000
_CLIP = 4.0
_LEVELS = 32


@dataclass(frozen=True)
class Encoding:
    """How columns become numbers that a linear model can weigh: learned once, then applied.

    Numbers: signed log, standardised, missing at the mean with a flag of its own; codes: one column a level.
    """

    numeric: tuple[int, ...]
    flagged: tuple[int, ...]
    mean: Floats
    deviation: Floats
    codes: tuple[tuple[int, float], ...]

    def apply(self, matrix: Matrix) -> Matrix:
        """(n, k) design."""
        values = _signed_log(matrix[:, self.numeric])
        scaled = np.clip((values - self.mean) / self.deviation, -_CLIP, _CLIP)
        flags = np.isnan(matrix[:, self.flagged])
        levels = [matrix[:, column] == level for column, level in self.codes]
        return np.column_stack([np.nan_to_num(scaled), flags, *levels]).astype(np.float32)


def _signed_log(values: Matrix) -> Floats:
    wide = values.astype(np.float64)
    result: Floats = np.sign(wide) * np.log1p(np.abs(wide))
    return result


def _learned_encoding(table: Table) -> Encoding:
    codes = [i for i, name in enumerate(table.names) if name in set(table.categorical)]
    numeric = [i for i in range(len(table.names)) if i not in codes and not np.isnan(table.matrix[:, i]).all()]
    # One column at a time: the widened copies of all would be the most that a training holds.
    moments = [(np.nanmean(v), np.nanstd(v)) for v in (_signed_log(table.matrix[:, i]) for i in numeric)]
    mean, deviation = np.array(moments).reshape(-1, 2).T
    varies = deviation > 0
    missing = np.isnan(table.matrix[:, numeric]).any(axis=0)
    return Encoding(
        numeric=tuple(np.array(numeric, dtype=int)[varies].tolist()),
        flagged=tuple(np.array(numeric, dtype=int)[missing].tolist()),
        mean=mean[varies],
        deviation=deviation[varies],
        codes=tuple((i, level) for i in codes for level in _frequent(table.matrix[:, i])),
    )


def _frequent(values: Matrix) -> list[float]:
    level, count = np.unique(values[~np.isnan(values)], return_counts=True)
    return [float(each) for each in level[np.argsort(-count, kind="stable")][:_LEVELS]]


@dataclass(frozen=True)
class Logistic:
    """A fitted regression."""

    encoding: Encoding
    model: Any

    def predict(self, table: Rows) -> Floats:
        """Probability of a response, (n,)."""
        return mapped(table, self._predicted)

    def _predicted(self, matrix: Matrix) -> Floats:
        return np.asarray(self.model.predict_proba(self.encoding.apply(matrix))[:, 1], dtype=np.float64)


def fit_logistic(table: Rows, outcome: npt.NDArray[np.generic], seed: int) -> Logistic | None:
    """A ridge logistic regression of the outcome (n,) on all columns; None where every outcome is alike.

    More than 40,000 rows are sampled: its few weights gain nothing from more.
    """
    from sklearn.linear_model import LogisticRegression

    rows: Ints = np.arange(len(outcome))
    if len(rows) > _MOST_ROWS:
        rows = np.sort(np.random.default_rng(seed).choice(len(rows), _MOST_ROWS, replace=False))
    if len(np.unique(outcome[rows])) < 2:
        return None
    chosen = table.rows(rows)
    sample = Table(chosen.matrix, chosen.names, chosen.categorical, chosen.customer)
    encoding = _learned_encoding(sample)
    model = LogisticRegression(C=0.1, tol=1e-3, max_iter=500)
    model.fit(mapped(sample, encoding.apply), outcome[rows])
    return Logistic(encoding, model)
