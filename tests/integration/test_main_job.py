"""The main job on a small simulated retailer, by the commands that a user types: tables in, plan out."""

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from contract.intake import open_data
from contract.loading import load_params
from serving.eligibility import Eligibility
from simulation.config import RetailerConfig
from simulation.retailer import write_retailer
from tests.adapters.command_line import run_command
from tests.adapters.workplace import SMALL_PROFILE
from training.tracking import champion_bundle

PARAMS = load_params()
SCORE_COLUMNS = """
customer_id channel preference preference_rank response response_lower response_upper
response_no_contact uplift uplift_lower uplift_upper expected_value cost eligible reason evidence
campaign_id as_of model_version
"""
PLAN_COLUMNS = """
customer_id channel expected_value cost propensity role reason campaign_id as_of model_version
"""
STRANGER = "nobody-knows-me"
ONE = ("--set", "threads=1", "--set", "training.profiles.quick.max_decisions=20000", *SMALL_PROFILE)
"""One thread, since LightGBM's wait for each other busily, and fewer decisions than the shop has."""


@dataclass(frozen=True)
class Shop:
    """A retailer on disk, its model's registry, and the words of a scoring."""

    data: Path
    registry: str
    words: tuple[str, ...]
    campaign: str


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Shop:
    folder = tmp_path_factory.mktemp("job")
    config = RetailerConfig(customers=2_000, seed=3)
    summary = write_retailer(config, folder / "data")
    audience = pd.read_parquet(folder / "data" / "audience.parquet")
    ids = [*audience["customer_id"], STRANGER]
    pd.DataFrame({"customer_id": ids}).to_csv(folder / "audience.csv", index=False)
    tables = ("--data", str(folder / "data"), "--audience", str(folder / "audience.csv"))
    words = (*tables, "--campaign", summary.campaign_id, "--as-of", config.end.isoformat())
    return Shop(folder / "data", f"sqlite:///{folder}/mlflow.db", words, summary.campaign_id)


@pytest.fixture(scope="module")
def scores(shop: Shop) -> pd.DataFrame:
    return pd.read_parquet(shop.data.parent / "scores.parquet")


def test_train_registers_a_champion_and_says_what_a_data_scientist_asks(shop):
    ran = run_command("train", "--data", shop.data, "--profile", "quick", "--registry", shop.registry, *ONE)
    assert ran.code == 0, ran.err
    for words in ("Base rates", "log loss", "Left out", "out of time", "logistic regression", "version 1", "champion"):
        assert words in ran.out


def test_score_writes_the_contracts_columns_for_everybody(shop):
    out = shop.data.parent / "scores.parquet"
    ran = run_command("score", *shop.words, "--out", out, "--registry", shop.registry)
    assert ran.code == 0, ran.err
    table = pd.read_parquet(out)
    assert list(table.columns) == SCORE_COLUMNS.split()
    assert len(table) == 2_001 * len(PARAMS.outbound)
    assert "1 customers are in no table" in ran.out


def test_reasons_add_up_to_the_scores_that_they_explain(shop, scores):
    few = shop.data.parent / "few.csv"
    ids = [STRANGER, *scores["customer_id"].unique()[:40]]
    pd.DataFrame({"customer_id": ids}).to_csv(few, index=False)
    out = shop.data.parent / "explained.csv"
    words = ("--audience", few, *shop.words[:2], *shop.words[4:])
    ran = run_command("score", *words, "--out", out, "--explain", "3", "--registry", shop.registry)
    assert ran.code == 0, ran.err
    assert "explained.explanations.csv" in ran.out
    reasons = pd.read_csv(shop.data.parent / "explained.explanations.csv")
    assert (reasons.groupby(["customer_id", "channel"])["rank"].agg(list).map(tuple) == (0, 1, 2, 3, 4)).all()
    assert reasons["words"].notna().all()
    np.testing.assert_allclose(reasons["factor"], np.exp(reasons["contribution"]))
    bundle = champion_bundle(shop.registry, "sell")
    assert bundle is not None
    raw = reasons.groupby(["customer_id", "channel"])["contribution"].sum()
    expected = pd.read_csv(out).set_index(["customer_id", "channel"])["response"].dropna()
    assert bundle.manifest.effects is not None
    response = bundle.manifest.response_calibration.apply(-np.expm1(-np.exp(raw.to_numpy())))
    np.testing.assert_allclose(response, expected.loc[raw.index].to_numpy(), rtol=0, atol=1e-9)
    assert len(expected) == len(raw)


