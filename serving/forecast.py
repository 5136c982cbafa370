"""What a set of contacts will bring, with intervals, and the same for plain rules; chooses nothing for the plan.

For contacts a_i, with uplift u, no-contact response q, worth w = expected value / uplift and model error s, which is
the width of the score's interval over 2z:

    incremental responses = Σ u_i           variance Σ_c (Σ_{i on c} s_i)² + Σ [p_i(1 − p_i) + q_i(1 − q_i)]
    incremental margin    = Σ w_i·u_i       variance Σ_c (Σ_{i on c} w_i·s_i)² + Σ w_i²·[p_i(1 − p_i) + q_i(1 − q_i)]
    responses             = Σ p_i + Σ q_j   variance Σ_c (Σ_{i on c} s_i)² + Σ p_i(1 − p_i) + Σ q_j(1 − q_j)

Assumes the model's errors equal in sign over all customers of a channel and independent between channels (the
cautious case: one model scored them all), customers who respond independently, and a worth that is known. The sum
over many customers is taken as normal. Cost is certain.
"""

from dataclasses import dataclass
from statistics import NormalDist

import numpy as np
import numpy.typing as npt

from serving.board import Board
from serving.hashing import Hashes
from serving.limits import Limits
from serving.rounding import used
from serving.sets import NO_CHANNEL, Actions, Counts, Floats

ASSUMPTIONS = (
    "intervals are normal; model errors are shared by all customers of a channel and independent between channels",
    "customers respond independently; what a response is worth is taken as known; cost is certain",
    "baselines spare the held out, take customers in order of their hash up to budget and capacity, ignore minimums",
)

NO_UPLIFT = 1e-12


@dataclass(frozen=True)
class Estimate:
    """A figure with the bounds of its interval."""

    mean: float
    lower: float
    upper: float


@dataclass(frozen=True)
class Forecast:
    """What the contacts bring: responses of the whole audience, and beyond no contact at all; money in EUR."""

    contacts: int
    mix: dict[str, int]
    responses: Estimate
    incremental_responses: Estimate
    margin_eur: Estimate
    cost_eur: float
    net_eur: Estimate


def forecast(board: Board, action: Actions, interval: float) -> Forecast:
    """Responses, margin and cost of `action` (n,), each with an interval of coverage `interval`."""
    z = NormalDist().inv_cdf((1 + interval) / 2)
    rows = np.flatnonzero(action >= 0)
    channels = action[rows]
    k = len(board.channels)
    count, cost = used(action, board.cost, k)
    uplift = _known(board.measures["uplift"][rows, channels])
    error = _known(board.measures["uplift_upper"][rows, channels] - board.measures["uplift_lower"][rows, channels]) / (
        2 * z
    )
    worth = _worth(board.expected_value[rows, channels], uplift)
    contacted, alone = _known(board.measures["response"][rows, channels]), board.no_contact.astype(np.float64)
    others = alone[action < 0]
    chance = _spread(contacted) + _spread(alone[rows])
    shared = float((np.bincount(channels, error, k) ** 2).sum())
    shared_eur = float((np.bincount(channels, error * worth, k) ** 2).sum())
    margin = float(board.expected_value[rows, channels].sum())
    spread_eur = z * float(np.sqrt(shared_eur + (worth**2 * chance).sum()))
    spread_all = z * float(np.sqrt(shared + _spread(contacted).sum() + _spread(others).sum()))
    return Forecast(
        contacts=len(rows),
        mix={name: int(n) for name, n in zip(board.channels, count, strict=True)},
        responses=_within(float(contacted.sum() + others.sum()), spread_all, least=0.0),
        incremental_responses=_within(float(uplift.sum()), z * float(np.sqrt(shared + chance.sum()))),
        margin_eur=_within(margin, spread_eur),
        cost_eur=cost,
        net_eur=_within(margin - cost, spread_eur),
    )


def baselines(
    board: Board, available: npt.NDArray[np.bool_], limits: Limits, tie: Hashes, interval: float
) -> dict[str, Forecast]:
    """The same figures for nobody, each single channel to all and the channel each customer engages with most.

    `available` (n,): who may be contacted at all, which leaves out the held out.
    """
    order = np.argsort(tie, kind="stable")
    nobody = np.full(len(order), NO_CHANNEL, dtype=np.int16)
    result = {"nobody": forecast(board, nobody, interval)}
    open_cells = board.open & available[:, None]
    for index, name in enumerate(board.channels):
        choice = np.where(open_cells[:, index], np.int16(index), np.int16(NO_CHANNEL))
        result[f"all by {name}"] = forecast(board, _within_limits(choice, order, board.cost, limits), interval)
    liking = np.where(open_cells, np.nan_to_num(board.measures["preference"], nan=-1.0), -np.inf)
    favourite = np.where(open_cells.any(axis=1), liking.argmax(axis=1), NO_CHANNEL).astype(np.int16)
    result["preferred channel"] = forecast(board, _within_limits(favourite, order, board.cost, limits), interval)
    return result


def _within_limits(choice: Actions, order: Counts, cost: Floats, limits: Limits) -> Actions:
    """`choice` of the first customers in `order`, per channel up to its capacity, then in all up to the budget."""
    result = np.full(len(choice), NO_CHANNEL, dtype=np.int16)
    chosen = order[choice[order] >= 0]
    keep = np.zeros(len(chosen), dtype=np.bool_)
    for channel in range(len(limits.channels)):
        keep[np.flatnonzero(choice[chosen] == channel)[: int(limits.capacity[channel])]] = True
    kept = chosen[keep]
    affordable = kept[np.cumsum(cost[kept, choice[kept]]) <= limits.spendable_eur]
    result[affordable] = choice[affordable]
    return result


def _known(values: npt.NDArray[np.float32]) -> Floats:
    return np.nan_to_num(values.astype(np.float64), nan=0.0)


def _worth(expected_value: Floats, uplift: Floats) -> Floats:
    """EUR a response; where the uplift is nil it cannot be told and the median of the others stands in."""
    told = np.abs(uplift) > NO_UPLIFT
    worth = np.divide(expected_value, uplift, out=np.zeros(len(uplift)), where=told)
    worth[~told] = np.median(worth[told]) if told.any() else 0.0
    return worth


def _spread(probability: Floats) -> Floats:
    return probability * (1 - probability)


def _within(mean: float, half_width: float, least: float = -np.inf) -> Estimate:
    return Estimate(mean, max(least, mean - half_width), mean + half_width)
