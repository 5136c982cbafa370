"""The doubly robust learner against a known truth: right where responses or propensities are, crossed by customer."""

from dataclasses import replace

import numpy as np
import pytest

from contract.loading import load_params
from models.artefact import Floats
from models.boosting import Recipe, dataset
from models.calibration import Unchanged
from models.effect_terms import Term
from models.response import Learned, Response
from models.tables import Table
from tests.adapters.synthetic_log import synthetic_log, true_response
from training.additive import Binned
from training.doubly_robust import (
    LEAST_PROPENSITY,
    Lesson,
    Weighed,
    crossed,
    fit_changes,
    fit_doubly_robust,
    folds,
    why_not_weighed,
)
from training.effect_views import columns_read, effect_terms
from training.learners import DOUBLY_ROBUST, Fitted, refit_learner
from training.splits import customer_hashes, split_decisions
from training.study import Study, usable_rows

OUTBOUND = ("email", "mail")
TERMS = (Term(kind="value", columns=("x",), group="a"), Term(kind="value", columns=("z",), group="a"))
INTERCEPT, WEIGHTS = np.array([0.05, -0.02]), np.array([[0.04, 0.0], [0.0, 0.03]])
PARAMS = load_params(
    [],
    ["channels={sms: null, push: null, phone: null, social: null}", "threads=1", "training.min_rows_per_channel=100"],
)


def world(n=300_000, seed=0):
    """A sender who prefers whom x marks, who answer more anyway; effects are linear in x and z, up and down."""
    random = np.random.default_rng(seed)
    views = random.normal(size=(n, 2)).clip(-2, 2).astype(np.float32)
    alone = 0.2 + 0.05 * views[:, 0]
    truth = np.column_stack([alone, alone[:, None] + INTERCEPT + views @ WEIGHTS])
    pull = np.column_stack([np.zeros(n), 0.8 * views[:, 0], -0.5 * views[:, 0]])
    chance = np.exp(pull) / np.exp(pull).sum(axis=1, keepdims=True)
    action = (chance.cumsum(axis=1) > random.random(n)[:, None]).argmax(axis=1)
    at = np.arange(n)
    outcome = (random.random(n) < truth[at, action]).astype(np.float64)
    return views, Weighed(action, outcome, chance[at, action], truth)


def learned(views, weighed):
    table = Table(views, ["x", "z"], [], np.arange(len(views)))
    found = fit_changes(TERMS, OUTBOUND, table, weighed)
    assert found.link == "identity"
    return np.array(found.intercept), np.array(found.weights)


def wrong_responses(weighed) -> Floats:
    """Everybody answers like everybody, twice as often on the second channel."""
    return np.tile([0.2, 0.2, 0.4], (len(weighed.action), 1))


def test_right_where_only_the_propensities_are():
    views, weighed = world()
    intercept, weights = learned(views, replace(weighed, expected=wrong_responses(weighed)))
    assert intercept == pytest.approx(INTERCEPT, abs=0.01)
    assert weights == pytest.approx(WEIGHTS, abs=0.01)


def test_right_where_only_the_responses_are():
    views, weighed = world()
    intercept, weights = learned(views, replace(weighed, propensity=np.full(len(views), 0.2)))
    assert intercept == pytest.approx(INTERCEPT, abs=0.01)
    assert weights == pytest.approx(WEIGHTS, abs=0.01)


def test_wrong_where_both_are():
    """So the two tests above could have failed."""
    views, weighed = world()
    both = replace(weighed, expected=wrong_responses(weighed), propensity=np.full(len(views), 0.2))
    intercept, weights = learned(views, both)
    assert np.abs(intercept - INTERCEPT).max() > 0.05
    assert np.abs(weights - WEIGHTS).max() > 0.03


def test_guesses_are_what_the_formula_says():
    expected = np.array([[0.1, 0.3, 0.2], [0.1, 0.3, 0.2], [0.1, 0.3, 0.2]])
    weighed = Weighed(np.array([0, 1, 2]), np.array([1.0, 0.0, 1.0]), np.array([0.5, 0.25, 0.001]), expected)
    cut = 0.8 / LEAST_PROPENSITY
    assert weighed.guesses() == pytest.approx(
        np.array([[0.2 - 0.9 / 0.5, 0.1 - 0.9 / 0.5], [0.2 - 0.3 / 0.25, 0.1], [0.2, 0.1 + cut]])
    )


