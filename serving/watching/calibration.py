"""Responses that came against those that were predicted, by action; knows decisions whose horizon is over, no others.

With predictions p, outcomes y and V = Σ p (1 − p), the excess Σ (y − p) has variance

    Σ_customers (Σ (y − p))² + τ² V²

the first part clustered by customer (Liang, Zeger 1986), the second the shift τ of the log-odds that the model's errors
were found to share on held-out decisions (`models.forecast_error`): what was known at training is no news.
"""

from typing import Final

import numpy as np
import numpy.typing as npt
from scipy.stats import norm

from models.forecast_error import ForecastError
from models.observation import Sample
from serving.watching.comparing import Past, figure, judged
from serving.watching.findings import Calibrated, Finding
from serving.watching.moderated import discoveries, holm

ALL: Final = "all"
Floats = npt.NDArray[np.float64]


def compare_calibration(
    past: Past, sample: Sample, error: ForecastError, actions: tuple[str, ...], interval: float
) -> tuple[list[Finding], list[Calibrated]]:
    """Of each action and of all together, where the predictions expect enough responses.

    Args:
        past: the level and the least size of a change.
        sample: decisions of the newest period.
        error: what the model's errors share.
        actions: names, no contact first.
        interval: coverage of the bounds of the observed rate.
    """
    over = np.flatnonzero(sample.known)
    parts = {ALL: over} | {name: over[sample.action[over] == at] for at, name in enumerate(actions)}
    least = past.settings.min_events
    kept = {name: rows for name, rows in parts.items() if sample.score[rows].sum() >= least}
    if not kept:
        return [], []
    excess = {name: _excess(sample, rows, error, alone=name != ALL) for name, rows in kept.items()}
    p = np.array([2 * norm.sf(abs(total) / spread) for total, spread in excess.values()])
    adjusted, discovered = holm(p), discoveries(p)
    findings, rates = [], []
    for at, (name, rows) in enumerate(kept.items()):
        predicted, observed = float(sample.score[rows].mean()), float(sample.response[rows].mean())
        effect = observed / predicted - 1
        size = max(observed, predicted) / max(min(observed, predicted), 1e-9) - 1
        verdict = judged(past, adjusted[at], discovered[at], size, past.settings.min_change)
        words = f"predicted {figure(predicted)}, observed {figure(observed)} responses a decision ({effect:+.0%})"
        findings.append(
            Finding(
                "calibration",
                f"responses, {name}",
                verdict,
                predicted,
                observed,
                effect,
                float(p[at]),
                float(adjusted[at]),
                words,
            )  # fmt: skip
        )
        reach = float(norm.ppf(0.5 + interval / 2)) * excess[name][1] / len(rows)
        rates.append(
            Calibrated(name, len(rows), predicted, observed, max(0.0, predicted - reach), min(1.0, predicted + reach))
        )
    return findings, rates


def _excess(sample: Sample, rows: npt.NDArray[np.int64], error: ForecastError, *, alone: bool) -> tuple[float, float]:
    """Σ (y − p) of some decisions and its standard deviation where the model is as right as it was."""
    p, y = sample.score[rows], sample.response[rows]
    _, customer = np.unique(sample.customer[rows], return_inverse=True)
    sums = np.bincount(customer, y - p)
    information = float((p * (1 - p)).sum())
    shared = error.common**2 + (error.action**2 if alone else 0.0)
    # Where by chance hardly anything varies, chance itself still does.
    variance = max(float(sums @ sums), information) + shared * information**2
    return float((y - p).sum()), float(np.sqrt(variance))
