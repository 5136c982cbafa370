"""The statistics of monitoring keep their promises where the truth is known."""

import numpy as np
import pytest
from scipy.special import polygamma

from serving.watching.distances import chance, divergence
from serving.watching.moderated import _trigamma_inverse, moderated, shrinkage


@pytest.mark.parametrize(("periods", "lag"), [(13, 1), (13, 5), (4, 1)])
def test_false_alarms_of_a_random_walk_stay_at_their_level(periods: int, lag: int) -> None:
    """Steps of columns with variances of their own; the newest step is one more of the same walk."""
    rng = np.random.default_rng(periods + lag)
    rates = []
    for _ in range(40):
        scale = np.exp(rng.normal(0, 0.5, (300, 1)))
        walk = np.cumsum(scale * rng.normal(size=(300, periods + lag)), axis=1)
        known = min(lag, periods - 3)
        usual = walk[:, known:periods] - walk[:, : periods - known]
        newest = walk[:, -1] - walk[:, periods - 1]
        rates.append((moderated(newest, usual, lag).p_two_sided < 0.01).mean())
    assert np.mean(rates) < 0.02


def test_a_large_step_is_found_from_four_periods() -> None:
    rng = np.random.default_rng(1)
    usual = rng.normal(size=(200, 3))
    newest = np.concatenate([np.full(5, 12.0), rng.normal(size=195)])
    assert (moderated(newest, usual, 1).p_two_sided[:5] < 1e-4).all()


def test_a_column_that_hardly_varied_by_luck_raises_no_alarm() -> None:
    rng = np.random.default_rng(2)
    usual = rng.normal(size=(100, 6))
    usual[0] = 1e-6 * usual[0]
    found = moderated(np.full(100, 1.5), usual, 1)
    assert found.p_two_sided[0] > 0.01


def test_shrinkage_recovers_the_prior_of_the_variances() -> None:
    rng = np.random.default_rng(3)
    prior, freedom, own = 2.0, 6.0, 8
    sigma = freedom * prior / rng.chisquare(freedom, 4_000)
    variance = sigma * rng.chisquare(own, 4_000) / own
    found, found_freedom = shrinkage(variance, own)
    assert found == pytest.approx(prior, rel=0.1)
    assert found_freedom == pytest.approx(freedom, rel=0.2)


@pytest.mark.parametrize("x", [0.01, 0.3, 2.0, 50.0])
def test_the_inverse_of_trigamma(x: float) -> None:
    assert _trigamma_inverse(float(polygamma(1, x))) == pytest.approx(x, rel=1e-6)


def test_chance_foretells_the_divergence_of_samples_of_one_distribution() -> None:
    rng = np.random.default_rng(4)
    share = rng.dirichlet(np.full(10, 5.0))
    first, second = (rng.multinomial(size, share, 2_000).astype(np.float64) for size in (800, 3_000))
    assert divergence(first, second).mean() == pytest.approx(chance(first, second).mean(), rel=0.05)
