"""Who teaches, who chooses and who judges are kept apart in time and in customers, and nothing is lost uncounted."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from contract.loading import load_params
from features.events import US_PER_DAY
from training.splits import customer_hashes, sample_customers, split_decisions

PARAMS = load_params()
HORIZON_US = round(PARAMS.target.horizon_days * US_PER_DAY)
IDS = np.array([f"c{i}" for i in range(500)], dtype=object)


def _decisions(span_days, seed=0, rows=8000):
    random = np.random.default_rng(seed)
    time_us = (1.7e15 + random.uniform(0, span_days, rows) * US_PER_DAY).astype(np.int64)
    return time_us, random.integers(0, len(IDS), rows)


@given(st.floats(1, 2000), st.integers(0, 2**31 - 1))
def test_parts_are_apart_and_every_row_is_counted(span_days, seed):
    time_us, customer = _decisions(span_days)
    split = split_decisions(time_us, customer, customer_hashes(IDS, seed), PARAMS)
    parts = [split.learn, split.choose, split.out_of_time, split.out_of_customer]
    assert len(np.unique(np.concatenate(parts))) == sum(map(len, parts))
    assert sum(map(len, parts)) + split.left_out == len(time_us)
    taught = set(customer[split.learn]) | set(customer[split.choose])
    assert not taught & set(customer[split.out_of_customer])
    assert not split.held_out[list(taught)].any()
    if len(split.out_of_time):
        end_of_learning = time_us[split.learn].max() + HORIZON_US
        assert end_of_learning <= time_us[split.choose].min()
        assert time_us[split.choose].max() + HORIZON_US <= time_us[split.out_of_time].min() == split.judged_from_us or (
            split.judged_from_us <= time_us[split.out_of_time].min()
        )


def test_long_histories_are_split_by_the_days_asked_for():
    time_us, customer = _decisions(700)
    split = split_decisions(time_us, customer, customer_hashes(IDS, 0), PARAMS)
    days = (time_us.max() + 1 - split.judged_from_us) / US_PER_DAY
    assert days == pytest.approx(PARAMS.training.test_days)
    assert "shorter" not in split.note


@pytest.mark.parametrize(("span_days", "words"), [(120, "shorter than asked"), (10, "customers alone")])
def test_short_histories_are_split_by_less_and_say_so(span_days, words):
    time_us, customer = _decisions(span_days)
    split = split_decisions(time_us, customer, customer_hashes(IDS, 0), PARAMS)
    assert words in split.note
    assert len(split.learn) > len(split.choose) > 0
    assert (len(split.out_of_time) == 0) == (span_days == 10)


def test_hashes_follow_the_id_and_the_seed_and_nothing_else():
    whole = customer_hashes(IDS, 3)
    assert np.array_equal(customer_hashes(IDS[::-1], 3)[::-1], whole)
    assert np.array_equal(customer_hashes(IDS[10:20], 3), whole[10:20])
    assert not np.array_equal(customer_hashes(IDS, 4), whole)
    assert 0.4 < whole.mean() < 0.6
    assert whole.max() < 1


def test_samples_hold_whole_customers_and_are_nested():
    _, customer = _decisions(100)
    hashes = customer_hashes(IDS, 0)
    rows = np.arange(len(customer))
    small, large = (sample_customers(rows, customer, hashes, most) for most in (1000, 4000))
    assert 900 < len(small) <= 1000
    assert set(customer[small]) <= set(customer[large])
    for each in set(customer[small]):
        assert (customer[small] == each).sum() == (customer == each).sum()
    assert np.array_equal(sample_customers(rows, customer, hashes, len(rows)), rows)
