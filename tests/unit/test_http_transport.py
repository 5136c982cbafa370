"""The HTTP application without any model: who is let in, what is refused, and that it says so at once."""

import asyncio
import io
import json
from itertools import count

import msgspec
import pytest

from contract.errors import ArtefactError, UsageError
from serving.http.answers import answer
from serving.http.application import Application, Bounds
from serving.http.desk import Desk, Groupable, Work, at_once
from serving.http.keys import Keys, load_keys
from serving.http.messages import Message
from serving.http.metrics import Metrics
from serving.http.openapi import document
from serving.http.routes import ANY_KEY, OPEN, Route, Routes
from serving.http.watched_file import WatchedFile
from serving.watching.findings import FORMAT, Finding, Monitoring


class Sum(Message):
    numbers: list[int]


class Total(Message):
    total: int
    owner: str


def add(call):
    total = 0
    for number in call.message.numbers:
        if number == 666:
            raise RuntimeError("customer c17 is broken")
        total += number
        yield
    return answer(Total(total=total, owner=call.owner))


def named(call):
    yield
    return answer(Total(total=len(call.variable), owner=call.owner))


ROUTES = Routes(
    [
        Route("GET", "/health", OPEN, "Whether it works.", lambda _: at_once(answer({})), None),
        Route("POST", "/v1/sums", "score", "Adds.", add, Total, Sum, cost=lambda each: len(each.numbers)),
        Route("GET", "/v1/names/{id}", ANY_KEY, "Counts letters.", named, Total),
        Route("DELETE", "/v1/names/{id}", "erase", "Forgets.", named, Total),
    ]
)


@pytest.fixture
def shop():
    keys, key = Keys().with_new("tool", ["score"])
    return Application(ROUTES, keys, Bounds(body_bytes=2_000), Metrics(), log=io.StringIO()), key


async def asked(app, method, path, body=b"", key=None, headers=(), arriving=None):
    """Status, headers and body of one request; `arriving`: its body in pieces, what was not asked for is left there."""
    sent = []
    if arriving is None:
        arriving = [{"type": "http.request", "body": body, "more_body": False}]

    async def receive():
        return arriving.pop(0) if arriving else {"type": "http.disconnect"}

    async def send(event):
        sent.append(event)

    given = [*headers, *([(b"authorization", f"Bearer {key}".encode())] if key else [])]
    await app({"type": "http", "method": method, "path": path, "headers": given}, receive, send)
    return sent[0]["status"], dict(sent[0]["headers"]), sent[1]["body"]


def ask(app, *request, **more):
    return asyncio.run(asked(app, *request, **more))


@pytest.mark.parametrize(
    ("method", "path", "body", "status", "says"),
    [
        ("POST", "/v1/nothing", b"{}", 404, "no such path"),
        ("PUT", "/v1/sums", b"{}", 405, "takes POST"),
        ("POST", "/v1/sums", b"{", 400, "no valid JSON"),
        ("POST", "/v1/sums", b'{"\xff": 1}', 400, "no valid JSON"),
        ("POST", "/v1/sums", b'{"numbers": ["x"]}', 422, r"$.numbers[0]"),
        ("POST", "/v1/sums", b'{"numbers": [], "more": 1}', 422, "more"),
        ("POST", "/v1/sums", b" " * 3_000, 413, "larger than 2000"),
        ("POST", "/v1/sums", b'{"numbers": [666]}', 500, "its log says more"),
        ("DELETE", "/v1/names/anna", b"", 403, "takes 'erase'"),
        ("GET", "/v1/names/", b"", 404, "no such path"),
    ],
)
def test_what_is_wrong_is_said_as_a_problem(shop, method, path, body, status, says):
    app, key = shop
    found, headers, text = ask(app, method, path, body, key=key)
    problem = json.loads(text)
    assert (found, headers[b"content-type"]) == (status, b"application/problem+json")
    assert problem["status"] == status
    assert says in problem["detail"]


@pytest.mark.parametrize("announced", [True, False])
@pytest.mark.parametrize(("pieces", "left"), [(5, 0), (500, 500)])
def test_a_body_that_is_too_large_is_read_away_before_it_is_refused(shop, announced, pieces, left):
    app, key = shop
    arriving = [{"type": "http.request", "body": b" " * 1_000, "more_body": at < pieces - 1} for at in range(pieces)]
    headers = [(b"content-length", str(1_000 * pieces).encode())] if announced else []
    status, _, _ = ask(app, "POST", "/v1/sums", key=key, headers=headers, arriving=arriving)
    assert status == 413
    # Of one that has no end, sixteen times what would have been taken, and not much more.
    assert max(0, left - 40) <= len(arriving) <= left - 32 if left else not arriving


@pytest.mark.parametrize(("method", "path"), [("POST", "/v1/sums"), ("POST", "/v1/nowhere"), ("PUT", "/v1/sums")])
def test_who_is_not_let_in_is_answered_once_the_body_is_read_away(shop, method, path):
    app, _ = shop
    arriving = [{"type": "http.request", "body": b"{}", "more_body": at < 2} for at in range(3)]
    status, _, _ = ask(app, method, path, arriving=arriving)
    assert 401 <= status <= 405
    assert not arriving


