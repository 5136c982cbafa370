"""Turns the bank telemarketing campaign in `examples/bank` into input tables; never reads how long a call lasted.

One row of the file is one customer with one call. What the file does not hold (years, earlier events, consents,
propensities) is rebuilt only where its own order determines it, and left away otherwise: see `examples/bank/README.md`.
Source: Moro, Cortez, Rita (2014), A data-driven approach to predict the success of bank telemarketing, Decision
Support Systems 62, 22-31.
"""

import shutil
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt
import pandas as pd

from contract.errors import DataError
from contract.kinds import SENT

CAMPAIGN: Final = "term_deposit"
SUBSCRIBED: Final = "subscribed"
HELD_BACK_ROWS: Final = 4_000
"""About so many rows at the end of the file are the audience; the cut goes to the start of a day."""

FIRST_YEAR: Final = 2008
HOUR_OF_CALLS: Final = 12
"""All calls of a day lie within this hour, so that no feature can learn from an hour that the file does not hold."""

ANSWER_AFTER: Final = np.timedelta64(1, "m")

MONTHS: Final = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
WEEKDAYS: Final = ("mon", "tue", "wed", "thu", "fri")

CUSTOMER_COLUMNS: Final[dict[str, str]] = {
    "age": "age",
    "job": "job",
    "marital": "marital",
    "education": "education",
    "default": "credit_default",
    "housing": "housing_loan",
    "loan": "personal_loan",
    "campaign": "calls_in_campaign",
    "pdays": "days_since_previous_campaign",
    "previous": "calls_before_campaign",
    "poutcome": "previous_outcome",
    "emp.var.rate": "employment_variation_rate",
    "cons.price.idx": "consumer_price_index",
    "cons.conf.idx": "consumer_confidence_index",
    "euribor3m": "euribor_3_months",
    "nr.employed": "employees_thousand",
}
"""Columns of the file that are known when the call begins, and what they are called as columns of `customers`."""

NEVER_BEFORE: Final = 999
"""What `pdays` holds where the customer was in no previous campaign, or none whose day is known."""

_CALL_COLUMNS: Final = ("contact", "month", "day_of_week", "y")

Days = npt.NDArray[np.datetime64]


@dataclass(frozen=True)
class BankSummary:
    """What was written: `calls` and `subscriptions` lie before `as_of` (UTC), the audience's calls come after it."""

    customers: int
    calls: int
    subscriptions: int
    audience: int
    audience_subscriptions: int
    as_of: datetime
    campaign: str
    params: Path
    audience_file: Path
    truth_file: Path


def shipped_bank() -> Path:
    """The folder `examples/bank` of this distribution: inside the wheel, or in a checkout."""
    inside = Path(__file__).parent / "examples" / "bank"
    return inside if inside.exists() else Path(__file__).parent.parent / "examples" / "bank"


def write_bank(source: Path, folder: Path) -> BankSummary:
    """Writes the bank's input tables, `bank.yaml`, `audience.csv` and `truth.csv` into `folder`, creating it.

    The calls of the last days are in no table: their customers are the audience at `as_of`, and what they answered is
    in `truth.csv` (customer_id, channel, subscribed), which no verb of channelwise reads.

    Args:
        source: folder that holds `bank-additional-full.csv.gz` and `bank.yaml`, as `shipped_bank()` does.
        folder: where the tables go.

    Raises:
        DataError: where the file lacks columns, or its months and weekdays cannot be dates in ascending order.
    """
    rows = _read(source / "bank-additional-full.csv.gz")
    days = rebuilt_days(rows["month"], rows["day_of_week"])
    calls = _calls(rows, days)
    first_audience_day = days[max(len(rows) - HELD_BACK_ROWS, 0)]
    known = days < first_audience_day
    subscribed = rows["y"].eq("yes").to_numpy()

    folder.mkdir(parents=True, exist_ok=True)
    summary = BankSummary(
        customers=len(rows),
        calls=int(known.sum()),
        subscriptions=int(subscribed[known].sum()),
        audience=int((~known).sum()),
        audience_subscriptions=int(subscribed[~known].sum()),
        as_of=first_audience_day.astype("datetime64[s]").astype(datetime).replace(tzinfo=UTC),
        campaign=CAMPAIGN,
        params=folder / "bank.yaml",
        audience_file=folder / "audience.csv",
        truth_file=folder / "truth.csv",
    )
    _customers(rows, calls["customer_id"]).to_parquet(folder / "customers.parquet", index=False)
    _interactions(calls[known], subscribed[known]).to_parquet(folder / "interactions.parquet", index=False)
    _campaigns(str(days[0])).to_parquet(folder / "campaigns.parquet", index=False)
    calls.loc[~known, ["customer_id"]].to_csv(summary.audience_file, index=False)
    truth = calls.loc[~known, ["customer_id", "channel"]].assign(subscribed=subscribed[~known].astype(int))
    truth.to_csv(summary.truth_file, index=False)
    shutil.copyfile(source / "bank.yaml", summary.params)
    return summary


