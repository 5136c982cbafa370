import tracemalloc
from datetime import UTC, datetime

import duckdb
import numpy as np
import pyarrow as pa
import pytest

from contract.errors import DataError, UsageError
from contract.loading import load_params
from serving.contact_state import first_rule
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


def test_an_audience_takes_few_bytes_a_customer(history, monkeypatch):
    monkeypatch.setattr("serving.standing_rules.SLICE_CUSTOMERS", 1_000)
    customers = 20_000
    ids = pa.array([f"customer {number:08}" for number in range(customers)], pa.large_string())
    history.execute(
        "INSERT INTO consents SELECT printf('customer %08d', range), 'email', '2026-01-01', range % 2 = 0, 'contact' "
        f"FROM range({customers})"
    )
    tracemalloc.start()
    try:
        rules = Eligibility(history, load_params(), AS_OF, audience=ids)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    # An id alone would take more than 60 bytes as an object.
    assert peak / customers < 60
    assert rules.access(rules.audience).eligible[:, 0].tolist() == [number % 2 == 0 for number in range(customers)]


@pytest.mark.parametrize("form", [list, tuple, pa.array, lambda ids: np.array(ids, dtype=object)])
def test_an_audience_may_come_in_any_form_and_order(history, form):
    consent(history, "2026-01-01", True)
    rules = Eligibility(history, load_params(), AS_OF, audience=form(["zz", "a", "zz", "b"]))
    assert rules.audience.to_pylist() == ["a", "b", "zz"]
    for asked in (["a", "b"], ["zz", "a"], ["a", "nobody"]):
        assert rules.access(form(asked)).eligible[:, 0].tolist() == [who == "a" for who in asked]


def judged(connection, *rules, channel="mail", campaign=None, who="a", planned=()):
    """Names of the rules that refuse customer a, and the earliest moment where there is one."""
    params = load_params(assignments=[f"eligibility.{rule}" for rule in rules])
    asked = Eligibility(connection, params, AS_OF, campaign, planned=planned)
    found = asked.judged([who])
    place = params.outbound.index(channel)
    bits, moment = int(found.refused[0, place]), int(found.earliest_us[0, place])
    names = [rule.name for bit, rule in enumerate(asked.book.rules) if bits >> bit & 1]
    return names, None if moment > 2**60 else np.datetime64(moment, "us").astype("datetime64[us]").item()


@pytest.fixture
def shop(history):
    """The history with every column that a rule reads."""
    history.execute("ALTER TABLE interactions ADD COLUMN campaign_id VARCHAR")
    history.execute("CREATE TABLE campaigns (campaign_id VARCHAR, type VARCHAR)")
    history.execute("INSERT INTO campaigns VALUES ('RECEIPT', 'transactional'), ('SPRING', 'bulk')")
    history.execute("CREATE TABLE customers (customer_id VARCHAR, signup_at TIMESTAMP, zone VARCHAR, person VARCHAR)")
    return history


def sent(connection, when, campaign="SPRING", channel="mail"):
    connection.execute("INSERT INTO interactions VALUES ('a', ?, ?, 'sent', ?)", [channel, when, campaign])


GAP = "windows={gap: {contacts: 1, hours: 48}}"
MONTH = "windows={month: {contacts: 2, days: 28}}"


def day(text):
    return datetime.fromisoformat(text)


def test_nothing_is_refused_until_it_is_declared(shop):
    for when in ("2026-05-30", "2026-05-31", "2026-05-31 23:59"):
        sent(shop, when)
    assert judged(shop) == ([], day("2026-06-01"))


def test_a_gap_ends_to_the_microsecond(shop):
    sent(shop, "2026-05-30 00:00:00.000001")
    assert judged(shop, GAP) == (["windows.gap"], day("2026-06-01 00:00:00.000001"))
    shop.execute("UPDATE interactions SET occurred_at = '2026-05-30'")
    assert judged(shop, GAP) == ([], day("2026-06-01"))


