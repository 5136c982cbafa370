"""Margins are shrunk towards people like the customer, no basket decides, their means are right."""

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from contract.errors import ArtefactError
from contract.loading import load_params
from features.demographic import Column
from models.effect_terms import Term
from models.margin import Margin, fixed_margin
from models.margin_fit import fit_margin
from models.tables import Table
from training.effect_views import people_terms

NAMES = ("region", "age", "value", "count")
PLACES = {name: i for i, name in enumerate(NAMES)}
REGIONS, BANDS = 6, ((-1e30, 30.0), (30.0, 50.0), (50.0, 1e30))
TERMS = (
    *(Term(kind="level", columns=("region",), group="people", bounds=((i - 0.5, i + 0.5),)) for i in range(REGIONS)),
    *(Term(kind="level", columns=("age",), group="people", bounds=(band,)) for band in BANDS),
)


def _customers(between: float, within: float, told: float, rows: int = 8000, seed: int = 0):
    """Past baskets, and the margin (0.3 of a basket) of customers; `told` (log sd) of their means is region and age."""
    random = np.random.default_rng(seed)
    region, age = random.integers(0, REGIONS, rows), random.uniform(18, 80, rows)
    log_mean = np.linspace(-1.2, 1.2, REGIONS)[region] + np.where(age >= 50, 0.6, -0.6)
    own = 50 * np.exp(told * log_mean + between * random.normal(size=rows))
    count = random.poisson(2, rows)
    noise = np.exp(within * random.normal(size=(rows, 12)) - within**2 / 2)
    logs = np.log1p(own[:, None] * noise) * (np.arange(12) < count[:, None])
    value = np.expm1(np.divide(logs.sum(axis=1), count, out=np.full(rows, np.nan), where=count > 0))
    margin = 0.3 * own * np.exp(within * random.normal(size=rows) - within**2 / 2)
    return _table(np.column_stack([region, age, value, count])), margin, 0.3 * own


def _table(matrix) -> Table:
    return Table(np.asarray(matrix, np.float32), NAMES, ("region",), np.arange(len(matrix)))


def _fitted(table, margin, terms=TERMS) -> Margin:
    return fit_margin(table, margin, "value", "count", terms)


def _expected(found, table):
    return found.over(PLACES).expected(table.matrix)


def _to_the_mean_of_all(table):
    """Each customer's usual basket drawn to that of all on the raw scale, at the strength that suits the truth best."""
    basket, count = np.nan_to_num(table.matrix[:, 2].astype(float)), table.matrix[:, 3].astype(float)
    known = count > 0
    capped = np.minimum(basket, np.percentile(basket[known], 99))
    return [(k * capped[known].mean() + count * capped) / (k + count) for k in 2.0 ** np.arange(-3, 9)]


def _correlation(found, truth) -> float:
    return float(np.corrcoef(np.log(found), np.log(truth))[0, 1])


def test_known_truth_is_met_better_than_by_shrinking_to_the_mean_of_all():
    table, margin, _ = _customers(between=0.5, within=0.8, told=0.4)
    found = _fitted(table, margin)
    others, _, truth = _customers(between=0.5, within=0.8, told=0.4, seed=1)
    expected = _expected(found, others)
    best = max(_correlation(each, truth) for each in _to_the_mean_of_all(others))
    assert _correlation(expected, truth) > best + 0.08
    assert expected.mean() == pytest.approx(truth.mean(), rel=0.05)
    assert _expected(found, table).mean() == pytest.approx(margin.mean(), rel=1e-9)


def test_unlike_customers_are_told_apart_and_like_ones_are_not():
    unlike, margin, _ = _customers(between=0.8, within=0.3, told=0.0)
    found = _fitted(unlike, margin)
    like, margin, _ = _customers(between=0.0, within=1.0, told=0.0)
    shrunk = _fitted(like, margin)
    assert shrunk.strength > 20 * found.strength
    assert _expected(shrunk, like).std() < 0.1 * _expected(shrunk, like).mean()


def test_newcomers_get_the_mean_of_people_like_them():
    table, margin, truth = _customers(between=0.3, within=0.5, told=0.5, rows=20_000)
    found = _fitted(table, margin)
    region, old = table.matrix[:, 0], table.matrix[:, 1] >= 50
    for r in range(REGIONS):
        for side, age in ((True, 60.0), (False, 40.0)):
            newcomer = _table([[r, age, 0, 0], [r, age, np.nan, np.nan]])
            like = truth[(region == r) & (old == side)].mean()
            assert _expected(found, newcomer) == pytest.approx([like, like], rel=0.1)
    unknown = _table([[np.nan, np.nan, 0, 0]])
    assert _expected(found, unknown) == pytest.approx(found.scale * np.exp(found.prior))


def test_one_huge_basket_hardly_moves_the_rest_and_decides_little_for_its_own_customer():
    table, margin, _ = _customers(between=0.5, within=0.5, told=0.3)
    found = _fitted(table, margin)
    before = _expected(found, table)
    matrix = table.matrix.copy()
    matrix[0, 2:] = (1e7, 1)
    margin[0] = 1e7
    giant = _table(matrix)
    again = _fitted(giant, margin)
    after = _expected(again, giant)
    assert np.allclose(after[1:], before[1:], rtol=0.03)
    assert after[0] <= again.scale * again.highest
    assert again.highest < 1.01 * found.highest
    assert np.sort(matrix[np.isfinite(matrix[:, 2]), 2])[-10:].min() > again.highest


