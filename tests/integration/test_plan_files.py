import json

import numpy as np
import pandas as pd
import pytest

from channelwise.reports.plan_page import plan_page
from contract.errors import DataError, RefusedError, UsageError
from contract.loading import load_params
from serving.limits import limits_of
from serving.plan import PlanOptions, make_plan
from serving.watching.plans import read_plans
from tests.adapters.plan_scores import AS_OF, score_frame, written


@pytest.fixture
def params():
    return load_params(assignments=["planning.holdout_share=0.1", "planning.explore_share=0.1"])


def binding(params):
    return limits_of(params, 40.0, {"phone": 8, "sms": 60}, {"push": 30})


def planned(tmp_path, frame, params, limits=None, name="scores.parquet", out="plan.parquet"):
    scores = written(frame, tmp_path / name)
    return make_plan(scores, tmp_path / out, params, limits or binding(params))


def test_the_plan_keeps_every_limit_and_says_so(tmp_path, params):
    frame = score_frame()
    result = planned(tmp_path, frame, params)
    plan = pd.read_parquet(result.plan)
    assert list(plan.columns) == [
        "customer_id", "channel", "expected_value", "cost", "propensity",
        "role", "reason", "campaign_id", "as_of", "model_version",
    ]  # fmt: skip
    assert plan.customer_id.tolist() == sorted(frame.customer_id.unique())
    counts = plan.channel.value_counts()
    assert counts["phone"] <= 8
    assert counts["sms"] <= 60
    assert (plan[plan.role == "plan"].channel == "push").sum() >= 30
    assert plan.cost.sum() <= 40.0 + 1e-7
    allowed = frame[frame.eligible].set_index(["customer_id", "channel"])
    contacted = plan[plan.channel.notna()]
    key = pd.MultiIndex.from_frame(contacted[["customer_id", "channel"]])
    assert key.isin(allowed.index).all()
    assert contacted.expected_value.to_numpy() == pytest.approx(allowed.loc[key, "expected_value"].to_numpy())
    assert plan.campaign_id.unique().tolist() == ["spring"]
    assert plan.model_version.unique().tolist() == ["7"]
    assert plan.as_of.unique() == [pd.Timestamp(AS_OF)]
    assert plan[plan.role == "ineligible"].reason.unique().tolist() == ["consent withdrawn"]
    assert plan[plan.role == "holdout"].channel.isna().all()
    report = json.loads(result.report_file.read_text())
    assert report["contacts"] == len(contacted)
    assert report["cost_eur"] == pytest.approx(plan.cost.sum())
    assert report["expected_margin_eur"] == pytest.approx(plan.expected_value.sum())
    assert report["roles"] == {role: int((plan.role == role).sum()) for role in report["roles"]}
    assert sum(report["excluded"].values()) == (plan.role == "ineligible").sum()
    assert 0 <= report["gap"] < 0.1
    assert report["exact_propensities"]


def test_the_propensities_hold_each_customers_whole_vector(tmp_path, params):
    result = planned(tmp_path, score_frame(), params)
    plan, vector = pd.read_parquet(result.plan), pd.read_parquet(result.propensities)
    assert list(vector.columns) == ["customer_id", "campaign_id", "channel", "propensity"]
    assert vector.groupby("customer_id").propensity.sum().to_numpy() == pytest.approx(1.0)
    assert vector.propensity.between(0, 1 + 1e-12).all()
    assert (vector.propensity > 0).all()
    none = "none"
    taken = plan.assign(channel=plan.channel.fillna(none)).merge(
        vector.assign(channel=vector.channel.fillna(none)), on=["customer_id", "channel"], how="left"
    )
    assert taken.propensity_x.to_numpy() == pytest.approx(taken.propensity_y.to_numpy(), abs=0)


def test_the_same_scores_give_the_same_bytes_in_any_order_of_rows(tmp_path, params):
    frame = score_frame()
    one = planned(tmp_path, frame, params)
    other = planned(tmp_path, frame.sample(frac=1, random_state=5), params, name="mixed.parquet", out="other.parquet")
    assert one.plan.read_bytes() == other.plan.read_bytes()
    assert one.propensities.read_bytes() == other.propensities.read_bytes()
    assert one.report_file.read_bytes() == other.report_file.read_bytes()


