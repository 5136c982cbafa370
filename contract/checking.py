"""Checks one table against its rules and leaves a view of its accepted rows; decides nothing about other tables.

One scan counts every rule. Further scans happen only where something is wrong: to show values, to find which rows are
copies, and to write the quarantine.
"""

# ruff: noqa: S608  names of the data pass quoted(), its values literal(); the rest is ours

from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Any

import duckdb

from contract.files import atomic_file
from contract.params import Params, Table
from contract.reading import DELIVERED, Reading, further_columns, guess_types, note, read_columns
from contract.remarks import opens_remarks, remarks
from contract.report import Fault, Severity, TableReport, Value, plural, shown
from contract.rules import Moments, Rule, declared, mapping_remedy, rules_of, suggestion
from contract.sources import Source, fatal, literal, quoted
from contract.tables import INTERACTIONS, Schema, Type

_HAS_ZONE = r"[0-9]:[0-9]{2}(:[0-9.]+)?\s*(Z|z|[+-][0-9]{2}.*|[A-Za-z].*)$"


@dataclass(frozen=True)
class Bench:
    """What a check works with. known: id columns whose values are known; quarantine: folder for rows set aside."""

    connection: duckdb.DuckDBPyConnection
    params: Params
    moments: Moments
    known: frozenset[str]
    quarantine: Path | None

    def one(self, query: str) -> tuple[Any, ...]:
        """The only row of a query."""
        row = self.connection.execute(query).fetchone()
        return row if row is not None else ()


@dataclass(frozen=True)
class Outcome:
    """What the check of a table found. end: latest accepted occurred_at (naive UTC); naive: columns without a zone."""

    report: TableReport
    faults: tuple[Fault, ...]
    end: datetime | None = None
    naive: tuple[str, ...] = ()


@dataclass(frozen=True)
class _Counts:
    """Figures of the one scan; `broken` pairs with the rules."""

    rows: int
    broken: tuple[int, ...]
    bad: int
    bad_in_share: int
    end: datetime | None
    filled: dict[str, int]
    zoned: dict[str, int]

    @property
    def zones(self) -> dict[str, tuple[int, int]]:
        return {name: (zoned, self.filled[name]) for name, zoned in self.zoned.items()}


@dataclass(frozen=True)
class _Copies:
    """Rows beyond the first of their key: exact copies, and those with other content; `rows` of all candidates."""

    exact: int = 0
    conflicting: int = 0

    @property
    def rows(self) -> int:
        return self.exact + self.conflicting


def check_table(bench: Bench, schema: Schema, source: Source, settings: Table) -> Outcome:
    """Checks the table and makes the view `NAME` of its accepted rows.

    Raises:
        duckdb.Error: the source cannot be read to its end.
        StorageError: the quarantine cannot be written.
    """
    reading = read_columns(schema, source, settings, _further(bench, schema, source, settings))
    bench.connection.execute(f"CREATE VIEW {_read(schema)} AS {reading.select(source)}")
    rules = rules_of(schema, reading, bench.params, bench.moments, bench.known)
    counts = _count(bench, schema, reading, rules)
    broken = [rule for rule, count in zip(rules, counts.broken, strict=True) if count]
    quarantining = [rule for rule in broken if rule.severity == Severity.QUARANTINED]
    whole = not any(fault.severity == Severity.FATAL for fault in reading.faults)
    copies = _find_copies(bench, schema, reading, quarantining) if whole else _Copies()
    _accept(bench, schema, reading, quarantining, copies)
    set_aside = counts.bad + copies.rows
    report = TableReport(schema.name, source.location, counts.rows, counts.rows - set_aside, set_aside)
    faults = [
        *reading.faults,
        *_emptiness(schema, counts),
        *(_fault(bench, schema, rule, counts, count)
          for rule, count in zip(rules, counts.broken, strict=True) if count),
        *_copy_faults(bench, schema, copies),
        *_share(bench.params, schema, counts, copies),
        *remarks(bench.connection, schema, reading, bench.params, counts.zones),
        *(opens_remarks(bench.connection, bench.params) if whole and schema.name == INTERACTIONS else []),
    ]  # fmt: skip
    report = replace(report, quarantine_file=_write_quarantine(bench, schema, quarantining, copies, set_aside))
    naive = [name for name in reading.columns if name in reading.naive or _is_naive_text(counts, name)]
    return Outcome(report, tuple(faults), counts.end, tuple(naive))


def _read(schema: Schema) -> str:
    return f"intake.read_{schema.name}"


def _copies_table(schema: Schema) -> str:
    return f"intake.copies_{schema.name}"


def _further(bench: Bench, schema: Schema, source: Source, settings: Table) -> dict[str, str]:
    """Columns beyond the contract with the type to read them as."""
    names = further_columns(schema, source, settings)
    types = {name: source.columns[name] for name in names}
    if not (source.text and schema.keeps_further and names):
        return types
    figures = bench.one(guess_types(names, source))
    for i, name in enumerate(names):
        filled, no_number, no_time = figures[3 * i : 3 * i + 3]
        if filled and not no_number:
            types[name] = Type.NUMBER
        elif filled and not no_time:
            types[name] = Type.TIME
    return types


