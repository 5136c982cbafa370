"""`features --update` adds a day to what an earlier run wrote, and says the same as one run over everything."""

import pandas as pd
import pytest

from tests.adapters.command_line import run_command
from tests.adapters.workplace import AS_OF, DAY_BEFORE, succeeded, write_day


@pytest.fixture(scope="module")
def updated(workplace, tmp_path_factory):
    out = tmp_path_factory.mktemp("updated") / "out"
    succeeded(run_command(*workplace.features(out, DAY_BEFORE)))
    succeeded(run_command(*workplace.update(out)))
    return out


def test_features_are_those_of_one_run_over_everything(workplace, updated, tmp_path):
    succeeded(run_command(*workplace.features(tmp_path / "whole", AS_OF)))
    pd.testing.assert_frame_equal(
        pd.read_parquet(updated / "features.parquet"), pd.read_parquet(tmp_path / "whole" / "features.parquet")
    )
    assert (updated / "describe.csv").read_text() == (tmp_path / "whole" / "describe.csv").read_text()
    assert len(list((updated / "timeline").glob("segment-*"))) == 2


def test_customers_must_be_whole(workplace, updated, tmp_path):
    day = write_day(workplace.data, tmp_path / "day", DAY_BEFORE, AS_OF)
    customers = pd.read_parquet(day / "customers.parquet")
    busy = customers.customer_id.isin(pd.read_parquet(day / "interactions").customer_id)
    customers.drop(customers.index[~busy][:2]).to_parquet(day / "customers.parquet", index=False)
    ran = run_command("features", "--update", "--data", day, "--out", updated, "--as-of", AS_OF)
    assert ran.code == 3
    assert "hold 1998 of the 2000 customers of the timeline; with --update" in " ".join(ran.err.split())


def test_there_must_be_a_timeline_to_add_to(workplace, tmp_path):
    ran = run_command(*workplace.update(tmp_path / "nothing"))
    assert ran.code == 3
    assert "missing or damaged" in ran.err
