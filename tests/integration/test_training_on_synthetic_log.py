"""Training from decisions to a registered champion, on a log whose truth is known; MLflow on SQLite, in a folder."""

import json
import re
from dataclasses import replace
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

import lightgbm as lgb
import numpy as np
import pytest

from contract.errors import DataError, RefusedError, UsageError
from contract.loading import load_params
from models.bundle import CONTACT, ENGAGEMENT, RESPONSE, load_bundle
from models.champion import pointer_file
from models.effects import ContactEffects
from models.evidence import Evidence
from models.leaves import customers_per_leaf
from models.tables import Table
from tests.adapters.synthetic_log import synthetic_log, true_response
from training import contact_preference, tracking
from training.appeals import Appealing
from training.card import card_text
from training.card_page import card_page
from training.contest import Champion
from training.credit import Credit
from training.groups import Groups
from training.judging import Alternatives, judge_lead
from training.pipeline import train_bundle
from training.provenance import TableUsed
from training.splits import customer_hashes, split_decisions
from training.tracking import HISTORY, Change, champion_bundle, promote_version, rollback_version, track

FEWER = "channels={sms: null, push: null, phone: null, social: null}"
PARAMS = load_params([], [FEWER, "threads=1", "training.min_rows_per_channel=100"])

ON = Change("the new shop", datetime(2026, 11, 2, 8, tzinfo=UTC))
BACK = Change("complaints", datetime(2026, 11, 3, 8, tzinfo=UTC))


def _trained(params=PARAMS, logged=True, champion=None, profile="quick", storage=None, **sizes):
    log = synthetic_log(params, logged=logged, **sizes)
    spine = log.decisions.spine
    hashes = customer_hashes(log.ids, params.seed)
    split = split_decisions(spine.as_of_us, spine.customer, hashes, params)
    return log, train_bundle(
        log.decisions, log, split, hashes, params, profile, champion=champion, fingerprint="f", storage=storage
    )


@pytest.fixture(scope="module")
def trained():
    return _trained()


def test_the_model_finds_whom_the_first_channel_helps(trained):
    log, result = trained
    columns = log.matrix(log.decisions.spine)
    uplift = []
    for action in (1, 0):
        rows = columns.copy()
        rows[:, 4] = action
        rows[:, 3] = rows[:, 2] * (action == 1)
        uplift.append(result.bundle.predict_response(rows))
    taste = columns[:, 2].astype(float)
    truth = true_response(taste, np.ones(len(taste), int)) - true_response(taste, np.zeros(len(taste), int))
    assert np.corrcoef(uplift[0] - uplift[1], truth)[0, 1] > 0.8


def test_ten_customers_stand_behind_every_leaf_of_every_head(monkeypatch):
    """Effects are as wrong of who answers as can be, so that trees say it."""
    wrong = ContactEffects(terms=(), intercept=tuple(-3.0 * at for at in range(len(PARAMS.outbound))), weights=())
    monkeypatch.setattr(contact_preference, "_effects", lambda *_, **__: wrong)
    log, result = _trained()
    bundle, decisions = result.bundle, log.decisions
    manifest = bundle.manifest
    channels = tuple(manifest.channels)
    answered = [manifest.outbound.index(name) for name in manifest.contact.channels]
    stepped = [channels.index(name) for name in manifest.engagement.channels]
    taught = {
        RESPONSE: (np.arange(len(decisions)), range(len(bundle.names))),
        CONTACT: (np.flatnonzero(np.isin(decisions.spine.action - 1, answered)), manifest.contact.columns),
        ENGAGEMENT: (np.flatnonzero(np.isin(decisions.own_step_channel, stepped)), manifest.engagement.columns),
    }
    for name, (rows, columns) in taught.items():
        spine = decisions.spine.rows(rows)
        matrix = np.ascontiguousarray(log.select(bundle.names).matrix(spine)[:, list(columns)])
        booster = lgb.Booster(model_str=bundle.texts[name])
        counts = customers_per_leaf(booster, Table(matrix, [], [], spine.customer), 1)
        leaves = [tree["num_leaves"] for tree in booster.dump_model()["tree_info"]]
        assert sum(leaves) > len(leaves)
        assert [int((each > 0).sum()) for each in counts] == leaves
        assert counts[counts > 0].min() >= 10
        assert "feature_infos=none" in bundle.texts[name]
    assert result.report.settings["fewest_customers"] >= 10


