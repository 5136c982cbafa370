"""What a check found, as text for people and JSON for programs; looks at no data itself."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any


class Severity(StrEnum):
    """What a fault costs."""

    FATAL = "fatal"
    QUARANTINED = "quarantined"
    NOTE = "note"


@dataclass(frozen=True)
class Value:
    """A value that broke a rule, and in how many rows."""

    text: str | None
    rows: int


@dataclass(frozen=True)
class Fault:
    """A broken rule of one table.

    found says what is there, expected the rule, remedy what to do. rows counts the rows concerned; 0 where the fault
    is one of the whole table. One row may break several rules.
    """

    table: str
    column: str | None
    rule: str
    severity: Severity
    found: str
    expected: str
    remedy: str
    rows: int = 0
    values: tuple[Value, ...] = ()

    def text(self) -> str:
        """One line: where, what was found, what was expected, what to do."""
        where = f"{self.table}.{self.column}" if self.column else self.table
        return "; ".join(part for part in (f"{where}: {self.found}", self.expected, self.remedy) if part)


@dataclass(frozen=True)
class TableReport:
    """Rows of one table; accepted + quarantined = rows, unless the table has a fatal fault that stopped its check."""

    table: str
    source: str
    rows: int
    accepted: int
    quarantined: int
    quarantine_file: str | None = None


@dataclass(frozen=True)
class CheckReport:
    """All faults of all tables; `fatal` when a job must not go on with them. as_of is UTC."""

    tables: tuple[TableReport, ...]
    faults: tuple[Fault, ...]
    as_of: datetime | None

    @property
    def set_aside(self) -> dict[str, float]:
        """Share of rows set aside, by table, without those of a time after as_of, which are no fault of the data."""
        late = {fault.table: fault.rows for fault in self.of(Severity.QUARANTINED) if fault.rule == "after_as_of"}
        return {
            each.table: max(0, each.quarantined - late.get(each.table, 0)) / max(1, each.rows) for each in self.tables
        }

    @property
    def fatal(self) -> bool:
        """Whether any fault is fatal."""
        return bool(self.of(Severity.FATAL))

    def of(self, severity: Severity) -> tuple[Fault, ...]:
        """The faults of one severity, in order of tables."""
        return tuple(fault for fault in self.faults if fault.severity == severity)

    def as_json(self) -> dict[str, Any]:
        """The report as plain JSON values; times in ISO 8601."""
        return {
            "fatal": self.fatal,
            "as_of": self.as_of.isoformat() if self.as_of else None,
            "tables": [asdict(table) for table in self.tables],
            "faults": [{**asdict(fault), "severity": str(fault.severity)} for fault in self.faults],
        }

    def text(self) -> str:
        """The report for people: a verdict, the rows of each table, then the faults by severity."""
        lines = [self._verdict(), *_table_lines(self.tables)]
        titles = {
            Severity.FATAL: "fatal: nothing runs before these are mended",
            Severity.QUARANTINED: "quarantined: these rows are set aside, the rest goes on",
            Severity.NOTE: "notes",
        }
        for severity, title in titles.items():
            faults = self.of(severity)
            if faults:
                lines += ["", title, *(f"  {fault.text()}" for fault in faults)]
        return "\n".join(lines)

    def _verdict(self) -> str:
        fatal, set_aside = len(self.of(Severity.FATAL)), sum(table.quarantined for table in self.tables)
        moment = f"; as of {self.as_of:%Y-%m-%d %H:%M:%S} UTC" if self.as_of else ""
        if fatal:
            return f"the data cannot be used: {plural(fatal, 'fatal fault')}{moment}"
        if set_aside:
            return f"the data can be used, without {plural(set_aside, 'quarantined row')}{moment}"
        return f"the data can be used{moment}"


def plural(count: int, noun: str) -> str:
    """The count with its noun.

    >>> plural(1, "row"), plural(2300, "row")
    ('1 row', '2,300 rows')
    """
    return f"{count:,} {noun}{'' if count == 1 else 's'}"


def shown(values: Sequence[Value], distinct_left_out: bool = False) -> str:
    """Values as they stand in a message, each with its rows where they are several.

    >>> shown([Value("e-mail", 2), Value(None, 1)])
    "'e-mail' (2), null (1)"
    """
    texts = ["null" if value.text is None else f"'{_short(value.text)}'" for value in values]
    if len(values) > 1 or distinct_left_out:
        texts = [f"{text} ({value.rows:,})" for text, value in zip(texts, values, strict=True)]
    return ", ".join(texts) + (", …" if distinct_left_out else "")


def _short(text: str, longest: int = 60) -> str:
    return text if len(text) <= longest else text[: longest - 1] + "…"


def _table_lines(tables: Sequence[TableReport]) -> list[str]:
    head = ("table", "rows", "accepted", "quarantined", "source")
    body = [(each.table, f"{each.rows:,}", f"{each.accepted:,}", _quarantined(each), each.source) for each in tables]
    widths = [max(len(row[column]) for row in (head, *body)) for column in range(4)]
    return [
        "  ".join([row[0].ljust(widths[0]), *(row[i].rjust(widths[i]) for i in (1, 2, 3)), row[4]])
        for row in (head, *body)
    ]


def _quarantined(table: TableReport) -> str:
    if not table.quarantined:
        return "0"
    return f"{table.quarantined:,} ({table.quarantined / table.rows:.2%})"
