"""How good probabilities are on rows that no part of the model has seen; fits nothing.

AUC, log loss (nats a decision) and expected calibration error over bins of equal count, over all and per action, each
beside the base rate of the learning period and a logistic regression on the same columns.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.stats import rankdata

from models.artefact import Floats, Ints
from models.calibration import binary_log_losses


@dataclass(frozen=True)
class Quality:
    """One predictor on one set of rows; auc is None where all rows answered alike."""

    rows: int
    responses: int
    base_rate: float
    auc: float | None
    log_loss: float
    calibration_error: float


def measure(probability: Floats, outcome: npt.NDArray[np.generic], bins: int) -> Quality:
    """The quality of `probability` (n,) for `outcome` (n,), 0 or 1; n above 0."""
    y = outcome.astype(np.float64)
    return Quality(
        rows=len(y),
        responses=int(y.sum()),
        base_rate=float(y.mean()),
        auc=area_under_curve(probability, outcome),
        log_loss=float(binary_log_losses(probability, outcome).mean()),
        calibration_error=calibration_error(probability, outcome, bins),
    )


def area_under_curve(probability: Floats, outcome: npt.NDArray[np.generic]) -> float | None:
    """The chance that a responder ranks above another (Mann & Whitney, 1947), ties counting half."""
    y = outcome.astype(bool)
    positives, negatives = int(y.sum()), int((~y).sum())
    if positives == 0 or negatives == 0:
        return None
    ranks = rankdata(probability)
    return float((ranks[y].sum() - positives * (positives + 1) / 2) / (positives * negatives))


def calibration_error(probability: Floats, outcome: npt.NDArray[np.generic], bins: int) -> float:
    """Mean distance between predicted and seen rate over bins of equal count (Naeini et al., 2015, adaptive bins)."""
    order = np.argsort(probability, kind="stable")
    parts = [part for part in np.array_split(order, bins) if len(part)]
    gaps = [len(part) * abs(float(probability[part].mean()) - float(outcome[part].mean())) for part in parts]
    return float(sum(gaps) / len(order))


@dataclass(frozen=True)
class Judged:
    """Held-out rows with what each predictor says: action and outcome (n,), predictors by name, each (n,)."""

    action: Ints
    outcome: npt.NDArray[np.generic]
    predictors: Mapping[str, Floats]


Report = dict[str, dict[str, Quality]]
"""Quality by group of rows ('all' or the action's name), then by predictor."""


def evaluate(judged: Judged, actions: Sequence[str], bins: int) -> Report:
    """The quality of every predictor over all rows and for every action that occurs.

    Args:
        judged: rows and predictions.
        actions: names of the actions, in order of their numbers.
        bins: of the calibration error.
    """
    groups = {"all": np.ones(len(judged.action), dtype=bool)}
    groups |= {name: judged.action == number for number, name in enumerate(actions)}
    return {
        group: {name: measure(p[mask], judged.outcome[mask], bins) for name, p in judged.predictors.items()}
        for group, mask in groups.items()
        if mask.any()
    }


def base_rates(action: Ints, outcome: npt.NDArray[np.generic], n_actions: int) -> Floats:
    """The rate of response to each action, drawn to the overall rate as if by ten more decisions, (n_actions,)."""
    overall = float(outcome.mean()) if len(outcome) else 0.5
    count = np.bincount(action, minlength=n_actions)
    responses = np.bincount(action, weights=outcome.astype(np.float64), minlength=n_actions)
    return np.clip((responses + 10 * overall) / (count + 10), 1e-6, 1 - 1e-6)
