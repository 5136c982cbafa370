"""How far a predicted response may be off for customers like these; claims nothing about one customer's coin toss.

On held-out decisions, groups of about 200 like predictions (same action, same length of history) are compared with what
happened. Beyond binomial noise, the error of a group's mean on the logit scale is a random effect with variance τ²,
estimated by the method of moments of DerSimonian & Laird (1986) with known mean zero:

    r_g = Σ(y − p) / V_g,   V_g = Σ p (1 − p),   τ² = max(0, (Σ V_g r_g² − G) / Σ V_g)

τ² is known but roughly, and too small a one costs more coverage than too large a one gains: with 2 Φ(z τ̂/τ) − 1,
a second-order expansion at z = 1.645 asks for τ² + 0.68 s²/τ², s the standard error of τ²; it is raised by s at most.

The interval is expit(logit p ± z τ). Assumed: held-out decisions resemble those scored; errors are normal on the logit
scale and alike within action and stratum; errors with and without contact are independent (this widens uplift
intervals, as they in truth share a part). Variation between customers inside a group cannot be seen and is not in it.
"""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from scipy.special import expit, ndtri

from models.artefact import Artefact, Floats, Ints
from models.calibration import logit

NEWCOMER, SHORT, LONG = 0, 1, 2
STRATA = ("newcomer", "short history", "long history")
_GROUP_ROWS = 200
_STRATUM_GROUPS, _CELL_GROUPS = 10.0, 50.0
_UNKNOWN = 1.0
_RAISE = 0.68


class History(Artefact):
    """Sorts customers by how much is known of them: no event, up to `long_from` events, more."""

    columns: tuple[int, ...]
    long_from: float

    def stratum(self, matrix: npt.NDArray[np.float32]) -> Ints:
        """NEWCOMER, SHORT or LONG for each row of (n, p); everybody is SHORT where no column counts events."""
        if not self.columns:
            return np.full(len(matrix), SHORT, dtype=np.int64)
        events = np.nansum(matrix[:, list(self.columns)].astype(np.float64), axis=1)
        return np.where(events <= 0, NEWCOMER, np.where(events < self.long_from, SHORT, LONG)).astype(np.int64)


class Intervals(Artefact):
    """Standard deviation τ of the logit error, by action (rows) and stratum (columns)."""

    tau: tuple[tuple[float, ...], ...]

    def response(self, probability: Floats, action: Ints, stratum: Ints, level: float) -> tuple[Floats, Floats]:
        """Lower and upper bound of the response that hold with probability `level`; the arrays are broadcast."""
        reach = _quantile(level) * np.array(self.tau)[action, stratum]
        centre = logit(probability)
        lower: Floats = np.minimum(expit(centre - reach), probability)
        upper: Floats = np.maximum(expit(centre + reach), probability)
        return lower, upper

    def uplift(
        self, contacted: Floats, alone: Floats, action: Ints, stratum: Ints, level: float
    ) -> tuple[Floats, Floats]:
        """Lower and upper bound of contacted − alone, each (n,), by adding the two variances (delta method)."""
        tau = np.array(self.tau)
        error = np.hypot(tau[action, stratum] * contacted * (1 - contacted), tau[0, stratum] * alone * (1 - alone))
        reach = _quantile(level) * error
        uplift = contacted - alone
        return np.maximum(uplift - reach, -1.0), np.minimum(uplift + reach, 1.0)


def _quantile(level: float) -> float:
    return float(ndtri(0.5 + level / 2))


def fit_intervals(
    probability: Floats, outcome: npt.NDArray[np.generic], action: Ints, stratum: Ints, customer: Ints, n_actions: int
) -> Intervals:
    """The intervals that held-out decisions support; all arrays are (n,).

    At most one decision per customer and action counts, as those of one customer err together. Cells with few groups
    are drawn to the average over actions, as if that weighed fifty groups. Less history never narrows an interval.
    """
    y = outcome.astype(np.float64)
    keep = _one_per_customer(customer, action)
    statistics = np.zeros((n_actions, len(STRATA), 4))
    for a in range(n_actions):
        for s in range(len(STRATA)):
            rows = keep[(action[keep] == a) & (stratum[keep] == s)]
            statistics[a, s] = _moments(probability[rows], y[rows])
    overall = _drawn(statistics.sum(axis=(0, 1)), Variance(_UNKNOWN, 0.0), 0)
    strata = [_drawn(each, overall, _STRATUM_GROUPS) for each in statistics.sum(axis=0)]
    strata[NEWCOMER] = _drawn(statistics[:, NEWCOMER].sum(axis=0), _beyond(strata), _STRATUM_GROUPS)
    cells = [
        [_drawn(statistics[a, s], strata[s], _CELL_GROUPS).raised for s in range(len(STRATA))] for a in range(n_actions)
    ]
    tau2 = np.array(cells)
    widened = np.maximum.accumulate(tau2[:, ::-1], axis=1)[:, ::-1]
    return Intervals(tau=tuple(tuple(float(t) for t in row) for row in np.sqrt(widened)))


def _one_per_customer(customer: Ints, action: Ints) -> Ints:
    """The last row of each customer and action."""
    order = np.lexsort((np.arange(len(customer)), action, customer))
    c, a = customer[order], action[order]
    is_last = np.ones(len(order), dtype=bool)
    is_last[:-1] = (c[1:] != c[:-1]) | (a[1:] != a[:-1])
    return np.sort(order[is_last])


def _moments(probability: Floats, y: Floats) -> Floats:
    """(Σ V r², G, Σ V, Σ V²) over groups of like predictions."""
    groups = max(1, round(len(y) / _GROUP_ROWS))
    if len(y) < _GROUP_ROWS // 2:
        return np.zeros(4)
    order = np.argsort(probability, kind="stable")
    edges = np.linspace(0, len(y), groups + 1).astype(np.int64)[:-1]
    p = np.clip(probability[order], 1e-6, 1 - 1e-6)
    variance = np.add.reduceat(p * (1 - p), edges)
    excess = np.add.reduceat(y[order] - p, edges)
    return np.array([np.sum(excess**2 / variance), float(groups), variance.sum(), variance @ variance])


class Variance(NamedTuple):
    """An estimate of τ² and its standard error."""

    tau2: float
    error: float

    @property
    def raised(self) -> float:
        """τ², raised for what is not known of it."""
        return self.tau2 + min(self.error, _RAISE * self.error**2 / max(self.tau2, 1e-12))


def _drawn(statistics: Floats, towards: Variance, prior_groups: float) -> Variance:
    """The estimate of some groups, drawn to another as if that weighed `prior_groups`."""
    q, groups, weight, weight2 = statistics
    if weight <= 0:
        return towards
    share = groups / (groups + prior_groups)
    tau2 = float(share * max(0.0, (q - groups) / weight) + (1 - share) * towards.tau2)
    error = np.sqrt(2 * (tau2**2 * weight2 + 2 * tau2 * weight + groups)) / weight
    return Variance(tau2, float(np.hypot(share * error, (1 - share) * towards.error)))


def _beyond(strata: list[Variance]) -> Variance:
    """What newcomers are drawn to: as much above a short history as that is above a long one."""
    step = max(0.0, strata[SHORT].tau2 - strata[LONG].tau2)
    return Variance(strata[SHORT].tau2 + step, strata[SHORT].error)
