"""Notes on a table that break no rule but that somebody should know: unused columns, zones, contradictions."""

from collections.abc import Mapping

import duckdb

from contract.opens import count_opens, machine_opens_sql
from contract.params import Params
from contract.reading import Reading, note
from contract.report import Fault, Severity, plural
from contract.tables import CONSENTS, CUSTOMER_HISTORY, CUSTOMERS, INTERACTIONS, Schema


def remarks(
    connection: duckdb.DuckDBPyConnection,
    schema: Schema,
    reading: Reading,
    params: Params,
    zones: Mapping[str, tuple[int, int]],
) -> list[Fault]:
    """Notes on a table whose view exists. zones: text time column → (times that bear a zone, times)."""
    faults = [
        note(schema.name, name, "mixed_zones",
             f"{zoned:,} of {plural(filled, 'time')} bear a zone and are converted; the rest count as UTC")
        for name, (zoned, filled) in zones.items() if 0 < zoned < filled
    ]  # fmt: skip
    features = params.tables.customers.features
    if schema.name == CUSTOMERS:
        faults += _feature_remarks(schema, reading, features)
    elif schema.name == CUSTOMER_HISTORY:
        faults += _history_remarks(connection, reading, features)
    elif schema.name == CONSENTS:
        faults += _contradictions(connection)
    elif schema.name == INTERACTIONS and reading.further:
        faults.append(_unused(schema, reading))
    return faults


def _unused(schema: Schema, reading: Reading) -> Fault:
    told = ", ".join(f"{name} ({type_})" for name, type_ in reading.further.items())
    return note(schema.name, None, "further_columns", f"further columns are not used: {told}")


def _feature_remarks(schema: Schema, reading: Reading, features: list[str]) -> list[Fault]:
    faults = []
    types = {column.name: str(column.type) for column in schema.columns if column.name in reading.present}
    types |= {name: str(type_) for name, type_ in reading.further.items()}
    others = {name: type_ for name, type_ in types.items() if name not in (*features, "customer_id")}
    if others:
        told = ", ".join(f"{name} ({type_})" for name, type_ in others.items())
        faults.append(note(schema.name, None, "further_columns", f"further columns are not used: {told}",
                           "a column becomes a feature under tables.customers.features"))  # fmt: skip
    absent = [name for name in features if name not in types]
    if absent:
        faults.append(note(schema.name, None, "absent_features",
                           f"tables.customers.features names {', '.join(absent)}, not in the table",
                           "it is left out; correct the name or add the column"))  # fmt: skip
    return faults


def _history_remarks(connection: duckdb.DuckDBPyConnection, reading: Reading, features: list[str]) -> list[Fault]:
    known = set(connection.table(CUSTOMERS).columns)
    unused = {name: str(type_) for name, type_ in reading.further.items() if name not in {*features} & known}
    if not unused:
        return []
    told = ", ".join(f"{name} ({type_})" for name, type_ in unused.items())
    return [note(CUSTOMER_HISTORY, None, "further_columns", f"further columns are not used: {told}",
                 "a column is used that the table customers has too and tables.customers.features names")]  # fmt: skip


def _contradictions(connection: duckdb.DuckDBPyConnection) -> list[Fault]:
    row = connection.execute(
        "SELECT count(*) FROM (SELECT 1 FROM consents GROUP BY customer_id, channel, purpose, occurred_at "
        "HAVING bool_or(granted) AND NOT bool_and(granted))"
    ).fetchone()
    count = row[0] if row else 0
    if not count:
        return []
    return [
        Fault(CONSENTS, "granted", "contradiction", Severity.NOTE,
              f"{plural(count, 'moment')} with a consent both granted and refused", "expected one of them",
              "give each its own time", count)
    ]  # fmt: skip


def opens_remarks(connection: duckdb.DuckDBPyConnection, params: Params) -> list[Fault]:
    """A note for each channel of the view `interactions` on which machines opened messages."""
    query = f"({machine_opens_sql(params, INTERACTIONS)})"
    return [
        Fault(INTERACTIONS, "kind", "opened_by_machine", Severity.NOTE, found.text(params), "",
              "they count as no answer and reach no feature; channels.NAME.machine_open_seconds and answers set the "
              "rules", found.by_machine)
        for found in count_opens(connection, params, INTERACTIONS, query) if found.by_machine
    ]  # fmt: skip