def test_without_a_key_only_health_is_answered(shop):
    app, key = shop
    assert ask(app, "GET", "/health")[0] == 200
    for given in (None, "cw_" + "a" * 43, key[:-1]):
        status, headers, _ = ask(app, "POST", "/v1/sums", b'{"numbers": [1]}', key=given)
        assert (status, headers[b"www-authenticate"]) == (401, b"Bearer")
    status, _, body = ask(app, "POST", "/v1/sums", b'{"numbers": [1, 2]}', key=key)
    assert (status, json.loads(body)) == (200, {"total": 3, "owner": "tool"})


def test_the_log_names_no_customer(shop):
    app, key = shop
    app.log_all = True
    ask(app, "GET", "/v1/names/c17", key=key)
    ask(app, "POST", "/v1/sums", b'{"numbers": [666]}', key=key)
    lines = app.log.getvalue()
    assert "c17" not in lines
    assert [json.loads(line)["status"] for line in lines.splitlines()] == [200, 500, 500]
    assert "RuntimeError" in lines


def test_a_key_that_asks_too_often_is_told_when_to_come_again(shop):
    _, key = shop
    app, _ = shop
    app.bounds = Bounds(per_second=0.001, burst=2)
    statuses = [ask(app, "GET", "/v1/names/anna", key=key)[0] for _ in range(3)]
    assert statuses == [200, 200, 429]
    assert int(ask(app, "GET", "/v1/names/anna", key=key)[1][b"retry-after"]) > 100


def test_small_requests_pass_a_large_one_and_a_full_desk_says_no(shop):
    app, key = shop
    app.desk = Desk(most_waiting=500, timeout_seconds=60.0)

    async def play():
        large = asyncio.create_task(
            asked(app, "POST", "/v1/sums", msgspec.json.encode({"numbers": [1] * 499}), key=key)
        )
        await asyncio.sleep(0)
        small = await asked(app, "GET", "/v1/names/anna", key=key)
        unfinished = not large.done()
        refused = await asked(app, "POST", "/v1/sums", b'{"numbers": [1, 2]}', key=key)
        return small[0], unfinished, refused, (await large)[0]

    small, unfinished, refused, large = asyncio.run(play())
    assert (small, unfinished, large) == (200, True, 200)
    assert refused[0] == 503
    assert int(refused[1][b"retry-after"]) >= 1
    assert app.desk.waiting == 0


def test_small_requests_of_one_kind_are_answered_at_once_and_only_the_wrong_one_is_told():
    batches = []

    def done(asked):
        batches.append(asked)
        return [ValueError("odd") if each % 2 else answer({"even": each}) for each in asked]

    async def play():
        desk = Desk(most_waiting=500, timeout_seconds=60.0)
        works: list[tuple[Work, int]] = [(Groupable("a", done, number), 1) for number in range(20)]
        works[1:1] = [(Groupable("b", done, 40), 1), (at_once(answer({})), 1)]
        results = await asyncio.gather(*(desk.done(*each) for each in works), return_exceptions=True)
        return desk.waiting, results

    waiting, results = asyncio.run(play())
    assert waiting == 0
    assert batches == [list(range(16)), [40], [16, 17, 18, 19]]
    assert [getattr(each, "body", None) for each in results[:4]] == [b'{"even":0}', b'{"even":40}', b"{}", None]
    assert isinstance(results[3], ValueError)


def batches_of(monkeypatch, times, work_seconds):
    """How many were answered at a time; one asker for each of `times`, who asks so often, again once answered."""
    batches = []

    def done(numbers):
        batches.append(len(numbers))
        return [answer({}) for _ in numbers]

    async def ask_again(desk, number):
        for _ in range(times[number]):
            await desk.done(Groupable("a", done, number), 1)
            for _ in range(number):
                await asyncio.sleep(0)

    async def play():
        desk = Desk(most_waiting=500, timeout_seconds=60.0)
        async with asyncio.timeout(30):
            await asyncio.gather(*(ask_again(desk, number) for number in range(len(times))))

    monkeypatch.setattr("serving.http.desk.perf_counter", map(work_seconds.__mul__, count()).__next__)
    asyncio.run(play())
    return batches


def test_those_who_were_answered_together_are_waited_for(monkeypatch):
    assert batches_of(monkeypatch, [20] * 8, work_seconds=120.0) == [8] * 20


def test_a_single_asker_never_waits(monkeypatch):
    assert batches_of(monkeypatch, [20], work_seconds=120.0) == [1] * 20


def test_those_who_do_not_come_again_are_not_waited_for_long(monkeypatch):
    assert batches_of(monkeypatch, [3] + [1] * 7, work_seconds=1e-3) == [8, 1, 1]


