"""causalml's and econml's DR learner on the rows that the plain learners have, each in an environment of its own."""

import json
import resource
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt

from benchmarks.parts.kept_results import Figures
from benchmarks.parts.peer_environments import PeerMissing, environment, run_peer
from benchmarks.parts.plain_learners import uplift_worth
from benchmarks.parts.retail_world import Floats, Ints, Matrix, RetailWorld
from benchmarks.parts.worlds import PLAIN_SOURCES, Asked, Finding, figures_of
from features.matrix import ACTION

PACKAGES: Final = {
    "econml": ("econml==0.17.0", "lightgbm==4.7.0"),
    "causalml": ("causalml==0.18.0", "lightgbm==4.7.0"),
}
MISSING: Final = -1.0
"""Stands for a missing value where a peer takes none: all plain columns but sums of returned goods are at least 0."""


@dataclass(frozen=True, eq=False)
class PeerRows:
    """What a peer learns from, and scored (m, p), whom it is asked about; matrix (n, p), the others (n,)."""

    matrix: Matrix
    action: Ints
    response: npt.NDArray[np.int8]
    customer: Ints
    scored: Matrix


def _by_peer(name: str) -> Finding:
    script = f"{name}_peer.py"

    def find(world: RetailWorld, asked: Asked) -> Figures:
        try:
            python = environment(asked.kept.folder / name, PACKAGES[name])
            return _planned(world, asked, python, script)
        except PeerMissing as error:
            return {"refused": str(error)}

    mine = ("benchmarks/parts/dr_learners.py", f"benchmarks/parts/{script}")
    return Finding(find, (*PLAIN_SOURCES, *mine))


def _planned(world: RetailWorld, asked: Asked, python: Path, script: str) -> Figures:
    learn, scored = world.learning(asked.profile), world.scored
    own = [i for i, name in enumerate(learn.names) if name != ACTION]
    before = _children_cpu_s()
    rows = PeerRows(learn.matrix[:, own], learn.action, learn.response, learn.customer, scored.matrix[:, own])
    uplift, told = peer_uplift(python, script, rows)
    actions = world.allocated(uplift_worth(world, learn, uplift))
    return {**figures_of(world, actions), **told, "peer_cpu_s": _children_cpu_s() - before}


def peer_uplift(python: Path, script: str, rows: PeerRows) -> tuple[Floats, Figures]:
    """(m, k) uplift in probability of each action against action 0, and what the peer says of itself.

    Raises:
        PeerMissing: the peer fails.
    """
    with tempfile.TemporaryDirectory(prefix="channelwise-") as temporary:
        folder = Path(temporary)
        filled = {name: np.nan_to_num(matrix, nan=MISSING) for name, matrix in vars(rows).items()}
        np.savez(folder / "rows.npz", **filled)
        run_peer(python, script, folder)
        uplift = np.load(folder / "uplift.npy").astype(np.float64)
        told: Figures = json.loads((folder / "figures.json").read_text())
    expected = (len(rows.scored), int(rows.action.max()))
    if uplift.shape != expected:
        raise PeerMissing(f"{script}: gave uplifts of shape {uplift.shape}; expected {expected}")
    return uplift, told


def _children_cpu_s() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


DR_LEARNERS: Final[dict[str, Finding]] = {f"{name} DR learner": _by_peer(name) for name in PACKAGES}
