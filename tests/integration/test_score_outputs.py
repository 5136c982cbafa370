"""Scores say the same in every form, whatever the number of threads, and a killed scoring goes on where it stopped."""

import signal
import subprocess
import sys
from pathlib import Path

import duckdb
import pyarrow.parquet as pq
import pytest

from tests.adapters.command_line import run_command
from tests.adapters.workplace import succeeded

DYING = Path(__file__).parents[1] / "adapters" / "dying_score.py"
PARTS = ["--set", "resources.block_customers=150"]


def rows_of(table):
    """Rows by customer and channel, times in UTC."""
    return sorted(tuple(row.values()) for row in table.to_pylist())


def both(scores):
    """Rows of the scores and of the engagement preferences in Parquet."""
    return [rows_of(pq.read_table(path)) for path in (scores, scores.with_name(f"{scores.stem}.engagement.parquet"))]


def killed(parts, words):
    """Runs the command until so many parts are kept, and kills it there."""
    command = [sys.executable, str(DYING), str(parts), *map(str, words)]
    return subprocess.run(command, capture_output=True, text=True, check=False).returncode


def test_a_killed_scoring_goes_on_and_gives_the_same_bytes(scored, tmp_path):
    undisturbed, out = tmp_path / "whole" / "s.parquet", tmp_path / "s.parquet"
    succeeded(run_command(*scored.score(undisturbed), *PARTS))
    words = [*scored.score(out), *PARTS]
    assert killed(3, words) == -signal.SIGKILL
    assert not out.exists()
    ran = run_command(*words)
    succeeded(ran)
    assert "450 customers had been scored by a run that was stopped: checked and kept" in ran.out
    names = [path.name for path in undisturbed.parent.iterdir()]
    assert sorted(path.name for path in tmp_path.iterdir() if path.is_file()) == sorted(names)
    for name in names:
        assert (tmp_path / name).read_bytes() == (undisturbed.parent / name).read_bytes()


def test_a_killed_scoring_of_other_inputs_is_not_taken_up(scored, tmp_path):
    out, other = tmp_path / "s.parquet", ["--set", "planning.interval=0.8"]
    assert killed(2, [*scored.score(out), *PARTS]) == -signal.SIGKILL
    ran = run_command(*scored.score(out), *PARTS, *other)
    succeeded(ran)
    assert "checked and kept" not in ran.out
    undisturbed = tmp_path / "whole" / "s.parquet"
    succeeded(run_command(*scored.score(undisturbed), *PARTS, *other))
    assert out.read_bytes() == undisturbed.read_bytes()


def test_threads_change_no_byte_and_the_cost_is_said(scored, tmp_path):
    outs = [tmp_path / f"{threads}.parquet" for threads in (1, 3)]
    for threads, out in zip((1, 3), outs, strict=True):
        ran = run_command(*scored.score(out), *PARTS, "--set", f"threads={threads}")
        succeeded(ran)
        assert "rows a second and core: features" in ran.out
    for name in (".parquet", ".engagement.parquet", ".eligibility.parquet", ".eligibility.json"):
        assert (tmp_path / f"1{name}").read_bytes() == (tmp_path / f"3{name}").read_bytes()


def test_a_duckdb_file_holds_both_tables_and_keeps_what_else_it_has(scored, tmp_path):
    out = tmp_path / "s.duckdb"
    with duckdb.connect(out) as connection:
        connection.execute("CREATE TABLE mine AS SELECT 1 AS one; CREATE TABLE scores AS SELECT 'old' AS row")
    succeeded(run_command(*scored.score(out)))
    with duckdb.connect(out, read_only=True) as connection:
        connection.execute("SET TimeZone = 'UTC'")
        found = [rows_of(connection.sql(f"FROM {name}").to_arrow_table()) for name in ("scores", "engagement")]
        assert connection.execute("FROM mine").fetchall() == [(1,)]
    assert found == both(scored.scores)
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        out.name,
        "s.eligibility.json",
        "s.eligibility.parquet",
        "s.outlook.json",
    ]


def test_a_postgres_database_holds_both_tables(scored, postgres):
    address = postgres.create("scored", "CREATE TABLE mine (one integer)")
    for _ in range(2):
        succeeded(run_command(*scored.score(address)))
    import psycopg

    with psycopg.connect(address) as connection:
        connection.execute("SET TIME ZONE 'UTC'")
        found = [
            sorted(connection.execute(f"SELECT * FROM {name}".encode()).fetchall()) for name in ("scores", "engagement")
        ]
    assert found == both(scored.scores)


def test_a_table_of_other_columns_keeps_its_rows(scored, postgres):
    address = postgres.create("taken", "CREATE TABLE scores (one integer)", "INSERT INTO scores VALUES (1)")
    ran = run_command(*scored.score(address))
    assert ran.code == 1
    assert "table scores cannot be written" in ran.err
    assert "what was there before is whole" in ran.err
    assert postgres.password not in ran.err


@pytest.mark.parametrize("out", ["scores.xlsx", "scores"])
def test_another_form_is_refused(scored, tmp_path, out):
    ran = run_command(*scored.score(tmp_path / out))
    assert ran.code == 2
    assert "expected a file that ends in .parquet, .csv, .duckdb, .db, or postgresql://" in ran.err


def test_spark_gives_the_same_bytes(scored, spark, tmp_path):
    here, there = tmp_path / "here.parquet", tmp_path / "there.parquet"
    succeeded(run_command(*scored.score(here), *PARTS))
    ran = run_command(*scored.score(there), *PARTS, "--engine", "spark")
    succeeded(ran)
    assert there.read_bytes() == here.read_bytes()
    engagement = [path.with_name(f"{path.stem}.engagement.parquet").read_bytes() for path in (here, there)]
    assert engagement[0] == engagement[1]
