"""Groups, several contacts, several campaigns, saved prices and single decisions, by the files that the plan writes."""

import json
import re
from datetime import timedelta

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from channelwise.reports.plan_page import plan_page
from contract.errors import DataError, RefusedError, UsageError
from contract.loading import load_params
from serving.limits import limits_of
from serving.one_decision import decide_one, open_desk
from serving.plan import PlanOptions, Request, make_plan
from tests.adapters.command_line import run_command
from tests.adapters.plan_scores import AS_OF, CHANNELS, COST, score_frame, written

RANDOM = ("planning.holdout_share=0.1", "planning.explore_share=0.1")
CERTAIN = ("planning.holdout_share=0", "planning.explore_share=0")


def planned(tmp_path, frames, assignments, groups=None, prices=None, budget=40.0, out="plan.parquet", **limits):
    """Plans one frame of scores per campaign."""
    params = load_params(assignments=assignments)
    paths = [
        written(frame, tmp_path / f"scores{place}.parquet", moment) for place, (frame, moment) in enumerate(frames)
    ]
    request = Request(tuple(paths), groups, prices)
    return make_plan(request, tmp_path / out, params, limits_of(params, budget, **limits))


def campaign(name, n=400, seed=0, days=0):
    return score_frame(n, seed).assign(campaign_id=name), AS_OF + timedelta(days=days)


def grouped(tmp_path, n=400):
    ids = [f"{row:05d}" for row in range(n - 20)]
    region = np.where(np.arange(n - 20) % 3 == 0, "north", "south")
    path = tmp_path / "groups.parquet"
    pq.write_table(
        pa.table({"customer_id": ids, "region": region, "store": [f"{row % 4}" for row in range(n - 20)]}), path
    )
    return path, dict(zip(ids, region, strict=True))


LIMITS = (
    "planning.limits=[{channel: phone, group: {region: north}, at_most: 3}, {group: {region: north}, at_least: 40}, "
    "{channel: mail, group: {store: 2}, at_most: 5}, {group: {region: south}, budget_eur: 9}]"
)


def test_limits_of_groups_are_held_and_priced(tmp_path):
    groups, region = grouped(tmp_path)
    result = planned(tmp_path, [campaign("spring")], [*RANDOM, LIMITS], groups)
    plan = pd.read_parquet(result.plan)
    of = plan.customer_id.map(region)
    assert ((of == "north") & (plan.channel == "phone")).sum() <= 3
    assert ((of == "north") & plan.channel.notna() & (plan.role == "plan")).sum() >= 40
    assert plan[of == "south"].cost.sum() <= 9.0 + 1e-7
    store = plan.customer_id.astype(int) % 4
    assert ((store == 2) & of.notna() & (plan.channel == "mail")).sum() <= 5
    assert (of.isna() & plan.channel.notna()).any(), "customers of no group are planned too"
    limits = {each.kind + str(each.group): each for each in result.report.joint.limits}
    north = limits["minimum{'region': 'north'}"]
    assert north.used == ((of == "north") & plan.channel.notna() & (plan.role == "plan")).sum()
    assert limits["budget{'region': 'south'}"].price_eur > 0
    assert json.loads(result.report_file.read_text())["joint"]["limits"]


def test_groups_that_are_not_there_are_refused(tmp_path):
    groups, _ = grouped(tmp_path)
    with pytest.raises(UsageError, match="names groups by region, store, but no --groups FILE"):
        planned(tmp_path, [campaign("spring")], [*RANDOM, LIMITS])
    with pytest.raises(DataError, match="lacks the columns shift"):
        planned(
            tmp_path, [campaign("spring")], [*RANDOM, "planning.limits=[{group: {shift: late}, at_most: 1}]"], groups
        )
    with pytest.raises(UsageError, match="no scores of campaign summer; planned are spring"):
        planned(tmp_path, [campaign("spring")], [*RANDOM, "planning.limits=[{campaign: summer, at_most: 1}]"])
    with pytest.raises(RefusedError, match=r"minimum \(region=north\)=400 needs 400 customers"):
        planned(
            tmp_path,
            [campaign("spring")],
            [*RANDOM, "planning.limits=[{group: {region: north}, at_least: 400}]"],
            groups,
        )
    misspelt = [*RANDOM, "planning.limits=[{group: {region: nrth}, at_most: 4}]"]
    found = planned(tmp_path, [campaign("spring")], misspelt, groups)
    assert "no customer of the audience is in region=nrth" in " ".join(found.report.warnings)


