"""Names columns that alone tell the response too well to have been known before it; leaves every column where it is.

What happened is known to be earlier than the decision, since features count earlier events only. A column of the
customers table holds what is known now, and may have been filled in by the outcome (the duration of the call that was
answered). Each column alone predicts the response by its rate in bins of equal count (codes by code), learned on half
of the customers and judged on the other.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from models.artefact import Floats, Ints, Matrix
from models.calibration import binary_log_losses
from training.evaluation import area_under_curve
from training.rows import ComputedTable
from training.splits import sample_customers
from training.study import Study

_SAMPLE_ROWS: Final = 20_000
_BINS: Final = 20
_SMOOTHING: Final = 20.0


@dataclass(frozen=True)
class Leak:
    """A column, the area under its curve alone, and the share of the response's uncertainty that it alone removes."""

    name: str
    auc: float
    gain_share: float

    @property
    def text(self) -> str:
        """What is suspicious, and what to do."""
        return (
            f"{self.name} alone ranks responses with an AUC of {self.auc:.2f} and removes {self.gain_share:.0%} of "
            "their uncertainty: does it hold something known only afterwards? If so, take it out of "
            "tables.customers.features"
        )


def find_leaks(study: Study, rows: Ints) -> tuple[Leak, ...]:
    """Columns whose AUC is at least `training.leak_auc` and whose gain at least `training.leak_gain_share`, best first.

    `rows` of the decisions are looked at, no more than a sample of whole customers. Where a response is tied to its
    send, only sends are: that nobody answers what was not sent is no leak.
    """
    decisions = study.decisions
    kept = rows[study.usable[rows]]
    if study.params.target.counts == "send":
        kept = kept[decisions.spine.action[kept] > 0]
    kept = sample_customers(kept, decisions.spine.customer, study.hashes, _SAMPLE_ROWS)
    outcome = decisions.response[kept].astype(np.float64)
    half = np.unique(decisions.spine.customer[kept], return_inverse=True)[1] % 2
    if min((outcome[half == each].sum() for each in (0, 1)), default=0) < study.params.training.min_customers_per_leaf:
        return ()
    matrix = ComputedTable(study.source, decisions.spine.rows(kept)).matrix
    found = [_alone(name, _binned(matrix, at), outcome, half) for at, name in enumerate(study.source.names)]
    limits = study.params.training
    leaks = [each for each in found if each.auc >= limits.leak_auc and each.gain_share >= limits.leak_gain_share]
    return tuple(sorted(leaks, key=lambda each: -each.gain_share))


def _binned(matrix: Matrix, column: int) -> Ints:
    """(n,) bins of equal count of a column, the missing apart; values of few kinds keep a bin each."""
    values = matrix[:, column].astype(np.float64)
    known = np.isfinite(values)
    kinds = np.unique(values[known])
    edges = kinds[1:] if len(kinds) <= _BINS else np.unique(np.quantile(values[known], np.arange(1, _BINS) / _BINS))
    result: Ints = np.where(known, 1 + np.searchsorted(edges, values, side="right"), 0)
    return result


def _alone(name: str, bins: Ints, outcome: Floats, half: npt.NDArray[np.int64]) -> Leak:
    """What the bins' rates, learned on the other half, say of each row."""
    rate = np.empty(len(outcome))
    base = np.empty(len(outcome))
    for each in (0, 1):
        learn, judge = half != each, half == each
        mean = float(outcome[learn].mean())
        count = np.bincount(bins[learn], minlength=int(bins.max()) + 1)
        seen = np.bincount(bins[learn], weights=outcome[learn], minlength=len(count))
        rate[judge] = ((seen + _SMOOTHING * mean) / (count + _SMOOTHING))[bins[judge]]
        base[judge] = mean
    uncertainty = float(binary_log_losses(base, outcome).mean())
    gain = uncertainty - float(binary_log_losses(rate, outcome).mean())
    return Leak(name, area_under_curve(rate, outcome) or 0.5, gain / uncertainty)
