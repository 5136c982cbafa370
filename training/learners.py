"""The learners of the response, one protocol: each fits on the rows that teach; later rows say which one is taken.

joint      one model of trees over customer × action (S-learner), with the candidate channel's own history as columns
additive   trees of what comes without contact, and random effects of what a contact adds (`training.additive`)
cells      the same, with effects for pairs of demographic columns as well

The lowest log loss on later decisions wins; of those that are worse by less than one standard error of the difference,
clustered by customer, the one that costs least to score (the rule of one standard error: Breiman et al. 1984, 3.4.3).
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Final

import numpy as np

from models.artefact import Floats, Ints
from models.boosting import Recipe, boost, dataset, guarded
from models.calibration import Unchanged, binary_log_losses, choose_binary, clustered_mean
from models.leaves import GuardedModel
from models.response import Learned, Response
from models.tables import Rows, Table, mapped
from training.additive import Binned, Rates, base_of, excess_of, first_rates, fit_base, fit_effects, why_not
from training.effect_views import columns_read, effect_terms
from training.search import Found
from training.study import Part, Study

JOINT: Final = "joint"
ADDITIVE: Final = "additive"
CELLS: Final = "additive with cells"
_CHEAPEST_FIRST: Final = (ADDITIVE, CELLS, JOINT)


@dataclass(frozen=True)
class Fitted:
    """What a learner made of the rows that teach: its trees, their rounds, and the whole with its calibration."""

    name: str
    trees: GuardedModel
    rounds: int
    learned: Learned

    def over(self, columns: Sequence[str]) -> Response:
        """The response over whole rows of these columns."""
        return Response.of_rows(self.learned, tuple(columns))

    def predict(self, columns: Sequence[str], table: Rows, threads: int) -> Floats:
        """(n,) calibrated probability of a response to the action that each row bears."""
        response = self.over(columns)
        return mapped(table, lambda block: response.probability(block, threads=threads)[:, 0])


@dataclass(frozen=True)
class Contender:
    """A learner where the choice was made.

    loss: log loss, nats a decision; worse: than the best by so much, error: the standard error of that; taken: whether
    it was; why_not: why it could not be used, else empty.
    """

    name: str
    loss: float | None
    worse: float | None
    error: float | None
    taken: bool
    why_not: str = ""


@dataclass(frozen=True, eq=False)
class _Side:
    """Rows in the two forms that learners read: all columns on demand, those of the effects in memory."""

    part: Part
    views: Table

    @classmethod
    def of(cls, study: Study, part: Part) -> "_Side":
        """Of a part; its columns that effects read are computed once."""
        table = part.table.columns(columns_read(study))
        return cls(part, Table(table.matrix, table.names, table.categorical, table.customer))


def fit_learners(study: Study, found: Found, learn: Part, choose: Part) -> tuple[Fitted, tuple[Contender, ...]]:
    """The learner that predicts best on `choose`, and how all did.

    Args:
        study: what is trained.
        found: the joint model's trees, as the search left them, and the binned rows.
        learn: the rows that teach.
        choose: later rows of the same customers.
    """
    joint = _joint(study, found, learn)
    fitted, reason = [joint], why_not(study, learn)
    if reason is None:
        fitted += _additive(study, found, joint, _Side.of(study, learn), _Side.of(study, choose))
    calibrated = [_calibrated(study, each, choose) for each in fitted]
    taken, contenders = choose_learner(
        [each.name for each, _ in calibrated],
        [binary_log_losses(p, choose.response) for _, p in calibrated],
        choose.table.customer,
    )
    if reason is not None:
        contenders += tuple(Contender(name, None, None, None, False, reason) for name in (ADDITIVE, CELLS))
    return calibrated[taken][0], contenders


def choose_learner(names: Sequence[str], losses: Sequence[Floats], customer: Ints) -> tuple[int, tuple[Contender, ...]]:
    """Which learner is taken, and the losses.

    Args:
        names: of the learners.
        losses: of each, (n,), log losses of the same decisions.
        customer: (n,), of the decisions.
    """
    means = [float(loss.mean()) for loss in losses]
    best, weight = int(np.argmin(means)), np.ones(len(customer))
    gaps = [clustered_mean(loss - losses[best], weight, customer) for loss in losses]
    near = [i for i, (worse, error) in enumerate(gaps) if worse <= error]
    taken = min(near, key=lambda i: _CHEAPEST_FIRST.index(names[i]))
    return taken, tuple(
        Contender(name, mean, worse, error, i == taken)
        for i, (name, mean, (worse, error)) in enumerate(zip(names, means, gaps, strict=True))
    )


def refit_learner(study: Study, fitted: Fitted, recipe: Recipe, everything: Part) -> Fitted:
    """The same learner on more rows; the number of rounds, the terms and the calibration are kept.

    Args:
        study: what is trained.
        fitted: what it was on fewer rows.
        recipe: of its trees.
        everything: the rows.
    """
    params, effects = study.params, fitted.learned.effects
    least, threads = params.training.min_customers_per_leaf, params.threads
    data = dataset(everything.table, everything.response, None, threads)
    recipe = recipe.model_copy(update={"trees": fitted.rounds})
    if effects is None:
        booster, rounds, _ = boost(data, recipe, classes=1, watched=None, seed=params.seed, threads=threads)
        trees = guarded(booster, rounds, everything.table, least, threads)
        return Fitted(fitted.name, trees, fitted.rounds, replace(fitted.learned, text=trees.text))
    views, action = _Side.of(study, everything).views, everything.action
    rates = Rates(base_of(fitted.trees.text, everything.table, threads), excess_of(effects, views, action))
    without = rates.expected_without(everything.response)
    trees, _ = fit_base(study, Binned(data, None), everything, (without, None), recipe)
    base = base_of(trees.text, everything.table, threads)
    effects = fit_effects(effects.terms, params.outbound, views, action, everything.response, base)
    return Fitted(fitted.name, trees, fitted.rounds, replace(fitted.learned, text=trees.text, effects=effects))


def _joint(study: Study, found: Found, learn: Part) -> Fitted:
    least = study.params.training.min_customers_per_leaf
    trees = guarded(found.booster, found.trees, learn.table, least, study.params.threads)
    return Fitted(JOINT, trees, found.trees, Learned(trees.text, None, Unchanged()))


def _additive(study: Study, found: Found, joint: Fitted, learn: _Side, choose: _Side) -> Iterator[Fitted]:
    """Without and with cells, beside the same trees."""
    names, threads, outbound = study.source.names, study.params.threads, study.params.outbound
    contacts = learn.views.rows(np.flatnonzero(learn.part.action > 0))
    plain = effect_terms(study, contacts, interactions=False)
    rates = [first_rates(side.part.action, joint.predict(names, side.part.table, threads)) for side in (learn, choose)]
    outcome, action = learn.part.response, learn.part.action
    effects = fit_effects(plain, outbound, learn.views, action, outcome, rates[0].base)
    without = [
        Rates(rate.base, excess_of(effects, side.views, side.part.action)).expected_without(side.part.response)
        for rate, side in zip(rates, (learn, choose), strict=True)
    ]
    binned = Binned(found.data, found.watched)
    trees, rounds = fit_base(study, binned, learn.part, (without[0], without[1]), found.recipe)
    base = base_of(trees.text, learn.part.table, threads)
    for name, terms in ((ADDITIVE, plain), (CELLS, effect_terms(study, contacts, interactions=True))):
        effects = fit_effects(terms, outbound, learn.views, action, outcome, base)
        yield Fitted(name, trees, rounds, Learned(trees.text, effects, Unchanged()))


def _calibrated(study: Study, fitted: Fitted, choose: Part) -> tuple[Fitted, Floats]:
    """With the calibration that wins on `choose`, and the probabilities there."""
    raw = fitted.predict(study.source.names, choose.table, study.params.threads)
    calibration = choose_binary(raw, choose.response, choose.table.customer)
    return replace(fitted, learned=replace(fitted.learned, calibration=calibration)), calibration.apply(raw)
