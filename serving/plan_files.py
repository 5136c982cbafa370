"""Writes a plan, its propensities and its report: all of them or none; decides nothing."""

from collections.abc import Sequence
from dataclasses import dataclass
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
from serving.demand import NO_CHANNEL
from serving.exploration import EXPLORE, HOLDOUT, INELIGIBLE, ROLES, Decision
from serving.plan_report import PlanReport, excluded_reasons

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
REASONS = (BEST, NOT_WORTH, CROWDED_OUT, EXPLORED, NO_EXPLORATION, HELD_OUT)


class PageOf(Protocol):
    """Draws a report as one HTML page."""

    def __call__(self, report: PlanReport) -> str:
        """The page's text."""


@dataclass(frozen=True)
class PlanResult:
    """What a planning wrote, and its figures; `page` is None where none was asked for."""

    plan: Path
    propensities: Path
    report_file: Path
    page: Path | None
    report: PlanReport


def write_plan(
    out: Path, board: Board, decision: Decision, report: PlanReport, page_of: PageOf | None = None
) -> PlanResult:
    """Writes the files beside each other; a killed run or a full disk leaves the old ones whole.

    Raises:
        UsageError: `out` is neither .parquet nor .csv.
        StorageError: a file cannot be written.
    """
    if out.suffix not in SUFFIXES:
        raise UsageError(f"--out {out}: found the suffix '{out.suffix}'; expected {' or '.join(SUFFIXES)}")
    propensities, report_file = out.with_suffix(f".propensities{out.suffix}"), out.with_suffix(".json")
    pages = {out.with_suffix(".html"): page_of(report)} if page_of is not None else {}
    texts = {report_file: report.as_json(), **pages}
    with atomic_group([propensities, *texts, out]) as (new_propensities, *new_texts, new_plan):
        _write(propensity_table(board, decision), PROPENSITY_SCHEMA, new_propensities)
        _write_texts(new_texts, list(texts.values()))
        _write(plan_table(board, decision), PLAN_SCHEMA, new_plan)
    return PlanResult(out, propensities, report_file, next(iter(pages), None), report)


def _write_texts(paths: Sequence[Path], texts: Sequence[str]) -> None:
    for path, text in zip(paths, texts, strict=True):
        path.write_text(text, encoding="utf-8")


def plan_table(board: Board, decision: Decision) -> pa.Table:
    """One row per customer, by id."""
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


def propensity_table(board: Board, decision: Decision) -> pa.Table:
    """The whole vector of each customer: every action with a propensity above 0, no contact first."""
    rows, actions = np.nonzero(decision.propensity)
    stamp = _stamp(board, len(rows))
    columns = {
        "customer_id": pa.DictionaryArray.from_arrays(pa.array(rows, pa.int32()), board.ids),
        "campaign_id": stamp["campaign_id"],
        "channel": _coded(actions - 1, board.channels),
        "propensity": decision.propensity[rows, actions],
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
