"""Small raw tables that look for trouble, as an intake would show them: ties, edges of the horizon, loose answers."""

from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta

import duckdb
import numpy as np
import pandas as pd

from contract.params import Params

START = datetime(2024, 3, 1, tzinfo=UTC)
DAYS = 60
CUSTOMERS = 6
DAY_US = 86_400_000_000
START_US = int(START.timestamp()) * 1_000_000

CAMPAIGNS = pd.DataFrame(
    [
        ("spring", "bulk", "garden"),
        ("summer", "trigger", "sport"),
        ("plain", "bulk", None),
        ("receipt", "transactional", "garden"),
    ],
    columns=["campaign_id", "type", "category"],
)
CONSENTS = pd.DataFrame(
    {
        "customer_id": pd.Series([], dtype="str"),
        "channel": pd.Series([], dtype="str"),
        "occurred_at": pd.Series([], dtype="datetime64[us]"),
        "granted": pd.Series([], dtype="bool"),
        "purpose": pd.Series([], dtype="str"),
    }
)


HISTORY = pd.DataFrame({"customer_id": pd.Series([], dtype="str"), "valid_from": pd.Series([], dtype="datetime64[us]")})


@dataclass(frozen=True)
class Shown:
    """Raw tables, and the moment up to which they are known; `connection` shows them as an intake does."""

    interactions: pd.DataFrame
    customers: pd.DataFrame
    as_of: datetime = START + timedelta(days=DAYS)
    consents: pd.DataFrame = field(default_factory=CONSENTS.copy)
    customer_history: pd.DataFrame = field(default_factory=HISTORY.copy)

    @property
    def connection(self) -> duckdb.DuckDBPyConnection:
        connection = duckdb.connect(config={"threads": 1})
        for name, content in (
            ("interactions", self.interactions),
            ("customers", self.customers),
            ("campaigns", CAMPAIGNS),
            ("consents", self.consents),
            ("customer_history", self.customer_history),
        ):
            connection.register("arriving", content)
            connection.execute(f"CREATE TABLE {name} AS FROM arriving")
            connection.unregister("arriving")
        return connection

    def opened(self) -> "Opened":
        return Opened(self.connection, self.as_of)

    def with_consents(self, *rows: tuple[str, str | None, datetime, bool, str]) -> "Shown":
        if not rows:
            return self
        frame = pd.DataFrame(list(rows), columns=list(CONSENTS.columns)).astype({"channel": "str"})
        return replace(
            self, consents=frame.assign(occurred_at=[each.replace(tzinfo=None) for each in frame.occurred_at])
        )

    def with_rows(self, interactions: pd.DataFrame) -> "Shown":
        return replace(self, interactions=interactions)


@dataclass(frozen=True)
class Opened:
    """What the features need of an intake."""

    connection: duckdb.DuckDBPyConnection
    as_of: datetime


def raw_history(params: Params, seed: int, rows: int, *, tick_us: int = 1_000_000) -> Shown:
    """Up to `rows` interactions of some customers; whole days, horizons and a tick around them come up often."""
    rng = np.random.default_rng(seed)
    offsets = [0, 1, -1, round(params.target.horizon_days * DAY_US / tick_us)]
    time_us = START_US + rng.integers(-5, DAYS, rows) * DAY_US + rng.choice([*offsets, offsets[3] - 1], rows) * tick_us
    kind = rng.choice(
        ["sent", "sent", "sent", "held_out", "opened", "clicked", "purchased", "visited", "bounced"], rows
    )
    channel = rng.choice(["email", "sms", "store", "phone"], rows).astype(object)
    channel[kind == "held_out"] = None
    named = rng.choice(np.array(["s1", "s2", "s3", None], dtype=object), rows, p=[0.2, 0.1, 0.1, 0.6])
    frame = pd.DataFrame(
        {
            "customer_id": rng.choice([f"c{i}" for i in range(CUSTOMERS - 1)] + ["stranger"], rows),
            "occurred_at": pd.to_datetime(time_us, unit="us").astype("datetime64[us]"),
            "channel": pd.Series(channel, dtype="str"),
            "kind": pd.Series(kind, dtype="str"),
            "campaign_id": pd.Series(rng.choice([*CAMPAIGNS.campaign_id, "unknown", None], rows), dtype="str"),
            "send_id": pd.Series(named, dtype="str"),
            "value": np.where(rng.random(rows) < 0.5, np.nan, rng.integers(0, 5_000, rows) / 8),
            "cost": np.nan,
            "propensity": np.where(rng.random(rows) < 0.5, np.nan, rng.integers(1, 9, rows) / 8),
        }
    )
    copies = frame.iloc[rng.integers(0, max(rows, 1), rows // 5)] if rows else frame
    return Shown(pd.concat([frame, copies], ignore_index=True), customers_table(rng))


def customers_table(rng: np.random.Generator) -> pd.DataFrame:
    """Customers in no order; the last has no interactions."""
    signup = pd.to_datetime(START_US + rng.integers(-400, DAYS, CUSTOMERS) * DAY_US, unit="us").astype("datetime64[us]")
    frame = pd.DataFrame(
        {
            "customer_id": [f"c{i}" for i in range(CUSTOMERS)],
            "birth_year": rng.choice([1960.0, 1999.0, np.nan, 1800.0], CUSTOMERS),
            "gender": pd.Series(rng.choice(np.array(["f", "m", None], dtype=object), CUSTOMERS), dtype="str"),
            "region": pd.Series(rng.choice(["north", "south"], CUSTOMERS), dtype="str"),
            "signup_at": signup,
            "loyal": rng.random(CUSTOMERS) < 0.5,
            "income": rng.normal(size=CUSTOMERS),
        }
    )
    return frame.sample(frac=1, random_state=int(rng.integers(1000)))
