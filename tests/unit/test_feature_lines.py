"""Features declared as data are those declared in Python, and what is wrong with a line is said with its place."""

import json
import re
from typing import Any

import pytest

from channelwise.reports.features import features_page
from contract.errors import ParameterError
from contract.loading import load_params, merge
from contract.params import Params
from features import grammar as g
from features.catalogue import default_features, subjects
from features.declared import declared_features
from features.description import as_json, describe_features
from features.events import Codebook
from features.phrases import added_features, feature_of, line_of, named_sets, operations

PARAMS = load_params()
CODEBOOK = Codebook((), ("garden",), tuple(PARAMS.channels), PARAMS.outbound)


def asking(**features: Any) -> Params:
    """The shipped parameters with these under `features`."""
    return Params.model_validate(merge(PARAMS.model_dump(), {"features": features}))


def test_every_default_feature_reads_back_from_its_line() -> None:
    sets = named_sets(PARAMS)
    for feature in default_features(PARAMS, CODEBOOK):
        line = line_of(feature, sets)
        assert line is not None, feature.name
        assert feature_of(json.loads(json.dumps(line)), sets, PARAMS) == feature


def test_every_operation_of_the_grammar_can_be_declared() -> None:
    assert set(operations().values()) == set(g.Feature.__subclasses__())
    described = {each.operation for each in describe_features(PARAMS)}
    assert described == {operation.__name__ for operation in operations().values()}


def test_a_line_says_what_python_says() -> None:
    s = subjects(PARAMS)
    added = added_features(
        asking(
            sets={"loud": {"words": "visits and chats", "kinds": ["visited", "chatted"]}},
            add=[
                {"count": "loud on web+app", "days": 30},
                {"rate": "answers on sms", "per": "sends on sms", "days": 7},
                {"followed": "purchases on store", "after": "sends on email", "within_days": 3, "days": 90},
                {"top_channel": "purchases about garden", "over": ["store", "web"], "days": 365},
                {"tenure": None},
            ],
        )
    )
    assert added[0].name == "loud_web_app_count_30d"
    assert added[1:] == (
        g.Rate(s.answers.on("sms"), s.sends.on("sms"), 7.0, PARAMS.features.smoothing_sends),
        g.Followed(s.purchases.on("store"), s.sends.on("email"), 3.0, 90.0),
        g.TopChannel(s.purchases.about("garden"), ("store", "web"), 365.0),
        g.Tenure(),
    )


def test_added_features_follow_the_default_ones_and_left_out_ones_are_gone() -> None:
    params = asking(add=[{"count": "answers on sms+push", "days": 7}], leave_out=["tenure", "sends_*"])
    names = [each.name for each in declared_features(params, CODEBOOK)]
    assert names[-1] == "answers_sms_push_count_7d"
    assert not [name for name in names if name == "tenure" or name.startswith("sends_")]
    assert "answers_count_7d" in names


def test_all_faults_are_reported_together_with_the_nearest_names() -> None:
    lines = [
        {"cuont": "answers", "days": 30},
        {"count": "anwsers", "days": 30},
        {"count": "answers on smss", "days": 30},
        {"count": "answers"},
        {"count": "answers", "days": "many"},
        {"count": "answers", "weeks": 3, "days": 7},
        {"latest_channel": "answers", "rank": 3},
        {"count": 5, "days": 7},
    ]
    with pytest.raises(ParameterError) as caught:
        added_features(asking(add=lines))
    expected = [
        "expected one operation, found none among cuont, days .nearest: count",
        "'anwsers' is no set of events .nearest: answers",
        "'smss' is no declared channel .nearest: sms",
        "'days' is missing",
        "days: found 'many'; expected a number",
        "count: 'weeks' is no operand; it takes days",
        "rank: found 3; expected one of 1, 2",
        "found 5; expected events such as",
    ]
    assert len(caught.value.faults) == len(expected)
    for at, (fault, words) in enumerate(zip(caught.value.faults, expected, strict=True)):
        assert re.match(rf"features\.add\[{at}\]: .*{words}", fault), fault


def test_a_name_left_out_that_is_not_there_is_refused() -> None:
    with pytest.raises(ParameterError, match=r"leave_out: 'tenur' is no declared feature; nearest: tenure"):
        declared_features(asking(leave_out=["tenur"]), CODEBOOK)


def test_a_set_of_an_unknown_kind_or_channel_is_refused() -> None:
    with pytest.raises(ParameterError, match=r"features\.sets\.odd\.kinds: 'sung' is no declared kind"):
        load_params((), ['features.sets={"odd": {"words": "songs", "kinds": ["sung"]}}'])
    with pytest.raises(ParameterError, match=r"features\.sets\.odd\.channels: 'moon' is no declared channel"):
        load_params((), ['features.sets={"odd": {"words": "songs", "channels": ["moon"]}}'])


def test_the_description_names_every_feature_once_as_data_and_as_a_page() -> None:
    words = describe_features(PARAMS)
    names = [each.name for each in words]
    assert names == [each.name for each in declared_features(PARAMS, CODEBOOK)] or len(set(names)) == len(names)
    assert [each["name"] for each in json.loads(as_json(words))] == names
    page = features_page(words)
    assert all(f"<code>{name}</code>" in page for name in names)
    assert all(each.meaning and each.unit and each.inputs and each.window and each.line for each in words)
