"""One shop in every form in which data may be delivered: ties, copies, half cents, changes of the clock, odd ids.

The instants are the same in every form; a form only chooses how to spell them.
"""

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import duckdb
import numpy as np
import pandas as pd

from tests.adapters.small_shop import write_shop

AS_OF: Final = datetime(2026, 4, 1, tzinfo=UTC)
# UTF-8 and UTF-16 order the last two differently; spaces, quotes and commas look for a careless format.
IDS: Final = [
    "c10",
    "c9",
    "C9",
    "10",
    "9",
    " c",
    'q"uote',
    "co,mma",
    "it's",
    "ümlaut",
    "\uff5e1",
    "\U0001d4b31",
    "none",
]
CROWDED: Final = "c9"
_US: Final = 1_000_000
_DAY: Final = 86_400 * _US
_START: Final = 1_743_000_000 * _US  # 2025-03-26
# Both changes of Berlin's clock, an hour around each, and midnights of New York.
_CHANGES: Final = [1_743_296_400, 1_761_440_400, 1_743_294_600, 1_761_442_200, 1_743_220_800, 1_761_537_600]


def hostile_tables(seed: int = 3) -> dict[str, pd.DataFrame]:
    """Unsorted tables whose times are naive UTC, of microseconds."""
    rng = np.random.default_rng(seed)
    rows = 9_000
    some = rng.choice([each for each in IDS if each != "none"], rows)
    customer = np.where(rng.random(rows) < 0.6, CROWDED, some)
    grid = _START + rng.integers(0, 360, rows) * _DAY + rng.choice([0, 0, 1, -1, 3_600 * _US, 500_001], rows)
    moment = np.where(rng.random(rows) < 0.1, rng.choice(_CHANGES, rows) * _US, grid)
    kind = rng.choice(["sent", "held_out", "opened", "clicked", "purchased", "visited"], rows)
    channel = rng.choice(["email", "sms", "web", "store"], rows).astype(object)
    channel[kind == "held_out"] = None
    value = rng.choice([np.nan, 0.125, 0.375, 1.005, 19.99, 2.675, 1234.565], rows)
    interactions = pd.DataFrame(
        {
            "customer_id": customer,
            "occurred_at": _times(moment),
            "channel": pd.Series(channel, dtype="str"),
            "kind": kind,
            "campaign_id": pd.Series(rng.choice(np.array(["A", "B", "gone", None], dtype=object), rows), dtype="str"),
            "value": value,
        }
    )
    copies = interactions.iloc[rng.integers(0, rows, 200)]
    granted = [each for each in IDS if each != "9"]
    return {
        "interactions": pd.concat([interactions, copies]).sample(frac=1, random_state=seed).reset_index(drop=True),
        "customers": pd.DataFrame({"customer_id": IDS, "birth_year": [1950 + i for i in range(len(IDS))]}),
        "consents": pd.DataFrame(
            {
                "customer_id": granted,
                "channel": "email",
                "occurred_at": _times(np.full(len(granted), _START - 1)),
                "granted": [each != "10" for each in granted],
                "purpose": "profiling",
            }
        ),
        "campaigns": pd.DataFrame(
            {
                "campaign_id": ["B", "A"],
                "starts_at": _times(np.array([_START, _START])),
                "type": ["transactional", "bulk"],
                "category": pd.Series([None, "garden, flowers"], dtype="str"),
            }
        ),
    }


def _times(us: "np.typing.NDArray[np.int64]") -> pd.Series:
    return pd.Series(pd.to_datetime(us, unit="us").astype("datetime64[us]"))


def zoned(tables: dict[str, pd.DataFrame], zone: str) -> dict[str, pd.DataFrame]:
    """The same instants as the clocks of a zone show them."""
    times = ["occurred_at", "starts_at"]
    return {
        name: frame.assign(
            **{each: frame[each].dt.tz_localize("UTC").dt.tz_convert(zone) for each in times if each in frame}
        )
        for name, frame in tables.items()
    }


def as_parquet(folder: Path) -> Path:
    return write_shop(folder, zoned(hostile_tables(), "Europe/Berlin"))


def as_naive_parquet(folder: Path) -> Path:
    return write_shop(folder, hostile_tables())


def as_csv(folder: Path) -> Path:
    """Some rows without a zone, some with Z, some with the offset of Berlin or of New York at that time."""
    tables = hostile_tables()
    spelled = [tables, *(zoned(tables, zone) for zone in ("UTC", "Europe/Berlin", "America/New_York"))]
    mixed = {}
    for name, frame in tables.items():
        mixed[name] = frame.copy()
        for time in {"starts_at", "occurred_at"} & set(frame):
            texts = [[moment.isoformat() for moment in each[name][time]] for each in spelled]
            mixed[name][time] = [texts[i % len(texts)][i] for i in range(len(frame))]
    return write_shop(folder, mixed, "csv")


def as_database(folder: Path) -> Path:
    folder.mkdir()
    with duckdb.connect(str(folder / "shop.duckdb")) as database:
        database.execute("SET TimeZone = 'America/New_York'")
        for name, frame in zoned(hostile_tables(), "Europe/Berlin").items():
            database.register("frame", frame)
            database.execute(f"CREATE TABLE {name} AS FROM frame")
    return folder / "shop.duckdb"


FILES: Final[dict[str, Callable[[Path], Path]]] = {
    "Parquet": as_parquet,
    "naive Parquet": as_naive_parquet,
    "CSV": as_csv,
    "DuckDB": as_database,
}
DATABASES: Final = {"PostgreSQL": "timestamptz", "naive PostgreSQL": "timestamp"}


def postgres_statements(time: str) -> list[str]:
    """The tables of a database whose times have this type."""
    return [
        "CREATE DOMAIN euros AS numeric(12, 3)",
        "CREATE TYPE step AS ENUM ('sent', 'held_out', 'opened', 'clicked', 'purchased', 'visited')",
        f"""CREATE TABLE interactions (customer_id text, occurred_at {time}, channel varchar(20), kind step,
            campaign_id char(6), value euros)""",
        "CREATE TABLE customers (customer_id text PRIMARY KEY, birth_year smallint)",
        f"CREATE TABLE consents (customer_id text, channel text, occurred_at {time}, granted boolean, purpose text)",
        f"CREATE TABLE campaigns (campaign_id text, starts_at {time}, type text, category text)",
    ]


def postgres_rows(time: str) -> dict[str, pd.DataFrame]:
    """The rows for `postgres_statements`."""
    return zoned(hostile_tables(), "Europe/Berlin") if time == "timestamptz" else hostile_tables()
