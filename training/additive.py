"""The additive learner: what a customer does anyway by trees that never see the action, what a contact adds by effects.

Both parts are fitted in turn. Responses are taken for the sum of two Poisson streams, so that of an observed response

    y b / (1 − exp(−b − e))

are expected to have come without the contact (EM: Dempster, Laird and Rubin 1977; b the rate without contact, e the
excess), fewer the likelier a contact brings what comes so (`models.marks`). The trees learn these expected counts as
rates; the effects are then fitted by likelihood beside the trees.

Assumed: contacts were withheld from some (else b and e cannot be told apart), and a response counts for the customer
whoever gets the credit (else no contact has no response, and there is nothing to add to).
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final, NamedTuple

import lightgbm as lgb
import numpy as np
import numpy.typing as npt

from models.artefact import Floats, Ints, Matrix
from models.boosting import Recipe, boost, guarded, stretched
from models.effect_terms import Reader, Term
from models.effects import ContactEffects, rate_of
from models.leaves import GuardedModel
from models.marks import Came, Marks, fit_marks, unmarked
from models.random_effects import Contacts, Effects, Layout, fit_random_effects
from models.tables import Rows, mapped, places_of
from models.trees import Trees
from training.study import Part, Study
from training.told import NOTHING, Told

_LEAST_WITHHELD = 1_000
_PRIOR_RESPONSES = 100.0
_SPREAD_DEVIATION, _TAUGHT_DEVIATION = 0.2, 0.15
"""How far the spread of those left alone is thought to be from what all rows say of it, a factor; and how far off it is
where they taught the trees.
"""
_LEAST_SPREAD, _MOST_SPREAD = 0.5, 2.0
_NEWTON_STEPS, _LEAST_INFORMATION = 20, 1e-6
_TELLING: Final = 0.1
"""Standard deviation, in logs of what a contact adds, from which on the cells of a pair are worth reading."""


@dataclass(frozen=True, eq=False)
class Seen:
    """What was done and what followed, of n decisions: action; response, 0 or 1; came, how the first response came."""

    action: Ints
    response: npt.NDArray[np.generic]
    came: Came

    @classmethod
    def of(cls, part: Part) -> "Seen":
        """Of the decisions of a part."""
        return cls(part.action, part.response, part.came)

    def rows(self, rows: Ints) -> "Seen":
        """Of some of the decisions."""
        return Seen(self.action[rows], self.response[rows], self.came.rows(rows))


@dataclass(frozen=True, eq=False)
class Rates:
    """Of each decision of a part: base (n,), without contact; excess (n,), of the action taken."""

    base: Floats
    excess: Floats

    def expected_without(self, seen: Seen, marks: Marks) -> Floats:
        """(n,) responses that are expected to have come without the contact."""
        found = marks.without(self.base, self.excess, seen.action, seen.came)
        return np.where(seen.response.astype(np.bool_), found, 0.0)

    def marks(self, seen: Seen, channels: int) -> Marks:
        """How responses come, by these rates."""
        return fit_marks(seen.action, seen.came, self.base, self.excess, channels)


@dataclass(frozen=True, eq=False)
class Followed:
    """What n decisions were followed by, and would have been without a contact: all that effects are fitted to.

    views: the columns that the terms read. seen: what was done and what followed. base: (n,), rates without contact.
    marks: how responses come.
    """

    views: Rows
    seen: Seen
    base: Floats
    marks: Marks

    @classmethod
    def answers(cls, views: Rows, part: Part, contacted: Ints, channels: int) -> "Followed":
        """Of the contacts of a part, whether they were answered; no answer comes by itself. views: of the contacts."""
        seen = Seen(part.action[contacted], part.answered[contacted], part.came.rows(contacted))
        return cls(views, seen, np.zeros(len(contacted)), unmarked(channels))

    def rows(self, rows: Ints) -> "Followed":
        """Of some of the decisions."""
        return Followed(self.views.rows(rows), self.seen.rows(rows), self.base[rows], self.marks)


@dataclass(frozen=True, eq=False)
class Binned:
    """Rows binned for LightGBM: those that teach, and those that choose the number of trees."""

    learn: lgb.Dataset
    watched: lgb.Dataset | None


def why_not(study: Study, learn: Part) -> str | None:
    """Why the learner cannot be used here, or None."""
    if study.params.target.counts != "customer":
        return "responses count for the send, and none follows without one"
    withheld = int((learn.action == 0).sum())
    if withheld < _LEAST_WITHHELD:
        return f"{withheld} contacts were withheld; at least {_LEAST_WITHHELD} tell what comes without one"
    return None


def first_rates(action: Ints, probability: Floats) -> Rates:
    """Rates to begin with, from the probabilities of another learner: of each action the same share without contact."""
    rate = rate_of(probability)
    mean = np.array([rate[action == a].mean() if (action == a).any() else 1.0 for a in range(int(action.max()) + 1)])
    base = rate * np.minimum(1.0, mean[0] / mean)[action]
    return Rates(base, np.where(action > 0, rate - base, 0.0))


def fit_effects(
    terms: tuple[Term, ...], outbound: Sequence[str], followed: Followed, told: Told = NOTHING
) -> ContactEffects:
    """The effects of contacts beside the rates without them.

    Args:
        terms: what they read.
        outbound: the channels, in the order of the actions from 1 on.
        followed: what tells them.
        told: what answers say, by these terms.
    """
    found, appeal = told.folded(_fitted(terms, outbound, followed, told))
    weights = tuple(tuple(row) for row in found.weights.tolist())
    return ContactEffects(terms=terms, intercept=tuple(found.intercept.tolist()), weights=weights, appeal=appeal)


def telling_cells(
    terms: tuple[Term, ...], cells: tuple[Term, ...], outbound: Sequence[str], followed: Followed
) -> tuple[Term, ...]:
    """Those cells of people's columns that tell something beside the other terms, by the evidence for their pair.

    Args:
        terms: the other terms.
        cells: of every pair, each pair a group.
        outbound: the channels, in the order of the actions from 1 on.
        followed: what tells them.
    """
    found = _fitted(terms + cells, outbound, followed, NOTHING)
    sizes = found.size[layout_of(terms + cells, outbound).group[len(terms) :]]
    return tuple(cell for cell, size in zip(cells, sizes, strict=True) if size > _TELLING)


def _fitted(terms: tuple[Term, ...], outbound: Sequence[str], followed: Followed, told: Told) -> Effects:
    """Effects of the terms and of the scores that are told."""
    contacts, marks = [], followed.marks
    for c in range(len(outbound)):
        own = followed.rows(np.flatnonzero(followed.seen.action == 1 + c))
        design, outcome = told.beside(design_of(terms, own.views), own.views), own.seen.response.astype(np.float64)
        at = marks.of(own.seen.came)
        contacts.append(Contacts(design, outcome, own.base, at, marks.alone[1 + c], marks.brought[c]))
    return fit_random_effects(contacts, layout_of(terms + told.terms, outbound))


@dataclass(frozen=True, eq=False)
class Base:
    """Trees of what comes without contact, their number, and the factor by which their log rates were stretched."""

    trees: GuardedModel
    rounds: int
    spread: float


def fit_base(
    study: Study,
    data: Binned,
    learn: Part,
    without: tuple[Floats, Floats | None],
    recipe: Recipe,
    *,
    choose: Part | None = None,
    spread: float = 1.0,
) -> Base:
    """Trees of what comes without contact, with level and spread of those left alone and enough customers behind every
    leaf.

    Args:
        study: what is trained.
        data: the binned rows of `learn`, and of those that choose the number of trees; their labels are replaced.
        learn: the rows that teach.
        without: responses expected without contact on the rows of `data`.
        recipe: of the trees.
        choose: the rows that choose the number of trees, and say with those of `learn` how spread these are.
        spread: the factor without them.
    """
    booster, rounds = grow_base(study, data, without, recipe)
    least, threads = study.params.training.min_customers_per_leaf, study.params.threads
    found = guarded(booster, rounds, learn.table, least, threads)
    alone = np.flatnonzero(learn.action == 0)
    log_rate = np.log(base_of(found.text, learn.table.rows(alone), threads))
    response = learn.response[alone].astype(np.float64)
    if choose is not None:
        own = np.flatnonzero(choose.action == 0)
        later = np.log(base_of(found.text, choose.table.rows(own), threads))
        looks = fit_spread(log_rate, response), fit_spread(later, choose.response[own].astype(np.float64))
        spread = spread_of(*looks)
    level = log_level(-np.expm1(-np.exp(spread * log_rate)), response)
    return Base(replace(found, text=stretched(found.text, spread, level)), rounds, spread)


class Spread(NamedTuple):
    """By which factor log rates are to be stretched to fit what came, and its standard error."""

    factor: float
    error: float


def fit_spread(log_rate: Floats, came: Floats) -> Spread:
    """The slope of a Poisson regression of what came on log rates, both (n,), by Newton's method."""
    if len(log_rate) == 0:
        return Spread(1.0, float("inf"))
    weight = np.exp(log_rate)
    away = log_rate - float(np.average(log_rate, weights=weight))
    theta = np.array([0.0, 1.0])
    information = np.eye(2)
    for _ in range(_NEWTON_STEPS):
        rate = np.exp(np.minimum(log_rate - away + theta[0] + theta[1] * away, 0.0))
        score = np.array([float((came - rate).sum()), float((came - rate) @ away)])
        curvature = float(rate @ away)
        information = np.array([[float(rate.sum()), curvature], [curvature, float(rate @ away**2)]])
        information += _LEAST_INFORMATION * np.eye(2)
        theta = theta + np.clip(np.linalg.solve(information, score), -0.5, 0.5)
    return Spread(float(theta[1]), float(np.sqrt(np.linalg.inv(information)[1, 1])))


