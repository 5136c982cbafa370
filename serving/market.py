"""Brings the scores of one or several campaigns together: what each customer may be offered; chooses nothing.

Campaigns stand in order of their moment (the as-of of their scores), then of their id.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from contract.errors import DataError, UsageError
from contract.params import Planning
from serving.allocation import offers_of
from serving.board import Board
from serving.demand import Offers
from serving.hashing import Hashes, customer_hashes
from serving.limit_table import ONE_SEGMENT
from serving.roles import Randomness
from serving.sets import Counts, Floats, Rules, Segments, several_contacts, single_contact

MAX_CAMPAIGNS = 6
"""With holdout or exploration: the plan answers each customer in every combination of campaigns open to it."""

NO_UPLIFT = 1e-12
HOUR_S = 3_600.0


@dataclass(frozen=True)
class Market:
    """n customers and the campaigns that compete for them.

    ids: (n,) ascending. tie: (n,) their hashes. boards: scores of each campaign; rows: for each the place of its
    customers among the n. campaigns: their names, "" where the only one has none.
    """

    ids: pa.Array
    tie: Hashes
    boards: tuple[Board, ...]
    rows: tuple[Counts, ...]
    campaigns: tuple[str, ...]

    def spread(self, columns: Sequence[Floats], empty: float) -> Floats:
        """(n, options) from one (own customers, channels) array per campaign; `empty` where a customer is in none."""
        if len(columns) == 1 and len(columns[0]) == len(self.ids):
            return columns[0]
        k = len(self.boards[0].channels)
        result = np.full((len(self.ids), k * len(columns)), empty)
        for place, (rows, values) in enumerate(zip(self.rows, columns, strict=True)):
            result[rows, place * k : (place + 1) * k] = values
        return result


def market_of(boards: Sequence[Board]) -> Market:
    """The market of some campaigns' scores.

    Raises:
        DataError: two scorings of one campaign, or one without a campaign or a moment beside others.
    """
    if len(boards) == 1:
        board = boards[0]
        every = (np.arange(len(board.ids)),)
        return Market(board.ids, customer_hashes(board.ids), (board,), every, (board.campaign_id or "",))
    if any(board.campaign_id is None or board.as_of is None for board in boards):
        raise DataError("scores: several campaigns are planned together, but one has no campaign_id or no as_of")
    names = [board.campaign_id for board in boards]
    if twice := sorted({str(name) for name in names if names.count(name) > 1}):
        raise DataError(f"scores: campaign {', '.join(twice)} is given twice; give each campaign's scores once")
    ordered = sorted(boards, key=lambda board: (str(board.as_of), str(board.campaign_id)))
    every_id = pc.unique(pa.chunked_array([board.ids for board in ordered]))
    ids = every_id.take(pc.array_sort_indices(every_id))
    rows = tuple(pc.index_in(board.ids, value_set=ids).to_numpy().astype(np.int64) for board in ordered)
    return Market(ids, customer_hashes(ids), tuple(ordered), rows, tuple(str(board.campaign_id) for board in ordered))


def require_few_campaigns(randomness: Randomness) -> None:
    """Raises UsageError where more campaigns are drawn for at once than their combinations allow."""
    if len(randomness.campaigns) > MAX_CAMPAIGNS and not randomness.nothing_random:
        raise UsageError(
            f"--scores: {len(randomness.campaigns)} campaigns at once; with holdout, exploration or control group at "
            f"most {MAX_CAMPAIGNS}. Plan them in groups, or set those shares to 0"
        )


def rules_of(market: Market, planning: Planning) -> Rules:
    """Which contacts of one customer go together, by the parameters and the campaigns' moments."""
    k = len(market.boards[0].channels)
    campaign = np.repeat(np.arange(len(market.boards)), k)
    if planning.contacts_per_customer == 1:
        single = single_contact(len(campaign))
        return single._replace(campaign=campaign, moment=np.zeros(len(market.boards)))
    moments = [board.as_of.timestamp() / HOUR_S if board.as_of is not None else 0.0 for board in market.boards]
    moment = np.array(moments) - moments[0]
    share = planning.further_contact_worth
    return several_contacts(planning.contacts_per_customer, campaign, moment, planning.gap_hours, share)


def market_offers(market: Market, planning: Planning, segment: Segments = ONE_SEGMENT) -> Offers:
    """What the customers may be offered, valued as `planning.risk` says."""
    gain = market.spread([gain_of(board, planning.risk == "lower") for board in market.boards], -np.inf)
    cost = market.spread([board.cost for board in market.boards], 0.0)
    return offers_of(gain, cost, segment, rules_of(market, planning))


def gain_of(board: Board, lower: bool) -> Floats:
    """(n, k) EUR net of cost, -inf where closed; with `lower` at the lower end of the interval of the uplift."""
    if not lower:
        return board.gain
    uplift, least = board.measures["uplift"], board.measures["uplift_lower"]
    worth = worth_eur(board)
    fall = np.nan_to_num(worth * (uplift.astype(np.float64) - least.astype(np.float64)), nan=0.0)
    lowered: Floats = np.where(board.open, board.expected_value - np.maximum(fall, 0.0) - board.cost, -np.inf)
    return lowered


def worth_eur(board: Board) -> Floats:
    """(n, k) EUR a response; the median of the others where the uplift is nil and it cannot be told."""
    uplift = board.measures["uplift"].astype(np.float64)
    told = board.open & (np.abs(np.nan_to_num(uplift)) > NO_UPLIFT)
    worth: Floats = np.divide(board.expected_value, uplift, out=np.zeros(uplift.shape), where=told)
    usual = float(np.median(worth[told])) if told.any() else 0.0
    found: Floats = np.where(told, worth, usual)
    return found


def error_eur(board: Board, z: float) -> Floats:
    """(n, k) EUR, the standard error of the expected value: the width of the uplift's interval over 2z."""
    width = board.measures["uplift_upper"].astype(np.float64) - board.measures["uplift_lower"]
    error: Floats = np.abs(worth_eur(board)) * np.nan_to_num(np.maximum(width, 0.0), nan=0.0) / (2.0 * z)
    return error