def test_decisions_of_unknown_propensity_teach_no_effect():
    views, weighed = world(20_000)
    unknown = np.arange(len(views)) % 20 == 0
    holes = replace(
        weighed,
        propensity=np.where(unknown, np.nan, weighed.propensity),
        outcome=np.where(unknown, 1.0, weighed.outcome),
    )
    kept = np.flatnonzero(~unknown)
    assert all(map(np.array_equal, learned(views, holes), learned(views[kept], weighed.rows(kept))))
    assert why_not_weighed(holes.propensity) is None
    many = np.where(np.arange(100) < 12, np.nan, 0.5)
    assert why_not_weighed(many) == "propensities of 12% of the decisions are unknown; at most 10% may be"


def test_a_channel_that_was_never_taken_is_taken_for_a_usual_one():
    views, weighed = world(50_000)
    kept = np.flatnonzero(weighed.action != 2)
    intercept, _ = learned(views[kept], weighed.rows(kept))
    assert intercept[1] == pytest.approx(intercept[0], abs=0.005)


@pytest.fixture(scope="module")
def lesson():
    log = synthetic_log(PARAMS, customers=3_000)
    spine = log.decisions.spine
    hashes = customer_hashes(log.ids, PARAMS.seed)
    split = split_decisions(spine.as_of_us, spine.customer, hashes, PARAMS)
    profile = PARAMS.training.profiles["quick"]
    study = Study(log.decisions, log, split, hashes, PARAMS, profile, usable_rows(log.decisions, PARAMS))
    return study, taught(study, np.arange(len(log.decisions)))


def taught(study, rows):
    part = study.part(rows)
    views = part.table.columns(columns_read(study))
    contacts = views.rows(np.flatnonzero(part.action > 0))
    data = Binned(dataset(part.table, part.response, None, 1), None)
    terms = effect_terms(study, contacts)
    recipe = Recipe(trees=20, rows_per_leaf=100)
    return Lesson(part, views, study.decisions.propensity[part.rows], data, terms, recipe)


def test_no_customer_lies_in_both_folds_and_none_teaches_its_own_rates(lesson):
    study, own = lesson
    fold = folds(own.part.table.customer)
    assert {0, 1} == set(fold)
    assert all(len(np.unique(fold[own.part.table.customer == each])) == 1 for each in range(0, 3_000, 100))
    other = np.array(own.part.decisions.response)
    other[own.part.rows[fold == 0]] = 1 - other[own.part.rows[fold == 0]]
    part = replace(own.part, decisions=replace(own.part.decisions, response=other))
    before, after = crossed(study, own), crossed(study, replace(own, part=part))
    assert np.array_equal(before.base[fold == 0], after.base[fold == 0])
    assert np.array_equal(before.excess[fold == 0], after.excess[fold == 0])
    assert not np.allclose(before.base[fold == 1], after.base[fold == 1], rtol=0.2)


def uplift(fitted: Fitted, study, taste):
    """(n,) of contact on the first channel."""
    response = Response.of_rows(fitted.learned, study.source.names)
    found = []
    for action in (0, 1):
        rows = np.column_stack(
            [100 + 0 * taste, 2 + 0 * taste, taste, taste * action, action + 0 * taste, np.nan * taste]
        )
        found.append(response.probability(rows.astype(np.float32))[:, 0])
    return found[1] - found[0]


def test_from_decisions_to_uplift_up_and_down_and_again_on_more_rows(lesson):
    study, own = lesson
    trees, effects = fit_doubly_robust(study, own)
    fitted = Fitted(DOUBLY_ROBUST, trees, own.recipe.trees, Learned(trees.text, effects, Unchanged()))
    taste = np.array([-1.4, 0.0, 1.4])
    contacted, alone = (true_response(taste, np.full(3, action, np.int64)) for action in (1, 0))
    truth = contacted - alone
    assert truth[0] < -0.08 < 0.08 < truth[2]
    found = uplift(fitted, study, taste)
    assert found == pytest.approx(truth, abs=0.08)
    again = refit_learner(study, fitted, own.recipe, own.part, study.decisions.propensity)
    assert again.name == DOUBLY_ROBUST
    assert np.array_equal(uplift(again, study, taste), found), "the same rows teach the same"