def test_csv_serves_as_parquet_does(tmp_path, params):
    frame = score_frame(120)
    limits = limits_of(params)
    one = planned(tmp_path, frame, params, limits)
    other = planned(tmp_path, frame, params, limits, name="scores.csv", out="plan.csv")
    assert other.propensities.name == "plan.propensities.csv"
    from_csv = pd.read_csv(other.plan, dtype={"customer_id": str, "model_version": str}, parse_dates=["as_of"])
    from_parquet = pd.read_parquet(one.plan)
    for column in ("customer_id", "channel", "role", "reason", "campaign_id", "model_version"):
        assert from_csv[column].fillna("").tolist() == from_parquet[column].fillna("").tolist()
    assert from_csv.propensity.to_numpy() == pytest.approx(from_parquet.propensity.to_numpy())
    assert (from_csv.as_of == from_parquet.as_of).all()


def test_without_randomness_the_plan_is_the_certain_optimum(tmp_path):
    params = load_params(assignments=["planning.holdout_share=0", "planning.explore_share=0"])
    result = planned(tmp_path, score_frame(150), params)
    assert (pd.read_parquet(result.propensities).propensity == 1.0).all()
    assert (result.report.method, result.report.gap) == ("exact", 0.0)


def test_an_empty_audience_is_a_plan_of_nobody(tmp_path, params):
    result = planned(tmp_path, score_frame().iloc[:0], params, limits_of(params, 5.0))
    assert len(pd.read_parquet(result.plan)) == 0
    assert result.report.warnings == ("the audience is empty",)
    with pytest.raises(RefusedError, match=r"push=30 needs 30 customers .* there are 0"):
        planned(tmp_path, score_frame().iloc[:0], params)


def test_an_audience_that_nobody_may_contact_is_left_alone(tmp_path, params):
    frame = score_frame(50).assign(eligible=False, reason="no consent on record")
    result = planned(tmp_path, frame, params, limits_of(params))
    plan = pd.read_parquet(result.plan)
    assert plan.channel.isna().all()
    assert (plan.role == "ineligible").all()
    assert (plan.propensity == 1.0).all()
    assert result.report.excluded == {"no consent on record": 50}


def test_an_unmeasured_channel_is_no_choice(tmp_path, params):
    frame = score_frame(100)
    push = frame.channel == "push"
    frame.loc[push, ["expected_value", "uplift", "response"]] = np.nan
    frame.loc[push, "evidence"] = "unmeasured"
    result = planned(tmp_path, frame, params, limits_of(params))
    assert "push" not in set(pd.read_parquet(result.plan).channel)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"expected_value": np.nan}, "expected_value: is null, yet eligible and not unmeasured: 1 rows, e.g. 00010"),
        ({"expected_value": np.inf}, "expected_value: is not finite: 1 rows"),
        ({"cost": -1.0}, "cost: is null, negative or not finite, yet eligible: 1 rows, e.g. 00010 × email"),
        ({"cost": np.nan}, "cost: is null, negative or not finite"),
        ({"customer_id": None}, "customer_id: is null: 1 rows"),
        ({"channel": "pigeon"}, "channel: is none of the outbound channels email, .*: 1 rows, e.g. 00010 × pigeon"),
        ({"campaign_id": "autumn"}, "campaign_id: holds several values, e.g. autumn and spring"),
        ({"channel": "sms"}, "customer 00010 has 2 rows for channel sms"),
    ],
)
def test_broken_scores_are_refused_with_the_row(tmp_path, params, change, message):
    frame = score_frame(40)
    frame.loc[60, "eligible"] = True
    for column, value in change.items():
        frame.loc[60, column] = value
    with pytest.raises(DataError, match=message):
        planned(tmp_path, frame, params)
    assert not (tmp_path / "plan.parquet").exists()


