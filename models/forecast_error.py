"""How far sums of predictions over many customers may be off: errors that customers share and no averaging removes.

The intervals of single scores (`models.intervals`) say nothing of it. On held-out decisions, for each set of them
(later ones, customers never trained on) and each action, the shift of the log-odds that makes predicted sums right is

    r = Σ(y − p) / V,   V = Σ p (1 − p),   standard error √(Σ_customers (Σ(y − p))²) / V

Within a set, the r of the actions differ by an error of their own (variance σ_a², DerSimonian & Laird 1986, raised for
what is not known of it as in `models.intervals`) around one that is common to all (its square is averaged over the sets
as it stands, sampling error included). What a response is worth is judged likewise: Σ margin / Σ expected margin of
responders, less one, squared and averaged over the sets.

Assumed: sets and actions err alike in size; later customers are as far off as held-out ones. A last fit on all
decisions should err less than the judged model, which this does not count on.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from models.artefact import Artefact, Floats, Ints
from models.intervals import Variance

_LEAST_ROWS = 100
_UNKNOWN = 0.25
_LEAST_RESPONSES = 20
_UNKNOWN_SPREAD = 1.0


class ForecastError(Artefact):
    """Standard deviations of shared errors.

    common, action: of the log-odds, alike for all actions, and of one action over all customers. worth: of the mean
    margin of a response, relative. spread: variance of a response's margin over its expected margin, relative and
    squared, which sums of margins need beside the chance of a response.
    """

    common: float
    action: float
    worth: float
    spread: float


@dataclass(frozen=True)
class HeldOut:
    """Held-out decisions, all (n,).

    probability: of a response to the action taken; response: whether one came, 0 or 1; worth_eur: what one was expected
    to bring; margin_eur: what came.
    """

    probability: Floats
    response: npt.NDArray[np.int8]
    action: Ints
    customer: Ints
    worth_eur: Floats
    margin_eur: Floats


def fit_forecast_error(sets: Sequence[HeldOut]) -> ForecastError:
    """The shared errors that held-out decisions show; where they are too few, errors of a quarter are assumed."""
    shifts = [shift for each in sets if len(shift := _shifts(each))]
    if not shifts:
        return ForecastError(common=_UNKNOWN, action=_UNKNOWN, worth=_UNKNOWN, spread=_UNKNOWN_SPREAD)
    common = np.mean([_pooled(shift)[0] ** 2 for shift in shifts])
    worths = [found for each in sets if (found := _worth(each)) is not None]
    error, spread = np.mean(worths, axis=0) if worths else (_UNKNOWN**2, _UNKNOWN_SPREAD)
    return ForecastError(
        common=float(np.sqrt(common)),
        action=float(np.sqrt(_between(shifts))),
        worth=float(np.sqrt(error)),
        spread=float(spread),
    )


def _shifts(held: HeldOut) -> Floats:
    """(actions, 2): shift of the log-odds and its variance, of each action with enough rows."""
    found = []
    for action in np.unique(held.action):
        rows = held.action == action
        p = np.clip(held.probability[rows], 1e-6, 1 - 1e-6)
        excess = held.response[rows].astype(np.float64) - p
        sums = np.bincount(np.unique(held.customer[rows], return_inverse=True)[1], excess)
        information = float((p * (1 - p)).sum())
        if rows.sum() >= _LEAST_ROWS and (variance := float(sums @ sums) / information**2) > 0:
            found.append((float(excess.sum()) / information, variance))
    return np.array(found).reshape(-1, 2)


def _pooled(shifts: Floats) -> tuple[float, Floats]:
    """Mean shift of a set, weighted by precision, and the weights."""
    weight = 1 / shifts[:, 1]
    return float(weight @ shifts[:, 0] / weight.sum()), weight


def _between(sets: Sequence[Floats]) -> float:
    """σ_a², raised: by moments, over deviations from each set's own mean."""
    excess = freedom = information = 0.0
    for shifts in sets:
        mean, weight = _pooled(shifts)
        excess += float(weight @ (shifts[:, 0] - mean) ** 2)
        freedom += len(shifts) - 1
        information += float(weight.sum() - weight @ weight / weight.sum())
    if information <= 0:
        return _UNKNOWN**2
    variance = max(0.0, (excess - freedom) / information)
    error = float(np.sqrt(2 * freedom)) / information + variance * float(np.sqrt(2 / freedom))
    return Variance(variance, error).raised


def _worth(held: HeldOut) -> tuple[float, float] | None:
    """Squared relative error of the mean margin of responders, and the relative variance around it."""
    rows = (held.response > 0) & (held.worth_eur > 0)
    if rows.sum() < _LEAST_RESPONSES:
        return None
    ratio = held.margin_eur[rows] / held.worth_eur[rows]
    mean = float(held.margin_eur[rows].sum() / held.worth_eur[rows].sum())
    return (mean - 1) ** 2, float(np.mean((ratio - mean) ** 2))
