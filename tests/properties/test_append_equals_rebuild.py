"""A timeline that grew day by day reads as one built at once, whatever arrived when."""

from dataclasses import replace
from datetime import timedelta

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from contract.errors import ArtefactError, DataError, UsageError
from contract.loading import load_params
from features.growth import Compaction, append_events
from features.timeline import build_timeline, open_timeline
from tests.properties.raw_histories import DAYS, START, raw_history

SHORT = load_params(assignments=["features.lookback_days=35"])
PARAMS = load_params()
NEVER = Compaction(added_share=np.inf)


def read(timeline, max_events=10**9):
    """Everything that readers see of a timeline."""
    blocks = list(timeline.blocks(max_events))
    columns = {name: np.concatenate([getattr(each, name) for each in blocks]) for name in ("time_us", "code", "cents")}
    lengths = np.concatenate([np.diff(each.offsets) for each in blocks])
    dtypes = {str(array.dtype) for each in blocks for array in vars(each).values() if isinstance(array, np.ndarray)}
    assert dtypes == {"int64", "uint16"}
    return {**columns, "lengths": lengths, "offsets": timeline.offsets, "ids": timeline.customer_ids}


def assert_same(grown, rebuilt):
    one, other = read(grown), read(rebuilt)
    for name, array in one.items():
        np.testing.assert_array_equal(array, other[name], err_msg=name)
    assert grown.window == rebuilt.window
    np.testing.assert_array_equal(grown.code_counts(), rebuilt.code_counts())
    for customer in range(grown.n_customers):
        alone, expected = (each.take(np.array([customer])) for each in (grown, rebuilt))
        np.testing.assert_array_equal(alone.time_us, expected.time_us)


def days_of(shown, rng, days, late):
    """The rows of each of some last days, in which late rows come with a later day; the first holds the history."""
    ends = [START + timedelta(days=DAYS - left) for left in reversed(range(days + 1))]
    starts = pd.to_datetime([end.replace(tzinfo=None) for end in ends])
    day = np.searchsorted(starts, shown.interactions.occurred_at, side="right")
    waits = rng.integers(0, days + 1, len(day))
    day = np.where(rng.random(len(day)) < late, np.maximum(day, waits), day)
    return [(end, shown.interactions[day == at]) for at, end in enumerate(ends)]


def known_until(shown, seed, day, days):
    """Customers known at a day: some come only later, anywhere among the ids."""
    since = np.random.default_rng(seed).integers(0, days + 1, len(shown.customers))
    return shown.customers[since <= day]


@settings(max_examples=25)
@given(
    seed=st.integers(0, 2**32 - 1),
    rows=st.integers(0, 150),
    days=st.integers(1, 4),
    late=st.sampled_from([0.0, 0.5]),
    share=st.sampled_from([0.0, 0.2, np.inf]),
    settings_=st.sampled_from([SHORT, PARAMS]),
    finer=st.booleans(),
    group=st.sampled_from([1, 7, 1000]),
)
def test_append_equals_rebuild(seed, rows, days, late, share, settings_, finer, group, tmp_path_factory):
    rng = np.random.default_rng(seed)
    shown = raw_history(settings_, seed, rows)
    if finer and rows:
        # The last rows bring microseconds, amounts beyond 32 bits and a kind that was never seen.
        frame = shown.interactions.sort_values("occurred_at", ignore_index=True)
        last = frame.index[-3:]
        frame.loc[last, "occurred_at"] += pd.Timedelta(microseconds=1)
        frame.loc[last, "value"] = 30_000_000.005
        frame.loc[last, "kind"] = "reviewed"
        shown = shown.with_rows(frame)
    folder = tmp_path_factory.mktemp("grown")
    kept = []
    for at, (end, arriving) in enumerate(days_of(shown, rng, days, late)):
        known = known_until(shown, seed, at, days)
        new = arriving[arriving.customer_id.isin([*known.customer_id, "stranger"])]
        kept.append(new)
        step = replace(shown, interactions=new, customers=known, as_of=end).opened()
        if not at:
            build_timeline(step, settings_, folder / "t", group_events=group)
        else:
            append_events(step, folder / "t", settings_, compaction=Compaction(added_share=share))
    grown = open_timeline(folder / "t")
    whole = replace(shown, interactions=pd.concat(kept, ignore_index=True)).opened()
    rebuilt = build_timeline(whole, settings_, folder / "r", codebook=grown.codebook)
    assert_same(grown, rebuilt)
    assert rebuilt.codebook == grown.codebook


def two_steps(seed=5, rows=200):
    """A history and its last five days."""
    shown = raw_history(PARAMS, seed, rows)
    early = shown.interactions.occurred_at < pd.Timestamp(START + timedelta(days=DAYS - 5)).tz_localize(None)
    first = replace(shown, interactions=shown.interactions[early], as_of=START + timedelta(days=DAYS - 5))
    return first, replace(shown, interactions=shown.interactions[~early])