def _count(bench: Bench, schema: Schema, reading: Reading, rules: list[Rule]) -> _Counts:
    """All figures in one scan. `countif` because FILTER costs eight times as much; it is null over no rows."""
    checked = list(reading.checked)
    zones = [name for name in checked if (column := schema.column(name)) and column.type == Type.TIME]
    raws = [quoted(name + "?") for name in checked]
    inner = [f"coalesce({rule.predicate}, false) AS p{i}" for i, rule in enumerate(rules)]
    inner += [f"{raw} IS NOT NULL AS f{i}" for i, raw in enumerate(raws)]
    inner += [f"regexp_matches({quoted(name + '?')}, {literal(_HAS_ZONE)}) AS z{i}" for i, name in enumerate(zones)]
    inner.append(f"{'occurred_at' if schema.column('occurred_at') else 'NULL::TIMESTAMP'} AS moment")
    costing = {i: rule for i, rule in enumerate(rules) if rule.severity == Severity.QUARANTINED}
    bad = " OR ".join(f"p{i}" for i in costing) or "false"
    bad_in_share = " OR ".join(f"p{i}" for i, rule in costing.items() if rule.in_share) or "false"
    flags = [f"p{i}" for i in range(len(rules))] + [f"f{i}" for i in range(len(raws))]
    flags += [f"z{i}" for i in range(len(zones))] + [f"({bad})", f"({bad_in_share})"]
    counted = ", ".join(f"coalesce(countif({flag}), 0)" for flag in flags)
    row = bench.one(
        f"SELECT count(*), max(CASE WHEN NOT ({bad}) THEN moment END), {counted} "
        f"FROM (SELECT {', '.join(inner)} FROM {_read(schema)})"
    )
    rows, end, *figures = row
    filled_at, zoned_at = len(rules), len(rules) + len(raws)
    return _Counts(
        rows=rows,
        broken=tuple(figures[:filled_at]),
        bad=figures[-2],
        bad_in_share=figures[-1],
        end=end,
        filled=dict(zip(checked, figures[filled_at:zoned_at], strict=True)),
        zoned=dict(zip(zones, figures[zoned_at:-2], strict=True)),
    )


def _any(rules: list[Rule]) -> str:
    return "coalesce(" + " OR ".join(f"({rule.predicate})" for rule in rules) + ", false)" if rules else "false"


def _hash(schema: Schema, reading: Reading) -> str:
    return f"hash({', '.join(quoted(name) for name in schema.key or reading.columns)})"


def _find_copies(bench: Bench, schema: Schema, reading: Reading, quarantining: list[Rule]) -> _Copies:
    """Finds rows that repeat a key (or, without a key, a whole row) and keeps the candidates in a table.

    Grouping 64-bit hashes is cheap and bounded, and names all candidates and a few innocents; the window over the
    candidates alone is exact. Of each group the row that sorts first by its columns is kept, so that neither the order
    of rows nor of part files matters.
    """
    hashes = f"intake.hashes_{schema.name}"
    accepted = f"FROM {_read(schema)} WHERE NOT {_any(quarantining)}"
    bench.connection.execute(
        f"CREATE TABLE {hashes} AS SELECT {_hash(schema, reading)} AS h {accepted} GROUP BY h HAVING count(*) > 1"
    )
    if not bench.one(f"SELECT count(*) FROM {hashes}")[0]:
        return _Copies()
    every = ", ".join(quoted(name) for name in reading.columns)
    key = ", ".join(quoted(name) for name in schema.key) or every
    window = f"OVER (PARTITION BY {key} ORDER BY {every})"
    bench.connection.execute(
        f"CREATE TABLE {_copies_table(schema)} AS SELECT *, rank() {window} AS place, row_number() {window} AS copy "
        f"{accepted} AND {_hash(schema, reading)} IN (SELECT h FROM {hashes})"
    )
    exact, conflicting = bench.one(
        f"SELECT coalesce(countif(place = 1 AND copy > 1), 0), coalesce(countif(place > 1), 0) "
        f"FROM {_copies_table(schema)}"
    )
    return _Copies(exact, conflicting)


def _accept(bench: Bench, schema: Schema, reading: Reading, quarantining: list[Rule], copies: _Copies) -> None:
    names = [*schema.names, *(reading.further if schema.keeps_further else ())]
    every = ", ".join(quoted(name) for name in names)
    query = f"SELECT {every} FROM {_read(schema)}"
    conditions = [f"NOT {_any(quarantining)}"] if quarantining else []
    if copies.rows:
        conditions.append(f"{_hash(schema, reading)} NOT IN (SELECT h FROM intake.hashes_{schema.name})")
    if conditions:
        query += f" WHERE {' AND '.join(conditions)}"
    if copies.rows:
        query += f" UNION ALL SELECT {every} FROM {_copies_table(schema)} WHERE copy = 1"
    bench.connection.execute(f"CREATE VIEW {schema.name} AS {query}")


