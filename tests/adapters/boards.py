"""Boards of a few customers, from the gain of each cell."""

from collections.abc import Sequence

import numpy as np
import pyarrow as pa

from serving.board import MEASURES, Board


def board_of(
    ids: Sequence[str], channels: tuple[str, ...], gain: Sequence[Sequence[float | None]], cost: float = 0.0
) -> Board:
    """Customers in ascending order of `ids`; gain (n, k) EUR net of `cost`, None where closed."""
    worth = np.array([[np.nan if each is None else each for each in row] for row in gain], dtype=np.float64)
    known = np.isfinite(worth)
    single = np.where(known, 0.1, np.nan).astype(np.float32)
    return Board(
        ids=pa.array(ids, pa.string()),
        channels=channels,
        open=known,
        expected_value=np.where(known, worth + cost, 0.0),
        cost=np.where(known, cost, 0.0),
        measures=dict.fromkeys(MEASURES, single),
        no_contact=np.full(len(worth), 0.05, dtype=np.float32),
        reason=np.where(known, 0, 1).astype(np.int16),
        evidence=np.full(worth.shape, 2, dtype=np.int16),
        words=(None, "consent withdrawn", "randomised"),
        campaign_id="spring",
        as_of=None,
        model_version="1",
    )
