"""A scores file as `channelwise score` writes it, of customers whose numbers are drawn."""

from datetime import UTC, datetime

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.csv as pa_csv
import pyarrow.parquet as pq

from serving.scores import SCORE_SCHEMA

CHANNELS = ("email", "sms", "push", "phone", "mail", "social")
COST = np.array([0.002, 0.06, 0.0005, 2.5, 0.85, 0.03])
AS_OF = datetime(2026, 6, 1, tzinfo=UTC)


def score_frame(n=400, seed=0):
    """Scores of n customers as a table of `SCORE_SCHEMA`'s columns, rows by customer and channel."""
    rng = np.random.default_rng(seed)
    k = len(CHANNELS)
    eligible = rng.random((n, k)) < 0.8
    eligible[:3] = False
    uplift = rng.gamma(1.0, 0.02, (n, k)) * np.linspace(0.5, 3, k)
    alone = rng.uniform(0.01, 0.1, n)
    return pd.DataFrame(
        {
            "customer_id": np.repeat([f"{row:05d}" for row in range(n)], k),
            "channel": np.tile(CHANNELS, n),
            "preference": rng.dirichlet(np.ones(k), n).ravel(),
            "preference_rank": np.tile(np.arange(1, k + 1), n),
            "response": (alone[:, None] + uplift).ravel(),
            "response_lower": 0.0,
            "response_upper": 1.0,
            "response_no_contact": np.repeat(alone, k),
            "uplift": uplift.ravel(),
            "uplift_lower": (uplift - 0.01).ravel(),
            "uplift_upper": (uplift + 0.01).ravel(),
            "expected_value": (uplift * 30).ravel(),
            "cost": np.tile(COST, n),
            "eligible": eligible.ravel(),
            "reason": [None if each else "consent withdrawn" for each in eligible.ravel()],
            "evidence": "randomised",
            "campaign_id": "spring",
            "model_version": "7",
        }
    )


def written(frame, path, moment=AS_OF):
    """The frame as a file, Parquet or CSV by its suffix."""
    columns = {name: pa.array(frame[name].tolist(), from_pandas=True) for name in frame.columns}
    columns["as_of"] = pa.array([moment] * len(frame))
    table = pa.table({name: columns[name] for name in SCORE_SCHEMA.names if name in columns}).cast(
        pa.schema([field for field in SCORE_SCHEMA if field.name in columns])
    )
    pq.write_table(table, path) if path.suffix == ".parquet" else pa_csv.write_csv(table, path)
    return path
