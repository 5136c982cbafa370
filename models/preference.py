"""Heads over channels: what is common to both preferences, and the one of where customers act by themselves.

Engagement: a multiclass model of the channel of the next own step. It reads no column that depends on the action taken.
The contact preference has a model of its own (`models.answers`); answered sends, each weighted by 1 / propensity, show
what equal contact would (inverse propensity weighting, Horvitz & Thompson 1952), and calibrate and judge it.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import lightgbm as lgb
import numpy as np

from models.artefact import Floats, Ints
from models.boosting import Recipe, boost, dataset, guarded, predicted, watched_dataset
from models.calibration import MulticlassMap, Unchanged
from models.calibration_fit import choose_multiclass
from models.effects import ContactEffects
from models.tables import Rows

_WEIGHT_CAP = 50.0
_SMOOTHING = 1.0


@dataclass(frozen=True)
class Labelled:
    """Rows with the channel that followed: table (n, p), label (n,) index into the channels, weight (n,)."""

    table: Rows
    label: Ints
    weight: Floats

    def rows(self, keep: Ints) -> "Labelled":
        """The given rows."""
        return Labelled(self.table.rows(keep), self.label[keep], self.weight[keep])


@dataclass(frozen=True)
class FittedPreference:
    """A head: model text (None without trees), the classes' channels (indices), calibration, fixed shares.

    fewest_customers: behind any leaf; None where there are no trees. effects: of contacts on answers, for trees.
    """

    text: str | None
    classes: tuple[int, ...]
    calibration: MulticlassMap
    fixed: tuple[float, ...] | None
    trees: int
    undone_splits: int = 0
    fewest_customers: int | None = None
    effects: ContactEffects | None = None

    @property
    def learner(self) -> str:
        """What learned it."""
        if self.fixed is not None:
            return "fixed shares"
        return "trees" if self.effects is None else "effects"


def exposure_weights(propensity: Floats) -> Floats:
    """1 / propensity, at most 50 and scaled to mean one: one lucky answer must not outshout a channel.

    NaN stays out with weight 0.
    """
    raw = np.where(np.isfinite(propensity) & (propensity > 0), 1 / np.maximum(propensity, 1 / _WEIGHT_CAP), 0.0)
    total = raw.sum()
    return raw * (len(raw) / total) if total > 0 else np.ones_like(raw)


def fit_preference(
    learn: Labelled, judge: Labelled, recipe: Recipe, channels: Sequence[int], *, least: int, seed: int, threads: int
) -> FittedPreference:
    """A head over the channels on which anything was seen, its trees and calibration chosen on the rows of `judge`.

    Args:
        learn: what to learn.
        judge: later rows that choose.
        recipe: of the trees.
        channels: the indices that may occur.
        least: distinct customers behind a class and behind every leaf.
        seed: of the fit.
        threads: of the fit.
    """
    classes = tuple(c for c in channels if len(np.unique(learn.table.customer[learn.label == c])) >= least)
    learn, judge = restricted(learn, classes), restricted(judge, classes)
    if len(classes) < 2 or len(learn.label) < 10 * recipe.rows_per_leaf or len(judge.label) < recipe.rows_per_leaf:
        return _fixed(learn, classes, channels)
    k = len(classes)
    data = dataset(learn.table, learn.label, learn.weight, threads)
    watched = watched_dataset(data, judge.table, judge.label, judge.weight)
    booster, trees, _ = boost(data, recipe, classes=k, watched=watched, seed=seed, threads=threads)
    model = guarded(booster, trees, learn.table, least, threads)
    shares = predicted(model.text, judge.table, threads)
    calibration = choose_multiclass(shares, judge.label, judge.weight, judge.table.customer)
    return FittedPreference(model.text, classes, calibration, None, trees, model.undone_splits, model.fewest_customers)


def refit_preference(
    fitted: FittedPreference, everything: Labelled, recipe: Recipe, *, least: int, seed: int, threads: int
) -> FittedPreference:
    """The same head fitted on more rows, with the number of trees and the calibration kept."""
    if fitted.fixed is not None:
        return fitted
    rows = restricted(everything, fitted.classes)
    data = dataset(rows.table, rows.label, rows.weight, threads)
    return grown_again(
        fitted, data, rows.table, recipe, classes=len(fitted.classes), least=least, seed=seed, threads=threads
    )


def grown_again(
    fitted: FittedPreference,
    data: lgb.Dataset,
    table: Rows,
    recipe: Recipe,
    *,
    classes: int,
    least: int,
    seed: int,
    threads: int,
) -> FittedPreference:
    """The same with trees grown on other rows, as many as before.

    Args:
        fitted: with trees.
        data: the rows of the table, binned, with labels and weights.
        table: the rows.
        recipe: of the trees.
        classes: as `boost` has it.
        least: distinct customers behind every leaf.
        seed: of the fit.
        threads: of the fit.
    """
    recipe = recipe.model_copy(update={"trees": fitted.trees})
    booster, trees, _ = boost(data, recipe, classes=classes, watched=None, seed=seed, threads=threads)
    model = guarded(booster, trees, table, least, threads)
    return replace(
        fitted,
        text=model.text,
        trees=trees,
        undone_splits=model.undone_splits,
        fewest_customers=model.fewest_customers,
    )


def restricted(rows: Labelled, classes: Sequence[int]) -> Labelled:
    """Rows of the given classes with a positive weight, their labels renumbered to positions in `classes`."""
    position = {c: i for i, c in enumerate(classes)}
    label = np.array([position.get(int(c), -1) for c in rows.label], dtype=np.int64)
    keep = np.flatnonzero((label >= 0) & (rows.weight > 0))
    kept = rows.rows(keep)
    return Labelled(kept.table, label[keep], kept.weight)


def _fixed(learn: Labelled, classes: tuple[int, ...], channels: Sequence[int]) -> FittedPreference:
    """Weighted shares of the classes, equal for everybody; equal shares of all channels where nothing was seen."""
    seen = classes or tuple(channels)
    mass = np.bincount(learn.label, weights=learn.weight, minlength=len(seen)) + _SMOOTHING
    return FittedPreference(None, seen, Unchanged(), tuple((mass / mass.sum()).tolist()), 0)