def test_preferences_sum_to_one_and_lie_on_open_channels(scores):
    grouped = scores.groupby("customer_id")
    np.testing.assert_allclose(grouped["preference"].sum(), 1.0, atol=1e-9)
    assert (grouped["preference_rank"].apply(sorted).map(tuple) == tuple(range(1, len(PARAMS.outbound) + 1))).all()
    assert (scores.loc[~scores["eligible"], "preference"] == 0).all()


def test_engagement_sums_to_one(shop):
    engagement = pd.read_parquet(shop.data.parent / "scores.engagement.parquet")
    assert list(engagement.columns) == [
        "customer_id",
        "channel",
        "preference",
        "preference_rank",
        "as_of",
        "model_version",
    ]
    np.testing.assert_allclose(engagement.groupby("customer_id")["preference"].sum(), 1.0, atol=1e-9)


def test_probabilities_lie_within_their_bounds(scores):
    assert scores["response"].between(scores["response_lower"], scores["response_upper"]).all()
    assert scores["uplift"].between(scores["uplift_lower"], scores["uplift_upper"]).all()
    np.testing.assert_allclose(scores["uplift"], scores["response"] - scores["response_no_contact"], atol=1e-12)
    assert scores[["response", "response_lower", "response_upper", "response_no_contact"]].stack().between(0, 1).all()


def test_nobody_is_eligible_without_consent(shop, scores):
    moment = scores["as_of"].iloc[0].to_pydatetime()
    consents = pd.read_parquet(shop.data / "consents.parquet")
    last = consents[consents["occurred_at"] < moment].sort_values("occurred_at").groupby(["customer_id", "channel"])
    granted = last["granted"].last()
    needing = scores[scores["eligible"] & scores["channel"].map(lambda name: PARAMS.channels[name].consent)]
    keys = pd.MultiIndex.from_frame(needing[["customer_id", "channel"]])
    assert len(keys) > 1_000
    assert granted.reindex(keys).eq(True).all()


def test_a_stranger_is_scored_as_a_newcomer_and_marked(scores):
    stranger = scores[scores["customer_id"] == STRANGER].set_index("channel")
    assert stranger["response"].notna().all()
    assert not stranger.loc["email", "eligible"]
    assert stranger.loc["email", "reason"] == "no consent on record"
    assert stranger.loc["mail", "eligible"]
    assert stranger.loc["mail", "reason"] == "unknown customer"


def test_blocks_and_repetition_change_no_byte(shop, tmp_path):
    first = (shop.data.parent / "scores.parquet").read_bytes()
    again = tmp_path / "scores.parquet"
    assert run_command("score", *shop.words, "--out", again, "--registry", shop.registry).code == 0
    assert again.read_bytes() == first
    small = tmp_path / "small.parquet"
    blocks = ("--set", "resources.block_customers=300")
    assert run_command("score", *shop.words, "--out", small, "--registry", shop.registry, *blocks).code == 0
    pd.testing.assert_frame_equal(pd.read_parquet(small), pd.read_parquet(again))


def test_csv_says_the_same_as_parquet(shop, scores, tmp_path):
    out = tmp_path / "scores.csv"
    assert run_command("score", *shop.words, "--out", out, "--registry", shop.registry).code == 0
    table = pd.read_csv(out)
    assert list(table.columns) == SCORE_COLUMNS.split()
    np.testing.assert_allclose(table["uplift"], scores["uplift"], rtol=1e-12)
    assert (tmp_path / "scores.engagement.csv").exists()


POLICY = """
eligibility:
  zone: Europe/Berlin
  suppression: {robinson: {file: FOLDER/robinson.csv}}
  windows: {gap: {contacts: 1, hours: 48}, month: {contacts: 4, days: 28}}
  quiet: {email: {hours: ["21:00-08:00"]}, push: {hours: ["00:00-12:00"], days: [sun]}}
  exclusions: {first: {after: [next], days: 10, refuse: [next]}}
"""


