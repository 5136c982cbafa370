"""CPU time, memory and certified gap of the allocation, and wall time of planning from scores on disk; judges nothing.

python -m benchmarks.plan [--small]; the last line is JSON. Sizes of 5 M and the solvers compared run in processes of
their own, so that each peak is its own. OR-tools PDLP is compared where it is installed apart from this environment.
"""

import argparse
import json
import multiprocessing
import os
import resource
import tempfile
import time
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from scipy.optimize import linprog
from scipy.sparse import coo_array, csc_array, vstack

from contract.errors import RefusedError
from contract.loading import load_params
from serving.allocation import allocate, offers_of
from serving.hashing import Hashes, mixed
from serving.limit_table import limit_table
from serving.limits import NO_CAPACITY, Limits, limits_of
from serving.rounding import holds, used
from serving.scores import SCORE_SCHEMA

# Threads of the linear algebra library wait actively, which would count as CPU time of a solve that has no use of them.
ONE_THREAD = {"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"}

Floats = np.ndarray[tuple[int, int], np.dtype[np.float64]]

UNIT_EUR = np.array([0.002, 0.06, 0.0005, 2.5, 0.85, 0.03, 0.4, 1.2])
CHANNELS = {f"channel{index}": cost for index, cost in enumerate(UNIT_EUR)}
DECLARED = "{direction: outbound, medium: digital, unit_cost: %s, consent: true}"
RANDOM_INSTANCES = 200


def instance(n: int, seed: int = 0, k: int = 8) -> tuple[Floats, Floats, Limits, Hashes]:
    """Gains, costs, limits and ties of n customers: budget, five capacities and two minimums bind."""
    rng = np.random.default_rng(seed)
    unit = UNIT_EUR[:k]
    worth = rng.gamma(1.5, 0.6, (n, 1)) * rng.gamma(1.2, 0.5, (n, k))
    gain = worth * (np.linspace(0.6, 1.6, k) * np.sqrt(unit / UNIT_EUR.mean() + 0.3)) - unit
    gain[rng.random((n, k)) < 0.3] = -np.inf
    capacity, minimum = np.full(8, NO_CAPACITY), np.zeros(8, dtype=np.int64)
    capacity[[0, 1, 4, 5, 7]] = n // 40, n // 16, n // 30, n // 14, n // 50
    minimum[[2, 3]] = int(0.55 * n), n // 40
    limits = Limits(tuple(CHANNELS)[:k], 0.15 * n, capacity[:k], minimum[:k])
    return gain, unit[None, :], limits, mixed(np.arange(n, dtype=np.uint64))


def solved(n: int) -> dict[str, float]:
    """CPU seconds, gap, peak GB and broken limits of one allocation."""
    for size in (2_000, n):
        gain, cost, limits, tie = instance(size)
        start = time.process_time()
        offers, table = offers_of(gain, cost), limit_table(limits)[0]
        found = allocate(offers, table, tie)
        cpu = time.process_time() - start
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    broken = 0 if holds(found.picks, offers, table) else 1
    return {"cpu_s": cpu, "gap": found.gap, "peak_gb": peak, "broken": broken, "value": found.value_eur}


def apart(function, *arguments):
    """The function's result, from a fresh process."""
    os.environ.update(ONE_THREAD)
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        return pool.apply(function, arguments)


def highs(n: int) -> dict[str, float]:
    """CPU seconds and value of HiGHS' interior point method on the linear relaxation of the same instance."""
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
    start = time.process_time()
    found = linprog(-gain[rows, channels], A_ub=matrix, b_ub=bound, bounds=(0, None), method="highs-ipm")
    return {"cpu_s": time.process_time() - start, "value": -float(found.fun)}


def greedy_gap(n: int) -> dict[str, float]:
    """Gap of two greedy rules under the same budget and capacities (greedy knows no minimums, so none is set)."""
    gain, cost, limits, tie = instance(n)
    free = Limits(limits.channels, limits.budget_eur, limits.capacity, np.zeros(len(limits.capacity), dtype=np.int64))
    best = allocate(offers_of(gain, cost), limit_table(free)[0], tie).bound_eur
    rules = {"net_value": gain, "value_per_cost": (gain + cost) / cost}
    return {name: 1 - greedy(gain, cost, free, rank) / best for name, rank in rules.items()}


def greedy(gain: Floats, cost: Floats, limits: Limits, rank: Floats) -> float:
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


def broken_limits(instances: int) -> tuple[int, float]:
    """Broken limits over random instances, and the largest gap among those of 10,000 customers and more."""
    rng = np.random.default_rng(7)
    broken, worst = 0, 0.0
    for number in range(instances):
        n = int(rng.choice([5, 40, 300, 2_000, 10_000, 20_000]))
        k = int(rng.integers(1, 9))
        gain, cost, limits, tie = instance(n, number, k)
        minimum = (limits.minimum * rng.uniform(0, 1)).astype(np.int64)
        capacity = np.maximum(limits.capacity, minimum)
        budget = float(limits.budget_eur * rng.uniform(0.2, 3) + minimum @ cost[0])
        try:
            limits = Limits(limits.channels, budget, capacity, minimum)
            found = allocate(offers_of(gain, cost), limit_table(limits)[0], tie, exact_below=1_000)
        except RefusedError:
            continue
        count, spent = used(found.action, cost, k)
        broken += int((count > capacity).sum() + (count < minimum).sum() + (spent > limits.spendable_eur))
        worst = max(worst, found.gap if n >= 10_000 else 0.0)
    return broken, worst