def spread_of(taught: Spread, later: Spread) -> float:
    """The factor for the log rates of those left alone, from two looks at it and a normal prior around 1.

    No contact touched them, so they say what comes without one. Few rounds of EM, begun with the same share for
    everybody, and trees that stop early leave those who often respond anyway too low and those who seldom do too high.
    The looks are weighed by their precision (conjugate normal means).

    Args:
        taught: of those who taught the trees, many, but followed more closely by them than others.
        later: of later decisions of the same customers, few.
    """
    looks = ((1.0, _SPREAD_DEVIATION), (taught.factor, float(np.hypot(taught.error, _TAUGHT_DEVIATION))), later)
    weight = np.array([1.0 / error**2 for _, error in looks])
    factor = float(weight @ [each for each, _ in looks] / weight.sum())
    return float(np.clip(factor, _LEAST_SPREAD, _MOST_SPREAD))


def log_level(expected: Floats, response: npt.NDArray[np.generic]) -> float:
    """Log of the factor by which those left alone responded more than expected, both (n,).

    No contact touched them, so they set the level of what comes without one: on contacted rows, trees that know who was
    contacted take some of what contacts bring for what comes anyway. The factor has a gamma prior around 1 (standard
    deviation 0.1).
    """
    return float(np.log((response.sum() + _PRIOR_RESPONSES) / (expected.sum() + _PRIOR_RESPONSES)))


