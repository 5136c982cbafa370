"""Adds to a plan from when each of its contacts may go out, and how often each rule refused; plans nothing."""

# ruff: noqa: S608  the only text put into queries is a path

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Final

import duckdb
import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.csv as pa_csv
import pyarrow.parquet as pq

from contract.errors import DataError
from contract.files import atomic_file
from contract.sources import literal
from serving.board import Board
from serving.eligibility_files import MOMENT, Beside, Refusals, read_refusals
from serving.outcome import Outcome
from serving.planned import moments_beside
from serving.sets import NO_CHANNEL

MOMENTS_SCHEMA: Final = pa.schema(
    [("customer_id", pa.string()), ("channel", pa.string()), ("earliest_at", MOMENT), ("campaign_id", pa.string())]
)
"""Columns of a plan's moments: one row per contact; null where the scores say nothing of it."""

HOUR_US: Final = 3_600_000_000


def refusals_of(scores: Path, board: Board) -> Refusals | None:
    """What the rules refused in the scoring that wrote `scores`; None where it wrote nothing beside them.

    Raises:
        DataError: what lies beside the scores is damaged, or of another scoring.
    """
    found = read_refusals(scores)
    if found is None:
        return None
    as_of = None if found.as_of is None else datetime.fromisoformat(found.as_of)
    theirs, ours = (found.campaign_id, as_of, found.customers), (board.campaign_id, board.as_of, len(board.ids))
    if theirs != ours:
        told = [
            f"campaign {name} as of {moment}, {customers:,} customers" for name, moment, customers in (theirs, ours)
        ]
        raise DataError(
            f"{Beside.of(scores).refusals}: is of another scoring ({told[0]}; the scores: {told[1]}); "
            "run `channelwise score` again"
        )
    return found


@dataclass(frozen=True)
class Scored:
    """A campaign's scores file, what lies beside it, and what was decided for its customers."""

    scores: Path
    refusals: Refusals | None
    outcome: Outcome


@contextmanager
def moments_beside_plan(out: Path, campaigns: Sequence[Scored], gap_hours: float) -> Iterator[None]:
    """Writes `NAME.moments.SUFFIX` beside the plan `out`, which is written within the block; both or none appear.

    A further contact of a customer goes out `gap_hours` after the one before, or later where its channel waits longer.

    Raises:
        DataError: the eligibility beside the scores refuses what the plan contacts.
    """
    table = pa.concat_tables([_moments(each, gap_hours).cast(MOMENTS_SCHEMA) for each in campaigns])
    with atomic_file(moments_beside(out)) as target:
        if out.suffix == ".csv":
            pa_csv.write_csv(table, target)
        else:
            pq.write_table(table, target, compression="zstd")
        yield


def _moments(each: Scored, gap_hours: float) -> pa.Table:
    board, action, refusals = each.outcome.board, each.outcome.decision.action, each.refusals
    contacted = np.flatnonzero(action != NO_CHANNEL)
    channels = pa.DictionaryArray.from_arrays(
        pa.array(action[contacted], pa.int32()), pa.array(board.channels, pa.string())
    ).cast(pa.string())
    contacts = pa.table({"customer_id": board.ids.take(pa.array(contacted)), "channel": channels})
    further = ~each.outcome.first[contacted]
    if refusals is not None and refusals.waiting:
        table = _looked_up(contacts, Beside.of(each.scores).rows)
    else:
        at_once = board.as_of if refusals is not None or further.any() else None
        table = contacts.append_column("earliest_at", pa.repeat(pa.scalar(at_once, MOMENT), len(contacted)))
    if further.any():
        moments = table["earliest_at"].cast(pa.int64()).to_numpy().copy()
        _space_out(moments, further, round(gap_hours * HOUR_US))
        table = table.set_column(2, "earliest_at", pa.array(moments, pa.int64()).cast(MOMENT))
    return table.append_column("campaign_id", pa.repeat(pa.scalar(board.campaign_id, pa.string()), len(table)))


def _space_out(moments: npt.NDArray[np.int64], further: npt.NDArray[np.bool_], gap_us: int) -> None:
    """Moves each further contact to the gap after the one before it, which stands before it; a few rounds at most."""
    rows = np.flatnonzero(further)
    while True:
        least = moments[rows - 1] + gap_us
        late = moments[rows] < least
        if not late.any():
            return
        moments[rows[late]] = least[late]


def _looked_up(contacts: pa.Table, rows: Path) -> pa.Table:
    if not rows.exists():
        raise DataError(f"{rows}: is not there, and some contacts have to wait; run `channelwise score` again")
    types = "{'customer_id': 'VARCHAR', 'channel': 'VARCHAR', 'earliest_at': 'TIMESTAMPTZ'}"
    source = (
        f"read_csv({literal(str(rows))}, header = true, delim = ',', types = {types})"
        if rows.suffix.lower() == ".csv"
        else f"read_parquet({literal(str(rows))})"
    )
    with duckdb.connect() as connection:
        connection.execute("SET TimeZone = 'UTC'")
        connection.register("contacts", contacts.append_column("place", pa.array(np.arange(len(contacts)))))
        found: pa.Table = connection.sql(
            f"SELECT customer_id, channel, earliest_at FROM contacts LEFT JOIN {source} USING (customer_id, channel) "
            "ORDER BY place"
        ).to_arrow_table()
    lacking = found["earliest_at"].null_count
    if lacking:
        raise DataError(f"{rows}: {lacking:,} contacts of the plan are not open there; run `channelwise score` again")
    return found
