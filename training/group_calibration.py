"""Calibration of channels and of groups of customers, and from how many rows on it says anything; fits nothing.

The expected calibration error of a perfect model is not zero: in a bin of m rows the seen rate is off by chance with
variance s² = Σ p (1 − p) / m², and |off| is s √(2/π) on average. Over B bins of equal count that makes about
√(2 B p (1 − p) / (π n)), which falls below a tolerance t from n = 2 B p (1 − p) / (π t²) rows on.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import ceil, pi, sqrt

import numpy as np
import numpy.typing as npt

from models.artefact import Floats, Ints
from models.intervals import STRATA, History
from models.tables import Rows, mapped
from training.evaluation import Judged, calibration_error


@dataclass(frozen=True)
class GroupCalibration:
    """Held-out rows of one group: mean predicted and seen rate, calibration error, and what chance alone would make.

    least_rows: below so many, chance alone exceeds the tolerance, and the error says nothing.
    """

    group: str
    rows: int
    customers: int
    predicted: float
    seen: float
    error: float
    by_chance: float
    least_rows: int

    @property
    def tells(self) -> bool:
        """Whether there are rows enough for the error to say anything."""
        return self.rows >= self.least_rows


def calibrated_group(
    name: str, probability: Floats, outcome: npt.NDArray[np.generic], customer: Ints, bins: int, tolerance: float
) -> GroupCalibration:
    """The calibration of one group's rows, all arrays (n,), n above 0; tolerance: an error worth knowing, above 0."""
    p = np.sort(probability)
    parts = [part for part in np.array_split(p, bins) if len(part)]
    chance = sum(sqrt(2 / pi * float((part * (1 - part)).sum())) for part in parts) / len(p)
    rate = float(p.mean())
    return GroupCalibration(
        group=name,
        rows=len(p),
        customers=len(np.unique(customer)),
        predicted=rate,
        seen=float(outcome.astype(np.float64).mean()),
        error=calibration_error(probability, outcome, bins),
        by_chance=chance,
        least_rows=ceil(2 * bins * rate * (1 - rate) / (pi * tolerance**2)),
    )


@dataclass(frozen=True)
class Grouping:
    """A way to tell rows apart: each row's number (n,), -1 where it has none, and the numbers' names."""

    words: str
    number: Ints
    names: Sequence[str]


def groupings(
    table: Rows, action: Ints, actions: Sequence[str], history: History, levels: Mapping[str, Sequence[str]]
) -> Iterator[Grouping]:
    """By channel, by how much is known of the customer, and by every demographic column with levels.

    Args:
        table: (n, p) the rows.
        action: (n,), the action taken.
        actions: names of the actions.
        history: sorts customers.
        levels: names of the codes of the columns that have such.
    """
    yield Grouping("channel", action, actions)
    yield Grouping("history", mapped(table, history.stratum), STRATA)
    for name, each in levels.items():
        if name in table.names:
            code = mapped(table.columns([list(table.names).index(name)]), lambda block: block[:, 0])
            known = np.where(np.isfinite(code), code, -1).astype(np.int64)
            yield Grouping(name, known, [*each, "other"])


def group_calibrations(
    judged: Judged, predictor: str, ways: Sequence[Grouping], customer: Ints, bins: int, tolerance: float
) -> tuple[GroupCalibration, ...]:
    """The calibration of every group that occurs, in order of the groupings; see `calibrated_group`."""
    p, found = judged.predictors[predictor], []
    for way in ways:
        for number, name in enumerate(way.names):
            rows = np.flatnonzero(way.number == number)
            if len(rows):
                words = f"{way.words}: {name}"
                found.append(calibrated_group(words, p[rows], judged.outcome[rows], customer[rows], bins, tolerance))
    return tuple(found)
