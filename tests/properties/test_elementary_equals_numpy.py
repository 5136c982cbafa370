"""The sweep's own elementary functions, compiled, against NumPy and the standard library."""

import math

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from features.elementary import MOST, decay, decay_table, direction, later_bits, month, ones

TABLE = decay_table()
PARTS = st.integers(-(2**40), 2**40)


@given(st.floats(0.0, 700.0))
def test_decay_equals_the_exponential(age: float) -> None:
    assert math.isclose(decay(age, TABLE), np.exp(-age), rel_tol=1e-12)


@given(st.floats(MOST, allow_infinity=True))
def test_decay_leaves_nothing_of_what_is_very_old(age: float) -> None:
    assert decay(age, TABLE) == 0.0


def test_decay_is_whole_at_once_and_nothing_where_unknown() -> None:
    assert decay(0.0, TABLE) == 1.0
    assert decay(math.nan, TABLE) == 0.0


def test_decay_is_as_exact_where_a_step_ends() -> None:
    ages = (np.arange(64 * 700) + 0.5) * math.log(2) / 64
    near = np.concatenate([np.nextafter(ages, 0.0), ages, np.nextafter(ages, math.inf)])
    near = near[near < 700]
    np.testing.assert_allclose([decay(age, TABLE) for age in near], np.exp(-near), rtol=1e-12)


@given(PARTS, PARTS)
def test_direction_equals_the_arc_tangent(north: int, east: int) -> None:
    if north or east:
        found = direction(float(north), float(east))
        assert math.isclose(found, np.arctan2(float(north), float(east)), rel_tol=0.0, abs_tol=1e-13)


def test_no_vector_has_no_direction() -> None:
    assert math.isnan(direction(0.0, 0.0))


@given(st.integers(-719_468, 1_000_000))
def test_month_equals_the_calendar(day: int) -> None:
    assert month(day) == np.datetime64(day, "D").astype("datetime64[M]").astype(int) % 12 + 1


@given(st.integers(0, 2**64 - 1))
def test_ones_are_counted(bits: int) -> None:
    assert ones(np.uint64(bits)) == bits.bit_count()


@given(st.integers(0, 2**64 - 1), st.integers(0, 2**64 - 1))
def test_bits_move_up_by_any_number_of_places(bits: int, places: int) -> None:
    assert later_bits(np.uint64(bits), np.uint64(places)) == (bits << min(places, 64)) % 2**64
