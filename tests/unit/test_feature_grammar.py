"""Declarations, names, and what the compiler and the sweep refuse; the numbers themselves are held to SQL elsewhere."""

import re
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from contract.errors import UsageError
from contract.loading import load_params
from features import grammar as g
from features.catalogue import default_features
from features.compiler import compile_program, learn_base_rates, select_features
from features.event_sets import CANDIDATE, OWN_CATEGORY, EventSet
from features.events import Codebook, EventCode, Events, Spine
from features.kernel import run_sweep
from features.sweep import sweep

PARAMS = load_params()
WINDOWS = (7.0, 30.0, 90.0, 365.0)
DAY = 86_400_000_000
SENDS = EventSet("sends", "messages sent", ("sent",))
OPENS = EventSet("opens", "opened messages", ("opened",))
CODEBOOK = Codebook(
    (
        EventCode("sent", "email", "garden", False),
        EventCode("opened", "email", None, False),
        EventCode("sent", "sms", None, False),
        EventCode("sent", "email", None, True),
    ),
    ("garden",),
    ("email", "sms", "store"),
    ("email", "sms"),
)
EVENTS = Events(
    7,
    np.array([0, 4, 4]),
    np.array([1, 2, 3, 9]) * DAY,
    np.array([0, 1, 2, 0], np.uint16),
    np.array([0, 0, 0, 0]),
)


def spine(**changed: Any) -> Spine:
    """Two rows about the first customer and one about the second, who has no events."""
    columns: dict[str, Any] = {
        "customer": np.array([7, 7, 8]),
        "as_of_us": np.array([4, 10, 10]) * DAY,
        "action": np.array([1, 0, 2], np.int16),
        "category": np.array([0, -1, -1], np.int16),
    }
    return Spine(**{name: np.asarray(value, columns[name].dtype) for name, value in {**columns, **changed}.items()})


def swept(*features: g.Feature, rows: Spine | None = None, **options: Any) -> list[list[float]]:
    rows = spine() if rows is None else rows
    out = np.zeros((len(rows), len(features)), np.float32)
    sweep(compile_program(features, CODEBOOK, WINDOWS, **options), EVENTS, rows, out)
    return [[float(cell) for cell in row] for row in out]


def test_there_are_at_least_220_default_features_with_names_of_their_own() -> None:
    features = default_features(PARAMS, CODEBOOK)
    names = [feature.name for feature in features]
    assert len(set(names)) == len(names) >= 220
    assert names == [feature.name for feature in default_features(PARAMS, CODEBOOK)]


def test_names_suit_files_and_models_and_meanings_are_sentences() -> None:
    for feature in default_features(PARAMS, CODEBOOK):
        assert re.fullmatch(r"[a-z][a-z0-9_]*", feature.name), feature.name
        assert re.fullmatch(r"[A-Z0-9][^{}]*\.", feature.meaning), feature.meaning
        assert feature.unit


def test_default_features_do_not_depend_on_what_happened() -> None:
    other = replace(CODEBOOK, entries=CODEBOOK.entries[:1])
    assert default_features(PARAMS, CODEBOOK) == default_features(PARAMS, other)


@pytest.mark.parametrize("lookback_days", [365.0, 372.0, 3_650.0])
def test_the_default_features_compile_for_any_lookback_that_holds_the_windows(lookback_days: float) -> None:
    params = PARAMS.model_copy(update={"features": PARAMS.features.model_copy(update={"lookback_days": lookback_days})})
    features = default_features(params, CODEBOOK)
    assert any(isinstance(feature, g.Followed) for feature in features)
    codebook = replace(CODEBOOK, channels=tuple(params.channels))
    compile_program(features, codebook, WINDOWS, lookback_days=lookback_days)


def test_a_channel_that_the_codebook_lacks_is_refused() -> None:
    with pytest.raises(
        UsageError, match="channel 'mail' is compared with others, but the codebook has email, sms, store"
    ):
        compile_program([g.LatestChannel(SENDS, ("email", "mail"))], CODEBOOK, WINDOWS)


def test_without_categories_there_are_no_features_of_the_own_category() -> None:
    names = {feature.name for feature in default_features(PARAMS, replace(CODEBOOK, categories=()))}
    assert not any(OWN_CATEGORY in name for name in names)


def test_only_relative_features_are_those_of_the_candidate() -> None:
    for feature in default_features(PARAMS, CODEBOOK):
        assert feature.candidate == (CANDIDATE in feature.name or OWN_CATEGORY in feature.name), feature.name


def test_the_candidate_channels_own_history_is_shown() -> None:
    count = g.Count(SENDS.on(CANDIDATE), 30.0)
    assert swept(count, g.Count(SENDS, 30.0)) == [[1.0, 2.0], [0.0, 3.0], [0.0, 0.0]]


def test_rates_are_drawn_to_what_was_learnt() -> None:
    rate = g.Rate(OPENS.on(CANDIDATE), SENDS.on(CANDIDATE), 30.0, pseudo=3.0)
    learnt = learn_base_rates((rate,), CODEBOOK, np.array([6, 2, 5, 2]))
    assert learnt == {"opens_email/sends_email": 0.25, "opens_sms/sends_sms": 0.0}
    (email,), (none,), (sms,) = swept(rate, base_rates=learnt)
    assert email == pytest.approx((1 + 3 * 0.25) / (1 + 3))
    assert np.isnan(none)
    assert sms == 0.0


