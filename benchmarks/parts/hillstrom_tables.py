"""Turns Hillstrom's e-mail experiment (2008) into input tables; the file is not shipped, as it names no licence.

Each e-mail is a channel of its own, the control is `held_out`, and every action was drawn with probability 1/3. The
file has neither customers' ids nor dates: a row is a customer, and decisions are spread over `DAYS` by row number,
which the draw knew nothing of. Visits and purchases lie a day and two days later, within the experiment's two weeks.
"""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

import numpy as np
import pandas as pd

CAMPAIGN: Final = "spring_2008"
FIRST_DAY: Final = pd.Timestamp("2008-03-01 12:00", tz="UTC")
DAYS: Final = 84
HORIZON_DAYS: Final = 14
COST_EUR: Final = 0.01
ARMS: Final = {"Mens E-Mail": "mens_email", "Womens E-Mail": "womens_email", "No E-Mail": None}
CUSTOMER_COLUMNS: Final = ("recency", "history", "mens", "womens", "zip_code", "newbie", "past_channel")

PARAMS: Final = f"""
objective: visit
objectives:
  visit: {{kinds: [visited], horizon_days: {HORIZON_DAYS}, worth_eur: 1, counts: customer}}
  buy: {{kinds: [purchased], horizon_days: {HORIZON_DAYS}, margin_rate: 1.0, counts: customer}}
channels:
  mens_email: {{direction: outbound, medium: digital, unit_cost: {COST_EUR}, consent: false}}
  womens_email: {{direction: outbound, medium: digital, unit_cost: {COST_EUR}, consent: false}}
  site: {{direction: inbound, medium: digital, unit_cost: 0, consent: false, records: [visited, purchased]}}
  email: null
  sms: null
  push: null
  phone: null
  mail: null
  store: null
  web: null
  app: null
  social: null
tables:
  customers:
    features: [{", ".join(CUSTOMER_COLUMNS)}]
training: {{test_days: 14, validation_days: 14}}
"""


@dataclass(frozen=True)
class Hillstrom:
    """The tables' folder, its parameters, and a time (UTC) by which every horizon is over."""

    folder: Path
    params: Path
    as_of: datetime


def write_hillstrom(source: Path, folder: Path) -> Hillstrom:
    """Writes customers, interactions, campaigns and `hillstrom.yaml` made of `source` (hillstrom.csv.gz)."""
    rows = pd.read_csv(source).rename(columns={"channel": "past_channel"})
    rows["customer_id"] = [f"h{number:05}" for number in range(1, len(rows) + 1)]
    rows["decided_at"] = FIRST_DAY + pd.to_timedelta(np.arange(len(rows)) % DAYS, unit="D")
    folder.mkdir(parents=True, exist_ok=True)
    rows[["customer_id", *CUSTOMER_COLUMNS]].to_parquet(folder / "customers.parquet", index=False)
    _interactions(rows).to_parquet(folder / "interactions.parquet", index=False)
    campaign = {"campaign_id": [CAMPAIGN], "starts_at": [FIRST_DAY], "objective": ["sell"], "type": ["bulk"]}
    pd.DataFrame(campaign).to_parquet(folder / "campaigns.parquet", index=False)
    params = folder / "hillstrom.yaml"
    params.write_text(PARAMS)
    end = FIRST_DAY.to_pydatetime() + timedelta(days=DAYS + HORIZON_DAYS)
    return Hillstrom(folder, params, end.astimezone(UTC))


def _interactions(rows: pd.DataFrame) -> pd.DataFrame:
    sent = rows["segment"].ne("No E-Mail")
    decisions = pd.DataFrame(
        {
            "customer_id": rows["customer_id"],
            "occurred_at": rows["decided_at"],
            "channel": rows["segment"].map(ARMS),
            "kind": np.where(sent, "sent", "held_out"),
            "campaign_id": CAMPAIGN,
            "propensity": 1 / 3,
        }
    )
    return pd.concat([decisions, _steps(rows, "visit", "visited", 1), _steps(rows, "conversion", "purchased", 2)])


def _steps(rows: pd.DataFrame, flag: str, kind: str, days_later: int) -> pd.DataFrame:
    those = rows[rows[flag] == 1]
    return pd.DataFrame(
        {
            "customer_id": those["customer_id"],
            "occurred_at": those["decided_at"] + pd.Timedelta(days=days_later),
            "channel": "site",
            "kind": kind,
            "value": those["spend"] if kind == "purchased" else np.nan,
        }
    )
