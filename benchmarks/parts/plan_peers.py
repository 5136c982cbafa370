"""The plan's peers on the same instance: HiGHS, OR-tools PDLP and greedy rules; ours is not among them."""

import json
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
from scipy.optimize import linprog
from scipy.sparse import coo_array, csc_array, save_npz, vstack

from benchmarks.parts.plan_scores import instance
from serving.allocation import allocate, offers_of
from serving.limit_table import limit_table
from serving.limits import NO_CAPACITY, Limits
from serving.sets import Floats


def relaxation(n: int) -> tuple[Floats, csc_array, Floats]:
    """Gains of the open cells, and left and right side of ≤, of the linear relaxation of `instance`."""
    gain, cost, limits, _ = instance(n)
    rows, channels = np.nonzero(np.isfinite(gain))
    cells, ones = np.arange(len(rows)), np.ones(len(rows))
    k = gain.shape[1]
    customers = coo_array((ones, (rows, cells)), shape=(n, len(cells)))
    per_channel = csc_array(coo_array((ones, (channels, cells)), shape=(k, len(cells))))
    spent = coo_array((cost[0, channels], (np.zeros(len(cells), dtype=int), cells)), shape=(1, len(cells)))
    capped, floored = limits.capacity < NO_CAPACITY, limits.minimum > 0
    matrix = csc_array(vstack([customers, per_channel[capped], -per_channel[floored], spent]))
    bound = np.concatenate([np.ones(n), limits.capacity[capped], -limits.minimum[floored], [limits.budget_eur]])
    return gain[rows, channels], matrix, bound


def highs(n: int) -> dict[str, float]:
    """CPU seconds and value of HiGHS' interior point method on the linear relaxation."""
    gain, matrix, bound = relaxation(n)
    start = time.process_time()
    found = linprog(-gain, A_ub=matrix, b_ub=bound, bounds=(0, None), method="highs-ipm")
    return {"cpu_s": time.process_time() - start, "value": -float(found.fun)}


def pdlp(n: int, folder: Path) -> dict[str, float] | str:
    """CPU seconds and value of OR-tools PDLP on it, in an environment that is made in `folder`; or why it was not run.

    Together with HiGHS in one process OR-tools breaks it.
    """
    python = folder / "ortools" / "bin" / "python"
    try:
        if not python.exists():
            subprocess.run([sys.executable, "-m", "venv", str(folder / "ortools")], check=True)
            wanted = ["ortools", "numpy", "scipy"]
            subprocess.run([str(python), "-m", "pip", "--quiet", "install", *wanted], check=True, capture_output=True)
    except subprocess.CalledProcessError as error:
        return f"OR-tools could not be installed: {error}"
    gain, matrix, bound = relaxation(n)
    np.savez(folder / "problem.npz", gain=gain, bound=bound)
    save_npz(folder / "matrix.npz", matrix)
    script = Path(__file__).with_name("pdlp_peer.py")
    done = subprocess.run([str(python), str(script), str(folder)], capture_output=True, text=True, check=False)
    if done.returncode:
        return f"PDLP failed: {done.stderr[-400:]}"
    found: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return found


def greedy_gaps(n: int) -> dict[str, float]:
    """Gap of two greedy rules under the same budget and capacities (greedy knows no minimums, so none is set)."""
    gain, cost, limits, tie = instance(n)
    free = Limits(limits.channels, limits.budget_eur, limits.capacity, np.zeros(len(limits.capacity), dtype=np.int64))
    best = allocate(offers_of(gain, cost), limit_table(free)[0], tie).bound_eur
    rules = {"net_value": gain, "value_per_cost": (gain + cost) / cost}
    return {name: 1 - _greedy(gain, cost, free, rank) / best for name, rank in rules.items()}


def _greedy(gain: Floats, cost: Floats, limits: Limits, rank: Floats) -> float:
    """EUR of taking cells in descending rank while limits last."""
    cells = np.flatnonzero(gain > 0)
    left, money, value = limits.capacity.copy(), limits.budget_eur, 0.0
    taken = np.zeros(len(gain), dtype=np.bool_)
    for cell in cells[np.argsort(-rank.ravel()[cells], kind="stable")]:
        row, channel = divmod(int(cell), gain.shape[1])
        if not taken[row] and left[channel] > 0 and cost[0, channel] <= money:
            taken[row], value = True, value + gain[row, channel]
            left[channel] -= 1
            money -= cost[0, channel]
    return float(value)
