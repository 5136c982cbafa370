"""CPU and exactness of scoring a customer for eight channels, beside its peers, and of whole audiences; judges nothing.

python -m benchmarks.scoring [--customers 1000000] [--most 5000000] [--folder DIR] [--no-peers] [--no-batch]. Rows are
those of customers of a synthetic history, for no contact and eight channels. lleaves and ONNX Runtime run in an
environment of their own, made in the folder. The last line is JSON: batch_ratio and single_ratio are the lower ones of
two sizes of models, single of all three models of a customer.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import lightgbm as lgb
import numpy as np
import numpy.typing as npt
import pandas as pd

from benchmarks.parts.history import prepared
from benchmarks.parts.scoring_work import (
    AS_OF,
    CAMPAIGN,
    LARGE,
    SMALL,
    Shape,
    channel_models,
    customers_of,
    joint_bundle,
    settings,
    tables,
)
from contract.params import Params
from features.spine import candidates, category_of
from models.bundle import CONTACT, ENGAGEMENT, RESPONSE, Bundle
from serving.scorer import Scorer

HISTORY_CUSTOMERS = 50_000
ROW_CUSTOMERS = 2_000
SINGLE_CUSTOMERS = 300
Matrix = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Rows:
    """Customers' columns as ours takes them, and as whole rows (n · actions, p)."""

    shared: Matrix
    own: Matrix
    whole: Matrix
    actions: int


@dataclass(frozen=True)
class Way:
    """A way to score: CPU µs a customer for all actions, and how far its scores are from LightGBM's."""

    name: str
    cpu_us: float
    difference: float | str
    remark: str = ""


def cpu_us(work: Callable[[], object], customers: int, times: int = 3) -> float:
    """CPU µs a customer, the best of some runs after one that warms up."""
    work()
    best = float("inf")
    for _ in range(times):
        start = time.process_time()
        work()
        best = min(best, time.process_time() - start)
    return best / customers * 1e6


def rows_for(scorer: Scorer, folder: Path, params: Params) -> Rows:
    """Columns of some customers at the end of the history."""
    work = prepared(folder, HISTORY_CUSTOMERS, params)
    known = customers_of(scorer.features, tables(work, params), work.timeline)
    category = category_of(work.timeline.codebook, CAMPAIGN)
    as_of_us = int(AS_OF.timestamp() * 1e6)
    _, shared, own = next(
        scorer.candidates.blocks(
            work.timeline, np.arange(ROW_CUSTOMERS), known, as_of_us, category, block_customers=ROW_CUSTOMERS
        )
    )
    actions = scorer.candidates.actions
    spine = candidates(np.arange(ROW_CUSTOMERS), as_of_us, category, actions)
    whole = scorer.features.matrix(work.timeline, spine, known)
    return Rows(shared.copy(), own.copy(), whole, len(actions))


def batch_ways(scorer: Scorer, rows: Rows, singles: list[lgb.Booster]) -> list[Way]:
    """The response of all customers for all actions: ours, joint rows, a model a channel, MLflow's pyfunc."""
    n, model = len(rows.shared), scorer.bundle
    joint = lgb.Booster(model_str=model.texts[RESPONSE])
    raw = np.asarray(joint.predict(rows.whole, raw_score=True, num_threads=1))
    ours = scorer.joint._response.trees.raw(rows.shared, rows.own)
    exact = float(np.abs(ours.ravel() - raw).max())
    by_action = [np.ascontiguousarray(rows.whole[action :: rows.actions]) for action in range(rows.actions)]
    ways = [
        Way(
            "ours", cpu_us(lambda: scorer.joint._response.trees.raw(rows.shared, rows.own), n), exact, "raw, to the bit"
        ),
        Way(
            "Booster.predict, joint rows",
            cpu_us(lambda: joint.predict(rows.whole, raw_score=True, num_threads=1), n),
            0.0,
        ),
        mlflow_way(model, rows, raw),
    ]
    if singles:
        cost = cpu_us(lambda: [m.predict(r, num_threads=1) for m, r in zip(singles, by_action, strict=True)], n)
        ways.append(Way("a binary model a channel", cost, "other models"))
    return ways


