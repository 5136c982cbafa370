"""Learns the contact preference: by trees and by effects, whichever tells later answers better, then calibrated.

Both say how likely a contact on each channel is answered; shares follow from that (`models.answers`). The effects are
those of `models.random_effects` with nothing that comes by itself,

    P(answer on c) = 1 − exp(−exp(η_c)),

so that a channel on which a customer was hardly ever contacted borrows from the others, and from people like them.
"""

from dataclasses import dataclass, replace
from typing import Final

import numpy as np
import numpy.typing as npt

from models.answers import Sends, fit_answers, refit_answers
from models.artefact import Floats, Ints
from models.boosting import Recipe, predicted
from models.calibration import Unchanged, among
from models.calibration_fit import choose_multiclass
from models.effect_terms import Term
from models.effects import ContactEffects, answer_probability
from models.preference import FittedPreference
from models.tables import Table, mapped, places_of
from models.trees import shares_of
from training.additive import Followed, fit_effects
from training.baselines import open_channels
from training.effect_views import columns_read, effect_terms
from training.heads import CONTACT, head_channels, labelled_rows
from training.rows import ComputedTable, with_each_action
from training.splits import sample_customers
from training.study import Part, Study

_TREES: Final = Recipe(trees=120, learning_rate=0.1, rows_per_leaf=200)
_TREES_SHARE: Final = 4
"""Of the decisions, as many as trees learn from: they cost ten times what effects do."""


@dataclass(frozen=True, eq=False)
class AnsweredRows:
    """Answered sends that show what equal contact over the open channels would, n of them.

    rows: of the study's decisions, ascending; label: (n,) places among the classes; weight: (n,), inverse to the
    propensity of the send; customer: (n,) numbers; possible: (n, classes), known to be open by the history before. An
    answer on a closed channel cannot come, which says nothing of how well the customer likes it; and a channel must not
    count as open because it was answered, or the seldom open ones would look better than they are.
    """

    rows: Ints
    label: Ints
    weight: Floats
    customer: Ints
    possible: npt.NDArray[np.bool_]

    def loss(self, shares: Floats) -> float:
        """Nats an answer, weighted, of shares (n, classes) among what was possible."""
        told = among(shares, self.possible)[np.arange(len(shares)), self.label]
        return float(-self.weight @ np.log(np.maximum(told, 1e-6)) / self.weight.sum())


def fit_contact(
    study: Study, learn: Part, choose: Part, propensity: Floats, cells: tuple[Term, ...] = ()
) -> FittedPreference:
    """The preference learned on `learn`; its learner and the calibration of its shares are chosen on `choose`.

    Args:
        study: what is trained.
        learn: the rows that teach.
        choose: later rows of the same customers.
        propensity: (n decisions,), of the action taken, logged or estimated; NaN where neither.
        cells: of pairs of people's columns, for the effects to read too.
    """
    params = study.params
    trees = fit_answers(
        _sends(study, learn),
        _sends(study, choose),
        _TREES,
        head_channels(study, CONTACT),
        least=params.training.min_customers_per_leaf,
        seed=params.seed,
        threads=params.threads,
    )
    judged = answered_rows(study, trees, choose, propensity)
    if trees.fixed is not None or len(judged.label) == 0:
        return trees
    found = _effects(study, learn, cells=cells)
    effects = FittedPreference(None, trees.classes, Unchanged(), None, trees=0, effects=found)
    contenders = [(each, contact_shares(study, each, judged.rows)) for each in (effects, trees)]
    best, shares = min(contenders, key=lambda contender: judged.loss(contender[1]))
    calibration = choose_multiclass(shares, judged.label, judged.weight, judged.customer, judged.possible)
    return replace(best, calibration=calibration)


def refit_contact(study: Study, fitted: FittedPreference, everything: Part) -> FittedPreference:
    """The same learned from more rows; learner, trees and calibration are kept."""
    if fitted.effects is not None:
        return replace(fitted, effects=_effects(study, everything, fitted.effects.terms))
    params = study.params
    least = params.training.min_customers_per_leaf
    sends = _sends(study, everything)
    return refit_answers(fitted, sends, _TREES, least=least, seed=params.seed, threads=params.threads)


def contact_shares(study: Study, fitted: FittedPreference, rows: Ints) -> Floats:
    """(n, classes) shares of the next answer at the decisions `rows`, ascending."""
    if fitted.fixed is not None:
        return np.tile(np.array(fitted.fixed), (len(rows), 1))
    return fitted.calibration.apply(shares_of(_answers(study, fitted, rows)[:, list(fitted.classes)]))


def answered_rows(study: Study, fitted: FittedPreference, part: Part, propensity: Floats) -> AnsweredRows:
    """The answered sends of a part on the channels of a preference, where the channel was known to be open before."""
    found, rows = labelled_rows(study, part, CONTACT, propensity)
    keep = np.flatnonzero(np.isin(found.label, fitted.classes) & (found.weight > 0))
    label = np.searchsorted(np.array(fitted.classes), found.label[keep])
    spine = study.decisions.spine.rows(rows[keep])
    possible = open_channels(study.params, study.source, spine)[:, list(fitted.classes)]
    known = np.flatnonzero(possible[np.arange(len(keep)), label])
    keep = keep[known]
    return AnsweredRows(rows[keep], label[known], found.weight[keep], found.table.customer[keep], possible[known])


def _answers(study: Study, fitted: FittedPreference, rows: Ints) -> Floats:
    """(n, outbound channels), probability that a contact on each is answered."""
    spine = study.decisions.spine.rows(rows)
    if fitted.effects is not None:
        views = ComputedTable(study.source, spine).columns(columns_read(study))
        bound = fitted.effects.over(places_of(views.names))
        return answer_probability(mapped(views, bound.excess)[:, 1:])
    assert fitted.text is not None
    table = ComputedTable(study.source, with_each_action(spine, len(study.actions)))
    return predicted(fitted.text, table, study.params.threads).reshape(len(rows), -1)[:, 1:]


def _effects(
    study: Study, part: Part, terms: tuple[Term, ...] | None = None, cells: tuple[Term, ...] = ()
) -> ContactEffects:
    """What the contacts of a part say of answers, by these terms, or by those that the part allows and cells."""
    outbound = study.params.outbound
    contacted = np.flatnonzero(part.action > 0)
    read = part.table.rows(contacted).columns(columns_read(study))
    views = Table(read.matrix, read.names, read.categorical, read.customer)
    terms = terms or effect_terms(study, views) + cells
    return fit_effects(terms, outbound, Followed.answers(views, part, contacted, len(outbound)))


def _sends(study: Study, part: Part) -> Sends:
    """The contacts of a part that trees learn from, with all columns."""
    most = max(10_000, study.profile.max_decisions // _TREES_SHARE)
    kept = sample_customers(np.flatnonzero(part.action > 0), part.table.customer, study.hashes, most)
    return Sends(part.table.rows(kept), part.action[kept] - 1, part.answered[kept])
