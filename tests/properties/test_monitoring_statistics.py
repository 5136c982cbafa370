"""What holds for every distribution and every set of probabilities that monitoring compares."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from models.profile import learn_binning
from serving.watching.distances import divergence, moved
from serving.watching.moderated import discoveries, holm

COUNTS = arrays(np.float64, 6, elements=st.integers(0, 1_000).map(float)).filter(lambda each: each.sum() > 0)
CHANCES = arrays(np.float64, st.integers(1, 30), elements=st.floats(0, 1))
VALUES = arrays(np.float32, st.integers(1, 200), elements=st.floats(-1e6, 1e6, width=32) | st.just(np.nan))


@given(COUNTS, COUNTS, st.permutations(range(6)), st.integers(1, 50))
def test_distances_are_symmetric_bounded_and_blind_to_order_and_size(
    first: np.ndarray, second: np.ndarray, order: list[int], times: int
) -> None:
    for distance, most in ((divergence, np.log(2)), (moved, 1.0)):
        found = float(distance(first, second))
        assert -1e-12 <= found <= most + 1e-9
        assert np.isclose(found, float(distance(second, first)))
        assert np.isclose(found, float(distance(first[order], times * second[order])))
        assert np.isclose(float(distance(first, times * first)), 0.0)


@given(CHANCES)
def test_adjusted_chances_keep_their_order_and_never_fall(p: np.ndarray) -> None:
    by_holm, by_discovery = holm(p), discoveries(p)
    assert (by_holm >= by_discovery - 1e-12).all()
    assert (by_discovery >= p - 1e-12).all()
    assert (by_holm <= 1.0).all()
    order = np.argsort(p, kind="stable")
    assert (np.diff(by_holm[order]) >= 0).all()
    assert (np.diff(by_discovery[order]) >= -1e-12).all()


@given(VALUES, VALUES, st.booleans())
def test_every_value_falls_into_one_bin(learned: np.ndarray, later: np.ndarray, categorical: bool) -> None:
    binning = learn_binning("column", "words", learned, categorical=categorical)
    counts = binning.counts(later)
    assert len(counts) == binning.bins
    assert counts.sum() == len(later)
    assert counts[-1] == np.isnan(later).sum()
