"""Fits all models of a bundle: response, both preferences, margin; on one part, chosen on another; judges nothing."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from contract.kinds import Role
from models.artefact import Floats, Ints
from models.boosting import Recipe
from models.intervals import History
from models.margin import Margin, fit_margin, fixed_margin
from models.preference import FittedPreference, Labelled, exposure_weights, fit_preference, refit_preference
from models.tables import mapped
from training.columns import events_read, purchases_read
from training.learners import Contender, Fitted, fit_learners, refit_learner
from training.search import Task, Tried, search_recipe
from training.splits import sample_customers
from training.study import Part, Study

# Preferences are learned from fewer rows: each costs as many trees a round as there are channels.
_HEAD = Recipe(trees=60, learning_rate=0.15, leaves=7, rows_per_leaf=60, feature_fraction=0.3)
_HEAD_SHARE = 8
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
    task = Task(learn.table, learn.response, choose.table, choose.response, params.seed, params.threads)
    found = search_recipe(task, study.profile, storage, name, told)
    response, contenders = fit_learners(study, found, learn, choose, propensity)
    least = params.training.min_customers_per_leaf
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
        tried=found.tried,
        contenders=contenders,
        response=response,
        contact=contact,
        engagement=engagement,
        margin=_margin(study, learn),
        history=_history(study, learn),
    )


def refit_models(study: Study, models: Models, everything: Part, propensity: Floats) -> Models:
    """The same models fitted on all customers and all time; learner, rounds, calibration and strata are kept."""
    params = study.params
    least = params.training.min_customers_per_leaf
    heads = {}
    for head, fitted in ((CONTACT, models.contact), (ENGAGEMENT, models.engagement)):
        rows = _labelled(study, everything, head, propensity)
        heads[head] = refit_preference(fitted, rows, _HEAD, least=least, seed=params.seed, threads=params.threads)
    return replace(
        models,
        response=refit_learner(study, models.response, models.recipe, everything, propensity),
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
    value, count = (_position(study, name) for name in purchases_read(study.params))
    rows = np.flatnonzero(part.response > 0)[:_MARGIN_ROWS]
    return fit_margin(part.table.rows(rows).matrix, part.margin_eur[rows], value, count)


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


def held_out_labels(study: Study, part: Part, head: str, propensity: Floats) -> tuple[Labelled, Ints]:
    """Held-out rows that show a head's outcome, and the channels that it may name."""
    return _labelled(study, part, head, propensity), np.array(_channels(study, head), dtype=np.int64)
