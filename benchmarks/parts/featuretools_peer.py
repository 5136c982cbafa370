"""Featuretools over a slice of the history, run by an environment of its own: needs nothing of this project.

`python featuretools_peer.py RAW_PARQUET CUSTOMERS ROWS` describes ROWS decisions at their own moments (cutoff times)
by counts per kind, channel and both, sums, means and the time since the last event, and prints seconds as JSON.
"""

import json
import sys
import time
import warnings

warnings.simplefilter("ignore")

import featuretools as ft  # noqa: E402
import pandas as pd  # noqa: E402
import pyarrow.compute as pc  # noqa: E402
import pyarrow.parquet as pq  # noqa: E402


def main(raw: str, customers: int, rows: int) -> None:
    group = pq.ParquetFile(raw).read_row_group(0)
    events = group.filter(pc.less(group["customer"], customers)).to_pandas()
    events["time"] = pd.to_datetime(events["ts"], unit="us")
    events["id"] = range(len(events))
    for name in ("kind", "channel", "category"):
        events[name] = events[name].astype(str)
    cutoffs = events.sample(rows, random_state=0)[["customer", "time"]].sort_values("time")
    data = ft.EntitySet("history")
    data = data.add_dataframe(
        dataframe_name="events",
        dataframe=events[["id", "customer", "time", "kind", "channel", "category", "value"]],
        index="id",
        time_index="time",
        logical_types=dict.fromkeys(("kind", "channel", "category"), "Categorical"),
    )
    data = data.normalize_dataframe("events", "customers", "customer", make_time_index=False)
    for name in ("kind", "channel"):
        data.add_interesting_values(dataframe_name="events", values={name: sorted(events[name].unique())})
    start = time.process_time()
    matrix, _ = ft.dfs(
        entityset=data,
        target_dataframe_name="customers",
        cutoff_time=cutoffs.rename(columns={"customer": "customer", "time": "time"}),
        agg_primitives=["count", "sum", "mean", "time_since_last", "num_unique", "mode", "entropy", "trend"],
        where_primitives=["count", "time_since_last", "sum"],
        trans_primitives=[],
        training_window="365 days",
        n_jobs=1,
    )
    print(json.dumps({"rows": len(matrix), "features": matrix.shape[1], "cpu_s": time.process_time() - start}))


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]))
