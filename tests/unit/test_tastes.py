"""What answers say of people: it helps where answering and buying go together, and does no harm where they do not."""

import numpy as np
from numpy.testing import assert_allclose

from models.effect_terms import Term
from models.effects import ContactEffects
from models.marks import Came, unmarked
from models.random_effects import Effects
from models.tables import Table, places_of
from training.additive import Followed, Seen, design_of, fit_effects
from training.tastes import fit_taste
from training.told import Told

COLUMNS, LEVELS, CHANNELS, CONTACTS = ("age", "region", "plan"), 6, ("email", "sms"), 40_000


def level(column, code, group="people: "):
    return Term(kind="level", columns=(column,), group=group + column, bounds=((code - 0.5, code + 0.5),))


TERMS = (
    *(level(column, code) for column in COLUMNS for code in range(LEVELS)),
    level("season", 1, group=""),
)


class Shop:
    """Contacts whose taste for a channel is by levels of people; answers go with it as far as `alike` says."""

    def __init__(self, alike, seed=0):
        random = np.random.default_rng(seed)
        shape = (len(CHANNELS), len(COLUMNS), LEVELS)
        tastes = random.normal(0, 0.4, shape)
        others = alike * tastes + np.sqrt(1 - alike**2) * random.normal(0, 0.4, shape)
        codes = random.integers(0, LEVELS, (CONTACTS, len(COLUMNS)))
        season = random.integers(0, 2, CONTACTS)
        self.action = 1 + random.integers(0, len(CHANNELS), CONTACTS)
        self.views = Table(
            np.column_stack([codes, season]).astype(np.float32), (*COLUMNS, "season"), (), np.arange(CONTACTS)
        )
        self.truth = -3.7 + self._of(tastes, codes) + 0.3 * season
        self.base = np.full(CONTACTS, 0.04)
        rate = self.base + np.exp(self.truth)
        self.came = Came(np.full(CONTACTS, np.nan, np.float32), np.zeros(CONTACTS, np.bool_))
        self.followed = self._followed(self._drawn(random, rate), self.base)
        self.answers = self.answered(self._drawn(random, np.exp(-1.6 + self._of(others, codes))))

    def _of(self, tastes, codes):
        return sum(tastes[self.action - 1, column, codes[:, column]] for column in range(len(COLUMNS)))

    @staticmethod
    def _drawn(random, rate):
        return (random.random(len(rate)) < -np.expm1(-rate)).astype(np.int8)

    def _followed(self, response, base):
        return Followed(self.views, Seen(self.action, response, self.came), base, unmarked(len(CHANNELS)))

    def answered(self, response):
        return self._followed(response, np.zeros(CONTACTS))

    def taste(self):
        return fit_taste(TERMS, CHANNELS, self.answers)

    def error(self, taste):
        """Root mean square error of the logs of what contacts add."""
        found = fit_effects(TERMS, CHANNELS, self.followed, Told(taste))
        excess = found.over(places_of(self.views.names)).excess(self.views.matrix)
        return np.sqrt(np.mean((np.log(excess[np.arange(CONTACTS), self.action]) - self.truth) ** 2))


def errors(alike):
    """With answers as a share of without, by retailer."""
    shops = [Shop(alike, seed) for seed in range(4)]
    return [shop.error(shop.taste()) / shop.error(None) for shop in shops]


def test_where_those_who_answer_are_those_who_buy_answers_tell_whom_a_contact_moves():
    assert np.mean(errors(alike=0.95)) < 0.9


def test_answers_that_tell_nothing_of_purchases_do_no_harm():
    assert max(errors(alike=0.0)) < 1.03


def test_scores_are_standardised_and_read_nothing_but_people():
    shop = Shop(alike=0.5)
    taste = shop.taste()
    assert taste.channels == CHANNELS
    assert_allclose(taste.weights[-1], 0.0)
    design = np.random.default_rng(2).random((5, len(TERMS))).astype(np.float32)
    assert Told(taste).beside(design, shop.views).dtype == np.float32
    assert_allclose(Told(taste).beside(design, shop.views)[:, : len(TERMS)], design)
    scores = taste.scores(design_of(TERMS, shop.views))
    assert_allclose(scores.mean(axis=0), 0.0, atol=1e-3)
    assert_allclose(scores.std(axis=0), 1.0, atol=1e-3)


def test_what_is_folded_says_the_same():
    random = np.random.default_rng(3)
    taste, terms = Shop(alike=0.5).taste(), len(TERMS)
    found = Effects(random.normal(size=2), random.normal(size=(terms + 2, 2)), 1, np.ones(1))
    design = random.random((50, terms))
    beside = np.hstack([design, design @ taste.weights + taste.intercept])
    folded = taste.folded(found)
    assert_allclose(folded.intercept + design @ folded.weights, found.intercept + beside @ found.weights)
    ContactEffects(terms=TERMS, intercept=tuple(folded.intercept), weights=tuple(map(tuple, folded.weights)))


def test_few_answers_say_nothing():
    shop = Shop(alike=0.9)
    response = shop.answers.seen.response
    few = np.where(np.arange(CONTACTS) < 2_000, response, 0)
    assert few.sum() > 200
    assert fit_taste(TERMS, CHANNELS, shop.answered(few)) is None
    taste = fit_taste(TERMS, CHANNELS, shop.answered(np.where(shop.action == 1, response, 0)))
    assert taste is not None
    assert taste.channels == ("email",)
    assert fit_taste(TERMS[-1:], CHANNELS, shop.answers) is None
