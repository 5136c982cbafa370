"""What a training says of its data: planted leaks, channels without a tie, overlap, opens by machine."""

import numpy as np
import pandas as pd
import pytest

from channelwise.bank import shipped_bank, write_bank
from contract.loading import load_params
from simulation.config import RetailerConfig
from simulation.retailer import write_retailer
from tests.adapters.studies import study_of
from training.findings import Findings, overlap_of
from training.leaks import find_leaks
from training.propensities import weigh_log


@pytest.fixture(scope="module")
def retailer(tmp_path_factory):
    """A retailer whose purchases count only where they are tied to the send; push never gets the credit."""
    folder = tmp_path_factory.mktemp("retailer")
    write_retailer(RetailerConfig(1_500, seed=5), folder / "data")
    params = load_params(assignments=["objectives.sell.counts=send", "threads=1"])
    return study_of(folder / "data", params, folder / "timeline")


def test_how_long_the_call_lasted_is_named_as_a_leak(tmp_path):
    bank = write_bank(shipped_bank(), tmp_path / "bank")
    rows = pd.read_csv(shipped_bank() / "bank-additional-full.csv.gz", sep=";")
    customers = pd.read_parquet(tmp_path / "bank" / "customers.parquet")
    customers.assign(duration=rows["duration"].to_numpy()).to_parquet(tmp_path / "bank" / "customers.parquet")
    names = load_params([bank.params]).tables.customers.features
    params = load_params([bank.params], [f"tables.customers.features=[{', '.join(names)}, duration]"])
    study = study_of(tmp_path / "bank", params, tmp_path / "timeline")
    (leak,) = find_leaks(study, study.split.learn)
    assert leak.name == "duration"
    assert leak.auc > 0.8
    assert "duration alone ranks responses" in leak.text


def test_a_retailer_without_a_leak_raises_no_alarm(retailer):
    assert find_leaks(retailer, retailer.split.learn) == ()
    assert retailer.decisions.left_out["transactional campaign"] > 0


def test_a_channel_whose_purchases_nobody_ties_to_it_is_unmeasured(retailer):
    propensity, evidence = weigh_log(retailer)
    by_name = {each.action: each for each in evidence}
    assert by_name["push"].verdict == "unmeasured"
    assert "none of" in by_name["push"].reason or "records no purchased" in by_name["push"].reason
    assert {by_name[name].verdict for name in ("email", "sms", "phone")} == {"randomised"}
    overlap = {each.action: each for each in overlap_of(retailer, propensity, evidence)}
    for each in overlap.values():
        assert each.logged == 1
        assert 0 < each.effective_size <= each.decisions
    # The sender leaves everybody alone with the same probability, and chooses channels by what it saw.
    assert overlap["none"].effective_size == pytest.approx(overlap["none"].decisions)
    assert overlap["email"].effective_size < 0.9 * overlap["email"].decisions


def test_the_report_names_opens_by_machine_and_who_has_them(retailer):
    found = {each.channel: each for each in retailer.decisions.opens}
    assert found["email"].at_once > 0.3 * found["email"].opens
    assert found["email"].regular + found["email"].unread < 0.01 * found["email"].opens
    assert found["email"].customers == pytest.approx(0.35 * 1_500 * 0.92, rel=0.15)
    assert found["push"].by_machine == 0
    lines = list(Findings(opens=retailer.decisions.opens).lines(retailer.params))
    assert len(lines) == 1
    assert "within 15 seconds of the message" in lines[0]


def test_a_missing_log_is_estimated_and_its_overlap_shown(tmp_path):
    write_retailer(RetailerConfig(1_000, seed=6, years=1, log_propensities=False), tmp_path / "data")
    params = load_params(assignments=["threads=1"])
    study = study_of(tmp_path / "data", params, tmp_path / "timeline")
    propensity, evidence = weigh_log(study)
    assert {each.verdict for each in evidence} <= {"adjusted", "associational"}
    overlap = overlap_of(study, propensity, evidence)
    assert all(each.logged == 0 and np.isfinite(each.effective_size) for each in overlap)
    assert all("propensities estimated" in each.text for each in overlap)
