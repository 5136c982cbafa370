"""What a plan decided comes back as interactions: contacts with their propensity, and whom it left alone on purpose."""

from datetime import UTC, datetime, timedelta

import numpy as np
import pandas as pd
import pytest

from contract.errors import UsageError
from contract.intake import open_data
from contract.loading import load_params
from serving.limits import limits_of
from serving.plan import Request, make_plan
from serving.recording import record_plan, require_recordable
from serving.sqlite_log import SqliteLog
from serving.store import make_store, remove_erased
from tests.adapters.command_line import run_command
from tests.adapters.plan_scores import AS_OF, score_frame, written
from tests.adapters.small_shop import write_shop

PARAMS = load_params(assignments=["planning.holdout_share=0.2", "planning.explore_share=0.2"])
LATER = AS_OF + timedelta(days=20)
SENDS = timedelta(hours=9)


def shop(folder, customers=400):
    """A shop that knows the customers of `score_frame` and has sent nothing; its end is `LATER`."""
    ids = [f"{row:05d}" for row in range(customers)]
    first = pd.Timestamp("2026-01-01", tz="UTC")
    visits = pd.DataFrame({"customer_id": ids, "occurred_at": first, "channel": "web", "kind": "visited"})
    visits.loc[0, "occurred_at"] = LATER
    tables = {
        "customers": pd.DataFrame({"customer_id": ids}),
        "interactions": visits,
        "consents": pd.DataFrame({"customer_id": ids, "channel": "email", "occurred_at": first, "granted": True}),
        "campaigns": pd.DataFrame({"campaign_id": ["spring", "summer"], "starts_at": AS_OF}),
    }
    (folder / "interactions").mkdir(parents=True)
    tables.pop("interactions").to_parquet(folder / "interactions" / "visits.parquet")
    return write_shop(folder, tables)


def send(folder, plan, moment=AS_OF + SENDS, name="sent"):
    """The contacts of a plan, as a campaign tool reports them: without a propensity."""
    sent = plan.dropna(subset="channel")[["customer_id", "channel", "campaign_id"]]
    sent = sent.assign(kind="sent", occurred_at=moment)
    sent.to_parquet(folder / "interactions" / f"{name}.parquet")


def planned(tmp_path, *campaigns, moment=AS_OF, params=PARAMS, suffix="parquet"):
    scores = [
        written(score_frame(seed=seed).assign(campaign_id=name), tmp_path / f"{name}.parquet", moment)
        for seed, name in enumerate(campaigns)
    ]
    limits = limits_of(params, 10.0, {"email": 40, "sms": 60, "push": 40, "social": 40}, {})
    return make_plan(Request(tuple(scores)), tmp_path / f"plan.{suffix}", params, limits)


@pytest.fixture(scope="module")
def spring(tmp_path_factory):
    """A plan of one campaign, as most of what follows records it."""
    return planned(tmp_path_factory.mktemp("spring"), "spring")


def decisions(place):
    """Sends and held-out customers as a training reads them, by customer."""
    intake = open_data(place, PARAMS, as_of=None, quarantine=None)
    query = "SELECT * FROM interactions WHERE kind IN ('sent', 'held_out') ORDER BY customer_id, occurred_at"
    return intake.connection.sql(query).df().set_index("customer_id")


def told(plan):
    """The plan's rows of those who could have been contacted, by customer."""
    return plan[plan.role != "ineligible"].set_index("customer_id").sort_index()


