"""What followed a decision within the horizon `[as_of, as_of + horizon)`; looks at nothing before it.

What the customer did is read from the timeline by two pointers, linear in events and rows. Which send an answer
belongs to is found by DuckDB, since send and campaign ids are not in the timeline. Opens by machine are no answers.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import duckdb
import numpy as np
import numpy.typing as npt
from numba import njit

from contract.kinds import SENT, Role
from contract.params import Params
from features.engines import CENTS, NUMBERED, Window
from features.events import US_PER_DAY, Spine
from features.machine_opens import BY_PEOPLE, MachineOpens, customers_habits, seconds_of
from features.timeline import Timeline

NONE: Final = -1
NEVER_US: Final = np.int64(-1)
BLOCK_EVENTS: Final = 1_000_000
_CENTS_PER_EUR: Final = 100


@dataclass(frozen=True)
class Labels:
    """What followed each row of a spine, all of shape (n_rows,).

    response: int8, 1 if the objective was met; delay: float32, after which share of the horizon the customer first met
    it, NaN where none did or responses count for the send; tied: bool, whether the step that met it first belongs to
    the row's own send; margin_eur: float64, what that was worth; answer_channel: int16, the outbound channel of the
    send if it was answered, else -1; own_step_channel: int16, the channel of the customer's next own step, as index
    into all channels, else -1.
    """

    response: npt.NDArray[np.int8]
    delay: npt.NDArray[np.float32]
    tied: npt.NDArray[np.bool_]
    margin_eur: npt.NDArray[np.float64]
    answer_channel: npt.NDArray[np.int16]
    own_step_channel: npt.NDArray[np.int16]


def horizon_us(params: Params) -> int:
    """The objective's horizon in microseconds."""
    return round(params.target.horizon_days * US_PER_DAY)


def label(connection: duckdb.DuckDBPyConnection, timeline: Timeline, spine: Spine, params: Params) -> Labels:
    """Labels of decisions whose horizon is over.

    With `counts: customer` every step of the objective's kinds by the customer counts, whoever gets the credit. With
    `counts: send` only those tied to the row's own send: then the response of a decision not to send is 0 by
    definition and not by observation, and a difference to it is no uplift.

    Args:
        connection: Has what `permit` and `find_machine_opens` make of an intake's views, the table `NUMBERED`, and the
            table `sends` of `features.spine`.
        timeline: Holds every event from the first decision to the end of the last horizon.
        spine: (n_rows,) decisions; row i is `row` i of the table `sends`.
        params: The objective.
    """
    habits = customers_habits(connection, timeline.codebook)
    machine_opens = MachineOpens.of(timeline.codebook, seconds_of(params), habits)
    did, did_cents, first_us, own_step = customer_outcomes(timeline, spine, params, machine_opens)
    tied = tied_outcomes(connection, timeline.window, params)
    answered = np.zeros(len(spine), bool)
    answered[tied.row] = tied.answered
    if params.target.counts == "send":
        did, did_cents = np.zeros(len(spine), np.int64), np.zeros(len(spine), np.int64)
        first_us = np.full(len(spine), NEVER_US)
        did[tied.row], did_cents[tied.row] = tied.steps, tied.cents
    first_tied = np.zeros(len(spine), bool)
    first_tied[tied.row] = tied.first_us == spine.as_of_us[tied.row] + first_us[tied.row]
    return Labels(
        response=(did > 0).astype(np.int8),
        delay=np.where(first_us == NEVER_US, np.nan, first_us / horizon_us(params)).astype(np.float32),
        tied=first_tied,
        margin_eur=_margin_eur(did, did_cents, params),
        answer_channel=np.where(answered, spine.action - 1, NONE).astype(np.int16),
        own_step_channel=own_step,
    )


def _margin_eur(steps: npt.NDArray[np.int64], cents: npt.NDArray[np.int64], params: Params) -> npt.NDArray[np.float64]:
    """Margin of all steps together; or, where a response has a fixed worth, that worth once."""
    rate, worth = params.target.margin_rate, params.target.worth_eur
    if rate is None:
        return np.where(steps > 0, worth or 0.0, 0.0)
    return cents / _CENTS_PER_EUR * rate


def customer_outcomes(
    timeline: Timeline, spine: Spine, params: Params, machine_opens: MachineOpens
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64], npt.NDArray[np.int64], npt.NDArray[np.int16]]:
    """Steps of the objective's kinds in the horizon, their cents, the time until the first of them in microseconds (or
    `NEVER_US`), and the channel of the next own step (or -1).
    """
    entries = timeline.codebook.entries
    own_kinds = params.kinds_of(Role.OWN_STEP)
    counted = np.array([entry.kind in params.target.kinds for entry in entries], bool)
    channel = np.array([_channel(entry.channel, timeline) if entry.kind in own_kinds else NONE for entry in entries])
    steps, cents = np.zeros(len(spine), np.int64), np.zeros(len(spine), np.int64)
    first_us, own_step = np.full(len(spine), NEVER_US), np.full(len(spine), NONE, np.int16)
    for block in timeline.blocks(BLOCK_EVENTS, spine.customer):
        events = machine_opens.without(block)
        first, end = events.first_customer, events.first_customer + len(events.offsets) - 1
        rows = slice(*np.searchsorted(spine.customer, [first, end]))
        history = (events.offsets, events.time_us, counted[events.code], channel.astype(np.int16)[events.code])
        asked = (spine.customer[rows] - first, spine.as_of_us[rows], horizon_us(params))
        _walk(history, events.cents, asked, (steps[rows], cents[rows], first_us[rows], own_step[rows]))
    return steps, cents, first_us, own_step