def mlflow_way(model: Bundle, rows: Rows, raw: npt.NDArray[np.float64]) -> Way:
    """MLflow's pyfunc over a frame of the joint rows."""
    import mlflow

    with tempfile.TemporaryDirectory() as folder:
        mlflow.lightgbm.save_model(lgb.Booster(model_str=model.texts[RESPONSE]), f"{folder}/model", pip_requirements=[])
        loaded = mlflow.pyfunc.load_model(f"{folder}/model")
    frame = pd.DataFrame(rows.whole, columns=[f"c{i}" for i in range(rows.whole.shape[1])])
    found = np.asarray(loaded.predict(frame))
    difference = float(np.abs(found - 1 / (1 + np.exp(-raw))).max())
    return Way("MLflow pyfunc, joint rows", cpu_us(lambda: loaded.predict(frame), len(rows.shared), 1), difference)


def single_ways(scorer: Scorer, rows: Rows) -> tuple[Way, Way, Way]:
    """All three models of one customer after another: ours, Booster.predict, and ours to the finished predictions."""
    joint, model, few = scorer.joint, scorer.bundle, range(SINGLE_CUSTOMERS)
    ours = [(rows.shared[i : i + 1], rows.own[i * rows.actions : (i + 1) * rows.actions]) for i in few]
    steps = list(model.manifest.engagement.columns)
    theirs = []
    for i in few:
        whole = np.ascontiguousarray(rows.whole[i * rows.actions : (i + 1) * rows.actions])
        theirs.append((whole, whole, np.ascontiguousarray(whole[:1, steps])))
    names = (RESPONSE, CONTACT, ENGAGEMENT)

    def by_forest() -> None:
        for shared, own in ours:
            assert joint._contact is not None
            assert joint._engagement is not None
            joint._response.trees.raw(shared, own)
            joint._contact.raw(shared, own)
            joint._engagement.raw(shared)

    boosters = {name: lgb.Booster(model_str=model.texts[name]) for name in names}

    def by_boosters() -> None:
        for matrices in theirs:
            for name, matrix in zip(names, matrices, strict=True):
                boosters[name].predict(matrix, raw_score=True, num_threads=1)

    def finished() -> None:
        for shared, own in ours:
            scorer.predict(shared, own)

    return (
        Way("ours", cpu_us(by_forest, SINGLE_CUSTOMERS), 0.0, "three models"),
        Way("Booster.predict", cpu_us(by_boosters, SINGLE_CUSTOMERS), 0.0, "three models"),
        Way("ours, finished", cpu_us(finished, SINGLE_CUSTOMERS), 0.0, "with calibration, bounds and worth"),
    )


def peers(folder: Path, scorer: Scorer, rows: Rows) -> list[Way]:
    """The peers lleaves and ONNX Runtime, in an environment that is made once."""
    python = folder / "peers" / "bin" / "python"
    if not python.exists():
        subprocess.run([sys.executable, "-m", "venv", str(folder / "peers")], check=True)
        wanted = ["lleaves", "llvmlite<0.44", "onnxruntime", "onnxmltools", f"lightgbm=={lgb.__version__}"]
        subprocess.run([str(python), "-m", "pip", "--quiet", "install", *wanted], check=True, capture_output=True)
    (folder / "model.txt").write_text(scorer.bundle.texts[RESPONSE], encoding="utf-8")
    np.save(folder / "rows.npy", rows.whole)
    np.save(folder / "raw.npy", scorer.joint._response.trees.raw(rows.shared, rows.own).ravel())
    script = Path(__file__).with_name("parts") / "scoring_peer.py"
    done = subprocess.run([str(python), str(script), str(folder)], capture_output=True, text=True, check=True)
    found = json.loads(done.stdout.splitlines()[-1])
    return [
        Way(name, float("nan"), each["failed"])
        if "failed" in each
        else Way(
            name, each["cpu_s"] / len(rows.shared) * 1e6, each["difference"], f"ready after {each['ready_s']:.1f} CPU-s"
        )
        for name, each in found.items()
    ]


