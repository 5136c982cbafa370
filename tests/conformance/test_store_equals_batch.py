"""Every event store holds what a timeline of the same rows holds, and gives the same features bit for bit."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import datetime, timedelta
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from contract.errors import DataError, UsageError
from contract.loading import load_params
from features.event_store import Interaction
from features.events import Codebook
from features.histories import EMPTY, events_of
from features.matrix import learn_features
from features.online import OnlineFeatures
from features.permission import Use
from features.spine import candidates
from features.timeline import build_timeline
from tests.adapters.event_stores import KINDS_OF_STORE, delivered, store_opener
from tests.properties.raw_histories import CUSTOMERS, DAY_US, DAYS, START, START_US, raw_history

PARAMS = load_params(
    assignments=[
        "features.min_category_customers=1",
        "tables.customers.features=[birth_year, gender, signup_at, loyal, income]",
        "features.windows_days=[1, 3, 7, 30]",
        "features.lookback_days=30",
    ]
)
FOREVER = (0, 1 << 62)
ACTIONS = (0, 1, 2, 4)
VISIT = Interaction("c0", START_US, "visited", "web")


@pytest.fixture(scope="module", params=KINDS_OF_STORE)
def opener(request, tmp_path_factory):
    with store_opener(request.param, tmp_path_factory.mktemp(request.param), PARAMS) as opened:
        number = iter(range(1 << 30))
        yield lambda codebook=None, name=None: opened(name or f"s{next(number)}", codebook)


@pytest.fixture(scope="module")
def learned(tmp_path_factory):
    opened = raw_history(PARAMS, 0, 3_000).opened()
    timeline = build_timeline(opened, PARAMS, tmp_path_factory.mktemp("learned") / "t")
    return learn_features(opened, timeline, PARAMS)


def accepted(shown):
    """The history as an intake would pass it on: without exact copies and rows that lack a channel."""
    frame = shown.interactions.drop_duplicates()
    return shown.with_rows(frame[frame.channel.notna() | (frame.kind == "held_out")])


def same_events(one, other):
    for name in ("time_us", "code", "cents"):
        np.testing.assert_array_equal(getattr(one, name), getattr(other, name))
        assert getattr(one, name).dtype == getattr(other, name).dtype


@settings(max_examples=20)
@given(
    seed=st.integers(0, 2**32 - 1),
    rows=st.integers(0, 200),
    tick_us=st.sampled_from([1_000_000, 1]),
    day=st.integers(0, DAYS),
)
def test_any_order_of_arrival_gives_the_history_and_features_of_the_batch(
    opener, learned, seed, rows, tick_us, day, tmp_path_factory
):
    folder = tmp_path_factory.mktemp("history")
    shown = raw_history(PARAMS, seed, rows, tick_us=tick_us)
    store = opener(learned.codebook)
    shuffled = shown.interactions.sample(frac=1, random_state=seed)
    added = sum(store.append(event).added for event in delivered(shuffled))
    assert added == sum(1 for _ in store.interactions())

    moment_us = START_US + day * DAY_US
    batch = replace(accepted(shown), as_of=START + timedelta(days=day))
    opened = batch.opened()
    timeline = build_timeline(opened, PARAMS, folder / "t", codebook=store.codebook)
    assert timeline.codebook.entries == store.codebook.entries
    known = learned.demographic.table(opened, timeline)
    online = OnlineFeatures(learned, store, known, timeline.customer_ids)
    spine = candidates(np.arange(CUSTOMERS), moment_us, 1, ACTIONS)
    expected = learned.matrix(timeline, spine, known)
    for number, block in enumerate(expected.reshape(CUSTOMERS, len(ACTIONS), -1)):
        same_events(online.events(f"c{number}", moment_us), timeline.take(np.array([number])))
        assert online.row(f"c{number}", moment_us, ACTIONS, 1).tobytes() == block.tobytes()
    stranger = learned.matrix(timeline, candidates(np.array([-1]), moment_us, 1, ACTIONS), known)
    assert online.row("stranger", moment_us, ACTIONS, 1).tobytes() == stranger.tobytes()
    store.close()


def test_what_consent_withholds_reaches_nothing(opener, learned, tmp_path):
    """As a batch by the same consents: c1 no profiling, c2 tracking by e-mail only, the others all."""
    shown = raw_history(PARAMS, 5, 600)
    everyone = [f"c{i}" for i in range(CUSTOMERS)]
    consents: list[tuple[str, str | None, datetime, bool, str]] = [
        (customer, None, START - timedelta(days=50), customer != "c1", "profiling") for customer in everyone
    ]
    consents += [
        (customer, channel, START - timedelta(days=50), customer != "c2" or channel == "email", "tracking")
        for customer in everyone
        for channel in PARAMS.channels
    ]
    opened = accepted(shown).with_consents(*consents).opened()
    timeline = build_timeline(opened, PARAMS, tmp_path / "t", codebook=learned.codebook)
    known = learned.demographic.table(opened, timeline)
    plain = accepted(shown).opened()
    open_known = learned.demographic.table(plain, build_timeline(plain, PARAMS, tmp_path / "u"))
    store = opener(learned.codebook)
    for event in delivered(shown.interactions):
        store.append(event)
    online = OnlineFeatures(learned, store, open_known, timeline.customer_ids)
    everything = frozenset(PARAMS.channels)
    use = {"c1": Use(False, everything), "c2": Use(True, frozenset({"email"}))}
    moment_us = START_US + DAYS * DAY_US
    expected = learned.matrix(timeline, candidates(np.arange(CUSTOMERS), moment_us, 1, [1]), known)
    for customer, row in zip(everyone, expected, strict=True):
        found = online.row(customer, moment_us, (1,), 1, use.get(customer, Use(True, everything)))
        assert found[0].tobytes() == row.tobytes()
        if customer in use:
            assert online.row(customer, moment_us, (1,), 1)[0].tobytes() != row.tobytes()


def test_those_who_append_at_once_lose_nothing_of_each_other(opener):
    """Two threads, each with a connection of its own, to one customer; every tenth event is both's."""
    name = "contended"
    stores = [opener(name=name), opener(name=name)]

    def appended(who: int) -> int:
        own = ["both" if at % 10 == 0 else str(who) for at in range(200)]
        rows = (VISIT._replace(occurred_at_us=START_US + at, send_id=send) for at, send in enumerate(own))
        return sum(stores[who].append(row).added for row in rows)

    with ThreadPoolExecutor(2) as pool:
        added = list(pool.map(appended, range(2)))
    assert sum(added) == 380
    times = events_of(stores[0].history("c0"), *FOREVER).time_us
    assert times.tolist() == sorted(START_US + at for at in range(200) for _ in range(1 if at % 10 == 0 else 2))


