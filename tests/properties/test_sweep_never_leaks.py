"""What must never change a feature: the future, what is too old, order of arrival, company of other rows or columns."""

from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise
from unittest.mock import patch

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from contract.errors import UsageError
from contract.loading import load_params
from features import grammar as g
from features import sweep as sweeping
from features.blocks import sliced
from features.catalogue import default_features
from features.compiler import Program, compile_program
from features.encoding import Clock
from features.events import Codebook, EventCode, Events, Spine
from features.narrow import NarrowEvents
from features.sweep import split_rows, sweep
from tests.conformance.hostile_histories import DAY, World, make_world, sorted_events

PARAMS = load_params()
worlds = st.builds(
    make_world,
    st.just(PARAMS),
    seed=st.integers(0, 2**32 - 1),
    customers=st.integers(1, 6),
    events=st.integers(0, 200),
    rows=st.integers(1, 10),
)
Array = npt.NDArray[np.float32]


def programmed(codebook: Codebook, features: tuple[g.Feature, ...] | None = None) -> Program:
    features = default_features(PARAMS, codebook) if features is None else features
    return compile_program(features, codebook, PARAMS.features.windows_days)


def computed(program: Program, events: Events, spine: Spine, threads: int = 1) -> Array:
    out = np.full((len(spine), len(program.features)), -99, np.float32)
    sweep(program, events, spine, out, threads=threads)
    return out


def same_bits(left: Array, right: Array) -> bool:
    return left.shape == right.shape and np.array_equal(left.view(np.uint32), right.view(np.uint32))


def rows_of(spine: Spine, chosen: slice | npt.NDArray[np.intp]) -> Spine:
    return Spine(spine.customer[chosen], spine.as_of_us[chosen], spine.action[chosen], spine.category[chosen])


def appended(spine: Spine, customer: int) -> Spine:
    """The rows, and one about a customer at the end."""
    return Spine(
        np.append(spine.customer, customer),
        np.append(spine.as_of_us, 0),
        np.append(spine.action, np.int16(0)),
        np.append(spine.category, np.int16(-1)),
    )


def columns(events: Events) -> tuple[npt.NDArray[np.int64], ...]:
    """Customer, time, code and cents of each event."""
    customer = np.repeat(np.arange(len(events.offsets) - 1), np.diff(events.offsets))
    return customer, events.time_us, events.code.astype(np.int64), events.cents


def rebuilt(events: Events, customer, time_us, code, cents) -> Events:
    return sorted_events(
        events.first_customer, len(events.offsets) - 1, customer, time_us, code.astype(np.uint16), cents
    )


def deleted(events: Events, from_us: int, rng: np.random.Generator) -> Events:
    kept = events.time_us < from_us
    return rebuilt(events, *(each[kept] for each in columns(events)))


def moved(events: Events, from_us: int, rng: np.random.Generator) -> Events:
    customer, time_us, code, cents = columns(events)
    later = time_us >= from_us
    shift = rng.integers(0, 400 * DAY, size=len(time_us))
    return rebuilt(events, customer, np.where(later, from_us + shift, time_us), code, cents)


def rewritten(events: Events, from_us: int, rng: np.random.Generator) -> Events:
    customer, time_us, code, cents = columns(events)
    later = time_us >= from_us
    return rebuilt(
        events, customer, time_us, np.where(later, rng.permutation(code), code), np.where(later, cents + 7, cents)
    )


def injected(events: Events, from_us: int, rng: np.random.Generator) -> Events:
    customer, time_us, code, cents = columns(events)
    count = 40
    times = from_us + rng.choice(np.array([0, 0, 1, DAY]), size=count) * rng.integers(1, 30, size=count)
    extra = (
        rng.integers(len(events.offsets) - 1, size=count),
        times,
        rng.integers(100, size=count),
        rng.integers(9_999, size=count),
    )
    return rebuilt(
        events, *(np.concatenate(pair) for pair in zip((customer, time_us, code, cents), extra, strict=True))
    )