def _channel(name: str | None, timeline: Timeline) -> int:
    return NONE if name is None else timeline.codebook.channels.index(name)


@njit(cache=True, nogil=True)
def _walk(history, cents, asked, out):  # type: ignore[no-untyped-def]  # compiled by Numba
    """Pointers a customer: the horizon, its end, next step counted, next own step; rows ascend, so none goes back."""
    offsets, time_us, counted, own_channel = history
    customer, as_of_us, horizon = asked
    steps, sums, first_us, own_step = out
    begin = end = own = first = np.int64(0)
    n = total = np.int64(0)
    last = np.int64(-1)
    for row in range(len(customer)):
        if customer[row] != last:
            last = customer[row]
            begin = end = own = first = offsets[last]
            n = total = np.int64(0)
        stop = offsets[last + 1]
        while end < stop and time_us[end] < as_of_us[row] + horizon:
            n += counted[end]
            total += cents[end] * counted[end]
            end += 1
        while begin < end and time_us[begin] < as_of_us[row]:
            n -= counted[begin]
            total -= cents[begin] * counted[begin]
            begin += 1
        own = max(own, begin)
        while own < end and own_channel[own] < 0:
            own += 1
        first = max(first, begin)
        while first < end and not counted[first]:
            first += 1
        steps[row], sums[row] = n, total
        if first < end:
            first_us[row] = time_us[first] - as_of_us[row]
        own_step[row] = own_channel[own] if own < end else np.int16(-1)


@dataclass(frozen=True)
class TiedOutcomes:
    """What is tied to sends, for those rows (n,) of the spine that have any: int64, bool, int64, int64, int64.

    first_us: when the first counted step came, `NEVER_US` where none did.
    """

    row: npt.NDArray[np.int64]
    answered: npt.NDArray[np.bool_]
    steps: npt.NDArray[np.int64]
    cents: npt.NDArray[np.int64]
    first_us: npt.NDArray[np.int64]


def tied_outcomes(connection: duckdb.DuckDBPyConnection, window: Window, params: Params) -> TiedOutcomes:
    """Answers and own steps that belong to a send and lie in its horizon.

    A step belongs to the customer's latest send at or before it with the step's `send_id`; where there is none, to the
    latest at or before it of the same campaign and channel. So of two equal sends only the later is answered.
    """
    answers = params.kinds_of(Role.ANSWER, Role.OWN_STEP)
    is_answer, is_counted = _one_of("kind", answers), _one_of("kind", params.target.kinds)
    found = connection.sql(f"""
        WITH steps AS (
            SELECT number, epoch_us(occurred_at) AS time_us, kind, channel, campaign_id, send_id, {CENTS} AS cents
            FROM {BY_PEOPLE} JOIN {NUMBERED} USING (customer_id)
            WHERE {window.sql} AND ({is_answer} OR {is_counted}) AND (send_id IS NOT NULL OR campaign_id IS NOT NULL)),
        named AS (
            SELECT number, send_id, time_us, min(row) AS row FROM sends
            WHERE send_id IS NOT NULL AND kind = '{SENT}' GROUP BY ALL),
        alike AS (
            SELECT number, campaign_id, channel, time_us, min(row) AS row
            FROM sends WHERE campaign_id IS NOT NULL AND kind = '{SENT}' GROUP BY ALL),
        by_send AS (
            SELECT steps.*, named.time_us AS sent_us, named.row FROM steps ASOF LEFT JOIN named
            ON steps.number = named.number AND steps.send_id = named.send_id AND steps.time_us >= named.time_us),
        by_campaign AS (
            SELECT kind, cents, steps.time_us, alike.time_us AS sent_us, alike.row
            FROM (SELECT * FROM by_send WHERE sent_us IS NULL) AS steps ASOF JOIN alike
            ON steps.number = alike.number AND steps.campaign_id = alike.campaign_id
            AND steps.channel = alike.channel AND steps.time_us >= alike.time_us),
        tied AS (
            SELECT kind, cents, time_us, sent_us, row FROM by_send WHERE sent_us IS NOT NULL
            UNION ALL FROM by_campaign)
        SELECT row, bool_or({is_answer}) AS answered, count_if({is_counted}) AS steps,
               sum(CASE WHEN {is_counted} THEN cents ELSE 0 END) AS cents,
               coalesce(min(CASE WHEN {is_counted} THEN time_us END), {NEVER_US}) AS first_us
        FROM tied WHERE row IS NOT NULL AND time_us < sent_us + {horizon_us(params)}
        GROUP BY row ORDER BY row""").to_arrow_table()  # noqa: S608  kinds are declared names, quoted; the rest is ours
    columns = {name: found[name].to_numpy() for name in ("row", "answered", "steps", "cents", "first_us")}
    return TiedOutcomes(
        row=columns["row"].astype(np.int64),
        answered=columns["answered"].astype(bool),
        steps=columns["steps"].astype(np.int64),
        cents=columns["cents"].astype(np.int64),
        first_us=columns["first_us"].astype(np.int64),
    )


def _one_of(column: str, names: Sequence[str]) -> str:
    """SQL: whether the column is one of the names."""
    quoted = ", ".join("'" + name.replace("'", "''") + "'" for name in names)
    return f"{column} IN ({quoted})"
