"""What of the plan is measured, each job for a process of its own, so that its peak of memory is its own."""

import time
from itertools import product
from pathlib import Path

import numpy as np

from benchmarks.parts.general_plans import general_instance
from benchmarks.parts.history import peak_gb
from benchmarks.parts.plan_scores import CHANNELS, eight_channels, instance
from contract.errors import RefusedError
from serving.allocation import Allocation, allocate, offers_of, value_of
from serving.demand import Offers
from serving.hashing import Hashes
from serving.limit_table import LimitTable, limit_table
from serving.limits import NO_CAPACITY, limits_of
from serving.rounding import holds, tally
from serving.sets import Floats

ONLINE_REQUESTS = 20_000
WARM = (2_000, 250_000)
"""Customers planned for beforehand, so that all compiled code is there: few, and more than are priced whole."""

MORE_BUDGET = 1.2
"""The what-if: a fifth more money."""


def timed(
    offers: Offers, limits: LimitTable, tie: Hashes, start: Floats | None = None
) -> tuple[Allocation, dict[str, float]]:
    """An allocation with its CPU seconds, gap, value, peak GB of the process, and whether it broke a limit."""
    begin = time.process_time()
    found = allocate(offers, limits, tie, start=start)
    cpu = time.process_time() - begin
    broken = 0.0 if holds(found.picks, offers, limits) else 1.0
    figures = {"cpu_s": cpu, "gap": found.gap, "value": found.value_eur, "peak_gb": peak_gb(), "broken": broken}
    return found, figures


def solved(n: int) -> dict[str, float]:
    """One campaign with capacities, budget and minimums binding."""
    figures: dict[str, float] = {}
    for size in (*WARM, n):
        gain, cost, limits, tie = instance(size)
        figures = timed(offers_of(gain, cost), limit_table(limits)[0], tie)[1]
    return figures


def what_if(n: int) -> dict[str, float]:
    """The same with a fifth more money, from the prices of the plan before."""
    figures: dict[str, float] = {}
    for size in (*WARM, n):
        gain, cost, limits, tie = instance(size)
        offers, table = offers_of(gain, cost), limit_table(limits)[0]
        price = timed(offers, table, tie)[0].prices.each
        richer = table.with_bounds(np.where(table.money, table.bound * MORE_BUDGET, table.bound))
        wall = time.perf_counter()
        figures = timed(offers, richer, tie, price)[1]
        figures["wall_s"] = time.perf_counter() - wall
    return figures


def general(n: int, contacts: int) -> dict[str, float]:
    """Two campaigns of eight channels, limits of groups and campaigns, so many contacts a customer."""
    figures: dict[str, float] = {}
    for size in (*WARM, n):
        offers, table, tie = general_instance(size, 8, channels=8, campaigns=2, contacts=contacts)
        figures = {"limits": float(len(table.rows)), "segments": float(table.shape[0])}
        figures |= timed(offers, table, tie)[1]
    return figures


def planned(scores: str, out: str, n: int) -> dict[str, float]:
    """Wall and CPU seconds and peak GB of one planning from scores on disk, imports and compiled code loaded anew."""
    start, cpu = time.perf_counter(), time.process_time()
    from serving.plan import make_plan

    params = eight_channels()
    named = instance(1_000)[2]
    capacities = {
        name: int(count) * n // 1_000
        for name, count in zip(CHANNELS, named.capacity, strict=True)
        if count < NO_CAPACITY
    }
    limits = limits_of(params, 0.15 * n, capacities, {"channel2": n // 2, "channel3": n // 50})
    report = make_plan(Path(scores), Path(out), params, limits).report
    spent = {"wall_s": time.perf_counter() - start, "cpu_s": time.process_time() - cpu}
    return spent | {"peak_gb": peak_gb(), "gap": report.gap}


def online(plan: str) -> dict[str, float]:
    """Microseconds of `decide_one`, at the median and the 99th percentile: customers of the plan, and others."""
    from serving.one_decision import decide_one, open_desk

    path = Path(plan)
    begin = time.perf_counter()
    desk = open_desk(path.with_suffix(".prices.json"), "spring", path)
    opened = time.perf_counter() - begin
    gain, cost, _, _ = instance(ONLINE_REQUESTS)
    values, costs = gain + cost, np.ascontiguousarray(cost[0])
    assert desk.answers is not None
    known = desk.answers.ids.to_pylist()[:ONLINE_REQUESTS]
    figures = {"open_s": opened, "peak_gb": peak_gb()}
    for name, ids in (("planned", known), ("other", [f"other{row}" for row in range(ONLINE_REQUESTS)])):
        took = np.empty(len(ids))
        for row, customer in enumerate(ids):
            start = time.perf_counter_ns()
            found = decide_one(desk, customer, values[row], costs)
            took[row] = (time.perf_counter_ns() - start) / 1_000
            assert found.planned == (name == "planned")
        figures |= {f"{name}_p50_us": float(np.median(took)), f"{name}_p99_us": float(np.percentile(took, 99))}
    return figures


def random_instances(count: int) -> dict[str, float]:
    """Over random general instances: broken limits, the largest gap from 10,000 customers on, how many were refused."""
    rng = np.random.default_rng(7)
    broken, worst, refused = 0, 0.0, 0
    for number in range(count):
        n = int(rng.choice([5, 40, 300, 2_000, 10_000, 20_000]))
        shape = (int(rng.integers(1, 9)), int(rng.integers(1, 4)), int(rng.integers(1, 4)))
        offers, table, tie = general_instance(n, number, *shape)
        try:
            found = allocate(offers, table, tie, exact_below=1_000)
        except RefusedError:
            refused += 1
            continue
        used, spent, _ = tally(offers, found.picks, table.shape)
        use = table.use(used, spent)
        broken += int((use > table.most).sum() + (use < table.least).sum())
        worst = max(worst, found.gap if n >= 10_000 else 0.0)
    return {"broken": broken, "worst_gap_from_10k": worst, "refused": refused}


def against_enumeration(count: int) -> dict[str, float]:
    """Over tiny instances: plans that are worth less than the best of all plans, and wrongly refused ones."""
    short = wrong = 0
    for number in range(count):
        offers, table, tie = general_instance(1 + number % 5, number, 3, tight=True)
        every = product(range(-1, offers.gain.shape[1]), repeat=len(offers))
        plans = (np.array(picks, dtype=np.int16)[:, None] for picks in every)
        best = max((_worth(plan, offers, table) for plan in plans), default=-np.inf)
        try:
            short += int(allocate(offers, table, tie).value_eur < best - 1e-6)
        except RefusedError:
            wrong += int(best > -np.inf)
    return {"below_the_best": short, "wrongly_refused": wrong}


def _worth(plan: np.ndarray[tuple[int, ...], np.dtype[np.int16]], offers: Offers, table: LimitTable) -> float:
    rows = np.flatnonzero(plan[:, 0] >= 0)
    closed = bool((offers.gain[rows, plan[rows, 0]] == -np.inf).any())
    return -np.inf if closed or not holds(plan, offers, table) else value_of(plan, offers, table)
