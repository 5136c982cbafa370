"""What a set of contacts will bring, with intervals; chooses nothing for the plan.

For contacts a_i, with response p, uplift u, no-contact response q, worth w = expected value / uplift, v = p (1 − p) and
v° = q (1 − q):

    incremental responses = Σ u    incremental margin = Σ w u    responses = Σ p of contacted + Σ q of the others

What will be seen differs from these for three reasons, whose variances are added:

1. chance: customers respond or not, and a response brings more or less. With b the relative variance of its margin:
   Σ (v + v°) for incremental responses, Σ w² [(1 + b)(p + q) − p² − q²] for incremental margin;
2. errors that all customers of an action share (`models.forecast_error`), by the delta method on the log-odds with
   standard deviations c (common to all actions), a (of one action) and e (of the worth, relative):
   c² (Σ w v − Σ w v°)² + a² [Σ_channels (Σ w v)² + (Σ w v°)²] + e² (Σ w u)²;
   no contact is one action, so its error is the same on every channel;
3. errors of like customers, which the interval of a score tells (s, its width over 2z): they were found on groups of
   200 and are taken to be independent between such groups: on a channel with n contacts the part of (Σ w s)² beyond
   the second's a² [(Σ w v)² + (Σ w v°)²] counts min(1, 200 / n).

Sums over many customers are taken as normal. Opt-outs are Poisson counts at a rate known from the history
(`serving.opt_outs`), so a count and its interval are negative binomial. Cost is certain.

Where scores came without an outlook, nothing is known of shared errors: then a = c = e = 0, and the third counts whole,
as if all customers of a channel erred alike.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from statistics import NormalDist

import numpy as np
import numpy.typing as npt
from scipy.stats import nbinom

from models.forecast_error import ForecastError
from serving.board import Board
from serving.opt_outs import OptOutRate
from serving.outlook import Outlook
from serving.sets import Actions, Floats

GROUP_CUSTOMERS = 200
"""Of the groups of held-out decisions from which `models.intervals` learns the width of a score's interval."""

NO_UPLIFT = 1e-12
UNKNOWN_SPREAD = 1.0


@dataclass(frozen=True)
class Estimate:
    """A figure with the bounds of its interval."""

    mean: float
    lower: float
    upper: float


@dataclass(frozen=True)
class Outcome:
    """What contacts bring; money in EUR. incremental, margin and net are beyond no contact at all.

    responses: of those it speaks of. opt_outs: None where the channel records none or no rate is known.
    """

    contacts: int
    responses: Estimate
    incremental_responses: Estimate
    margin_eur: Estimate
    cost_eur: float
    net_eur: Estimate
    opt_outs: Estimate | None


@dataclass(frozen=True)
class Forecast(Outcome):
    """The same of a whole plan, with responses of the whole audience; `channels` are its parts, `mix` their contacts.

    opt_outs: of the channels of which a rate is known.
    """

    mix: dict[str, int]
    channels: dict[str, Outcome]


@dataclass(frozen=True)
class Certainty:
    """How sure a forecast can be: the coverage of its intervals, and what is known of shared errors and opt-outs."""

    interval: float
    error: ForecastError | None = None
    opt_outs: Mapping[str, OptOutRate] | None = None

    @classmethod
    def of(cls, interval: float, outlook: Outlook | None) -> "Certainty":
        """What an outlook tells, if there is one."""
        return cls(interval) if outlook is None else cls(interval, outlook.forecast_error, outlook.opt_outs)

    @property
    def z(self) -> float:
        """Standard deviations from the mean to a bound."""
        return NormalDist().inv_cdf((1 + self.interval) / 2)


@dataclass(frozen=True)
class _Sums:
    """Sums over contacts of one channel; those with `_eur` are weighted by what a response is worth.

    moved, moved_eur: what a shift of the log-odds moves (Σ v); alone: the same without contact. chance: variance by
    chance. alike: Σ of the scores' own standard errors.
    """

    contacts: float
    cost_eur: float
    responses: float
    uplift: float
    uplift_eur: float
    moved: float
    alone: float
    alike: float
    chance: float
    chance_responses: float
    moved_eur: float
    alone_eur: float
    alike_eur: float
    chance_eur: float


def forecast(board: Board, action: Actions, certainty: Certainty) -> Forecast:
    """Responses, margin, cost and opt-outs of `action` (n,), per channel and in all.

    Args:
        board: the scores.
        action: (n,) column of the channel, -1 for no contact.
        certainty: of the intervals.
    """
    sums = _channel_sums(board, action, certainty)
    parts = {
        name: _outcome([each], [name], certainty, others=np.zeros(0))
        for name, each in zip(board.channels, sums, strict=True)
    }
    whole = _outcome(sums, board.channels, certainty, others=board.no_contact[action < 0].astype(np.float64))
    return Forecast(
        **{field.name: getattr(whole, field.name) for field in fields(Outcome)},
        mix={name: each.contacts for name, each in parts.items()},
        channels={name: each for name, each in parts.items() if each.contacts},
    )


