"""Every log of decisions keeps the same promises, and servers that share a store know what one alone knows."""

from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from random import Random

import pytest

from contract.errors import ArtefactError, DataError, RefusedError, UsageError
from contract.intake import open_data
from contract.loading import load_params
from contract.shared_store import Shared, check_made
from features.event_store import Interaction
from serving.decision_log import Decided
from serving.overlay import HeldOverlay, Overlay
from serving.sqlite_log import SqliteLog
from tests.adapters.event_stores import KINDS_OF_STORE, redis_server
from tests.adapters.small_shop import shop_tables, write_shop

PARAMS = load_params(
    assignments=[
        "eligibility.min_relation_days=3",
        "eligibility.windows={month: {contacts: 2, days: 28}}",
        "eligibility.cooling_off={complaint: {kinds: [complained], days: 90}}",
    ]
)
VECTOR = {None: 0.1, "email": 0.7, "sms": 0.2}


@pytest.fixture(scope="module")
def address(tmp_path_factory):
    with redis_server(tmp_path_factory.mktemp("redis")) as url:
        yield url


@pytest.fixture(params=KINDS_OF_STORE)
def opener(request, tmp_path):
    """Opens the log of this test, the same one each time."""
    if request.param == "sqlite":
        return lambda: SqliteLog(tmp_path / "decisions.sqlite")
    from serving.redis_log import RedisLog

    url = request.getfixturevalue("address")
    return lambda: RedisLog(Shared(url, f"test:{tmp_path.name}"))


def decided(customer="c1", campaign="SPRING", made_us=5, channel="email", vector=VECTOR, not_before_us=None):
    return Decided(customer, campaign, made_us, channel, "plan", "m1", vector, not_before_us)


def kept(log, request_id, *decisions, answer=b"answer"):
    versions = dict.fromkeys((each.customer_id for each in decisions), 0)
    return log.keep(request_id, b"question", answer, decisions, versions)


def test_a_request_id_names_one_question_and_its_answer_stays(opener):
    with closing(opener()) as log:
        assert log.answered("r1", b"question") is None
        assert kept(log, "r1", decided(), answer=b"first") == b"first"
        assert kept(log, "r1", decided(channel="sms"), answer=b"second") == b"first"
    with closing(opener()) as again:
        assert again.answered("r1", b"question") == b"first"
        assert again.propensity("c1", "SPRING", "email") == 0.7
        for ask in (again.answered, lambda *asked: again.keep(*asked, b"third", [decided()], {"c1": 1})):
            with pytest.raises(DataError, match="request_id 'r1': was given to another question"):
                ask("r1", b"another")


def test_the_latest_decision_counts(opener):
    with closing(opener()) as log:
        kept(log, "r1", decided(), decided("c2", not_before_us=9))
        log.keep("r2", b"q", b"a", [decided(made_us=7, channel=None, vector={None: 1.0})], {"c1": 1})
        log.keep("r3", b"q", b"a", [decided(campaign="AUTUMN", made_us=6)], {"c1": 2})
        assert log.of_customer("c1") == [("SPRING", 7, None, "plan"), ("AUTUMN", 6, "email", "plan")]
        assert [log.propensity("c1", "SPRING", channel) for channel in (None, "email")] == [1.0, None]
        assert log.propensity("nobody", "SPRING", None) is None
        assert sorted(log.contacts(6)) == [("c1", "AUTUMN", "email", 6, 6)]
        assert sorted(log.contacts(5)) == [("c1", "AUTUMN", "email", 6, 6), ("c2", "SPRING", "email", 9, 5)]


def test_who_is_forgotten_is_in_no_answer_and_stays_out(opener):
    with closing(opener()) as log:
        kept(log, "r1", decided(), decided("c2"))
        kept(log, "r2", decided("c3"))
        assert log.forget("c1")
        assert not log.forget("nobody")
        assert (log.answered("r1", b"question"), log.answered("r2", b"question")) == (None, b"answer")
        assert log.of_customer("c1") == []
        assert log.of_customer("c2")
        assert log.erased_among(["c2", "c1", "nobody"]) == ["c1", "nobody"]
        assert log.erased_among([]) == []
    with closing(opener()) as again:
        assert again.is_erased("c1")
        assert not again.is_erased("c2")
        assert len(list(again.erased())) == 2


