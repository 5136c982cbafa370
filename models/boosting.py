"""The one way this package fits LightGBM: deterministic, on shared data, with every leaf guarded; saves no file."""

import logging
from collections.abc import Callable, Collection
from typing import Any

import lightgbm as lgb
import numpy as np
import numpy.typing as npt

from contract.errors import UsageError
from models.artefact import Artefact, Floats, Ints, Matrix
from models.leaves import GuardedModel, clear_feature_infos, guard_leaves
from models.tables import BLOCK_ROWS, Rows, mapped


class Recipe(Artefact):
    """What a fit may be told: the shape of the trees and how fast they learn."""

    trees: int
    learning_rate: float = 0.08
    leaves: int = 15
    rows_per_leaf: int = 700
    lambda_l2: float = 5.0
    feature_fraction: float = 0.3
    category_smooth: float = 20.0


class Batches(lgb.Sequence):
    """The rows as LightGBM asks for them to fill a Dataset that has a reference: once, in ascending slices."""

    batch_size = BLOCK_ROWS

    def __init__(self, table: Rows) -> None:
        self._length = len(table.customer)
        self._blocks = table.blocks()
        self._rest = np.zeros((0, len(table.names)), np.float32)
        self._given = 0

    def __len__(self) -> int:
        return self._length

    def __getitem__(self, index: Any) -> Matrix:
        """The next rows.

        Raises:
            UsageError: they are not the next ones.
        """
        if not isinstance(index, slice) or index.start != self._given:
            raise UsageError(
                f"training rows: LightGBM asked for {index}, expected a slice from row {self._given} on; rows are "
                "computed once and in order, which needs a Dataset with reference="
            )
        out = np.empty((index.stop - index.start, self._rest.shape[1]), np.float32)
        filled = 0
        while filled < len(out):
            if len(self._rest) == 0:
                self._rest = next(self._blocks)
            taken = min(len(self._rest), len(out) - filled)
            out[filled : filled + taken] = self._rest[:taken]
            self._rest, filled = self._rest[taken:], filled + taken
        self._given = index.stop
        return out


_LOG = logging.getLogger("channelwise.lightgbm")

# Columns are binned alike in every trial, so that one Dataset serves them all.
_BINNING: dict[str, Any] = {"max_bin": 255, "min_data_in_bin": 10, "feature_pre_filter": False, "verbosity": -1}


# The bounds of bins are learned from a sample: at most so many rows, a quarter of them, or all where there are few.
_MOST_SAMPLED, _SAMPLED_SHARE, _LEAST_SAMPLED = 200_000, 4, 50_000


