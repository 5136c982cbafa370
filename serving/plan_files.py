"""Writes a plan, its propensities and its report: all of them or none; decides nothing."""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final, Protocol

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.csv as pa_csv
import pyarrow.parquet as pq

from contract.errors import UsageError
from contract.files import atomic_group
from serving.board import Board
from serving.outcome import CONTROL, ELSEWHERE, FURTHER, OUTBID, Decision, Outcome
from serving.plan_report import PlanReport, excluded_reasons
from serving.roles import EXPLORE, HOLDOUT, INELIGIBLE, ROLES
from serving.saved_prices import SavedPrices
from serving.sets import NO_CHANNEL

SUFFIXES = (".parquet", ".csv")

PLAN_SCHEMA: Final = pa.schema(
    [
        ("customer_id", pa.string()),
        ("channel", pa.string()),
        ("expected_value", pa.float64()),
        ("cost", pa.float64()),
        ("propensity", pa.float64()),
        ("role", pa.string()),
        ("reason", pa.string()),
        ("campaign_id", pa.string()),
        ("as_of", pa.timestamp("us", tz="UTC")),
        ("model_version", pa.string()),
    ]
)
"""Columns of the plan: one row per customer of the audience; channel is null where there is no contact."""

PROPENSITY_SCHEMA: Final = pa.schema(
    [
        ("customer_id", pa.string()),
        ("campaign_id", pa.string()),
        ("channel", pa.string()),
        ("propensity", pa.float64()),
    ]
)
"""Columns of the propensities: one row per customer and action that could have been taken; the others had 0."""

BEST, NOT_WORTH, CROWDED_OUT, EXPLORED, NO_EXPLORATION, HELD_OUT = (
    "best net worth under the limits",
    "no channel is worth its cost",
    "the limits are worth more elsewhere",
    "explores: channel drawn at random",
    "explores: no channel had room left",
    "held out: measures what contact brings",
)
CONTROL_GROUP, EXPLORES_ELSEWHERE, OTHER_CAMPAIGN, ONE_MORE = (
    "control group: no campaign contacts it",
    "explores in another campaign",
    "another campaign's contact is worth more",
    "a further contact, its gap after the one before",
)
NOTES = {CONTROL: CONTROL_GROUP, ELSEWHERE: EXPLORES_ELSEWHERE, OUTBID: OTHER_CAMPAIGN, FURTHER: ONE_MORE}
REASONS = (BEST, NOT_WORTH, CROWDED_OUT, EXPLORED, NO_EXPLORATION, HELD_OUT, *NOTES.values())


class PageOf(Protocol):
    """Draws the reports of a plan, one a campaign, as one HTML page."""

    def __call__(self, reports: Sequence[PlanReport]) -> str:
        """The page's text."""


@dataclass(frozen=True)
class PlanResult:
    """What a planning wrote, and its figures: of each campaign, `report` that of the first; `page` where asked for."""

    plan: Path
    propensities: Path
    report_file: Path
    prices: Path
    page: Path | None
    reports: tuple[PlanReport, ...]

    @property
    def report(self) -> PlanReport:
        """That of the first campaign."""
        return self.reports[0]


def write_plan(
    out: Path,
    outcomes: Sequence[Outcome],
    reports: tuple[PlanReport, ...],
    saved: SavedPrices,
    page_of: PageOf | None = None,
) -> PlanResult:
    """Writes the files beside each other; a killed run or a full disk leaves the old ones whole.

    Campaigns stand one after the other in plan and propensities; the report of several holds each of theirs.

    Raises:
        UsageError: `out` is neither .parquet nor .csv.
        StorageError: a file cannot be written.
    """
    if out.suffix not in SUFFIXES:
        raise UsageError(f"--out {out}: found the suffix '{out.suffix}'; expected {' or '.join(SUFFIXES)}")
    propensities, report_file = out.with_suffix(f".propensities{out.suffix}"), out.with_suffix(".json")
    prices = out.with_suffix(".prices.json")
    pages = {out.with_suffix(".html"): page_of(reports)} if page_of is not None else {}
    told = reports[0].as_json() if len(reports) == 1 else _all_reports(reports)
    texts = {report_file: told, prices: saved.as_json(), **pages}
    with atomic_group([propensities, *texts, out]) as (new_propensities, *new_texts, new_plan):
        tables = [propensity_table(each) for each in outcomes]
        _write(pa.concat_tables(tables, promote_options="none"), PROPENSITY_SCHEMA, new_propensities)
        _write_texts(new_texts, list(texts.values()))
        _write(pa.concat_tables([plan_table(each) for each in outcomes]), PLAN_SCHEMA, new_plan)
    return PlanResult(out, propensities, report_file, prices, next(iter(pages), None), reports)


