"""The bytes of one customer's events: any order of arrival gives the bytes of the sorted columns."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from contract.errors import ArtefactError
from features.histories import EMPTY, events_of, inserted, packed

SECONDS = st.integers(0, 4).map(lambda second: second * 1_000_000)
TIMES = st.one_of(SECONDS, st.sampled_from([1, 999_999, 1_000_001, (1 << 32) * 1_000_000, 4_102_444_800_000_000]))
CENTS = st.one_of(st.integers(-2, 2), st.sampled_from([2**31 - 1, 2**31, -(2**31), 10**15]))
EVENTS = st.lists(st.tuples(TIMES, st.sampled_from([0, 1, 65_535]), CENTS), max_size=12)
NARROW_EVENTS = st.lists(st.tuples(SECONDS, st.integers(0, 2), st.integers(0, 2)), max_size=12)


def grown(events):
    history = EMPTY
    for time_us, code, cents in events:
        history = inserted(history, time_us, code, cents)
    return history


def at_once(events):
    columns = list(zip(*sorted(events), strict=True)) or [(), (), ()]
    return packed(np.array(columns[0], np.int64), np.array(columns[1], np.uint16), np.array(columns[2], np.int64))


@given(st.one_of(EVENTS, NARROW_EVENTS))
def test_events_in_any_order_give_the_bytes_of_the_sorted_columns(events):
    assert grown(events) == at_once(events)


@given(EVENTS, TIMES, TIMES)
def test_a_window_holds_what_lies_in_it_and_nothing_else(events, since, until):
    found = events_of(grown(events), since, until)
    expected = [event for event in sorted(events) if since <= event[0] < until]
    assert list(zip(found.time_us.tolist(), found.code.tolist(), found.cents.tolist(), strict=True)) == expected
    assert found.offsets.tolist() == [0, len(expected)]
    types = [str(column.dtype) for column in (found.offsets, found.time_us, found.code, found.cents)]
    assert types == ["int64", "int64", "uint16", "int64"]
    assert all(column.flags.aligned for column in (found.time_us, found.code, found.cents))


def test_ten_bytes_an_event_until_one_needs_more():
    history = grown([(second * 1_000_000, 7, second) for second in range(50)])
    assert len(history) == 50 * 10 + 1
    for odd in ((1_500_000, 7, 0), (1_000_000, 7, 2**31), ((1 << 32) * 1_000_000, 7, 0)):
        assert len(inserted(history, *odd)) == 51 * 18 + 1


def test_codes_are_read_without_a_copy():
    history = grown([(0, 3, 0), (1_000_000, 4, 0)])
    code = events_of(history, 0, 9_000_000).code
    assert not code.flags.owndata
    assert not code.flags.writeable


@pytest.mark.parametrize("damaged", [b"", b"x", b"n" * 5, b"\0" * 10 + b"w", b"\0" * 18 + b"n"])
def test_what_is_no_history_is_refused(damaged):
    for read in (lambda: events_of(damaged, 0, 1), lambda: inserted(damaged, 0, 0, 0)):
        with pytest.raises(ArtefactError, match=f"a history of {len(damaged)} bytes is damaged; expected whole events"):
            read()
