"""The rules of the contract as SQL predicates over a table's reading; executes nothing.

A predicate is true where a row breaks the rule; null counts as kept.
"""

# ruff: noqa: S608  names of the data pass quoted(), its values literal(); the rest is ours

import difflib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from contract.kinds import HELD_OUT, SENT, Role
from contract.params import Params
from contract.reading import Reading
from contract.report import Severity, Value
from contract.sources import literal, quoted
from contract.tables import (
    AUDIENCE,
    CAMPAIGN_OBJECTIVES,
    CAMPAIGN_TYPES,
    CAMPAIGNS,
    CONSENTS,
    CUSTOMERS,
    DECIDED,
    INTERACTIONS,
    PROPENSITIES,
    PURPOSES,
    Schema,
    Type,
)

KNOWN: Final = {"customer_id": "intake.known_customers", "campaign_id": "intake.known_campaigns"}
"""Id column → table of the ids that exist."""

_LISTED: Final = 20


@dataclass(frozen=True)
class Rule:
    """One rule of one column.

    predicate: SQL, true where broken; show: SQL of the value to show, None where the value says nothing; in_share:
    whether its rows count towards the share that makes a quarantine fatal.
    """

    column: str
    name: str
    severity: Severity
    predicate: str
    show: str | None
    expected: str
    remedy: str
    in_share: bool = True


@dataclass(frozen=True)
class Moments:
    """What no time may pass by more than check.late_days, both naive UTC or unknown.

    as_of: of the question, where it was asked for one; now: the clock's time.
    """

    as_of: datetime | None
    now: datetime | None


def rules_of(schema: Schema, reading: Reading, params: Params, moments: Moments, known: frozenset[str]) -> list[Rule]:
    """Every rule that can be checked on the table's reading; `known` are the id columns whose values are known."""
    rules = [*_nulls(schema, reading), *_unreadable(schema, reading)]
    if schema.name == CUSTOMERS:
        rules += _signup(moments)
    else:
        rules += _times(schema, params, moments)
    rules += _unknown(schema, known)
    own = {
        INTERACTIONS: lambda: _interactions(params),
        CONSENTS: lambda: _consents(params),
        CAMPAIGNS: _campaigns,
        PROPENSITIES: lambda: _propensities(params),
        DECIDED: lambda: _decided(params),
        AUDIENCE: _audience,
    }
    rules += own[schema.name]() if schema.name in own else ()
    return [rule for rule in rules if rule.column in reading.present]


def suggestion(rule: Rule, values: Sequence[Value], names: Iterable[str]) -> str:
    """The rule's remedy, with a ready line of `values:` where the first value resembles a declared name."""
    for value in values:
        near = difflib.get_close_matches((value.text or "").lower(), list(names), n=1, cutoff=0.6)
        if near and value.text:
            return f"{rule.remedy}: {{{value.text}: {near[0]}}}"
    return rule.remedy


def declared(rule: Rule, params: Params) -> Iterable[str]:
    """The names that a value of the rule's column may have."""
    names: Mapping[str, Iterable[str]] = {
        "channel": params.channels,
        "kind": params.all_kinds,
        "purpose": PURPOSES,
        "objective": CAMPAIGN_OBJECTIVES,
        "type": CAMPAIGN_TYPES,
    }
    return names.get(rule.column, ()) if rule.name == "undeclared" else ()


def _quarantine(column: str, name: str, predicate: str, expected: str, remedy: str, show: str | None = None) -> Rule:
    return Rule(column, name, Severity.QUARANTINED, predicate, show, expected, remedy)


def _note(column: str, name: str, predicate: str, expected: str, remedy: str, show: str | None = None) -> Rule:
    return Rule(column, name, Severity.NOTE, predicate, show or quoted(column), expected, remedy)


def _nulls(schema: Schema, reading: Reading) -> Iterator[Rule]:
    for column in schema.columns:
        if column.required and not column.nullable:
            name = quoted(column.name)
            told_apart = column.name in reading.checked and column.name not in reading.nans
            raw = f" AND {quoted(column.name + '?')} IS NULL" if told_apart else ""
            yield _quarantine(column.name, "null", f"{name} IS NULL{raw}", "expected a value in every row",
                              "fill it at the source")  # fmt: skip


