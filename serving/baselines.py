"""Plain ways to contact the same audience under the same budget and capacities, to see what a plan changes."""

import numpy as np
import numpy.typing as npt

from serving.board import Board
from serving.hashing import Hashes
from serving.limits import Limits
from serving.sets import NO_CHANNEL, Actions, Counts, Floats

NOBODY = "nobody"
MOST_ENGAGED = "most engaged channel"
LAST_PLAN = "last plan"


def baseline_actions(
    board: Board, available: npt.NDArray[np.bool_], limits: Limits, tie: Hashes, last: Actions | None = None
) -> dict[str, Actions]:
    """Nobody, the last plan, the channel each customer engages with most, and each channel to all: (n,) actions each.

    Customers are served in order of their hash; minimums are not looked at. Engagement is the preference: the channel
    through which the next answer is most likely to come.

    Args:
        board: the scores.
        available: (n,) who may be contacted at all, which leaves out the held out.
        limits: budget and capacities.
        tie: (n,) uint64 hash of each customer.
        last: (n,) the last plan's channels, -1 none; None where there is none. A channel closed since counts as none.
    """
    order = np.argsort(tie, kind="stable")
    open_cells = board.open & available[:, None]
    choices = {NOBODY: np.full(len(order), NO_CHANNEL, dtype=np.int16)}
    if last is not None:
        still = (last >= 0) & open_cells[np.arange(len(last)), np.maximum(last, 0)]
        choices[LAST_PLAN] = np.where(still, last, np.int16(NO_CHANNEL)).astype(np.int16)
    liking = np.where(open_cells, np.nan_to_num(board.measures["preference"], nan=-1.0), -np.inf)
    choices[MOST_ENGAGED] = np.where(open_cells.any(axis=1), liking.argmax(axis=1), NO_CHANNEL).astype(np.int16)
    for index, name in enumerate(board.channels):
        choices[f"all by {name}"] = np.where(open_cells[:, index], np.int16(index), np.int16(NO_CHANNEL))
    return {name: _within_limits(choice, order, board.cost, limits) for name, choice in choices.items()}


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
