"""Our policy in Hillstrom's experiment: trained and scored by the product's own functions; values nothing."""

import tempfile
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd

from benchmarks.parts.hillstrom_tables import ARMS, CAMPAIGN, write_hillstrom
from benchmarks.parts.retail_world import Ints
from channelwise.jobs.features import timeline_of
from channelwise.jobs.score import ScoreRequest, run_score
from contract.intake import open_data
from contract.loading import load_params
from contract.progress import silent
from training.pipeline import ProfileName, train


def our_actions(
    source: Path, objective: str, teaches: npt.NDArray[np.bool_], profile: ProfileName, threads: int
) -> Ints:
    """The arm that our policy gives to each customer that does not teach, in their order; 0 is no e-mail.

    Args:
        source: hillstrom.csv.gz.
        objective: `visit` or `buy`.
        teaches: (n,), by row of the file. Nothing that the others did is in the tables.
        profile: how hard the training tries.
        threads: of it.
    """
    with tempfile.TemporaryDirectory(prefix="channelwise-") as temporary:
        folder = Path(temporary)
        made = write_hillstrom(source, folder / "data")
        customers = pd.read_parquet(folder / "data" / "customers.parquet", columns=["customer_id"])["customer_id"]
        interactions = pd.read_parquet(folder / "data" / "interactions.parquet")
        known = interactions["customer_id"].isin(customers[teaches])
        interactions[known].to_parquet(folder / "data" / "interactions.parquet", index=False)
        audience = folder / "audience.parquet"
        customers[~teaches].to_frame().to_parquet(audience, index=False)
        params = load_params([made.params], [f"objective={objective}", f"threads={threads}"])
        intake = open_data(made.folder, params, as_of=made.as_of, quarantine=None)
        with timeline_of(intake, params, silent, None) as timeline:
            bundle = train(intake, timeline, params, profile).bundle
        scores = folder / "scores.parquet"
        run_score(ScoreRequest(made.folder, audience, CAMPAIGN, made.as_of, scores, None), bundle, params, silent)
        worth = pd.read_parquet(scores).pivot_table(
            index="customer_id", columns="channel", values="expected_value", dropna=False
        )
    channels = [channel for channel in ARMS.values() if channel is not None]
    gains = worth.reindex(index=customers[~teaches], columns=channels).fillna(-np.inf).to_numpy()
    return np.asarray(np.column_stack([np.zeros(len(gains)), gains]).argmax(axis=1), dtype=np.int64)