def test_two_campaigns_share_customers_limits_and_money(tmp_path):
    limits = "planning.limits=[{campaign: summer, budget_eur: 12}, {campaign: spring, channel: sms, at_most: 20}]"
    frames = [campaign("summer", 300, 1, days=1), campaign("spring", 400)]
    result = planned(tmp_path, frames, [*RANDOM, limits], capacities={"phone": 8, "sms": 60})
    plan, vector = pd.read_parquet(result.plan), pd.read_parquet(result.propensities)
    assert plan.campaign_id.unique().tolist() == ["spring", "summer"], "campaigns stand in order of their moment"
    assert plan.groupby("campaign_id").size().to_dict() == {"spring": 400, "summer": 300}
    contacted = plan[plan.channel.notna()]
    assert contacted.customer_id.is_unique, "one contact a customer over both campaigns"
    assert (contacted.channel == "phone").sum() <= 8
    assert (contacted.channel == "sms").sum() <= 60
    assert ((contacted.channel == "sms") & (contacted.campaign_id == "spring")).sum() <= 20
    assert contacted.cost.sum() <= 40.0 + 1e-7
    assert contacted[contacted.campaign_id == "summer"].cost.sum() <= 12.0 + 1e-7
    assert vector.groupby(["campaign_id", "customer_id"]).propensity.sum().to_numpy() == pytest.approx(1.0)
    taken = plan.fillna({"channel": "none"}).merge(
        vector.fillna({"channel": "none"}), on=["customer_id", "campaign_id", "channel"]
    )
    assert len(taken) == len(plan)
    assert taken.propensity_x.to_numpy() == pytest.approx(taken.propensity_y.to_numpy(), abs=0)
    report = json.loads(result.report_file.read_text())
    assert [each["campaign_id"] for each in report["campaigns"]] == ["spring", "summer"]
    assert sum(each["contacts"] for each in report["campaigns"]) == report["joint"]["contacts"] == len(contacted)
    assert "another campaign's contact is worth more" in set(plan.reason)


def test_the_order_of_the_files_leaves_no_trace(tmp_path):
    frames = [campaign("spring", 200), campaign("summer", 200, 1)]
    one = planned(tmp_path, frames, RANDOM)
    other = planned(tmp_path, frames[::-1], RANDOM, out="other.parquet")
    assert one.plan.read_bytes() == other.plan.read_bytes()
    assert one.propensities.read_bytes() == other.propensities.read_bytes()


def test_a_campaign_twice_is_refused(tmp_path):
    with pytest.raises(DataError, match="campaign spring is given twice"):
        planned(tmp_path, [campaign("spring", 20), campaign("spring", 20)], RANDOM)


def test_more_campaigns_than_can_be_answered_at_once_are_refused_unless_nothing_is_drawn(tmp_path):
    frames = [campaign(f"c{each}", 12, each) for each in range(7)]
    with pytest.raises(UsageError, match="7 campaigns at once; with holdout, exploration or control group at most 6"):
        planned(tmp_path, frames, RANDOM)
    plan = pd.read_parquet(planned(tmp_path, frames, CERTAIN).plan)
    assert len(plan) == 7 * 12
    assert plan[plan.channel.notna()].customer_id.is_unique


def test_several_contacts_keep_their_gap_and_their_worth(tmp_path):
    settings = [*RANDOM, "planning.contacts_per_customer=2", "planning.further_contact_worth=0.5"]
    frames = [campaign("spring", 300), campaign("summer", 300, 1, days=1)]
    result = planned(tmp_path, frames, settings, budget=200.0)
    plan = pd.read_parquet(result.plan)
    contacts = plan[plan.channel.notna()]
    each = contacts.groupby("customer_id")
    assert each.size().max() == 2
    assert (each.campaign_id.nunique() == 1).all(), "campaigns a day apart are nearer than the gap of 48 h"
    assert not contacts.duplicated(["customer_id", "channel"]).any()
    further = contacts[contacts.reason.str.startswith("a further contact")]
    assert len(further) > 20
    value = score_frame(300).set_index(["customer_id", "channel"]).expected_value
    spring = further[further.campaign_id == "spring"]
    key = pd.MultiIndex.from_frame(spring[["customer_id", "channel"]])
    assert spring.expected_value.to_numpy() == pytest.approx(0.5 * value.loc[key].to_numpy())
    assert contacts.cost.sum() <= 200.0 + 1e-7
    assert sum(each.customers for each in result.reports) == 600
    apart = planned(tmp_path, [campaign("spring", 300), campaign("summer", 300, 1, days=9)], settings, budget=200.0)
    both = pd.read_parquet(apart.plan).dropna(subset="channel").groupby("customer_id").campaign_id.nunique()
    assert (both == 2).sum() > 50