def test_the_report_says_what_is_asked_first(trained):
    _, result = trained
    report = result.report
    overall = report.evaluation["out_of_time"]["all"]
    assert overall["model"].log_loss < overall["base rates"].log_loss
    assert overall["model"].auc > 0.6
    assert set(report.evaluation) == {"out_of_time", "out_of_customer"}
    assert {each.verdict for each in report.evidence} == {"randomised"}
    assert report.verdict.promoted
    assert report.settings["fewest_customers"] >= 10
    rows = report.rows
    parts = sum(rows[name] for name in ("learn", "choose", "out_of_time", "out_of_customer"))
    assert parts + report.left_out["horizon crosses a cut of the split"] == rows["in_all"]
    card = card_text(report)
    for words in ("Base rates", "log loss", "randomised", "Verdict: promoted", "this model", "most clicked"):
        assert words in card
    json.dumps(report.as_json(), allow_nan=False)


def test_the_card_shows_what_was_found_in_plots_and_words(trained):
    log, result = trained
    report = result.report
    page = card_page(report, PARAMS)
    for each in ("email", "mail"):
        assert f"Qini curve of {each}" in page
    assert "Reliability of all decisions" in page
    assert "taste: 4 smaller groups not shown" in page
    robust = next(each.doubly_robust for each in report.policies if each.name == "this model")
    assert robust is not None
    assert f"this model {1000 * robust.value:,.0f} (" in page
    assert "How much the customer likes the first channel" in page
    assert all(fingerprint in page for fingerprint in report.fingerprints.values() if fingerprint)
    assert page.count("<svg") == page.count('role="img"') == page.count("<title>") - 1
    # Nothing of a single customer: no id, no extreme of a column.
    assert not [customer for customer in log.ids if customer in page]
    taste = log.about[:, 2]
    shown = re.sub(r'="[^"]*"', "", page)  # coordinates of curves are in attributes
    assert not [each for each in (taste.min(), taste.max()) if f"{each:.3g}" in shown]


def test_the_card_tells_what_bears_a_name_from_what_was_brought(trained):
    found = Credit("email", 10_000, 600, 240, 210.4, 0.71, 0.12), Credit("mail", 2_000, 90, 3, 41.0, None, None)
    report = replace(trained[1].report, credit=found, pairs=(("age", "<region>"),), appeal=Appealing(("<toys>",), 0.2))
    card, page = card_text(report), card_page(report, PARAMS)
    assert "240      210   71%, 12%" in card
    assert "3       41   not told apart" in card
    assert "what a contact adds depends on age and <region> together" in card
    assert "email: brought: 21.0; email: named: 24.0; mail: brought: 20.5" in page
    assert "age and &lt;region&gt;" in page
    assert "what its campaign is about (<toys>)" in card
    assert "(&lt;toys&gt;), as answers tell" in page
    assert "Named is not brought" in page
    silent = card_page(replace(report, credit=(), pairs=(), appeal=None), PARAMS)
    assert not [words for words in ("Named is not brought", "together", "is about") if words in silent]


def test_the_card_is_offline_and_escapes_what_data_hold(trained):
    hostile = replace(
        trained[1].report,
        objective="<script>alert(1)</script>",
        fingerprints={"<img src=x>": "&"},
        split_note="<b>bold</b>",
    )
    page = card_page(hostile, PARAMS)
    assert "<script" not in page
    assert "<img" not in page
    assert "<b>bold" not in page
    assert not re.search(r"""(?:src|href)\s*=\s*["']?(?:https?:)?//|@import|url\(["']?http""", page)