def test_what_fails_for_all_is_told_to_all_and_the_desk_goes_on():
    def broken(asked):
        raise RuntimeError("broken")

    async def play():
        desk = Desk(most_waiting=500, timeout_seconds=60.0)
        failing = (desk.done(Groupable("a", broken, number), 1) for number in range(3))
        results = await asyncio.gather(*failing, desk.done(at_once(answer({})), 1), return_exceptions=True)
        return desk.waiting, results

    waiting, results = asyncio.run(play())
    assert waiting == 0
    assert [type(each).__name__ for each in results] == ["RuntimeError"] * 3 + ["Answer"]


def test_work_that_waited_too_long_is_not_done(shop):
    app, key = shop
    app.desk = Desk(most_waiting=500, timeout_seconds=-1.0)
    assert ask(app, "GET", "/v1/names/anna", key=key)[0] == 503
    assert app.desk.waiting == 0


def test_work_that_was_begun_is_ended(shop):
    app, key = shop
    desk = Desk(most_waiting=500, timeout_seconds=60.0)
    app.desk = desk

    async def play():
        body = msgspec.json.encode({"numbers": [1] * 30})
        asking = asyncio.create_task(asked(app, "POST", "/v1/sums", body, key=key))
        while not desk.waiting:
            await asyncio.sleep(0)
        await asyncio.sleep(0)
        for item in desk._queue:
            assert item.begun
            item.until = 0.0
        return await asking

    assert asyncio.run(play())[0] == 200


def test_keys_are_kept_as_digests_only(tmp_path):
    keys, key = Keys().with_new("tool", ["ingest", "score"])
    keys.save(tmp_path / "keys.json")
    text = (tmp_path / "keys.json").read_text()
    assert key not in text
    assert (tmp_path / "keys.json").stat().st_mode & 0o777 == 0o600
    read = load_keys(tmp_path / "keys.json")
    assert read == keys
    owner = read.owner(key)
    assert owner is not None
    assert owner.scopes == ("score", "ingest")
    assert read.without("tool").owner(key) is None
    assert load_keys(tmp_path / "none.json") == Keys()
    with pytest.raises(UsageError, match="expected one or more of score, decide, ingest, erase, admin"):
        keys.with_new("other", ["everything"])
    with pytest.raises(UsageError, match="key 'tool': exists"):
        keys.with_new("tool", ["score"])


def test_a_file_of_keys_is_read_again_when_written_anew_and_kept_when_damaged(tmp_path):
    path = tmp_path / "keys.json"
    keys, key = Keys().with_new("tool", ["score"])
    keys.save(path)
    watched = WatchedFile(path, load_keys, "keys")
    assert watched.renew() == []
    keys.without("tool").save(path)
    assert watched.renew() == ["took the keys of keys.json anew"]
    assert watched.now().owner(key) is None
    keys.save(path)
    assert watched.renew()
    path.write_text("{")
    (said,) = watched.renew()
    assert "the keys offered were refused, the old ones stay" in said
    assert watched.now().owner(key) is not None
    assert watched.renew() == []
    path.unlink()
    watched.renew()
    assert watched.now().owner(key) is None
    path.write_text("{")
    with pytest.raises(ArtefactError):
        WatchedFile(path, load_keys, "keys")


def test_the_figures_of_the_last_monitoring_are_among_the_metrics():
    def monitoring(*findings):
        return Monitoring(format=FORMAT, model_version="m", trained_until="2026-01-01T00:00:00+00:00",
                          period_from="2026-01-01T00:00:00+00:00", as_of="2026-01-29T00:00:00+00:00", period_days=28,
                          periods_since=1, reference_periods=13, level=0.01, decisions=0, findings=findings,
                          calibration=(), performance=None, plans=(), rare=(), notes=())  # fmt: skip

    told = [monitoring()]
    metrics = Metrics()
    metrics.follow(lambda: told[-1])
    assert 'channelwise_drift_findings{group="tracking",verdict="alarm"} 0.0' in metrics.text().decode()
    told.append(monitoring(Finding("tracking", 'clicked "a"', "alarm", 1.0, 0.0, -1.0, 0.0, 0.0, "none")))
    text = metrics.text().decode()
    assert 'channelwise_drift_findings{group="tracking",verdict="alarm"} 1.0' in text
    assert 'channelwise_drift_effect{group="tracking",name="clicked \\"a\\""} -1.0' in text
    assert "channelwise_monitored_until_seconds 1.7696448e+09" in text


def test_the_document_holds_every_route_with_its_refusals():
    made = document(ROUTES, "1.0")
    assert made["openapi"] == "3.1.0"
    post = made["paths"]["/v1/sums"]["post"]
    assert {"200", "401", "403", "413", "422", "429", "503"} <= set(post["responses"])
    assert post["requestBody"]["content"]["application/json"]["schema"] == {"$ref": "#/components/schemas/Sum"}
    assert made["paths"]["/health"]["get"]["security"] == []
    json.dumps(made)


def test_metrics_count_by_route(shop):
    app, key = shop
    ask(app, "GET", "/v1/names/anna", key=key)
    text = app.metrics.text().decode()
    assert 'channelwise_requests_total{route="GET /v1/names/{id}",status="200"} 1.0' in text
    assert "anna" not in text