def test_the_lower_bound_plans_more_cautiously(tmp_path):
    frame, moment = campaign("spring", 300)
    frame["uplift_lower"] = np.where(frame.channel == "phone", -0.2, frame.uplift_lower)
    mean = planned(tmp_path, [(frame, moment)], CERTAIN, budget=300.0)
    lower = planned(tmp_path, [(frame, moment)], [*CERTAIN, "planning.risk=lower"], budget=300.0, out="lower.parquet")
    assert (pd.read_parquet(mean.plan).channel == "phone").any()
    assert not (pd.read_parquet(lower.plan).channel == "phone").any()
    assert lower.report.joint.risk == "lower"


def test_the_control_group_is_the_same_in_every_campaign(tmp_path):
    settings = [*RANDOM, "planning.control_share=0.2"]
    result = planned(tmp_path, [campaign("spring"), campaign("summer", seed=1)], settings)
    plan = pd.read_parquet(result.plan)
    control = plan[plan.reason.str.startswith("control group")]
    assert (control.role == "holdout").all()
    assert control.channel.isna().all()
    eligible = plan[plan.role != "ineligible"]
    sizes = eligible.customer_id.isin(control.customer_id).groupby(eligible.campaign_id).mean()
    assert sizes.to_numpy() == pytest.approx(0.2, abs=0.08)
    assert (eligible[eligible.customer_id.isin(control.customer_id)].role == "holdout").all()


def test_saved_prices_start_a_plan_with_another_budget(tmp_path):
    first = planned(tmp_path, [campaign("spring")], CERTAIN)
    again = planned(tmp_path, [campaign("spring")], CERTAIN, prices=first.prices, budget=55.0, out="again.parquet")
    fresh = planned(tmp_path, [campaign("spring")], CERTAIN, budget=55.0, out="fresh.parquet")
    assert again.report.value_eur == pytest.approx(fresh.report.value_eur)
    assert again.report.gap == 0.0
    (tmp_path / "broken.json").write_text("{}")
    with pytest.raises(DataError, match="cannot be read as prices"):
        planned(tmp_path, [campaign("spring")], CERTAIN, prices=tmp_path / "broken.json")


def offered(frame, customer):
    """What one customer is offered, in the order of the outbound channels of the scores."""
    rows = frame[frame.customer_id == customer].set_index("channel").loc[list(CHANNELS)]
    return np.where(rows.eligible, rows.expected_value, -np.inf), COST


@pytest.mark.parametrize("suffix", ["parquet", "csv"])
def test_customers_of_the_plan_get_online_what_the_plan_says(tmp_path, suffix):
    frame, _ = campaign("spring", 150)
    result = planned(tmp_path, [campaign("spring", 150)], RANDOM, out=f"plan.{suffix}")
    desk = open_desk(result.prices, "spring", result.plan)
    read = pd.read_parquet if suffix == "parquet" else lambda path: pd.read_csv(path, dtype={"customer_id": str})
    vectors = read(result.propensities).fillna({"channel": "none"}).set_index(["customer_id", "channel"]).propensity
    for row in read(result.plan).to_dict("records"):
        found = decide_one(desk, row["customer_id"], *offered(frame, row["customer_id"]))
        assert found.planned
        assert found.channels == (() if pd.isna(row["channel"]) else (row["channel"],))
        assert found.role == row["role"]
        taken = "none" if pd.isna(row["channel"]) else row["channel"]
        place = 0 if taken == "none" else desk.saved.channels.index(taken) + 1
        assert found.propensity[place] == pytest.approx(vectors[row["customer_id"], taken], abs=1e-12)


@pytest.mark.parametrize("exploration", ["uniform", "thompson"])
def test_others_get_what_a_plan_without_short_limits_gives_them(tmp_path, exploration):
    """Prices of a plan in which nothing is short: each customer alone is decided as in the plan."""
    settings = [*RANDOM, "planning.control_share=0.1", f"planning.exploration={exploration}"]
    settings += ["planning.explore_limit_share=1"]
    frame, _ = campaign("spring", 200)
    result = planned(tmp_path, [campaign("spring", 200)], settings, budget=None)
    desk = open_desk(result.prices, "spring")
    plan = pd.read_parquet(result.plan)
    vectors = pd.read_parquet(result.propensities).fillna({"channel": "none"})
    vectors = vectors.pivot(index="customer_id", columns="channel", values="propensity").fillna(0.0)
    z = 1.6448536269514722
    for row in plan.to_dict("records"):
        values, costs = offered(frame, row["customer_id"])
        scores = frame[frame.customer_id == row["customer_id"]].set_index("channel").loc[list(CHANNELS)]
        error = (scores.uplift_upper - scores.uplift_lower).to_numpy().astype(np.float32) * 30 / (2 * z)
        found = decide_one(desk, row["customer_id"], values, costs, error_eur=error.astype(float))
        assert not found.planned
        assert found.role == row["role"]
        assert found.channels == (() if pd.isna(row["channel"]) else (row["channel"],))
        logged = vectors.loc[row["customer_id"]].reindex(["none", *CHANNELS], fill_value=0.0).to_numpy()
        assert found.propensity == pytest.approx(logged, abs=0.02 if exploration == "thompson" else 1e-9)