def test_files_that_are_no_scores_are_refused(tmp_path, params):
    limits = limits_of(params)
    with pytest.raises(DataError, match="is not there"):
        make_plan(tmp_path / "nowhere.parquet", tmp_path / "plan.parquet", params, limits)
    other = tmp_path / "other.parquet"
    written(score_frame(5).drop(columns=["uplift", "cost"]), other)
    with pytest.raises(DataError, match="lacks the columns uplift, cost"):
        make_plan(other, tmp_path / "plan.parquet", params, limits)
    broken = tmp_path / "broken.parquet"
    broken.write_bytes(written(score_frame(5), tmp_path / "whole.parquet").read_bytes()[:900])
    with pytest.raises(DataError, match="cannot be read as scores"):
        make_plan(broken, tmp_path / "plan.parquet", params, limits)
    with pytest.raises(UsageError, match=r"found the suffix '.xlsx'; expected .parquet or .csv"):
        make_plan(tmp_path / "whole.parquet", tmp_path / "plan.xlsx", params, limits)


def test_minimums_that_holdout_leaves_no_room_for_are_refused(tmp_path, params):
    frame = score_frame(300)
    most = int((frame.eligible & (frame.channel == "push")).sum())
    with pytest.raises(RefusedError, match=f"push={most} needs {most} customers whom the plan decides for"):
        planned(tmp_path, frame, params, limits_of(params, minimums={"push": most}))


def test_tight_minimums_on_shared_customers_are_met_and_the_report_says_how(tmp_path):
    """Served one after the other, sms would take customers that only sms and email share; both minimums need all."""
    frame = score_frame(200)
    frame["eligible"] = False
    frame["reason"] = "consent withdrawn"
    both = frame.customer_id.astype(int) < 100
    open_rows = (both & frame.channel.isin(["email", "sms"])) | (~both & (frame.channel == "sms"))
    frame.loc[open_rows, "eligible"] = True
    frame.loc[both & (frame.channel == "sms"), "expected_value"] += 100.0
    params = load_params(assignments=["planning.holdout_share=0.1", "planning.explore_share=0"])
    roles = planned(tmp_path, frame, params, limits_of(params)).report.roles
    plan = pd.read_parquet(tmp_path / "plan.parquet")
    ids = plan.customer_id.astype(int)
    email = int(((plan.role == "plan") & (ids < 100)).sum())
    limits = limits_of(params, minimums={"email": email, "sms": roles["plan"] - email})
    result = planned(tmp_path, frame, params, limits)
    assert not result.report.exact_propensities
    again = pd.read_parquet(result.plan)
    assert (again.channel == "email").sum() == email
    assert (again.channel == "sms").sum() == roles["plan"] - email
    vector = pd.read_parquet(result.propensities)
    assert vector.groupby("customer_id").propensity.sum().to_numpy() == pytest.approx(1.0)


def test_the_page_is_written_with_the_plan_and_tells_what_changed_since_the_last(tmp_path, params):
    first = planned(tmp_path, score_frame(120), params, limits_of(params, 20.0), out="first.csv")
    assert first.page is None
    options = PlanOptions(last_plan=first.plan, page=plan_page)
    limits = limits_of(params, 60.0)
    result = make_plan(tmp_path / "scores.parquet", tmp_path / "second.parquet", params, limits, options)
    assert result.page is not None
    assert result.page == tmp_path / "second.html"
    assert result.page.read_text(encoding="utf-8") == plan_page(result.reports)
    before, after = pd.read_csv(first.plan), pd.read_parquet(result.plan)
    moved = int((before.channel.fillna("") != after.channel.fillna("")).sum())
    assert moved > 0
    assert result.report.moves is not None
    assert result.report.moves.moved == moved
    assert sum(result.report.moves.reasons.values()) == moved
    assert "last plan" in result.report.baselines
    assert json.loads(result.report_file.read_text())["moves"]["moved"] == moved


def test_monitoring_reads_what_a_plan_wrote(tmp_path, params):
    result = planned(tmp_path, score_frame(), params)
    report = json.loads(result.report_file.read_text())
    (found,) = read_plans([result.report_file])
    assert (found.campaign_id, found.contacts, found.mix) == ("spring", report["contacts"], report["mix"])
    assert len(found.prices) == 4
    assert found.prices["budget"] == next(each["price_eur"] for each in report["limits"] if each["kind"] == "budget")
