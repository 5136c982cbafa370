"""What customers allow of their history: profiling and tracking, by the consents at as_of; decides no contact.

Where the consents know a purpose before as_of, a customer without a grant is left out of that use: without profiling no
event and no demographic is used, and the customer is scored as one of whom nothing is known; without tracking none of
the opened messages is. A consent given as a whole (no channel) replaces what was said of channels before it. The latest
counts; of two at the same moment the refusal.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

import duckdb
import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from contract.kinds import OPENED

PERMITTED: Final = "permitted_interactions"
"""Temporary view with the columns of `interactions`: the rows that may be used."""

UNPROFILED: Final = "unprofiled_customers"
"""Temporary table (customer_id): customers whose history may not be used."""

_STANDING: Final = "standing_consents"


class Use(NamedTuple):
    """What of one customer's history may be used.

    profiling: whether any of it, and the demographics, may; without it the customer is one of whom nothing is known.
    opened_on: channels whose `opened` rows may, None where the consents know no tracking, and all may.
    """

    profiling: bool = True
    opened_on: frozenset[str] | None = None


ALL_OF_IT: Final = Use()


@dataclass(frozen=True)
class Uses:
    """What of each customer's history may be used; `apart` are those of whom it is not what holds for `everybody`."""

    everybody: Use
    apart: Mapping[str, Use]

    def of(self, customer_id: str) -> Use:
        """What holds for a customer, known or not."""
        return self.apart.get(customer_id, self.everybody)


def permit(connection: duckdb.DuckDBPyConnection, until_us: int) -> None:
    """Make `PERMITTED` and `UNPROFILED` by the consents before `until_us`, microseconds since 1970 UTC."""
    connection.execute(f"""
        CREATE OR REPLACE TEMP TABLE {_STANDING} AS
        WITH latest AS (
            SELECT purpose, customer_id, channel, occurred_at, granted FROM consents
            WHERE purpose IN ('profiling', 'tracking') AND occurred_at < make_timestamp({until_us})
            QUALIFY row_number() OVER (
                PARTITION BY purpose, customer_id, channel ORDER BY occurred_at DESC, granted) = 1),
        whole AS (SELECT purpose, customer_id, occurred_at FROM latest WHERE channel IS NULL)
        SELECT latest.purpose, latest.customer_id, latest.channel, latest.granted
        FROM latest LEFT JOIN whole USING (purpose, customer_id)
        WHERE latest.channel IS NULL OR whole.occurred_at IS NULL OR latest.occurred_at >= whole.occurred_at""")  # noqa: S608  an integer of ours
    known = {purpose for (purpose,) in connection.table(_STANDING).project("purpose").distinct().fetchall()}
    refused = "true" if "profiling" in known else "false"
    connection.execute(f"""
        CREATE OR REPLACE TEMP TABLE {UNPROFILED} AS
        SELECT customer_id FROM customers ANTI JOIN (
            SELECT customer_id FROM {_STANDING} WHERE purpose = 'profiling'
            GROUP BY customer_id HAVING bool_and(granted)) USING (customer_id)
        WHERE {refused}""")  # noqa: S608  names of ours
    rows = f"interactions ANTI JOIN {UNPROFILED} USING (customer_id)" if "profiling" in known else "interactions"
    tracked = f"""kind <> '{OPENED}' OR coalesce((
        SELECT bool_and(granted) FROM {_STANDING} AS given
        WHERE given.purpose = 'tracking' AND given.customer_id = shown.customer_id
          AND (given.channel IS NULL OR given.channel = shown.channel)), false)"""  # noqa: S608  names of ours
    condition = tracked if "tracking" in known else "true"
    connection.execute(
        f"CREATE OR REPLACE TEMP VIEW {PERMITTED} AS FROM (SELECT * FROM {rows}) AS shown WHERE {condition}"  # noqa: S608
    )


def unprofiled_customers(connection: duckdb.DuckDBPyConnection, ids: pa.Array) -> npt.NDArray[np.bool_]:
    """(n,) whether each of these ids belongs to a customer whose history may not be used, as `permit` found it."""
    rows = connection.table(UNPROFILED).project("CAST(customer_id AS VARCHAR) AS customer_id")
    refusing = rows.to_arrow_table()
    among = pc.is_in(ids, value_set=refusing["customer_id"].combine_chunks().cast(ids.type))
    found: npt.NDArray[np.bool_] = among.to_numpy(zero_copy_only=False)
    return found


def uses(connection: duckdb.DuckDBPyConnection, channels: Sequence[str]) -> Uses:
    """What `permit` found, customer by customer.

    Args:
        connection: On which `permit` ran.
        channels: On which a consent given as a whole lets opens be used.
    """
    known = {purpose for (purpose,) in connection.table(_STANDING).project("purpose").distinct().fetchall()}
    everybody = Use("profiling" not in known, frozenset() if "tracking" in known else None)
    granted = connection.sql(f"""
        SELECT customer_id, list(channel ORDER BY channel) FILTER (channel IS NOT NULL AND granted),
               list(channel) FILTER (channel IS NOT NULL AND NOT granted),
               bool_and(granted) FILTER (channel IS NULL)
        FROM {_STANDING} WHERE purpose = 'tracking' GROUP BY customer_id""").fetchall()  # noqa: S608  ours
    tracked = {
        customer_id: frozenset()
        if whole is False
        else frozenset((whole and channels) or given or ()) - {*(refused or ())}
        for customer_id, given, refused, whole in granted
    }
    profiled = {
        customer_id
        for (customer_id,) in connection.sql(
            f"SELECT customer_id FROM {_STANDING} WHERE purpose = 'profiling' "  # noqa: S608  ours
            "GROUP BY customer_id HAVING bool_and(granted)"
        ).fetchall()
    }
    apart = {
        customer_id: Use(everybody.profiling or customer_id in profiled, tracked.get(customer_id, everybody.opened_on))
        for customer_id in {*tracked, *profiled}
    }
    return Uses(everybody, {customer_id: use for customer_id, use in apart.items() if use != everybody})


def standing_digest(connection: duckdb.DuckDBPyConnection, apart: pa.Array | None = None) -> str:
    """A digest of what `permit` found, of all customers but those `apart`; empty where nobody refuses anything.

    Two equal ones mean that the same events of the same customers may be used.
    """
    connection.register("apart", pa.table({"customer_id": pa.array([], pa.string()) if apart is None else apart}))
    ((count, total, tracking),) = connection.execute(f"""
        SELECT count(*), coalesce(sum(CAST(hash(purpose, customer_id, channel, granted) AS HUGEINT)), 0),
               (SELECT count(*) > 0 FROM {_STANDING} WHERE purpose = 'tracking')
        FROM (SELECT 'profiling' AS purpose, customer_id, CAST(NULL AS VARCHAR) AS channel, false AS granted
              FROM {UNPROFILED}
              UNION ALL
              SELECT purpose, customer_id, channel, granted
              FROM {_STANDING} SEMI JOIN customers USING (customer_id) WHERE purpose = 'tracking')
        ANTI JOIN apart USING (customer_id)""").fetchall()  # noqa: S608  names of ours
    connection.unregister("apart")
    return f"{count}-{total:x}" if count or tracking else ""