def test_a_window_opens_when_its_first_contact_leaves_it(shop):
    sent(shop, "2026-05-10")
    assert judged(shop, MONTH)[0] == []
    sent(shop, "2026-05-20")
    assert judged(shop, MONTH) == (["windows.month"], day("2026-06-07"))
    sent(shop, "2026-05-25", channel="store")
    assert judged(shop, MONTH) == (["windows.month"], day("2026-06-17"))


def test_a_window_of_a_channel_counts_and_holds_only_there(shop):
    sent(shop, "2026-05-30", channel="sms")
    rule = "windows={sms: {contacts: 1, days: 7, channels: [sms]}}"
    assert judged(shop, rule)[0] == []
    assert "windows.sms" in judged(shop, rule, channel="sms")[0]


def test_transactional_campaigns_are_exempt_unless_counted(shop):
    sent(shop, "2026-05-31", "RECEIPT")
    assert judged(shop, GAP)[0] == []
    assert judged(shop, GAP, "transactional=counted")[0] == ["windows.gap"]
    sent(shop, "2026-05-31")
    assert judged(shop, GAP, campaign="RECEIPT")[0] == []
    assert judged(shop, GAP, "transactional=counted", campaign="RECEIPT")[0] == ["windows.gap"]


def write_plan(folder, name, *contacts, as_of="2026-05-31"):
    """A plan of SPRING; contacts: (customer, channel, moment)."""
    path = folder / f"{name}.csv"
    rows = [f"{who},{channel},SPRING,{as_of}T00:00:00Z" for who, channel, _ in contacts]
    path.write_text(
        "\n".join(["customer_id,channel,campaign_id,as_of", *rows, f"held,,SPRING,{as_of}T00:00:00Z"]) + "\n"
    )
    moments = [f"{who},{channel},{moment}Z,SPRING" for who, channel, moment in contacts]
    (folder / f"{name}.moments.csv").write_text(
        "\n".join(["customer_id,channel,earliest_at,campaign_id", *moments]) + "\n"
    )
    return path


def test_planned_contacts_close_the_time_before_and_after_them(shop, tmp_path):
    plan = write_plan(tmp_path, "plan", ("a", "mail", "2026-06-02T12:00:00"))
    assert judged(shop, GAP, planned=[plan]) == (["windows.gap"], day("2026-06-04 12:00"))
    late = write_plan(tmp_path, "late", ("a", "mail", "2026-06-03T00:00:00"))
    assert judged(shop, GAP, planned=[late]) == ([], day("2026-06-01"))
    sent(shop, "2026-05-30 12:00")
    # Between the one sent and the one planned there is no moment two days from both.
    assert judged(shop, GAP, planned=[late]) == (["windows.gap"], day("2026-06-05"))
    wide = write_plan(tmp_path, "wide", ("a", "mail", "2026-06-03T12:00:00"))
    assert judged(shop, GAP, planned=[wide]) == (["windows.gap"], day("2026-06-01 12:00"))


def test_a_planned_contact_that_was_sent_counts_once(shop, tmp_path):
    plan = write_plan(tmp_path, "plan", ("a", "mail", "2026-06-01T00:00:00"), as_of="2026-05-01")
    sent(shop, "2026-05-20")
    assert judged(shop, MONTH, planned=[plan])[0] == []
    shop.execute("UPDATE interactions SET campaign_id = 'OTHER'")
    assert judged(shop, MONTH, planned=[plan])[0] == ["windows.month"]