def test_the_card_of_a_model_that_knows_little_says_so():
    _, result = _trained(logged=False)
    report = result.report
    thin = replace(report, preferences={}, insight=replace(report.insight, importance=(), groups=Groups(300, (), {})))
    page = card_page(thin, PARAMS)
    for words in (
        "no propensities are logged",
        "adjusted",
        "Without a curve",
        "nothing can be said",
        "Too few answers",
    ):
        assert words in page
    assert "Qini curve of" not in page


def test_insight_agrees_with_the_truth_of_the_log(trained):
    insight = trained[1].report.insight
    overall = insight.reliability["all"]
    assert overall is not None
    measured = trained[1].report.evaluation["out_of_time"]["all"]["model"]
    assert (overall.rows, overall.rate) == (measured.rows, measured.base_rate)
    assert overall.log_loss == pytest.approx(measured.log_loss)
    email = next(each for each in insight.curves if each.channel == "email")
    assert not email.refused
    # The first channel helps those with the taste and harms the others; the model finds them.
    assert email.qini is not None
    assert email.qini.lower > 0
    assert insight.importance[0].name in ("taste", "candidate_taste")
    assert insight.groups.too_small == {"taste": 4}
    metrics = trained[1].report.metrics()
    assert metrics["uplift.email.qini"] == email.qini.value
    assert metrics["reliability.all.error"] == overall.error


def test_the_model_policy_is_worth_more_than_nobody(trained):
    _, result = trained
    by_name = {each.name: each for each in result.report.policies}
    assert by_name["this model"].doubly_robust.value > by_name["nobody"].doubly_robust.value


def test_the_same_input_gives_the_same_bundle(trained, tmp_path):
    _, again = _trained()
    assert again.bundle.manifest == trained[1].bundle.manifest
    assert again.bundle.texts == trained[1].bundle.texts


def test_without_logged_propensities_they_are_estimated():
    quick = PARAMS.training.profiles["quick"].model_copy(update={"learners": ["joint", "doubly robust"]})
    training = PARAMS.training.model_copy(update={"profiles": {"quick": quick}})
    _, result = _trained(PARAMS.model_copy(update={"training": training}), logged=False, customers=3_000)
    weighed = next(each for each in result.report.contenders if each.name == "doubly robust")
    assert weighed.loss is not None, weighed.why_not
    assert {each.verdict for each in result.report.evidence} == {"adjusted"}
    assert all(each.refused == ("no propensities are logged",) for each in result.report.policies)


def test_a_scarce_channel_is_left_out_counted_and_unmeasured():
    params = PARAMS.model_copy(update={"training": PARAMS.training.model_copy(update={"min_rows_per_channel": 3_100})})
    log, result = _trained(params)
    counts = np.bincount(log.decisions.spine.action)
    scarce = [name for name, count in zip(params.outbound, counts[1:], strict=True) if count < 3_100]
    assert scarce
    assert {each.action for each in result.report.evidence if each.verdict == "unmeasured"} >= set(scarce)
    assert result.report.left_out[f"{scarce[0]}: fewer than 3100 decisions"] > 0


def test_too_few_responses_are_refused_with_the_counts():
    with pytest.raises(DataError, match=r"found \d+ with responses of \d+ customers to objective 'sell'"):
        _trained(customers=40, per_customer=6)