def _write_quarantine(
    bench: Bench, schema: Schema, quarantining: list[Rule], copies: _Copies, set_aside: int
) -> str | None:
    """The rows set aside, as delivered, with what is wrong in a column `fault`; removes the file of an earlier run."""
    if bench.quarantine is None:
        return None
    path = bench.quarantine / f"{schema.name}.parquet"
    if not set_aside:
        path.unlink(missing_ok=True)
        return None
    parts = []
    if quarantining:
        cases = (
            f"CASE WHEN {each.predicate} THEN {literal(f'{each.column}: {each.name}')} END" for each in quarantining
        )
        parts.append(
            f"SELECT {DELIVERED} AS r, concat_ws(', ', {', '.join(cases)}) AS fault "
            f"FROM {_read(schema)} WHERE {_any(quarantining)}"
        )
    if copies.rows:
        parts.append(
            f"SELECT {DELIVERED} AS r, CASE WHEN place = 1 THEN 'duplicate' ELSE 'conflicting' END AS fault "
            f"FROM {_copies_table(schema)} WHERE copy > 1"
        )
    with atomic_file(path) as temporary:
        bench.connection.execute(
            f"COPY (SELECT r.*, fault FROM ({' UNION ALL '.join(parts)})) TO {literal(str(temporary))} (FORMAT parquet)"
        )
    return str(path)


def _first_values(bench: Bench, query: str) -> tuple[tuple[Value, ...], bool]:
    """The most frequent values of a query's column `v`, and whether there are more."""
    most = bench.params.check.first_values
    rows = bench.connection.execute(
        f"SELECT CAST(v AS VARCHAR) AS t, count(*) AS n FROM ({query}) GROUP BY t ORDER BY n DESC, t LIMIT {most + 1}"
    ).fetchall()
    return tuple(Value(text, count) for text, count in rows[:most]), len(rows) > most


def _fault(bench: Bench, schema: Schema, rule: Rule, counts: _Counts, count: int) -> Fault:
    found = f"{plural(count, 'row')} {'holds' if count == 1 else 'hold'}"
    values: tuple[Value, ...] = ()
    if rule.show is not None:
        values, more = _first_values(bench, f"SELECT {rule.show} AS v FROM {_read(schema)} WHERE {rule.predicate}")
        found += f" {shown(values, more)}"
    else:
        found += " NaN" if rule.name == "nan" else " none"
    severity, expected = rule.severity, rule.expected
    remedy = suggestion(rule, values, declared(rule, bench.params))
    if rule.name == "unreadable" and count == counts.filled[rule.column]:
        severity, expected = Severity.FATAL, f"none of the column can be read; {rule.expected}"
        remedy = mapping_remedy(schema, rule.column)
    return Fault(schema.name, rule.column, rule.name, severity, found, expected, remedy, count, values)


def _copy_faults(bench: Bench, schema: Schema, copies: _Copies) -> list[Fault]:
    faults = []
    for name, count, condition in (
        ("duplicate", copies.exact, "place = 1 AND copy > 1"),
        ("conflicting", copies.conflicting, "place > 1"),
    ):
        if not count:
            continue
        column = schema.key[0] if len(schema.key) == 1 else None
        ids = column or "customer_id"
        values, more = _first_values(bench, f"SELECT {ids} AS v FROM {_copies_table(schema)} WHERE {condition}")
        if name == "duplicate":
            found = "1 exact copy of" if count == 1 else f"{count:,} exact copies of"
            expected = "one of each is kept"
        else:
            found = f"{plural(count, 'row')} with other content than another of the same {', '.join(schema.key)}:"
            expected = "of each the row that sorts first by its columns is kept"
        faults.append(Fault(schema.name, column, name, Severity.QUARANTINED, f"{found} {shown(values, more)}",
                            expected, "remove them at the source", count, values))  # fmt: skip
    return faults


def _emptiness(schema: Schema, counts: _Counts) -> list[Fault]:
    if counts.rows:
        return []
    if not schema.may_be_empty:
        return [fatal(schema.name, None, "empty", "the table has no rows", "expected at least one", "deliver it anew")]
    return [note(schema.name, None, "empty", "the table has no rows")]


def _share(params: Params, schema: Schema, counts: _Counts, copies: _Copies) -> list[Fault]:
    set_aside = counts.bad_in_share + copies.rows
    limit = params.check.max_quarantine_share
    if not set_aside or set_aside <= limit * counts.rows or schema.name in params.check.allow_quarantine:
        return []
    return [
        Fault(schema.name, None, "quarantine_share", Severity.FATAL,
              f"{plural(set_aside, 'row')} of {counts.rows:,} ({set_aside / counts.rows:.2%}) would be quarantined",
              f"check.max_quarantine_share is {limit:.2%}",
              f"mend the source, raise the share, or add {schema.name} to check.allow_quarantine", set_aside)
    ]  # fmt: skip


def _is_naive_text(counts: _Counts, name: str) -> bool:
    return name in counts.zoned and counts.filled[name] > 0 and not counts.zoned[name]