@pytest.mark.parametrize("tick_us", [1_000_000, 1])
def test_a_filled_store_is_as_one_that_saw_every_event(opener, learned, tick_us, tmp_path):
    shown = raw_history(PARAMS, 7, 400, tick_us=tick_us)
    timeline = build_timeline(accepted(shown).opened(), PARAMS, tmp_path / "t", codebook=learned.codebook)
    filled, grown = opener(), opener(timeline.codebook)
    assert filled.fill(timeline) == int(np.count_nonzero(np.diff(timeline.offsets)))
    assert filled.codebook == timeline.codebook
    for event in delivered(shown.interactions):
        grown.append(event)
    since, until = timeline.window.since_us, timeline.window.until_us
    for number in range(CUSTOMERS):
        same_events(events_of(filled.history(f"c{number}"), since, until), timeline.take(np.array([number])))
        same_events(
            events_of(filled.history(f"c{number}"), since, until), events_of(grown.history(f"c{number}"), since, until)
        )
    with pytest.raises(UsageError, match=r"holds \d customers; only an empty store can be filled"):
        filled.fill(timeline)


def test_a_repeated_delivery_counts_once_and_another_row_does(opener):
    store = opener()
    for event, added in (
        (VISIT, True),
        (VISIT, False),
        (VISIT._replace(event_id="e1"), False),
        (VISIT._replace(send_id="s"), True),
        (VISIT._replace(value=0.0), True),
        (VISIT._replace(value=-0.0), False),
        (VISIT._replace(value=3, event_id="e2"), True),
        (VISIT._replace(value=3.0, event_id="e2"), False),
        (VISIT._replace(customer_id="c1"), True),
    ):
        appended = store.append(event)
        assert appended.added is added, event
        assert appended.history == store.history(event.customer_id)
    assert len(events_of(store.history("c0"), *FOREVER).time_us) == 4
    with pytest.raises(DataError, match="event_id 'e2' of customer 'c0' was delivered before with other content"):
        store.append(VISIT._replace(value=4.0, event_id="e2"))
    assert len(events_of(store.history("c0"), *FOREVER).time_us) == 4


