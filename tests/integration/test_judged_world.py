"""A small simulated retailer through the models' benchmark: the truth bounds every plan, and peers see no truth."""

import numpy as np
import pytest

from benchmarks.parts import plain_learners as plain
from benchmarks.parts.kept_results import KeptResults
from benchmarks.parts.preferences import judge_plain, quality
from benchmarks.parts.retail_world import opened, plain_columns
from benchmarks.parts.worlds import MOST_CLICKED, VALUES, Asked
from contract.loading import load_params
from serving.limits import NO_CAPACITY

CUSTOMERS = 700


@pytest.fixture(autouse=True)
def few_trees(monkeypatch):
    monkeypatch.setattr(plain, "MOST_TREES", 25)


@pytest.fixture(scope="module")
def params():
    return load_params(assignments=["threads=1"])


@pytest.fixture(scope="module")
def world(params):
    with opened("low_rank", CUSTOMERS, 3, params) as made:
        yield made


def test_no_plan_is_worth_more_than_the_one_that_knows_the_truth(world, params, tmp_path):
    asked = Asked(("low_rank",), 1, CUSTOMERS, "quick", params, KeptResults(tmp_path))
    rule = VALUES[MOST_CLICKED].find(world, asked)
    blind = world.value_eur(world.allocated(np.ones(world.eligible.shape)))
    assert max(rule["value_eur"], blind) < world.best_eur
    assert rule["share"] == pytest.approx(rule["value_eur"] / world.best_eur)


def test_a_plan_holds_every_limit_and_contacts_nobody_without_consent(world):
    actions = world.allocated(world.truth.gain_eur[:, 1:])
    used = np.bincount(actions[actions >= 0], minlength=len(world.truth.channels))
    assert (used <= world.limits.capacity).all()
    assert world.truth.cost_eur[1:][actions[actions >= 0]].sum() <= world.limits.spendable_eur
    assert world.eligible[np.flatnonzero(actions >= 0), actions[actions >= 0]].all()
    assert (used[world.limits.capacity < NO_CAPACITY] > 0).all()


def test_peers_learn_from_the_decisions_that_a_training_learns_from_last(world):
    learn = world.learning("quick")
    assert len(learn.response) == len(world.decisions) - np.isin(world.decisions.spine.action, _scarce(world)).sum()
    assert learn.matrix.shape == (len(learn.action), len(plain_columns(world.features)))
    assert world.scored.matrix.shape == (CUSTOMERS, learn.matrix.shape[1])
    assert not set(learn.names) & (set(world.features.per_action) - {"action"})


def test_the_truth_teaches_only_from_other_customers(world, monkeypatch):
    seen = []
    boosted = plain.boosted

    def counted(matrix, *given):
        seen.append(len(matrix))
        return boosted(matrix, *given)

    monkeypatch.setattr(plain, "boosted", counted)
    gains = plain.taught_by_truth(world)
    assert gains.shape == world.eligible.shape
    assert sum(seen) == (plain.FOLDS - 1) * CUSTOMERS * len(world.truth.channels)


def test_learners_give_a_response_to_every_action_and_a_worth_to_every_customer(world):
    learn = world.learning("quick")
    for responses in (plain.s_responses(world, learn), plain.t_responses(world, learn)):
        assert responses.shape == (CUSTOMERS, 1 + len(world.truth.channels))
        assert ((responses > 0) & (responses < 1)).all()
    taught = learn.response > 0
    worth = plain.worth_eur(world, learn)
    assert (worth > 0).all()
    assert worth.mean() == pytest.approx(learn.margin_eur[taught].mean(), rel=0.5)


def test_the_true_preference_is_right_for_everybody_and_no_other_has_less_loss(world):
    true = quality(world, world.truth.answer)
    assert true["top1"] == 1.0
    rivals = judge_plain(world, world.learning("quick"))
    assert set(rivals) == {"last channel", "most used", "plain multiclass"}
    assert all(each["log_loss"] > true["log_loss"] and each["top1"] < 1 for each in rivals.values())


def _scarce(world):
    counts = np.bincount(world.decisions.spine.action, minlength=1 + len(world.params.outbound))
    return [a for a in range(1, len(counts)) if counts[a] < world.params.training.min_rows_per_channel]
