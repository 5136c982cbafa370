"""Fits all models of a bundle: response, both preferences, margin; on one part, chosen on another; judges nothing."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from models.artefact import Floats
from models.boosting import Recipe
from models.intervals import History
from models.margin import Margin, fixed_margin
from models.margin_fit import fit_margin
from models.preference import FittedPreference, Labelled, fit_preference, refit_preference
from models.tables import Table, mapped
from training.columns import events_read, purchases_read
from training.contact_preference import fit_contact, refit_contact
from training.effect_views import people_terms
from training.heads import ENGAGEMENT, head_channels, labelled_rows
from training.learners import Contender, Fitted, fit_learners, refit_learner
from training.search import Task, Tried, search_recipe
from training.splits import sample_customers
from training.study import Part, Study

_STEPS = Recipe(trees=60, learning_rate=0.15, leaves=7, rows_per_leaf=60, feature_fraction=0.3)
_MARGIN_ROWS = 50_000

Told = Callable[[float, float], None]


@dataclass(frozen=True)
class Models:
    """All that was fitted, and how: the recipe of the trees, the trials of its search, the learners that contended."""

    recipe: Recipe
    tried: tuple[Tried, ...]
    contenders: tuple[Contender, ...]
    response: Fitted
    contact: FittedPreference
    engagement: FittedPreference
    margin: Margin
    history: History


def fit_models(
    study: Study, learn: Part, choose: Part, propensity: Floats, storage: Path | None, name: str, told: Told
) -> Models:
    """Fits on `learn`, and chooses trees, parameters, learner and calibration on `choose`.

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
    price = params.training.nats_per_1000_splits
    task = Task(learn.table, learn.response, choose.table, choose.response, params.seed, params.threads, price)
    found = search_recipe(task, study.profile, storage, name, told)
    response, contenders = fit_learners(study, found, learn, choose, propensity)
    effects = response.learned.effects
    least = params.training.min_customers_per_leaf
    engagement = fit_preference(
        _labelled(study, learn, ENGAGEMENT, propensity),
        _labelled(study, choose, ENGAGEMENT, propensity),
        _STEPS,
        head_channels(study, ENGAGEMENT),
        least=least,
        seed=params.seed,
        threads=params.threads,
    )
    return Models(
        recipe=found.recipe,
        tried=found.tried,
        contenders=contenders,
        response=response,
        contact=fit_contact(study, learn, choose, propensity, () if effects is None else effects.cells),
        engagement=engagement,
        margin=_margin(study, learn),
        history=_history(study, learn),
    )


def refit_models(study: Study, models: Models, everything: Part, propensity: Floats) -> Models:
    """The same models fitted on all customers and all time; learner, rounds, calibration and strata are kept."""
    params = study.params
    least = params.training.min_customers_per_leaf
    told = {"least": least, "seed": params.seed, "threads": params.threads}
    steps = _labelled(study, everything, ENGAGEMENT, propensity)
    return replace(
        models,
        response=refit_learner(study, models.response, models.recipe, everything, propensity),
        contact=refit_contact(study, models.contact, everything),
        engagement=refit_preference(models.engagement, steps, _STEPS, **told),
        margin=_margin(study, everything),
    )


def _labelled(study: Study, part: Part, head: str, propensity: Floats) -> Labelled:
    return labelled_rows(study, part, head, propensity)[0]


def _margin(study: Study, part: Part) -> Margin:
    target = study.params.target
    if target.worth_eur is not None:
        return fixed_margin(target.worth_eur)
    names = study.source.names
    typical, count = (name if name in names else None for name in purchases_read(study.params))
    read = {typical, count, *(column.name for column in study.source.demographic)}
    rows = sample_customers(np.flatnonzero(part.response > 0), part.table.customer, study.hashes, _MARGIN_ROWS)
    view = part.table.rows(rows).columns([i for i, name in enumerate(names) if name in read])
    table = Table(view.matrix, view.names, view.categorical, view.customer)
    if typical is None or count is None or _buyers(table, count) < study.params.training.min_customers_per_leaf:
        typical = count = None
    return fit_margin(table, part.margin_eur[rows], typical, count, people_terms(study, table))


def _buyers(table: Table, count: str) -> int:
    """Distinct customers with purchases behind them."""
    return len(np.unique(table.customer[table.matrix[:, table.names.index(count)] > 0]))


def _history(study: Study, part: Part) -> History:
    """Strata by the events of the longest window; the median among those with any parts short from long."""
    found = [_position(study, name) for name in events_read(study.params)]
    columns: tuple[int, ...] = tuple(position for position in found if position is not None)
    if not columns:
        return History(columns=(), long_from=1.0)
    read = part.table.columns(sorted(columns))
    events: Floats = mapped(read, lambda block: np.nansum(block.astype(np.float64), axis=1))
    some = events[events > 0]
    return History(columns=columns, long_from=float(np.median(some)) if len(some) else 1.0)


def _position(study: Study, name: str) -> int | None:
    return study.source.names.index(name) if name in study.source.names else None