@pytest.mark.parametrize("suffix", ["parquet", "csv"])
def test_every_decision_of_a_plan_comes_back_with_its_propensity(tmp_path, suffix):
    data = shop(tmp_path / "shop")
    result = planned(tmp_path, "spring", suffix=suffix)
    plan = told(pd.read_parquet(result.plan) if suffix == "parquet" else pd.read_csv(result.plan, dtype={0: str}))
    recorded = record_plan(result.plan, result.propensities, data)
    send(data, plan.reset_index())
    found = decisions(data)
    assert found.index.tolist() == plan.index.tolist()
    assert (recorded.contacts, recorded.withheld) == (plan.channel.count(), plan.channel.isna().sum())
    assert ((found.kind == "sent") == plan.channel.notna()).all()
    assert found.channel.fillna("none").tolist() == plan.channel.fillna("none").tolist()
    np.testing.assert_allclose(found.propensity, plan.propensity, rtol=1e-12)
    assert {"plan", "holdout"} <= set(plan.role[found.kind == "held_out"])
    moments = found.occurred_at.where(found.kind == "sent", found.occurred_at + SENDS)
    assert (moments == (AS_OF + SENDS).replace(tzinfo=None)).all()


def test_a_send_keeps_its_own_propensity_and_one_that_nobody_decided_gets_none(tmp_path, spring):
    data = shop(tmp_path / "shop")
    record_plan(spring.plan, spring.propensities, data)
    plan = told(pd.read_parquet(spring.plan)).reset_index()
    contacts = plan.dropna(subset="channel").head(4).assign(propensity=[0.5, None, None, None])
    contacts.loc[contacts.index[1], "channel"] = "mail" if contacts.channel.iloc[1] != "mail" else "email"
    contacts.loc[contacts.index[2], "campaign_id"] = "summer"
    contacts = contacts.assign(kind="sent", occurred_at=[AS_OF, AS_OF, AS_OF, AS_OF - SENDS])
    columns = ["customer_id", "channel", "campaign_id", "kind", "occurred_at", "propensity"]
    contacts[columns].to_parquet(data / "interactions" / "sent.parquet")
    found = decisions(data).query("kind == 'sent'").loc[contacts.customer_id]
    assert found.propensity.iloc[0] == 0.5
    assert found.propensity.iloc[1:].isna().all()


def test_what_the_sender_logged_itself_is_not_told_twice(tmp_path, spring):
    data = shop(tmp_path / "shop")
    record_plan(spring.plan, spring.propensities, data)
    alone = told(pd.read_parquet(spring.plan)).query("channel.isna()").index[:3]
    own = pd.DataFrame({"customer_id": alone, "campaign_id": "spring", "occurred_at": AS_OF + SENDS})
    own["kind"], own["channel"] = ["held_out", "sent", "held_out"], [None, "email", None]
    own.loc[2, "campaign_id"] = "summer"
    own.to_parquet(data / "interactions" / "own.parquet")
    counts = decisions(data).loc[alone].groupby(level=0).kind.agg(list)
    assert counts.tolist() == [["held_out"], ["sent"], ["held_out", "held_out"]]


def test_planning_again_takes_the_place_of_the_same_moment_and_adds_to_an_earlier_one(tmp_path, spring):
    data = shop(tmp_path / "shop")
    record_plan(spring.plan, spring.propensities, data)
    nobody = load_params(assignments=["planning.holdout_share=0.999", "planning.explore_share=0.0"])
    again = planned(tmp_path, "spring", params=nobody)
    record_plan(again.plan, again.propensities, data)
    assert len(list((data / "decided").iterdir())) == 1
    plan = told(pd.read_parquet(again.plan))
    assert (decisions(data).kind == "held_out").sum() == plan.channel.isna().sum()
    week = AS_OF + timedelta(days=7)
    later = planned(tmp_path, "spring", moment=week)
    record_plan(later.plan, later.propensities, data)
    send(data, pd.read_parquet(later.plan), week)
    found = decisions(data)
    contacts = told(pd.read_parquet(later.plan)).dropna(subset="channel")
    np.testing.assert_allclose(found[found.kind == "sent"].propensity, contacts.propensity)
    both = found[found.kind == "held_out"].groupby("occurred_at").size()
    assert both.tolist() == [plan.channel.isna().sum(), len(told(pd.read_parquet(later.plan))) - len(contacts)]


