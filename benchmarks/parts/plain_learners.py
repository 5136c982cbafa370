"""What plain work with LightGBM makes of a world: response models, S- and T-learner, and one taught by the truth.

All are given the same rows and columns, and their gains go through the same allocation. None is of the product.
"""

from typing import Any, Final

import lightgbm as lgb
import numpy as np
import numpy.typing as npt

from benchmarks.parts.retail_world import Floats, Ints, Matrix, PlainRows, RetailWorld
from features.matrix import ACTION

FOLDS: Final = 5
MOST_TREES, PATIENCE = 400, 20

_PARAMETERS: Final[dict[str, Any]] = {
    "learning_rate": 0.1,
    "max_bin": 63,
    "num_leaves": 15,
    "min_data_in_leaf": 100,
    "lambda_l2": 1.0,
    "feature_fraction": 0.5,
    "bagging_fraction": 0.8,
    "bagging_freq": 1,
    "deterministic": True,
    "force_col_wise": True,
    "verbosity": -1,
}


def fold_of(customer: Ints, seed: int) -> Ints:
    """(n,) in [0, FOLDS), the same for all rows of a customer."""
    folds = np.random.default_rng(seed).integers(0, FOLDS, int(customer.max()) + 1)
    return np.asarray(folds[customer], dtype=np.int64)


def boosted(
    matrix: Matrix,
    target: npt.NDArray[Any],
    watched: npt.NDArray[np.bool_],
    categorical: tuple[int, ...],
    parameters: dict[str, Any],
) -> lgb.Booster:
    """A booster of the rows that are not watched, with as many trees as the watched rows like best."""
    learn = lgb.Dataset(matrix[~watched], target[~watched], categorical_feature=list(categorical), params=parameters)
    stop = learn.create_valid(matrix[watched], target[watched])
    patience = lgb.early_stopping(PATIENCE, verbose=False)
    return lgb.train(parameters, learn, MOST_TREES, valid_sets=[stop], callbacks=[patience])


def s_responses(world: RetailWorld, learn: PlainRows) -> Floats:
    """(n, k + 1), one model with the action as a column; column 0 is no contact."""
    watched = fold_of(learn.customer, world.params.seed) == 0
    model = boosted(learn.matrix, learn.response, watched, learn.categorical, plain_parameters(world, "binary"))
    matrix, at = world.scored.matrix.copy(), learn.names.index(ACTION)
    found = np.empty((len(matrix), len(world.truth.channels) + 1))
    for action in range(found.shape[1]):
        matrix[:, at] = action
        found[:, action] = model.predict(matrix)
    return found


def t_responses(world: RetailWorld, learn: PlainRows) -> Floats:
    """(n, k + 1), a model per action, each of the rows of its action alone."""
    watched = fold_of(learn.customer, world.params.seed) == 0
    found = np.empty((len(world.scored.matrix), len(world.truth.channels) + 1))
    settings = plain_parameters(world, "binary")
    for action in range(found.shape[1]):
        own = learn.action == action
        model = boosted(learn.matrix[own], learn.response[own], watched[own], learn.categorical, settings)
        found[:, action] = model.predict(world.scored.matrix)
    return found


def worth_eur(world: RetailWorld, learn: PlainRows) -> Floats:
    """(n,) EUR a response of each customer is worth: the mean basket of the year, or everybody's, scaled to margin."""
    usual = float(np.nanmean(learn.basket_eur))
    taught = np.where(np.isfinite(learn.basket_eur), learn.basket_eur, usual)[learn.response > 0]
    scale = float(learn.margin_eur[learn.response > 0].mean() / taught.mean())
    basket = world.scored.basket_eur
    return scale * np.where(np.isfinite(basket), basket, usual)


def uplift_gains(world: RetailWorld, learn: PlainRows, responses: Floats) -> Floats:
    """(n, k) EUR: what a contact adds to the response, times its worth, less its cost."""
    return uplift_worth(world, learn, responses[:, 1:] - responses[:, :1])


def uplift_worth(world: RetailWorld, learn: PlainRows, uplift: Floats) -> Floats:
    """(n, k) EUR of uplifts (n, k) in probability, less the cost."""
    return np.asarray(uplift * worth_eur(world, learn)[:, None] - world.truth.cost_eur[1:])


def response_gains(world: RetailWorld, learn: PlainRows, responses: Floats) -> Floats:
    """(n, k) EUR: the response when contacted, as if it were owed to the contact, times its worth, less its cost."""
    return uplift_worth(world, learn, responses[:, 1:])


def taught_by_truth(world: RetailWorld) -> Floats:
    """(n, k) EUR: the true gains, learned without noise from other customers by their plain columns."""
    scored, truth = world.scored, world.truth.gain_eur[:, 1:]
    fold = fold_of(scored.customer, world.params.seed)
    found = np.empty_like(truth)
    settings = plain_parameters(world, "regression") | {"min_data_in_leaf": 20, "learning_rate": 0.05}
    for held in range(FOLDS):
        learned = fold != held
        watched = (fold == (held + 1) % FOLDS)[learned]
        for channel in range(truth.shape[1]):
            model = boosted(scored.matrix[learned], truth[learned, channel], watched, scored.categorical, settings)
            found[~learned, channel] = model.predict(scored.matrix[~learned])
    return found


def plain_parameters(world: RetailWorld, objective: str) -> dict[str, Any]:
    """LightGBM's parameters of every plain learner."""
    return {**_PARAMETERS, "objective": objective, "seed": world.params.seed, "num_threads": world.params.threads}
