"""Terms and effects as data: what they read, that one customer gets the bits of a batch, and reasons that add up."""

import lightgbm as lgb
import numpy as np
import pytest

from contract.errors import ArtefactError
from models.boosting import stretched
from models.calibration import Unchanged
from models.effect_terms import Reader, Term, raw, standardised
from models.effects import Appeal, ContactEffects, rate_of, response_probability
from models.response import Learned, Response
from training.additive import Spread, fit_spread, log_level, spread_of

NAMES = ("sends", "answers", "rate", "age", "region", "action")
TERMS = (
    Term(kind="rate", columns=("answers", "sends"), group="a", usual=0.2, strength=5.0, center=0.1, scale=0.5),
    Term(kind="per", columns=("rate", "sends"), group="a", usual=0.1, strength=5.0),
    Term(kind="count", columns=("sends",), group="a", center=1.0, scale=2.0),
    Term(kind="value", columns=("age",), group="b", center=45.0, scale=15.0),
    Term(kind="level", columns=("region",), group="c", bounds=((1.5, 2.5),)),
    Term(kind="cell", columns=("region", "age"), group="d", bounds=((1.5, 2.5), (40.0, 50.0))),
)


def rows(n=400, seed=0):
    random = np.random.default_rng(seed)
    found = np.column_stack(
        [
            random.poisson(6, n),
            random.poisson(1, n),
            random.random(n),
            random.uniform(18, 90, n),
            random.integers(0, 4, n),
            random.integers(0, 3, n),
        ]
    ).astype(np.float32)
    found[random.random(found.shape) < 0.1] = np.nan
    found[:, 5] = random.integers(0, 3, n)
    return found


APPEAL = Appeal(
    column="region",
    categories=(0, 2),
    terms=(0, 3),
    weights=((0.3, -0.2), (0.1, 0.4)),
    pull=(1.5, 0.5),
)


def effects(link="log", seed=1, appeal=None):
    random = np.random.default_rng(seed)
    weights = random.normal(0, 0.4, (len(TERMS), 2)) * (1.0 if link == "log" else 0.05)
    intercept = (-2.5, -3.0) if link == "log" else (0.02, -0.02)
    found = ContactEffects(terms=TERMS, intercept=intercept, weights=tuple(map(tuple, weights.tolist())), link=link)
    return found.model_copy(update={"appeal": appeal})


@pytest.fixture(scope="module", params=[("log", None), ("log", APPEAL), ("identity", None)])
def response(request):
    """Trees of rates that never split on the action, with effects beside them."""
    random = np.random.default_rng(2)
    x = rows(3_000, 3)
    label = random.poisson(0.05 * np.exp(0.5 * np.nan_to_num(x[:, 2])))
    params = {"objective": "poisson", "verbosity": -1, "feature_contri": [1.0] * 5 + [0.0], "num_leaves": 7}
    booster = lgb.train(params, lgb.Dataset(x, label), 20)
    assert booster.feature_importance()[5] == 0
    link, appeal = request.param
    return Response.of_rows(Learned(booster.model_to_string(), effects(link, appeal=appeal), Unchanged()), NAMES)


def test_terms_are_what_their_words_say():
    row = np.array([[10.0, 3.0, 0.4, 45.0, 2.0, 1.0]], np.float32)
    found = Reader.of(TERMS, {name: i for i, name in enumerate(NAMES)}).design(row)[0]
    rate = (np.log((3 + 5 * 0.2) / (10 + 5) / 0.2) - 0.1) / 0.5
    per = np.log((float(np.float32(0.4)) * 10 + 5 * 0.1) / (10 + 5) / 0.1)
    assert found == pytest.approx([rate, per, (np.log(11) - 1) / 2, 0.0, 1.0, 1.0], rel=1e-6)


