"""Writes a simulated retailer: its input tables, unsorted, and beside them the truth. No other module here writes."""

from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from types import TracebackType
from typing import Final, Self

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from contract.files import atomic_folder
from contract.loading import load_params
from contract.params import Params
from contract.progress import Progress, silent
from simulation.config import RetailerConfig
from simulation.history import simulate
from simulation.outlook import Outlook, new_outlook
from simulation.people import People
from simulation.state import Log, new_log, new_state
from simulation.tables import (
    answer_table,
    campaigns_table,
    consents_table,
    customer_ids,
    customers_table,
    engagement_table,
    interactions_table,
    log_rows,
    opt_out_table,
    propensities_table,
    response_table,
)
from simulation.tastes import Mechanism, Traits, draw_customers, draw_mechanism
from simulation.world import Campaigns, World, build_world

BLOCK_CUSTOMERS: Final = 8_192
"""Customers in a part of `interactions`; any other number gives the same rows in other parts."""

_ROOM: Final = 160


@dataclass(frozen=True)
class Retailer:
    """A retailer ready to be simulated in any blocks of customers."""

    config: RetailerConfig
    params: Params
    mechanism: Mechanism
    world: World
    campaigns: Campaigns


@dataclass(frozen=True)
class Block:
    """Simulated customers: who they are, what happened, and what is true of them at the end."""

    people: People
    traits: Traits
    log: Log
    outlook: Outlook


@dataclass(frozen=True)
class RetailerSummary:
    """What was written; `campaign_id` is the campaign to score at the end of the data."""

    folder: Path
    customers: int
    interactions: int
    sent: int
    held_out: int
    campaign_id: str


def build_retailer(config: RetailerConfig, params: Params | None = None) -> Retailer:
    """The retailer of `config`; channels, costs and consents are those of `params`, by default the shipped ones.

    Raises:
        UsageError: if `params` lack one of its channels.
    """
    known = load_params() if params is None else params
    mechanism = draw_mechanism(config)
    world, campaigns = build_world(config, known, mechanism.fit)
    return Retailer(config, known, mechanism, world, campaigns)


def simulate_block(retailer: Retailer, first: int, stop: int) -> Block:
    """Customers `first` to `stop` (exclusive), the same whatever else is simulated."""
    people, traits = draw_customers(retailer.config, retailer.mechanism, first, stop)
    outlook = new_outlook(stop - first)
    log = new_log(_ROOM * (stop - first))
    simulate(retailer.world, traits, retailer.config.seed, new_state(), log, outlook)
    if log.length[0] > len(log.time_s):
        log = new_log(int(log.length[0]))
        simulate(retailer.world, traits, retailer.config.seed, new_state(), log, outlook)
    return Block(people, traits, log, outlook)


def write_retailer(
    config: RetailerConfig,
    folder: Path,
    progress: Progress = silent,
    *,
    params: Params | None = None,
    threads: int = 1,
    block_customers: int = BLOCK_CUSTOMERS,
) -> RetailerSummary:
    """Writes `customers`, `interactions` (in parts), `consents`, `campaigns`, `audience` and `truth/` to `folder`.

    The same configuration gives the same bytes with any number of `threads`; `block_customers` changes only which rows
    share a part. Memory grows with `threads × block_customers`, not with the retailer.

    Raises:
        UsageError: if `params` lack one of the retailer's channels.
        StorageError: if the folder cannot be written; what was there before is whole.
    """
    retailer = build_retailer(config, params)
    sent = held_out = interactions = 0
    with atomic_folder(folder) as target, ExitStack() as stack:
        writer = stack.enter_context(_Writer(target))
        writer.write("campaigns", campaigns_table(retailer.campaigns))
        for done, part in enumerate(_parts(retailer, target / "interactions", threads, block_customers), 1):
            for name, table in part.tables.items():
                writer.write(name, table)
            sent, held_out, interactions = sent + part.sent, held_out + part.held_out, interactions + part.interactions
            progress("simulate", min(done * block_customers, config.customers), config.customers)
    return RetailerSummary(folder, config.customers, interactions, sent, held_out, retailer.campaigns.ids[-1])


