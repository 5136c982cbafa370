"""Which pairs of people's columns are read together, those whose cells differ by more than either says; how finely."""

from itertools import product
from types import SimpleNamespace
from typing import Any

import numpy as np

from contract.loading import load_params
from features.demographic import Column
from models.effect_terms import Term
from models.marks import Came, unmarked
from models.tables import Table
from training.additive import Followed, Seen, design_of, fit_effects, telling_cells
from training.effect_views import cell_terms, fine_cells

COLUMNS = ("age", "region", "plan")
LEVELS, CHANNELS, ROWS = 4, ("email", "sms"), 80_000


def level(column, code):
    return Term(kind="level", columns=(column,), group=f"people: {column}", bounds=((code - 0.5, code + 0.5),))


def cell(one, other, first, second):
    bounds = ((first - 0.5, first + 0.5), (second - 0.5, second + 0.5))
    return Term(kind="cell", columns=(one, other), group=f"cells: {one} by {other}", bounds=bounds)


PAIRS = (("age", "region"), ("age", "plan"), ("region", "plan"))
TERMS = tuple(level(column, code) for column in COLUMNS for code in range(LEVELS))
CELLS = tuple(cell(*pair, *codes) for pair in PAIRS for codes in product(range(LEVELS), repeat=2))


def told(log_excess):
    """The cells that tell, of contacts whose log excess is -3.5 and what the codes (n, 3) and channels (n,) add."""
    random = np.random.default_rng(0)
    codes = random.integers(0, LEVELS, (ROWS, 3))
    channel = random.integers(0, len(CHANNELS), ROWS)
    base = np.full(ROWS, 0.03)
    rate = base + np.exp(-3.5 + log_excess(codes, channel))
    response = (random.random(ROWS) < -np.expm1(-rate)).astype(np.int8)
    came = Came(np.full(ROWS, np.nan, np.float32), np.zeros(ROWS, np.bool_))
    views = Table(codes.astype(np.float32), COLUMNS, (), np.arange(ROWS))
    followed = Followed(views, Seen(1 + channel, response, came), base, unmarked(len(CHANNELS)))
    found = telling_cells(TERMS, CELLS, CHANNELS, followed)
    return {each.columns for each in found}


def test_what_either_column_says_alone_needs_no_cells():
    of_age, of_region = np.array([0.5, 0.0, -0.5, 0.2]), np.array([[0.4, -0.4, 0.0, 0.3], [-0.3, 0.2, 0.4, 0.0]])
    assert told(lambda codes, channel: of_age[codes[:, 0]] + of_region[channel, codes[:, 1]]) == set()


def test_a_pair_that_means_something_together_is_found():
    together = np.random.default_rng(1).normal(0, 0.7, (len(CHANNELS), LEVELS, LEVELS))
    assert told(lambda codes, channel: together[channel, codes[:, 0], codes[:, 2]]) == {("age", "plan")}


def _columns(**values):
    table = Table(np.column_stack(list(values.values())).astype(np.float32), tuple(values), (), np.arange(ROWS))
    readings = {"age": Column("birth_year", "age"), "since": Column("since", "number"), "plan": Column("plan", "level")}
    columns = [readings[name] for name in values]
    study: Any = SimpleNamespace(params=load_params(), source=SimpleNamespace(demographic=columns))
    return study, table


def _followed(views, log_excess):
    random = np.random.default_rng(0)
    base = np.full(ROWS, 0.03)
    response = (random.random(ROWS) < -np.expm1(-base - np.exp(log_excess))).astype(np.int8)
    came = Came(np.full(ROWS, np.nan, np.float32), np.zeros(ROWS, np.bool_))
    return Followed(views, Seen(np.ones(ROWS, np.int64), response, came), base, unmarked(1))


def test_thresholds_find_where_a_number_turns_and_bands_do_not():
    """Known truth: on two of four plans the excess jumps at 28, on two at 69; bands part at 34, 48, 62 and 76."""
    random = np.random.default_rng(2)
    age, plan = random.uniform(20, 90, ROWS), random.integers(0, 4, ROWS)
    study, table = _columns(age=age, plan=plan)
    truth = -3.0 + np.where(plan < 2, np.where(age < 28, 1.0, -0.4), np.where(age < 69, -0.4, 0.9))
    followed, coarse = _followed(table, truth), cell_terms(study, table)
    errors = []
    for cells in (coarse, fine_cells(study, table, coarse)):
        effects = fit_effects(cells, ("email",), followed)
        found = np.log(effects.over({"age": 0, "plan": 1}).excess(table.matrix)[:, 1])
        errors.append(float(np.sqrt(np.mean((found - truth) ** 2))))
    assert errors[1] < 0.6 * errors[0]


def test_what_is_unknown_lies_at_no_threshold_and_ten_customers_stand_behind_each():
    age = np.where(np.arange(ROWS) % 3 == 0, np.nan, np.arange(ROWS) % 61)
    study, table = _columns(age=age, plan=np.where(np.arange(ROWS) < 9, 7, np.arange(ROWS) % 4))
    fine = fine_cells(study, table, cell_terms(study, table))
    design = design_of(fine, table)
    assert not design[np.isnan(age)].any()
    assert design.sum(axis=0).min() >= study.params.training.min_customers_per_leaf
    assert {cell.bounds[1] for cell in fine} == {(code - 0.5, code + 0.5) for code in range(4)}
    assert {cell.bounds[0][1] for cell in fine} == {1e30}
    assert fine_cells(study, table, ()) == ()


def test_a_pair_of_two_numbers_stays_in_bands():
    age, since = np.arange(ROWS) % 60, np.arange(ROWS) % 70
    study, table = _columns(age=age, since=since)
    coarse = cell_terms(study, table)
    assert len(coarse) == 25
    assert fine_cells(study, table, coarse) == coarse
