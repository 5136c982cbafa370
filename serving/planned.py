"""Reads earlier plans, so that contacts planned but not yet sent count; decides nothing.

A planned contact is taken to go out at the earliest moment beside its plan (`NAME.moments.SUFFIX`), or at the plan's
as-of where there is none.
"""

# ruff: noqa: S608  the only text put into queries is a path and names of ours

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Final

import duckdb

from contract.errors import DataError, UsageError
from contract.params import Params
from contract.rules import listed
from contract.sources import literal

PLANNED: Final = "planned_contacts"
"""Temporary table (customer_id, number, campaign_id, moment_us, plan_us): number of the outbound channel."""

_PLAN: Final = {"customer_id": "VARCHAR", "channel": "VARCHAR", "campaign_id": "VARCHAR", "as_of": "TIMESTAMPTZ"}
_MOMENTS: Final = {
    "customer_id": "VARCHAR",
    "channel": "VARCHAR",
    "earliest_at": "TIMESTAMPTZ",
    "campaign_id": "VARCHAR",
}


def moments_beside(plan: Path) -> Path:
    """Where the moments of a plan lie: `NAME.moments.SUFFIX`."""
    return plan.with_name(f"{plan.stem}.moments{plan.suffix}")


def read_plans(connection: duckdb.DuckDBPyConnection, plans: Sequence[Path], params: Params) -> None:
    """Makes `PLANNED` of the contacts of all plans.

    Raises:
        UsageError: a plan is given twice.
        DataError: with every fault of every plan.
    """
    if len({plan.resolve() for plan in plans}) < len(plans):
        raise UsageError(f"--planned: {', '.join(map(str, plans))} name one plan twice; give each once")
    connection.execute(
        f"CREATE OR REPLACE TEMP TABLE {PLANNED} "
        "(customer_id VARCHAR, number INTEGER, campaign_id VARCHAR, moment_us BIGINT, plan_us BIGINT)"
    )
    faults = []
    for plan in plans:
        try:
            faults += [f"--planned {plan}: {fault}" for fault in _read(connection, plan, params)]
        except duckdb.Error as error:
            first = str(error).splitlines()[0]
            faults.append(
                f"--planned {plan}: cannot be read as a plan ({first}); write it again with `channelwise plan`"
            )
    if faults:
        raise DataError("\n".join(faults))


def _read(connection: duckdb.DuckDBPyConnection, plan: Path, params: Params) -> Iterator[str]:
    if not plan.exists():
        yield "is not there; `channelwise plan` writes it"
        return
    contacts = f"""(SELECT customer_id, channel, coalesce(campaign_id, '') AS campaign, as_of
        FROM {plan_rows(plan, _PLAN)} WHERE channel IS NOT NULL) AS contacts"""
    moments = moments_beside(plan)
    timed = moments.exists()
    if timed:
        contacts += f"""
            FULL JOIN (SELECT customer_id, channel, coalesce(campaign_id, '') AS campaign, earliest_at, true AS timed
                FROM {plan_rows(moments, _MOMENTS)}) AS moments USING (customer_id, channel, campaign)"""
    moment = "coalesce(earliest_at, as_of)" if timed else "as_of"
    connection.execute(f"""
        CREATE OR REPLACE TEMP TABLE reading_plan AS
        SELECT customer_id, channel, list_position([{listed(params.outbound)}], channel) - 1 AS number,
            nullif(campaign, '') AS campaign_id, epoch_us({moment}) AS moment_us, epoch_us(as_of) AS plan_us,
            {"timed" if timed else "true"} AS timed
        FROM {contacts}""")
    rows = "SELECT count(*), min(concat_ws(' × ', customer_id, channel)) FROM reading_plan WHERE"
    rules = {
        "a customer_id is missing": "customer_id IS NULL",
        f"the channel is none of {', '.join(params.outbound)}": "coalesce(number, -1) < 0",
        f"do not fit {moments.name}; plan again, which writes both": "plan_us IS NULL OR timed IS NULL",
    }
    for text, broken in rules.items():
        ((count, example),) = connection.execute(f"{rows} {broken}").fetchall()
        if count:
            yield f"{count:,} contacts, e.g. {example}: {text}"
    connection.execute(
        f"INSERT INTO {PLANNED} SELECT customer_id, number, campaign_id, moment_us, plan_us FROM reading_plan"
    )
    connection.execute("DROP TABLE reading_plan")


def plan_rows(path: Path, columns: Mapping[str, str]) -> str:
    """SQL of the rows of a file of a plan, Parquet or CSV, `columns` with their DuckDB types."""
    if path.suffix.lower() != ".csv":
        return f"read_parquet({literal(str(path))})"
    types = ", ".join(f"{literal(name)}: {literal(kind)}" for name, kind in columns.items())
    return f"read_csv({literal(str(path))}, header = true, delim = ',', types = {{{types}}})"
