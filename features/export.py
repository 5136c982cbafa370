"""Features as files, for people and other programs to look at; models read them from the timeline instead."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.csv as pa_csv
import pyarrow.parquet as pq

from contract.params import Params
from contract.progress import Progress
from features.engines import Source
from features.matrix import ACTION, CAMPAIGN_CATEGORY, FeatureSet
from features.spine import batch_spine
from features.timeline import Timeline

_KEYS = (pa.field("customer_id", pa.string()), pa.field("as_of", pa.timestamp("us", tz="UTC")))


def customer_columns(features: FeatureSet) -> FeatureSet:
    """The columns that describe a customer at a moment, apart from any campaign or candidate channel."""
    apart = {ACTION, CAMPAIGN_CATEGORY, *features.candidate}
    return features.select([name for name in features.names if name not in apart])


def write_customer_features(
    intake: Source, timeline: Timeline, features: FeatureSet, params: Params, folder: Path, progress: Progress
) -> int:
    """Writes `features.parquet`, a row per customer at the timeline's end, and `describe.csv`, a row per column.

    Returns:
        How many features there are.
    """
    chosen = customer_columns(features)
    spine = batch_spine(np.arange(timeline.n_customers), timeline.window.until_us)
    demographics = features.demographic.table(intake, timeline)
    schema = pa.schema([*_KEYS, *(pa.field(name, pa.float32()) for name in chosen.names)])
    with pq.ParquetWriter(folder / "features.parquet", schema, compression="zstd") as writer:
        for rows, block in chosen.iterate(timeline, spine, demographics, threads=params.threads):
            ids = timeline.ids[rows.start : rows.stop].cast(pa.string())
            keys = [ids, pa.array(spine.as_of_us[rows], _KEYS[1].type)]
            writer.write_table(pa.Table.from_arrays([*keys, *map(pa.array, block.T.copy())], schema=schema))
            progress("features", rows.stop, len(spine))
    described = chosen.describe()
    columns = {name: [str(getattr(each, name)) for each in described] for name in ("name", "meaning", "unit")}
    pa_csv.write_csv(pa.table(columns), folder / "describe.csv")
    return len(described)