def _write_texts(paths: Sequence[Path], texts: Sequence[str]) -> None:
    for path, text in zip(paths, texts, strict=True):
        path.write_text(text, encoding="utf-8")


def _all_reports(reports: tuple[PlanReport, ...]) -> str:
    """JSON of several campaigns: what all share, then each on its own."""
    each = [{name: value for name, value in asdict(report).items() if name != "joint"} for report in reports]
    content = {"format": reports[0].format, "joint": asdict(reports[0].joint), "campaigns": each}
    return json.dumps(content, indent=2, ensure_ascii=False, allow_nan=False) + "\n"


def plan_table(each: Outcome) -> pa.Table:
    """One row per customer, by id; one more for each further contact of it."""
    board, decision = each.board, each.decision
    n = len(board.ids)
    action = decision.action
    place = np.maximum(action, 0).astype(np.int64)
    contacted = action != NO_CHANNEL
    every = np.arange(n)
    columns = {
        "customer_id": board.ids,
        "channel": _coded(action, board.channels),
        "expected_value": np.where(contacted, board.expected_value[every, place], 0.0),
        "cost": np.where(contacted, board.cost[every, place], 0.0),
        "propensity": decision.propensity[every, action.astype(np.int64) + 1],
        "role": _coded(decision.role, ROLES),
        "reason": _reasons(board, decision),
    }
    return pa.table(columns | _stamp(board, n))


def propensity_table(each: Outcome) -> pa.Table:
    """The whole vector of each customer: every action with a propensity above 0, no contact first."""
    board, first = each.board, np.flatnonzero(each.first)
    propensity = each.decision.propensity[first]
    rows, actions = np.nonzero(propensity)
    stamp = _stamp(board, len(rows))
    columns = {
        "customer_id": pa.DictionaryArray.from_arrays(pa.array(first[rows], pa.int32()), board.ids),
        "campaign_id": stamp["campaign_id"],
        "channel": _coded(actions - 1, board.channels),
        "propensity": propensity[rows, actions],
    }
    return pa.table(columns)


def _reasons(board: Board, decision: Decision) -> pa.DictionaryArray:
    contacted = decision.action != NO_CHANNEL
    worthwhile = board.gain.max(axis=1, initial=-np.inf) > 0
    without = np.where(worthwhile, REASONS.index(CROWDED_OUT), REASONS.index(NOT_WORTH))
    code = np.where(contacted, REASONS.index(BEST), without)
    explores = decision.role == EXPLORE
    code[explores] = np.where(contacted[explores], REASONS.index(EXPLORED), REASONS.index(NO_EXPLORATION))
    code[decision.role == HOLDOUT] = REASONS.index(HELD_OUT)
    for note, text in NOTES.items():
        code[decision.note == note] = REASONS.index(text)
    excluded = np.flatnonzero(decision.role == INELIGIBLE)
    index, texts = excluded_reasons(board, excluded)
    code[excluded] = len(REASONS) + index
    return _coded(code, (*REASONS, *texts))


def _coded(codes: npt.NDArray[np.signedinteger], words: tuple[str, ...]) -> pa.DictionaryArray:
    """Words by index; a negative one is null."""
    return pa.DictionaryArray.from_arrays(pa.array(codes, pa.int32(), mask=codes < 0), pa.array(words, pa.string()))


def _stamp(board: Board, rows: int) -> dict[str, pa.Array]:
    kinds = {"campaign_id": pa.string(), "as_of": pa.timestamp("us", tz="UTC"), "model_version": pa.string()}
    values = {"campaign_id": board.campaign_id, "as_of": board.as_of, "model_version": board.model_version}
    return {name: pa.repeat(pa.scalar(values[name], kind), rows) for name, kind in kinds.items()}


def _write(table: pa.Table, schema: pa.Schema, path: Path) -> None:
    if path.suffix == ".csv":
        pa_csv.write_csv(table.cast(schema), path)
    else:
        # Words stay a dictionary until they are written, and are plain text to every reader.
        pq.write_table(table, path, compression="zstd", store_schema=False)