def grow_base(
    study: Study, data: Binned, without: tuple[Floats, Floats | None], recipe: Recipe
) -> tuple[lgb.Booster, int]:
    """The trees of `fit_base`, which look at no column of the action, before anybody counts customers; their number."""
    params = study.params
    data.learn.set_label(without[0])
    if data.watched is not None:
        data.watched.set_label(without[1])
    booster, rounds, _ = boost(
        data.learn,
        recipe,
        classes=1,
        rates=True,
        unused=_of_the_action(study),
        watched=data.watched,
        seed=params.seed,
        threads=params.threads,
    )
    return booster, rounds


def base_of(text: str, table: Rows, threads: int) -> Floats:
    """(n,) the rate without contact that the trees give."""
    trees = Trees.of(text, range(len(table.names)))
    return np.exp(mapped(table, lambda block: trees.raw(block, threads=threads)[:, 0, 0]))


def excess_of(effects: ContactEffects, views: Rows, action: Ints) -> Floats:
    """(n,) the excess of the actions taken."""
    bound = effects.over(places_of(views.names))
    return np.take_along_axis(mapped(views, bound.excess), action[:, None], axis=1)[:, 0]


def _of_the_action(study: Study) -> frozenset[int]:
    """Positions of the columns that depend on the action; the campaign's are not among them."""
    own = set(study.source.per_action)
    return frozenset(i for i, name in enumerate(study.source.names) if name in own)


def design_of(terms: tuple[Term, ...], views: Rows) -> Matrix:
    """(n, T) the terms of each row."""
    reader = Reader.of(terms, places_of(views.names))
    return mapped(views, reader.design)


def layout_of(terms: Sequence[Term], outbound: Sequence[str]) -> Layout:
    """Which terms belong together, by numbers of their groups, views and channels."""
    groups = sorted({term.group for term in terms})
    views = sorted({term.view for term in terms if term.view is not None})
    return Layout(
        group=np.array([groups.index(term.group) for term in terms], dtype=np.int64),
        view=np.array([-1 if term.view is None else views.index(term.view) for term in terms], dtype=np.int64),
        channel=np.array([-1 if t.channel is None else outbound.index(t.channel) for t in terms], dtype=np.int64),
    )
