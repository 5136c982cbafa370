"""The learners of the response, one protocol: each fits on the rows that teach; later rows say which one is taken.

joint      one model of trees over customer × action (S-learner), with the candidate channel's own history as columns
additive   trees of what comes without contact, and random effects of what a contact adds, with cells of those pairs of
           people's columns that tell something together (`training.additive`)
doubly robust  the same trees, and what a contact changes in probability, up or down (`training.doubly_robust`)

`training.profiles` says which contend; joint always does, for it remains where the others cannot be used. The lowest
log loss on later decisions wins; of those that are worse by less than two standard errors of the difference, clustered
by customer, the one that costs least to score (after the rule of one standard error: Breiman et al. 1984, 3.4.3).
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Final

import numpy as np

from contract.params import LearnerName
from models.artefact import Floats, Ints
from models.boosting import Recipe, boost, dataset, guarded
from models.calibration import Unchanged, binary_log_losses
from models.calibration_fit import choose_binary, clustered_mean
from models.effect_terms import Term
from models.leaves import GuardedModel
from models.marks import Marks, unmarked
from models.response import Learned, Response
from models.tables import Rows, Table, mapped
from training.additive import (
    Base,
    Binned,
    Followed,
    Rates,
    Seen,
    base_of,
    excess_of,
    first_rates,
    fit_base,
    fit_effects,
    telling_cells,
    why_not,
)
from training.appeals import fit_appeal
from training.credit import Credit, credits_of
from training.doubly_robust import Lesson, fit_doubly_robust, why_not_weighed
from training.effect_views import cell_terms, columns_read, effect_terms, fine_cells
from training.search import Found
from training.splits import sample_customers
from training.study import Part, Study
from training.tastes import answered_cells, fit_taste
from training.told import Told

JOINT: Final = "joint"
ADDITIVE: Final = "additive"
DOUBLY_ROBUST: Final = "doubly robust"
_FEWEST_FOR_CELLS, _CONTACTS_FOR_CELLS, _ANSWERS_FOR_CELLS = 20_000, 200_000, 50_000
"""Contacts, at least and at most, that say which pairs of people's columns tell something together. Answers are many,
so fewer contacts tell what they say.
"""
_CHEAPEST_FIRST: Final[tuple[LearnerName, ...]] = (ADDITIVE, DOUBLY_ROBUST, JOINT)
_SURE: Final = 2.0
"""Standard errors by which a learner must predict better than a cheaper one: see decision 0042."""


@dataclass(frozen=True)
class Fitted:
    """What a learner made of the rows that teach: its trees, their rounds, and the whole with its calibration.

    spread: by which factor the log rates of trees without contact were stretched. credit: to whom responses are owed,
    of a learner that tells.
    """

    name: LearnerName
    trees: GuardedModel
    rounds: int
    learned: Learned
    spread: float = 1.0
    credit: tuple[Credit, ...] = ()

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
    """Rows in the two forms that learners read: all columns on demand, those of the effects in memory.

    propensity: (n,), of the action taken, NaN where unknown.
    """

    part: Part
    views: Table
    propensity: Floats

    @classmethod
    def of(cls, study: Study, part: Part, propensity: Floats) -> "_Side":
        """Of a part and the propensities of all decisions; its columns that effects read are computed once."""
        table = part.table.columns(columns_read(study))
        views = Table(table.matrix, table.names, table.categorical, table.customer)
        return cls(part, views, propensity[part.rows])

    def answers(self, contacted: Ints, channels: int) -> Followed:
        """Whether these contacts among the rows were answered."""
        return Followed.answers(self.views.rows(contacted), self.part, contacted, channels)


def fit_learners(
    study: Study, found: Found, learn: Part, choose: Part, propensity: Floats
) -> tuple[Fitted, tuple[Contender, ...]]:
    """The learner that predicts best on `choose`, and how all did.

    Args:
        study: what is trained.
        found: the joint model's trees, as the search left them, and the binned rows.
        learn: the rows that teach.
        choose: later rows of the same customers.
        propensity: (n decisions,), of the action taken, logged or estimated; NaN where neither.
    """
    joint = _joint(study, found, learn)
    fitted, refused = [joint], _refused(study, learn, propensity)
    names = [name for name in study.profile.learners if name != JOINT and name not in refused]
    if names:
        sides = [_Side.of(study, part, propensity) for part in (learn, choose)]
        fitted += _beside(study, names, _Begun(found, joint), sides[0], sides[1])
    calibrated = [_calibrated(study, each, choose) for each in fitted]
    taken, contenders = choose_learner(
        [each.name for each, _ in calibrated],
        [binary_log_losses(p, choose.response) for _, p in calibrated],
        choose.table.customer,
    )
    contenders += tuple(Contender(name, None, None, None, False, reason) for name, reason in refused.items())
    return calibrated[taken][0], contenders


def choose_learner(
    names: Sequence[LearnerName], losses: Sequence[Floats], customer: Ints
) -> tuple[int, tuple[Contender, ...]]:
    """Which learner is taken, the cheapest of those that the best does not surely beat, and the losses.

    Args:
        names: of the learners.
        losses: of each, (n,), log losses of the same decisions.
        customer: (n,), of the decisions.
    """
    means = [float(loss.mean()) for loss in losses]
    best, weight = int(np.argmin(means)), np.ones(len(customer))
    gaps = [clustered_mean(loss - losses[best], weight, customer) for loss in losses]
    near = [i for i, (worse, error) in enumerate(gaps) if worse <= _SURE * error]
    taken = min(near, key=lambda i: _CHEAPEST_FIRST.index(names[i]))
    return taken, tuple(
        Contender(name, mean, worse, error, i == taken)
        for i, (name, mean, (worse, error)) in enumerate(zip(names, means, gaps, strict=True))
    )


def refit_learner(study: Study, fitted: Fitted, recipe: Recipe, everything: Part, propensity: Floats) -> Fitted:
    """The same learner on more rows; the number of rounds, the terms and the calibration are kept.

    Args:
        study: what is trained.
        fitted: what it was on fewer rows.
        recipe: of its trees.
        everything: the rows.
        propensity: (n decisions,), as in `fit_learners`.
    """
    params, effects = study.params, fitted.learned.effects
    least, threads = params.training.min_customers_per_leaf, params.threads
    data = dataset(everything.table, everything.response, None, threads)
    recipe = recipe.model_copy(update={"trees": fitted.rounds})
    if effects is None:
        booster, rounds, _ = boost(data, recipe, classes=1, watched=None, seed=params.seed, threads=threads)
        trees = guarded(booster, rounds, everything.table, least, threads)
        return Fitted(fitted.name, trees, fitted.rounds, replace(fitted.learned, text=trees.text))
    side = _Side.of(study, everything, propensity)
    if fitted.name == DOUBLY_ROBUST:
        again = _doubly_robust(study, Binned(data, None), side, effects.terms, recipe, fitted.spread)
        return replace(again, learned=replace(again.learned, calibration=fitted.learned.calibration))
    views, seen = side.views, Seen.of(everything)
    rates = Rates(base_of(fitted.trees.text, everything.table, threads), excess_of(effects, views, seen.action))
    marks = rates.marks(seen, len(params.outbound))
    without = rates.expected_without(seen, marks)
    found = fit_base(study, Binned(data, None), everything, (without, None), recipe, spread=fitted.spread)
    base = base_of(found.trees.text, everything.table, threads)
    told = _told(study, side, effects.terms)
    effects = fit_effects(effects.terms, params.outbound, Followed(views, seen, base, marks), told)
    learned = replace(fitted.learned, text=found.trees.text, effects=effects)
    return replace(fitted, trees=found.trees, learned=learned)


def _joint(study: Study, found: Found, learn: Part) -> Fitted:
    least = study.params.training.min_customers_per_leaf
    trees = guarded(found.booster, found.trees, learn.table, least, study.params.threads)
    return Fitted(JOINT, trees, found.trees, Learned(trees.text, None, Unchanged()))


def _refused(study: Study, learn: Part, propensity: Floats) -> dict[LearnerName, str]:
    """Learners of the profile that cannot be used here, and why."""
    reason = why_not(study, learn)
    found: dict[LearnerName, str] = {}
    if reason is not None:
        found |= {name: reason for name in study.profile.learners if name != JOINT}
    if DOUBLY_ROBUST in study.profile.learners and DOUBLY_ROBUST not in found:
        unknown = why_not_weighed(propensity[learn.rows])
        found |= {} if unknown is None else {DOUBLY_ROBUST: unknown}
    return found


@dataclass(frozen=True, eq=False)
class _Begun:
    """What the search found, and the joint learner made of it."""

    found: Found
    joint: Fitted

    def base(self, study: Study, terms: tuple[Term, ...], learn: _Side, choose: _Side) -> tuple[Base, Marks]:
        """Trees of what comes without contact, from the joint learner's probabilities on; and marks."""
        names, threads, outbound = study.source.names, study.params.threads, study.params.outbound
        sides, seen = (learn, choose), [Seen.of(side.part) for side in (learn, choose)]
        predicted = [self.joint.predict(names, side.part.table, threads) for side in sides]
        rates = [first_rates(each.action, p) for each, p in zip(seen, predicted, strict=True)]
        followed = Followed(learn.views, seen[0], rates[0].base, unmarked(len(outbound)))
        effects = fit_effects(terms, outbound, followed)
        rates = [
            Rates(rate.base, excess_of(effects, side.views, each.action))
            for rate, side, each in zip(rates, sides, seen, strict=True)
        ]
        marks = rates[0].marks(seen[0], len(outbound))
        without = [rate.expected_without(each, marks) for rate, each in zip(rates, seen, strict=True)]
        binned = Binned(self.found.data, self.found.watched)
        told = (without[0], without[1])
        return fit_base(study, binned, learn.part, told, self.found.recipe, choose=choose.part), marks


