"""Responses that came against those that were predicted, by action; knows decisions whose horizon is over, no others.

Of each action, y responses of μ predicted ones give the deviance residual of a Poisson count,
d = sign(y − cμ) √(2 (y log(y / cμ) − (y − cμ))), c being the ratio over all reference periods (McCullagh, Nelder 1989,
section 2.4.3). The newest residual is compared with its variance

    s̃² (1 + 1 / n) + cμ τ²

where s̃², at least 1, is the moderated variance of the n reference residuals over the actions (Smyth 2004), and τ the
shift of the log-odds by which the model was off on held-out decisions alike for all actions
(`models.forecast_error`): what was known at training is no news. Degrees of freedom are Satterthwaite's (1946), only
the first part being estimated.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.stats import norm
from scipy.stats import t as student

from models.forecast_error import ForecastError
from models.observation import ALL, ANSWERED, Sample
from serving.watching.comparing import Past, figure, judged
from serving.watching.findings import Calibrated, Finding
from serving.watching.moderated import discoveries, holm, raised, shrinkage

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class _Ratios:
    """Of k actions: responses and predicted ones, (k, reference periods, 2), and the newest's, (k, 2)."""

    names: tuple[str, ...]
    reference: Floats
    newest: Floats


def compare_calibration(past: Past, error: ForecastError) -> list[Finding]:
    """Of each action and of all together, where enough responses were predicted in each period."""
    found = _ratios(past)
    if not found.names:
        return []
    scale = found.reference[..., 0].sum(axis=1) / found.reference[..., 1].sum(axis=1)
    usual = _residual(found.reference[..., 0], scale[:, None] * found.reference[..., 1])
    n = usual.shape[1]
    variance = raised((usual**2).mean(axis=1))
    prior, prior_freedom = shrinkage(variance, float(n))
    pooled = np.maximum((prior_freedom * prior + n * variance) / (prior_freedom + n), 1.0)
    expected = scale * found.newest[:, 1]
    estimated, known = pooled * (1 + 1 / n), expected * error.common**2
    freedom = (prior_freedom + n) * ((estimated + known) / estimated) ** 2
    value = _residual(found.newest[:, 0], expected) / np.sqrt(estimated + known)
    p = 2 * student.sf(np.abs(value), freedom)
    adjusted, discovered = holm(p), discoveries(p)
    return [
        _finding(past, name, found.newest[at], float(scale[at]), (float(p[at]), adjusted[at], discovered[at]))
        for at, name in enumerate(found.names)
    ]


def _ratios(past: Past) -> _Ratios:
    names, reference, newest = [], [], []
    for name in past.newest.figures:
        if name.startswith(ANSWERED):
            every = np.array([each.figures.get(name, (0.0, 0.0)) for each in past.profile.periods])
            now = past.newest.figures[name]
            if min(every[:, 1].min(), now[1]) >= past.settings.min_events and every[:, 0].any():
                names.append(name)
                reference.append(every)
                newest.append(now)
    return _Ratios(tuple(names), np.array(reference), np.array(newest))


def _residual(count: Floats, mean: Floats) -> Floats:
    """The signed deviance residual of Poisson counts.

    >>> _residual(np.array([0.0, 4.0]), np.array([2.0, 4.0])).round(2).tolist()
    [-2.0, 0.0]
    """
    ratio = np.where(count > 0, count / mean, 1.0)
    deviance = 2 * (count * np.log(ratio) - (count - mean))
    return np.asarray(np.sign(count - mean) * np.sqrt(np.maximum(deviance, 0.0)))


def _finding(past: Past, name: str, newest: Floats, scale: float, chances: tuple[float, float, float]) -> Finding:
    count, predicted = float(newest[0]), float(newest[1])
    p, adjusted, discovered = chances
    effect = count / (scale * predicted) - 1
    # A fall to half is as much as a rise to double.
    size = max(count, scale * predicted) / max(min(count, scale * predicted), 0.5) - 1
    verdict = judged(past, adjusted, discovered, size, past.settings.min_change)
    words = f"{count:,.0f} responses where {figure(scale * predicted)} were predicted ({effect:+.0%})"
    return Finding("calibration", name, verdict, scale, count / predicted, effect, p, adjusted, words)


def calibrated_rates(
    past: Past, sample: Sample, error: ForecastError, actions: tuple[str, ...], interval: float
) -> list[Calibrated]:
    """Predicted and observed rates of the newest decisions, and between which bounds the observed ones should lie.

    The bounds allow for chance, clustered by customer (Liang, Zeger 1986), and for the errors that all decisions of an
    action share, with probability `interval`.
    """
    over = np.flatnonzero(sample.known)
    parts = {ALL: over} | {name: over[sample.action[over] == at] for at, name in enumerate(actions)}
    rates = []
    for name, rows in parts.items():
        if sample.score[rows].sum() >= past.settings.min_events:
            p, y = sample.score[rows], sample.response[rows]
            shared = error.common**2 + (error.action**2 if name != ALL else 0.0)
            reach = float(norm.ppf(0.5 + interval / 2)) * _spread(sample.customer[rows], p, y, shared) / len(rows)
            mean = float(p.mean())
            bounds = max(0.0, mean - reach), min(1.0, mean + reach)
            rates.append(Calibrated(name, len(rows), mean, float(y.mean()), *bounds))
    return rates


def _spread(customer: npt.NDArray[np.int64], p: Floats, y: Floats, shared: float) -> float:
    """Standard deviation of Σ (y − p) where the model is as right as it was."""
    _, dense = np.unique(customer, return_inverse=True)
    sums = np.bincount(dense, y - p)
    information = float((p * (1 - p)).sum())
    # Where by luck hardly anything varies, chance itself still does.
    return float(np.sqrt(max(float(sums @ sums), information) + shared * information**2))
