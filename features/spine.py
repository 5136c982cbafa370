"""Rows to describe: the decisions of the past with what followed them, or customers and actions now; no features."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

import duckdb
import numpy as np
import numpy.typing as npt
import pyarrow as pa

from contract.kinds import HELD_OUT, SENT
from contract.opens import OpensFound
from contract.params import Params
from features.engines import CAMPAIGNS, NUMBERED, Source, Window, bounded, create_from_arrow, number_customers
from features.events import NO_ACTION, NO_CATEGORY, Codebook, Spine
from features.labels import horizon_us, label
from features.machine_opens import BY_PEOPLE, MACHINE_OPENS, find_machine_opens
from features.permission import UNPROFILED, permit
from features.timeline import Timeline

TRANSACTIONAL: Final = "transactional campaign"
NOT_OUTBOUND: Final = "channel is not outbound"
NOT_PROFILED: Final = "no consent to profiling"
TOO_OLD: Final = "older than the lookback"
NOT_OVER: Final = "horizon not over"
REASONS: Final = (TRANSACTIONAL, NOT_OUTBOUND, NOT_PROFILED, TOO_OLD, NOT_OVER)
"""Why a decision is left out; the first that holds is counted."""

NO_CAMPAIGN: Final = -1


@dataclass(frozen=True, eq=False)
class Decisions:
    """Every decision that teaches something, ascending by (customer, as_of, action), and its labels.

    All arrays have shape (n_rows,). propensity: float64, NaN where it was not logged; campaign: int32, index into
    `campaign_ids`, or -1; the labels as `features.labels.Labels` has them; left_out: decisions by reason; opens: what
    was found by machine, and is no answer.
    """

    spine: Spine
    propensity: npt.NDArray[np.float64]
    campaign: npt.NDArray[np.int32]
    response: npt.NDArray[np.int8]
    delay: npt.NDArray[np.float32]
    tied: npt.NDArray[np.bool_]
    margin_eur: npt.NDArray[np.float64]
    answer_channel: npt.NDArray[np.int16]
    own_step_channel: npt.NDArray[np.int16]
    campaign_ids: tuple[str, ...]
    left_out: dict[str, int]
    opens: tuple[OpensFound, ...] = ()

    def __len__(self) -> int:
        return len(self.spine)

    def within(self, window: Window) -> "Decisions":
        """Those made in the window, as `decision_spine` gives them for it alone; what was left out stays as it is."""
        as_of_us = self.spine.as_of_us
        rows = np.flatnonzero((as_of_us >= window.since_us) & (as_of_us < window.until_us))
        campaign = self.campaign[rows]
        used = np.unique(campaign[campaign != NO_CAMPAIGN])
        number = np.full(len(self.campaign_ids) + 1, NO_CAMPAIGN, np.int32)  # the last is that of no campaign
        number[used] = np.arange(len(used))
        return Decisions(
            spine=self.spine.rows(rows),
            propensity=self.propensity[rows],
            campaign=number[campaign],
            response=self.response[rows],
            delay=self.delay[rows],
            tied=self.tied[rows],
            margin_eur=self.margin_eur[rows],
            answer_channel=self.answer_channel[rows],
            own_step_channel=self.own_step_channel[rows],
            campaign_ids=tuple(self.campaign_ids[at] for at in used),
            left_out=self.left_out,
            opens=self.opens,
        )

    def over(self, last_us: int) -> "Decisions":
        """Those made at `last_us` at the latest; the horizon of the others, which are left out, is not over."""
        found = self.within(Window(int(np.iinfo(np.int64).min), last_us + 1))
        late = self.left_out[NOT_OVER] + len(self) - len(found)
        return replace(found, left_out={**self.left_out, NOT_OVER: late})


@bounded("decisions")
def decision_spine(intake: Source, timeline: Timeline, params: Params, *, only: Window | None = None) -> Decisions:
    """Every `sent` and `held_out` in the timeline's window, outside transactional campaigns, whose horizon is over.

    Args:
        intake: The same accepted rows from which the timeline was built.
        timeline: Numbers the customers; its window's end is the last moment that a horizon may reach.
        params: Outbound channels and the objective.
        only: The decisions of this window instead, whether or not their horizon is over: the labels of those whose
            horizon is not say what has followed so far.

    Raises:
        StorageError: Memory and spill do not suffice.
    """
    connection = intake.connection
    permit(connection, timeline.window.until_us)
    number_customers(connection, timeline.ids)
    _gather_sends(connection, timeline, params, only)
    left_out = dict.fromkeys(REASONS, 0)
    left_out.update(connection.execute("SELECT reason, count(*) FROM sends WHERE row IS NULL GROUP BY ALL").fetchall())
    campaigns = connection.execute(
        "SELECT DISTINCT campaign_id FROM sends WHERE row IS NOT NULL AND campaign_id IS NOT NULL ORDER BY 1"
    ).fetchall()
    campaign_ids = tuple(campaign_id for (campaign_id,) in campaigns)
    _create_numbered(connection, "campaign_numbers", "campaign_id", campaign_ids, first=0)
    kept = connection.sql(f"""
        SELECT number, time_us, action, category, propensity, coalesce(value, {NO_CAMPAIGN}) AS campaign
        FROM sends LEFT JOIN campaign_numbers USING (campaign_id)
        WHERE row IS NOT NULL ORDER BY row""").to_arrow_table()  # noqa: S608  an integer of ours
    spine = Spine(
        customer=_numbers(kept, "number", np.int64),
        as_of_us=_numbers(kept, "time_us", np.int64),
        action=_numbers(kept, "action", np.int16),
        category=_numbers(kept, "category", np.int16),
    )
    opens = find_machine_opens(connection, timeline.window, params)
    labels = label(connection, timeline, spine, params)
    connection.execute(f"DROP TABLE sends; DROP VIEW {BY_PEOPLE}; DROP TABLE {MACHINE_OPENS}")
    return Decisions(
        spine=spine,
        propensity=_numbers(kept, "propensity", np.float64),
        campaign=_numbers(kept, "campaign", np.int32),
        response=labels.response,
        delay=labels.delay,
        tied=labels.tied,
        margin_eur=labels.margin_eur,
        answer_channel=labels.answer_channel,
        own_step_channel=labels.own_step_channel,
        campaign_ids=campaign_ids,
        left_out=left_out,
        opens=opens,
    )


def _numbers(table: pa.Table, name: str, type_: type[Any]) -> npt.NDArray[Any]:
    values: npt.NDArray[Any] = table[name].to_numpy().astype(type_)
    return values


def _gather_sends(
    connection: duckdb.DuckDBPyConnection, timeline: Timeline, params: Params, only: Window | None
) -> None:
    """Make the table `sends` of all decisions, with `row`, the number in the spine, or `reason`, why it has none."""
    codebook, window = timeline.codebook, timeline.window
    since_us = window.since_us if only is None else max(window.since_us, only.since_us)
    last_us = window.until_us - horizon_us(params) if only is None else min(window.until_us, only.until_us) - 1
    _create_numbered(connection, "outbound_actions", "channel", codebook.outbound, first=NO_ACTION + 1)
    _create_numbered(connection, "category_numbers", "name", codebook.categories, first=0)
    connection.execute(f"""
        CREATE OR REPLACE TEMP TABLE sends AS
        WITH found AS (
            SELECT number, epoch_us(occurred_at) AS time_us, kind, channel, campaign_id, send_id, propensity,
                   transactional, unprofiled,
                   CASE WHEN kind = '{HELD_OUT}' THEN {NO_ACTION} ELSE outbound_actions.value END AS action,
                   coalesce(category_numbers.value, {NO_CATEGORY}) AS category
            FROM interactions JOIN {NUMBERED} USING (customer_id) LEFT JOIN {CAMPAIGNS} USING (campaign_id)
            LEFT JOIN outbound_actions USING (channel)
            LEFT JOIN category_numbers ON category_numbers.name = category
            LEFT JOIN (SELECT customer_id, true AS unprofiled FROM {UNPROFILED}) USING (customer_id)
            WHERE kind IN ('{SENT}', '{HELD_OUT}')),
        judged AS (
            SELECT *, CASE WHEN transactional THEN '{TRANSACTIONAL}' WHEN action IS NULL THEN '{NOT_OUTBOUND}'
                WHEN unprofiled THEN '{NOT_PROFILED}' WHEN time_us < {since_us} THEN '{TOO_OLD}'
                WHEN time_us > {last_us} THEN '{NOT_OVER}' END AS reason
            FROM found)
        SELECT *, CASE WHEN reason IS NULL THEN row_number() OVER (
                PARTITION BY reason IS NULL
                ORDER BY number, time_us, action, category, campaign_id, send_id, propensity) - 1 END AS row
        FROM judged""")  # noqa: S608  names and integers of ours


def _create_numbered(
    connection: duckdb.DuckDBPyConnection, table: str, column: str, names: Sequence[str], first: int
) -> None:
    values = pa.array(range(first, first + len(names)), pa.int32())
    create_from_arrow(connection, table, pa.table({column: pa.array(names, pa.string()), "value": values}))


def candidates(customers: npt.NDArray[np.int64], as_of_us: int, category: int, actions: Sequence[int]) -> Spine:
    """Each customer with each action at one as_of; a customer's rows lie side by side, in the order of `actions`.

    Args:
        customers: (n,) ascending numbers; -1 is a customer that is not known.
        as_of_us: The moment, microseconds since 1970 UTC.
        category: Of the campaign at hand, index into `Codebook.categories`, or `NO_CATEGORY`.
        actions: `NO_ACTION` or 1 + index of the outbound channel.
    """
    rows = len(customers) * len(actions)
    return Spine(
        customer=np.repeat(customers.astype(np.int64), len(actions)),
        as_of_us=np.full(rows, as_of_us, np.int64),
        action=np.tile(np.asarray(actions, np.int16), len(customers)),
        category=np.full(rows, category, np.int16),
    )


def batch_spine(customers: npt.NDArray[np.int64], as_of_us: int) -> Spine:
    """The customers (n,) ascending at one as_of, apart from any action or campaign."""
    return candidates(customers, as_of_us, NO_CATEGORY, [NO_ACTION])


def category_of(codebook: Codebook, name: str | None) -> int:
    """Number of a category, `NO_CATEGORY` where it is none or was never seen."""
    return codebook.categories.index(name) if name in codebook.categories else NO_CATEGORY
