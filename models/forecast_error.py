"""How far sums of predictions over many customers may be off: errors that customers share and no averaging removes.

The intervals of single scores (`models.intervals`) say nothing of it. On held-out decisions, for each set of them
(later ones, customers never trained on) and each action, the shift of the log-odds that makes predicted sums right is

    r = Σ(y − p) / V,   V = Σ p (1 − p),   standard error √(Σ_customers (Σ(y − p))²) / V

Within a set, the r of the actions differ by an error of their own around one that is common to all. The variance of
the own error is estimated by moments (DerSimonian & Laird 1986), and raised by 0.68 e² / σ², at most e, its standard
error: too small a variance costs more coverage than too large a one gains. The common shift is squared and averaged
over the sets as it stands, sampling error included. A plan is one campaign, and decisions span many: the variance
between the campaigns of an action, by the same moments, is added to that of actions. What a response is worth is judged
likewise: Σ margin / Σ expected margin of responders, less one, squared and averaged over the sets.

Assumed: sets and actions err alike in size; later customers are as far off as held-out ones. A last fit on all
decisions should err less than the judged model, which this does not count on.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from models.artefact import Artefact, Floats, Ints

_LEAST_ROWS = 100
_UNKNOWN = 0.25
_LEAST_RESPONSES = 20
_UNKNOWN_SPREAD = 1.0
_RAISE = 0.68


class ForecastError(Artefact):
    """Standard deviations of shared errors.

    common, action: of the log-odds, alike for all actions, and of one action of one campaign. worth: of the mean
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
    campaign: Ints
    customer: Ints
    worth_eur: Floats
    margin_eur: Floats


def fit_forecast_error(sets: Sequence[HeldOut]) -> ForecastError:
    """The shared errors that held-out decisions show; where they are too few, errors of a quarter are assumed."""
    every = [_shifts(each, each.action, _LEAST_ROWS) for each in sets]
    shifts = [shift for shift in every if len(shift)]
    if not shifts:
        return ForecastError(common=_UNKNOWN, action=_UNKNOWN, worth=_UNKNOWN, spread=_UNKNOWN_SPREAD)
    common = np.mean([_pooled(shift)[0] ** 2 for shift in shifts])
    campaigns = _between([shift for each in sets for shift in _campaign_shifts(each)])
    worths = [found for each in sets if (found := _worth(each)) is not None]
    error, spread = np.mean(worths, axis=0) if worths else (_UNKNOWN**2, _UNKNOWN_SPREAD)
    return ForecastError(
        common=float(np.sqrt(common)),
        action=float(np.sqrt(_raised(_between(shifts)) + (campaigns.value if campaigns is not None else 0.0))),
        worth=float(np.sqrt(error)),
        spread=float(spread),
    )


def _shifts(held: HeldOut, group: Ints, least_rows: int) -> Floats:
    """(groups, 2): shift of the log-odds and its variance, of groups with enough rows; `group` (n,), negative none."""
    found = []
    for each in np.unique(group[group >= 0]):
        rows = group == each
        p = np.clip(held.probability[rows], 1e-6, 1 - 1e-6)
        excess = held.response[rows].astype(np.float64) - p
        sums = np.bincount(np.unique(held.customer[rows], return_inverse=True)[1], excess)
        information = float((p * (1 - p)).sum())
        if rows.sum() >= least_rows and (variance := float(sums @ sums) / information**2) > 0:
            found.append((float(excess.sum()) / information, variance))
    return np.array(found).reshape(-1, 2)


def _campaign_shifts(held: HeldOut) -> list[Floats]:
    """Of each action, the shifts of its campaigns."""
    actions = np.unique(held.action)
    return [_shifts(held, np.where(held.action == action, held.campaign, -1), _LEAST_ROWS) for action in actions]


class _Moment(NamedTuple):
    """A variance by moments, at least 0, and its standard error."""

    value: float
    error: float


def _pooled(shifts: Floats) -> tuple[float, Floats]:
    """Mean shift of a set, weighted by precision, and the weights."""
    weight = 1 / shifts[:, 1]
    return float(weight @ shifts[:, 0] / weight.sum()), weight


def _between(sets: Sequence[Floats]) -> _Moment | None:
    """The variance within sets of shifts, around each set's own mean; None where no set has two."""
    excess = freedom = information = 0.0
    for shifts in sets:
        if len(shifts) > 1:
            mean, weight = _pooled(shifts)
            excess += float(weight @ (shifts[:, 0] - mean) ** 2)
            freedom += len(shifts) - 1
            information += float(weight.sum() - weight @ weight / weight.sum())
    if information <= 0:
        return None
    variance = max(0.0, (excess - freedom) / information)
    error = float(np.sqrt(2 * freedom)) / information + variance * float(np.sqrt(2 / freedom))
    return _Moment(variance, error)


def _raised(found: _Moment | None) -> float:
    if found is None:
        return _UNKNOWN**2
    return found.value + min(found.error, _RAISE * found.error**2 / max(found.value, 1e-12))


def _worth(held: HeldOut) -> tuple[float, float] | None:
    """Squared relative error of the mean margin of responders, and the relative variance around it."""
    rows = (held.response > 0) & (held.worth_eur > 0)
    if rows.sum() < _LEAST_RESPONSES:
        return None
    ratio = held.margin_eur[rows] / held.worth_eur[rows]
    mean = float(held.margin_eur[rows].sum() / held.worth_eur[rows].sum())
    return (mean - 1) ** 2, float(np.mean((ratio - mean) ** 2))
