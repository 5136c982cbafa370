"""How each delivered column becomes a column of the contract, as SQL expressions; executes nothing.

An expression never raises on a bad value: it yields null, and the text of the value stays beside it under `NAME?`, so
that the rules can count and show what could not be read.
"""

# ruff: noqa: S608  names of the data pass quoted(), its values literal(); the rest is ours

import difflib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from contract.params import Table
from contract.report import Fault, Severity
from contract.sources import Source, fatal, literal, quoted
from contract.tables import Column, Schema, Type

DELIVERED: Final = '"row as delivered"'
"""Column of the reading that holds the whole delivered row."""

_INTEGERS: Final = {
    "TINYINT", "SMALLINT", "INTEGER", "BIGINT", "HUGEINT", "UTINYINT", "USMALLINT", "UINTEGER", "UBIGINT", "UHUGEINT",
}  # fmt: skip
_FLOATS: Final = {"FLOAT", "DOUBLE"}
_NAIVE: Final = {"TIMESTAMP", "TIMESTAMP_S", "TIMESTAMP_MS", "TIMESTAMP_NS", "DATE"}
_ZONED: Final = {"TIMESTAMP WITH TIME ZONE", "TIMESTAMPTZ_NS"}
_LARGEST_WHOLE: Final = "1e18"


@dataclass(frozen=True)
class Reading:
    """A table's columns as SQL over its source `s`.

    columns: ours → expression; checked: those with a `NAME?` beside them; nans: those whose NaN is read as null;
    naive: time columns whose delivered type bears no zone; zones: text time columns that may bear one; further:
    column beyond the contract → type.
    """

    columns: Mapping[str, str]
    present: frozenset[str]
    checked: Mapping[str, str]
    nans: frozenset[str]
    naive: frozenset[str]
    further: Mapping[str, str]
    faults: tuple[Fault, ...] = field(default=())

    def select(self, source: Source) -> str:
        """The SELECT over the source that yields the contract's columns, the further ones and the delivered row."""
        parts = [f"{expression} AS {quoted(name)}" for name, expression in self.columns.items()]
        parts += [f"{expression} AS {quoted(name + '?')}" for name, expression in self.checked.items()]
        return f"SELECT {', '.join(parts)}, s AS {DELIVERED} FROM {source.relation} AS s"


def read_columns(schema: Schema, source: Source, settings: Table, further: Mapping[str, str]) -> Reading:
    """Expressions for every column of the contract, null for one that the source lacks.

    further: source column beyond the contract → type to read it as (its own, or what the text of a CSV turned out to
    be).
    """
    theirs = {ours: name for name, ours in settings.rename.items() if name in source.columns}
    delivered = {column.name: theirs.get(column.name, column.name) for column in schema.columns}
    present = {ours for ours, name in delivered.items() if name in _left(source, settings) or ours in theirs}
    columns, checked, naive = {}, {}, set()
    for column in schema.columns:
        if column.name not in present:
            columns[column.name] = f"CAST({column.default or 'NULL'} AS {column.type})"
            continue
        type_ = source.columns[delivered[column.name]]
        columns[column.name], raw = _expression(column, _field(delivered[column.name]), type_, settings)
        if raw:
            checked[column.name] = raw
        if column.type == Type.TIME and type_ in _NAIVE:
            naive.add(column.name)
    columns |= {_ours(settings, name): _further(_field(name), source, type_) for name, type_ in further.items()}
    return Reading(
        columns=columns,
        present=frozenset(present),
        checked=checked,
        nans=frozenset(name for name in checked if _is_float_number(schema, source, delivered, name)),
        naive=frozenset(naive),
        further={_ours(settings, name): type_ for name, type_ in further.items()},
        faults=tuple(_faults(schema, source, settings, present)),
    )


def further_columns(schema: Schema, source: Source, settings: Table) -> list[str]:
    """Source columns that are none of the contract's, in their order."""
    return [name for name in source.columns if schema.column(_ours(settings, name)) is None]


