"""The written retailer is what its description promises: the sender, the channels, the customers."""

from dataclasses import replace

import duckdb
import numpy as np
import pytest

from contract.intake import open_data
from contract.loading import load_params
from simulation.config import RetailerConfig
from simulation.contact import PURCHASED, SENT
from simulation.retailer import build_retailer, simulate_block, write_retailer
from simulation.truth import read_truth
from simulation.world import OUTBOUND

CONFIG = RetailerConfig(3_000, seed=21, propensity_table=True)


@pytest.fixture(scope="module")
def shop(tmp_path_factory):
    folder = tmp_path_factory.mktemp("world") / "shop"
    summary = write_retailer(CONFIG, folder)
    connection = duckdb.connect()
    connection.execute("set timezone = 'UTC'; set threads = 1")
    for table in ("customers", "consents", "campaigns", "propensities", "audience"):
        connection.execute(f"create table {table} as from '{folder}/{table}.parquet'")
    connection.execute(f"create table interactions as from '{folder}/interactions/*.parquet'")
    connection.execute(
        "create table decisions as select i.*, type, category from interactions i join campaigns using (campaign_id) "
        "where kind in ('sent', 'held_out') and type <> 'transactional'"
    )
    return folder, summary, connection


@pytest.fixture(scope="module")
def ask(shop):
    return lambda sql: shop[2].sql(sql).fetchall()


def one(ask, sql):
    return ask(sql)[0][0]


def test_check_finds_nothing_wrong(shop, tmp_path):
    folder, summary, _ = shop
    intake = open_data(folder, load_params(), as_of=None, quarantine=tmp_path / "quarantine")
    assert not intake.report.fatal
    counted = intake.connection.sql("select count(*) from interactions").fetchall()[0][0]
    assert counted == summary.interactions
    assert intake.as_of <= CONFIG.end


def test_the_summary_counts_what_was_written(shop, ask):
    _, summary, _ = shop
    kinds = dict(ask("select kind, count(*) from interactions group by 1"))
    assert (summary.sent, summary.held_out) == (kinds["sent"], kinds["held_out"])
    last = ask("select campaign_id, starts_at = '2026-11-01' from campaigns order by starts_at desc limit 1")
    assert last == [(summary.campaign_id, True)]


def test_the_size_is_that_of_a_real_shop(ask):
    assert 95 < one(ask, "select count(*) from interactions") / CONFIG.customers < 120
    assert 29 < one(ask, "select count(*) from decisions") / CONFIG.customers < 36


def test_every_channel_is_used_and_every_own_step_channel_walked(ask):
    assert {row[0] for row in ask("select distinct channel from decisions where kind = 'sent'")} == set(OUTBOUND)
    own = {row[0] for row in ask("select distinct channel from interactions where kind in ('visited', 'called')")}
    assert {"store", "web", "app", "phone", "social"} <= own


def test_channels_record_only_what_they_can(ask):
    for channel, spec in load_params().channels.items():
        kinds = {row[0] for row in ask(f"select distinct kind from interactions where channel = '{channel}'")}
        assert kinds <= {"sent", *spec.records}


def test_the_holdout_is_random(shop, ask):
    held, decisions = ask("select countif(kind = 'held_out'), count(*) from decisions")[0]
    assert abs(held - 0.1 * decisions) < 4.5 * np.sqrt(0.09 * decisions)
    assert ask("select distinct propensity, channel from decisions where kind = 'held_out'") == [(0.1, None)]
    # What came before cannot tell the held out from the contacted.
    before = ask(
        "select kind = 'held_out', (select count(*) from interactions p where p.customer_id = d.customer_id "
        "and p.kind in ('purchased', 'visited') and p.occurred_at < d.occurred_at "
        "and p.occurred_at > d.occurred_at - interval 60 day) from decisions d"
    )
    flag, count = np.array(before, dtype=float).T
    held_counts, sent_counts = count[flag == 1], count[flag == 0]
    error = np.sqrt(held_counts.var() / len(held_counts) + sent_counts.var() / len(sent_counts))
    assert abs(held_counts.mean() - sent_counts.mean()) < 4.5 * error


