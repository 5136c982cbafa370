"""Features as files, for people and other programs to look at; models read them from the timeline instead."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.csv as pa_csv
import pyarrow.parquet as pq

from contract.params import Params
from contract.progress import Progress
from features.engines import Source
from features.matrix import ACTION, CAMPAIGN_CATEGORY, FeatureSet, Matrix
from features.spine import batch_spine
from features.timeline import Timeline

_KEYS = (pa.field("customer_id", pa.string()), pa.field("as_of", pa.timestamp("us", tz="UTC")))


def feature_writer(path: Path, names: Sequence[str]) -> pq.ParquetWriter:
    """A Parquet file of keys and float32 columns, in the form that takes least time to write and read.

    Features repeat little, so that a dictionary, statistics and a strong compression cost more than they bring.
    """
    schema = pa.schema([*_KEYS, *(pa.field(name, pa.float32()) for name in names)])
    keys = [field.name for field in _KEYS]
    return pq.ParquetWriter(path, schema, compression="lz4", use_dictionary=keys, write_statistics=keys)


def feature_rows(schema: pa.Schema, ids: pa.Array, as_of_us: npt.NDArray[np.int64], block: Matrix) -> pa.Table:
    """A block of features (n, k) with the (n,) ids and moments that it describes."""
    columns = map(pa.array, np.ascontiguousarray(block.T))
    return pa.Table.from_arrays([ids.cast(pa.string()), pa.array(as_of_us, _KEYS[1].type), *columns], schema=schema)


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
    with feature_writer(folder / "features.parquet", chosen.names) as writer:
        for rows, block in chosen.iterate(timeline, spine, demographics, threads=params.threads):
            ids = timeline.ids[rows.start : rows.stop]
            writer.write_table(feature_rows(writer.schema, ids, spine.as_of_us[rows], block))
            progress("features", rows.stop, len(spine))
    described = chosen.describe()
    columns = {name: [str(getattr(each, name)) for each in described] for name in ("name", "meaning", "unit")}
    pa_csv.write_csv(pa.table(columns), folder / "describe.csv")
    return len(described)