@dataclass(frozen=True)
class _Part:
    """A written part of the interactions, and the block's rows of the other tables."""

    tables: dict[str, pa.Table]
    interactions: int
    sent: int
    held_out: int


class _Writer:
    """Files written block by block: one row group each, opened at the first."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._open: dict[str, pq.ParquetWriter] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for each in self._open.values():
            each.close()

    def write(self, name: str, table: pa.Table) -> None:
        """Appends `table` to the file of table `name`."""
        if name not in self._open:
            path = self._folder / f"{name}.parquet"
            path.parent.mkdir(parents=True, exist_ok=True)
            self._open[name] = pq.ParquetWriter(path, table.schema, compression="zstd", store_schema=False)
        self._open[name].write_table(table)


def _parts(retailer: Retailer, folder: Path, threads: int, block_customers: int) -> Iterator[_Part]:
    """Parts in order, at most `threads` of them under way."""
    folder.mkdir()
    customers = retailer.config.customers
    blocks = iter([(i, min(i + block_customers, customers)) for i in range(0, customers, block_customers)])
    with ThreadPoolExecutor(threads) as pool:
        waiting: list[Future[_Part]] = []
        for first, stop in islice(blocks, threads):
            waiting.append(pool.submit(_write_part, retailer, folder, first, stop))
        while waiting:
            part = waiting.pop(0).result()
            for first, stop in islice(blocks, 1):
                waiting.append(pool.submit(_write_part, retailer, folder, first, stop))
            yield part


def _write_part(retailer: Retailer, folder: Path, first: int, stop: int) -> _Part:
    block = simulate_block(retailer, first, stop)
    log, people = block.log, block.people
    if not retailer.config.log_propensities:
        log.propensity[:] = -1.0
    rng = np.random.default_rng(np.random.SeedSequence(retailer.config.seed, spawn_key=(3, first)))
    rows, consents, vectors = (rng.permutation(each) for each in log_rows(log))
    campaign_ids = tuple(retailer.campaigns.ids)
    table = interactions_table(log, rows, people, campaign_ids, retailer.params)
    pq.write_table(
        table, folder / f"part-{first:09d}.parquet", compression="zstd", store_schema=False, write_statistics=False
    )
    tables = _small_tables(retailer, block, consents, rng)
    if retailer.config.propensity_table:
        tables["propensities"] = propensities_table(log, vectors, customer_ids(people.number), campaign_ids)
    kinds = np.bincount(log.kind[rows], minlength=2)
    return _Part(tables, len(rows), int(kinds[0]), int(kinds[1]))


def _small_tables(
    retailer: Retailer, block: Block, consents: np.ndarray[tuple[int], np.dtype[np.int64]], rng: np.random.Generator
) -> dict[str, pa.Table]:
    """A block's rows of every table but the interactions, by file."""
    people = block.people
    shuffled = rng.permutation(len(people.number))
    people_shuffled = replace(people, **{name: column[shuffled] for name, column in vars(people).items()})
    ids = customer_ids(people.number)
    scored = shuffled[block.outlook.reachable[shuffled].any(axis=1) | (retailer.config.audience == "all")]
    margin = retailer.config.margin_rate * block.traits.basket_eur
    return {
        "customers": customers_table(people_shuffled),
        "consents": consents_table(block.log, consents, people, block.traits, retailer.params),
        "audience": pa.table({"customer_id": ids.take(pa.array(scored))}),
        "truth/response": response_table(ids, block.outlook, margin, retailer.params),
        "truth/answer": answer_table(ids, block.outlook),
        "truth/engagement": engagement_table(ids, block.outlook),
        "truth/opt_out": opt_out_table(ids, block.outlook),
    }