def test_declared_rules_refuse_with_a_reason_and_planned_contacts_count(shop, scores, tmp_path):
    listed = sorted(scores["customer_id"].unique())[:3]
    (tmp_path / "robinson.csv").write_text("\n".join(["customer_id", *listed]) + "\n")
    (tmp_path / "policy.yaml").write_text(POLICY.replace("FOLDER", str(tmp_path)).replace("next", shop.campaign))
    words = ("--params", tmp_path / "policy.yaml", "--registry", shop.registry)
    first, plan = tmp_path / "first.parquet", tmp_path / "plan.parquet"
    ran = run_command("score", *shop.words, "--out", first, *words)
    assert ran.code == 0, ran.err
    assert "suppression.robinson" in ran.out
    ran = run_command("plan", "--scores", first, "--out", plan, *words[:2])
    assert ran.code == 0, ran.err
    counts = {each["rule"]: each for each in json.loads(plan.with_suffix(".json").read_text())["eligibility"]["rules"]}
    assert counts["suppression.robinson"]["all"] == len(listed) * len(PARAMS.outbound)
    planned = pd.read_parquet(plan).dropna(subset="channel")
    moments = pd.read_parquet(tmp_path / "plan.moments.parquet")
    assert moments[["customer_id", "channel"]].values.tolist() == planned[["customer_id", "channel"]].values.tolist()
    assert (moments["earliest_at"] >= planned["as_of"].iloc[0]).all()
    second = tmp_path / "second.parquet"
    ran = run_command("score", *shop.words, "--out", second, "--planned", plan, "--all-reasons", *words)
    assert ran.code == 0, ran.err
    before, after = pd.read_parquet(first), pd.read_parquet(second)
    mine = after["customer_id"].isin(planned["customer_id"])
    assert not after.loc[mine, "eligible"].any()
    pd.testing.assert_frame_equal(before[~mine], after[~mine])
    rules = pd.read_parquet(tmp_path / "second.eligibility.parquet").loc[mine, "refused_by"]
    assert rules.str.contains("windows.gap").all()
    assert rules.str.contains("exclusions.first").all()


def test_undeclared_rules_change_nothing_and_missing_lists_are_refused(shop, scores, tmp_path):
    beside = pd.read_parquet(shop.data.parent / "scores.eligibility.parquet")
    assert (beside["earliest_at"].notna() == scores["eligible"]).all()
    assert beside["earliest_at"].dropna().eq(scores["as_of"].iloc[0]).all()
    words = ("--set", f"eligibility.suppression.gone={{file: {tmp_path}/gone.csv}}", "--registry", shop.registry)
    ran = run_command("score", *shop.words, "--out", tmp_path / "s.csv", *words)
    assert (ran.code, "gone.csv is not there" in ran.err) == (3, True), ran.err
    assert not list(tmp_path.iterdir())


def test_the_plan_holds_every_limit_and_names_everybody_once(shop, scores, tmp_path):
    out = tmp_path / "plan.parquet"
    limits = ("--budget", 60, "--capacity", "push=150", "--capacity", "sms=100", "--minimum", "email=50")
    ran = run_command("plan", "--scores", shop.data.parent / "scores.parquet", "--out", out, *limits)
    assert ran.code == 0, ran.err
    plan = pd.read_parquet(out)
    assert list(plan.columns) == PLAN_COLUMNS.split()
    assert sorted(plan["customer_id"]) == sorted(scores["customer_id"].unique())
    contacts = plan["channel"].value_counts()
    assert plan["cost"].sum() <= 60 + 1e-9
    assert contacts.get("push", 0) <= 150
    assert contacts.get("sms", 0) <= 100
    assert contacts["email"] >= 50
    chosen = plan.dropna(subset="channel").merge(scores, on=["customer_id", "channel"], validate="one_to_one")
    assert chosen["eligible"].all()
    assert plan["propensity"].between(0, 1, inclusive="right").all()