def test_a_feature_of_another_window_is_refused_by_name() -> None:
    with pytest.raises(UsageError, match=r"sends_count_14d: window of 14 days is none of windows_days \[7"):
        compile_program([g.Count(SENDS, 14.0)], CODEBOOK, WINDOWS)


def test_all_faults_of_a_program_are_reported_together() -> None:
    wrong = [g.Count(SENDS, 14.0), g.Tenure(), g.Tenure(), g.ActiveDays(SENDS, 64)]
    with pytest.raises(UsageError, match=r"(?s)tenure: declared more than once.*sends_count_14d.*span_days is 64"):
        compile_program(wrong, CODEBOOK, WINDOWS)


@pytest.mark.parametrize("windows", [(7, 30, 90), (7, 30, 30, 90), (30, 7, 90, 365), (7, 30, 90, 800)])
def test_windows_that_do_not_fit_are_refused(windows: tuple[float, ...]) -> None:
    with pytest.raises(UsageError, match=r"expected 4 ascending windows, the longest at most lookback_days \(730\)"):
        compile_program([g.Tenure()], CODEBOOK, windows)


def test_a_window_and_what_it_follows_must_lie_in_the_lookback() -> None:
    with pytest.raises(UsageError, match="reach beyond lookback_days"):
        compile_program([g.Followed(OPENS, SENDS, 7, 365.0)], CODEBOOK, WINDOWS, lookback_days=370)


def test_a_feature_relative_to_both_action_and_category_is_refused() -> None:
    mixed = g.Streak(SENDS.on(CANDIDATE), OPENS.about(OWN_CATEGORY))
    with pytest.raises(UsageError, match="cannot be relative to both"):
        compile_program([mixed], CODEBOOK, WINDOWS)
    with pytest.raises(UsageError, match="sends_candidate_own_category: one feature cannot be relative to both"):
        compile_program([g.Count(SENDS.on(CANDIDATE).about(OWN_CATEGORY), 30.0)], CODEBOOK, WINDOWS)
    with pytest.raises(UsageError, match="relative to the action or to the campaign's category, not to more"):
        compile_program([g.Count(SENDS.on(CANDIDATE, "sms"), 30.0)], CODEBOOK, WINDOWS)


def test_unknown_names_are_refused_with_the_nearest() -> None:
    features = default_features(PARAMS, CODEBOOK)
    with pytest.raises(
        UsageError, match="'sends_emial_count_30d' is no declared feature; nearest: sends_email_count_30d"
    ):
        select_features(features, ["tenure", "sends_emial_count_30d"])
    assert [each.name for each in select_features(features, ["tenure", "as_of_hour"])] == ["tenure", "as_of_hour"]


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"customer": [7, 7, 9]}, "row 2: customer 9 is not among the events given"),
        ({"customer": [6, 7, 7]}, "row 0: customer 6 is not among the events given"),
        ({"as_of_us": [4, 3, 9]}, "row 1: its as_of lies before"),
        ({"action": [0, 3, 0]}, "row 1: action 3 is neither 0"),
        ({"action": [-1, 0, 0]}, "row 0: action -1 is neither 0"),
        ({"category": [0, 0, 1]}, "row 2: category 1 is not one of the codebook's"),
    ],
)
def test_rows_that_do_not_fit_are_refused(changed: dict[str, list[int]], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        swept(g.Tenure(), rows=spine(**changed))


def test_codes_that_the_program_does_not_know_are_refused() -> None:
    events = replace(EVENTS, code=EVENTS.code + np.uint16(4))
    with pytest.raises(UsageError, match="events whose code the program does not know; compile it from the codebook"):
        sweep(compile_program([g.Tenure()], CODEBOOK, WINDOWS), events, spine(), np.zeros((3, 1), np.float32))


@pytest.mark.parametrize("shape", [(2, 1), (3, 0)])
def test_an_output_of_another_shape_is_refused(shape: tuple[int, int]) -> None:
    with pytest.raises(UsageError, match="expected C order with 3 rows and at least 1 columns"):
        sweep(compile_program([g.Tenure()], CODEBOOK, WINDOWS), EVENTS, spine(), np.zeros(shape, np.float32))


def test_no_rows_and_no_features_are_no_fault() -> None:
    nobody = spine(customer=[], as_of_us=[], action=[], category=[])
    assert swept(g.Tenure(), rows=nobody) == []
    assert swept() == [[], [], []]


def test_another_selection_and_read_only_events_compile_nothing() -> None:
    swept(g.Tenure())
    compiled = list(run_sweep.signatures)
    swept(g.Count(SENDS, 7.0), g.LastValue(SENDS), g.Entropy(SENDS, ("email", "sms"), 7.0))
    frozen = np.frombuffer(EVENTS.time_us.tobytes(), np.int64)
    program = compile_program([g.Tenure()], CODEBOOK, WINDOWS)
    sweep(program, replace(EVENTS, time_us=frozen), spine(), np.zeros((3, 1), np.float32))
    assert list(run_sweep.signatures) == compiled
    assert len(compiled) == 1


def test_every_column_is_written_for_a_shop_whose_channels_record_next_to_nothing() -> None:
    quiet = [f"channels.{name}.records=[]" for name in PARAMS.channels]
    program = compile_program(default_features(load_params((), quiet), CODEBOOK), CODEBOOK, WINDOWS)
    rows = spine()
    first, second = (np.full((len(rows), len(program.features)), mark, np.float32) for mark in (-777.25, 555.5))
    sweep(program, EVENTS, rows, first)
    sweep(program, EVENTS, rows, second)
    np.testing.assert_array_equal(first, second)
