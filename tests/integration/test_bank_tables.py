"""The bank's tables pass the contract without a fault, and the spine gives every call its own answer."""

from datetime import timedelta
from typing import NamedTuple

import numpy as np
import pandas as pd
import pytest

from channelwise.bank import BankSummary, shipped_bank, write_bank
from contract.intake import check_data, open_data
from contract.loading import load_params
from contract.params import Params
from contract.report import CheckReport, Severity
from features.spine import Decisions, decision_spine
from features.timeline import build_timeline
from training.pipeline import TrainingResult, train


class Bank(NamedTuple):
    """The written tables and what the first stages make of them."""

    summary: BankSummary
    params: Params
    report: CheckReport
    decisions: Decisions
    result: TrainingResult
    last_day: np.ndarray
    """Whether each call of the last day was a yes."""


@pytest.fixture(scope="module")
def bank(tmp_path_factory):
    folder = tmp_path_factory.mktemp("bank")
    summary = write_bank(shipped_bank(), folder / "tables")
    small = ("max_decisions=6000", "trees=20", "refit=false")
    params = load_params([summary.params], [f"training.profiles.quick.{each}" for each in small])
    report = check_data(folder / "tables", params, as_of=summary.as_of, quarantine=None)
    intake = open_data(folder / "tables", params, as_of=summary.as_of, quarantine=None)
    timeline = build_timeline(intake, params, folder / "timeline")
    decisions = decision_spine(intake, timeline, params)
    result = train(intake, timeline, params, "quick")
    return Bank(
        summary, params, report, decisions, result, last_day(folder / "tables" / "interactions.parquet", summary.as_of)
    )


def last_day(interactions, as_of):
    """Whether each call of the day before `as_of` was a yes."""
    rows = pd.read_parquet(interactions)
    rows = rows[rows["occurred_at"] >= as_of - timedelta(days=1)]
    calls = rows.loc[rows["kind"] == "sent", "send_id"]
    return calls.isin(rows.loc[rows["kind"] == "subscribed", "send_id"]).to_numpy()


def test_the_check_finds_nothing_and_keeps_every_row(bank):
    assert not bank.report.of(Severity.FATAL)
    assert not bank.report.of(Severity.QUARANTINED)
    accepted = {table.table: table.accepted for table in bank.report.tables}
    assert accepted == {
        "customers": bank.summary.customers,
        "interactions": bank.summary.calls + bank.summary.subscriptions,
        "campaigns": 1,
    }


def test_only_calls_of_the_last_day_are_left_out_since_their_horizon_is_not_over(bank):
    left_out = {reason: count for reason, count in bank.decisions.left_out.items() if count}
    assert left_out == {"horizon not over": len(bank.last_day)}
    assert len(bank.decisions.spine) == bank.summary.calls - len(bank.last_day)


def test_each_answer_is_that_of_its_own_channel(bank):
    answered = bank.decisions.response == 1
    own = bank.decisions.spine.action[answered] - 1
    assert np.array_equal(bank.decisions.answer_channel[answered], own)
    assert (bank.decisions.answer_channel[~answered] == -1).all()
    assert answered.sum() == bank.summary.subscriptions - bank.last_day.sum()


def test_no_effect_can_be_told_since_nobody_was_left_uncalled_and_no_propensity_logged(bank):
    assert (bank.decisions.spine.action > 0).all()
    assert np.isnan(bank.decisions.propensity).all()


def test_a_training_refuses_the_causal_claim_since_channel_and_calendar_are_confounded(bank):
    evidence = {each.action: each for each in bank.result.bundle.manifest.evidence}
    for channel in ("telephone", "cellular"):
        assert evidence[channel].verdict == "associational"
        assert "confounded with the calendar" in evidence[channel].reason
    assert all(not policy.estimates and policy.refused for policy in bank.result.report.policies)


def test_a_training_is_judged_on_later_calls(bank):
    assert bank.result.report.rows["out_of_time"] > 2_000