def test_an_append_writes_no_file_of_the_base_again(tmp_path):
    first, later = two_steps()
    old = build_timeline(first.opened(), PARAMS, tmp_path / "t", group_events=20)
    before = {file: (tmp_path / "t" / file).stat().st_ino for file in old.segments[0].files}
    assert len(before) > 3
    grown = append_events(later.opened(), tmp_path / "t", PARAMS, compaction=NEVER)
    assert {file: (tmp_path / "t" / file).stat().st_ino for file in before} == before
    assert len(grown.segments) == 2
    assert grown.fingerprint != old.fingerprint


def test_an_empty_day_moves_the_window_and_nothing_else(tmp_path):
    first, later = two_steps()
    old = build_timeline(first.opened(), PARAMS, tmp_path / "t")
    empty = later.with_rows(later.interactions.iloc[:0])
    grown = append_events(empty.opened(), tmp_path / "t", PARAMS)
    assert grown.window.until_us - old.window.until_us == 5 * 86_400_000_000
    assert grown.segments == old.segments


def test_appending_into_another_folder_leaves_the_old_one(tmp_path):
    first, later = two_steps()
    old = build_timeline(first.opened(), PARAMS, tmp_path / "t")
    grown = append_events(later.opened(), tmp_path / "t", PARAMS, into=tmp_path / "u")
    assert open_timeline(tmp_path / "t").fingerprint == old.fingerprint
    assert grown.folder == tmp_path / "u"


def test_a_copy_serves_where_there_are_no_hard_links(tmp_path, monkeypatch):
    def refuse(*_):
        raise PermissionError("no hard links here")

    first, later = two_steps()
    build_timeline(first.opened(), PARAMS, tmp_path / "t")
    linked = append_events(later.opened(), tmp_path / "t", PARAMS, into=tmp_path / "u", compaction=NEVER)
    monkeypatch.setattr("os.link", refuse)
    copied = append_events(later.opened(), tmp_path / "t", PARAMS, into=tmp_path / "v", compaction=NEVER)
    assert copied.fingerprint == linked.fingerprint
    assert_same(copied, linked)


def test_an_error_leaves_the_old_timeline_whole(tmp_path):
    def broken(stage, done, total):
        raise RuntimeError("stopped")

    first, later = two_steps()
    old = build_timeline(first.opened(), PARAMS, tmp_path / "t")
    with pytest.raises(RuntimeError, match="stopped"):
        append_events(later.opened(), tmp_path / "t", PARAMS, progress=broken)
    assert open_timeline(tmp_path / "t").fingerprint == old.fingerprint
    assert read(open_timeline(tmp_path / "t"))["offsets"][-1] == old.n_events
    assert [each.name for each in tmp_path.iterdir()] == ["t"]


def test_a_window_that_goes_back_is_refused(tmp_path):
    first, later = two_steps()
    build_timeline(later.opened(), PARAMS, tmp_path / "t")
    with pytest.raises(UsageError, match="a timeline only grows forward"):
        append_events(first.opened(), tmp_path / "t", PARAMS)
    longer = load_params(assignments=["features.lookback_days=900"])
    with pytest.raises(UsageError, match=r"no longer features\.lookback_days"):
        append_events(later.opened(), tmp_path / "t", longer)


def test_consents_that_change_the_past_are_refused(tmp_path):
    first, later = two_steps()
    given_ = [(f"c{i}", None, START, True, "profiling") for i in range(6)]
    withdrawn = ("c2", None, START + timedelta(days=DAYS - 2), False, "profiling")
    build_timeline(first.with_consents(*given_).opened(), PARAMS, tmp_path / "t")
    append_events(later.with_consents(*given_).opened(), tmp_path / "t", PARAMS, into=tmp_path / "u")
    with pytest.raises(DataError, match=r"consents: .* build it again from the whole history"):
        append_events(later.with_consents(*given_, withdrawn).opened(), tmp_path / "t", PARAMS)


@pytest.mark.parametrize("damage", ["gone", "cut", "flipped"])
def test_a_damaged_part_is_named(damage, tmp_path):
    first, later = two_steps()
    build_timeline(first.opened(), PARAMS, tmp_path / "t", group_events=20)
    grown = append_events(later.opened(), tmp_path / "t", PARAMS, compaction=NEVER)
    for segment in grown.segments:
        name = f"{segment.folder}/{segment.parts[-1].file}"
        file = tmp_path / "t" / name
        content = bytearray(file.read_bytes())
        content[len(content) // 4] ^= 255
        file.unlink()
        if damage != "gone":
            file.write_bytes(content[:-1] if damage == "cut" else content)
        with pytest.raises(ArtefactError, match=f"{name} of the timeline is missing or damaged"):
            read(open_timeline(tmp_path / "t"))
        content[len(content) // 4] ^= 255
        file.write_bytes(content)
    assert_same(open_timeline(tmp_path / "t"), grown)


@pytest.mark.parametrize("customer", ["c2", "new"])
def test_a_repeated_customer_is_refused(customer, tmp_path):
    first, later = two_steps()
    build_timeline(first.opened(), PARAMS, tmp_path / "t")
    twice = later.customers[later.customers.customer_id == "c2"].assign(customer_id=customer)
    repeated = replace(later, customers=pd.concat([later.customers, twice, twice]))
    with pytest.raises(DataError, match=f"repeat an id, the first '{customer}'"):
        append_events(repeated.opened(), tmp_path / "t", PARAMS)
