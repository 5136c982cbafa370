"""Two real servers that share a store in a real Redis: what one was told, the other knows with its next answer."""

import shutil
import signal
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from contract.delivery import place_of
from contract.intake import open_data
from contract.loading import load_params
from tests.adapters.command_line import run_apart
from tests.adapters.event_stores import redis_server
from tests.adapters.http_server import Client, new_key, running
from tests.adapters.workplace import AS_OF, Workplace

BEFORE = "2026-10-31T23:59:00Z"
ONE_CONTACT = "eligibility.windows={month: {contacts: 1, days: 28}}"


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with redis_server(tmp_path_factory.mktemp("redis")) as url:
        yield url


@pytest.fixture(scope="module")
def folder(trained: Workplace, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the servers keep their folders and keys."""
    return tmp_path_factory.mktemp("sharing")


@pytest.fixture(scope="module")
def words(trained: Workplace, folder: Path) -> list[object]:
    pointer = trained.registry_file.parent / "champions" / "sell.json"
    return ["--keys", folder / "keys.json", "--model", pointer, "--as-of", AS_OF, "--set", ONE_CONTACT]


@pytest.fixture(scope="module")
def key(folder: Path) -> str:
    return new_key(folder / "keys.json", "admin")


@pytest.fixture(scope="module")
def servers(trained: Workplace, words: list[object], folder: Path, key: str, address: str) -> Iterator[list[Client]]:
    """One that makes the store, and one with a copy of its folder."""
    with running(folder, key, *words, "--store", folder / "a", "--data", trained.data, "--redis", address) as one:
        shutil.copytree(folder / "a", folder / "b")
        with running(folder, key, *words, "--store", folder / "b") as other:
            yield [one, other]


@pytest.fixture(scope="module")
def customers(trained: Workplace) -> list[str]:
    """Ids of customers, each test its own."""
    ids: list[str] = pq.read_table(trained.data / "customers.parquet")["customer_id"].to_pylist()
    return ids


def event(
    event_id: str, customer: str, kind: str = "purchased", channel: str = "web", **more: object
) -> dict[str, Any]:
    return {"event_id": event_id, "customer_id": customer, "occurred_at": BEFORE, "kind": kind, "channel": channel,
            **more}  # fmt: skip


def email(scores: dict[str, Any]) -> dict[str, Any]:
    (found,) = (each for each in scores["customers"][0]["channels"] if each["channel"] == "email")
    return dict(found)


def test_an_event_told_to_one_counts_with_the_next_answer_of_the_other(
    servers: list[Client], customers: list[str]
) -> None:
    one, other = servers
    for number in range(20):
        customer = customers[number]
        before = other.ask("GET", f"/v1/customers/{customer}")[1]["events"]
        told = [event(f"e{number}", customer), event(f"n{number}", customer, "unsubscribed", "email")]
        assert one.ask("POST", "/v1/interactions", {"interactions": told})[1]["accepted"] == 2
        assert other.ask("GET", f"/v1/customers/{customer}")[1]["events"] == before + 2
        scores = [each.ask("POST", "/v1/scores", {"customers": [customer]})[1] for each in servers]
        assert scores[0] == scores[1]
        assert not email(scores[1])["eligible"]
        assert other.ask("POST", "/v1/interactions", {"interactions": told})[1]["known"] == 2


def test_the_last_contact_is_given_once_whoever_is_asked(servers: list[Client], customers: list[str]) -> None:
    def decide(number: int) -> list[tuple[str, str | None]]:
        message = {"request_id": f"last{number}", "campaign_id": f"C{number}", "customers": customers[100:140]}
        status, answer = servers[number % 2].ask("POST", "/v1/decisions", message)
        assert status == 200, answer
        return [(each["customer_id"], each["channel"]) for each in answer["decisions"]]

    with ThreadPoolExecutor(6) as pool:
        made = [each for found in pool.map(decide, range(12)) for each in found]
    contacts = Counter(customer for customer, channel in made if channel is not None)
    assert contacts
    assert max(contacts.values()) == 1


def test_a_question_has_one_answer_whoever_is_asked(servers: list[Client], customers: list[str]) -> None:
    message = {"request_id": "once", "campaign_id": "SPRING", "customers": customers[200:260]}

    def ask(number: int) -> Any:
        return servers[number % 2].ask("POST", "/v1/decisions", message)

    with ThreadPoolExecutor(6) as pool:
        answers = list(pool.map(ask, range(6)))
    assert answers[0][0] == 200
    assert all(each == answers[0] for each in answers)


def test_who_is_erased_at_one_is_unknown_to_the_other_and_to_trainings(
    servers: list[Client], customers: list[str], folder: Path
) -> None:
    one, other = servers
    customer = customers[300]
    assert other.ask("GET", f"/v1/customers/{customer}")[0] == 200
    told = [event("before", customer), event("stays", customers[301])]
    one.ask("POST", "/v1/interactions", {"interactions": told})
    one.ask("POST", "/v1/decisions", {"request_id": "gone", "campaign_id": "X", "customers": [customer]})
    assert one.ask("DELETE", f"/v1/customers/{customer}")[1]["events_removed"]
    assert other.ask("GET", f"/v1/customers/{customer}")[0] == 404
    again = other.ask("POST", "/v1/interactions", {"interactions": [event("again", customer)]})[1]
    assert "was erased" in again["refused"][0]["reason"]
    asked = {"request_id": "gone2", "campaign_id": "X", "customers": [customer]}
    assert other.ask("POST", "/v1/decisions", asked)[0] == 422
    intake = open_data(place_of(str(folder / "b")), load_params(), as_of=None, quarantine=None)
    for table in ("customers", "interactions", "consents", "propensities"):
        found = intake.connection.execute(f"SELECT count(*) FROM {table} WHERE customer_id = ?", [customer])
        assert found.fetchall() == [(0,)]
    query = "SELECT kind, value FROM interactions WHERE customer_id = ? AND occurred_at = TIMESTAMP '2026-10-31 23:59'"
    assert intake.connection.execute(query, [customers[301]]).fetchall() == [("purchased", None)]


def test_what_one_acknowledged_before_kill_9_the_other_knows(
    words: list[object], servers: list[Client], folder: Path, key: str
) -> None:
    _, other = servers
    shutil.copytree(folder / "b", folder / "c")
    message = {"request_id": "killed", "campaign_id": "SPRING", "customers": ["new1", "new2"]}
    with running(folder, key, *words, "--store", folder / "c") as third:
        told = [event(f"k{number}", f"new{number}") for number in range(10)]
        assert third.ask("POST", "/v1/interactions", {"interactions": told})[1]["accepted"] == 10
        decided = third.ask("POST", "/v1/decisions", message)
        third.process.send_signal(signal.SIGKILL)
        third.process.wait()
    assert other.ask("POST", "/v1/interactions", {"interactions": told})[1]["known"] == 10
    assert other.ask("POST", "/v1/decisions", message) == decided


def test_a_store_that_lies_elsewhere_is_refused(words: list[object], servers: list[Client], folder: Path) -> None:
    ran = run_apart("serve", *words, "--store", folder / "b", "--redis", "redis://127.0.0.1:1/0")
    assert (ran.code, "does not lie there" in ran.err) == (2, True)
