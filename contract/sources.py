"""Finds where an input table lies and says how to read it in SQL; reads no more of it than column names and types.

A table is one Parquet or CSV file, a folder of part files, or a table of a DuckDB file.
"""

# ruff: noqa: S608  names of the data pass quoted(), its values literal(); the rest is ours

import csv
import gzip
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Protocol

import duckdb

from contract.errors import UsageError
from contract.params import Table
from contract.report import Fault, Severity, plural
from contract.tables import Schema

PARQUET: Final = (".parquet",)
CSV: Final = (".csv", ".csv.gz")
DATABASE: Final = (".duckdb",)

_CATALOG: Final = "delivered"
_OTHER_SEPARATORS: Final = {";": "semicolons", "\t": "tabs", "|": "bars"}


@dataclass(frozen=True)
class Source:
    """A table as it was delivered.

    relation: SQL that stands after FROM; columns: its column names with DuckDB types, all VARCHAR where `text` (CSV).
    ours: whether its columns and words are the contract's already, and no parameter renames them.
    """

    location: str
    relation: str
    columns: Mapping[str, str]
    text: bool
    ours: bool = False


class Finder(Protocol):
    """What looks for a table where the data were delivered."""

    def __call__(self, schema: Schema, settings: Table) -> Source | None:
        """The table, or None where nothing of its name is there and no path was declared."""


class FaultyTableError(Exception):
    """A table that cannot be read; carries the faults. Never leaves the check."""

    def __init__(self, *faults: Fault) -> None:
        self.faults = faults
        super().__init__("; ".join(fault.text() for fault in faults))


def attach(connection: duckdb.DuckDBPyConnection, data: Path) -> bool:
    """Opens `data` on the connection where it is a DuckDB file; says whether it is one.

    Raises:
        UsageError: `data` is an address made a path, does not exist, or is some other file.
    """
    if str(data).startswith(("postgres:", "postgresql:")):
        raise UsageError("data: a PostgreSQL address was given as a path; give it as contract.delivery.place_of(URL)")
    if data.is_dir():
        return False
    if not data.exists():
        raise UsageError(f"{data}: does not exist; give the folder that holds the tables, or a .duckdb file")
    if not data.name.endswith(DATABASE):
        raise UsageError(f"{data}: is a file; give the folder that holds the tables, or a .duckdb file")
    try:
        connection.execute(f"ATTACH {literal(str(data))} AS {_CATALOG} (READ_ONLY)")
    except duckdb.Error as error:
        raise FaultyTableError(
            fatal(data.name, None, "unreadable", first_line(error), "expected a DuckDB file", "write it anew")
        ) from error
    return True


def find_source(
    connection: duckdb.DuckDBPyConnection, data: Path, schema: Schema, settings: Table, *, database: bool
) -> Source | None:
    """Where the table lies, or None where nothing of its name is there and no path was declared.

    Raises:
        FaultyTableError: it is there in two forms, or cannot be read.
    """
    if database:
        return _from_database(connection, schema, settings)
    place = _place(data, schema, settings)
    return None if place is None else source_at(connection, place, schema, settings, shown_from=data)


def source_at(
    connection: duckdb.DuckDBPyConnection, place: Path, schema: Schema, settings: Table, *, shown_from: Path
) -> Source:
    """The table in a file, or in a folder of part files.

    Raises:
        FaultyTableError: it cannot be read.
    """
    files = _parts(place) if place.is_dir() else [place]
    location = str(place.relative_to(shown_from)) if place.is_relative_to(shown_from) else str(place)
    parquet = [file for file in files if file.name.endswith(PARQUET)]
    text = [file for file in files if file.name.endswith(CSV)]
    if not parquet and not text:
        raise FaultyTableError(
            fatal(schema.name, None, "unreadable", f"{location} holds no file that can be read",
                  "expected .parquet, .csv or .csv.gz", "write the table in one of these forms")
        )  # fmt: skip
    if parquet and text:
        raise FaultyTableError(
            fatal(schema.name, None, "ambiguous", f"{location} holds both Parquet and CSV parts",
                  "expected one form", "leave only the parts that count")
        )  # fmt: skip
    location += f" ({plural(len(files), 'part')})" if place.is_dir() else ""
    if parquet:
        return _from_parquet(connection, schema.name, location, parquet, _in_path(place, parquet, schema, settings))
    return _from_csv(schema, settings, location, text)