def test_a_search_goes_on_where_it_stopped(tmp_path):
    profile = PARAMS.training.profiles["default"].model_copy(update={"trials": 3, "trees": 30, "timeout_minutes": None})
    params = PARAMS.model_copy(
        update={"training": PARAMS.training.model_copy(update={"profiles": {"quick": profile, "default": profile}})}
    )
    _, first = _trained(params, storage=tmp_path / "s.db", profile="default")
    _, again = _trained(params, storage=tmp_path / "s.db", profile="default")
    assert first.report.settings["trials"] == again.report.settings["trials"] == 3
    assert [each.loss for each in first.report.search] == [each.loss for each in again.report.search]
    assert [each.name for each in first.report.contenders] == PARAMS.training.profiles["default"].learners
    best = min(each.loss for each in first.report.search)
    assert "3 sets of parameters tried" in (page := card_page(first.report, params))
    assert f"{best:.5f}" in page
    assert first.bundle.texts == again.bundle.texts


def test_champion_challenger_promotion_and_rollback(trained, tmp_path):
    log, result = trained
    registry = f"sqlite:///{tmp_path}/reg/mlflow.db"
    assert champion_bundle(registry, "sell") is None
    result.bundle.save(tmp_path / "bundle")
    used = TableUsed("customers", "data/customers.parquet", 1_500, {"customer_id": "VARCHAR"}, "0" * 32)
    first = track(result, tmp_path / "bundle", PARAMS, "quick", registry, [used])
    assert (first.version, first.alias) == (1, "champion")
    champion = champion_bundle(registry, "sell")
    assert champion is not None
    assert champion.model_version == result.bundle.model_version
    assert load_bundle(tmp_path / "bundle").manifest == champion.manifest

    _, second = _trained(champion=Champion(champion, log))
    assert not second.verdict.promoted, "an equal model gains nothing"
    assert "log loss gains 0.00000" in second.verdict.text
    assert "earns +0.00000 EUR a decision more" in second.verdict.text
    tracked = track(second, tmp_path / "bundle", PARAMS, "quick", registry)
    assert (tracked.version, tracked.alias) == (2, "challenger")

    with pytest.raises(RefusedError, match="nothing to go back to"):
        rollback_version(registry, "sell", BACK)
    assert "version 2 is the champion now; before it was 1" in promote_version(registry, None, "sell", ON)
    assert "already" in promote_version(registry, 2, "sell", ON)
    assert "version 1 is the champion again" in rollback_version(registry, "sell", BACK)
    with pytest.raises(UsageError, match="no version 9; it has 1, 2"):
        promote_version(registry, 9, "sell", ON)
    with pytest.raises(UsageError, match="no registry yet"):
        promote_version(f"sqlite:///{tmp_path}/none.db", 1, "sell", ON)
    _shows_what_happened(registry, first.run_id, result)
    _a_promotion_that_fails_leaves_the_champion(registry, tmp_path / "reg")
    _going_back_that_fails_leaves_the_champion_and_can_be_repeated(registry, tmp_path / "reg")


def _a_promotion_that_fails_leaves_the_champion(registry, folder):
    """Wherever it fails: where the pointer is written, or a note; and going back later is as if it had never been."""
    pointer = pointer_file(folder, "sell")
    before = pointer.read_bytes()
    for failing in ("pointing_to", "_remember"):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(tracking, failing, _full_disk)
            with pytest.raises(OSError, match="no space"):
                promote_version(registry, 2, "sell", ON)
        assert pointer.read_bytes() == before
        with pytest.raises(RefusedError, match="had no champion before 1"):
            rollback_version(registry, "sell", BACK)


def _going_back_that_fails_leaves_the_champion_and_can_be_repeated(registry, folder):
    promote_version(registry, 2, "sell", ON)
    before = pointer_file(folder, "sell").read_bytes()
    for failing in ("pointing_to", "_remember"):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(tracking, failing, _full_disk)
            with pytest.raises(OSError, match="no space"):
                rollback_version(registry, "sell", BACK)
        assert pointer_file(folder, "sell").read_bytes() == before
    assert "version 1 is the champion again, in place of 2" in rollback_version(registry, "sell", BACK)


def _full_disk(*_arguments):
    raise OSError("no space")


