"""What answers say of people: whom a channel suits, from far more answers than there are responses to learn it from.

Who answers messages on a channel, by who they are, tells whom contacts on it move, as far as answering and buying go
together there. Answers are many and never come by themselves, so what they say of people like a customer (levels of
people's columns and cells of pairs, no history of the customer's own) is known closely where what a contact adds to
them is not. It stands beside the terms of the effects as one score of each such channel, whose coefficient the
responses set, near 0 where answers tell nothing of them (stacking: Wolpert 1992). A score is linear in terms that the
effects read anyway, so what is found is folded into their weights, and scoring knows nothing of it (`training.told`).
"""

from collections.abc import Sequence
from typing import Final

import numpy as np
import numpy.typing as npt

from models.effect_terms import Term
from models.tables import mapped, places_of
from training.additive import Followed, fit_effects, telling_cells
from training.effect_views import of_people
from training.told import Taste

LEAST_ANSWERS: Final = 1_000
"""Answers on a channel, or to a category of campaigns, below which they say too little of people."""
LEAST_SPREAD: Final = 1e-3
"""Logs, standard deviation of a score below which it is the same for everybody."""


def answered_cells(
    terms: tuple[Term, ...], cells: tuple[Term, ...], outbound: Sequence[str], answers: Followed
) -> tuple[Term, ...]:
    """Those cells of people's columns that tell something of who answers; all as in `fit_taste` and `telling_cells`."""
    if not answered_often(answers, outbound).any():
        return ()
    return telling_cells(tuple(filter(of_people, terms)), cells, outbound, answers)


def fit_taste(terms: tuple[Term, ...], outbound: Sequence[str], answers: Followed) -> Taste | None:
    """What answers say of people by the terms that are of people; None where nothing was answered often enough.

    Args:
        terms: what the effects read.
        outbound: the channels, in the order of the actions from 1 on.
        answers: which contacts were answered.
    """
    people = [at for at, term in enumerate(terms) if of_people(term)]
    often = answered_often(answers, outbound)
    if not people or not often.any():
        return None
    own = tuple(terms[at] for at in people)
    found = fit_effects(own, outbound, answers)
    scores = np.log(mapped(answers.views, found.over(places_of(answers.views.names)).excess)[:, 1:])
    mean, spread = scores.mean(axis=0), scores.std(axis=0)
    told = np.flatnonzero(often & (spread > LEAST_SPREAD))
    if not len(told):
        return None
    weights = np.zeros((len(terms), len(told)))
    weights[people] = np.array(found.weights)[:, told] / spread[told]
    intercept = (np.array(found.intercept) - mean)[told] / spread[told]
    return Taste(tuple(outbound[c] for c in told.tolist()), weights, intercept)


def answered_often(answers: Followed, outbound: Sequence[str]) -> npt.NDArray[np.bool_]:
    """(C,) whether a channel has enough answers."""
    came = np.flatnonzero(answers.seen.response)
    return np.bincount(answers.seen.action[came] - 1, minlength=len(outbound)) >= LEAST_ANSWERS