def _unreadable(schema: Schema, reading: Reading) -> Iterator[Rule]:
    expected = {
        Type.TIME: "expected a time such as 2026-03-01T09:30:00Z",
        Type.NUMBER: "expected a number such as 12.50",
        Type.FLAG: "expected true or false",
        Type.TEXT: "expected text",
    }
    for column in schema.columns:
        if column.name not in reading.checked:
            continue
        raw = quoted(column.name + "?")
        predicate = f"{raw} IS NOT NULL AND {quoted(column.name)} IS NULL"
        if column.name in reading.nans:
            if column.required:
                continue  # A NaN where a number must be is a null.
            yield Rule(column.name, "nan", Severity.NOTE, predicate, None, "NaN is read as missing", "")
        elif schema.lenient and not column.required:
            yield Rule(column.name, "unreadable", Severity.NOTE, predicate, raw, expected[column.type],
                       "it is read as missing")  # fmt: skip
        else:
            yield Rule(column.name, "unreadable", Severity.FATAL, predicate, raw, expected[column.type],
                       mapping_remedy(schema, column.name))  # fmt: skip


def mapping_remedy(schema: Schema, column: str) -> str:
    """What to do about values that cannot be read."""
    return f"mend the source or map the value under tables.{schema.name}.values.{column}; '' reads as missing"


def _signup(moments: Moments) -> Iterator[Rule]:
    latest = moments.as_of or moments.now
    if latest:
        yield _note("signup_at", "after_as_of", f"signup_at > {timestamp(latest)}", f"expected none after {latest} UTC",
                    "such customers cannot have been known then")  # fmt: skip


def _times(schema: Schema, params: Params, moments: Moments) -> Iterator[Rule]:
    late = f"INTERVAL '{round(params.check.late_days * 86_400)} seconds'"
    for column in schema.columns:
        if column.type != Type.TIME:
            continue
        name = column.name
        yield _quarantine(name, "before_1970", f"{name} < TIMESTAMP '1970-01-01'", "expected a time from 1970 on",
                          "mend the source; a missing time is no zero", name)  # fmt: skip
        if schema.name == CAMPAIGNS:
            continue  # A campaign may be planned ahead.
        if moments.now:
            yield _quarantine(name, "in_the_future", f"{name} > {timestamp(moments.now)} + {late}",
                              f"expected none later than {params.check.late_days:g} days after now",
                              "mend the clock or the zone of the source", name)  # fmt: skip
        if moments.as_of:
            yield Rule(name, "after_as_of", Severity.QUARANTINED, f"{name} > {timestamp(moments.as_of)} + {late}", name,
                       f"expected none later than {params.check.late_days:g} days after as-of {moments.as_of} UTC",
                       "nothing of that time may be known; it does not count as quarantine beyond "
                       "check.max_quarantine_share", in_share=False)  # fmt: skip


def _unknown(schema: Schema, known: frozenset[str]) -> Iterator[Rule]:
    for column, table in KNOWN.items():
        names_rows = schema.key == (column,) and schema.name != AUDIENCE
        if column not in known or schema.column(column) is None or names_rows:
            continue
        predicate = f"{column} IS NOT NULL AND {column} NOT IN (SELECT {column} FROM {table})"
        if column == "campaign_id":
            yield _note(column, "unknown", predicate, "expected a campaign of the table campaigns",
                        "such rows count without a campaign's category and type")  # fmt: skip
        elif schema.name == AUDIENCE:
            yield _note(column, "unknown", predicate, "expected a customer of the table customers",
                        "they are scored as the population")  # fmt: skip
        elif schema.name == DECIDED:
            yield _note(column, "unknown", predicate, "expected a customer of the table customers",
                        "decisions about them teach nothing")  # fmt: skip
        else:
            yield _quarantine(column, "unknown", predicate, "expected a customer of the table customers",
                              "add the customers, or check that both tables write the id alike", column)  # fmt: skip


