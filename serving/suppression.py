"""Reads the declared suppression lists into one table; a list that cannot be read whole stops the job."""

# ruff: noqa: S608  names of the data pass quoted(), its values literal(); the rest is ours

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

import duckdb

from contract.contact_rules import Suppression
from contract.errors import DataError
from contract.params import Params, Table
from contract.reading import read_columns
from contract.rules import listed
from contract.sources import FaultyTableError, source_at
from contract.tables import Column, Schema

SUPPRESSED: Final = "suppressed_customers"
"""Temporary table (list INTEGER, customer_id VARCHAR, number INTEGER): number of the outbound channel, -1 for all."""

_SCHEMA: Final = Schema("suppression", (Column("customer_id", required=True, nullable=False), Column("channel")))


def read_lists(connection: duckdb.DuckDBPyConnection, params: Params) -> None:
    """Makes `SUPPRESSED` of the lists under eligibility.suppression, in their order.

    Raises:
        DataError: with every fault of every list.
    """
    connection.execute(f"CREATE OR REPLACE TEMP TABLE {SUPPRESSED} (list INTEGER, customer_id VARCHAR, number INTEGER)")
    faults = []
    for place, (name, each) in enumerate(params.eligibility.suppression.items()):
        try:
            faults += [f"{name}: {fault}" for fault in _read(connection, place, each, params)]
        except FaultyTableError as faulty:
            faults += [f"{name}: {fault.text()}" for fault in faulty.faults]
        except duckdb.Error as error:
            faults.append(f"{name}: {each.file} cannot be read ({str(error).splitlines()[0]}); write it anew")
    if faults:
        raise DataError("\n".join(f"eligibility.suppression.{fault}" for fault in faults))


def _read(connection: duckdb.DuckDBPyConnection, place: int, declared: Suppression, params: Params) -> Iterator[str]:
    path = Path(declared.file)
    if not path.exists():
        yield f"{path} is not there; correct file, which is sought from the working directory, or remove the list"
        return
    settings = Table(rename=declared.rename, values=declared.values)
    source = source_at(connection, path, _SCHEMA, settings, shown_from=Path.cwd())
    reading = read_columns(_SCHEMA, source, settings, {})
    if reading.faults:
        raise FaultyTableError(*reading.faults)
    rows = f"(SELECT customer_id, channel FROM ({reading.select(source)}))"
    ((nameless, foreign, example),) = connection.execute(
        f"SELECT countif(customer_id IS NULL), countif(channel NOT IN ({listed(params.channels)})), "
        f"min(CASE WHEN channel NOT IN ({listed(params.channels)}) THEN channel END) FROM {rows}"
    ).fetchall()
    if nameless:
        yield f"{nameless:,} rows of {path} have no customer_id; fill them, so that nobody is contacted by mistake"
    if foreign:
        yield f"{foreign:,} rows of {path} hold channels such as '{example}'; map them to {', '.join(params.channels)}"
    connection.execute(f"INSERT INTO {SUPPRESSED} {_numbered(rows, place, params.outbound)}")


def _numbered(rows: str, place: int, outbound: Sequence[str]) -> str:
    number = f"list_position([{listed(outbound)}], channel) - 1"
    return (
        f"SELECT DISTINCT {place}, customer_id, CASE WHEN channel IS NULL THEN -1 ELSE {number} END AS number "
        f"FROM {rows} WHERE customer_id IS NOT NULL AND (channel IS NULL OR channel IN ({listed(outbound)}))"
    )
