"""Calibration error beside chance, the least size that says anything, and quality by group without small ones."""

import numpy as np
import pytest

from features.demographic import Column
from training.groups import GroupRows, group_quality
from training.reliability import LEAST_CUSTOMERS, LEAST_ROWS, least_rows, reliability


def drawn(seed, rows=20_000, shift=0.0):
    random = np.random.default_rng(seed)
    p = random.beta(1, 15, rows)
    return p, (random.random(rows) < np.clip(p + shift, 0, 1)).astype(np.int8), np.arange(rows)


def test_a_perfect_forecast_errs_by_chance_alone_and_a_shifted_one_by_its_shift():
    errors, chances = [], []
    for seed in range(30):
        found = reliability(*drawn(seed), most_bins=10, level=0.9, rate=0.06)
        assert found is not None
        errors.append(found.error)
        chances.append(found.chance)
    assert np.mean(errors) == pytest.approx(np.mean(chances), rel=0.12)
    shifted = reliability(*drawn(0, shift=0.04), most_bins=10, level=0.9, rate=0.06)
    assert shifted is not None
    assert shifted.error == pytest.approx(0.04, abs=0.006)
    assert shifted.gap.upper < -0.03
    assert len(shifted.bins) == 10


def test_bins_hold_the_rate_as_often_as_they_say():
    held = []
    for seed in range(30):
        p, y, customer = drawn(seed)
        found = reliability(p, y, customer, most_bins=10, level=0.9, rate=0.06)
        assert found is not None
        held += [each.lower <= each.predicted <= each.upper for each in found.bins]
    assert 0.85 <= np.mean(held) <= 0.95


def test_chance_stays_below_a_point_in_the_smallest_set_that_is_shown():
    for rate in (0.02, 0.1, 0.5):
        rows = least_rows(rate)
        p = np.full(rows, rate)
        found = reliability(p, np.zeros(rows), np.arange(rows), most_bins=1, level=0.9, rate=rate)
        assert found is not None
        assert found.chance <= 0.01 + 1e-12
        assert reliability(p[1:], np.zeros(rows - 1), np.arange(rows - 1), most_bins=10, level=0.9, rate=rate) is None


def test_few_customers_are_never_shown_however_many_rows_they_have():
    p, y, _ = drawn(0)
    few = np.arange(len(y)) % (LEAST_CUSTOMERS - 1)
    assert reliability(p, y, few, most_bins=10, level=0.9, rate=0.06) is None
    enough = reliability(p, y, np.arange(len(y)) % (3 * LEAST_CUSTOMERS), most_bins=10, level=0.9, rate=0.06)
    assert enough is not None
    assert len(enough.bins) == 3


def test_no_bin_shows_a_few_customers_with_many_rows():
    p, y, customer = drawn(3, rows=6_000)
    # The surest tenth of the decisions belongs to ten customers.
    customer = np.where(p >= np.quantile(p, 0.9), customer % 10, customer)
    found = reliability(p, y, customer, most_bins=10, level=0.9, rate=0.06)
    assert found is not None
    order = np.argsort(p, kind="stable")
    sizes = [len(np.unique(customer[part])) for part in np.array_split(order, len(found.bins))]
    assert min(sizes) >= LEAST_CUSTOMERS
    assert 1 < len(found.bins) < 10


def test_groups_are_levels_and_quarters_and_the_small_ones_are_counted():
    p, y, customer = drawn(1, rows=8_000)
    random = np.random.default_rng(0)
    region = random.choice([0.0, 1.0, 2.0, np.nan], 8_000, p=[0.6, 0.3, 0.01, 0.09])
    age = random.integers(18, 80, 8_000).astype(float)
    # The model is wrong for the second region alone.
    wrong = np.where(region == 1, np.clip(p + 0.3, 0, 1), p)
    columns = (Column("region", "level", ("north", "south")), Column("birth_year", "age"))
    rows = GroupRows(wrong, np.full(8_000, 0.06), y, customer)
    found = group_quality(columns, np.column_stack([region, age]).astype(np.float32), rows, 0.9)
    assert found.least_rows == max(LEAST_ROWS, least_rows(float(y.mean())))
    assert found.too_small == {"region": 1}
    by_name = {(each.column, each.name): each for each in found.found}
    ages = [name for column, name in by_name if column == "age"]
    assert ages == ["up to 33 years", "above 33 to 48 years", "above 48 to 64 years", "above 64 years"]
    assert {name for column, name in by_name if column == "region"} == {"north", "south", "unknown"}
    assert by_name["region", "south"].quality.log_loss > by_name["region", "south"].log_loss_of_base_rates
    assert by_name["region", "south"].quality.gap.lower > 0.25
    assert by_name["region", "north"].quality.log_loss < by_name["region", "north"].log_loss_of_base_rates
    assert sum(each.quality.rows for each in found.found if each.column == "age") == 8_000


def test_a_number_alike_for_all_or_known_of_nobody_is_one_group():
    p, y, customer = drawn(2, rows=2_000)
    rows = GroupRows(p, p, y, customer)
    columns = (Column("children", "number"), Column("signup_at", "days"))
    values = np.column_stack([np.full(2_000, 2.0), np.full(2_000, np.nan)]).astype(np.float32)
    names = [(each.column, each.name) for each in group_quality(columns, values, rows, 0.9).found]
    assert names == [("children", "up to 2"), ("signup_at", "unknown")]