def _shows_what_happened(registry, run_id, result):
    """The registry alone says what was done when and why, and what a model was made from."""
    from mlflow import MlflowClient

    client = MlflowClient(tracking_uri=registry, registry_uri=registry)
    name = "channelwise-sell"
    tags = client.get_registered_model(name).tags
    history = [value for tag, value in sorted(tags.items()) if tag.startswith(HISTORY)]
    assert f"promoted version 1: {result.verdict.text}" in history[0]
    assert history[1:] == [
        "2026-11-02T08:00:00Z promoted version 2 in place of 1: the new shop",
        "2026-11-03T08:00:00Z rolled back to version 1 in place of 2: complaints",
    ]
    assert client.get_model_version(name, "2").tags["channelwise.left"] == "complaints"
    run = client.get_run(run_id)
    assert run.inputs is not None
    assert run.data.tags["verdict"] == result.verdict.text
    assert run.data.tags["fingerprint.params"] == result.bundle.manifest.fingerprints["params"]
    assert run.data.params["training.profiles.quick.trees"] == "200"
    tables = run.inputs.to_dictionary()["dataset_inputs"]
    assert [(each["dataset"]["name"], each["dataset"]["digest"]) for each in tables] == [("customers", "0" * 32)]
    assert json.loads(tables[0]["dataset"]["profile"]) == {"num_rows": 1_500}
    logged = {each.path for each in client.list_artifacts(run_id)}
    assert {"bundle", "card.html", "card.txt", "report.json"} <= logged


def test_a_policy_that_contacts_the_right_customers_leads_one_that_contacts_the_others():
    evidence = _evidence()
    for logged in (True, False):
        log = synthetic_log(PARAMS, customers=6_000, logged=logged)
        study: Any = SimpleNamespace(decisions=log.decisions, params=PARAMS)
        rows = np.arange(len(log.decisions))
        taste = log.about[log.decisions.spine.customer, 2].astype(float)
        n_actions = len(PARAMS.outbound) + 1
        right, wrong = (
            Alternatives(
                rows,
                np.column_stack([true_response(sign * taste, np.full(len(rows), a)) for a in range(n_actions)]),
                np.full(len(rows), np.exp(2.0 + 0.8**2 / 2)),
                np.ones((len(rows), n_actions - 1), bool),
            )
            for sign in (1, -1)
        )
        ahead, behind = judge_lead(study, right, wrong, evidence), judge_lead(study, wrong, right, evidence)
        if not logged:
            assert (ahead.lead, ahead.refused) == (None, ("no propensities are logged",))
            continue
        # The truth: each decision's better action by taste, less the other's, EUR.
        helped = true_response(taste, np.ones(len(rows), int)) - true_response(taste, np.zeros(len(rows), int))
        truth = float(np.mean(np.abs(helped)) * np.exp(2.0 + 0.8**2 / 2))
        assert ahead.lead is not None
        assert behind.lead is not None
        assert ahead.lead.lower < truth < ahead.lead.upper
        assert ahead.lead.lower > 0
        assert behind.lead.value == pytest.approx(-ahead.lead.value)


def _evidence():
    names = ("none", *PARAMS.outbound)
    return tuple(
        Evidence(action=name, verdict="randomised", reason="r", decisions=1, responses=1, overlap=1.0) for name in names
    )


def test_without_policy_values_the_other_bounds_decide_and_the_verdict_says_so(trained):
    log, result = trained
    misled = replace(log, about=log.about * np.array([1, 1, -1], np.float32))
    _, second = _trained(logged=False, champion=Champion(result.bundle, misled))
    assert second.verdict.promoted
    assert "policy values are not compared: no propensities are logged" in second.verdict.text


def test_another_set_of_channels_does_not_replace_the_champion(trained):
    log, result = trained
    manifest = result.bundle.manifest.model_copy(update={"outbound": ("email",)})
    _, second = _trained(champion=Champion(replace(result.bundle, manifest=manifest), log))
    assert not second.verdict.promoted
    assert "other channels" in second.verdict.text
