"""Records what a plan decided beside the input tables, where the next training finds it; decides nothing.

A file holds a campaign's decisions of one moment, as rows of the table `decided`; the same campaign planned again for
the same moment takes its place. Who could not have been contacted was not decided about.
"""

# ruff: noqa: S608  names of ours; paths pass literal()

from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from urllib.parse import quote

import duckdb

from contract.errors import UsageError
from contract.files import atomic_group
from contract.params import Params
from contract.sources import literal
from contract.tables import DECIDED, SCHEMAS
from serving.planned import plan_rows
from serving.roles import INELIGIBLE, ROLES

ROUND_OFF: Final = 1e-6
"""Of a sum of probabilities that were written as text."""

_PLAN: Final = {
    "customer_id": "VARCHAR",
    "channel": "VARCHAR",
    "propensity": "DOUBLE",
    "role": "VARCHAR",
    "campaign_id": "VARCHAR",
    "as_of": "TIMESTAMPTZ",
    "model_version": "VARCHAR",
}
_VECTOR: Final = {name: _PLAN[name] for name in ("customer_id", "campaign_id", "channel", "propensity")}


@dataclass(frozen=True)
class Recorded:
    """What was recorded: files, contacts, and decisions not to contact."""

    files: tuple[Path, ...]
    contacts: int
    withheld: int


def require_recordable(place: Path, params: Params) -> None:
    """Refuses a place in which a training would not find what is recorded.

    Raises:
        UsageError: it is no folder, or its table `decided` lies elsewhere.
    """
    if not place.is_dir():
        raise UsageError(
            f"--record {place}: is no folder; give the folder of the tables, or a server's store; with a database, "
            f"record in a folder of its own and load its {DECIDED}/*.parquet into a table {DECIDED} there"
        )
    elsewhere = [path for path in place.glob(f"{DECIDED}.*") if path.is_file()]
    named = params.tables.decided.path
    if elsewhere or named not in (None, DECIDED):
        found = elsewhere[0].name if elsewhere else f"tables.{DECIDED}.path: {named}"
        raise UsageError(
            f"--record {place}: found {found}; expected the table {DECIDED} as the folder {place / DECIDED}, to which "
            "each plan adds a file; move what is there into that folder"
        )


def record_plan(plan: Path, propensities: Path, place: Path) -> Recorded:
    """Records a plan that is to be carried out.

    Where several campaigns were planned together, a customer whom none of them contacts counts once, with the
    probability of that.

    Args:
        plan: as `channelwise plan` wrote it.
        propensities: as it wrote them beside the plan.
        place: the folder of the input tables, or a server's store.

    Raises:
        StorageError: the folder cannot be written; what was recorded before is whole.
    """
    with duckdb.connect() as connection:
        connection.execute("SET TimeZone = 'UTC'")
        connection.execute(f"CREATE TABLE decisions AS {_decisions(plan, propensities)}")
        parts = connection.sql("""
            SELECT campaign_id, epoch_us(decided_at), strftime(decided_at, '%Y%m%dT%H%M%S%f'), count(channel), count(*)
            FROM decisions GROUP BY ALL ORDER BY ALL""").fetchall()
        files = tuple(place / DECIDED / f"{quote(name, safe='')}@{text}.parquet" for name, _, text, _, _ in parts)
        with atomic_group(files) if files else nullcontext(()) as temporaries:
            for (name, moment_us, *_), file in zip(parts, temporaries, strict=True):
                connection.execute(
                    f"""COPY (FROM decisions WHERE campaign_id = $1 AND epoch_us(decided_at) = $2
                        ORDER BY customer_id, channel) TO {literal(str(file))} (FORMAT parquet, COMPRESSION zstd)""",
                    [name, moment_us],
                )
    contacts, decisions = sum(part[3] for part in parts), sum(part[4] for part in parts)
    return Recorded(files, contacts, decisions - contacts)


def _decisions(plan: Path, propensities: Path) -> str:
    """SQL of the contacts, and of the customers left alone in all campaigns who could have been contacted in one."""
    # A sum of probabilities may exceed one by its rounding; what is unknown stays so.
    rounded = "CASE WHEN propensity > 1 THEN 1 ELSE propensity END AS propensity"
    columns = ", ".join(rounded if name == "propensity" else name for name in SCHEMAS[DECIDED].names)
    return f"""
        WITH planned AS (SELECT *, as_of AS decided_at FROM {plan_rows(plan, _PLAN)}),
        vector AS (
            SELECT customer_id, sum(propensity) AS total,
                coalesce(sum(propensity) FILTER (channel IS NOT NULL), 0) AS contact
            FROM {plan_rows(propensities, _VECTOR)} GROUP BY customer_id, campaign_id),
        left_alone AS (
            SELECT customer_id, count(*) AS campaigns,
                CASE WHEN max(abs(total - 1)) < {ROUND_OFF} THEN greatest(1 - sum(contact), {ROUND_OFF}) END AS chance
            FROM vector GROUP BY customer_id),
        withheld AS (
            SELECT planned.* REPLACE (CASE WHEN campaigns = 1 THEN propensity ELSE chance END AS propensity)
            FROM planned JOIN left_alone USING (customer_id)
            WHERE role <> '{ROLES[INELIGIBLE]}' AND customer_id NOT IN (
                SELECT customer_id FROM planned WHERE channel IS NOT NULL)
            QUALIFY row_number() OVER (PARTITION BY customer_id ORDER BY campaign_id) = 1)
        SELECT {columns} FROM planned WHERE channel IS NOT NULL UNION ALL SELECT {columns} FROM withheld"""
