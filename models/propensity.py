"""The probability with which a sender chose each action, estimated where it was not logged; never reads a response.

A small multiclass LightGBM of the action on what was known of the customer and on the calendar, cross-fitted in two
halves by customer, so that no decision is judged by a model that saw its customer.
"""

from dataclasses import dataclass

import lightgbm as lgb
import numpy as np
import numpy.typing as npt

from models.artefact import Floats, Ints, Matrix
from models.boosting import Recipe, boost, dataset
from models.tables import Rows, Table

_RECIPE = Recipe(trees=30, learning_rate=0.15, leaves=7, rows_per_leaf=100, feature_fraction=0.5)
_MOST_ROWS = 30_000
_LEAST = 1e-4


def estimate_propensities(
    table: Rows,
    action: Ints,
    time_us: Ints,
    typical: npt.NDArray[np.bool_],
    n_actions: int,
    *,
    seed: int,
    threads: int,
) -> Floats:
    """(n, n_actions): the estimated probability of every action at each decision; rows sum to one.

    Args:
        table: (n, p), columns that do not depend on the action taken.
        action: (n,), the action taken.
        time_us: (n,), when.
        typical: (n,), rows drawn without regard to action or answer; only they teach.
        n_actions: of the result; an action never taken gets probability 0.
        seed: of the fit.
        threads: of the fit.
    """
    day = ((time_us - time_us.min()) / 86_400_000_000).astype(np.float32)
    taken = np.unique(action)
    label = np.searchsorted(taken, action)
    result = np.zeros((len(action), n_actions))
    if len(taken) == 1:
        result[:, taken[0]] = 1.0
        return result
    half = np.unique(table.customer, return_inverse=True)[1] % 2
    random = np.random.default_rng(seed)
    for each in (0, 1):
        outside, inside = np.flatnonzero((half != each) & typical), np.flatnonzero(half == each)
        shares = _fitted(_Log(table, day, label), len(taken), _sampled(outside, random), inside, seed, threads)
        result[np.ix_(inside, taken)] = shares
    return result


def _sampled(rows: Ints, random: np.random.Generator) -> Ints:
    return rows if len(rows) <= _MOST_ROWS else np.sort(random.choice(rows, _MOST_ROWS, replace=False))


@dataclass(frozen=True)
class _Log:
    """Decisions: what was known, the day since the first (n,), and the action taken as a class (n,)."""

    table: Rows
    day: Matrix
    label: Ints

    def dated(self, keep: Ints) -> Table:
        """The given rows in memory, with the day as one more column."""
        rows = self.table.rows(keep)
        matrix = np.column_stack([rows.matrix, self.day[keep]])
        return Table(matrix, [*rows.names, "calendar_day"], rows.categorical, rows.customer)

    def predicted(self, booster: lgb.Booster, keep: Ints, threads: int) -> Floats:
        """What a booster of dated rows says of the given ones, block by block."""
        parts, at = [], 0
        for block in self.table.rows(keep).blocks():
            dated = np.column_stack([block, self.day[keep[at : at + len(block)]]])
            parts.append(np.asarray(booster.predict(dated, num_threads=threads), dtype=np.float64))
            at += len(block)
        return np.concatenate(parts)


def _fitted(log: _Log, classes: int, learn: Ints, apply: Ints, seed: int, threads: int) -> Floats:
    if len(learn) == 0 or len(apply) == 0:
        return np.tile(np.bincount(log.label, minlength=classes) / len(log.label), (len(apply), 1))
    if classes == 2:
        one = log.predicted(_booster(log, 1, learn, seed, threads), apply, threads)
        shares = np.column_stack([1 - one, one])
    else:
        shares = log.predicted(_booster(log, classes, learn, seed, threads), apply, threads)
    shares = np.maximum(shares, _LEAST)
    result: Floats = shares / shares.sum(axis=1, keepdims=True)
    return result


def _booster(log: _Log, classes: int, learn: Ints, seed: int, threads: int) -> lgb.Booster:
    data = dataset(log.dated(learn), log.label[learn], None, threads)
    return boost(data, _RECIPE, classes=classes, watched=None, seed=seed, threads=threads)[0]
