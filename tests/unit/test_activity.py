"""What happened in each period is counted as a hand would count it."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import duckdb
import numpy as np
import pytest

from contract.loading import load_params
from features.activity import Activity, Periods, activity
from features.permission import permit

UNTIL = datetime(2026, 3, 1, tzinfo=UTC)
UNTIL_US = int(UNTIL.timestamp() * 1e6)
PERIODS = Periods(UNTIL_US, 7, 2)


def at(days: float) -> str:
    """So many days before the end."""
    return (UNTIL - timedelta(days=days)).strftime("%Y-%m-%d %H:%M:%S")


INTERACTIONS = [
    ("a", at(13), "email", "sent", None),
    ("a", at(12.9), "email", "clicked", None),
    ("a", at(6), "email", "sent", None),
    ("b", at(5), "email", "sent", None),
    ("b", at(4.75), "email", "clicked", None),
    ("b", at(3), "web", "purchased", 30.0),
    ("b", at(3 - 0.01), "web", "purchased", 30.0),
    ("c", at(2), "web", "purchased", 90.0),
    ("c", at(1), None, "held_out", None),
    ("c", at(20), "web", "visited", None),
]
CONSENTS = [
    ("a", "email", at(30), True),
    ("b", "email", at(30), True),
    ("b", "email", at(6.5), False),
    ("c", "sms", at(5), True),
]


@pytest.fixture
def counted() -> Iterator[Activity]:
    with duckdb.connect() as connection:
        connection.execute("""
            CREATE TABLE interactions (customer_id VARCHAR, occurred_at TIMESTAMP, channel VARCHAR, kind VARCHAR,
                value DOUBLE, campaign_id VARCHAR);
            CREATE TABLE consents (customer_id VARCHAR, channel VARCHAR, occurred_at TIMESTAMP, granted BOOLEAN,
                purpose VARCHAR);
            CREATE TABLE customers AS SELECT unnest(['a', 'b', 'c']) AS customer_id""")
        connection.executemany("INSERT INTO interactions VALUES (?, ?, ?, ?, ?, NULL)", INTERACTIONS)
        connection.executemany("INSERT INTO consents VALUES (?, ?, ?, ?, 'contact')", CONSENTS)
        permit(connection, UNTIL_US)
        yield activity(connection, load_params(), PERIODS)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("sent on email", [(1, 7), (2, 7)]),
        ("clicked per send on email", [(1, 1), (1, 2)]),
        ("value of purchased on web", [(0, 0), (150, 3)]),
        ("repeated within an hour on web", [(0, 0), (1, 3)]),
        ("consented to email", [(2, 2), (1, 3)]),
        ("consented to sms", [(0, 2), (1, 3)]),
        ("consented to push", [(0, 2), (0, 3)]),
        ("busiest day on web", [(0, 0), (2, 3 / 7)]),
    ],
)
def test_figures_are_amount_and_basis(counted: Activity, name: str, expected: list[tuple[float, float]]) -> None:
    assert counted.figures[name].tolist() == [pytest.approx(each) for each in expected]


def test_days_and_hours_hold_their_events(counted: Activity) -> None:
    assert counted.daily["web", "purchased"][1].tolist() == [0, 0, 0, 0, 2, 1, 0]
    assert counted.hours["web"].sum(axis=1).tolist() == [0, 3]
    assert counted.hours["web"][1][0] == 3, "at midnight and a quarter past"
    assert {kind for _, kind in counted.daily} == {"sent", "clicked", "purchased"}


def test_a_period_is_half_open() -> None:
    edges = np.array([PERIODS.since_us, PERIODS.since_us + 7 * 86_400_000_000 - 1, UNTIL_US - 1])
    assert PERIODS.of(edges).tolist() == [0, 0, 1]
