"""Contact preference beside the truth of a simulated retailer: ours, last channel, most used, a plain multiclass.

The question is the product's: of the channels open to a customer, which would bring the next answer, were all contacted
alike. Customers with fewer than two open channels are not asked.
"""

from typing import Final

import numpy as np
import pyarrow as pa

from benchmarks.parts.kept_results import Figures
from benchmarks.parts.plain_learners import boosted, fold_of, plain_parameters
from benchmarks.parts.retail_world import ROW_COLUMNS, Floats, PlainRows, RetailWorld
from channelwise.demos.rules import rule_strengths
from serving.scores import over_open_channels

LAST, MOST_USED, MULTICLASS = "last channel", "most used", "plain multiclass"
LEAST_PROBABILITY: Final = 1e-4
"""Below it no channel is taken to be, so that a channel never seen costs a finite loss."""


def judge_contact(world: RetailWorld, scores: pa.Table) -> Figures:
    """Top-1 accuracy and log loss of the scores' preference."""
    ids = scores["customer_id"].to_numpy(zero_copy_only=False).astype(object)
    rows = np.searchsorted(world.truth.customer_ids, ids)
    names = scores["channel"].to_pylist()
    columns = np.array([world.truth.channels.index(name) for name in names])
    shares = np.zeros(world.eligible.shape)
    shares[rows, columns] = scores["preference"].to_numpy(zero_copy_only=False)
    return quality(world, shares)


def judge_plain(world: RetailWorld, learn: PlainRows) -> Figures:
    """The same of the plain ways, by name."""
    answers = _strengths(world, "most engaged")
    last = _strengths(world, "last channel")
    latest = (last > 0) & (last == last.max(axis=1, keepdims=True))
    usual = answers.sum(axis=0) / answers.sum()
    found = {LAST: _smoothed(latest.astype(np.float64), usual), MOST_USED: _smoothed(answers, usual)}
    found[MULTICLASS] = _multiclass(world, learn)
    return {name: quality(world, shares) for name, shares in found.items()}


def quality(world: RetailWorld, shares: Floats) -> Figures:
    """Of shares (n, k): how often the most preferred open channel is the true one, and nats an answer expected."""
    asked = world.eligible.sum(axis=1) > 1
    true = over_open_channels(world.truth.answer, world.eligible)[asked]
    said = over_open_channels(np.maximum(shares, LEAST_PROBABILITY), world.eligible)[asked]
    top = float((true.argmax(axis=1) == said.argmax(axis=1)).mean())
    loss = -np.where(true > 0, true * np.log(np.maximum(said, LEAST_PROBABILITY)), 0.0).sum(axis=1)
    return {"top1": top, "log_loss": float(loss.mean()), "customers": int(asked.sum())}


def _strengths(world: RetailWorld, rule: str) -> Floats:
    truth = world.truth
    return rule_strengths(world.intake, world.params, rule, list(truth.customer_ids), truth.channels)


def _smoothed(counts: Floats, usual: Floats) -> Floats:
    """Shares of counts (n, k) to which everybody's shares (k,) are added as one more count."""
    return np.asarray((counts + usual) / (counts.sum(axis=1, keepdims=True) + 1.0))


def _multiclass(world: RetailWorld, learn: PlainRows) -> Floats:
    """LightGBM over the answered messages, by which channel they were answered; exposure is left as it is."""
    rows = np.flatnonzero(learn.answer_channel >= 0)
    own = np.arange(len(learn.names) - len(ROW_COLUMNS))
    classes, label = np.unique(learn.answer_channel[rows], return_inverse=True)
    categorical = tuple(i for i in learn.categorical if i < len(own))
    watched = fold_of(learn.customer[rows], world.params.seed) == 0
    parameters = plain_parameters(world, "multiclass") | {"num_class": len(classes)}
    model = boosted(learn.matrix[np.ix_(rows, own)], label, watched, categorical, parameters)
    shares = np.zeros(world.eligible.shape)
    shares[:, classes] = model.predict(world.scored.matrix[:, own])
    return shares


def judged_as() -> tuple[str, ...]:
    """The names of the plain ways."""
    return LAST, MOST_USED, MULTICLASS
