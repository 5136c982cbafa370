"""How far a predicted response may be off for customers like these; claims nothing about one customer's coin toss.

An interval speaks of the mean of 200 customers alike in prediction and history, contacted by one campaign. On the logit
scale the error of that mean is taken to be normal with the variance T = S + O, of which S is what no contact and
contacts on all channels share, and O an action's own, for its data are its own:

    S = E + L + W / 200,   O = E' + L'

E, E'  of a campaign: its week, its category, its strength; every customer of the send shares it
L, L'  of a level of the prediction, whatever the campaign: what calibration left
W      between customers who are predicted alike; what the predictions of the well known explain beyond those of others
       is added to O for these, so that newcomers get wider intervals

What is shared moves contact and no contact alike and so almost drops out of an uplift. Each is estimated on held-out
decisions from pairs of residuals (`models.moments`), which the noise of the outcomes does not bias, both of different
customers: E from pairs of one campaign and different actions, E + E' of one campaign and action; L from pairs of one
level and different actions, L + L' of one level and action in other campaigns, each less all levels; W from the same
customer in other periods. E' is as much larger on an action as its decisions are fewer, as errors of what was learned
are, and differs from that as far as the action's own pairs say, by linear empirical Bayes; so it does by stratum.

The model served is fitted again, on the held-out decisions too. So O counts by the share of its decisions that taught
the one held out, as the variance of what is learned falls with their number; S, which campaigns and the calendar set,
stays.

What is known of a variance is a posterior under a half-Cauchy prior on its root (Gelman, 2006), carried as equally
likely values, and an interval is as wide as its mean coverage over them asks.

Assumed: held-out decisions resemble those scored; errors are normal on the logit scale.
"""

from dataclasses import dataclass
from functools import cached_property
from statistics import NormalDist
from typing import Final

import numpy as np
import numpy.typing as npt

from models.artefact import Artefact, Floats, Ints
from models.calibration import expit, logit
from models.moments import Pairs, added, covering, paired

NEWCOMER, SHORT, LONG = 0, 1, 2
STRATA = ("newcomer", "short history", "long history")
GROUP_CUSTOMERS: Final = 200
"""Customers of whose mean an interval speaks."""

_LEVELS: Final = 10
_PRIOR_SCALE, _PRIOR_SCALE_OWN, _PRIOR_SCALE_CUSTOMERS = 0.05, 0.03, 0.5
"""Logits: a model's errors are thought to be below 5 % of the odds as often as above, those of one action alone below
3 %; customers differ by half."""
_MOST_FEWNESS: Final = 20.0


class History(Artefact):
    """Sorts customers by how much is known of them: no event, up to `long_from` events, more."""

    columns: tuple[int, ...]
    long_from: float

    def stratum(self, matrix: npt.NDArray[np.float32]) -> Ints:
        """NEWCOMER, SHORT or LONG for each row of (n, p); everybody is SHORT where no column counts events."""
        if not self.columns:
            return np.full(len(matrix), SHORT, dtype=np.int64)
        events = np.fmax(matrix[:, self.columns].astype(np.float64), 0.0).sum(axis=1)
        return np.where(events <= 0, NEWCOMER, np.where(events < self.long_from, SHORT, LONG)).astype(np.int64)


class Intervals(Artefact):
    """Standard deviations of the logit error, by action (rows) and stratum (columns).

    tau: of all of it; own: of what an action does not share with the others; shared: of what they share.
    """

    tau: tuple[tuple[float, ...], ...]
    own: tuple[tuple[float, ...], ...]
    shared: float

    def response(self, probability: Floats, action: Ints, stratum: Ints, level: float) -> tuple[Floats, Floats]:
        """Lower and upper bound of the response that hold with probability `level`; the arrays are broadcast."""
        reach = _quantile(level) * self._tau[action, stratum]
        centre = logit(probability)
        lower: Floats = np.minimum(expit(centre - reach), probability)
        upper: Floats = np.maximum(expit(centre + reach), probability)
        return lower, upper

    def uplift(
        self, contacted: Floats, alone: Floats, action: Ints, stratum: Ints, level: float
    ) -> tuple[Floats, Floats]:
        """Lower and upper bound of contacted − alone, each (n,), by the delta method, with what is shared apart."""
        own = self._own
        slope, slope_alone = contacted * (1 - contacted), alone * (1 - alone)
        apart = np.hypot(own[action, stratum] * slope, own[0, stratum] * slope_alone)
        reach = _quantile(level) * np.hypot(apart, self.shared * (slope - slope_alone))
        uplift = contacted - alone
        return np.maximum(uplift - reach, -1.0), np.minimum(uplift + reach, 1.0)

    @cached_property
    def _tau(self) -> Floats:
        return np.array(self.tau)

    @cached_property
    def _own(self) -> Floats:
        return np.array(self.own)


def _quantile(level: float) -> float:
    return NormalDist().inv_cdf(0.5 + level / 2)


@dataclass(frozen=True)
class HeldOut:
    """Decisions on which no model was fitted, all (n,).

    probability: of the action taken, in [0, 1]; outcome: 0 or 1; action; stratum; customer: numbers; campaign: numbers,
    equal where decisions were made by the same campaign in the same week; period: stretches of time that are long
    beside the horizon.
    """

    probability: Floats
    outcome: npt.NDArray[np.generic]
    action: Ints
    stratum: Ints
    customer: Ints
    campaign: Ints
    period: Ints


