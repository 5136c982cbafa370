"""The doubly robust learner: what a contact changes, right where either the responses or the propensities are known.

After Kennedy (2023, Electronic Journal of Statistics 17, Algorithm 1), with one effect for each action a against no
contact. What a model that never saw the customer expects, μ, is corrected by what happened, weighed by the propensity
e of the action A that was taken:

    φ_a = μ_a − μ_0 + 1[A = a] (Y − μ_a) / e − 1[A = 0] (Y − μ_0) / e

Its mean is the effect in probability if μ is right, and as well if e is. φ is regressed on the terms that the contact
effects read, with random effects that channels share, so an effect may be negative. Where a channel is never open to a
kind of customer nothing corrects μ, and what is learned of them is what the responses of others say.
"""

from dataclasses import dataclass

import numpy as np

from models.artefact import Floats, Ints, Matrix
from models.boosting import Recipe
from models.effect_terms import Term
from models.effects import ContactEffects, response_probability
from models.leaves import GuardedModel
from models.marks import unmarked
from models.random_effects import Differences, fit_differences
from models.tables import Rows, mapped, places_of
from training.additive import (
    Binned,
    Followed,
    Rates,
    Seen,
    base_of,
    design_of,
    excess_of,
    first_rates,
    fit_base,
    fit_effects,
    grow_base,
    layout_of,
)
from training.study import Part, Study

LEAST_PROPENSITY = 1 / 50
"""A smaller one counts as this: no decision weighs more than fifty."""
MOST_UNKNOWN = 0.1
"""Share of decisions whose propensities may be unknown; they teach the responses and no effect."""
_FOLDS = 2
_ROUNDS = 2
_LEAST_SHARE = 0.1


@dataclass(frozen=True, eq=False)
class Weighed:
    """Decisions, and what a model that never saw their customers expects; C outbound channels.

    action, outcome, propensity: (n,), of the action taken, NaN where unknown. expected: (n, 1 + C), probability of a
    response to each action.
    """

    action: Ints
    outcome: Floats
    propensity: Floats
    expected: Floats

    def guesses(self) -> Floats:
        """(n, C) φ: what each channel changes, in probability."""
        at = np.arange(len(self.action))
        error = (self.outcome - self.expected[at, self.action]) / np.maximum(self.propensity, LEAST_PROPENSITY)
        found = self.expected[:, 1:] - self.expected[:, :1]
        none = self.action == 0
        found[none] -= error[none, None]
        found[at[~none], self.action[~none] - 1] += error[~none]
        return found

    def rows(self, keep: Ints) -> "Weighed":
        """The given ones."""
        return Weighed(self.action[keep], self.outcome[keep], self.propensity[keep], self.expected[keep])


@dataclass(frozen=True, eq=False)
class Lesson:
    """What is learned from: a part; views (n, …), the columns that the terms read; propensity (n,), NaN where unknown;
    the part binned; the terms; the recipe of all trees, with their number; spread, as `fit_base` has it.
    """

    part: Part
    views: Rows
    propensity: Floats
    data: Binned
    terms: tuple[Term, ...]
    recipe: Recipe
    spread: float = 1.0


def why_not_weighed(propensity: Floats) -> str | None:
    """Why the learner cannot be used with such propensities (n,), or None."""
    unknown = float(np.isnan(propensity).mean())
    if unknown <= MOST_UNKNOWN:
        return None
    return f"propensities of {unknown:.0%} of the decisions are unknown; at most {MOST_UNKNOWN:.0%} may be"


def fit_doubly_robust(study: Study, lesson: Lesson) -> tuple[GuardedModel, ContactEffects]:
    """The trees of what comes without contact, fitted on all rows, and what contacts change."""
    rates = crossed(study, lesson)
    seen = Seen.of(lesson.part)
    taken = rates.of(seen.action)
    without = taken.expected_without(seen, taken.marks(seen, len(study.params.outbound)))
    base = fit_base(study, lesson.data, lesson.part, (without, None), lesson.recipe, spread=lesson.spread)
    weighed = Weighed(seen.action, seen.response.astype(np.float64), lesson.propensity, rates.probabilities())
    return base.trees, fit_changes(lesson.terms, study.params.outbound, lesson.views, weighed)