def _place(data: Path, schema: Schema, settings: Table) -> Path | None:
    if settings.path is not None:
        place = data / settings.path
        if not place.exists():
            raise FaultyTableError(
                fatal(schema.name, None, "missing", f"tables.{schema.name}.path names {settings.path}, not there",
                      "", "correct the path; it is relative to the data directory")
            )  # fmt: skip
        return place
    candidates = [data / f"{schema.name}{suffix}" for suffix in ("", *PARQUET, *CSV)]
    found = [place for place in candidates if place.exists()]
    if len(found) > 1:
        raise FaultyTableError(
            fatal(schema.name, None, "ambiguous", f"found {' and '.join(place.name for place in found)}",
                  "expected one of them", f"remove one or name one under tables.{schema.name}.path")
        )  # fmt: skip
    return found[0] if found else None


def _parts(folder: Path) -> list[Path]:
    """Files of a folder at any depth, but for the hidden and underscored ones that Spark and editors leave."""
    return sorted(
        path
        for path in folder.rglob("*")
        if path.is_file()
        and path.name.endswith((*PARQUET, *CSV))
        and not any(part.startswith((".", "_")) for part in path.relative_to(folder).parts)
    )


def _from_database(connection: duckdb.DuckDBPyConnection, schema: Schema, settings: Table) -> Source | None:
    name = settings.path or schema.name
    found = connection.execute(
        "SELECT count(*) FROM duckdb_columns() WHERE database_name = ? AND schema_name = 'main' AND table_name = ?",
        [_CATALOG, name],
    ).fetchone()
    if not found or not found[0]:
        if settings.path is None:
            return None
        raise FaultyTableError(
            fatal(schema.name, None, "missing", f"tables.{schema.name}.path names '{name}', not there",
                  "", "correct the name")
        )  # fmt: skip
    relation = f"{_CATALOG}.main.{quoted(name)}"
    return Source(f"table {name}", relation, described(connection, schema.name, relation), text=False)


def _in_path(place: Path, files: Sequence[Path], schema: Schema, settings: Table) -> bool:
    """Whether folders such as `channel=email` hold a column of the contract; others only say how it was stored."""
    known = {*schema.names, *settings.rename}
    folders = {part for file in files for part in file.relative_to(place).parent.parts} if place.is_dir() else set()
    return any("=" in folder and folder.partition("=")[0] in known for folder in folders)


def _from_parquet(
    connection: duckdb.DuckDBPyConnection, table: str, location: str, files: Sequence[Path], in_path: bool
) -> Source:
    faults = []
    for file in files:
        try:
            connection.execute(f"DESCRIBE SELECT * FROM read_parquet({_pattern(file)})")
        except duckdb.Error as error:
            faults.append(unreadable(table, f"{file.name}: {first_line(error)}"))
    if faults:
        raise FaultyTableError(*faults)
    relation = f"read_parquet([{', '.join(map(_pattern, files))}], union_by_name = true, hive_partitioning = {in_path})"
    return Source(location, relation, described(connection, table, relation), text=False)


def _from_csv(schema: Schema, settings: Table, location: str, files: Sequence[Path]) -> Source:
    """Parts with the same header are read together, so that a part may order its columns as it likes."""
    groups: dict[tuple[str, ...], list[Path]] = {}
    for file in files:
        groups.setdefault(_header(file, schema, settings), []).append(file)
    relations = []
    for header, parts in groups.items():
        columns = ", ".join(f"{literal(name)}: 'VARCHAR'" for name in header)
        relations.append(
            f"SELECT * FROM read_csv([{', '.join(map(_pattern, parts))}], auto_detect = false, header = true, "
            f"delim = ',', quote = '\"', escape = '\"', columns = {{{columns}}})"
        )
    names = {name: "VARCHAR" for header in groups for name in header}
    return Source(location, f"({' UNION ALL BY NAME '.join(relations)})", names, text=True)


