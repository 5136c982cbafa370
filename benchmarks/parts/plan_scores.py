"""Audiences to plan for, in memory and as scores on disk; solves nothing."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from benchmarks.parts.general_plans import UNIT_EUR
from contract.loading import load_params
from contract.params import Params
from serving.hashing import Hashes, mixed
from serving.limits import NO_CAPACITY, Limits
from serving.scores import SCORE_SCHEMA
from serving.sets import Floats

CHANNELS = {f"channel{index}": cost for index, cost in enumerate(UNIT_EUR)}
DECLARED = "{direction: outbound, medium: digital, unit_cost: %s, consent: true}"
SHIPPED = ("email", "sms", "push", "phone", "mail", "store", "web", "app", "social")


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


def eight_channels() -> Params:
    """The parameters with the eight channels in place of the shipped ones."""
    declared = [f"channels.{name}={DECLARED % cost}" for name, cost in CHANNELS.items()]
    return load_params(assignments=[*(f"channels.{name}=null" for name in SHIPPED), *declared])


def write_scores(path: Path, n: int, block: int = 100_000) -> None:
    """A scores file of n customers on eight channels, in blocks, customers in no order."""
    with pq.ParquetWriter(path, SCORE_SCHEMA, compression="zstd") as writer:
        for start in range(0, n, block):
            writer.write_table(_rows(start, min(block, n - start)))


def _rows(start: int, n: int) -> pa.Table:
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
    filled = [
        pa.repeat(pa.scalar(constant[each.name]), rows)
        if each.name in constant
        else pa.array(columns[each.name]).cast(each.type)
        for each in SCORE_SCHEMA
    ]
    return pa.Table.from_arrays(filled, schema=SCORE_SCHEMA)