def rebuilt_days(month: "pd.Series[str]", weekday: "pd.Series[str]") -> Days:
    """The day of each row, datetime64[D] of shape (n_rows,): each change of weekday is the earliest day that fits.

    The file ascends in time from May 2008; a month before its predecessor begins a year. On the shipped file this gives
    days without contradiction, and leaves out just such holidays as Corpus Christi 2008.

    Raises:
        DataError: where no ascending days fit, so that the file cannot be in order of time.
    """
    changed = month.ne(month.shift()).to_numpy() | weekday.ne(weekday.shift()).to_numpy()
    firsts = np.flatnonzero(changed)
    days: list[date] = []
    year, month_before = FIRST_YEAR, 0
    for row in firsts:
        month_now = MONTHS.index(month.iloc[row]) + 1
        year += month_now < month_before
        days.append(_next_day(days[-1] if days else None, year, month_now, WEEKDAYS.index(weekday.iloc[row])))
        if (days[-1].year, days[-1].month) != (year, month_now):
            found = f"{month.iloc[row]} {weekday.iloc[row]}"
            raise DataError(f"bank: row {row + 1}: no {found} is left in {year}; keep the rows in the file's own order")
        month_before = month_now
    return np.repeat(np.array(days, dtype="datetime64[D]"), np.diff(np.append(firsts, len(month))))


def _next_day(before: date | None, year: int, month: int, weekday: int) -> date:
    earliest = date(year, month, 1)
    if before is not None:
        earliest = max(earliest, before + timedelta(days=1))
    return earliest + timedelta(days=(weekday - earliest.weekday()) % 7)


def _read(path: Path) -> pd.DataFrame:
    needed = [*CUSTOMER_COLUMNS, *_CALL_COLUMNS]
    present = pd.read_csv(path, sep=";", nrows=0).columns
    missing = [column for column in needed if column not in present]
    if missing:
        raise DataError(f"bank: {path} lacks {', '.join(missing)}; use the unaltered bank-additional-full.csv.gz")
    rows = pd.read_csv(path, sep=";", usecols=needed)
    _only(rows["month"], MONTHS)
    _only(rows["day_of_week"], WEEKDAYS)
    _only(rows["contact"], ("telephone", "cellular"))
    _only(rows["y"], ("yes", "no"))
    return rows


def _only(column: "pd.Series[str]", known: tuple[str, ...]) -> None:
    strange = sorted(str(value) for value in set(column) - set(known))
    if strange:
        raise DataError(f"bank: {column.name} holds {', '.join(strange[:5])}; expected only {', '.join(known)}")


def _calls(rows: pd.DataFrame, days: Days) -> pd.DataFrame:
    """One call a row in the file's order, spread evenly over one hour of its day."""
    _, day_number, per_day = np.unique(days, return_inverse=True, return_counts=True)
    place = np.arange(len(days)) - (np.cumsum(per_day) - per_day)[day_number]
    seconds = 3600 * (HOUR_OF_CALLS + (place + 0.5) / per_day[day_number])
    number = pd.Series(np.arange(1, len(rows) + 1)).map("{:05}".format)
    return pd.DataFrame(
        {
            "customer_id": "bank-" + number,
            "occurred_at": days.astype("datetime64[us]") + (seconds * 1e6).astype("timedelta64[us]"),
            "channel": rows["contact"],
            "send_id": "call-" + number,
        }
    )


def _customers(rows: pd.DataFrame, customer_id: "pd.Series[str]") -> pd.DataFrame:
    columns = rows[list(CUSTOMER_COLUMNS)].rename(columns=CUSTOMER_COLUMNS)
    since = columns["days_since_previous_campaign"].astype("Int64")
    columns["days_since_previous_campaign"] = since.mask(since == NEVER_BEFORE)
    columns.insert(0, "customer_id", customer_id)
    return columns


def _interactions(calls: pd.DataFrame, subscribed: npt.NDArray[np.bool_]) -> pd.DataFrame:
    answers = calls[subscribed].assign(kind=SUBSCRIBED, occurred_at=calls["occurred_at"] + ANSWER_AFTER)
    both = pd.concat([calls.assign(kind=SENT), answers], ignore_index=True).assign(campaign_id=CAMPAIGN)
    both["occurred_at"] = both["occurred_at"].dt.tz_localize("UTC")
    return both


def _campaigns(first_day: str) -> pd.DataFrame:
    return pd.DataFrame(
        {
            "campaign_id": [CAMPAIGN],
            "starts_at": pd.to_datetime([first_day], utc=True),
            "name": ["Term deposit by telephone"],
            "objective": ["sell"],
            "type": ["bulk"],
            "category": ["deposit"],
        }
    )