def guess_types(names: list[str], source: Source) -> str:
    """SQL that tells, for each text column, whether all its values are numbers, and whether all are times."""
    parts = []
    for name in names:
        text = f"nullif({quoted(name)}, '')"
        # A leading zero is a code (a postal code, a number on a card), not a number.
        number = f"TRY_CAST({text} AS DOUBLE) IS NULL OR regexp_matches({text}, '^[+-]?0[0-9]')"
        parts.append(f"count({text})")
        parts.append(f"coalesce(countif({text} IS NOT NULL AND ({number})), 0)")
        parts.append(f"coalesce(countif({text} IS NOT NULL AND TRY_CAST({text} AS TIMESTAMPTZ) IS NULL), 0)")
    return f"SELECT {', '.join(parts)} FROM {source.relation} AS s"


def _ours(settings: Table, name: str) -> str:
    return settings.rename.get(name, name)


def _left(source: Source, settings: Table) -> set[str]:
    """Source columns that keep their own name."""
    return {name for name in source.columns if name not in settings.rename}


def _field(name: str) -> str:
    return f"s.{quoted(name)}"


def _further(field_: str, source: Source, type_: str) -> str:
    if not source.text:
        return field_
    if type_ == Type.TIME:
        return _time(f"nullif({field_}, '')")
    return f"CAST(nullif({field_}, '') AS {type_})"


def _expression(column: Column, field_: str, type_: str, settings: Table) -> tuple[str, str | None]:
    """The expression of a column, and that of its text where a value may be unreadable."""
    mapped = settings.values.get(column.name)
    if mapped:
        field_, type_ = _mapped(_text(field_, type_), mapped), "VARCHAR"
    if column.type == Type.TEXT:
        return _defaulted(_text(field_, type_), column), None
    raw = f"nullif({field_}, '')" if type_ == "VARCHAR" else field_
    expression = {Type.TIME: _as_time, Type.NUMBER: _as_number, Type.FLAG: _as_flag}[column.type](field_, raw, type_)
    if expression is None:
        return f"CAST(NULL AS {column.type})", _text(field_, type_)
    return _defaulted(expression, column), raw if _may_fail(column, type_) else None


def _may_fail(column: Column, type_: str) -> bool:
    """Whether a value of the type may have none of the column's: text, NaN as a number, 2 as a flag."""
    if column.type == Type.NUMBER:
        return type_ == "VARCHAR" or type_ in _FLOATS
    return type_ == "VARCHAR" or (column.type == Type.FLAG and type_ != "BOOLEAN")


def _text(field_: str, type_: str) -> str:
    """Ids are text whatever their type; a whole number kept as a float (nulls do that) loses its '.0'."""
    if type_ in _FLOATS or type_.startswith("DECIMAL"):
        whole = f"{field_} = trunc({field_}) AND abs({field_}) < {_LARGEST_WHOLE}"
        text = f"CASE WHEN {whole} THEN CAST(CAST({field_} AS BIGINT) AS VARCHAR) ELSE CAST({field_} AS VARCHAR) END"
        return f"CASE WHEN isnan({field_}) THEN NULL ELSE {text} END" if type_ in _FLOATS else text
    return f"nullif(CAST({field_} AS VARCHAR), '')" if type_ not in _INTEGERS else f"CAST({field_} AS VARCHAR)"


def _mapped(text: str, values: Mapping[str, str]) -> str:
    cases = " ".join(f"WHEN {literal(theirs)} THEN {literal(ours)}" for theirs, ours in values.items())
    return f"CASE {text} {cases} ELSE {text} END"


def _defaulted(expression: str, column: Column) -> str:
    return f"coalesce({expression}, {column.default})" if column.default else expression


def _time(expression: str) -> str:
    """To UTC: the session's zone is UTC, so a naive time is UTC and one with a zone is converted."""
    zoned = f"TRY_CAST({expression} AS TIMESTAMPTZ)"
    return f"CASE WHEN isfinite({zoned}) THEN CAST({zoned} AS TIMESTAMP) END"