def test_a_price_that_is_paid_online_closes_what_is_not_worth_it(tmp_path):
    result = planned(tmp_path, [campaign("spring")], CERTAIN, budget=300.0, capacities={"phone": 3})
    desk = open_desk(result.prices, "spring")
    price = next(each for each in desk.saved.limits if each.row.channel == "phone").price_eur
    budget = next(each for each in desk.saved.limits if each.row.kind == "budget").price_eur
    assert price > 0
    for more, expected in ((1e-6, ("phone",)), (-1e-6, ())):
        values = np.full(6, -np.inf)
        values[CHANNELS.index("phone")] = 2.5 * (1 + budget) + price + more
        assert decide_one(desk, "somebody", values, COST).channels == expected
    with pytest.raises(UsageError, match="campaign 'autumn' is not in the prices; they are of spring"):
        open_desk(result.prices, "autumn")


def test_the_command_plans_campaigns_with_groups_and_says_what_each_limit_is_worth(tmp_path):
    groups, _ = grouped(tmp_path, 200)
    first = written(campaign("spring", 200)[0], tmp_path / "spring.parquet")
    second = written(campaign("summer", 200, 1)[0], tmp_path / "summer.parquet")
    words = ["plan", "--scores", first, "--scores", second, "--groups", groups, "--out", tmp_path / "plan.parquet"]
    words += ["--budget", 30, "--capacity", "phone=5", "--set", LIMITS]
    ran = run_command(*words[:-1], LIMITS.replace("at_least: 40", "at_least: 400"))
    assert ran.code == 4, "more contacts than customers in the north"
    assert "minimum (region=north)=400 needs 400 customers" in ran.err
    ran = run_command(*words)
    assert ran.code == 0, ran.err
    for part in ("Campaign spring", "Campaign summer", "capacity phone (region=north)", "minimum (region=north)"):
        assert part in ran.out
    again = run_command(*words[:-1], "planning.limits=[]", "--prices", tmp_path / "plan.prices.json")
    assert again.code == 0, again.err


def test_further_contacts_wait_for_their_gap(tmp_path):
    assignments = [*CERTAIN, "planning.contacts_per_customer=3", "planning.gap_hours=36"]
    result = planned(tmp_path, [campaign("spring", 60)], assignments, budget=None)
    plan, moments = pd.read_parquet(result.plan), pd.read_parquet(tmp_path / "plan.moments.parquet")
    contacted = plan[plan.channel.notna()].reset_index(drop=True)
    assert moments[["customer_id", "channel", "campaign_id"]].equals(
        contacted[["customer_id", "channel", "campaign_id"]]
    )
    place = contacted.groupby("customer_id").cumcount()
    assert place.max() == 2
    assert (moments.earliest_at == AS_OF + pd.to_timedelta(36 * place, unit="h")).all()


def test_one_page_tells_of_all_campaigns_and_what_they_share(tmp_path):
    params = load_params(assignments=list(RANDOM))
    paths = [
        written(frame, tmp_path / f"scores{at}.parquet", moment)
        for at, (frame, moment) in enumerate([campaign("spring"), campaign("summer", 300, 1, days=1)])
    ]
    limits = limits_of(params, 40.0, {"phone": 8}, {})
    result = make_plan(Request(tuple(paths)), tmp_path / "plan.parquet", params, limits, PlanOptions(page=plan_page))
    assert result.page is not None
    page = result.page.read_text(encoding="utf-8")
    ids = re.findall(r' id="([^"]+)"', page)
    assert len(ids) == len(set(ids))
    assert {"brings", "brings-2", "left-out", "left-out-2", "limits", "budget"} <= set(ids)
    assert set(re.findall(r'href="#([^"]*)"', page)) <= set(ids)
    words = re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", page))
    assert "Plan for campaigns “spring”, “summer”" in words
    assert "2 campaigns share 400 customers" in words
    for report in result.reports:
        assert f"“{report.campaign_id}”: What the plan brings" in words
        assert f"{report.net_eur:,.0f}" in words
    for each in result.report.joint.limits:
        assert each.text in words
