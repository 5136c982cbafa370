"""To whom a category of campaigns appeals: told by answers where they go with purchases, and harmless where not."""

from dataclasses import replace

import numpy as np
import pytest

from features.matrix import CAMPAIGN_CATEGORY
from models.effect_terms import Term
from models.marks import Came, unmarked
from models.tables import Table, places_of
from training.additive import Followed, Seen, design_of, fit_effects
from training.appeals import fit_appeal
from training.told import Told

LEVELS, CATEGORIES, CHANNELS, CONTACTS = 6, 4, ("email", "sms"), 40_000
TERMS = (
    *(Term(kind="level", columns=("age",), group="people: age", bounds=((k - 0.5, k + 0.5),)) for k in range(LEVELS)),
    Term(kind="value", columns=("app",), group="steps", channel="sms", view="steps"),
    *(
        Term(kind="level", columns=(CAMPAIGN_CATEGORY,), group="campaign", bounds=((k - 0.5, k + 0.5),))
        for k in range(CATEGORIES)
    ),
)


class Shop:
    """Contacts whose category moves people by their age and their steps; answers go half as far, or elsewhere."""

    def __init__(self, alike, seed=0):
        random = np.random.default_rng(seed)
        age, category = random.integers(0, LEVELS, CONTACTS), random.integers(0, CATEGORIES, CONTACTS)
        app = random.normal(size=CONTACTS).astype(np.float32)
        self.action = 1 + random.integers(0, len(CHANNELS), CONTACTS)
        columns = np.column_stack([age, app, category]).astype(np.float32)
        self.views = Table(columns, ("age", "app", CAMPAIGN_CATEGORY), (CAMPAIGN_CATEGORY,), np.arange(CONTACTS))
        moved, others = (self._drawn_appeal(random, age, app, category) for _ in range(2))
        suits = random.normal(0, 0.3, (len(CHANNELS), LEVELS))[self.action - 1, age]
        self.truth = -3.7 + suits + moved
        base = np.full(CONTACTS, 0.04)
        self.followed = self._followed(random, base + np.exp(self.truth), base)
        self.answers = self._followed(random, np.exp(-1.6 + 0.5 * (moved if alike else others)), np.zeros(CONTACTS))

    @staticmethod
    def _drawn_appeal(random, age, app, category):
        by_age, by_app = random.normal(0, 0.4, (CATEGORIES, LEVELS)), random.normal(0, 0.3, CATEGORIES)
        return by_age[category, age] + by_app[category] * app

    def _followed(self, random, rate, base):
        came = Came(np.full(CONTACTS, np.nan, np.float32), np.zeros(CONTACTS, np.bool_))
        response = (random.random(CONTACTS) < -np.expm1(-rate)).astype(np.int8)
        return Followed(self.views, Seen(self.action, response, came), base, unmarked(len(CHANNELS)))

    def effects(self, appeal):
        return fit_effects(TERMS, CHANNELS, self.followed, Told(appeal=appeal))

    def error(self, appeal):
        """Root mean square error of the logs of what contacts add."""
        found = self.effects(appeal).over(places_of(self.views.names)).excess(self.views.matrix)
        return np.sqrt(np.mean((np.log(found[np.arange(CONTACTS), self.action]) - self.truth) ** 2))


@pytest.fixture(scope="module", params=[True, False], ids=["alike", "apart"])
def shops(request):
    return request.param, [Shop(request.param, seed) for seed in range(4)]


def test_answers_tell_to_whom_a_category_appeals_where_they_go_with_purchases(shops):
    alike, found = shops
    share = [shop.error(fit_appeal(TERMS, CHANNELS, shop.answers)) / shop.error(None) for shop in found]
    if alike:
        assert np.mean(share) < 0.8
    else:
        assert max(share) < 1.03


def test_what_responses_make_of_a_score_is_its_pull(shops):
    """Answers go half as far as purchases, so a score of unit spread pulls as far as purchases spread."""
    alike, found = shops
    pulls = np.array([shop.effects(fit_appeal(TERMS, CHANNELS, shop.answers)).appeal.pull for shop in found])
    if alike:
        assert pulls.min() > 0.2
        assert 0.3 < pulls.mean() < 0.7
    else:
        assert np.abs(pulls).max() < 0.2


def test_a_score_reads_who_customers_are_and_where_they_move_and_is_of_unit_spread():
    shop = Shop(alike=True)
    appeal = fit_appeal(TERMS, CHANNELS, shop.answers)
    assert appeal is not None
    assert appeal.categories == tuple(range(CATEGORIES))
    assert {TERMS[at].group for at in appeal.terms} == {"people: age", "steps"}
    assert np.allclose(np.array(appeal.weights).sum(axis=1), 0.0)
    beside = Told(appeal=appeal).beside(design_of(TERMS, shop.views), shop.views)
    assert beside.dtype == np.float32
    assert beside.shape == (CONTACTS, len(TERMS) + 1)
    assert beside[:, -1].std() == pytest.approx(1.0, abs=0.01)


def test_without_answers_or_categories_nothing_is_told():
    answers = Shop(alike=True).answers
    seldom = np.where(np.arange(CONTACTS) < 4_000, answers.seen.response, 0)
    assert seldom.sum() > 500
    assert fit_appeal(TERMS, CHANNELS, replace(answers, seen=replace(answers.seen, response=seldom))) is None
    assert fit_appeal(TERMS[:-CATEGORIES], CHANNELS, replace(answers, views=answers.views.columns([0, 1]))) is None
    assert fit_appeal(TERMS[-CATEGORIES:], CHANNELS, answers) is None