def sampled_rows(rows: int) -> Ints:
    """Evenly spaced rows from which the bounds of bins are learned, ascending; all of them where there are few."""
    most = min(_MOST_SAMPLED, max(_LEAST_SAMPLED, rows // _SAMPLED_SHARE))
    return np.arange(min(rows, most), dtype=np.int64) * rows // max(1, min(rows, most))


def dataset(table: Rows, label: npt.NDArray[np.generic], weight: Floats | None, threads: int) -> lgb.Dataset:
    """The table binned once, block by block; fits with different recipes share it."""
    # A booster that was read from text resets LightGBM's own verbosity; what it then remarks goes to the debug log.
    lgb.register_logger(_LOG, info_method_name="debug", warning_method_name="debug")
    sample = sampled_rows(len(label))
    if len(sample) == len(label):
        return _binned(table, label, weight, threads)
    reference = _binned(table.rows(sample), label[sample], None, threads)
    return watched_dataset(reference, table, label, weight).construct()


def watched_dataset(
    reference: lgb.Dataset, table: Rows, label: npt.NDArray[np.generic], weight: Floats | None
) -> lgb.Dataset:
    """More rows, binned block by block as those of the reference were."""
    w = None if weight is None else weight.astype(np.float32)
    params = reference.get_params()
    return reference.create_valid(Batches(table), label.astype(np.float32), weight=w, params=params)


def _binned(table: Rows, label: npt.NDArray[np.generic], weight: Floats | None, threads: int) -> lgb.Dataset:
    """The table binned from one matrix, with bounds of bins learned from it."""
    codes = set(table.categorical)
    made = lgb.Dataset(
        table.matrix,
        label.astype(np.float32),
        weight=None if weight is None else weight.astype(np.float32),
        feature_name=[f"c{i}" for i in range(len(table.names))],
        categorical_feature=[i for i, name in enumerate(table.names) if name in codes],
        params={**_BINNING, "num_threads": threads},
        free_raw_data=True,
    )
    return made.construct()


def boost(
    data: lgb.Dataset,
    recipe: Recipe,
    *,
    classes: int,
    watched: lgb.Dataset | None,
    seed: int,
    threads: int,
    after_tree: Callable[[int, float], None] | None = None,
    rates: bool = False,
    unused: Collection[int] = (),
) -> tuple[lgb.Booster, int, float]:
    """A booster, its best number of trees, and its loss on the watched rows (NaN without any).

    Args:
        data: what to learn.
        recipe: how; with watched rows, fitting stops where they have not gained for 20 trees.
        classes: 1 for binary, else the number of classes.
        watched: rows that only stop the fit.
        seed: of columns and rows drawn.
        threads: of LightGBM. The rows that it samples depend on their number, so equal threads give equal trees.
        after_tree: told the number of trees and the watched loss; may raise to stop the fit (a search prunes so).
        rates: the one class is a rate of events (Poisson), and raw scores are its log, instead of log-odds.
        unused: columns on which no tree may split.
    """
    history: list[float] = []

    def note(env: lgb.callback.CallbackEnv) -> None:
        for entry in env.evaluation_result_list or []:
            history.append(float(entry[2]))
            if after_tree is not None:
                after_tree(len(history), history[-1])

    callbacks: list[Callable[..., Any]] = [note]
    if watched is not None:
        callbacks.append(lgb.early_stopping(20, verbose=False))
    params = _lightgbm_parameters(recipe, classes, seed, threads)
    if rates:
        params["objective"] = "poisson"
    if unused:
        params["feature_contri"] = [float(i not in unused) for i in range(data.num_feature())]
    booster = lgb.train(
        params,
        data,
        num_boost_round=recipe.trees,
        valid_sets=None if watched is None else [watched],
        callbacks=callbacks,
    )
    if not history:
        return booster, recipe.trees, float("nan")
    best = int(np.argmin(history))
    return booster, best + 1, history[best]


def _lightgbm_parameters(recipe: Recipe, classes: int, seed: int, threads: int) -> dict[str, Any]:
    kind = {"objective": "binary"} if classes == 1 else {"objective": "multiclass", "num_class": classes}
    return {
        **_BINNING,
        **kind,
        "learning_rate": recipe.learning_rate,
        "num_leaves": recipe.leaves,
        "min_data_in_leaf": recipe.rows_per_leaf,
        "lambda_l2": recipe.lambda_l2,
        "feature_fraction": recipe.feature_fraction,
        "cat_smooth": recipe.category_smooth,
        "max_cat_to_onehot": 32,
        # Rows with small gradients are sampled: halves a fit at equal AUC.
        "data_sample_strategy": "goss",
        "deterministic": True,
        "force_col_wise": True,
        "seed": seed,
        "num_threads": threads,
    }


def stretched(text: str, times: float, by: float) -> str:
    """The model text with every raw score so many times itself and moved by a constant, which the first tree bears."""
    booster = lgb.Booster(model_str=text)
    for at, tree in enumerate(booster.dump_model()["tree_info"]):
        for leaf in range(tree["num_leaves"]):
            moved = times * booster.get_leaf_output(at, leaf) + (by if at == 0 else 0.0)
            booster.set_leaf_output(at, leaf, moved)
    return clear_feature_infos(booster.model_to_string())


def predicted(text: str, table: Rows, threads: int) -> Floats:
    """What a model says of every row, (n,) or (n, classes)."""
    booster = lgb.Booster(model_str=text)
    return mapped(table, lambda block: np.asarray(booster.predict(block, num_threads=threads), dtype=np.float64))


def guarded(booster: lgb.Booster, trees: int, table: Rows, least_customers: int, threads: int) -> GuardedModel:
    """The first `trees` rounds of the booster as text, with at least `least_customers` behind every leaf."""
    cut = lgb.Booster(model_str=booster.model_to_string(num_iteration=trees))
    return guard_leaves(cut, table, least_customers, threads)
