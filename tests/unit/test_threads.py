"""Work by several threads comes back in order, with a bounded number of pieces under way."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from serving.threads import ordered


@settings(max_examples=25, deadline=None)
@given(st.lists(st.integers()), st.integers(1, 4))
def test_answers_come_in_the_order_of_the_work(work, threads):
    assert list(ordered(lambda each: each * 3, work, threads)) == [each * 3 for each in work]


@pytest.mark.parametrize("threads", [1, 2, 3])
def test_no_more_than_twice_the_threads_are_under_way(threads):
    begun = 0

    def work():
        nonlocal begun
        while begun < 30:
            begun += 1
            yield begun

    for kept, answer in enumerate(ordered(abs, work(), threads), start=1):
        assert answer == kept
        assert begun - kept <= (2 * threads if threads > 1 else 0)


@pytest.mark.parametrize("threads", [1, 2])
def test_an_error_comes_in_the_place_of_its_answer(threads):
    answers = ordered(lambda each: 12 // each, [3, 2, 0, 1], threads)
    assert [next(answers), next(answers)] == [4, 6]
    with pytest.raises(ZeroDivisionError):
        next(answers)
