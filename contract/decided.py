"""Puts what plans decided into the interactions of an intake; decides nothing and writes no file.

A plan's contact needs no propensity where it comes back as `sent`: the latest decision about the customer and campaign
before it knows. A plan's decision not to contact becomes an interaction of kind `held_out` at its moment, unless the
interactions tell of the same campaign between that moment and the campaign's next decision about the customer: then the
sender logged it itself, or contacted the customer after all.
"""

# ruff: noqa: S608  names of ours

from typing import Final

import duckdb

from contract.kinds import HELD_OUT, SENT
from contract.tables import DECIDED, INTERACTIONS, SCHEMAS

_DELIVERED: Final = "delivered_interactions"
_LASTING: Final = "intake.lasting_decisions"
_WITHHELD: Final = "intake.withheld_contacts"


def take_decisions(connection: duckdb.DuckDBPyConnection) -> None:
    """Make the view `interactions` what it was, with the propensities and the `held_out` of the view `decided`."""
    if not connection.execute(f"SELECT 1 FROM {DECIDED} LIMIT 1").fetchall():
        return
    connection.execute(f"""
        CREATE TABLE {_LASTING} AS
        SELECT customer_id, campaign_id, decided_at, until, channel, propensity
        FROM {DECIDED} JOIN (
            SELECT customer_id, campaign_id, decided_at, coalesce(lead(decided_at) OVER (
                PARTITION BY customer_id, campaign_id ORDER BY decided_at), TIMESTAMP 'infinity') AS until
            FROM (SELECT DISTINCT customer_id, campaign_id, decided_at FROM {DECIDED}))
        USING (customer_id, campaign_id, decided_at)
        WHERE customer_id IN (SELECT customer_id FROM customers)""")
    connection.execute(f"ALTER VIEW {INTERACTIONS} RENAME TO {_DELIVERED}")
    connection.execute(f"""
        CREATE TABLE {_WITHHELD} AS
        SELECT customer_id, campaign_id, decided_at AS occurred_at, '{HELD_OUT}' AS kind, propensity
        FROM {_LASTING} AS decision
        WHERE channel IS NULL AND NOT EXISTS (
            FROM {_DELIVERED} AS own
            WHERE own.kind IN ('{SENT}', '{HELD_OUT}') AND own.customer_id = decision.customer_id
                AND own.campaign_id = decision.campaign_id AND own.occurred_at >= decision.decided_at
                AND own.occurred_at < decision.until)""")
    names = SCHEMAS[INTERACTIONS].names
    columns = ", ".join("coalesce(own.propensity, decision.propensity) AS propensity" if name == "propensity"
                        else f"own.{name}" for name in names)  # fmt: skip
    connection.execute(f"""
        CREATE VIEW {INTERACTIONS} AS
        SELECT {columns} FROM {_DELIVERED} AS own LEFT JOIN {_LASTING} AS decision
            ON own.kind = '{SENT}' AND own.customer_id = decision.customer_id
            AND own.campaign_id = decision.campaign_id AND own.channel = decision.channel
            AND own.occurred_at >= decision.decided_at AND own.occurred_at < decision.until
        UNION ALL BY NAME FROM {_WITHHELD}""")