def test_missing_values_say_nothing():
    row = np.full((1, 6), np.nan, np.float32)
    found = Reader.of(TERMS, {name: i for i, name in enumerate(NAMES)}).design(row)[0]
    assert found == pytest.approx([(0.0 - 0.1) / 0.5, 0.0, (0.0 - 1) / 2, 0.0, 0.0, 0.0], abs=1e-7)


def test_no_extreme_is_kept():
    terms = (Term(kind="value", columns=("age",), group="b"),)
    ages = np.append(np.full(999, 40.0), 1e6).astype(np.float32)[:, None]
    ages[::2] += 1
    reader = Reader.of(terms, {"age": 0})
    learned = standardised(terms, raw(reader).design(ages))
    assert np.abs(Reader.of(learned, {"age": 0}).design(ages)).max() == 5.0


def test_a_term_that_never_varies_is_left_out():
    terms = (Term(kind="value", columns=("age",), group="b"), Term(kind="count", columns=("sends",), group="a"))
    matrix = np.column_stack([np.full(50, 30.0), np.arange(50)]).astype(np.float32)
    reader = Reader.of(terms, {"age": 0, "sends": 1})
    assert [term.kind for term in standardised(terms, raw(reader).design(matrix))] == ["count"]


def test_one_customer_gets_the_bits_of_the_batch(response):
    whole = rows()
    together = response.probability(whole)
    assert np.array_equal(together, np.vstack([response.probability(whole[i : i + 1]) for i in range(len(whole))]))


def test_both_halves_give_what_whole_rows_give(response):
    shared, own = rows()[:, :5], np.tile(np.arange(3, dtype=np.float32), 400)[:, None]
    places = {name: i for i, name in enumerate(NAMES[:5])} | {"action": ~0}
    halves = Response(response.learned, NAMES, places).probability(shared, own)
    whole = np.column_stack([np.repeat(shared, 3, axis=0), own])
    assert np.array_equal(halves.ravel(), response.probability(whole)[:, 0])


def test_no_contact_is_what_the_trees_say(response):
    whole = rows()
    whole[:, 5] = 0
    trees = np.exp(response.trees.raw(whole)[:, 0, 0])
    assert np.allclose(rate_of(response.probability(whole)[:, 0]), trees, rtol=1e-9)


def test_reasons_add_up_to_the_log_of_expected_responses(response):
    whole = rows()
    found = response.explain(whole)
    rate = rate_of(response.probability(whole)[:, 0])
    assert np.allclose(found.raw, np.log(rate), atol=1e-9)
    idle = whole[:, 5] == 0
    assert np.all(found.contribution[idle, 5] == 0)
    helps = (whole[:, 5] == 1) | (response.learned.effects.link == "log")
    assert np.all(found.contribution[~idle & helps, 5] > 0)
    assert np.all(found.contribution[~idle & ~helps, 5] < 0)


def test_effects_in_probability_are_added_to_it_and_cut_off_at_its_ends():
    bound = effects("identity").over({name: i for i, name in enumerate(NAMES)})
    whole, log_base = rows(), np.linspace(-9, 1, 400)
    excess, alone = bound.excess(whole), response_probability(log_base, np.zeros(400))
    found = bound.probability(log_base[:, None], excess)
    assert np.array_equal(found[:, 0], alone)
    assert excess.min() < 0 < excess.max()
    inside = (alone[:, None] + excess > 0.001) & (alone[:, None] + excess < 0.999)
    assert np.allclose((found - alone[:, None])[inside], excess[inside], atol=1e-12)
    assert found[~inside].min() > 0
    assert found[~inside].max() < 1
    assert (~inside).any()


