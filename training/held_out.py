"""Held-out decisions as the intervals want them: what was predicted, what happened, in which campaign; fits nothing."""

from collections.abc import Sequence

import numpy as np

from features.events import US_PER_DAY
from features.labels import horizon_us
from models.artefact import Floats, Ints
from models.intervals import HeldOut
from models.tables import mapped
from training.fitting import Models
from training.study import Part, Study

_WEEK_US = 7 * US_PER_DAY
# Rows of one customer this many horizons apart share no outcome but at the borders.
_HORIZONS = 4


def held_out(study: Study, models: Models, parts: Sequence[Part], predicted: Sequence[Floats | None]) -> HeldOut:
    """The rows of some parts, one after another.

    Args:
        study: what is trained.
        models: predict the response.
        parts: rows on which no tree was grown.
        predicted: the response of each part where it is known already, (n,).
    """
    columns = [
        models.response.predict(study.source.names, part.table, study.params.threads) if known is None else known
        for part, known in zip(parts, predicted, strict=True)
    ]
    rows = np.concatenate([part.rows for part in parts])
    time_us = study.decisions.spine.as_of_us[rows]
    return HeldOut(
        probability=np.concatenate(columns),
        outcome=study.decisions.response[rows],
        action=study.decisions.spine.action[rows].astype(np.int64),
        stratum=np.concatenate([mapped(part.table, models.history.stratum) for part in parts]),
        customer=study.decisions.spine.customer[rows],
        campaign=_numbered(study.decisions.campaign[rows], time_us // _WEEK_US),
        period=time_us // (_HORIZONS * horizon_us(study.params)),
    )


def _numbered(campaign: np.ndarray[tuple[int], np.dtype[np.int32]], week: Ints) -> Ints:
    """A number for each campaign and week; sends without a campaign are told apart by the week alone."""
    pairs = np.stack([campaign.astype(np.int64), week])
    number: Ints = np.unique(pairs, axis=1, return_inverse=True)[1].ravel()
    return number