def test_earlier_plans_that_do_not_serve_are_refused_together(shop, tmp_path):
    plan = write_plan(tmp_path, "plan", ("a", "mail", "2026-06-01T00:00:00"), ("b", "fax", "2026-06-01T00:00:00"))
    stale = write_plan(tmp_path, "stale", ("a", "mail", "2026-06-01T00:00:00"))
    other = "customer_id,channel,earliest_at,campaign_id\na,sms,2026-06-01T00:00:00Z,SPRING\n"
    (tmp_path / "stale.moments.csv").write_text(other)
    with pytest.raises(DataError) as caught:
        judged(shop, GAP, planned=[plan, stale, tmp_path / "none.csv"])
    words = (
        "plan.csv: 1 contacts, e.g. b × fax: the channel is none of",
        "stale.csv: 2 contacts",
        "none.csv: is not there",
    )
    assert all(each in str(caught.value) for each in words), caught.value
    with pytest.raises(UsageError, match="name one plan twice"):
        judged(shop, GAP, planned=[stale, stale])


def test_exclusions_name_campaigns_and_count_what_is_planned(shop, tmp_path):
    rule = "exclusions={launch: {after: [SPR*], days: 10, refuse: [CLEARANCE]}}"
    sent(shop, "2026-05-25", "SPRING_2")
    assert judged(shop, rule, campaign="SALE")[0] == []
    assert judged(shop, rule, campaign="CLEARANCE") == (["exclusions.launch"], day("2026-06-04"))
    plan = write_plan(tmp_path, "plan", ("a", "email", "2026-06-20T00:00:00"))
    assert judged(shop, rule, campaign="CLEARANCE", planned=[plan])[1] == day("2026-06-30")


def test_a_complaint_cools_every_channel_for_its_days(shop):
    interaction_of(shop, "2026-05-20", "complained", "email")
    rule = "cooling_off={complaint: {kinds: [complained], days: 30}}"
    assert judged(shop, rule) == (["cooling_off.complaint"], day("2026-06-19"))


def interaction_of(connection, when, kind, channel):
    connection.execute("INSERT INTO interactions VALUES ('a', ?, ?, ?, NULL)", [channel, when, kind])


def test_bounces_count_since_the_last_delivery_and_a_tie_goes_against_contact(shop):
    rule = "reachable={mail: {bounces: 2}}"
    interaction_of(shop, "2026-05-01", "bounced", "mail")
    interaction_of(shop, "2026-05-02", "bounced", "mail")
    assert judged(shop, rule) == (["undeliverable"], None)
    interaction_of(shop, "2026-05-02", "delivered", "mail")
    assert judged(shop, rule)[0] == []
    interaction_of(shop, "2026-05-02", "bounced", "mail")
    assert judged(shop, rule)[0] == ["undeliverable"]
    interaction_of(shop, "2026-05-03", "clicked", "email")
    assert judged(shop, rule)[0] == ["undeliverable"]
    interaction_of(shop, "2026-05-03", "replied", "mail")
    assert judged(shop, rule)[0] == []


def test_a_relation_begins_with_the_signup_or_the_first_interaction(shop):
    rule = "min_relation_days=30"
    assert judged(shop, rule) == (["min_relation_days"], None)
    interaction_of(shop, "2026-05-20", "visited", "store")
    assert judged(shop, rule) == (["min_relation_days"], day("2026-06-19"))
    shop.execute("INSERT INTO customers VALUES ('a', '2026-05-02', NULL, NULL)")
    assert judged(shop, rule) == ([], day("2026-06-01"))


@pytest.mark.parametrize(
    ("zone", "opens"),
    [(None, "2026-06-01 06:00"), ("Asia/Tokyo", "2026-06-01 00:00"), ("Nowhere", "2026-06-01 06:00")],
)
def test_quiet_hours_put_off_in_the_customers_zone(shop, zone, opens):
    shop.execute("INSERT INTO customers VALUES ('a', NULL, ?, NULL)", [zone])
    rules = ("quiet={mail: {hours: ['21:00-08:00']}}", "zone=Europe/Berlin", "zone_column=zone")
    assert judged(shop, *rules) == ([], day(opens))