def test_a_category_adds_its_own_weights_by_the_channels_pull():
    """Region 2 is a known category, region 1 is not, nor is a missing one."""
    whole, places = rows(), {name: i for i, name in enumerate(NAMES)}
    plain, with_appeal = (effects(appeal=each).over(places).excess(whole) for each in (None, APPEAL))
    moved = np.log(with_appeal[:, 1:] / plain[:, 1:])
    design = Reader.of(TERMS, places).design(whole).astype(np.float64)
    for region, column in ((0, 0), (2, 1)):
        own = whole[:, 4] == region
        score = design[own][:, APPEAL.terms] @ np.array(APPEAL.weights)[:, column]
        assert np.allclose(moved[own], np.multiply.outer(score, APPEAL.pull), atol=1e-6)
        assert np.allclose(APPEAL.score(design[own], whole[own, 4]), score)
    unknown = ~np.isin(whole[:, 4], APPEAL.categories)
    assert unknown.sum() > 50
    assert np.array_equal(plain[unknown], with_appeal[unknown])


def test_the_column_of_the_category_is_read():
    apart = TERMS[:4]
    weights = ((0.0, 0.0),) * len(apart)
    found = ContactEffects(terms=apart, intercept=(0.0, 0.0), weights=weights, appeal=APPEAL)
    assert "region" in found.columns
    with pytest.raises(ArtefactError, match="read region"):
        found.over({name: i for i, name in enumerate(NAMES) if name != "region"})


def test_effects_are_data_with_their_link(response):
    effects = response.learned.effects
    assert ContactEffects.model_validate_json(effects.model_dump_json()) == effects


def test_a_stretched_model_is_the_same_but_for_spread_and_level(response):
    whole = rows()
    moved = Response.of_rows(Learned(stretched(response.learned.text, 1.2, -0.3), effects(), Unchanged()), NAMES)
    assert np.allclose(moved.trees.raw(whole), 1.2 * response.trees.raw(whole) - 0.3, atol=1e-12)
    found = moved.explain(whole)
    assert np.allclose(found.raw, np.log(rate_of(moved.probability(whole)[:, 0])), atol=1e-9)


def test_those_left_alone_set_the_level_the_more_the_more_they_are():
    expected = np.full(100_000, 0.05)
    many = log_level(expected, np.arange(100_000) % 25 == 0)
    few = log_level(expected[:1_000], np.arange(1_000) % 25 == 0)
    assert np.log(0.8) < many < 0.97 * np.log(0.8)
    assert 0.4 * np.log(0.8) < few < 0
    assert log_level(expected, np.arange(100_000) % 20 == 0) == pytest.approx(0.0)


@pytest.mark.parametrize("true", [0.7, 1.0, 1.4])
def test_the_spread_of_log_rates_is_found_with_its_error(true):
    random = np.random.default_rng(7)
    apart = []
    for _ in range(50):
        log_rate = random.normal(-3.0, 0.5, 20_000)
        found = fit_spread(log_rate, random.poisson(np.exp(-2.9 + true * (log_rate + 3.0))).astype(float))
        apart.append((found.factor - true) / found.error)
    assert abs(np.mean(apart)) < 0.5
    assert 0.7 < np.std(apart) < 1.35


def test_a_spread_is_drawn_to_one_the_less_is_known_of_it():
    nothing = fit_spread(np.zeros(0), np.zeros(0))
    assert spread_of(nothing, Spread(1.4, 0.01)) == pytest.approx(1.4, abs=0.01)
    assert spread_of(nothing, Spread(1.4, 0.2)) == pytest.approx(1.2)
    assert spread_of(nothing, Spread(1.4, 9.0)) == pytest.approx(1.0, abs=0.01)
    assert 1.2 < spread_of(Spread(1.4, 0.01), nothing) < 1.3
    assert spread_of(Spread(50.0, 0.01), Spread(50.0, 0.01)) == 2.0


def test_effects_refuse_columns_that_depend_on_the_action():
    with pytest.raises(ArtefactError, match="read age, which depend on the action"):
        effects().over({name: i for i, name in enumerate(NAMES) if name != "age"})


def test_rates_and_probabilities_are_inverse():
    log_rate = np.linspace(-8, 0.5, 20)
    assert np.allclose(np.log(rate_of(response_probability(log_rate, np.zeros(20)))), log_rate)