def _channel_sums(board: Board, action: Actions, certainty: Certainty) -> list[_Sums]:
    """Of each channel, in one pass over the contacts."""
    rows = np.flatnonzero(action >= 0)
    channel = action[rows]
    k = len(board.channels)

    def cells(values: npt.NDArray[np.floating]) -> Floats:
        return np.nan_to_num(values[rows, channel].astype(np.float64), nan=0.0)

    p, u, value = cells(board.measures["response"]), cells(board.measures["uplift"]), cells(board.expected_value)
    q = board.no_contact[rows].astype(np.float64)
    s = (cells(board.measures["uplift_upper"]) - cells(board.measures["uplift_lower"])) / (2 * certainty.z)
    w = _worth(value, u)
    spread = certainty.error.spread if certainty.error is not None else UNKNOWN_SPREAD
    columns = {
        "contacts": np.ones(len(rows)),
        "cost_eur": cells(board.cost),
        "responses": p,
        "uplift": u,
        "uplift_eur": value,
        "moved": p * (1 - p),
        "alone": q * (1 - q),
        "alike": s,
        "chance": p * (1 - p) + q * (1 - q),
        "chance_responses": p * (1 - p),
        "moved_eur": w * p * (1 - p),
        "alone_eur": w * q * (1 - q),
        "alike_eur": w * s,
        "chance_eur": w**2 * ((1 + spread) * (p + q) - p**2 - q**2),
    }
    totals = {name: np.bincount(channel, values, k) for name, values in columns.items()}
    return [_Sums(**{name: float(each[index]) for name, each in totals.items()}) for index in range(k)]


def _outcome(sums: list[_Sums], names: Sequence[str], certainty: Certainty, others: Floats) -> Outcome:
    """Of the contacts of some channels together with `others` (m,), responses of customers who are not contacted."""

    def total(name: str) -> float:
        return float(sum(getattr(each, name) for each in sums))

    error = certainty.error or ForecastError(common=0.0, action=0.0, worth=0.0, spread=UNKNOWN_SPREAD)
    gain, cost = total("uplift_eur"), total("cost_eur")
    shared = _shared(sums, error, "")
    shared_eur = _shared(sums, error, "_eur") + (error.worth * gain) ** 2
    alike, alike_eur = _alike(sums, certainty.error, ""), _alike(sums, certainty.error, "_eur")
    quiet = float((others * (1 - others)).sum())
    moved = total("moved") + quiet
    apart = sum(each.moved**2 for each in sums) + quiet**2
    shared_all = error.common**2 * moved**2 + error.action**2 * apart
    z = certainty.z
    reach_eur = z * float(np.sqrt(total("chance_eur") + shared_eur + alike_eur))
    return Outcome(
        contacts=round(total("contacts")),
        responses=_within(
            total("responses") + float(others.sum()),
            z * float(np.sqrt(total("chance_responses") + quiet + shared_all + alike)),
            least=0.0,
        ),
        incremental_responses=_within(total("uplift"), z * float(np.sqrt(total("chance") + shared + alike))),
        margin_eur=_within(gain, reach_eur),
        cost_eur=cost,
        net_eur=_within(gain - cost, reach_eur),
        opt_outs=_opt_outs([(name, each.contacts) for name, each in zip(names, sums, strict=True)], certainty),
    )


def _shared(sums: list[_Sums], error: ForecastError, unit: str) -> float:
    """Variance by the errors of actions, of responses or (unit "_eur") of margin."""
    moved = [float(getattr(each, f"moved{unit}")) for each in sums]
    alone = float(sum(getattr(each, f"alone{unit}") for each in sums))
    own = sum(each**2 for each in moved) + alone**2
    return error.common**2 * (sum(moved) - alone) ** 2 + error.action**2 * own


def _alike(sums: list[_Sums], error: ForecastError | None, unit: str) -> float:
    """Variance by the errors of like customers; whole where nothing is known of shared errors."""
    variance = 0.0
    for each in sums:
        own = float(getattr(each, f"alike{unit}")) ** 2
        if error is not None:
            known = error.action**2 * (getattr(each, f"moved{unit}") ** 2 + getattr(each, f"alone{unit}") ** 2)
            own = max(0.0, own - known) * min(1.0, GROUP_CUSTOMERS / max(each.contacts, 1.0))
        variance += own
    return variance


def _opt_outs(contacts: list[tuple[str, float]], certainty: Certainty) -> Estimate | None:
    """Opt-outs of the channels of which a rate is known; None where there is none."""
    rates = certainty.opt_outs or {}
    known = [(count * rates[name].rate, rates[name]) for name, count in contacts if name in rates]
    if not known:
        return None
    mean = sum(each for each, _ in known)
    if mean == 0:
        return Estimate(0.0, 0.0, 0.0)
    beyond = sum((rate.dispersion - 1) * each + each**2 * rate.relative_variance for each, rate in known)
    shape = mean**2 / beyond
    chance = shape / (shape + mean)
    tail = (1 - certainty.interval) / 2
    lower, upper = nbinom.ppf([tail, 1 - tail], shape, chance)
    return Estimate(mean, float(lower), float(upper))


def _worth(expected_value: Floats, uplift: Floats) -> Floats:
    """EUR a response; where the uplift is nil it cannot be told and the median of the others stands in."""
    told = np.abs(uplift) > NO_UPLIFT
    worth = np.divide(expected_value, uplift, out=np.zeros(len(uplift)), where=told)
    worth[~told] = np.median(worth[told]) if told.any() else 0.0
    return worth


def _within(mean: float, half_width: float, least: float = -np.inf) -> Estimate:
    return Estimate(mean, max(least, mean - half_width), mean + half_width)
