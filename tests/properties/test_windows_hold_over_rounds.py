"""Send rounds are played as a campaign tool would: score, plan, send at the earliest moment; the log comes in late."""

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import duckdb
import numpy as np
import pandas as pd
import pytest

from contract.contact_rules import zone_of
from contract.errors import DataError
from contract.loading import load_params
from contract.progress import silent
from serving.eligibility import Eligibility
from serving.eligibility_files import eligibility_beside
from serving.limits import limits_of
from serving.plan import make_plan
from serving.scores import SCORE_SCHEMA

START = datetime(2026, 10, 19, 6, tzinfo=UTC)
WINDOWS = {"sms": (1, 7, {"sms"}), "fortnight": (3, 14, None), "gap": (1, 2, None)}
RULES = """
eligibility:
  zone: Europe/Berlin
  person_column: person
  zone_column: zone
  windows:
    sms: {contacts: 1, days: 7, channels: [sms]}
    fortnight: {contacts: 3, days: 14}
    gap: {contacts: 1, hours: 48}
  quiet:
    sms: {hours: ["20:00-09:30"], days: [sun]}
    email: {hours: ["22:00-06:00"]}
    push: {hours: ["21:00-10:00"], dates: [2026-10-26]}
"""
NUMBERS = ("response", "response_lower", "response_upper", "response_no_contact", "uplift", "uplift_lower")


@pytest.fixture
def params(tmp_path):
    (tmp_path / "rules.yaml").write_text(RULES)
    closed = ("phone", "mail", "social")
    shares = ["planning.holdout_share=0.1", "planning.explore_share=0.2"]
    return load_params([tmp_path / "rules.yaml"], [*(f"channels.{name}=null" for name in closed), *shares])


@pytest.fixture
def ids():
    return np.array([f"c{number:02}" for number in range(40)], dtype=object)


@pytest.fixture
def shop(params, ids):
    connection = duckdb.connect(config={"threads": 1})
    connection.execute("SET TimeZone = 'UTC'")
    who = "customer_id VARCHAR, channel VARCHAR, occurred_at TIMESTAMP"
    connection.execute(f"CREATE TABLE consents ({who}, granted BOOLEAN, purpose VARCHAR)")
    connection.execute(f"CREATE TABLE interactions ({who}, kind VARCHAR, campaign_id VARCHAR)")
    connection.execute("CREATE TABLE campaigns (campaign_id VARCHAR, type VARCHAR)")
    connection.execute("CREATE TABLE customers (customer_id VARCHAR, zone VARCHAR, person VARCHAR)")
    zones = ["Europe/Berlin", "America/New_York", "Asia/Tokyo", None]
    people = [(one, zones[number % 4], f"p{number // 2}" if number < 8 else None) for number, one in enumerate(ids)]
    connection.executemany("INSERT INTO customers VALUES (?, ?, ?)", people)
    grants = [(one, name, datetime(2026, 1, 1)) for one in ids for name in params.outbound]  # noqa: DTZ001
    connection.executemany("INSERT INTO consents VALUES (?, ?, ?, true, 'contact')", grants)
    return connection


def write_scores(path, rules, campaign, as_of, rng):
    """Scores of random worth, with the eligibility that the rules say, and its files beside."""
    ids, channels = rules.audience, rules.channels
    access = rules.access(ids)
    rows = len(ids) * len(channels)
    frame = pd.DataFrame({"customer_id": np.repeat(ids, len(channels)), "channel": np.tile(channels, len(ids))})
    frame["preference_rank"] = 1
    for name in ("preference", "uplift_upper", *NUMBERS):
        frame[name] = rng.uniform(0.1, 0.2, rows)
    frame["expected_value"], frame["cost"] = rng.uniform(0.1, 2, rows), 0.01
    frame["eligible"], frame["reason"] = access.eligible.ravel(), access.reason.ravel()
    frame["evidence"], frame["campaign_id"], frame["model_version"] = "randomised", campaign, "m"
    frame["as_of"] = pd.Timestamp(as_of)
    with eligibility_beside(path, rules, 7, silent, all_reasons=True) as refusals:
        frame[SCORE_SCHEMA.names].to_parquet(path)
    return frame, refusals


def test_no_window_is_ever_exceeded_and_nothing_goes_out_in_quiet_times(shop, params, tmp_path, ids):
    rng = np.random.default_rng(5)
    log: list[Any] = []
    pending: list[Any] = []
    as_of = START
    for number in range(9):
        campaign, scores, out = f"C{number}", tmp_path / f"scores{number}.parquet", tmp_path / f"plan{number}.parquet"
        rules = Eligibility(
            shop, params, as_of, campaign, planned=[path for path, _ in pending], audience=rng.permutation(ids).tolist()
        )
        frame, refusals = write_scores(scores, rules, campaign, as_of, rng)
        make_plan(scores, out, params, limits_of(params, None, {}, {}))
        plan, moments = pd.read_parquet(out), pd.read_parquet(tmp_path / f"plan{number}.moments.parquet")
        contacts = plan.dropna(subset="channel")
        assert (
            moments[["customer_id", "channel"]].values.tolist() == contacts[["customer_id", "channel"]].values.tolist()
        )
        report = json.loads(out.with_suffix(".json").read_text())["eligibility"]
        counted = {each["rule"]: each["first"] for each in report["rules"]}
        assert sum(counted.values()) == int((~frame["eligible"]).sum())
        assert report["open"] == int(frame["eligible"].sum()) == refusals.open
        sends = list(moments.itertuples(index=False, name=None))
        assert set(moments["campaign_id"]) <= {campaign}
        log += sends
        pending.append((out, sends))
        as_of += timedelta(hours=float(rng.choice([11, 24, 31])))
        # What went out is in the log by the next round, but for every third plan, whose log comes a round later.
        arrived = pending[:-1] if number % 3 == 0 else pending
        pending = pending[len(arrived) :] + [each for plan in arrived if (each := logged(shop, plan, as_of))[1]]
    assert len(log) > 60
    hold(pd.DataFrame(log, columns=["customer_id", "channel", "at", "campaign"]))


