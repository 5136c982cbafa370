"""Whatever mix of faults the rows have, each row is accepted or quarantined, once, whatever their order and parts."""

import tempfile
from collections import Counter
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pandas as pd
from hypothesis import given, settings
from hypothesis import strategies as st

from contract.intake import open_data
from contract.loading import load_params
from tests.adapters.small_shop import write_shop

AS_OF = datetime(2026, 1, 12, tzinfo=UTC)
PARAMS = load_params(
    assignments=["check.allow_quarantine=[customers, interactions, consents, campaigns, propensities]"]
)
IDS = st.sampled_from(["a", "b", "c", "nobody", "", None])
MOMENTS = st.sampled_from(["2026-01-01T10:00:00Z", "2026-01-02", "1969-12-31", "2026-01-20", None])
AMOUNTS = st.sampled_from([None, 0.0, 3.5, -1.0, float("inf")])

INTERACTIONS = st.fixed_dictionaries(
    {
        "customer_id": IDS,
        "occurred_at": MOMENTS,
        "channel": st.sampled_from(["email", "web", None]),
        "kind": st.sampled_from(["sent", "held_out", "purchased", None]),
        "value": AMOUNTS,
        "propensity": st.sampled_from([None, 0.5, 1.0, 0.0, 1.5]),
    }
)
CONSENTS = st.fixed_dictionaries(
    {
        "customer_id": IDS,
        "channel": st.sampled_from(["email", "sms", None]),
        "occurred_at": MOMENTS,
        "granted": st.sampled_from(["true", "no", None]),
        "purpose": st.sampled_from(["contact", "profiling", None]),
    }
)
CUSTOMERS = st.fixed_dictionaries(
    {"customer_id": st.sampled_from(["a", "b", "c", None]), "birth_year": st.sampled_from([1950, 1960, None])}
)
PROPENSITIES = st.fixed_dictionaries(
    {
        "customer_id": IDS,
        "campaign_id": st.sampled_from(["k", None]),
        "channel": st.sampled_from(["email", None]),
        "propensity": st.sampled_from([0.0, 0.3, 1.1, None]),
    }
)
FRAMES = st.fixed_dictionaries(
    {
        "customers": st.lists(CUSTOMERS, max_size=6),
        "interactions": st.lists(INTERACTIONS, max_size=12),
        "consents": st.lists(CONSENTS, max_size=8),
        "propensities": st.lists(PROPENSITIES, max_size=8),
    }
)
GOOD = {
    "customers": {"customer_id": "a", "birth_year": 1950},
    "interactions": {
        "customer_id": "a",
        "occurred_at": "2026-01-01T10:00:00Z",
        "channel": "email",
        "kind": "sent",
        "value": 1.0,
        "propensity": 0.5,
    },
    "consents": {
        "customer_id": "a",
        "channel": "email",
        "occurred_at": "2026-01-01",
        "granted": "true",
        "purpose": "contact",
    },
    "propensities": {"customer_id": "a", "campaign_id": "k", "channel": "email", "propensity": 0.4},
}


def tables_of(rows):
    """Tables with one good row ahead of the drawn ones, so that no column is without a readable value."""
    tables = {name: pd.DataFrame([GOOD[name], *drawn]) for name, drawn in rows.items()}
    return {**tables, "campaigns": pd.DataFrame({"campaign_id": ["k"], "starts_at": ["2026-01-01"]})}


def checked(tables, suffix, parts=1):
    with tempfile.TemporaryDirectory() as place:
        folder, aside = Path(place) / "data", Path(place) / "aside"
        for name, table in tables.items():
            for number, rows in enumerate(np.array_split(np.arange(len(table)), parts)):
                write_shop(folder / name, {f"part{number}": table.iloc[rows]}, suffix)
        intake = open_data(folder, PARAMS, as_of=AS_OF, quarantine=aside)
        accepted = {name: intake.connection.execute(f"SELECT * FROM {name}").fetchall() for name in tables}
        set_aside = {file.stem: len(pd.read_parquet(file)) for file in aside.glob("*.parquet")}
        intake.connection.close()
    return intake.report, accepted, set_aside


@settings(max_examples=10)
@given(rows=FRAMES, order=st.randoms(use_true_random=False))
def test_accepted_and_quarantined_are_all_rows_in_any_order_and_form(rows, order):
    tables = tables_of(rows)
    report, accepted, set_aside = checked(tables, "parquet")
    for table in report.tables:
        assert table.rows == len(tables[table.table])
        assert table.accepted + table.quarantined == table.rows
        assert table.accepted == len(accepted[table.table])
        assert table.quarantined == set_aside.get(table.table, 0)
    shuffled = {name: table.sample(frac=1, random_state=order.randint(0, 99)) for name, table in tables.items()}
    _, again, _ = checked(shuffled, "csv", parts=2)
    assert {name: Counter(found) for name, found in again.items()} == {
        name: Counter(found) for name, found in accepted.items()
    }


@settings(max_examples=15)
@given(rows=FRAMES)
def test_what_is_accepted_keeps_every_rule_and_nothing_good_is_lost(rows):
    tables = tables_of(rows)
    _, accepted, _ = checked(tables, "parquet")
    known = set(tables["customers"]["customer_id"].dropna())
    assert {row[0] for row in accepted["customers"]} == known
    assert len(accepted["customers"]) == len(known)
    expected = set()
    for row in tables["interactions"].itertuples():
        good = row.customer_id in known and row.occurred_at in ("2026-01-01T10:00:00Z", "2026-01-02")
        good = good and isinstance(row.kind, str) and (isinstance(row.channel, str) or row.kind == "held_out")
        good = (
            good and not row.value < 0 and not np.isinf(row.value) and not (row.propensity <= 0 or row.propensity > 1)
        )
        if good:
            value, propensity = (None if np.isnan(each) else each for each in (row.value, row.propensity))
            channel = row.channel if isinstance(row.channel, str) else None
            expected.add((row.customer_id, row.occurred_at[:10], channel, row.kind, value, propensity))
    found = [(row[0], str(row[1])[:10], row[2], row[3], row[6], row[8]) for row in accepted["interactions"]]
    assert len(found) == len(set(found))
    assert set(found) == expected
