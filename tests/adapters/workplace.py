"""A small retailer to run every command on: where its files lie, and the words of each command."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from unittest.mock import patch

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from simulation.config import RetailerConfig
from simulation.retailer import write_retailer
from tests.adapters.command_line import Ran

AS_OF = "2026-11-01T00:00:00Z"
DAY_BEFORE = "2026-10-31T00:00:00Z"
SMALL_TRAINING = [
    word
    for each in (
        "training.profiles.quick.max_decisions=6000",
        "training.profiles.quick.trees=20",
        "training.profiles.quick.refit=false",
        "threads=1",
    )
    for word in ("--set", each)
]
SMALL_PROFILE = ["--set", "monitor.periods=4", "--set", "monitor.rows=500"]
"""For monitoring, where nobody monitors."""


@dataclass(frozen=True)
class Workplace:
    """Where a small retailer's tables, registry and outputs lie, and how each command is called on them."""

    folder: Path
    campaign: str
    registry_file: Path

    @property
    def data(self) -> Path:
        """The input tables."""
        return self.folder / "shop"

    @property
    def registry(self) -> str:
        """Tracking and registry of its own."""
        return f"sqlite:///{self.registry_file}"

    @property
    def scores(self) -> Path:
        """Scores of the audience at `AS_OF`."""
        return self.folder / "scores.parquet"

    def features(self, out: Path, as_of: str = AS_OF) -> list[object]:
        """Words of `features`."""
        return ["features", "--data", self.data, "--out", out, "--as-of", as_of]

    def update(self, out: Path) -> list[object]:
        """Words of `features --update` with what happened from `DAY_BEFORE` to `AS_OF`."""
        day = write_day(self.data, self.folder / "day", DAY_BEFORE, AS_OF)
        return ["features", "--update", "--data", day, "--out", out, "--as-of", AS_OF]

    def train(self) -> list[object]:
        """Words of `train`."""
        words: list[object] = ["train", "--data", self.data, "--as-of", AS_OF, "--registry", self.registry]
        return [*words, "--profile", "quick", *SMALL_TRAINING, *SMALL_PROFILE]

    def score(self, out: Path, as_of: str = AS_OF) -> list[object]:
        """Words of `score`."""
        words = ["score", "--data", self.data, "--audience", self.data / "audience.parquet", "--as-of", as_of]
        return [*words, "--campaign", self.campaign, "--out", out, "--registry", self.registry]

    def plan(self, out: Path, budget: float = 50.0) -> list[object]:
        """Words of `plan`."""
        return ["plan", "--scores", self.scores, "--out", out, "--budget", budget]


@contextmanager
def without_card() -> Iterator[None]:
    """Trainings draw no model card, which takes a third of a small one; the main job draws its own."""
    with patch("training.card_page.card_page", return_value="not drawn"):
        yield


def write_day(shop: Path, folder: Path, since: str, until: str) -> Path:
    """A copy of the shop's tables in `folder` with the interactions in [since, until) alone."""
    shutil.copytree(shop, folder, dirs_exist_ok=True)
    (file,) = (folder / "interactions").iterdir()
    table = pq.read_table(file)
    bounds = [pa.scalar(datetime.fromisoformat(each), table["occurred_at"].type) for each in (since, until)]
    kept = pc.and_(pc.greater_equal(table["occurred_at"], bounds[0]), pc.less(table["occurred_at"], bounds[1]))
    pq.write_table(table.filter(kept), file)
    return folder


def new_workplace(folder: Path) -> Workplace:
    """A simulated retailer of 2,000 customers in `folder`."""
    summary = write_retailer(RetailerConfig(2_000, seed=3), folder / "shop")
    return Workplace(folder, summary.campaign_id, folder / "registry.db")


def succeeded(ran: Ran) -> None:
    """Fails the test with what the command printed, unless it ended well."""
    assert ran.code == 0, f"exit {ran.code}\n{ran.out}\n{ran.err}"
