"""Decisions of a real server: those of the plan, those without one, and what is kept of them for the next training."""

import signal
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from contract.delivery import place_of
from contract.intake import open_data
from contract.loading import load_params
from tests.adapters.command_line import run_command
from tests.adapters.event_stores import KINDS_OF_STORE, redis_server
from tests.adapters.http_server import Client, new_key, running
from tests.adapters.workplace import AS_OF, Workplace, succeeded

BEFORE = "2026-10-31T23:59:00Z"
OTHER = "AUTUMN"


@pytest.fixture(scope="module", params=KINDS_OF_STORE)
def shared(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[object]]:
    """What to say for each kind of store."""
    if request.param == "sqlite":
        yield []
        return
    with redis_server(tmp_path_factory.mktemp("redis")) as url:
        yield ["--redis", url]


@pytest.fixture(scope="module")
def folder(scored: Workplace, shared: list[object], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where a server keeps its store and keys."""
    return tmp_path_factory.mktemp("deciding")


@pytest.fixture(scope="module")
def plan(scored: Workplace, folder: Path) -> Path:
    """The last plan of the campaign that was scored."""
    succeeded(run_command(*scored.plan(folder / "plan.parquet")))
    return folder / "plan.parquet"


@pytest.fixture(scope="module")
def words(scored: Workplace, shared: list[object], folder: Path, plan: Path) -> list[object]:
    pointer = scored.registry_file.parent / "champions" / "sell.json"
    return ["--data", scored.data, "--store", folder / "store", "--keys", folder / "keys.json", "--model", pointer,
            "--as-of", AS_OF, "--plan", plan, "--set", "serving.watch_seconds=0.05", *shared]  # fmt: skip


@pytest.fixture(scope="module")
def key(folder: Path) -> str:
    return new_key(folder / "keys.json", "score", "decide", "ingest", "erase")


@pytest.fixture(scope="module")
def server(words: list[object], folder: Path, key: str) -> Iterator[Client]:
    with running(folder, key, *words) as client:
        yield client


def asked(request_id: str, campaign: str, customers: list[str]) -> dict[str, object]:
    return {"request_id": request_id, "campaign_id": campaign, "customers": customers}


def kept(folder: Path, query: str) -> list[tuple[Any, ...]]:
    """Rows of the store, as a training reads it."""
    intake = open_data(place_of(str(folder / "store")), load_params(), as_of=None, quarantine=None)
    return intake.connection.sql(query).fetchall()


def test_whom_the_plan_knows_gets_what_it_says(server: Client, scored: Workplace, plan: Path) -> None:
    rows = {row["customer_id"]: row for row in pq.read_table(plan).to_pylist()}
    vectors: dict[str, dict[str, float]] = {}
    for row in pq.read_table(plan.with_suffix(".propensities.parquet")).to_pylist():
        vectors.setdefault(row["customer_id"], {})[row["channel"] or "no_contact"] = row["propensity"]
    ids = list(rows)[:300]
    status, answer = server.ask("POST", "/v1/decisions", asked("plan", scored.campaign, ids))
    assert (status, answer["priced"]) == (200, True)
    assert [each["customer_id"] for each in answer["decisions"]] == ids
    for each in answer["decisions"]:
        row, vector = rows[each["customer_id"]], vectors[each["customer_id"]]
        assert (each["channel"], each["role"]) == (row["channel"], row["role"])
        assert each["propensities"] == pytest.approx({name: share for name, share in vector.items() if share > 0})
        assert each["propensity"] == pytest.approx(row["propensity"])
    assert len(Counter(each["role"] for each in answer["decisions"])) > 1


def test_an_objection_closes_what_was_planned_with_the_next_answer(
    server: Client, scored: Workplace, plan: Path
) -> None:
    planned = next(row for row in pq.read_table(plan).to_pylist() if row["channel"] and row["role"] == "plan")
    customer, channel = planned["customer_id"], planned["channel"]
    objection = {"event_id": "no", "customer_id": customer, "occurred_at": BEFORE, "kind": "unsubscribed",
                 "channel": channel}  # fmt: skip
    server.ask("POST", "/v1/interactions", {"interactions": [objection]})
    _, answer = server.ask("POST", "/v1/decisions", asked("objected", scored.campaign, [customer]))
    (decision,) = answer["decisions"]
    assert decision["channel"] is None
    assert decision["reason"].startswith(f"meant for {channel}, which has closed")
    assert channel not in decision["propensities"]
    assert sum(decision["propensities"].values()) == pytest.approx(1.0)


def test_without_a_plan_net_value_decides_and_a_share_is_held_out_and_kept(
    server: Client, folder: Path, scored: Workplace
) -> None:
    ids = pq.read_table(scored.data / "customers.parquet")["customer_id"].to_pylist()[:1000]
    status, answer = server.ask("POST", "/v1/decisions", asked("net", OTHER, ids))
    assert (status, answer["priced"]) == (200, False)
    for each in answer["decisions"]:
        assert sum(each["propensities"].values()) == pytest.approx(1.0)
        assert each["propensities"][each["channel"] or "no_contact"] == each["propensity"]
        if each["role"] == "plan":
            assert "no plan of the campaign" in each["reason"]
            assert (each["expected_value"] > each["cost"]) == (each["channel"] is not None)
    roles = Counter(each["role"] for each in answer["decisions"])
    reached = len(ids) - roles["ineligible"]
    assert 0.02 < roles["holdout"] / reached < 0.09
    assert 0.004 < roles["explore"] / reached < 0.05
    held = {
        each["customer_id"]: each["propensity"]
        for each in answer["decisions"]
        if each["channel"] is None and each["role"] != "ineligible"
    }
    assert len(held) > roles["holdout"]
    query = f"SELECT customer_id, propensity FROM interactions WHERE kind = 'held_out' AND campaign_id = '{OTHER}'"
    assert dict(kept(folder, query)) == held
    (count,) = kept(folder, f"SELECT count(DISTINCT customer_id) FROM propensities WHERE campaign_id = '{OTHER}'")
    assert count == (1000,)


def test_a_send_takes_its_propensity_from_the_decision(server: Client, folder: Path, scored: Workplace) -> None:
    ids = pq.read_table(scored.data / "customers.parquet")["customer_id"].to_pylist()[1000:1200]
    _, answer = server.ask("POST", "/v1/decisions", asked("sends", "WINTER", ids))
    decision = next(each for each in answer["decisions"] if each["channel"])
    sent = {"event_id": "s1", "customer_id": decision["customer_id"], "occurred_at": BEFORE, "kind": "sent",
            "channel": decision["channel"], "campaign_id": "WINTER"}  # fmt: skip
    _, taken = server.ask("POST", "/v1/interactions", {"interactions": [sent]})
    assert taken["accepted"] == 1
    query = "SELECT propensity FROM interactions WHERE kind = 'sent' AND campaign_id = 'WINTER'"
    assert kept(folder, query) == [(decision["propensity"],)]


def test_a_request_repeated_gets_the_same_answer_also_after_kill_9(words: list[object], folder: Path, key: str) -> None:
    own = folder / "killed"
    words = [own / "store" if word == folder / "store" else word for word in words]
    message = asked("again", OTHER, [f"new{number}" for number in range(40)])
    with running(folder, key, *words) as client:
        first = client.ask("POST", "/v1/decisions", message)
        assert first[0] == 200, first
        assert client.ask("POST", "/v1/decisions", message) == first
        status, problem = client.ask("POST", "/v1/decisions", asked("again", OTHER, ["new1"]))
        assert (status, "another question" in problem["detail"]) == (422, True)
        client.process.send_signal(signal.SIGKILL)
        client.process.wait()
    with running(folder, key, *words[2:]) as client:
        assert client.ask("POST", "/v1/decisions", message) == first
        client.ask("DELETE", "/v1/customers/new3")
        status, problem = client.ask("POST", "/v1/decisions", message)
        assert (status, "customers[3]: was erased" in problem["detail"]) == (422, True)
    held = sum(each["channel"] is None and each["role"] != "ineligible" for each in first[1]["decisions"])
    (count,) = kept(own, "SELECT count(*) FROM interactions WHERE kind = 'held_out' AND customer_id LIKE 'new%'")
    assert count[0] in (held, held - 1)


def test_a_plan_written_anew_is_taken_up(server: Client, scored: Workplace, plan: Path) -> None:
    customer = pq.read_table(plan)["customer_id"][5].as_py()
    succeeded(run_command(*scored.plan(plan), "--set", "planning.holdout_share=0.999", "--set",
                          "planning.explore_share=0.0"))  # fmt: skip
    role, number = "", 0
    while role != "holdout":
        number += 1
        status, answer = server.ask("POST", "/v1/decisions", asked(f"renewed{number}", scored.campaign, [customer]))
        assert status == 200
        role = answer["decisions"][0]["role"]