def _interactions(params: Params) -> Iterator[Rule]:
    table = INTERACTIONS
    yield _undeclared(table, "channel", params.channels, "add it under channels: in params.yaml or map it under")
    yield _undeclared(table, "kind", params.all_kinds, "add it under kinds: in params.yaml or map it under")
    yield _quarantine("channel", "null", f"channel IS NULL AND kind <> '{HELD_OUT}'",
                      f"only {HELD_OUT} may have none", "fill it at the source", "kind")  # fmt: skip
    yield _negative("value", "write a refund as the kind returned, with a positive value")
    yield _negative("cost", "mend the source")
    yield _propensity()
    inbound = [name for name, channel in params.channels.items() if not channel.outbound]
    if inbound:
        yield _note("channel", "not_outbound", f"kind = '{SENT}' AND channel IN ({listed(inbound)})",
                    "their channel is declared inbound", "declare it as both, or map the channel")  # fmt: skip
    yield from _unrecorded(params)


def _propensity() -> Rule:
    return _quarantine("propensity", "range", "propensity <= 0 OR propensity > 1", "expected one in (0, 1]",
                       "give the probability of the action taken, or leave it empty", "propensity")  # fmt: skip


def _unrecorded(params: Params) -> Iterator[Rule]:
    """Rows of a kind that their channel does not declare to record: models would call it unmeasured there."""
    recorded = params.kinds_of(Role.DELIVERY, Role.ANSWER, Role.OPT_OUT, Role.OWN_STEP)
    pairs = [f"{name}/{kind}" for name, channel in params.channels.items() for kind in channel.records]
    yield _note("kind", "not_recorded",
                f"kind IN ({listed(recorded)}) AND channel IN ({listed(params.channels)}) "
                f"AND channel || '/' || kind NOT IN ({listed(pairs)})",
                "their channel does not declare to record it", "add the kind under channels.NAME.records",
                "channel || '/' || kind")  # fmt: skip


def _consents(params: Params) -> Iterator[Rule]:
    yield _undeclared(CONSENTS, "channel", params.channels, "add it under channels: in params.yaml or map it under")
    yield _undeclared(CONSENTS, "purpose", PURPOSES, "map it under")
    # Consent to profiling and tracking may be given as a whole; consent to contact is one channel's.
    yield _quarantine("channel", "null", "channel IS NULL AND purpose = 'contact'",
                      "expected a channel for the purpose contact", "fill it at the source")  # fmt: skip


def _campaigns() -> Iterator[Rule]:
    for column, names in (("objective", CAMPAIGN_OBJECTIVES), ("type", CAMPAIGN_TYPES)):
        yield _note(column, "undeclared", f"{column} NOT IN ({listed(names)})", f"the contract has {', '.join(names)}",
                    f"map it under tables.{CAMPAIGNS}.values.{column}")  # fmt: skip


def _propensities(params: Params) -> Iterator[Rule]:
    yield _undeclared(PROPENSITIES, "channel", params.channels, "add it under channels: in params.yaml or map it under")
    yield _quarantine("propensity", "range", "propensity < 0 OR propensity > 1", "expected one in [0, 1]",
                      "give each action's probability; zero where it could not be taken", "propensity")  # fmt: skip


def _decided(params: Params) -> Iterator[Rule]:
    yield _undeclared(DECIDED, "channel", params.channels, "add it under channels: in params.yaml or map it under")
    yield _propensity()


def _audience() -> Iterator[Rule]:
    yield _negative("value", "give what a response is worth in EUR, or leave it empty")


def _undeclared(table: str, column: str, names: Iterable[str], remedy: str) -> Rule:
    shown = list(names)
    told = ", ".join(shown[:_LISTED]) + (", …" if len(shown) > _LISTED else "")
    return Rule(column, "undeclared", Severity.FATAL, f"{column} NOT IN ({listed(shown)})", column,
                f"declared {column}s are {told}", f"{remedy} tables.{table}.values.{column}")  # fmt: skip


def _negative(column: str, remedy: str) -> Rule:
    return _quarantine(column, "negative", f"{column} < 0 OR isinf({column})",
                       "expected a finite amount of at least 0 EUR", remedy, column)  # fmt: skip


def listed(names: Iterable[str]) -> str:
    """Names as SQL literals; of no name, one that is never equal."""
    return ", ".join(literal(name) for name in names) or "NULL"


def timestamp(moment: datetime) -> str:
    """A naive UTC time as an SQL literal."""
    return f"TIMESTAMP '{moment.isoformat(sep=' ')}'"
