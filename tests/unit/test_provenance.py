"""A model is traced to its rows by digests that their order does not move and any value does."""

from types import SimpleNamespace

import duckdb

from contract.report import TableReport
from training.provenance import tables_used

REPORT = [TableReport("customers", "shop/customers.csv", 3, 3, 0)]


def _digest(rows: str, columns: str = "customer_id, region"):
    connection = duckdb.connect()
    connection.execute(f"CREATE VIEW customers AS SELECT * FROM (VALUES {rows}) AS t({columns})")
    found = tables_used(SimpleNamespace(connection=connection, as_of=None), REPORT)
    assert [(each.name, each.source) for each in found] == [("customers", "shop/customers.csv")]
    return found[0]


def test_order_moves_no_digest_and_any_value_any_row_and_any_name_does():
    rows = "('a', 'north'), ('b', NULL), ('c', 'south')"
    known = _digest(rows)
    assert (known.rows, known.columns) == (3, {"customer_id": "VARCHAR", "region": "VARCHAR"})
    assert len(known.digest) == 32
    assert _digest("('c', 'south'), ('a', 'north'), ('b', NULL)").digest == known.digest
    others = [
        _digest("('a', 'north'), ('b', NULL), ('c', 'North')"),
        _digest("('a', 'north'), ('b', ''), ('c', 'south')"),
        _digest("('a', 'north'), ('c', 'south')"),
        _digest(f"{rows}, ('c', 'south')"),
        _digest(rows, "customer_id, area"),
        _digest("('north', 'a'), (NULL, 'b'), ('south', 'c')"),
    ]
    assert len({known.digest, *(each.digest for each in others)}) == 7


def test_a_table_without_rows_has_a_digest_too():
    connection = duckdb.connect()
    connection.execute("CREATE VIEW customers AS SELECT 'a' AS customer_id WHERE false")
    found = tables_used(SimpleNamespace(connection=connection, as_of=None), REPORT)
    assert (found[0].rows, len(found[0].digest)) == (0, 32)
