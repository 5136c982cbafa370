"""A shop of a hundred customers without a fault, small enough to break one thing in it at a time."""

from pathlib import Path

import pandas as pd

CUSTOMERS = 100
START = pd.Timestamp("2026-01-01 09:00", tz="UTC")


def shop_tables() -> dict[str, pd.DataFrame]:
    """The four tables: each customer gets an e-mail, half click, a quarter buys; the last day is 11 January 2026."""
    ids = [f"c{number:03}" for number in range(CUSTOMERS)]
    customers = pd.DataFrame({"customer_id": ids, "birth_year": [1950 + i % 50 for i in range(CUSTOMERS)]})
    consents = pd.DataFrame({"customer_id": ids, "channel": "email", "occurred_at": START, "granted": True})
    campaigns = pd.DataFrame({"campaign_id": ["NEW_YEAR"], "starts_at": [START], "category": ["garden"]})
    parts = (("sent", "email", 1, 0, None), ("clicked", "email", 2, 1, None), ("purchased", "web", 4, 2, 19.99))
    interactions = pd.concat(
        pd.DataFrame(
            {
                "customer_id": ids[::every],
                "occurred_at": [START + pd.Timedelta(days=number % 10, hours=later) for number in range(0, 100, every)],
                "channel": channel,
                "kind": kind,
                "campaign_id": "NEW_YEAR",
                "value": value,
                "propensity": 0.5 if kind == "sent" else None,
            }
        ).astype({"value": float, "propensity": float})
        for kind, channel, every, later, value in parts
    )
    return {
        "customers": customers,
        "interactions": interactions.reset_index(drop=True),
        "consents": consents,
        "campaigns": campaigns,
    }


def write_shop(folder: Path, tables: dict[str, pd.DataFrame], suffix: str = "parquet") -> Path:
    """Writes each table as `NAME.parquet` or `NAME.csv` into `folder`."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, table in tables.items():
        if suffix == "csv":
            table.to_csv(folder / f"{name}.csv", index=False)
        else:
            table.to_parquet(folder / f"{name}.parquet", index=False)
    return folder