def fit_intervals(held: HeldOut, n_actions: int, taught: float = 1.0) -> Intervals:
    """The intervals that held-out decisions support. Less history never narrows an interval.

    Args:
        held: decisions on which the model was not fitted.
        n_actions: how many actions there are.
        taught: of the decisions that the model served is fitted on, the share that taught the one held out. What an
            action does not share with the others is the error of what was learned, whose variance falls with them.
    """
    p = np.clip(held.probability, 1e-6, 1 - 1e-6)
    z, v = held.outcome.astype(np.float64) - p, p * (1 - p)
    campaigns = paired(z, v, held.campaign * n_actions + held.action, held.customer)
    shared = paired(z, v, held.campaign, held.customer, held.action).posterior(_PRIOR_SCALE)
    drift = campaigns.posterior(_PRIOR_SCALE_OWN, less=float(shared.mean()))
    shift, whole = float(shared.mean()), float(shared.mean() + drift.mean())
    by_action = _by_action(campaigns, held.action, n_actions, float(drift.mean()), shift)
    by_stratum = [_within(held, z, v, s, n_actions).near(whole) / whole for s in range(len(STRATA))]
    shared_level, own_level = _of_levels(held, z, v, n_actions)
    customers = _between_customers(held, z, v)
    common = added(shared, shared_level) + customers.min()
    own, tau2 = np.empty((2, n_actions, len(STRATA)))
    for action, stratum in np.ndindex(*own.shape):
        apart = taught * added(drift * by_action[action] * by_stratum[stratum], own_level)
        apart += customers[stratum] - customers.min()
        own[action, stratum], tau2[action, stratum] = covering(apart), covering(added(apart, common))
    return Intervals(tau=_deviations(tau2), own=_deviations(own), shared=float(np.sqrt(covering(common))))


def _by_action(campaigns: Pairs, action: Ints, n_actions: int, drift: float, shared: float) -> Floats:
    """(actions,) how many times the mean an action's own variance of campaigns is.

    Args:
        campaigns: pairs of one campaign and action; units number the action within the campaign.
        action: (n,), of all decisions.
        n_actions: how many actions there are.
        drift: the mean of the own variance, as those pairs weigh actions.
        shared: the variance that actions share.
    """
    of = campaigns.unit % n_actions
    fewness = 1.0 / np.maximum(np.bincount(action, minlength=n_actions), 1)
    mean = float(np.bincount(of, weights=campaigns.share, minlength=n_actions) @ fewness)
    usual = np.minimum(fewness / mean, _MOST_FEWNESS) if mean > 0 else np.ones(n_actions)
    found = [campaigns.among(of == a).near(drift * usual[a] + shared) - shared for a in range(n_actions)]
    return np.maximum(np.array(found) / drift, 0.1 * usual)


def _deviations(variance: Floats) -> tuple[tuple[float, ...], ...]:
    """Roots of variances (actions, strata), none of a stratum below that of customers of whom more is known."""
    widened = np.maximum.accumulate(variance[:, ::-1], axis=1)[:, ::-1]
    return tuple(tuple(row) for row in np.sqrt(widened).tolist())


def _within(held: HeldOut, z: Floats, v: Floats, stratum: int, n_actions: int) -> Pairs:
    """Pairs of one action and campaign, both customers of a stratum."""
    rows = held.stratum == stratum
    unit = held.campaign * n_actions + held.action
    return paired(z[rows], v[rows], unit[rows], held.customer[rows])


def _of_levels(held: HeldOut, z: Floats, v: Floats, n_actions: int) -> tuple[Floats, Floats]:
    """The variance that levels of the prediction add whatever the campaign, to all actions and to an action alone.

    A level is a tenth of an action's decisions by their prediction.
    """
    level = np.zeros(len(z), np.int64)
    for action in range(n_actions):
        rows = np.flatnonzero(held.action == action)
        order = rows[np.argsort(held.probability[rows], kind="stable")]
        levels = min(_LEVELS, len(rows) // GROUP_CUSTOMERS)
        level[order] = np.arange(len(rows)) * levels // max(1, len(rows))
    everywhere = paired(z, v, np.zeros(len(z), np.int64), held.customer, held.action).estimate
    alike = paired(z, v, level, held.customer, held.action)
    shared = alike.posterior(_PRIOR_SCALE, less=max(0.0, everywhere))
    anywhere = paired(z, v, held.action, held.customer, held.campaign).estimate
    own = paired(z, v, held.action * _LEVELS + level, held.customer, held.campaign)
    return shared, own.posterior(_PRIOR_SCALE_OWN, less=max(0.0, anywhere) + float(np.median(shared)))


def _between_customers(held: HeldOut, z: Floats, v: Floats) -> Floats:
    """(strata,) what the mean of a group varies by because its customers differ."""
    own = paired(z, v, held.customer, held.period).posterior(_PRIOR_SCALE_CUSTOMERS)
    explained = np.zeros(len(STRATA))
    for stratum in range(len(STRATA)):
        rows = held.stratum == stratum
        told = [logit(held.probability[rows & (held.action == a)]) for a in np.unique(held.action[rows])]
        explained[stratum] = np.average([each.var() for each in told], weights=list(map(len, told))) if told else 0.0
    result: Floats = (own.mean() + explained.max() - explained) / GROUP_CUSTOMERS
    return result
