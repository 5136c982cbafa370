"""Who moved channel since the last plan, and why, from both plans and the present scores; changes no plan."""

# ruff: noqa: S608  the only text put into queries is a path and column names of ours

from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import duckdb
import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from contract.errors import DataError
from serving.board import Board
from serving.outcome import Decision
from serving.roles import EXPLORE, HOLDOUT, INELIGIBLE
from serving.sets import NO_CHANNEL, Actions

NO_CONTACT, NOT_PLANNED = "no contact", "not in that plan"
COLUMNS = ("customer_id", "channel", "role")

REASONS = (
    "held out this time, to measure",
    "explores this time: channel drawn at random",
    "held out or explored last time",
    "the old channel is closed now",
    "may be contacted now",
    "worth more on the new channel",
    "no longer worth its cost",
    "worth its cost now, or room for it",
    "limits: the old channel is worth more to others",
)
HELD, EXPLORES, WAS_RANDOM, CLOSED, OPENED, WORTH, NOT_WORTH, ROOM, LIMITS = range(len(REASONS))


@dataclass(frozen=True)
class LastPlan:
    """A former plan over the customers of the present scores, (n,): channel (-1 none), role, whether it had them."""

    channel: Actions
    random: npt.NDArray[np.bool_]
    ineligible: npt.NDArray[np.bool_]
    known: npt.NDArray[np.bool_]
    gone: int


@dataclass(frozen=True)
class Moves:
    """Customers by channel in the last plan (rows of `counts`, named `was`) and in this one (columns, `now`).

    reasons: how many of those in both plans moved for which reason. moved, stayed: of those in both. new, gone: in one
    of them only.
    """

    was: tuple[str, ...]
    now: tuple[str, ...]
    counts: tuple[tuple[int, ...], ...]
    reasons: dict[str, int]
    moved: int
    stayed: int
    new: int
    gone: int


def read_last_plan(path: Path, board: Board) -> LastPlan:
    """What the plan in a file, Parquet or CSV as `plan` writes it, had for the customers of the board.

    Of several campaigns in the plan the board's counts where it is among them; of several contacts the first.

    Raises:
        DataError: it cannot be read, lacks a column, or names a channel that is none of the board's.
    """
    if not path.exists():
        raise DataError(f"--last-plan {path}: is not there; `channelwise plan` wrote it as its --out")
    table = _read(path, board.campaign_id)
    channels = pc.index_in(table["channel"], value_set=pa.array([None, *board.channels], pa.string()))
    if channels.null_count:
        found = pc.unique(table["channel"].filter(pc.is_null(channels)))[0]
        raise DataError(
            f"--last-plan {path}: channel '{found}' is none of the outbound channels {', '.join(board.channels)}"
        )
    place = pc.index_in(board.ids, value_set=table["customer_id"].combine_chunks())
    known = np.asarray(pc.is_valid(place))
    row = np.asarray(pc.fill_null(place, 0)).astype(np.int64)
    if not table.num_rows:
        none = np.zeros(len(known), dtype=np.bool_)
        return LastPlan(np.full(len(known), NO_CHANNEL, dtype=np.int16), none, none, none, 0)
    channel = np.where(known, channels.to_numpy()[row] - 1, NO_CHANNEL).astype(np.int16)
    role = table["role"].to_numpy(zero_copy_only=False)[row]
    random = np.isin(role, ["holdout", "explore"]) & known
    customers = pc.count_distinct(table["customer_id"]).as_py()
    return LastPlan(channel, random, (role == "ineligible") & known, known, customers - int(known.sum()))


def _read(path: Path, campaign_id: str | None) -> pa.Table:
    name = str(path).replace("'", "''")
    is_csv = path.suffix.lower() == ".csv"
    source = f"read_csv('{name}', header = true, all_varchar = true)" if is_csv else f"read_parquet('{name}')"
    columns = ", ".join(f"CAST({column} AS VARCHAR) AS {column}" for column in COLUMNS)
    try:
        with duckdb.connect() as connection:
            rows = connection.sql(f"SELECT *, row_number() OVER () AS line FROM {source} WHERE customer_id IS NOT NULL")
            own = "campaign_id IS NOT DISTINCT FROM $campaign" if "campaign_id" in rows.columns else "$campaign IS NULL"
            query = f"""SELECT {columns} FROM rows QUALIFY row_number() OVER (
                PARTITION BY customer_id ORDER BY ({own}) DESC, line) = 1 ORDER BY line"""
            return connection.sql(query, params={"campaign": campaign_id}).to_arrow_table()
    except duckdb.Error as error:
        first = str(error).splitlines()[0]
        raise DataError(
            f"--last-plan {path}: cannot be read as a plan ({first}); expected the columns {', '.join(COLUMNS)}, as "
            "`channelwise plan` writes them"
        ) from error


def moves(board: Board, decision: Decision, last: LastPlan) -> Moves:
    """Flows between channels, and the first reason that holds for each who is in both plans and moved."""
    k = len(board.channels)
    was = np.where(last.known, np.where(last.channel < 0, k, last.channel), k + 1)
    now = np.where(decision.action < 0, k, decision.action)
    counts = np.zeros((k + 2, k + 1), dtype=np.int64)
    np.add.at(counts, (was, now), 1)
    moved = np.flatnonzero(last.known & (last.channel != decision.action))
    reason = Counter(REASONS[code] for code in _why(board, decision, last, moved))
    return Moves(
        was=(*board.channels, NO_CONTACT, NOT_PLANNED),
        now=(*board.channels, NO_CONTACT),
        counts=tuple(tuple(int(count) for count in row) for row in counts),
        reasons=dict(sorted(reason.items(), key=lambda each: (-each[1], each[0]))),
        moved=len(moved),
        stayed=int(last.known.sum()) - len(moved),
        new=int((~last.known).sum()),
        gone=last.gone,
    )


def _why(board: Board, decision: Decision, last: LastPlan, rows: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """Code of the reason of each of `rows`, who moved."""
    old, new, role = last.channel[rows], decision.action[rows], decision.role[rows]
    gain = board.gain[rows]
    each = np.arange(len(rows))
    old_gain = np.where(old >= 0, gain[each, np.maximum(old, 0)], 0.0)
    new_gain = np.where(new >= 0, gain[each, np.maximum(new, 0)], 0.0)
    holds = {
        HELD: role == HOLDOUT,
        EXPLORES: role == EXPLORE,
        CLOSED: (old >= 0) & (old_gain == -np.inf) | (role == INELIGIBLE),
        WAS_RANDOM: last.random[rows],
        OPENED: last.ineligible[rows],
        NOT_WORTH: (new < 0) & (old_gain <= 0),
        ROOM: old < 0,
        WORTH: new_gain >= old_gain,
    }
    return np.select(list(holds.values()), list(holds), default=LIMITS)
