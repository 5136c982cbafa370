from datetime import UTC, datetime

import duckdb
import pytest

from contract.loading import load_params
from serving.eligibility import Eligibility

AS_OF = datetime(2026, 6, 1, tzinfo=UTC)


@pytest.fixture
def history():
    connection = duckdb.connect()
    who = "customer_id VARCHAR, channel VARCHAR, occurred_at TIMESTAMP"
    connection.execute(f"CREATE TABLE consents ({who}, granted BOOLEAN, purpose VARCHAR)")
    connection.execute(f"CREATE TABLE interactions ({who}, kind VARCHAR)")
    return connection


def consent(connection, when, granted, channel="email", purpose="contact"):
    connection.execute("INSERT INTO consents VALUES ('a', ?, ?, ?, ?)", [channel, when, granted, purpose])


def interaction(connection, when, kind, channel="email"):
    connection.execute("INSERT INTO interactions VALUES ('a', ?, ?, ?)", [channel, when, kind])


def asked(connection, channel="email"):
    params = load_params()
    access = Eligibility(connection, params, AS_OF).access(["a"])
    place = params.outbound.index(channel)
    return bool(access.eligible[0, place]), access.reason[0, place]


def test_without_a_record_only_channels_without_need_are_open(history):
    assert asked(history) == (False, "no consent on record")
    assert asked(history, "mail") == (True, None)


def test_the_latest_consent_before_as_of_counts(history):
    consent(history, "2026-01-01", True)
    assert asked(history) == (True, None)
    consent(history, "2026-02-01", False)
    assert asked(history) == (False, "consent withdrawn")
    consent(history, "2026-03-01", True)
    assert asked(history) == (True, None)


@pytest.mark.parametrize("moment", ["2026-06-01", "2026-06-02"])
def test_nothing_at_or_after_as_of_counts(history, moment):
    consent(history, moment, True)
    assert asked(history) == (False, "no consent on record")
    consent(history, "2026-05-31 23:59:59.999999", True)
    consent(history, moment, False)
    interaction(history, moment, "unsubscribed")
    assert asked(history) == (True, None)


def test_a_tie_in_time_goes_against_contact(history):
    consent(history, "2026-01-01", True)
    consent(history, "2026-01-01", False)
    assert asked(history) == (False, "consent withdrawn")


def test_consent_to_another_purpose_or_channel_is_none_to_contact(history):
    consent(history, "2026-01-01", True, purpose="profiling")
    consent(history, "2026-01-01", True, channel="sms")
    assert asked(history) == (False, "no consent on record")
    consent(history, "2026-01-02", True)
    consent(history, "2026-01-03", False, purpose="tracking")
    assert asked(history) == (True, None)


@pytest.mark.parametrize("kind", ["unsubscribed", "complained"])
def test_an_opt_out_closes_its_channel_until_a_new_consent(history, kind):
    consent(history, "2026-01-01", True)
    consent(history, "2026-01-01", True, channel="sms")
    interaction(history, "2026-02-01", kind)
    assert asked(history) == (False, f"{kind} since the last consent")
    assert asked(history, "sms") == (True, None)
    consent(history, "2026-03-01", True)
    assert asked(history) == (True, None)


def test_an_objection_closes_a_channel_that_needs_no_consent(history):
    consent(history, "2026-01-01", False, channel="mail")
    assert asked(history, "mail") == (False, "consent withdrawn")


def test_customers_come_back_in_the_order_asked(history):
    consent(history, "2026-01-01", True)
    access = Eligibility(history, load_params(), AS_OF).access(["nobody", "a", "zz"])
    assert access.eligible[:, 0].tolist() == [False, True, False]
    assert Eligibility(history, load_params(), AS_OF).access([]).eligible.shape == (0, len(load_params().outbound))
