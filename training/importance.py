"""Which columns the response model goes by, in words: mean contribution on held-out rows.

That says what the model makes use of, not what causes a response: of two columns that tell the same, one may get all.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np
from scipy.stats import rankdata

from models.artefact import Floats, Matrix
from models.response import Response
from models.tables import Rows

Direction = Literal["raises", "lowers", "both ways", "by kind"]
_CLEAR = 0.5


@dataclass(frozen=True)
class Importance:
    """A column and the mean size of its contribution to the score: log-odds, or of an additive learner the log rate.

    direction: what more of it does to the score, by Spearman's rank correlation of value and contribution.
    """

    name: str
    meaning: str
    contribution: float
    direction: Direction


def importances(
    response: Response, sample: Rows, meanings: Mapping[str, str], most: int, threads: int
) -> tuple[Importance, ...]:
    """The columns with the largest mean contribution on the sample, largest first.

    Args:
        response: the model, over the sample's columns.
        sample: held-out rows, some hundreds to a few thousand; each costs as much as a few hundred predictions.
        meanings: of the columns, in words; a name stands for itself where there are none.
        most: how many.
        threads: of LightGBM.
    """
    matrix = sample.matrix
    contribution = response.explain(matrix, threads).contribution
    size = np.abs(contribution).mean(axis=0)
    chosen = [int(at) for at in np.argsort(-size, kind="stable")[:most] if size[at] > 0]
    kinds = set(sample.categorical)
    return tuple(
        Importance(
            name=(name := sample.names[at]),
            meaning=meanings.get(name, name),
            contribution=float(size[at]),
            direction="by kind" if name in kinds else _direction(matrix, contribution, at),
        )
        for at in chosen
    )


def _direction(matrix: Matrix, contribution: Floats, at: int) -> Direction:
    known = ~np.isnan(matrix[:, at])
    value, moved = rankdata(matrix[known, at]), rankdata(contribution[known, at])
    if len(value) < 2 or value.std() == 0 or moved.std() == 0:
        return "both ways"
    correlation = float(np.corrcoef(value, moved)[0, 1])
    if abs(correlation) < _CLEAR:
        return "both ways"
    return "raises" if correlation > 0 else "lowers"