def write_scores(path: Path, n: int, block: int = 100_000) -> None:
    """A scores file of n customers on eight channels, in blocks, customers in no order."""
    with pq.ParquetWriter(path, SCORE_SCHEMA, compression="zstd") as writer:
        for start in range(0, n, block):
            writer.write_table(score_rows(start, min(block, n - start)))


def score_rows(start: int, n: int) -> pa.Table:
    """Rows of the scores of n customers."""
    gain, cost, _, _ = instance(n, start)
    k = gain.shape[1]
    eligible = np.isfinite(gain)
    value = np.where(eligible, gain + cost, 0.01)
    uplift, rows = value / 30, n * k
    alone = np.random.default_rng(start).uniform(0.01, 0.1, n)
    numbers = mixed(np.arange(start, start + n, dtype=np.uint64))
    constant = {"evidence": "randomised", "campaign_id": "spring", "model_version": "1"}
    columns = {
        "customer_id": np.repeat([f"{number:016x}" for number in numbers], k),
        "channel": np.tile(list(CHANNELS), n),
        "preference": np.tile(np.arange(1, k + 1) / 36, n),
        "preference_rank": np.tile(np.arange(k, 0, -1), n),
        "response": np.minimum(1, alone[:, None] + uplift).ravel(),
        "response_lower": np.zeros(rows),
        "response_upper": np.ones(rows),
        "response_no_contact": np.repeat(alone, k),
        "uplift": uplift.ravel(),
        "uplift_lower": uplift.ravel() - 0.01,
        "uplift_upper": uplift.ravel() + 0.01,
        "expected_value": value.ravel(),
        "cost": np.tile(cost[0], n),
        "eligible": eligible.ravel(),
        "reason": pa.array(np.full(rows, "consent withdrawn"), mask=eligible.ravel()),
        "as_of": np.full(rows, np.datetime64("2026-06-01", "us")),
    }
    arrays = [pa.array(columns.get(each.name, [constant.get(each.name)] * 0)) for each in SCORE_SCHEMA]
    filled = [
        pa.repeat(pa.scalar(constant[each.name]), rows) if each.name in constant else array.cast(each.type)
        for each, array in zip(SCORE_SCHEMA, arrays, strict=True)
    ]
    return pa.Table.from_arrays(filled, schema=SCORE_SCHEMA)


def planned(scores: str, out: str, n: int) -> dict[str, float]:
    """Wall seconds and peak GB of one planning from scores on disk, imports and compiled code loaded anew."""
    start = time.perf_counter()
    from serving.plan import make_plan

    settings = [f"channels.{name}={DECLARED % cost}" for name, cost in CHANNELS.items()]
    shipped = [
        f"channels.{name}=null" for name in ("email", "sms", "push", "phone", "mail", "store", "web", "app", "social")
    ]
    params = load_params(assignments=[*shipped, *settings])
    named = instance(1_000)[2]
    capacities = {
        name: int(count) * n // 1_000
        for name, count in zip(CHANNELS, named.capacity, strict=True)
        if count < NO_CAPACITY
    }
    limits = limits_of(params, 0.15 * n, capacities, {"channel2": n // 2, "channel3": n // 50})
    report = make_plan(Path(scores), Path(out), params, limits).report
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    return {"wall_s": time.perf_counter() - start, "peak_gb": peak, "gap": report.gap}


def main() -> None:
    """Runs all parts and prints the figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--small", action="store_true", help="a tenth of the sizes, to see that it runs")
    part = 10 if parser.parse_args().small else 1
    million, five, hundred = apart(solved, 1_000_000 // part), apart(solved, 5_000_000 // part), 100_000 // part
    print("1 M:", million, "\n5 M:", five, flush=True)
    own, reference = apart(solved, hundred), apart(highs, hundred)
    print("100 k:", own, "HiGHS:", reference, flush=True)
    with tempfile.TemporaryDirectory() as folder:
        scores = Path(folder) / "scores.parquet"
        write_scores(scores, 1_000_000 // part)
        command = apart(planned, str(scores), str(Path(folder) / "plan.parquet"), 1_000_000 // part)
    print("plan from scores on disk:", command, flush=True)
    broken, worst = broken_limits(RANDOM_INSTANCES // part)
    figures = {
        "solve_cpu_s_1m": million["cpu_s"],
        "gap_1m": million["gap"],
        "wall_s_1m": command["wall_s"],
        "plan_gap_1m": command["gap"],
        "plan_peak_gb_1m": command["peak_gb"],
        "solve_cpu_s_5m": five["cpu_s"],
        "peak_gb_5m": five["peak_gb"],
        "highs_ratio_100k": reference["cpu_s"] / own["cpu_s"],
        "highs_value_distance_100k": reference["value"] / own["value"] - 1,
        "broken_limits": broken + million["broken"] + five["broken"],
        "worst_gap_from_10k": worst,
        "greedy_gap": greedy_gap(hundred),
    }
    print(json.dumps(figures))


if __name__ == "__main__":
    main()
