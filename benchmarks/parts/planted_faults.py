"""Things that go wrong with a retailer's tables in one period, planted in a copy of them; judges nothing."""

import shutil
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

import duckdb

INTERACTIONS, CUSTOMERS, CONSENTS = "interactions", "customers", "consents"


@dataclass(frozen=True)
class Fault:
    """A fault as SQL over one table, whose rows are `FROM source`; {since} and {until} are the period's ends.

    named: the beginning of a finding's name, one of which must alarm for the fault to count as named.
    """

    table: str
    sql: str
    named: tuple[str, ...]


_IN = "occurred_at >= TIMESTAMPTZ '{since}'"
_LATE = "occurred_at >= TIMESTAMPTZ '{since}' + INTERVAL 14 DAY"
_DAY = "occurred_at >= TIMESTAMPTZ '{since}' + INTERVAL 9 DAY AND occurred_at < TIMESTAMPTZ '{since}' + INTERVAL 10 DAY"

FAULTS: dict[str, Fault] = {
    "clicks on e-mail stop after two weeks": Fault(
        INTERACTIONS,
        f"FROM source WHERE NOT (channel = 'email' AND kind = 'clicked' AND {_LATE})",
        ("clicked on email",),
    ),
    "answers on push stop after two weeks": Fault(
        INTERACTIONS,
        f"FROM source WHERE NOT (channel = 'push' AND kind = 'opened' AND {_LATE})",
        ("opened on push",),
    ),
    "amounts on web arrive in cents": Fault(
        INTERACTIONS,
        f"SELECT * REPLACE (CASE WHEN channel = 'web' AND {_IN} THEN value * 100 ELSE value END AS value) FROM source",
        ("value of purchased on web",),
    ),
    "the region of customers goes missing": Fault(
        CUSTOMERS, "SELECT * REPLACE (CAST(NULL AS VARCHAR) AS region) FROM source", ("region",)
    ),
    "times of web move by six hours": Fault(
        INTERACTIONS,
        f"""SELECT * REPLACE (CASE WHEN channel = 'web' AND {_IN} THEN occurred_at + INTERVAL 6 HOUR
            ELSE occurred_at END AS occurred_at) FROM source""",
        ("hour of own events on web",),
    ),
    "a day of web is delivered twice": Fault(
        INTERACTIONS,
        f"""FROM source UNION ALL SELECT * REPLACE (occurred_at + INTERVAL 2 MINUTE AS occurred_at)
            FROM source WHERE channel = 'web' AND {_DAY}""",
        ("repeated within an hour on web",),
    ),
    "consents to sms collapse": Fault(
        CONSENTS,
        """FROM source UNION ALL BY NAME SELECT customer_id, channel, false AS granted,
           TIMESTAMPTZ '{since}' + INTERVAL 5 DAY AS occurred_at FROM source
           WHERE channel = 'sms' AND granted AND hash(customer_id) % 10 < 4""",
        ("consented to sms",),
    ),
    "the sender stops exploring": Fault(
        INTERACTIONS,
        f"""SELECT * REPLACE (CASE WHEN kind = 'sent' AND propensity IS NOT NULL AND {_IN} THEN 1.0
            ELSE propensity END AS propensity) FROM source WHERE NOT (kind = 'held_out' AND {_IN})""",
        ("held out", "decisions left to chance"),
    ),
    "responses to e-mail halve": Fault(
        INTERACTIONS,
        f"""WITH mailed AS (
                SELECT customer_id, occurred_at AS sent_at FROM source
                WHERE kind = 'sent' AND channel = 'email' AND propensity IS NOT NULL AND {_IN})
            SELECT source.* FROM source WHERE kind <> 'purchased' OR hash(customer_id, occurred_at) % 2 = 0
            OR NOT EXISTS (FROM mailed WHERE mailed.customer_id = source.customer_id
                AND occurred_at >= sent_at AND occurred_at < sent_at + INTERVAL 7 DAY)""",
        ("responses",),
    ),
    "the audience shifts to newcomers": Fault(
        INTERACTIONS,
        f"""SELECT source.* FROM source LEFT JOIN (SELECT customer_id, signup_at FROM customers) USING (customer_id)
            WHERE NOT (campaign_id <> 'order-confirmation' AND kind <> 'purchased' AND {_IN}
                AND signup_at < TIMESTAMPTZ '{{since}}' - INTERVAL 600 DAY
                AND hash(customer_id, campaign_id) % 10 < 8) OR campaign_id IS NULL""",
        ("tenure", "days_since_signup", "signup"),
    ),
}


def plant(name: str, data: Path, folder: Path, since: datetime, days: int) -> Path:
    """A copy of the tables in `data` in `folder` with one fault in the `days` from `since` on."""
    fault = FAULTS[name]
    shutil.copytree(data, folder, ignore=shutil.ignore_patterns(fault.table, f"{fault.table}.parquet", "truth"))
    with duckdb.connect() as connection:
        connection.execute("SET TimeZone = 'UTC'")
        for table in (INTERACTIONS, CUSTOMERS, CONSENTS):
            path = data / table / "*.parquet" if (data / table).is_dir() else data / f"{table}.parquet"
            connection.execute(f"CREATE VIEW {table} AS FROM '{path}'")
        connection.execute(f"CREATE VIEW source AS FROM {fault.table}")
        query = fault.sql.format(since=since.isoformat(), until=(since + timedelta(days=days)).isoformat())
        connection.execute(f"COPY ({query}) TO '{folder / fault.table}.parquet' (FORMAT parquet)")
    return folder