def fit_changes(terms: tuple[Term, ...], outbound: tuple[str, ...], views: Rows, weighed: Weighed) -> ContactEffects:
    """What contacts change, in probability.

    Args:
        terms: what the effects read.
        outbound: the channels, in the order of the actions from 1 on.
        views: the columns that the terms read, of n decisions.
        weighed: the decisions.
    """
    known = np.flatnonzero(np.isfinite(weighed.propensity))
    weighed, design = weighed.rows(known), design_of(terms, views.rows(known))
    guesses, alone = weighed.guesses(), weighed.expected[:, 0]
    # Where responses are rare, the guesses hold less noise.
    certainty = 1.0 / np.maximum(alone * (1.0 - alone), _LEAST_SHARE * float(alone.mean()))
    channels = [
        _differences(design, guesses[:, c], certainty, taken=bool((weighed.action == 1 + c).any()))
        for c in range(len(outbound))
    ]
    means = np.array([each.mean for each in channels if each.rows])
    unit = max(float(np.sqrt((means**2).mean())) if len(means) else 0.0, _LEAST_SHARE * float(alone.mean()))
    found = fit_differences(channels, layout_of(terms, outbound), unit)
    weights = tuple(tuple(row) for row in found.weights.tolist())
    return ContactEffects(terms=terms, intercept=tuple(found.intercept.tolist()), weights=weights, link="identity")


def _differences(design: Matrix, guess: Floats, certainty: Floats, *, taken: bool) -> Differences:
    """Of a channel; one that was never taken has nothing to say."""
    rows = len(guess) if taken else 0
    return Differences.of(design[:rows], guess[:rows], certainty[:rows])


@dataclass(frozen=True, eq=False)
class CrossedRates:
    """Of each decision: base (n,), the rate without contact; excess (n, 1 + C), of every action."""

    base: Floats
    excess: Floats

    def of(self, action: Ints) -> Rates:
        """Those of the actions taken."""
        return Rates(self.base, np.take_along_axis(self.excess, action[:, None], axis=1)[:, 0])

    def probabilities(self) -> Floats:
        """(n, 1 + C) of a response to each action."""
        return response_probability(np.log(self.base)[:, None], self.excess)


def folds(customer: Ints) -> Ints:
    """(n,) the fold of each decision: all of a customer lie in one."""
    return np.asarray(np.unique(customer, return_inverse=True)[1] % _FOLDS, dtype=np.int64)


def crossed(study: Study, lesson: Lesson) -> CrossedRates:
    """Rates by models that never saw the customer: those of a fold are fitted on the other."""
    fold, table = folds(lesson.part.table.customer), lesson.part.table
    base, excess = np.zeros(len(fold)), np.zeros((len(fold), 1 + len(study.params.outbound)))
    for each in range(_FOLDS):
        own, other = np.flatnonzero(fold == each), np.flatnonzero(fold != each)
        text, effects = _fitted(study, lesson, other)
        base[own] = base_of(text, table.rows(own), study.params.threads)
        bound = effects.over(places_of(lesson.views.names))
        excess[own] = mapped(lesson.views.rows(own), bound.excess)
    return CrossedRates(base, excess)


def _fitted(study: Study, lesson: Lesson, rows: Ints) -> tuple[str, ContactEffects]:
    """Trees and effects of these rows alone, in turn, from the mean response to each action on."""
    seen = Seen.of(lesson.part).rows(rows)
    table, views = lesson.part.table.rows(rows), lesson.views.rows(rows)
    whole = lesson.data.learn
    data = Binned(whole.subset(rows.tolist(), params=whole.get_params()).construct(), None)
    channels = len(study.params.outbound)
    rates = first_rates(seen.action, _means(seen, 1 + channels)[seen.action])
    text, effects, marks = "", None, unmarked(channels)
    for _ in range(_ROUNDS):
        booster, _rounds = grow_base(study, data, (rates.expected_without(seen, marks), None), lesson.recipe)
        text = booster.model_to_string()
        base = base_of(text, table, study.params.threads)
        effects = fit_effects(lesson.terms, study.params.outbound, Followed(views, seen, base, marks))
        rates = Rates(base, excess_of(effects, views, seen.action))
        marks = rates.marks(seen, channels)
    assert effects is not None
    return text, effects


def _means(seen: Seen, actions: int) -> Floats:
    """(actions,) the share of responses to each, drawn to that of all as if by one more decision."""
    response = seen.response.astype(np.float64)
    some = np.bincount(seen.action, weights=response, minlength=actions)
    return np.asarray((some + float(response.mean())) / (np.bincount(seen.action, minlength=actions) + 1.0))
