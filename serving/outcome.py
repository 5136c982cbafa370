"""What one campaign's share of a joint decision is: one action and one role a customer, further contacts as rows.

Options become channels again, so that reports and files need to know nothing of other campaigns; chooses nothing.
"""

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from serving.board import MEASURES, Board
from serving.exploration import Drawing
from serving.roles import EXPLORE, HOLDOUT, INELIGIBLE, PLAN
from serving.sets import NO_CHANNEL, Actions, Counts, Floats, Rules

ORDINARY, CONTROL, ELSEWHERE, OUTBID, FURTHER = range(-1, 4)
"""Why a row is as it is, beside its role: control group, explores in another campaign, another campaign's contact was
worth more, a further contact of the same campaign."""


@dataclass(frozen=True)
class Decision:
    """What each of n rows of a campaign gets, and with which probability it could have got what else.

    action: (n,) int16 channel, -1 none. role: (n,) int8 index into `ROLES`. propensity: (n, k + 1), column 0 none,
    column c + 1 channel c; rows sum to one where there is one contact a customer. note: (n,) int8, as above.
    """

    action: Actions
    role: npt.NDArray[np.int8]
    propensity: Floats
    note: npt.NDArray[np.int8]

    def of_first(self, first: npt.NDArray[np.bool_]) -> "Decision":
        """The rows `first` (n,) alone: one a customer."""
        return Decision(self.action[first], self.role[first], self.propensity[first], self.note[first])


@dataclass(frozen=True)
class Outcome:
    """One campaign's scores and decision, further contacts of a customer as rows of their own after its first.

    A further row has the score of its channel times what a further contact keeps, and no response without contact:
    what it adds. customers: (n,) row of the campaign's own scores that each row stands for; first: (n,) whether it is
    the customer's first.
    """

    board: Board
    decision: Decision
    customers: Counts
    first: npt.NDArray[np.bool_]


def outcome(board: Board, rows: Counts, campaign: int, joint: Drawing, rules: Rules) -> Outcome:
    """The outcome of campaign number `campaign`, whose customers are `rows` of the joint decision."""
    k = len(board.channels)
    first_option = campaign * k
    picks = joint.picks[rows]
    own = (picks >= first_option) & (picks < first_option + k)
    channels = _packed(np.where(own, picks - first_option, NO_CHANNEL).astype(np.int16))
    propensity = np.column_stack([joint.none[rows, campaign], joint.chance[rows, first_option : first_option + k]])
    elsewhere = ((picks >= 0) & ~own).any(axis=1)
    role, note = _roles(joint, rows, campaign, (channels[:, 0] < 0) & elsewhere)
    every = np.arange(len(rows))
    decision = Decision(channels[:, 0], role, propensity, note)
    if channels.shape[1] == 1 or not (channels[:, 1] >= 0).any():
        return Outcome(board, decision, every, np.ones(len(rows), dtype=np.bool_))
    return _with_further(board, decision, channels, rules)


def _packed(channels: Actions) -> Actions:
    """The channels of each row moved to its front, in their order."""
    order = np.argsort(channels < 0, axis=1, kind="stable")
    return np.take_along_axis(channels, order, axis=1)


def _roles(
    joint: Drawing, rows: Counts, campaign: int, outbid: npt.NDArray[np.bool_]
) -> tuple[npt.NDArray[np.int8], npt.NDArray[np.int8]]:
    role, note = joint.drawn.role[rows, campaign].copy(), np.full(len(rows), ORDINARY, dtype=np.int8)
    note[outbid & (role == PLAN)] = OUTBID
    explores_in = joint.drawn.explores_in[rows]
    elsewhere = (explores_in >= 0) & (explores_in != campaign) & ((role == PLAN) | (role == EXPLORE))
    role[elsewhere], note[elsewhere] = EXPLORE, ELSEWHERE
    control = joint.drawn.control[rows] & (role != INELIGIBLE)
    role[control], note[control] = HOLDOUT, CONTROL
    return role, note


def _with_further(board: Board, decision: Decision, channels: Actions, rules: Rules) -> Outcome:
    gross = np.where(board.open, board.expected_value, -np.inf)
    worth = np.where(channels >= 0, np.take_along_axis(gross, np.maximum(channels, 0).astype(np.int64), 1), -np.inf)
    channels = np.take_along_axis(channels, np.argsort(-worth, axis=1, kind="stable"), axis=1)
    customer, slot = np.nonzero(channels >= 0)
    alone = np.flatnonzero(channels[:, 0] < 0)
    customer, slot = np.concatenate([customer, alone]), np.concatenate([slot, np.zeros(len(alone), dtype=np.int64)])
    order = np.lexsort((slot, customer))
    customer, slot = customer[order], slot[order]
    first = slot == 0
    note = np.where(first, decision.note[customer], FURTHER).astype(np.int8)
    rows = Decision(channels[customer, slot], decision.role[customer], decision.propensity[customer], note)
    return Outcome(_repeated(board, customer, rules.kept[slot], first), rows, customer, first)


def _repeated(board: Board, customer: Counts, kept: Floats, first: npt.NDArray[np.bool_]) -> Board:
    value = board.expected_value[customer]
    measures = {name: board.measures[name][customer].copy() for name in MEASURES}
    further, share = ~first, kept[~first, None].astype(np.float32)
    measures["response"][further] = measures["uplift"][further]
    for name in ("response", "uplift", "uplift_lower", "uplift_upper"):
        measures[name][further] *= share
    return replace(
        board,
        ids=board.ids.take(pa.array(customer)),
        open=board.open[customer],
        expected_value=np.where(value > 0, value * kept[:, None], value),
        cost=board.cost[customer],
        measures=measures,
        no_contact=np.where(first, board.no_contact[customer], np.float32(0)),
        reason=board.reason[customer],
        evidence=board.evidence[customer],
    )
