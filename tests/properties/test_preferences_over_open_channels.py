"""Whatever was learned and whoever may be contacted: preferences are shares of open channels, ranked without gaps."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from serving.scores import over_open_channels, ranks

SHAPES = st.tuples(st.integers(1, 5), st.integers(1, 6))
SHARES = st.one_of(st.just(0.0), st.floats(1e-6, 1.0))


@given(st.data())
def test_shares_are_of_open_channels_and_keep_their_ratios(data):
    shape = data.draw(SHAPES)
    preference = data.draw(arrays.arrays(np.float64, shape, elements=SHARES))
    opened = data.draw(arrays.arrays(np.bool_, shape))
    found = over_open_channels(preference, opened)
    asked = opened | ~opened.any(axis=1, keepdims=True)
    assert np.allclose(found.sum(axis=1), 1.0)
    assert (found[~asked] == 0).all()
    for row, known, mask in zip(found, preference, asked, strict=True):
        expected = known[mask] / known[mask].sum() if known[mask].any() else np.full(mask.sum(), 1 / mask.sum())
        assert np.allclose(row[mask], expected)


@given(arrays.arrays(np.float64, SHAPES, elements=SHARES))
def test_ranks_go_from_the_most_preferred_and_ties_by_channel(preference):
    for row, given_ranks in zip(preference, ranks(preference), strict=True):
        order = sorted(range(len(row)), key=lambda channel: (-row[channel], channel))
        assert [given_ranks[channel] for channel in order] == list(range(1, len(row) + 1))
