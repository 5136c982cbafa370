"""Who may be contacted on which channel at as-of, and the first rule that says no; writes nothing, plans nothing.

Rules are an ordered list: the first that refuses gives the reason. Each is a condition over what is known of one
customer on one channel before as-of, so a further rule is one entry here (and a column of `_STATE`, where it needs
one). An `unsubscribed` or `complained` at or after the last grant on a channel counts as a withdrawal, also where the
consents table was never told. A channel that needs no consent is closed by an objection all the same.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

import duckdb
import numpy as np
import numpy.typing as npt
import pyarrow as pa

from contract.kinds import Role
from contract.params import Params
from serving.scores import Access


@dataclass(frozen=True)
class Rule:
    """A refusal: the reason a person reads, and the SQL condition over `_STATE`'s columns under which it holds."""

    reason: str
    refuses: str


RULES: tuple[Rule, ...] = (
    Rule("no consent on record", "needs_consent AND last_grant IS NULL AND last_withdrawal IS NULL"),
    Rule("consent withdrawn", "last_withdrawal >= coalesce(last_grant, last_withdrawal)"),
    Rule("unsubscribed since the last consent", "last_unsubscribed >= coalesce(last_grant, last_unsubscribed)"),
    Rule("complained since the last consent", "last_complained >= coalesce(last_grant, last_complained)"),
)
"""In order; a tie in time goes against contact. The first two need the consents, the others the interactions."""

_STATE = """
    CREATE OR REPLACE TEMP TABLE contact_state AS
    SELECT customer_id, channel,
        max(CASE WHEN what = 'granted' THEN occurred_at END) AS last_grant,
        max(CASE WHEN what = 'withdrawn' THEN occurred_at END) AS last_withdrawal,
        max(CASE WHEN what = 'complained' THEN occurred_at END) AS last_complained,
        max(CASE WHEN what NOT IN ('granted', 'withdrawn', 'complained') THEN occurred_at END) AS last_unsubscribed
    FROM (
        SELECT customer_id, channel, occurred_at, CASE WHEN granted THEN 'granted' ELSE 'withdrawn' END AS what
        FROM consents WHERE coalesce(purpose, 'contact') = 'contact' AND occurred_at < $as_of
        UNION ALL
        SELECT customer_id, channel, occurred_at, kind
        FROM interactions WHERE list_contains($opt_outs, kind) AND occurred_at < $as_of
    )
    WHERE list_contains($channels, channel)
    GROUP BY customer_id, channel
"""


class Eligibility:
    """The rules applied at one as-of, ready to be asked for blocks of customers."""

    def __init__(self, connection: duckdb.DuckDBPyConnection, params: Params, as_of: datetime) -> None:
        """Gathers the state of all customers once.

        Args:
            connection: holds the views `consents` and `interactions` of an intake.
            params: channels with their need of consent; kinds with the role opt_out.
            as_of: only what happened before it counts.
        """
        self._connection = connection
        self._channels = params.outbound
        self._needs = pa.table(
            {
                "channel": pa.array(self._channels),
                "number": pa.array(range(len(self._channels)), pa.int32()),
                "needs_consent": pa.array([params.channels[name].consent for name in self._channels]),
            }
        )
        moment = as_of.astimezone(UTC).replace(tzinfo=None) if as_of.tzinfo else as_of
        values = {"as_of": moment, "opt_outs": list(params.kinds_of(Role.OPT_OUT)), "channels": list(self._channels)}
        connection.execute(_STATE, values)

    def access(self, customer_ids: Sequence[str] | npt.NDArray[np.object_] | pa.Array) -> Access:
        """Eligibility and reason (None where eligible) of each of n customers on each of the k outbound channels."""
        shape = (len(customer_ids), len(self._channels))
        reasons = self._reasons(pa.array(customer_ids, pa.string()))
        texts = np.array([*(rule.reason for rule in RULES), None], dtype=object)
        return Access(eligible=(reasons < 0).reshape(shape), reason=texts[reasons].reshape(shape))

    def _reasons(self, ids: pa.Array) -> npt.NDArray[np.int64]:
        """Index of the first rule that refuses, -1 where none does; by customer, then channel."""
        asked = pa.table({"customer_id": ids, "place": pa.array(np.arange(len(ids)))})
        cases = " ".join(f"WHEN {rule.refuses} THEN {index}" for index, rule in enumerate(RULES))
        query = f"""
            SELECT place * {len(self._channels)} + number AS cell, CASE {cases} ELSE -1 END AS rule
            FROM asked_customers CROSS JOIN asked_channels LEFT JOIN contact_state USING (customer_id, channel)
        """  # noqa: S608  made of RULES and counts
        self._connection.register("asked_customers", asked)
        self._connection.register("asked_channels", self._needs)
        try:
            found = self._connection.execute(query).fetchnumpy()
        finally:
            self._connection.unregister("asked_customers")
            self._connection.unregister("asked_channels")
        result = np.empty(len(ids) * len(self._channels), dtype=np.int64)
        result[np.asarray(found["cell"])] = np.asarray(found["rule"])
        return result