@pytest.mark.parametrize("disturb", [deleted, moved, rewritten, injected])
@settings(max_examples=20)
@given(world=worlds, seed=st.integers(0, 99))
def test_what_happens_at_and_after_as_of_changes_no_bit(
    disturb: Callable[[Events, int, np.random.Generator], Events], world: World, seed: int
) -> None:
    program = programmed(world.codebook)
    known = computed(program, world.events, world.spine)
    for row in range(0, len(world.spine), 5):
        at = int(world.spine.as_of_us[row])
        changed = disturb(world.events, at, np.random.default_rng(seed))
        earlier = rows_of(world.spine, np.flatnonzero(world.spine.as_of_us <= at))
        assert same_bits(computed(program, changed, earlier), known[world.spine.as_of_us <= at])


@settings(max_examples=20)
@given(world=worlds)
def test_an_event_just_before_as_of_is_seen(world: World) -> None:
    """The leak tests could not fail if nothing were seen at all."""
    program = programmed(world.codebook, (g.Tenure(), g.Calendar("hour")))
    customer, time_us, code, cents = columns(world.events)
    for row in range(min(3, len(world.spine))):
        one = rows_of(world.spine, slice(row, row + 1))
        late = int(one.as_of_us[0]) - 1
        extra = (
            one.customer - world.events.first_customer,
            np.array([late]),
            np.zeros(1, np.int64),
            np.zeros(1, np.int64),
        )
        more = rebuilt(
            world.events,
            *(np.concatenate(pair) for pair in zip((customer, time_us, code, cents), extra, strict=True)),
        )
        assert computed(program, more, one)[0, 0] > 0


@settings(max_examples=20)
@given(world=worlds)
def test_what_is_older_than_the_lookback_changes_no_bit_but_of_pressure(world: World) -> None:
    lookback_us = int(PARAMS.features.lookback_days * DAY)
    program = programmed(world.codebook)
    known = computed(program, world.events, world.spine)
    for row in range(0, len(world.spine), 4):
        one = rows_of(world.spine, slice(row, row + 1))
        kept = world.events.time_us >= one.as_of_us[0] - lookback_us
        cut = rebuilt(world.events, *(each[kept] for each in columns(world.events)))
        again = computed(program, cut, one)[0]
        exact = np.array([not isinstance(feature, g.Pressure) for feature in program.features])
        assert same_bits(again[exact], known[row][exact])
        assert np.allclose(again[~exact], known[row][~exact], rtol=1e-4, atol=1e-7)


@settings(max_examples=20)
@given(world=worlds)
def test_each_row_alone_is_bit_equal_to_the_row_among_others(world: World) -> None:
    """Training (many rows a customer), batch (one row a customer) and online (one customer's events) cannot differ."""
    program = programmed(world.codebook)
    known = computed(program, world.events, world.spine)
    for row in range(len(world.spine)):
        one = rows_of(world.spine, slice(row, row + 1))
        assert same_bits(computed(program, world.events, one)[0], known[row])
        assert same_bits(computed(program, only(world.events, int(one.customer[0])), one)[0], known[row])


def only(events: Events, customer: int) -> Events:
    """One customer's events, as read from a blob: arrays of their own, read-only."""
    begin, end = events.offsets[customer - events.first_customer :][:2]
    time_us = np.frombuffer(events.time_us[begin:end].tobytes(), np.int64)
    code = np.frombuffer(events.code[begin:end].tobytes(), np.uint16)
    cents = np.frombuffer(events.cents[begin:end].tobytes(), np.int64)
    return Events(customer, np.array([0, end - begin]), time_us, code, cents)


@settings(max_examples=10)
@given(world=worlds)
def test_each_feature_compiled_alone_equals_its_column_among_all(world: World) -> None:
    program = programmed(world.codebook)
    known = computed(program, world.events, world.spine)
    for column, feature in enumerate(program.features):
        alone = computed(programmed(world.codebook, (feature,)), world.events, world.spine)
        assert same_bits(alone[:, 0], np.ascontiguousarray(known[:, column])), feature.name


