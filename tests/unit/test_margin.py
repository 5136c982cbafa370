"""Margins are shrunk so that no basket decides, and their means are right."""

import numpy as np
import pytest

from models.margin import Margin, fit_margin, fixed_margin


def _customers(between: float, within: float, rows: int = 8000):
    """Past baskets and the margin (0.3 of a basket) of customers whose means differ by `between` (log sd)."""
    random = np.random.default_rng(0)
    own = 50 * np.exp(between * random.normal(size=rows) - between**2 / 2)
    count = random.poisson(2, rows)
    noise = np.exp(within * random.normal(size=(rows, 8)) - within**2 / 2)
    value = (own[:, None] * noise * (np.arange(8) < count[:, None])).sum(axis=1)
    margin = 0.3 * own * np.exp(within * random.normal(size=rows) - within**2 / 2)
    return np.column_stack([value, count]).astype(np.float32), margin, 0.3 * own


def test_unlike_customers_are_told_apart_and_like_ones_are_not():
    unlike, margin, truth = _customers(between=0.8, within=0.3)
    found = fit_margin(unlike, margin, 0, 1)
    assert np.abs(found.expected(unlike) - truth).mean() < 0.6 * np.abs(margin.mean() - truth).mean()
    like, margin, _ = _customers(between=0.0, within=1.0)
    shrunk = fit_margin(like, margin, 0, 1)
    assert shrunk.strength > 20 * found.strength
    assert shrunk.expected(like).std() < 0.1 * shrunk.expected(like).mean()


def test_means_are_right_and_one_basket_does_not_decide():
    matrix, margin, _ = _customers(between=0.5, within=0.5)
    found = fit_margin(matrix, margin, 0, 1)
    assert found.expected(matrix).mean() == pytest.approx(margin.mean(), rel=0.02)
    matrix[0] = (1e7, 1)
    assert found.expected(matrix)[0] <= found.scale * max(found.cap, found.prior)
    with_giant = fit_margin(matrix, margin, 0, 1)
    assert np.allclose(with_giant.expected(matrix), found.expected(matrix), rtol=0.1)
    newcomer = np.array([[0, 0], [np.nan, np.nan]], np.float32)
    assert np.allclose(found.expected(newcomer), found.scale * found.prior)


def test_fixed_worth_and_missing_columns():
    matrix = np.zeros((3, 2), np.float32)
    assert fixed_margin(2.5).expected(matrix).tolist() == [2.5] * 3
    assert fit_margin(matrix, np.array([1.0, 2.0, 3.0]), None, None).expected(matrix).tolist() == [2.0] * 3
    assert fit_margin(matrix[:0], np.array([]), 0, 1).expected(matrix).tolist() == [0.0] * 3
    again = Margin.model_validate_json(fit_margin(matrix + 1, np.ones(3), 0, 1).model_dump_json())
    assert np.allclose(again.expected(matrix + 1), 1)
