"""Fits all models of a bundle: response, both preferences, margin; on one part, chosen on another; judges nothing."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import lightgbm as lgb
import numpy as np

from contract.kinds import Role
from features.catalogue import subjects
from features.grammar import Count, Sum
from models.artefact import Floats, Ints, Matrix
from models.boosting import Recipe, boost, dataset, guarded
from models.calibration import BinaryMap, choose_binary
from models.intervals import History
from models.leaves import GuardedModel
from models.margin import Margin, fit_margin, fixed_margin
from models.preference import FittedPreference, Labelled, exposure_weights, fit_preference, refit_preference
from training.search import Task, search_recipe
from training.splits import sample_customers
from training.study import Part, Study

# Preferences are learned from fewer rows: each costs as many trees a round as there are channels.
_HEAD = Recipe(trees=60, learning_rate=0.15, leaves=7, rows_per_leaf=60, feature_fraction=0.3)
_HEAD_SHARE = 8
_MARGIN_ROWS = 50_000

Told = Callable[[float, float], None]


@dataclass(frozen=True)
class Models:
    """All that was fitted, and how: the recipe and number of trees, trials run."""

    recipe: Recipe
    trees: int
    trials: int
    response: GuardedModel
    calibration: BinaryMap
    contact: FittedPreference
    engagement: FittedPreference
    margin: Margin
    history: History

    def predict(self, matrix: Matrix, threads: int) -> Floats:
        """Calibrated response of each row of (n, p), shape (n,)."""
        booster = lgb.Booster(model_str=self.response.text)
        return self.calibration.apply(np.asarray(booster.predict(matrix, num_threads=threads), dtype=np.float64))


def fit_models(
    study: Study, learn: Part, choose: Part, propensity: Floats, storage: Path | None, name: str, told: Told
) -> Models:
    """Fits on `learn`, and chooses trees, parameters and calibration on `choose`.

    Args:
        study: what is trained.
        learn: the rows that teach.
        choose: later rows of the same customers.
        propensity: (n decisions,), of the action taken, logged or estimated; NaN where neither.
        storage: where the search keeps its trials.
        name: of the search.
        told: of the progress of the response model.
    """
    params = study.params
    task = Task(learn.table, learn.response, choose.table, choose.response, params.seed, params.threads)
    found = search_recipe(task, study.profile, storage, name, told)
    least = params.training.min_customers_per_leaf
    response = guarded(found.booster, found.trees, learn.table, least, params.threads)
    raw = lgb.Booster(model_str=response.text).predict(choose.table.matrix, num_threads=params.threads)
    calibration = choose_binary(np.asarray(raw, dtype=np.float64), choose.response, choose.table.customer)
    contact, engagement = (
        fit_preference(
            _labelled(study, learn, head, propensity),
            _labelled(study, choose, head, propensity),
            _HEAD,
            _channels(study, head),
            least=least,
            seed=params.seed,
            threads=params.threads,
        )
        for head in (CONTACT, ENGAGEMENT)
    )
    return Models(
        recipe=found.recipe,
        trees=found.trees,
        trials=found.trials,
        response=response,
        calibration=calibration,
        contact=contact,
        engagement=engagement,
        margin=_margin(study, learn),
        history=_history(study, learn),
    )


def refit_models(study: Study, models: Models, everything: Part, propensity: Floats) -> Models:
    """The same models fitted on all customers and all time; trees, calibration and strata are kept."""
    params = study.params
    least = params.training.min_customers_per_leaf
    data = dataset(everything.table, everything.response, None, params.threads)
    recipe = models.recipe.model_copy(update={"trees": models.trees})
    booster, trees, _ = boost(data, recipe, classes=1, watched=None, seed=params.seed, threads=params.threads)
    heads = {}
    for head, fitted in ((CONTACT, models.contact), (ENGAGEMENT, models.engagement)):
        rows = _labelled(study, everything, head, propensity)
        heads[head] = refit_preference(fitted, rows, _HEAD, least=least, seed=params.seed, threads=params.threads)
    return replace(
        models,
        response=guarded(booster, trees, everything.table, least, params.threads),
        contact=heads[CONTACT],
        engagement=heads[ENGAGEMENT],
        margin=_margin(study, everything),
    )


CONTACT, ENGAGEMENT = "contact", "engagement"


def _channels(study: Study, head: str) -> list[int]:
    """Indices of the channels that a head may name: outbound ones, or those that record own steps."""
    if head == CONTACT:
        return list(range(len(study.params.outbound)))
    steps = set(study.params.kinds_of(Role.OWN_STEP))
    recording = [i for i, channel in enumerate(study.params.channels.values()) if steps & set(channel.records)]
    return recording or list(range(len(study.params.channels)))


def _labelled(study: Study, part: Part, head: str, propensity: Floats) -> Labelled:
    """The rows of a part that teach a head, without columns that depend on the action taken."""
    decisions = study.decisions
    label = (decisions.answer_channel if head == CONTACT else decisions.own_step_channel)[part.rows].astype(np.int64)
    answered = np.flatnonzero(label >= 0)
    most = max(10_000, study.profile.max_decisions // _HEAD_SHARE)
    kept = sample_customers(answered, part.table.customer, study.hashes, most)
    weight = exposure_weights(propensity[part.rows[kept]]) if head == CONTACT else np.ones(len(kept))
    table = part.table.rows(kept).columns(study.columns(candidate=False))
    return Labelled(table, label[kept], weight)


def _margin(study: Study, part: Part) -> Margin:
    target = study.params.target
    if target.worth_eur is not None:
        return fixed_margin(target.worth_eur)
    year = study.params.features.windows_days[-1]
    purchases = subjects(study.params).purchases
    value, count = (_position(study, feature.name) for feature in (Sum(purchases, year), Count(purchases, year)))
    rows = np.flatnonzero(part.response > 0)[:_MARGIN_ROWS]
    return fit_margin(part.table.matrix[rows], part.margin_eur[rows], value, count)


def _history(study: Study, part: Part) -> History:
    """Strata by the events of the longest window; the median among those with any parts short from long."""
    year = study.params.features.windows_days[-1]
    s = subjects(study.params)
    found = [_position(study, Count(events, year).name) for events in (s.sends, s.answers, s.steps)]
    columns: tuple[int, ...] = tuple(position for position in found if position is not None)
    events: Floats = np.nansum(part.table.matrix[:, list(columns)].astype(np.float64), axis=1)
    some = events[events > 0]
    return History(columns=columns, long_from=float(np.median(some)) if len(some) else 1.0)


def _position(study: Study, name: str) -> int | None:
    return study.source.names.index(name) if name in study.source.names else None


def held_out_labels(study: Study, part: Part, head: str, propensity: Floats) -> tuple[Labelled, Ints]:
    """Held-out rows that show a head's outcome, and the channels that it may name."""
    return _labelled(study, part, head, propensity), np.array(_channels(study, head), dtype=np.int64)