@settings(max_examples=20)
@given(world=worlds, seed=st.integers(0, 99))
def test_the_order_of_features_and_the_numbering_of_codes_change_no_bit(world: World, seed: int) -> None:
    rng = np.random.default_rng(seed)
    features = default_features(PARAMS, world.codebook)
    known = computed(programmed(world.codebook), world.events, world.spine)
    shuffled = rng.permutation(len(features))
    again = computed(programmed(world.codebook, tuple(features[i] for i in shuffled)), world.events, world.spine)
    assert same_bits(np.ascontiguousarray(known[:, shuffled]), again)

    order = rng.permutation(len(world.codebook.entries))
    renumbered = replace(world.codebook, entries=tuple(world.codebook.entries[i] for i in order))
    customer, time_us, code, cents = columns(world.events)
    events = rebuilt(world.events, customer, time_us, np.argsort(order)[code], cents)
    assert same_bits(computed(programmed(renumbered), events, world.spine), known)


def test_codes_that_are_appended_to_the_codebook_change_no_bit() -> None:
    world = make_world(PARAMS, seed=3, customers=4, events=200, rows=8)
    more = replace(world.codebook, entries=(*world.codebook.entries, EventCode("visited", "web", "new", False)))
    known = computed(programmed(world.codebook), world.events, world.spine)
    assert same_bits(computed(programmed(more), world.events, world.spine), known)


@pytest.mark.parametrize("threads", [2, 3, 7])
def test_threads_and_blocks_change_no_bit(threads: int) -> None:
    world = make_world(PARAMS, seed=11, customers=60, events=150, rows=400)
    program = programmed(world.codebook)
    known = computed(program, world.events, world.spine)
    assert len(world.spine) > 2_000 * 3
    assert same_bits(computed(program, world.events, world.spine, threads), known)
    bounds = split_rows(world.events, world.spine, 9)
    parts = [
        computed(program, world.events, rows_of(world.spine, slice(begin, end))) for begin, end in pairwise(bounds)
    ]
    assert same_bits(np.concatenate(parts), known)


@given(parts=st.integers(1, 12), seed=st.integers(0, 50))
@settings(max_examples=50)
def test_rows_are_split_between_customers_and_none_is_lost(parts: int, seed: int) -> None:
    world = make_world(PARAMS, seed, customers=10, events=20, rows=5)
    if len(world.spine) == 0:
        return
    bounds = split_rows(world.events, world.spine, parts)
    assert bounds[0] == 0
    assert bounds[-1] == len(world.spine)
    assert bounds == sorted(bounds)
    assert all(world.spine.customer[at] != world.spine.customer[at - 1] for at in bounds[1:-1] if at)


def test_columns_beyond_the_features_are_left_alone() -> None:
    world = make_world(PARAMS, seed=1, customers=2, events=20, rows=5)
    program = programmed(world.codebook)
    wide = np.full((len(world.spine), len(program.features) + 3), -1, np.float32)
    sweep(program, world.events, world.spine, wide)
    assert (wide[:, -3:] == -1).all()
    assert same_bits(np.ascontiguousarray(wide[:, :-3]), computed(program, world.events, world.spine))


@settings(max_examples=20)
@given(world=worlds, piece=st.integers(1, 120), data=st.data())
def test_stored_events_swept_in_pieces_change_no_bit(world: World, piece: int, data: st.DataObject) -> None:
    events, program = world.events, programmed(world.codebook)
    last = events.first_customer + len(events.offsets) - 1
    first = data.draw(st.integers(events.first_customer, last - 1))
    stored = NarrowEvents(events.first_customer, events.offsets, Clock(0, 1), events.time_us, events.code, events.cents)
    rows = rows_of(world.spine, np.flatnonzero(world.spine.customer >= first))
    with patch.object(sweeping, "CACHED_EVENTS", piece):
        assert same_bits(computed(program, sliced(stored, first, last), rows), computed(program, events, rows))
        with pytest.raises(UsageError, match=f"customer {last} is not among the events given"):
            computed(program, stored, appended(rows, last))
