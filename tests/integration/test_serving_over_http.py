"""A real server on loopback: what it answers, what it keeps when it is killed, and a model that changes under it."""

import json
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing
from datetime import UTC, datetime
from http.client import HTTPConnection
from itertools import islice
from math import log
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

from benchmarks.parts.mutations import mutations
from contract.delivery import place_of
from contract.intake import open_data
from contract.loading import load_params
from serving.http.keys import load_keys
from tests.adapters.command_line import run_apart, run_command
from tests.adapters.http_server import Client, new_key, running
from tests.adapters.openapi_check import Document
from tests.adapters.workplace import AS_OF, SMALL_PROFILE, SMALL_TRAINING, Workplace, succeeded, without_card

BEFORE = "2026-10-31T10:00:00Z"


@pytest.fixture(scope="module")
def folder(trained: Workplace, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where a server of the trained retailer keeps its store and keys."""
    return tmp_path_factory.mktemp("serving")


@pytest.fixture(scope="module")
def words(trained: Workplace, folder: Path) -> list[object]:
    pointer = trained.registry_file.parent / "champions" / "sell.json"
    return ["--data", trained.data, "--store", folder / "store", "--keys", folder / "keys.json", "--model", pointer,
            "--as-of", AS_OF, "--set", "serving.watch_seconds=0.05"]  # fmt: skip


@pytest.fixture(scope="module")
def key(folder: Path) -> str:
    return new_key(folder / "keys.json", "admin")


@pytest.fixture(scope="module")
def server(words: list[object], folder: Path, key: str) -> Iterator[Client]:
    with running(folder, key, *words) as client:
        yield client


@pytest.fixture(scope="module")
def customers(trained: Workplace) -> list[str]:
    """Ids of customers, each test its own."""
    ids: list[str] = pq.read_table(trained.data / "customers.parquet")["customer_id"].to_pylist()
    return ids


def bought(event_id: str, customer: str, value: float = 30.0, **more: object) -> dict[str, object]:
    return {"event_id": event_id, "customer_id": customer, "occurred_at": BEFORE, "kind": "purchased",
            "channel": "web", "value": value, **more}  # fmt: skip


def test_health_and_document(server: Client) -> None:
    status, health = server.ask("GET", "/health")
    assert (status, health["status"], health["store"]) == (200, "ok", "ok")
    status, document = server.ask("GET", "/openapi.json")
    assert status == 200
    assert {"/v1/scores", "/v1/interactions", "/v1/customers/{customer_id}", "/v1/models"} <= set(document["paths"])


def test_whoever_keeps_a_connection_open_keeps_nobody_out(server: Client) -> None:
    """Tools pool their connections, which then are idle for most of the time."""
    with ExitStack() as pool:
        for _ in range(300):
            connection = pool.enter_context(closing(HTTPConnection("127.0.0.1", server.port, timeout=10.0)))
            connection.request("GET", "/health")
            answer = connection.getresponse()
            assert (answer.status, answer.read() != b"", answer.will_close) == (200, True, False)


def test_scores_over_http_are_those_of_the_batch(server: Client, scored: Workplace) -> None:
    table = pq.read_table(scored.scores).to_pylist()
    ids = list(dict.fromkeys(row["customer_id"] for row in table))[:40]
    status, answer = server.ask("POST", "/v1/scores", {"customers": ids, "campaign_id": scored.campaign})
    assert status == 200
    batch = {(row["customer_id"], row["channel"]): row for row in table}
    for each in answer["customers"]:
        for channel in each["channels"]:
            row = batch[each["customer_id"], channel["channel"]]
            for name in ("preference", "response", "uplift", "uplift_lower", "expected_value", "evidence"):
                assert channel[name] == row[name], (each["customer_id"], channel["channel"], name)
            assert each["response_no_contact"] == row["response_no_contact"]


def test_an_event_counts_from_the_next_answer_on_and_once(server: Client, customers: list[str]) -> None:
    customer = customers[0]
    _, before = server.ask("GET", f"/v1/customers/{customer}")
    asked = {"interactions": [bought("once", customer), bought("once", customer), bought("twice", customer, 31.0)]}
    status, answer = server.ask("POST", "/v1/interactions", asked)
    assert (status, answer["accepted"], answer["known"], answer["refused"]) == (200, 2, 1, [])
    _, after = server.ask("GET", f"/v1/customers/{customer}")
    assert after["events"] == before["events"] + 2
    assert after["channels"]["web"]["own_steps"] == before["channels"].get("web", {"own_steps": 0})["own_steps"] + 2


def test_a_customer_is_explained_in_words(server: Client, customers: list[str]) -> None:
    """Twice, before and after what explains is loaded; an event more is spoken of at once."""
    customer = customers[9]
    _, first = server.ask("GET", f"/v1/customers/{customer}")
    assert server.ask("GET", f"/v1/customers/{customer}")[1]["reasons"] == first["reasons"]
    _, models = server.ask("GET", "/v1/models")
    evidence = models["serving"]["evidence"]
    measured = [name for name in first["preference"] if evidence[name] != "unmeasured"]
    assert list(first["reasons"]) == measured
    for reasons in first["reasons"].values():
        moved = [abs(log(each["factor"])) for each in reasons]
        assert len(moved) == 3
        assert moved == sorted(moved, reverse=True)
        assert all(each["words"] for each in reasons)
    server.ask("POST", "/v1/interactions", {"interactions": [bought(f"told{n}", customer, 99.0) for n in range(9)]})
    assert server.ask("GET", f"/v1/customers/{customer}")[1]["reasons"] != first["reasons"]


def test_fresh_events_count_as_if_they_had_been_delivered(
    server: Client, trained: Workplace, customers: list[str]
) -> None:
    fresh: list[dict[str, object]] = [
        {"occurred_at": "2026-10-31T23:59:00Z", "kind": "unsubscribed", "channel": "email"},
        {"occurred_at": BEFORE, "kind": "returned", "channel": "app", "value": 12.5, "campaign_id": trained.campaign},
        {"occurred_at": "2026-10-30T10:00:00.000001Z", "kind": "purchased", "channel": "store", "value": 80.0},
    ]
    for customer in (customers[6], "nobody knows"):
        asked = {"customers": [{"customer_id": customer, "interactions": fresh}], "campaign_id": trained.campaign}
        status, once = server.ask("POST", "/v1/scores", asked)
        assert status == 200, once
        plain = {"customers": [customer], "campaign_id": trained.campaign}
        _, before = server.ask("POST", "/v1/scores", plain)
        delivered = [{**event, "event_id": str(at), "customer_id": customer} for at, event in enumerate(fresh)]
        _, kept = server.ask("POST", "/v1/interactions", {"interactions": delivered})
        assert kept["accepted"] == 3
        _, after = server.ask("POST", "/v1/scores", plain)
        assert once == after
        assert before["customers"] != after["customers"]
        email = next(each for each in after["customers"][0]["channels"] if each["channel"] == "email")
        assert not email["eligible"]


def test_requests_at_once_are_answered_as_one_by_one_and_only_the_wrong_one_is_refused(
    server: Client, customers: list[str]
) -> None:
    late = {"occurred_at": "2027-10-31T10:00:00Z", "kind": "visited", "channel": "web"}
    messages: list[Any] = [{"customers": customers[at : at + 1 + at % 3]} for at in range(20, 60)]
    messages[7] = {"customers": [{"customer_id": customers[27], "interactions": [late]}]}
    messages[9] = {"customers": customers[29:31], "campaign_id": "OTHER"}

    def ask(message: Any) -> Any:
        return server.ask("POST", "/v1/scores", message)

    alone = list(map(ask, messages))
    with ThreadPoolExecutor(16) as pool:
        together = list(pool.map(ask, messages))
    assert together == alone
    assert [status for status, _ in alone] == [422 if at == 7 else 200 for at in range(40)]


def test_features_that_are_given_take_the_place_of_those_that_are_known(
    server: Client, trained: Workplace, customers: list[str]
) -> None:
    table = pq.read_table(trained.data / "customers.parquet").to_pylist()
    row = next(row for row in table if row["customer_id"] == customers[7])
    own = {"age": 2026 - row["birth_year"], "region": row["region"]}
    _, models = server.ask("GET", "/v1/models")
    assert {"age", "region"} <= set(models["serving"]["columns"])
    busy = {name: 3.5 for name in models["serving"]["columns"] if name.startswith(("purchases", "sends", "answers"))}
    asked = [customers[7], ("nobody", {}), (customers[7], own), ("nobody", own | busy)]
    message = [each if isinstance(each, str) else {"customer_id": each[0], "features": each[1]} for each in asked]
    status, answer = server.ask("POST", "/v1/scores", {"customers": message})
    assert status == 200, answer
    plain, nobody, given, somebody = answer["customers"]
    assert plain == given
    assert nobody["known"] is somebody["known"] is False
    assert nobody["channels"] != somebody["channels"]


@pytest.mark.parametrize(
    ("features", "says"),
    [
        ({"age": "old"}, "expected a number"),
        ({"region": 3}, "expected a text"),
        ({"shoe_size": 3}, "no such column"),
        ({"action": 1}, "no such column"),
    ],
)
def test_features_that_the_model_does_not_have_are_refused(
    server: Client, features: dict[str, object], says: str
) -> None:
    asked = {"customers": [{"customer_id": "nobody", "features": features}]}
    status, problem = server.ask("POST", "/v1/scores", asked)
    assert (status, says in problem["detail"]) == (422, True)


def test_what_breaks_the_contract_is_refused_by_name_and_the_rest_is_kept(server: Client, customers: list[str]) -> None:
    asked = [
        bought("good", customers[1]),
        bought("kind", customers[1], kind="teleported"),
        bought("later", customers[1], occurred_at="2027-10-31T10:00:00Z"),
        bought("good", customers[1], 99.0),
    ]
    status, answer = server.ask("POST", "/v1/interactions", {"interactions": asked})
    assert (status, answer["accepted"]) == (200, 1)
    reasons = {each["event_id"]: each["reason"] for each in answer["refused"]}
    assert "'teleported' is not declared" in reasons["kind"]
    assert "lies in the future" in reasons["later"]
    assert "was delivered before with other content" in reasons["good"]


def odd_answers(server: Client, document: Document, connection: HTTPConnection) -> Iterator[int]:
    """Statuses of odd requests to every route, each held against the document."""
    for method, path, operation in document.operations():
        content = operation.get("requestBody", {}).get("content", {}).get("application/json", {})
        odd = mutations(content.get("example", {}), seed=len(path))
        for each in islice(odd, 150 if content else 30):
            for name in ("customer_id", "nobody%00", "%ff%fe", "a" * 300) if "{" in path else ("",):
                target = path.replace("{customer_id}", name)
                headers = {"authorization": f"Bearer {server.key}", **dict(each.headers)}
                headers.pop("content-length", None)
                headers.pop("transfer-encoding", None)
                try:
                    connection.request(method, target, each.body if content else None, headers)
                except ConnectionError:
                    # A kept connection may be closed by the server at any time; a request on a new one must do.
                    connection.close()
                    connection.request(method, target, each.body if content else None, headers)
                answer = connection.getresponse()
                body, kind = answer.read(), answer.headers["content-type"]
                told = document.fault(operation, answer.status, kind, json.loads(body) if "json" in kind else "")
                assert told is None, (method, target, each, body[:200])
                yield answer.status


def test_whatever_is_asked_the_answer_is_as_the_document_says(server: Client) -> None:
    document = Document(server.ask("GET", "/openapi.json")[1])
    with closing(HTTPConnection("127.0.0.1", server.port, timeout=30)) as connection:
        seen = set(odd_answers(server, document, connection))
    assert {200, 400, 401, 422} <= seen
    assert not {status for status in seen if status >= 500}


def test_who_is_erased_is_not_known_any_more_and_stays_out(server: Client, folder: Path, customers: list[str]) -> None:
    customer = customers[2]
    status, answer = server.ask("DELETE", f"/v1/customers/{customer}")
    assert (status, answer["events_removed"]) == (200, True)
    assert any("was trained" in line or "learned from" in line for line in answer["remains"])
    assert server.ask("GET", f"/v1/customers/{customer}")[0] == 404
    _, later = server.ask("POST", "/v1/interactions", {"interactions": [bought("again", customer)]})
    assert "was erased" in later["refused"][0]["reason"]
    intake = open_data(place_of(str(folder / "store")), load_params(), as_of=None, quarantine=None)
    for table in ("customers", "interactions", "consents"):
        found = intake.connection.execute(f"SELECT count(*) FROM {table} WHERE customer_id = ?", [customer])
        assert found.fetchall() == [(0,)]


def with_store(words: list[object], store: Path) -> list[object]:
    """The same words with a store of its own."""
    return [store if word == words[3] else word for word in words]


def test_a_store_has_one_server(server: Client, words: list[object]) -> None:
    ran = run_apart("serve", *words)
    assert (ran.code, "another server answers from it" in ran.err) == (2, True)


def test_no_acknowledged_event_is_lost_by_kill_9(words: list[object], folder: Path, key: str) -> None:
    acknowledged: set[str] = set()
    own = with_store(words, folder / "killed")
    for round_ in range(3):
        with running(folder, key, *(own[2:] if round_ else own)) as client:
            for number in range(10):
                name = f"kill-{round_}-{number}"
                assert (
                    client.ask("POST", "/v1/interactions", {"interactions": [bought(name, f"new{number}")]})[0] == 200
                )
                acknowledged.add(name)
            client.process.send_signal(signal.SIGKILL)
            client.process.wait()
    with running(folder, key, *own[2:]) as client:
        again = [bought(name, f"new{name.rpartition('-')[2]}") for name in sorted(acknowledged)]
        _, answer = client.ask("POST", "/v1/interactions", {"interactions": again})
        assert (answer["accepted"], answer["known"]) == (0, len(acknowledged))


def test_a_grant_counts_from_when_the_server_is_told_to_read_it(
    trained: Workplace, words: list[object], folder: Path, key: str, customers: list[str]
) -> None:
    data = folder / "granting"
    shutil.copytree(trained.data, data)
    consents = pq.read_table(data / "consents.parquet")
    customer = customers[4]

    def email(client: Client) -> Any:
        _, answer = client.ask("POST", "/v1/scores", {"customers": [customer]})
        return next(each for each in answer["customers"][0]["channels"] if each["channel"] == "email")

    mine = pc.equal(consents["customer_id"], customer)
    pq.write_table(consents.filter(pc.invert(mine)), data / "consents.parquet")
    own = with_store(words, folder / "granting_store")
    with running(folder, key, *[data if word == trained.data else word for word in own]) as client:
        assert email(client)["reason"] == "no consent on record"
        assert client.ask("POST", "/v1/interactions", {"interactions": [bought("g", customer)]})[1]["accepted"] == 1
        before = client.ask("GET", f"/v1/customers/{customer}")[1]["events"]
        given = {"customer_id": customer, "channel": "email", "occurred_at": datetime(2026, 10, 31, 12, tzinfo=UTC),
                 "granted": True}  # fmt: skip
        rows = [*consents.filter(pc.invert(mine)).to_pylist(), given]
        pq.write_table(pa.Table.from_pylist(rows, consents.schema), data / "consents.parquet")
        client.process.send_signal(signal.SIGHUP)
        while not email(client)["eligible"]:
            assert client.process.poll() is None
        assert client.ask("GET", f"/v1/customers/{customer}")[1]["events"] == before


def test_a_promoted_model_is_taken_up_and_a_broken_one_is_not(
    trained: Workplace, words: list[object], folder: Path, key: str, customers: list[str]
) -> None:
    own = with_store(words, folder / "promoting")
    store = ["train", "--data", folder / "promoting", "--as-of", AS_OF, "--registry", trained.registry]
    pointer = trained.registry_file.parent / "champions" / "sell.json"
    try:
        with running(folder, key, *own) as client:
            first = client.ask("GET", "/v1/models")[1]["serving"]["model_version"]
            with without_card():
                succeeded(run_command(*store, "--profile", "quick", *SMALL_TRAINING, *SMALL_PROFILE, "--set", "seed=1"))
            succeeded(run_command("promote", "--registry", trained.registry, "--version", 2))
            second = json.loads(pointer.read_text())["model_version"]
            assert second != first
            asked = {"customers": customers[3:5]}
            seen = first
            while seen == first:
                status, answer = client.ask("POST", "/v1/scores", asked)
                assert status == 200
                seen = answer["model_version"]
            assert seen == second
            whole = pointer.read_text()
            try:
                pointer.write_text("{")
                refused = None
                while refused is None:
                    status, models = client.ask("GET", "/v1/models")
                    assert status == 200
                    refused = models["refused"]
            finally:
                pointer.write_text(whole)
            assert "is damaged" in refused
            assert models["serving"]["model_version"] == second
    finally:  # others score with the champion that was there
        succeeded(run_command("rollback", "--registry", trained.registry))


def test_a_key_counts_from_when_it_is_made_until_it_is_taken_away(server: Client, folder: Path) -> None:
    late = Client(server.port, new_key(folder / "keys.json", "score"), server.process)
    while late.ask("GET", "/v1/models")[0] != 200:
        assert server.ask("GET", "/v1/models")[0] == 200
    load_keys(folder / "keys.json").without("score").save(folder / "keys.json")
    while late.ask("GET", "/v1/models")[0] != 401:
        assert server.ask("GET", "/v1/models")[0] == 200


def test_without_a_key_no_server_starts(words: list[object], folder: Path) -> None:
    ran = run_apart("serve", *words[:4], "--keys", folder / "none.json", *words[6:])
    assert ran.code == 2
    assert "channelwise keys add" in ran.err


def test_serving_loads_neither_mlflow_nor_optuna(folder: Path) -> None:
    code = "import sys, channelwise.jobs.serve; print(sorted({'mlflow', 'optuna'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], cwd=folder, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