def test_propensities_are_valid_and_true(ask):
    low, high = ask("select min(propensity), max(propensity) from decisions")[0]
    assert 0 < low <= high <= 0.9 + 1e-12
    assert one(ask, "select count(*) from decisions where propensity is null") == 0
    sums = ask("select distinct round(sum(propensity), 9) from propensities group by customer_id, campaign_id")
    assert sums == [(1.0,)]
    joined = ask(
        "select coalesce(p.channel, 'none'), sum(p.propensity), sum(p.propensity * (1 - p.propensity)), "
        "countif(p.channel is not distinct from d.channel), "
        "max(case when p.channel is not distinct from d.channel then abs(p.propensity - d.propensity) else 0 end) "
        "from propensities p join decisions d using (customer_id, campaign_id) where d.type = 'bulk' group by 1"
    )
    assert len(joined) == 1 + len(OUTBOUND)
    for channel, expected, variance, seen, apart in joined:
        assert abs(seen - expected) < 4.5 * np.sqrt(variance), channel
        assert apart < 1e-12


def test_the_sender_favours_visible_engagement(ask):
    lift = ask(
        "with answered as (select customer_id, channel, occurred_at from interactions "
        "where kind in ('clicked', 'replied') and channel = 'sms') "
        "select avg(propensity) filter (exists (select 1 from answered a where a.customer_id = d.customer_id "
        "and a.occurred_at < d.occurred_at)) / avg(propensity) from decisions d where channel = 'sms'"
    )
    assert lift[0][0] > 1.1


def test_no_message_goes_out_without_consent(ask):
    params = load_params()
    needing = ", ".join(f"'{name}'" for name in params.outbound if params.channels[name].consent)
    violations = one(
        ask,
        f"select count(*) from decisions d where kind = 'sent' and channel in ({needing}) and not coalesce("
        "(select arg_max(granted, occurred_at) from consents c where c.customer_id = d.customer_id "
        "and c.channel = d.channel and c.occurred_at < d.occurred_at), false)",
    )
    assert violations == 0
    gone = one(ask, "select count(*) from interactions where kind = 'unsubscribed'")
    written = one(
        ask,
        "select count(*) from interactions i join consents c using (customer_id, channel, occurred_at) "
        "where kind = 'unsubscribed' and not granted",
    )
    assert written == gone > 50
    assert one(ask, "select count(distinct customer_id) from consents where channel = 'sms' and granted") < 2_500


def test_transactional_messages_follow_purchases_and_carry_no_propensity(ask):
    rows = ask(
        "select countif(propensity is not null), count(*) from interactions i join campaigns using (campaign_id) "
        "where kind = 'sent' and type = 'transactional'"
    )
    assert rows[0][0] == 0
    assert rows[0][1] > 2_000
    assert {row[0] for row in ask("select distinct type from campaigns")} == {"bulk", "trigger", "transactional"}


def test_purchases_are_tied_to_their_send_but_never_to_push(ask):
    tied = dict(
        ask(
            "select s.channel, count(*) from interactions p join interactions s using (send_id) "
            "where p.kind = 'purchased' and s.kind = 'sent' group by 1"
        )
    )
    assert set(tied) == set(OUTBOUND) - {"push"}
    dangling = (
        "select count(*) from interactions where send_id not in (select send_id from interactions where kind = 'sent')"
    )
    assert one(ask, dangling) == 0
    assert one(ask, "select count(*) - count(distinct send_id) from interactions where kind = 'sent'") == 0


def test_links_may_take_the_credit_for_what_would_have_been_bought_anyway():
    """The truth stays much as it is; more of what is bought bears the name of a message that was answered before."""
    config = replace(CONFIG, customers=600, years=1)
    plain, claimed = (
        simulate_block(build_retailer(replace(config, claimed_share=share)), 0, 600) for share in (0.0, 0.8)
    )
    np.testing.assert_allclose(claimed.outlook.probability, plain.outlook.probability, rtol=0.5)
    tied = [np.mean(sends_of(block, PURCHASED) >= 0) for block in (plain, claimed)]
    assert 0.0 < 1.3 * tied[0] < tied[1]


def sends_of(block, kind):
    log = block.log
    events = slice(0, int(log.length[0]))
    return log.send[events][log.kind[events] == kind]