def _beside(study: Study, names: Sequence[LearnerName], begun: _Begun, learn: _Side, choose: _Side) -> Iterator[Fitted]:
    """The learners of these names: all have effects beside trees of what comes without contact."""
    contacted = np.flatnonzero(learn.part.action > 0)
    plain = effect_terms(study, learn.views.rows(contacted))
    found, marks = begun.base(study, plain, learn, choose)
    base, seen = base_of(found.trees.text, learn.part.table, study.params.threads), Seen.of(learn.part)
    followed = Followed(learn.views, seen, base, marks)
    for name in names:
        if name == DOUBLY_ROBUST:
            recipe = begun.found.recipe.model_copy(update={"trees": found.rounds})
            yield _doubly_robust(study, Binned(begun.found.data, None), learn, plain, recipe, found.spread)
            continue
        terms = plain + _cells(study, learn, plain, followed)
        effects = fit_effects(terms, study.params.outbound, followed, _told(study, learn, terms))
        learned = Learned(found.trees.text, effects, Unchanged())
        rates = Rates(base, excess_of(effects, learn.views, seen.action))
        credit = tuple(credits_of(study.params.outbound, seen, rates, marks))
        yield Fitted(name, found.trees, found.rounds, learned, found.spread, credit)


def _cells(study: Study, learn: _Side, plain: tuple[Term, ...], followed: Followed) -> tuple[Term, ...]:
    """Cells of the pairs of people's columns that tell something together beside the plain terms: of what contacts add,
    read finely, or of who answers.
    """
    contacted = np.flatnonzero(followed.seen.action > 0)
    if len(contacted) < _FEWEST_FOR_CELLS:
        return ()
    some = sample_customers(contacted, learn.part.table.customer, study.hashes, _CONTACTS_FOR_CELLS)
    chosen, outbound = followed.rows(some), study.params.outbound
    cells = cell_terms(study, chosen.views)
    of_contacts = telling_cells(plain, cells, outbound, chosen)
    fewer = sample_customers(some, learn.part.table.customer, study.hashes, _ANSWERS_FOR_CELLS)
    of_answers = answered_cells(plain, cells, outbound, learn.answers(fewer, len(outbound)))
    told = {cell.columns for cell in of_contacts}
    rest = (cell for cell in of_answers if cell.columns not in told)
    return (*fine_cells(study, chosen.views, of_contacts), *rest)


def _told(study: Study, side: _Side, terms: tuple[Term, ...]) -> Told:
    """What answers to the contacts of a side say, by these terms."""
    contacted = np.flatnonzero(side.part.action > 0)
    outbound = study.params.outbound
    answers = side.answers(contacted, len(outbound))
    return Told(fit_taste(terms, outbound, answers), fit_appeal(terms, outbound, answers))


def _doubly_robust(
    study: Study, data: Binned, side: _Side, terms: tuple[Term, ...], recipe: Recipe, spread: float
) -> Fitted:
    lesson = Lesson(side.part, side.views, side.propensity, data, terms, recipe, spread)
    trees, effects = fit_doubly_robust(study, lesson)
    return Fitted(DOUBLY_ROBUST, trees, recipe.trees, Learned(trees.text, effects, Unchanged()), spread)


def _calibrated(study: Study, fitted: Fitted, choose: Part) -> tuple[Fitted, Floats]:
    """With the calibration that wins on `choose`, and the probabilities there."""
    raw = fitted.predict(study.source.names, choose.table, study.params.threads)
    calibration = choose_binary(raw, choose.response, choose.table.customer)
    return replace(fitted, learned=replace(fitted.learned, calibration=calibration)), calibration.apply(raw)
