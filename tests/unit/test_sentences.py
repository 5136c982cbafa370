"""Every operation of the grammar is said in words that a marketer would use; nothing relative is left unnamed."""

import numpy as np
import pytest

from contract.loading import load_params
from features import grammar as g
from features.declared import declared_features
from features.demographic import Column, DemographicEncoder
from features.event_sets import CANDIDATE, OWN_CATEGORY, EventSet
from features.events import Codebook
from features.matrix import ACTION, CAMPAIGN_CATEGORY, FeatureSet
from features.sentences import Sentences

SENDS = EventSet("sends", "messages sent", ("sent",))
ANSWERS = EventSet("answers", "answers", ("clicked",))
BUYS = EventSet("purchases", "purchases", ("purchased",))
CODEBOOK = Codebook((), ("garden", "toys"), ("email", "sms", "store"), ("email", "sms"))
NAN = float("nan")


def sentences(*features, columns=()):
    return Sentences(
        FeatureSet(
            features=features,
            demographic=DemographicEncoder(tuple(columns)),
            row_columns=(ACTION, CAMPAIGN_CATEGORY),
            codebook=CODEBOOK,
            n_categories=2,
            windows_days=(7.0, 30.0, 90.0, 365.0),
            lookback_days=730,
            base_rates={},
        )
    )


def said(feature, value, action=2, category=0):
    return sentences(feature).say(0, np.array([value, action, category], np.float32))


SMS = (ANSWERS.on("sms"), SENDS.on("sms"))


@pytest.mark.parametrize(
    ("feature", "value", "words"),
    [
        (g.Count(SENDS.on("email"), 30), 3, "3 messages sent on email in the last 30 days"),
        (g.Count(SENDS.on("email"), 30), 1, "1 message sent on email in the last 30 days"),
        (g.Count(BUYS, 90), 0, "no purchases in the last 90 days"),
        (g.Count(ANSWERS.on(CANDIDATE), 90), 2, "2 answers on sms in the last 90 days"),
        (g.Count(BUYS.about(OWN_CATEGORY), 90), 2, "2 purchases about garden in the last 90 days"),
        (g.Rate(*SMS, 90), 0.25, "answers on sms per message sent on sms in the last 90 days: 0.25, drawn to the us"),
        (
            g.Share(BUYS.on("store"), BUYS, 365),
            0.5,
            "50% of all purchases in the last 365 days were purchases on ",
        ),
        (g.Share(BUYS.on("store"), BUYS, 365), NAN, "no purchases in the last 365 days"),
        (g.Trend(BUYS, 7, 90), 2.0, "purchases: pace of the last 7 days 2 times that of 90 days"),
        (g.Recency(ANSWERS), 12.2, "last answer 12 days ago"),
        (g.Recency(ANSWERS), 0.5, "last answer 12 hours ago"),
        (g.Recency(ANSWERS), NAN, "no answers known"),
        (g.First(BUYS), 300, "first purchase 300 days ago"),
        (g.Tenure(), 20, "first interaction 20 days ago"),
        (g.Sum(BUYS, 365), 1234.5, "purchases worth 1,234 EUR in the last 365 days"),
        (g.Mean(BUYS, 365), 20.5, "purchases of 20.5 EUR on average in the last 365 days"),
        (g.LastValue(BUYS), 9, "latest purchase worth 9 EUR"),
        (g.TypicalValue(BUYS), 48, "purchases of typically 48 EUR"),
        (g.TypicalValue(BUYS), NAN, "no purchases known"),
        (g.Total(BUYS), 3, "3 purchases in all that is known"),
        (g.Total(BUYS), 0, "no purchases in all that is known"),
        (g.Pressure(SENDS, 7), 2.44, "messages sent of late: 2.4, each halved in weight every 7 days"),
        (g.Streak(SENDS, ANSWERS), 4, "4 messages sent since the last answer"),
        (
            g.Followed(BUYS, SENDS, 7, 365),
            0.2,
            "purchases within 7 days after a message sent, in the last 365 days: 0",
        ),
        (g.GapMean(BUYS), 14, "purchases every 14 days on average"),
        (g.GapSpread(BUYS), 3, "days between purchases vary by 3"),
        (g.ActiveDays(BUYS, 28), 5, "purchases on 5 of the last 28 days"),
        (g.HourMean(BUYS), 19.5, "purchases usually at 19:30 UTC"),
        (g.HourConcentration(BUYS), 0.8, "purchases keep to one hour of the day by 80%"),
        (g.WeekendShare(BUYS), 0.3, "30% of purchases at weekends"),
        (g.Entropy(BUYS, ("sms",), 365), 0.0, "purchases over channels: 0.00 nats of spread, 0 is all on one"),
        (g.LatestChannel(BUYS, ("store",)), 2, "latest purchase on store"),
        (g.LatestChannel(BUYS, ("store",), 2), NAN, "no purchases on another channel known"),
        (g.TopChannel(BUYS, ("store",), 90), 2, "most purchases on store in the last 90 days"),
        (g.Calendar("weekday"), 0, "asked on a Monday"),
        (g.Calendar("month"), 12, "asked in December"),
        (g.Calendar("hour"), 8.5, "asked at 08:30 UTC"),
    ],
)
def test_a_value_is_said_in_the_features_own_words(feature, value, words):
    assert said(feature, value).startswith(words)