def test_machines_open_within_seconds_and_people_do_not(ask):
    gaps = np.array(
        ask(
            "select epoch(o.occurred_at - d.occurred_at) from interactions o join interactions d using (send_id) "
            "where o.kind = 'opened' and o.channel = 'email' and d.kind = 'delivered'"
        )
    )[:, 0]
    machine = gaps < 15
    assert 0.2 < machine.mean() < 0.7
    assert gaps[~machine].min() > 25
    customers = one(
        ask,
        "select count(distinct o.customer_id) from interactions o join interactions d using (send_id) "
        "where o.kind = 'opened' and d.kind = 'delivered' and epoch(o.occurred_at - d.occurred_at) < 15 "
        "and o.channel = 'email'",
    )
    assert 0.2 * CONFIG.customers < customers < 0.4 * CONFIG.customers


def test_post_shows_no_answer_and_changes_much_while_email_is_the_other_way_round(shop, ask):
    assert one(ask, "select count(*) from interactions where channel = 'mail' and kind not in ('sent', 'bounced')") == 0
    truth = read_truth(shop[0] / "truth")
    uplift = (truth.probability[:, 1:] - truth.probability[:, :1]).mean(axis=0)
    mail, email = truth.channels.index("mail"), truth.channels.index("email")
    assert uplift[mail] > 2 * uplift[email]
    assert truth.answer[:, email].mean() > 5 * truth.answer[:, mail].mean()


def test_newcomers_have_no_history(ask):
    silent, recent = ask(
        "select count(*), countif(signup_at > timestamptz '2026-10-11') from customers "
        "where customer_id not in (select customer_id from interactions)"
    )[0]
    assert abs(silent - 0.08 * CONFIG.customers) < 4.5 * np.sqrt(0.08 * 0.92 * CONFIG.customers) + 30
    assert recent > 0.8 * silent


def test_rates_and_uplifts_are_those_of_a_shop(shop, ask):
    rates = dict(
        ask(
            "select coalesce(channel, 'none'), avg(exists (select 1 from interactions p where p.kind = 'purchased' "
            "and p.customer_id = d.customer_id and p.occurred_at >= d.occurred_at "
            "and p.occurred_at < d.occurred_at + interval 7 day)::int) from decisions d group by 1"
        )
    )
    assert all(0.03 < rate < 0.10 for rate in rates.values())
    truth = read_truth(shop[0] / "truth")
    assert 0.03 < truth.probability[:, 0].mean() < 0.06
    uplift = truth.probability[:, 1:] - truth.probability[:, :1]
    assert -0.02 < np.quantile(uplift, 0.01) < 0
    assert 0.06 < np.quantile(uplift, 0.99) < 0.15
    assert len(set(truth.gain_eur.argmax(axis=1))) >= 6


def test_a_confounded_sender_acts_on_what_no_table_holds():
    favoured = []
    for confounded in (False, True):
        block = simulate_block(build_retailer(replace(CONFIG, confounded_sender=confounded)), 0, 1_500)
        rows = np.flatnonzero(block.log.kind[: block.log.length[0]] == SENT)
        taste = block.traits.hidden[block.log.customer[rows], 0, block.log.channel[rows]]
        favoured.append(taste.mean())
    assert favoured[1] > favoured[0] + 0.2


def test_an_audience_of_the_reachable_has_an_open_channel(tmp_path):
    params = load_params(assignments=["channels.mail.consent=true"])
    config = replace(CONFIG, customers=500, audience="reachable", propensity_table=False)
    write_retailer(config, tmp_path / "shop", params=params)
    shop = tmp_path / "shop"
    reachable, audience, outside = (
        duckdb.connect()
        .execute(
            f"with open as (select customer_id, arg_max(granted, occurred_at) ok from '{shop}/consents.parquet' "
            "group by customer_id, channel), reachable as (select distinct customer_id from open where ok), "
            f"audience as (from '{shop}/audience.parquet') select (select count(*) from reachable), "
            "(select count(*) from audience), (select count(*) from audience where customer_id not in (from reachable))"
        )
        .fetchall()[0]
    )
    assert reachable == audience < 500
    assert outside == 0