def test_a_window_is_judged_at_the_end_of_quiet_times(shop):
    sent(shop, "2026-05-30 04:00")
    quiet = "quiet={mail: {hours: ['21:00-06:00'], dates: [2026-06-02]}}"
    assert judged(shop, GAP)[0] == ["windows.gap"]
    assert judged(shop, GAP, quiet) == ([], day("2026-06-01 06:00"))
    shop.execute("UPDATE interactions SET occurred_at = '2026-05-31 10:00'")
    assert judged(shop, GAP, quiet) == (["windows.gap"], day("2026-06-03 06:00"))
    assert judged(shop, quiet, "sending_hours=5") == (["sending_hours"], day("2026-06-01 06:00"))
    assert judged(shop, quiet, "sending_hours=6") == ([], day("2026-06-01 06:00"))


def test_suppression_lists_close_customers_or_channels(shop, tmp_path):
    listed = tmp_path / "robinson.csv"
    listed.write_text("cust,channel\na,post\nb,\n")
    mapped = "rename: {cust: customer_id}, values: {channel: {post: mail}}"
    rule = f"suppression={{robinson: {{file: {listed}, {mapped}}}}}"
    assert judged(shop, rule) == (["suppression.robinson"], None)
    assert "suppression.robinson" not in judged(shop, rule, channel="email")[0]
    assert "suppression.robinson" in judged(shop, rule, channel="email", who="b")[0]


def test_suppression_lists_that_cannot_be_read_whole_stop_the_job(shop, tmp_path):
    (tmp_path / "one.csv").write_text("customer_id,channel\n,mail\na,fax\n")
    (tmp_path / "two.csv").write_text("id\na\n")
    files = {"one": "one.csv", "two": "two.csv", "three": "three.csv"}
    rules = [f"suppression.{name}={{file: {tmp_path / file}}}" for name, file in files.items()]
    with pytest.raises(DataError) as caught:
        judged(shop, *rules)
    words = ("one: 1 rows", "hold channels such as 'fax'", "two: suppression.customer_id", "three.csv is not there")
    assert all(each in str(caught.value) for each in words), caught.value


def test_columns_and_persons_that_are_none_are_refused(shop):
    with pytest.raises(DataError, match=r"no column 'household'[\s\S]*zone_column: customers has no column 'tz'"):
        judged(shop, "zone_column=tz", "person_column=household")
    shop.execute("INSERT INTO customers SELECT 'c' || i, NULL, NULL, 'unknown' FROM range(101) t(i)")
    with pytest.raises(DataError, match="'unknown' is shared by 101 customers"):
        judged(shop, "person_column=person")


def test_of_a_person_the_strictest_consent_counts_and_one_id_is_contacted(shop):
    shop.execute("INSERT INTO customers VALUES ('a', NULL, NULL, 'p'), ('b', NULL, NULL, 'p'), ('c', NULL, NULL, '')")
    shop.execute("INSERT INTO consents VALUES ('a', 'email', '2026-01-01', true, 'contact')")
    rule = "person_column=person"
    assert judged(shop, rule, channel="email")[0] == []
    assert judged(shop, rule, channel="email", who="b")[0] == ["no_consent"]
    params = load_params(assignments=["eligibility.person_column=person"])
    audience = ["b", "c", "a"]
    reasons = Eligibility(shop, params, AS_OF, audience=audience).access(audience).reason
    mail = params.outbound.index("mail")
    # a has e-mail besides post, so a stands for the person.
    assert reasons[:, mail].tolist() == ["another id of the same person stands for it", None, None]
    shop.execute("INSERT INTO consents VALUES ('b', 'email', '2026-02-01', false, 'contact')")
    assert judged(shop, rule, channel="email")[0] == ["consent_withdrawn"]


def test_the_first_rule_is_the_lowest_bit():
    bits = np.array([0, 1, 2, 3, 1 << 58, (1 << 63) + (1 << 20)], dtype=np.uint64)
    assert first_rule(bits).tolist() == [-1, 0, 1, 0, 58, 20]
