"""The same configuration gives the same retailer, however it is cut into blocks; another seed gives another."""

import hashlib
from dataclasses import replace
from itertools import pairwise

import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

from simulation.config import RetailerConfig
from simulation.retailer import build_retailer, simulate_block, write_retailer

CONFIG = RetailerConfig(600, seed=4, years=1)
TRUTH = ("truth/response", "truth/answer", "truth/engagement", "truth/opt_out")
TABLES = ("interactions", "customers", "consents", "audience", *TRUTH)


def rows(folder, table):
    found = pq.read_table(folder / f"{table}.parquet" if table != "interactions" else folder / table)
    return found.sort_by([(name, "ascending") for name in found.column_names])


def digests(folder):
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    folder = tmp_path_factory.mktemp("retailer") / "shop"
    write_retailer(CONFIG, folder)
    return folder


def test_the_bytes_do_not_depend_on_the_run_or_the_threads(tmp_path):
    calls = []
    for name, threads in (("one", 1), ("two", 2)):
        write_retailer(CONFIG, tmp_path / name, lambda *told: calls.append(told), threads=threads, block_customers=256)
    assert digests(tmp_path / "one") == digests(tmp_path / "two")
    assert calls[-1] == ("simulate", 600, 600)


@pytest.mark.parametrize("table", TABLES)
def test_the_rows_do_not_depend_on_the_blocks(written, tmp_path, table):
    write_retailer(CONFIG, tmp_path / "shop", block_customers=170)
    assert rows(tmp_path / "shop", table).equals(rows(written, table))


def test_a_smaller_retailer_has_the_first_customers_of_a_larger(written, tmp_path):
    write_retailer(replace(CONFIG, customers=150), tmp_path / "small")
    all_rows = rows(written, "interactions")
    kept = all_rows.filter(pc.less(all_rows["customer_id"], "c00000150"))
    assert rows(tmp_path / "small", "interactions").equals(kept)


def test_another_seed_gives_other_customers_and_other_lives():
    blocks = [simulate_block(build_retailer(replace(CONFIG, seed=seed)), 0, 100) for seed in (4, 5)]
    assert (blocks[0].traits.basket_eur != blocks[1].traits.basket_eur).all()
    assert blocks[0].log.length[0] != blocks[1].log.length[0]


def test_interactions_lie_unsorted(written):
    found = pq.read_table(written / "interactions", columns=["customer_id", "occurred_at"])
    customers, moments = found["customer_id"].to_pylist(), found["occurred_at"].cast("int64").to_pylist()
    assert moments != sorted(moments)
    assert sum(one == two for one, two in pairwise(customers)) < 0.05 * len(customers)


def test_logging_or_not_changes_no_event(written, tmp_path):
    write_retailer(replace(CONFIG, log_propensities=False), tmp_path / "shop")
    silent = rows(tmp_path / "shop", "interactions")
    assert silent["propensity"].null_count == len(silent)
    logged = rows(written, "interactions")
    assert silent.drop_columns("propensity").equals(logged.drop_columns("propensity"))
    assert logged["propensity"].null_count < len(logged)
