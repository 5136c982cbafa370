"""Which pairs of people's columns are read together: those whose cells differ by more than either column says."""

from itertools import product

import numpy as np

from models.effect_terms import Term
from models.marks import Came, unmarked
from models.tables import Table
from training.additive import Followed, Seen, telling_cells

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
