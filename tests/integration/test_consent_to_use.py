"""What customers do not allow to be used moves no byte of any output, from training to plan; and the scores say so."""

import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest

from channelwise.jobs.features import timeline_of
from channelwise.jobs.score import ScoreRequest, run_score
from contract.intake import open_data
from contract.loading import load_params
from contract.progress import silent
from features.timeline import build_timeline
from serving.limits import limits_of
from serving.plan import make_plan
from simulation.config import RetailerConfig
from simulation.retailer import write_retailer
from training.pipeline import train

CONFIG = RetailerConfig(1_200, seed=4, years=1)
SMALL = [f"training.profiles.quick.{each}" for each in ("max_decisions=4000", "trees=15", "refit=true")]
PARAMS = load_params(assignments=["threads=1", *SMALL])
OWN = ["opened", "clicked", "visited", "purchased", "called", "shared", "chatted", "reviewed", "returned"]


@pytest.fixture(scope="module")
def shop(tmp_path_factory):
    """A retailer where two in three allow tracking, and nine in ten profiling; its campaign and who refuses what."""
    folder = tmp_path_factory.mktemp("shop") / "data"
    summary = write_retailer(CONFIG, folder)
    ids = np.sort(pd.read_parquet(folder / "customers.parquet")["customer_id"].to_numpy())
    number = np.arange(len(ids))
    consents = pd.read_parquet(folder / "consents.parquet")
    asked = {"tracking": ids[number % 3 > 0], "profiling": ids[number % 10 > 0]}
    granted = [
        pd.DataFrame({"customer_id": given, "channel": None, "granted": True, "purpose": purpose}).assign(
            occurred_at=CONFIG.start_s * 1_000_000_000
        )
        for purpose, given in asked.items()
    ]
    further = pd.concat(granted).assign(occurred_at=lambda rows: pd.to_datetime(rows["occurred_at"], utc=True))
    both = pd.concat(
        [consents.assign(purpose="contact"), further.astype({"occurred_at": consents["occurred_at"].dtype})]
    )
    both.to_parquet(folder / "consents.parquet", index=False)
    refusing = {purpose: set(ids) - set(given) for purpose, given in asked.items()}
    return folder, summary.campaign_id, refusing


def outputs(data: Path, campaign: str, folder: Path) -> dict[str, bytes]:
    """The content of every file that training, scoring and planning write."""
    folder.mkdir()
    intake = open_data(data, PARAMS, as_of=CONFIG.end, quarantine=None)
    with timeline_of(intake, PARAMS, silent, None) as timeline:
        bundle = train(intake, timeline, PARAMS, "quick").bundle
    bundle.save(folder / "bundle")
    scores = folder / "scores.parquet"
    run_score(ScoreRequest(data, data / "audience.parquet", campaign, CONFIG.end, scores, None), bundle, PARAMS, silent)
    make_plan(scores, folder / "plan.parquet", PARAMS, limits_of(PARAMS, 60.0, {}))
    files = [path for path in sorted(folder.rglob("*")) if path.is_file()]
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in files}


def rewritten(data: Path, folder: Path, change) -> Path:
    """The shop with its interactions changed."""
    shutil.copytree(data, folder)
    rows = pd.concat([pd.read_parquet(part) for part in sorted((folder / "interactions").iterdir())])
    shutil.rmtree(folder / "interactions")
    change(rows).to_parquet(folder / "interactions.parquet", index=False)
    return folder


def test_what_may_not_be_used_moves_no_byte_and_scores_say_so(shop, tmp_path):
    data, campaign, refusing = shop

    def without(rows):
        """No open of the untracked, no step of the unprofiled."""
        untracked = rows["customer_id"].isin(refusing["tracking"]) & (rows["kind"] == "opened")
        unprofiled = rows["customer_id"].isin(refusing["profiling"]) & rows["kind"].isin(OWN)
        assert untracked.sum() > 500
        assert unprofiled.sum() > 500
        return rows[~untracked & ~unprofiled]

    def with_more(rows):
        """The same twice over, at other moments and tied to other sends."""
        changed = rows["customer_id"].isin(refusing["tracking"]) & (rows["kind"] == "opened")
        changed |= rows["customer_id"].isin(refusing["profiling"]) & rows["kind"].isin(OWN)
        more = rows[changed].assign(occurred_at=rows["occurred_at"] + pd.Timedelta(minutes=7), value=np.nan)
        return pd.concat([rows, more])

    before = outputs(rewritten(data, tmp_path / "less", without), campaign, tmp_path / "a")
    after = outputs(rewritten(data, tmp_path / "more", with_more), campaign, tmp_path / "b")
    assert {"bundle/bundle.json", "scores.parquet", "scores.engagement.parquet", "plan.parquet"} <= set(before)
    assert set(before) == set(after)
    assert [name for name in before if before[name] != after[name]] == []

    scores = pq.read_table(tmp_path / "a" / "scores.parquet").to_pandas()
    told = scores[scores["eligible"] & scores["customer_id"].isin(refusing["profiling"])]
    assert set(told["reason"]) == {"no consent to profiling: scored as the population"}
    assert (told.groupby("channel")["response"].nunique() == 1).all()


def test_the_same_opens_count_where_tracking_is_allowed(shop, tmp_path):
    data, _, refusing = shop

    def fingerprint(name, change):
        intake = open_data(rewritten(data, tmp_path / name, change), PARAMS, as_of=CONFIG.end, quarantine=None)
        return build_timeline(intake, PARAMS, tmp_path / f"{name}-timeline").fingerprint

    untracked, opened = refusing["tracking"], "opened"
    whole = fingerprint("whole", lambda rows: rows)
    assert whole == fingerprint("a", lambda rows: rows[~rows["customer_id"].isin(untracked) | (rows["kind"] != opened)])
    assert whole != fingerprint("b", lambda rows: rows[rows["customer_id"].isin(untracked) | (rows["kind"] != opened)])