def logged(shop, plan, as_of):
    """Puts what has gone out into the log; the plan with what has not."""
    path, sends = plan
    gone = [(who, where, when.tz_localize(None).to_pydatetime(), of) for who, where, when, of in sends if when < as_of]
    if gone:
        shop.executemany("INSERT INTO interactions VALUES (?, ?, ?, 'sent', ?)", gone)
    return path, [row for row in sends if row[2] >= as_of]


def hold(log):
    person = {f"c{number:02}": f"p{number // 2}" for number in range(8)}
    for _, mine in log.groupby(log["customer_id"].map(lambda one: person.get(one, one))):
        for contacts, days, channels in WINDOWS.values():
            times = sorted(mine["at"] if channels is None else mine["at"][mine["channel"].isin(channels)])
            for first, beyond in zip(times, times[contacts:], strict=False):
                assert beyond - first >= timedelta(days=days), mine
    zones = ["Europe/Berlin", "America/New_York", "Asia/Tokyo", "Europe/Berlin"]
    for row in log.itertuples():
        local = row.at.tz_convert(zone_of(zones[int(row.customer_id[1:]) % 4]))
        clock = local.strftime("%H:%M")
        if row.channel == "sms":
            assert "09:30" <= clock < "20:00"
            assert local.weekday() != 6
        elif row.channel == "email":
            assert "06:00" <= clock < "22:00"
        else:
            assert "10:00" <= clock < "21:00"
            assert local.date().isoformat() != "2026-10-26"


def test_the_files_beside_the_scores_agree_with_them_and_a_stale_one_is_refused(shop, params, tmp_path, ids):
    as_of = START + timedelta(hours=15)
    rng = np.random.default_rng(1)
    scores, out = tmp_path / "scores.parquet", tmp_path / "plan.csv"
    shop.execute("INSERT INTO interactions VALUES ('c28', 'sms', '2026-10-19 12:00', 'sent', 'X')")
    rules = Eligibility(shop, params, as_of, "C", audience=ids.tolist())
    frame, refusals = write_scores(scores, rules, "C", as_of, rng)
    beside = pd.read_parquet(tmp_path / "scores.eligibility.parquet")
    assert beside.columns.tolist() == ["customer_id", "channel", "earliest_at", "refused_by"]
    assert (beside[["customer_id", "channel"]] == frame[["customer_id", "channel"]]).all(axis=None)
    assert (beside["refused_by"].isna() == frame["eligible"]).all()
    mine = beside[(beside.customer_id == "c28") & (beside.channel == "sms")].iloc[0]
    assert (mine.refused_by, mine.earliest_at) == ("windows.sms; windows.gap", pd.Timestamp("2026-10-26 12:00", tz=UTC))
    assert refusals.waiting > 0
    make_plan(scores, out, params, limits_of(params, None, {}, {}))
    plan, moments = pd.read_csv(out), pd.read_csv(tmp_path / "plan.moments.csv", parse_dates=["earliest_at"])
    both = moments.merge(beside, on=["customer_id", "channel"])
    assert len(both) == plan["channel"].notna().sum()
    assert (both["earliest_at_x"] == both["earliest_at_y"]).all()
    frame.assign(campaign_id="D")[SCORE_SCHEMA.names].to_parquet(scores)
    with pytest.raises(DataError, match="is of another scoring"):
        make_plan(scores, out, params, limits_of(params, None, {}, {}))
    (tmp_path / "scores.eligibility.json").write_text("{")
    with pytest.raises(DataError, match="is damaged"):
        make_plan(scores, out, params, limits_of(params, None, {}, {}))


def test_scores_without_eligibility_beside_them_are_planned_and_moments_are_empty(params, shop, tmp_path, ids):
    rules = Eligibility(shop, params, START, "C", audience=ids.tolist())
    scores, out = tmp_path / "scores.parquet", tmp_path / "plan.parquet"
    write_scores(scores, rules, "C", START, np.random.default_rng(2))
    (tmp_path / "scores.eligibility.json").unlink()
    result = make_plan(scores, out, params, limits_of(params, None, {}, {}))
    assert result.report.eligibility is None
    assert pd.read_parquet(tmp_path / "plan.moments.parquet")["earliest_at"].isna().all()