def _header(file: Path, schema: Schema, settings: Table) -> tuple[str, ...]:
    opened = gzip.open if file.name.endswith(".gz") else open
    try:
        with opened(file, "rt", encoding="utf-8-sig", newline="") as lines:
            line = lines.readline().rstrip("\r\n")
    except UnicodeDecodeError as error:
        raise FaultyTableError(unreadable(schema.name, f"{file.name} is not UTF-8", "save it as UTF-8")) from error
    except (OSError, EOFError) as error:
        raise FaultyTableError(unreadable(schema.name, f"{file.name}: {error}")) from error
    names = _split(line, ",")
    if not any(names):
        raise FaultyTableError(unreadable(schema.name, f"{file.name} is empty", "its first line must name the columns"))
    _refuse_other_separator(line, file, schema, settings)
    repeated = sorted({name for name in names if names.count(name) > 1 or not name})
    if repeated:
        raise FaultyTableError(
            fatal(schema.name, repeated[0] or None, "unreadable",
                  f"the header of {file.name} names {plural(len(repeated), 'column')} twice or not at all: "
                  f"{', '.join(repr(name) for name in repeated)}", "expected each column once", "rename them")
        )  # fmt: skip
    return names


def _refuse_other_separator(line: str, file: Path, schema: Schema, settings: Table) -> None:
    known = {*schema.names, *settings.rename}
    as_commas = len(known & set(_split(line, ",")))
    for separator, words in _OTHER_SEPARATORS.items():
        if len(known & set(_split(line, separator))) > as_commas:
            raise FaultyTableError(
                fatal(schema.name, None, "separator", f"{file.name} looks separated by {words} ('{separator}')",
                      "expected commas", "write it with commas, or as Parquet")
            )  # fmt: skip


def _split(line: str, separator: str) -> tuple[str, ...]:
    return tuple(next(csv.reader([line], delimiter=separator), []))


def described(connection: duckdb.DuckDBPyConnection, table: str, relation: str) -> dict[str, str]:
    """Names and DuckDB types of a relation's columns.

    Raises:
        FaultyTableError: it cannot be read.
    """
    try:
        rows = connection.execute(f"DESCRIBE SELECT * FROM {relation}").fetchall()
    except duckdb.Error as error:
        raise FaultyTableError(unreadable(table, first_line(error))) from error
    return {str(row[0]): str(row[1]) for row in rows}


def fatal(table: str, column: str | None, rule: str, found: str, expected: str, remedy: str) -> Fault:
    """A fatal fault of a whole table or column."""
    return Fault(table, column, rule, Severity.FATAL, found, expected, remedy)


def unreadable(table: str, found: str, remedy: str = "it may be cut short or damaged: write it anew") -> Fault:
    """The fault of a file that cannot be read."""
    return fatal(table, None, "unreadable", found, "expected a whole Parquet or UTF-8 CSV file", remedy)


def first_line(error: Exception) -> str:
    """What a DuckDB error says, without its advice about DuckDB's own options."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    kept = [line for line in lines[:3] if not line.startswith(("Possible", "*", "LINE", "Original Line", "^"))]
    return " ".join(kept).removeprefix("Invalid Input Error: ").removeprefix("IO Error: ")


def quoted(name: str) -> str:
    """A name as an SQL identifier.

    >>> quoted("order")
    '"order"'
    """
    return '"' + name.replace('"', '""') + '"'


def literal(text: str) -> str:
    """A text as an SQL literal.

    >>> literal("it's")
    "'it''s'"
    """
    return "'" + text.replace("'", "''") + "'"


def _pattern(file: Path) -> str:
    """The path as a literal that DuckDB does not take for a glob pattern."""
    return literal("".join(f"[{letter}]" if letter in "*?[" else letter for letter in str(file)))