def test_of_servers_that_decide_at_once_one_looks_again(address, tmp_path):
    from serving.redis_log import RedisLog

    shared = Shared(address, f"test:{tmp_path.name}")
    logs = [RedisLog(shared) for _ in range(4)]

    def decide(number):
        return logs[number % 4].keep(f"r{number}", b"q", b"a", [decided(made_us=number)], {"c1": 0, "other id": 0})

    with ThreadPoolExecutor(4) as pool:
        answers = list(pool.map(decide, range(40)))
    assert sorted(map(repr, answers)) == sorted(["b'a'", *["None"] * 39])
    assert logs[0].keep("later", b"q", b"a", [decided("other id")], {"other id": 0}) == b"a"
    assert logs[0].keep("watched", b"q", b"a", [decided("c9")], {"c9": 0, "other id": 0}) is None
    assert logs[0].of_customer("c9") == []
    for log in logs:
        log.close()


def test_nothing_is_kept_of_who_was_to_be_forgotten(address, tmp_path):
    from features.redis_store import RedisStore
    from serving.redis_log import RedisLog

    shared = Shared(address, f"test:{tmp_path.name}")
    event = Interaction("c1", 10**15, "visited", "web", event_id="e1")
    with closing(RedisLog(shared)) as log, closing(RedisStore(address, PARAMS, prefix=shared.prefix)) as store:
        assert store.append(event).added
        log.forget("c1")
        store.forget("c1")
        with pytest.raises(DataError, match="was erased"):
            store.append(event)
        with pytest.raises(DataError, match="was erased"):
            log.keep("r1", b"q", b"a", [decided("c2"), decided()], {"c1": 0, "c2": 0})
        assert (list(store.interactions()), log.of_customer("c2"), log.answered("r1", b"q")) == ([], [], None)


def happened(rng, number):
    kind, channel = rng.choice((("sent", "email"), ("sent", "sms"), ("complained", "email"), ("unsubscribed", "sms"),
                                ("visited", "web"), ("purchased", "store")))  # fmt: skip
    moment = 10**15 + rng.randrange(10**9)
    return Interaction(f"c{rng.randrange(6)}", moment, kind, channel, campaign_id="SPRING", event_id=f"e{number}")


def told(overlay, ids):
    return {name: (sorted(each.rows), each.first_us, dict(each.expected), each.gone)
            for name, each in overlay.of(ids).items()}  # fmt: skip


def test_servers_that_share_know_what_one_alone_knows(address, tmp_path):
    from features.redis_store import RedisStore
    from serving.redis_log import RedisLog
    from serving.shared_overlay import SharedOverlay

    rng, shared, ids = Random(0), Shared(address, f"test:{tmp_path.name}"), [f"c{at}" for at in range(8)]
    alone, share = HeldOverlay(PARAMS), SharedOverlay(shared, PARAMS)
    with closing(RedisLog(shared)) as log, closing(RedisStore(address, PARAMS, prefix=shared.prefix)) as store:
        for number in range(200):
            event = happened(rng, number)
            if store.append(event).added:
                alone.take(event)
            made = decided(f"c{rng.randrange(6)}", rng.choice("AB"), number, rng.choice(("email", "sms", None)))
            made = made._replace(propensities={made.channel: 1.0}, not_before_us=rng.choice((None, number + 9)))
            versions = {made.customer_id: share.of([made.customer_id])[made.customer_id].version}
            assert log.keep(f"r{number}", b"q", b"a", [made], versions) == b"a"
            alone.expect(made.customer_id, made.campaign_id, made.channel, made.earliest_us, number)
        assert told(share, ids) == told(alone, ids)
        both: list[Overlay] = [alone, share]
        earlier = [each.expect("c0", "A", "push", 7, 7) for each in both]
        assert told(share, ids) == told(alone, ids)
        for overlay, before in zip(both, earlier, strict=True):
            overlay.settle("c0", "A", before, kept=False)
        assert told(share, ids) == told(alone, ids)
        log.forget("c3")
        store.forget("c3")
        alone.forget("c3")
        assert told(share, ids) == told(alone, ids)


def test_a_server_without_the_store_or_without_a_log_is_refused(address, tmp_path):
    from features.redis_store import RedisStore
    from serving.store import Beginning, make_store

    with pytest.raises(ArtefactError, match="has no store 'test:none'"):
        check_made(Shared(address, "test:none"))
    intake = open_data(write_shop(tmp_path / "shop", shop_tables()), PARAMS, as_of=None, quarantine=None)
    with pytest.raises(UsageError, match="password in REDISCLI_AUTH"):
        make_store(tmp_path / "store", intake, PARAMS, Beginning(redis="redis://:secret@localhost/0"))
    store = RedisStore(address, PARAMS, prefix="test:nolog")
    store._client.config_set("appendonly", "no")
    with pytest.raises(RefusedError, match="writes no log"):
        RedisStore(address, PARAMS, prefix="test:nolog")
    store._client.config_set("appendonly", "yes")
    store.close()
