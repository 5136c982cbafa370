"""The rows that a training was given, so that a model can be traced to them; keeps no row."""
# ruff: noqa: S608  names of the data pass quoted(); the rest is ours

import hashlib
import json
from collections.abc import Iterable
from dataclasses import dataclass

from contract.report import TableReport
from contract.sources import quoted
from features.engines import Source


@dataclass(frozen=True)
class TableUsed:
    """A table: source, where it lay; rows, those accepted; columns, name → DuckDB type; digest, of their content."""

    name: str
    source: str
    rows: int
    columns: dict[str, str]
    digest: str


def tables_used(intake: Source, tables: Iterable[TableReport]) -> tuple[TableUsed, ...]:
    """The accepted rows of every table that was found.

    The digest, 32 hexadecimal digits, is that of columns, number of rows and the sum of the rows' hashes: the order of
    rows does not move it, any value does. Rows hash alike in one version of DuckDB, which is part of the digest.
    """
    return tuple(_used(intake, each) for each in tables)


def _used(intake: Source, table: TableReport) -> TableUsed:
    name = quoted(table.table)
    described = intake.connection.execute(f"DESCRIBE {name}").fetchall()
    columns = {str(row[0]): str(row[1]) for row in described}
    counted = intake.connection.execute(
        f"SELECT count(*), coalesce(sum(hash(t)), 0)::VARCHAR, version() FROM {name} AS t"
    ).fetchall()
    rows, total, version = counted[0]
    content = json.dumps([columns, rows, total, version], sort_keys=True)
    digest = hashlib.blake2b(content.encode(), digest_size=16).hexdigest()
    return TableUsed(table.table, table.source, int(rows), columns, digest)