def show(title: str, ways: list[Way]) -> None:
    """A row a way."""
    print(f"\n{title}\n{'way':32}{'CPU µs a customer':>20}{'difference':>16}  remark")
    for each in ways:
        difference = each.difference if isinstance(each.difference, str) else f"{each.difference:.1e}"
        print(f"{each.name:32}{each.cpu_us:>20.1f}{difference:>16}  {each.remark}", flush=True)


def models(folder: Path, params: Params, shape: Shape, with_peers: bool) -> dict[str, float]:
    """Ratios and exactness for models of one shape."""
    work = prepared(folder, HISTORY_CUSTOMERS, params)
    scorer = Scorer.of(joint_bundle(folder, work, params, shape), params.planning.interval)
    rows = rows_for(scorer, folder, params)
    singles = channel_models(folder, work, params, shape) if shape is SMALL else []
    ways = batch_ways(scorer, rows, singles)
    single = single_ways(scorer, rows)
    # Compiling the large models would take lleaves minutes.
    more = peers(folder, scorer, rows) if with_peers and shape is SMALL else []
    show(f"{shape}: {ROW_CUSTOMERS} customers × {rows.actions - 1} channels and none", [*ways, *more])
    show("one customer at a time", list(single))
    assert isinstance(ways[0].difference, float)
    return {
        "batch_ratio": ways[1].cpu_us / ways[0].cpu_us,
        "single_ratio": single[1].cpu_us / single[0].cpu_us,
        "max_difference": ways[0].difference,
    }


def batch(folder: Path, customers: int, events: int, threads: int, suffix: str = ".parquet") -> dict[str, float]:
    """One scoring in a process of its own, from a timeline that is there to scores on the disk."""
    size = [str(folder), str(customers), str(events)]
    apart("scoring_work", size)
    found: dict[str, float] = json.loads(apart("scoring_batch", [*size, str(threads), suffix]).splitlines()[-1])
    stages = {name: value for name, value in found.items() if name.startswith("stage_")}
    shares = ", ".join(f"{name[6:-2]} {value / sum(stages.values()):.0%}" for name, value in stages.items())
    print(
        f"{customers:>10,} customers, {found['events']:,.0f} events, {threads} thread(s), {suffix}: "
        f"{found['cpu_s']:.1f} CPU-s, {found['wall_s']:.1f} s, {found['rows'] / found['cpu_s']:,.0f} rows a CPU-s, "
        f"peak {found['peak_gb']:.2f} GB, {found['bytes'] / 1e6:,.0f} MB; {shares}",
        flush=True,
    )
    return found


def apart(part: str, words: list[str]) -> str:
    """What a part of the benchmarks prints in a process of its own."""
    command = [sys.executable, "-m", f"benchmarks.parts.{part}", *words]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"{' '.join(command)}: {done.stderr}")
    return done.stdout


def audiences(folder: Path, customers: int, most: int) -> dict[str, float]:
    """Whole audiences by one and two threads, and the largest."""
    print("\naudiences, timeline ready to scores on disk")
    batch(folder, 1_000, 42, 1)
    one = batch(folder, customers, 42, 1)
    two = batch(folder, customers, 42, 2)
    largest = batch(folder, most, 9, 2)
    return {
        "cpu_s_1m": one["cpu_s"] / customers * 1e6,
        "peak_gb_5m": largest["peak_gb"],
        "speedup_two_threads": one["loop_wall_s"] / two["loop_wall_s"],
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--customers", type=int, default=1_000_000)
    parser.add_argument("--most", type=int, default=5_000_000, help="customers of the largest audience")
    parser.add_argument("--folder", type=Path, default=None, help="where to write; a temporary folder by default")
    parser.add_argument("--no-peers", action="store_true", help="leave out the peers that need an index")
    parser.add_argument("--no-batch", action="store_true", help="leave out the whole audiences")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = arguments.folder or Path(temporary)
        found = [models(folder, settings(), shape, not arguments.no_peers) for shape in (SMALL, LARGE)]
        figures = {name: min(each[name] for each in found) for name in ("batch_ratio", "single_ratio")}
        figures["max_difference"] = max(each["max_difference"] for each in found)
        if not arguments.no_batch:
            figures |= audiences(folder, arguments.customers, arguments.most)
    print(json.dumps({name: round(value, 4) for name, value in figures.items()}))


if __name__ == "__main__":
    main()