def test_expected_margin_follows_its_formula_and_one_row_gives_the_bits_of_many():
    table, margin, _ = _customers(between=0.5, within=0.8, told=0.4, rows=3000)
    table.matrix[::7, 0] = np.nan
    found = _fitted(table, margin)
    bound = found.over(PLACES)
    together = bound.expected(table.matrix)
    for row, expected in zip(table.matrix[:200], together, strict=False):
        assert bound.expected(row[None]).tobytes() == expected.tobytes()
        held = [t.bounds[0][0] <= row[PLACES[t.columns[0]]] < t.bounds[0][1] for t in TERMS]
        prior = found.prior + sum(w for w, h in zip(found.weights, held, strict=True) if h)
        n = float(row[3])
        basket = min(max(float(row[2]), found.lowest), found.highest) if n else 1.0
        log = (found.strength * prior + n * np.log(basket)) / (found.strength + n)
        assert expected == pytest.approx(found.scale * np.exp(log), rel=1e-12)


def test_the_fit_is_where_the_deviance_is_least():
    """Neither another strength of the grid nor a step along any coefficient lowers the penalised Gamma deviance."""
    table, margin, _ = _customers(between=0.5, within=0.8, told=0.4, rows=4000)
    found = _fitted(table, margin)
    target = np.minimum(margin, np.percentile(margin, 99))

    def loss(update):
        expected = _expected(found.model_copy(update=update), table)
        expected *= (target / expected).mean()  # the level that the deviance wants
        return float(np.mean(target / expected + np.log(expected)))

    least = loss({})
    for t in range(len(TERMS)):
        for step in (-0.1, 0.1):
            weights = list(found.weights)
            weights[t] += step
            assert loss({"weights": tuple(weights)}) > least
    assert min(loss({"prior": found.prior + step}) for step in (-0.2, 0.2)) > least
    for factor in (0.25, 4.0):
        assert loss({"strength": found.strength * factor}) > least


def test_neither_few_nor_many_purchases_are_worth_too_little_or_too_much():
    table, margin, _ = _customers(between=0.5, within=0.8, told=0.4, rows=40_000)
    others, _, truth = _customers(between=0.5, within=0.8, told=0.4, rows=40_000, seed=1)
    found = _fitted(table, margin)
    expected, count = _expected(found, others), others.matrix[:, 3]
    for held in (count == 0, count == 1, count == 2, count >= 3):
        assert expected[held].mean() == pytest.approx(truth[held].mean(), rel=0.04)
    assert found.strength == pytest.approx(0.8**2 / 0.5**2, rel=0.6)


def test_levels_that_tell_nothing_are_drawn_to_zero():
    told, margin, _ = _customers(between=0.5, within=0.8, told=0.4)
    untold, same, _ = _customers(between=0.5, within=0.8, told=0.0, rows=300)
    assert np.ptp(_fitted(told, margin).weights[:REGIONS]) == pytest.approx(0.4 * 2.4, rel=0.2)
    assert np.abs(_fitted(untold, same).weights).max() < 0.2


def test_ten_distinct_customers_stand_behind_every_level():
    """Region 4 is held by nine customers on many rows, region 5 by ten; the customers' bands are all common."""
    customer = np.repeat(np.arange(400), 3)
    region = np.where(customer < 9, 4, np.where(customer < 19, 5, customer % 4))
    matrix = np.column_stack([region, 20 + customer % 60, customer * 0 + 50, customer * 0 + 1])
    table = Table(matrix.astype(np.float32), NAMES, ("region",), customer)
    columns = (Column("birth_year", "age"), Column("region", "level"), Column("gender", "level"))
    study: Any = SimpleNamespace(params=load_params(), source=SimpleNamespace(demographic=columns))
    assert study.params.training.min_customers_per_leaf == 10
    terms = people_terms(study, table)
    regions = [t.bounds[0][0] + 0.5 for t in terms if t.columns == ("region",)]
    assert regions == [0.0, 1.0, 2.0, 3.0, 5.0]
    assert sum(t.columns == ("age",) for t in terms) == 5
    assert {t.kind for t in terms} == {"level"}


def test_fixed_worth_and_what_may_be_missing():
    table = _table(np.zeros((3, 4)))
    assert _expected(fixed_margin(2.5), table).tolist() == [2.5] * 3
    assert _expected(fit_margin(table, np.array([1.0, 2.0, 3.0]), None, None), table) == pytest.approx(
        [2.0] * 3, rel=0.01
    )
    assert _expected(_fitted(table, np.array([1.0, 2.0, 3.0]), ()), table) == pytest.approx([2.0] * 3, rel=0.01)
    nobody = Table(table.matrix[:0], NAMES, (), np.arange(0))
    assert _expected(_fitted(nobody, np.array([])), table).tolist() == [0.0] * 3
    assert _expected(_fitted(table, np.zeros(3)), table).tolist() == [0.0] * 3
    many, margin, _ = _customers(0.3, 0.5, 0.5)
    assert _expected(_fitted(many, np.full(len(margin), 7.0)), many).mean() == pytest.approx(7.0)
    found = fit_margin(many, margin, None, None, TERMS)
    assert np.ptp(_expected(found, _table([[0, 40, 0, 0], [5, 40, 0, 0]]))) > 1.0
    with pytest.raises(ArtefactError, match=r"margin: reads age, region.*train again"):
        found.over({"value": 0, "count": 1})


def test_what_is_saved_gives_the_same_bits():
    table, margin, _ = _customers(between=0.5, within=0.8, told=0.4, rows=2000)
    found = _fitted(table, margin)
    again = Margin.model_validate_json(found.model_dump_json())
    assert again == found
    assert np.array_equal(_expected(again, table), _expected(found, table))
