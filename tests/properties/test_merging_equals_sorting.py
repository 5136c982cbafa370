"""Merging sorted events gives what sorting them together gives, ties in time and code among them."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from features.events import Events
from features.merging import all_merged

CUSTOMERS = 3
ROWS = st.lists(st.tuples(st.integers(0, 2), st.integers(0, 2), st.integers(0, 1), st.integers(-2, 2)), max_size=30)


def events_of(rows):
    columns = np.array(sorted(rows), np.int64).reshape(-1, 4).T
    offsets = np.searchsorted(columns[0], np.arange(CUSTOMERS + 1))
    return Events(0, offsets, columns[1].copy(), columns[2].astype(np.uint16), columns[3].copy())


@settings(max_examples=200)
@given(parts=st.lists(ROWS, min_size=1, max_size=5))
def test_merging_equals_sorting(parts):
    merged = all_merged([events_of(rows) for rows in parts])
    expected = events_of([row for rows in parts for row in rows])
    for name in ("offsets", "time_us", "code", "cents"):
        np.testing.assert_array_equal(getattr(merged, name), getattr(expected, name), err_msg=name)