def test_all_faults_of_an_event_are_told_and_nothing_is_kept(opener):
    store = opener()
    for changes, message in (
        ({"kind": "viewed"}, r"interactions.kind: 'viewed' is not declared; declared kinds are sent, .* add it under"),
        ({"channel": "e-mail"}, r"interactions.channel: 'e-mail' is not declared; declared channels are email, "),
        ({"channel": None}, "interactions.channel: is empty for 'visited'; only held_out may have none"),
        ({"customer_id": ""}, "interactions.customer_id: is empty"),
        ({"occurred_at_us": -1}, "interactions.occurred_at: -1 µs lies before 1970"),
        ({"value": -1.0}, r"interactions.value: -1.0; expected a finite amount"),
        ({"cost": float("inf")}, r"interactions.cost: inf; expected a finite amount"),
        ({"value": float("nan")}, r"interactions.value: nan; expected a finite amount"),
        ({"propensity": 0.0}, r"interactions.propensity: 0.0; expected one in \(0, 1\]"),
        ({"kind": "viewed", "propensity": 2.0}, r"(?s)viewed.*interactions.propensity: 2.0"),
    ):
        with pytest.raises(DataError, match=message):
            store.append(VISIT._replace(**changes))
    assert store.history("c0") == EMPTY
    assert store.append(VISIT._replace(kind="held_out", channel=None)).added


def test_codes_are_appended_and_never_renumbered(opener):
    store = opener()
    first = store.codebook
    seen: list[Codebook] = []
    for category in ("zoo", "garden", None, "zoo"):
        store.append(VISIT._replace(category=category, occurred_at_us=START_US + len(seen)))
        seen.append(store.codebook)
    assert seen[-1].categories == ("zoo", "garden")
    assert [entry.category for entry in seen[-1].entries] == ["zoo", "garden", None]
    for before, after in pairwise([first, *seen]):
        assert after.entries[: len(before.entries)] == before.entries
    other = replace(first, entries=(seen[-1].entries[1],), categories=("garden",))
    name = "renumbered"
    opener(seen[-1], name=name).close()
    with pytest.raises(UsageError, match="does not continue the one given"):
        opener(other, name=name)
    reopened = opener(name=name)
    assert reopened.codebook == seen[-1]


def test_two_who_hold_the_store_see_each_others_events_and_codes(opener, learned, tmp_path):
    opened = raw_history(PARAMS, 3, 50).opened()
    timeline = build_timeline(opened, PARAMS, tmp_path / "t", codebook=learned.codebook)
    known = learned.demographic.table(opened, timeline)
    one, other = opener(learned.codebook, name="shared"), opener(name="shared")
    online = OnlineFeatures(learned, one, known, timeline.customer_ids)
    later = START_US + DAY_US
    before = online.row("c0", later)
    other.append(VISIT._replace(category="toys"))
    one.append(VISIT._replace(category="books", occurred_at_us=START_US + 1))
    after = online.row("c0", later)
    assert before.tobytes() != after.tobytes()
    assert one.codebook == other.refresh()
    assert [entry.category for entry in one.codebook.entries[-2:]] == ["toys", "books"]
    assert len(events_of(other.history("c0"), *FOREVER).code) == 2
    appended, both = online.append(VISIT._replace(occurred_at_us=START_US + 2), later, ACTIONS)
    assert appended.added
    assert both.tobytes() == online.row("c0", later, ACTIONS).tobytes()
    with pytest.raises(UsageError, match="action 99 is neither"):
        online.row("c0", later, (99,))


def test_a_forgotten_customer_leaves_nothing_and_others_stay(opener):
    store = opener()
    row = VISIT._replace(campaign_id="spring", send_id="s9", event_id="e1", category="garden", transactional=True)
    for event in (row, row._replace(customer_id="c1")):
        store.append(event)
    assert list(store.interactions()) == [row, row._replace(customer_id="c1")]
    assert store.forget("c0")
    assert not store.forget("c0")
    assert store.history("c0") == EMPTY
    assert list(store.interactions()) == [row._replace(customer_id="c1")]
    assert store.append(row).added
