"""The contact preference: where the next answer would come from, were the customer contacted on every channel alike.

One model of whether a send is answered, over customer × channel: the trees here, with the candidate channel's own
history as columns, or the effects of `training.contact_preference`. What it says of every channel, divided by the sum,
are the shares. How often the sender chose a channel drops out, since an answer is compared with the contacts that could
have brought it: an unanswered send teaches as much as an answered one. Assumed, as of the response, is that what moved
the sender's choice is known to the columns.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from models.artefact import Ints
from models.boosting import Recipe, boost, dataset, guarded, watched_dataset
from models.calibration import Unchanged
from models.preference import FittedPreference, grown_again
from models.tables import Rows

_SMOOTHING = 1.0


@dataclass(frozen=True)
class Sends:
    """Contacts: table (n, p) of all columns, channel (n,) index into the channels, answered (n,) whether they were."""

    table: Rows
    channel: Ints
    answered: npt.NDArray[np.bool_]

    def rows(self, keep: Ints) -> "Sends":
        """The given rows."""
        return Sends(self.table.rows(keep), self.channel[keep], self.answered[keep])


def fit_answers(
    learn: Sends, judge: Sends, recipe: Recipe, channels: Sequence[int], *, least: int, seed: int, threads: int
) -> FittedPreference:
    """A model over the channels on which anything was answered, its trees chosen on the rows of `judge`; uncalibrated.

    Args:
        learn: what to learn.
        judge: later rows that choose.
        recipe: of the trees.
        channels: the indices that may occur.
        least: distinct customers who answered on a channel, and behind every leaf.
        seed: of the fit.
        threads: of the fit.
    """
    answerers = [learn.table.customer[(learn.channel == c) & learn.answered] for c in channels]
    classes = tuple(c for c, customers in zip(channels, answerers, strict=True) if len(np.unique(customers)) >= least)
    learn, judge = _restricted(learn, classes), _restricted(judge, classes)
    if len(classes) < 2 or len(learn.channel) < 10 * recipe.rows_per_leaf or len(judge.channel) < recipe.rows_per_leaf:
        return _fixed(learn, classes or tuple(channels))
    data = dataset(learn.table, learn.answered, None, threads)
    watched = watched_dataset(data, judge.table, judge.answered, None)
    booster, trees, _ = boost(data, recipe, classes=1, watched=watched, seed=seed, threads=threads)
    model = guarded(booster, trees, learn.table, least, threads)
    return FittedPreference(model.text, classes, Unchanged(), None, trees, model.undone_splits, model.fewest_customers)


def refit_answers(
    fitted: FittedPreference, everything: Sends, recipe: Recipe, *, least: int, seed: int, threads: int
) -> FittedPreference:
    """The same fitted on more rows, with the number of trees and the calibration kept."""
    if fitted.fixed is not None:
        return fitted
    rows = _restricted(everything, fitted.classes)
    data = dataset(rows.table, rows.answered, None, threads)
    return grown_again(fitted, data, rows.table, recipe, classes=1, least=least, seed=seed, threads=threads)


def _restricted(sends: Sends, classes: Sequence[int]) -> Sends:
    """The rows of some channels."""
    keep = np.flatnonzero(np.isin(sends.channel, classes))
    return sends if len(keep) == len(sends.channel) else sends.rows(keep)


def _fixed(learn: Sends, classes: tuple[int, ...]) -> FittedPreference:
    """Shares of the rates of answers, equal for everybody; equal shares of all channels where nothing was seen."""
    most = max(classes) + 1
    sends = np.bincount(learn.channel, minlength=most)[list(classes)]
    answers = np.bincount(learn.channel, weights=learn.answered, minlength=most)[list(classes)]
    usual = (answers.sum() + 1) / (sends.sum() + 1)
    rate = (answers + _SMOOTHING * usual) / (sends + _SMOOTHING)
    return FittedPreference(None, classes, Unchanged(), tuple((rate / rate.sum()).tolist()), 0)