def test_of_several_campaigns_who_is_left_alone_counts_once_with_the_probability_of_that(tmp_path):
    data = shop(tmp_path / "shop")
    result = planned(tmp_path, "spring", "summer")
    record_plan(result.plan, result.propensities, data)
    plan, vector = told(pd.read_parquet(result.plan)), pd.read_parquet(result.propensities)
    send(data, plan.reset_index())
    found = decisions(data)
    assert found.index.is_unique
    assert set(found.index) == set(plan.index)
    contacted = vector.dropna(subset="channel").groupby("customer_id").propensity.sum()
    alone = found[found.kind == "held_out"].propensity
    np.testing.assert_allclose(alone, 1 - contacted.reindex(alone.index).fillna(0.0), atol=1e-9)


def test_a_store_takes_what_was_recorded_in_it_and_forgets_whom_it_must(tmp_path, spring):
    data, store = shop(tmp_path / "shop"), tmp_path / "store"
    make_store(store, open_data(data, PARAMS, as_of=None, quarantine=None), PARAMS)
    record_plan(spring.plan, spring.propensities, store)
    plan = told(pd.read_parquet(spring.plan))
    assert decisions(store).propensity.to_dict() == plan.query("channel.isna()").propensity.to_dict()
    gone = plan.query("channel.isna()").index[0]
    log = SqliteLog(store / "decisions.sqlite")
    log.forget(gone)
    assert gone not in decisions(store).index
    remove_erased(store, log)
    log.close()
    assert gone not in pd.read_parquet(store / "decided").customer_id.tolist()
    assert set(pd.read_parquet(store / "decided").customer_id) == set(plan.index) - {gone}


def test_a_store_made_of_what_was_recorded_says_the_same(tmp_path, spring):
    data, store = shop(tmp_path / "shop"), tmp_path / "store"
    record_plan(spring.plan, spring.propensities, data)
    send(data, pd.read_parquet(spring.plan))
    make_store(store, open_data(data, PARAMS, as_of=None, quarantine=None), PARAMS)
    pd.testing.assert_frame_equal(decisions(store), decisions(data))


def test_the_command_records_and_says_so(tmp_path):
    data = shop(tmp_path / "shop")
    scores = written(score_frame(), tmp_path / "scores.parquet")
    ran = run_command("plan", "--scores", scores, "--out", tmp_path / "plan.parquet", "--record", data)
    assert ran.code == 0, ran.err
    assert "decisions not to contact" in ran.out
    (file,) = (data / "decided").iterdir()
    assert file.name == f"spring@{AS_OF:%Y%m%dT%H%M%S%f}.parquet"
    checked = run_command("check", "--data", data)
    assert (checked.code, "decided" in checked.out) == (0, True)


def test_a_place_in_which_no_training_would_look_is_refused_before_anything_is_planned(tmp_path):
    data = shop(tmp_path / "shop")
    pd.DataFrame({"customer_id": ["00001"]}).to_csv(data / "decided.csv")
    with pytest.raises(UsageError, match=r"found decided\.csv; expected the table decided as the folder"):
        require_recordable(data, PARAMS)
    with pytest.raises(UsageError, match=r"found tables\.decided\.path: other"):
        require_recordable(shop(tmp_path / "two"), load_params(assignments=["tables.decided.path=other"]))
    ran = run_command("plan", "--scores", tmp_path / "none", "--out", "plan.csv", "--record", tmp_path / "shop.duckdb")
    assert (ran.code, "is no folder" in ran.err) == (2, True)


def test_decisions_later_than_the_question_are_not_known(tmp_path, spring):
    data = shop(tmp_path / "shop")
    record_plan(spring.plan, spring.propensities, data)
    before = datetime(2026, 2, 1, tzinfo=UTC)
    intake = open_data(data, PARAMS, as_of=before, quarantine=None)
    assert intake.connection.sql("SELECT count(*) FROM interactions WHERE kind = 'held_out'").fetchall() == [(0,)]