def _as_time(field_: str, raw: str, type_: str) -> str | None:
    if type_ == "VARCHAR":
        return _time(raw)
    if type_ in _NAIVE or type_ in _ZONED:
        # A zoned time of nanoseconds has no cast to a naive one of microseconds but through this.
        cast = f"TRY_CAST({f'TRY_CAST({field_} AS TIMESTAMPTZ)' if type_ in _ZONED else field_} AS TIMESTAMP)"
        return f"CASE WHEN isfinite({cast}) THEN {cast} END"
    return None


def _as_number(field_: str, raw: str, type_: str) -> str | None:
    if type_ == "VARCHAR":
        number = f"TRY_CAST({raw} AS DOUBLE)"
        return f"CASE WHEN NOT isnan({number}) THEN {number} END"
    if type_ in _FLOATS:
        return f"CASE WHEN NOT isnan({field_}) THEN CAST({field_} AS DOUBLE) END"
    if type_ in _INTEGERS or type_.startswith("DECIMAL"):
        return f"CAST({field_} AS DOUBLE)"
    return None


def _as_flag(field_: str, raw: str, type_: str) -> str | None:
    if type_ == "BOOLEAN":
        return field_
    if type_ == "VARCHAR":
        return f"TRY_CAST({raw} AS BOOLEAN)"
    if type_ in _INTEGERS or type_ in _FLOATS or type_.startswith("DECIMAL"):
        return f"CASE WHEN {field_} = 1 THEN true WHEN {field_} = 0 THEN false END"
    return None


def _is_float_number(schema: Schema, source: Source, delivered: Mapping[str, str], name: str) -> bool:
    column = schema.column(name)
    return column is not None and column.type == Type.NUMBER and source.columns[delivered[name]] in _FLOATS


def _faults(schema: Schema, source: Source, settings: Table, present: set[str]) -> list[Fault]:
    table, found = schema.name, f"the columns are {', '.join(source.columns)}"
    faults = [
        fatal(table, each.name, "missing_column", "it is missing", found, _renaming(table, each.name, source))
        for each in schema.columns if each.required and each.name not in present
    ]  # fmt: skip
    for theirs, ours in settings.rename.items():
        if theirs not in source.columns:
            faults.append(fatal(table, theirs, "rename", f"tables.{table}.rename names '{theirs}', which is not there",
                                found, "correct the name or remove the entry"))  # fmt: skip
        elif ours in source.columns and ours not in settings.rename:
            faults.append(fatal(table, ours, "rename", f"tables.{table}.rename makes '{theirs}' a second '{ours}'",
                                "expected one column of a name", f"rename the delivered '{ours}' too"))  # fmt: skip
        elif schema.column(ours) is None and not schema.keeps_further:
            faults.append(fatal(table, theirs, "rename", f"tables.{table}.rename makes it '{ours}'",
                                f"the columns are {', '.join(schema.names)}", "correct the name"))  # fmt: skip
    doubled = sorted({ours for ours in settings.rename.values() if list(settings.rename.values()).count(ours) > 1})
    faults += [fatal(table, ours, "rename", f"tables.{table}.rename gives the name '{ours}' twice",
                     "expected one column of a name", "remove one") for ours in doubled]  # fmt: skip
    faults += [fatal(table, name, "values", f"tables.{table}.values maps '{name}', which is not there",
                     f"columns are {', '.join(sorted(present))}", "correct the name (ours, after renaming)")
               for name in settings.values if name not in present]  # fmt: skip
    return faults


def _renaming(table: str, column: str, source: Source) -> str:
    near = difflib.get_close_matches(column, [name.lower() for name in source.columns], n=1, cutoff=0.7)
    theirs = next((name for name in source.columns if near and name.lower() == near[0]), "theirs")
    return f"add it, or name it under tables.{table}.rename: {{{theirs}: {column}}}"


def note(table: str, column: str | None, rule: str, found: str, remedy: str = "") -> Fault:
    """A note about a whole table or column."""
    return Fault(table, column, rule, Severity.NOTE, found, "", remedy)
