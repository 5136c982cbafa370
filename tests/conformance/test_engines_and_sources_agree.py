"""Every engine over every source writes the same timeline, byte for byte."""

from pathlib import Path

import pandas as pd
import pytest

import features.spark_engine
from contract.delivery import place_of
from contract.intake import open_data
from contract.loading import load_params
from features.engines import DuckdbEngine
from features.timeline import build_timeline
from tests.adapters.command_line import run_command
from tests.adapters.hostile_shop import AS_OF, CROWDED, DATABASES, FILES, IDS, postgres_rows, postgres_statements
from tests.adapters.small_shop import shop_tables, write_shop
from tests.properties.raw_histories import raw_history

PARAMS = load_params(assignments=["check.allow_quarantine=[interactions]", "check.max_quarantine_share=1"])


@pytest.fixture(params=["duckdb", "spark"])
def engine(request):
    return DuckdbEngine if request.param == "duckdb" else request.getfixturevalue("spark")


@pytest.fixture(scope="module")
def places(tmp_path_factory):
    """Places made so far, by source."""
    return {"folder": tmp_path_factory.mktemp("sources")}


@pytest.fixture(params=[*FILES, *DATABASES])
def place(request, places):
    name = request.param
    if name not in places and name in FILES:
        places[name] = FILES[name](places["folder"] / name)
    elif name not in places:
        server, time = request.getfixturevalue("postgres"), DATABASES[name]
        places[name] = place_of(server.create(name, *postgres_statements(time)))
        server.load(name, postgres_rows(time))
    return places[name]


@pytest.fixture(scope="module")
def reference(tmp_path_factory):
    folder = tmp_path_factory.mktemp("reference")
    intake = open_data(FILES["Parquet"](folder / "shop"), PARAMS, as_of=AS_OF, quarantine=None)
    return build_timeline(intake, PARAMS, folder / "timeline")


def same_files(one: Path, other: Path) -> None:
    names = [
        sorted(each.relative_to(folder) for each in folder.rglob("*") if each.is_file()) for folder in (one, other)
    ]
    assert names[0] == names[1]
    for name in names[0]:
        assert (one / name).read_bytes() == (other / name).read_bytes(), name


def test_the_same_timeline_whatever_the_source_and_the_engine(engine, place, reference, tmp_path):
    intake = open_data(place, PARAMS, as_of=AS_OF, quarantine=None)
    timeline = build_timeline(intake, PARAMS, tmp_path / "timeline", engine=engine)
    assert timeline.fingerprint == reference.fingerprint
    same_files(timeline.folder, reference.folder)


def test_the_reference_is_hostile(reference):
    events = dict(zip(reference.customer_ids, (reference.offsets[1:] - reference.offsets[:-1]).tolist(), strict=True))
    assert list(events) == sorted(IDS, key=str.encode)
    assert events[CROWDED] > 4_000
    assert events["none"] == events["9"] == events["10"] == 0
    block = next(iter(reference.blocks(10**9)))
    pairs = pd.DataFrame({"time": block.time_us, "code": block.code}).duplicated()
    assert pairs.sum() > 500
    assert (block.time_us % 1_000_000 != 0).any()


@pytest.mark.parametrize("rows_a_partition", [100, 1_000_000])
def test_no_customer_is_cut_however_many_partitions(spark, rows_a_partition, monkeypatch, tmp_path):
    monkeypatch.setattr(features.spark_engine, "PARTITION_ROWS", rows_a_partition)
    shown = raw_history(PARAMS, 21, 1_500)
    expected = build_timeline(shown.opened(), PARAMS, tmp_path / "duckdb", group_events=100)
    same_files(
        build_timeline(shown.opened(), PARAMS, tmp_path / "spark", group_events=100, engine=spark).folder,
        expected.folder,
    )


def test_a_history_without_events_and_one_under_an_older_codebook(engine, tmp_path):
    empty = raw_history(PARAMS, 22, 0)
    none = build_timeline(empty.opened(), PARAMS, tmp_path / "none", engine=engine)
    assert (none.n_events, none.n_customers) == (0, len(empty.customers))
    shown = raw_history(PARAMS, 23, 200)
    sent = shown.with_rows(shown.interactions[shown.interactions.kind == "sent"])
    codebook = build_timeline(sent.opened(), PARAMS, tmp_path / "sent", engine=engine).codebook
    later = build_timeline(shown.opened(), PARAMS, tmp_path / "later", engine=engine, codebook=codebook)
    assert later.codebook.entries[: len(codebook.entries)] == codebook.entries
    plain = build_timeline(shown.opened(), PARAMS, tmp_path / "plain", codebook=codebook)
    assert later.fingerprint == plain.fingerprint


def test_the_command_writes_the_same_features_by_either_engine(spark, tmp_path):
    data = write_shop(tmp_path / "shop", shop_tables())
    for name in ("duckdb", "spark"):
        ran = run_command("features", "--data", data, "--out", tmp_path / name, "--engine", name)
        assert ran.code == 0, ran.err
    same_files(tmp_path / "duckdb", tmp_path / "spark")
