"""`channelwise demo retailer`: the main job on a simulated retailer, and what its plan is truly worth."""

from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from channelwise.console import progress_bars, say, show_table
from channelwise.demos.job import Job, run_job
from channelwise.demos.rules import RULES, Actions, fill, rule_strengths
from contract.intake import open_data
from contract.loading import load_params
from contract.params import Params
from contract.progress import Progress
from serving.allocation import allocate, offers_of
from serving.hashing import customer_hashes
from serving.limit_table import limit_table
from serving.limits import Limits, limits_of
from simulation.config import RetailerConfig
from simulation.retailer import write_retailer
from simulation.truth import Truth, read_truth

Allowed = npt.NDArray[np.bool_]

CUSTOMERS = 20_000
BUDGET_SHARE_EUR = 0.03
CAPACITY_SHARES = {"push": 0.10, "sms": 0.075}
"""EUR of budget and contacts of capacity per customer of the audience; all three bind."""


@dataclass(frozen=True)
class World:
    """A simulated retailer on disk and the campaign to plan."""

    folder: Path
    campaign_id: str
    as_of: datetime
    interactions: int


@dataclass(frozen=True)
class Judged:
    """What each way of choosing is truly worth, EUR, under the same limits; `best` knows the truth."""

    best_eur: float
    values_eur: dict[str, float]
    consent_violations: int
    broken_limits: tuple[str, ...]


def simulated(folder: Path, customers: int, seed: int, progress: Progress) -> World:
    """Writes a retailer of so many customers."""
    config = RetailerConfig(customers=customers, seed=seed)
    summary = write_retailer(config, folder, progress, threads=2)
    return World(folder, summary.campaign_id, config.end.astimezone(UTC), summary.interactions)


def demo_limits(params: Params, customers: int) -> Limits:
    """The limits of the demo, in proportion to the audience."""
    capacities = {name: int(share * customers) for name, share in CAPACITY_SHARES.items()}
    return limits_of(params, BUDGET_SHARE_EUR * customers, capacities)


def judge(world: World, scores: Path, plan: Path, limits: Limits, params: Params) -> Judged:
    """The plan, the rules of thumb and the best possible plan, by the truth that the retailer was written with.

    All may contact only those whom the scores call eligible. The best possible plan, as the plan itself, is held to
    budget and capacities; it needs no holdout and no exploration.
    """
    truth = read_truth(world.folder / "truth")
    allowed = eligible(scores, truth)
    gain = np.where(allowed, truth.gain_eur[:, 1:], -np.inf)
    cost = truth.cost_eur[None, 1:]
    table, segment = limit_table(limits)
    best = allocate(offers_of(gain, cost, segment), table, customer_hashes(pa.array(truth.customer_ids)))
    intake = open_data(world.folder, params, as_of=world.as_of, quarantine=None)
    values = {"channelwise": _value(truth, _planned(plan, truth))}
    for rule in RULES:
        strengths = rule_strengths(intake, params, rule, list(truth.customer_ids), truth.channels)
        values[rule] = _value(truth, fill(strengths, allowed, truth.cost_eur[1:], limits))
    for index, channel in enumerate(truth.channels):
        only = np.where(np.arange(len(truth.channels)) == index, 1.0, 0.0) * np.ones_like(gain)
        values[f"all by {channel}"] = _value(truth, fill(only, allowed, truth.cost_eur[1:], limits))
    chosen = _planned(plan, truth)
    violations = int((~allowed[np.arange(len(chosen)), chosen] & (chosen >= 0)).sum())
    return Judged(best.value_eur, values, violations, _broken(chosen, truth, limits))


def demo_retailer(out: Path, files: list[Path], assignments: list[str]) -> None:
    """Runs the job in `out` and says what the plan is truly worth.

    Raises:
        ChannelwiseError: as the commands do.
    """
    params = load_params(files, assignments)
    say(f"A simulated retailer of {CUSTOMERS:,} customers: their true answers are known, but not to the models.\n")
    with progress_bars() as progress:
        world = simulated(out / "data", CUSTOMERS, params.seed, progress)
    limits = demo_limits(params, CUSTOMERS)
    job = Job(world.folder, world.folder / "audience.parquet", world.campaign_id, world.as_of, out)
    done = run_job(job, params, limits)
    with progress_bars() as progress:
        progress("truth", 0, 1)
        found = judge(world, done.scores, done.plan, limits, params)
        progress("truth", 1, 1)
    show_judged(found)


def show_judged(found: Judged) -> None:
    """The true values, best first, and whether every promise was kept."""
    rows = [
        (name, f"{value:,.0f}", f"{value / found.best_eur:.0%}")
        for name, value in sorted(found.values_eur.items(), key=lambda each: -each[1])
    ]
    show_table(
        f"True value under the same limits; the best possible plan is worth {found.best_eur:,.0f} EUR",
        ("who chooses", "EUR", "of the best"),
        rows,
    )
    ratio = found.values_eur["channelwise"] / found.values_eur["most clicked"]
    say(f"The plan is truly worth {ratio:.2f} times the most-clicked-channel rule.")
    broken = ", ".join(found.broken_limits) or "none"
    say(f"Contacts without consent: {found.consent_violations}. Broken limits: {broken}.")


def _value(truth: Truth, actions: Actions) -> float:
    return float(truth.gain_eur[np.arange(len(actions)), actions + 1].sum())


def _planned(plan: Path, truth: Truth) -> Actions:
    rows, actions = truth.actions(pq.read_table(plan, columns=["customer_id", "channel"]))
    chosen = np.full(len(truth.customer_ids), -1, dtype=np.int16)
    chosen[rows] = actions - 1
    return chosen


def eligible(scores: Path, truth: Truth) -> Allowed:
    """(n, k) whether the scores allow a contact, in the order of the truth."""
    table = pq.read_table(scores, columns=["customer_id", "channel", "eligible"])
    rows = np.searchsorted(truth.customer_ids, table["customer_id"].to_numpy(zero_copy_only=False).astype(object))
    columns = pc.index_in(table["channel"], value_set=pa.array(truth.channels)).to_numpy()
    allowed = np.zeros((len(truth.customer_ids), len(truth.channels)), dtype=np.bool_)
    allowed[rows, columns] = table["eligible"].to_numpy(zero_copy_only=False)
    return allowed


def _broken(actions: Actions, truth: Truth, limits: Limits) -> tuple[str, ...]:
    used = np.bincount(actions[actions >= 0], minlength=len(truth.channels))
    spent = float(truth.cost_eur[1:][actions[actions >= 0]].sum())
    counted = zip(truth.channels, used, limits.capacity, strict=True)
    over = [f"{name}: {count} contacts of {most}" for name, count, most in counted if count > most]
    return (*over, *([f"budget: {spent:.2f} EUR"] if spent > limits.spendable_eur else []))