def test_every_operation_has_its_words():
    assert {type(each) for each, *_ in (mark for mark in CASES)} == set(g.Feature.__subclasses__())


CASES = [mark for each in test_a_value_is_said_in_the_features_own_words.pytestmark for mark in each.args[1]]


@pytest.mark.parametrize(
    ("answers", "sends", "words"),
    [
        (3, 4, "answered 3 of 4 messages sent on sms in the last 90 days"),
        (0, 1, "answered 0 of 1 message sent on sms in the last 90 days"),
        (5, 4, "5 answers on sms for 4 messages sent on sms in the last 90 days"),
        (0, 0, "no answers on sms for no messages sent on sms in the last 90 days"),
    ],
)
@pytest.mark.parametrize("channel", ["sms", CANDIDATE])
def test_a_rate_is_said_by_its_counts_where_the_row_has_them(channel, answers, sends, words):
    on = (ANSWERS.on(channel), SENDS.on(channel))
    speaker = sentences(g.Rate(*on, 90), g.Count(on[0], 90), g.Count(on[1], 90))
    assert speaker.say(0, np.array([0.4, answers, sends, 2, 0], np.float32)) == words


@pytest.mark.parametrize(
    ("column", "value", "words"),
    [
        (Column("birth_year", "age"), 42, "age 42"),
        (Column("birth_year", "age"), NAN, "age: unknown"),
        (Column("signup_at", "days"), 300, "signup_at 300 days ago"),
        (Column("children", "number"), 2, "children: 2"),
        (Column("region", "level", ("north", "south")), 1, "region: south"),
        (Column("region", "level", ("north", "south")), 2, "region: another value"),
    ],
)
def test_what_the_customers_table_holds_is_said(column, value, words):
    assert sentences(columns=[column]).say(0, np.array([value, 1, 0], np.float32)) == words


def test_the_row_itself_is_said():
    speaker = sentences()
    assert speaker.say(0, np.array([2, 1], np.float32)) == "contacted on sms"
    assert speaker.say(0, np.array([0, 1], np.float32)) == "not contacted"
    assert speaker.say(1, np.array([2, 1], np.float32)) == "a campaign about toys"
    assert speaker.say(1, np.array([2, NAN], np.float32)) == "a campaign about something unknown"


NEVER_MISSING = (g.Count, g.Total, g.Trend, g.Sum, g.Pressure, g.Streak, g.ActiveDays, g.Calendar)


def test_all_default_features_speak_without_leaving_anything_relative():
    params = load_params()
    codebook = Codebook((), ("garden",), tuple(params.channels), params.outbound)
    features = declared_features(params, codebook)
    for value in (0.0, 1.0, 2.5, NAN):
        speaker = Sentences(
            FeatureSet(features, DemographicEncoder(), (ACTION, CAMPAIGN_CATEGORY), codebook, 1, (7, 30), 730, {})
        )
        row = np.full(len(features) + 2, value, np.float32)
        row[-2:] = 1, 0
        if np.isnan(value):
            row[[at for at, each in enumerate(features) if isinstance(each, NEVER_MISSING)]] = 1
        words = [speaker.say(at, row) for at in range(len(features))]
        assert not [each for each in words if "candidate" in each or "own category" in each or "nan" in each]