def test_limits_that_clash_are_refused_in_words(shop, tmp_path):
    words = ("--minimum", "phone=100", "--budget", 10)
    ran = run_command("plan", "--scores", shop.data.parent / "scores.parquet", "--out", tmp_path / "p.csv", *words)
    assert ran.code == 4
    assert "phone=100" in ran.err
    assert "10.00 EUR" in ran.err
    assert not (tmp_path / "p.csv").exists()


def test_a_second_training_is_judged_against_the_champion_and_can_be_promoted_and_rolled_back(shop):
    words = ("--registry", shop.registry)
    ran = run_command("train", "--data", shop.data, "--profile", "quick", *words, "--set", "seed=1", *ONE)
    assert ran.code == 0, ran.err
    assert "version 2" in ran.out
    assert run_command("promote", "--version", 2, *words).code == 0
    back = run_command("rollback", *words)
    assert back.code == 0
    assert "version 1 is the champion again" in back.out
    assert run_command("promote", "--version", 9, *words).code == 2


def test_unknown_campaigns_and_missing_champions_are_refused(shop, tmp_path):
    words = list(shop.words)
    words[words.index("--campaign") + 1] = "no-such-campaign"
    ran = run_command("score", *words, "--out", tmp_path / "s.csv", "--registry", shop.registry)
    assert ran.code == 3
    assert "'no-such-campaign' is not in the table campaigns" in ran.err
    empty = f"sqlite:///{tmp_path}/empty.db"
    ran = run_command("score", *shop.words, "--out", tmp_path / "s.csv", "--registry", empty)
    assert ran.code == 2
    assert "no champion" in ran.err


def test_features_of_every_customer_are_written_with_their_meaning(shop, tmp_path):
    out = tmp_path / "features"
    ran = run_command("features", "--data", shop.data, "--out", out)
    assert ran.code == 0, ran.err
    table = pd.read_parquet(out / "features.parquet")
    described = pd.read_csv(out / "describe.csv")
    assert list(table.columns) == ["customer_id", "as_of", *described["name"]]
    assert len(table) == 2_000


def test_a_feature_is_added_and_others_left_out_by_a_line(shop, tmp_path):
    out = tmp_path / "features"
    lines = "features.add=[{count: answers on sms+push, days: 7}]", "features.leave_out=['*_recency']"
    ran = run_command("features", "--data", shop.data, "--out", out, "--set", lines[0], "--set", lines[1])
    assert ran.code == 0, ran.err
    table = pd.read_parquet(out / "features.parquet")
    both = table["answers_sms_count_7d"] + table["answers_push_count_7d"]
    assert table["answers_sms_push_count_7d"].tolist() == both.tolist()
    assert not [name for name in table.columns if name.endswith("_recency")]


def test_what_features_cannot_do_is_refused_with_the_remedy(shop, tmp_path):
    asked = ["features", "--data", shop.data, "--out", tmp_path / "features"]
    for more, words in (
        (["--engine", "flink"], "expected one of duckdb, spark"),
        (["--engine", "spark", "--update"], "leave out --engine"),
        (["--set", "features.leave_out=[tenur]"], "nearest: tenure"),
        (["--set", "features.add=[{cuont: answers, days: 7}]"], "nearest: count"),
    ):
        ran = run_command(*asked, *more)
        assert (ran.code, words in ran.err) == (2, True), ran.err
    ran = run_command("features")
    assert (ran.code, "--describe" in ran.err) == (2, True)


def test_every_feature_is_described_without_data(tmp_path):
    page = tmp_path / "features.html"
    assert run_command("features", "--describe", "--out", page).code == 0
    shown = run_command("features", "--describe")
    assert shown.code == 0
    assert "answers_candidate_count_7d" in page.read_text()
    assert "as_of_weekday" in shown.out
    assert run_command("features", "--describe", "--out", tmp_path / "features.txt").code == 2


def test_the_state_of_consent_is_read_before_as_of_only(shop):
    intake = open_data(shop.data, PARAMS, as_of=None, quarantine=None)
    early = Eligibility(intake.connection, PARAMS, pd.Timestamp("1980-01-01", tz="UTC").to_pydatetime())
    access = early.access(np.array(["c00000000"], dtype=object))
    needs = [PARAMS.channels[name].consent for name in PARAMS.outbound]
    assert access.eligible[0].tolist() == [not each for each in needs]
