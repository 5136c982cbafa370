"""The forest gives LightGBM's raw score to the bit, whatever training made and whatever a row holds, or refuses."""

import lightgbm as lgb
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from contract.errors import ArtefactError
from models.forest import FEW_CUSTOMERS, Forest, UnreadableError
from models.leaves import clear_feature_infos

COLUMNS = 7
CATEGORICAL = (5, 6)
ROWS = 400
ODD = np.array(
    [
        *[
            np.nan,
            0.0,
            -0.0,
            np.inf,
            -np.inf,
            3e38,
            -3e38,
            1e-35,
            -1e-35,
            1.1e-35,
            1e-40,
            -1e-45,
            -0.5,
            -1.0,
            -7.0,
            31.0,
        ],
        *[32.0, 63.5, 1e9, 2147483648.0, -2147483649.0, 0.5, 2.0],
    ],
    np.float32,
)

OPTIONS = st.fixed_dictionaries(
    {
        "num_leaves": st.integers(2, 120),
        "min_data_in_leaf": st.sampled_from([1, 5, 40]),
        "zero_as_missing": st.booleans(),
        "use_missing": st.booleans(),
        "max_cat_to_onehot": st.sampled_from([1, 4, 32]),
        "feature_fraction": st.sampled_from([0.4, 1.0]),
        "lambda_l2": st.sampled_from([0.0, 5.0]),
        "boost_from_average": st.booleans(),
    }
)


def learned(seed: int, options: dict[str, object], classes: int, categories: int) -> tuple[lgb.Booster, np.ndarray]:
    """A model of random rows, among them many missing and zero, and the rows."""
    random = np.random.default_rng(seed)
    rows = random.normal(size=(ROWS, COLUMNS)).astype(np.float32)
    rows[:, 2] = random.integers(-1, 3, ROWS)
    rows[:, list(CATEGORICAL)] = random.integers(0, categories, (ROWS, len(CATEGORICAL)))
    rows[random.random(rows.shape) < 0.15] = np.nan
    rows[random.random(rows.shape) < 0.15] = 0.0
    score = np.nan_to_num(rows[:, 0]) + (np.nan_to_num(rows[:, 5]) % 3) + random.normal(size=ROWS) - rows[:, 2] ** 2
    label = np.argsort(np.argsort(np.nan_to_num(score))) * max(2, classes) // ROWS
    kind = {"objective": "binary"} if classes == 1 else {"objective": "multiclass", "num_class": classes}
    quiet = {"verbosity": -1, "num_threads": 1, "seed": seed, "min_data_in_bin": 1, "cat_smooth": 1.0}
    data = lgb.Dataset(rows, label, categorical_feature=list(CATEGORICAL), params={**quiet, **options, **kind})
    booster = lgb.train({**quiet, **options, **kind}, data, 6)
    return lgb.Booster(model_str=clear_feature_infos(booster.model_to_string())), rows


def hostile(text: str, rows: np.ndarray, seed: int) -> np.ndarray:
    """Rows that hold odd values, unseen categories, and values at, just above and just below every threshold."""
    random = np.random.default_rng(seed)
    lines = [line.split("=", 1)[1].split() for line in text.splitlines() if line.startswith("threshold=")]
    limits = np.array([float(each) for line in lines for each in line] or [0.0]).astype(np.float32)
    near = np.concatenate([limits, np.nextafter(limits, np.float32(np.inf)), np.nextafter(limits, np.float32(-np.inf))])
    pool = np.concatenate([ODD, near])
    result = rows.copy()
    odd = random.random(result.shape) < 0.4
    result[odd] = random.choice(pool, int(odd.sum()))
    return result


def split_up(rows: np.ndarray, own: list[int], actions: int) -> tuple[list[int], np.ndarray, np.ndarray, np.ndarray]:
    """Places of the columns, the shared and the own matrix, and the whole rows of each customer and action."""
    shared = [column for column in range(COLUMNS) if column not in own]
    places = [~own.index(column) if column in own else shared.index(column) for column in range(COLUMNS)]
    customers = rows[: len(rows) // actions]
    whole = rows[: len(customers) * actions].copy()
    whole[:, shared] = np.repeat(customers[:, shared], actions, axis=0)
    return places, customers[:, shared], whole[:, own], whole


@settings(max_examples=60, deadline=None)
@given(
    seed=st.integers(0, 2**31 - 1),
    options=OPTIONS,
    classes=st.sampled_from([1, 1, 3]),
    categories=st.sampled_from([3, 40, 70]),
    own=st.lists(st.integers(0, COLUMNS - 1), unique=True, max_size=COLUMNS),
    actions=st.sampled_from([1, 3, 9, 17]),
)
def test_raw_scores_are_lightgbms(seed, options, classes, categories, own, actions):
    booster, rows = learned(seed, options, classes, categories)
    text = booster.model_to_string()
    places, shared, mine, whole = split_up(hostile(text, rows, seed), own, actions)
    forest = Forest.parsed(text, places)
    expected = np.asarray(booster.predict(whole, raw_score=True, num_threads=1)).reshape(len(shared), actions, classes)
    assert np.array_equal(forest.raw(shared, mine).view(np.int64), expected.view(np.int64))
    few = min(len(shared), FEW_CUSTOMERS - 1)
    some = forest.raw(shared[:few], mine[: few * actions])
    assert np.array_equal(some.view(np.int64), expected[:few].view(np.int64))


def test_single_leaf_trees_add_their_constant():
    rows = np.zeros((100, 2), np.float32)
    data = lgb.Dataset(rows, np.arange(100) < 20, params={"verbosity": -1})
    text = lgb.train({"objective": "binary", "verbosity": -1}, data, 3).model_to_string()
    assert "num_leaves=1\n" in text
    expected = np.asarray(lgb.Booster(model_str=text).predict(rows, raw_score=True))
    assert expected[0] < -1
    assert np.array_equal(Forest.parsed(text).raw(rows)[:, 0, 0], expected)


def test_threads_change_nothing():
    booster, rows = learned(3, {"num_leaves": 15}, 3, 40)
    many = np.tile(rows, (25, 1))
    forest = Forest.parsed(booster.model_to_string())
    assert np.array_equal(forest.raw(many, threads=2), forest.raw(many, threads=1))


def test_no_rows_have_no_scores():
    booster, rows = learned(3, {"num_leaves": 15}, 3, 40)
    assert Forest.parsed(booster.model_to_string()).raw(rows[:0]).shape == (0, 1, 3)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda text: text.replace("is_linear=0", "is_linear=1"), "linear"),
        (lambda text: text.replace("version=v4", "version=v3"), "version v3"),
        (lambda text: text.replace("objective=", "average_output\nobjective="), "averaged"),
        (lambda text: text.replace("decision_type=2", "decision_type=14"), "decision type 14"),
    ],
)
def test_what_it_cannot_evaluate_is_refused(change, reason):
    booster, _ = learned(2, {"num_leaves": 8, "use_missing": False}, 1, 3)
    text = booster.model_to_string()
    assert change(text) != text
    with pytest.raises(UnreadableError, match=reason):
        Forest.parsed(change(text))


def test_a_matrix_of_other_columns_is_refused():
    booster, rows = learned(2, {"num_leaves": 31}, 1, 3)
    with pytest.raises(ArtefactError, match="found matrices of shape"):
        Forest.parsed(booster.model_to_string()).raw(rows[:, :2])
