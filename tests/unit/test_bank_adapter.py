"""The bank's file becomes tables: everything in it is kept, in its order, and nothing is known too early."""

import gzip
import hashlib
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pandas as pd
import pytest

from channelwise.bank import ANSWER_AFTER, CUSTOMER_COLUMNS, rebuilt_days, shipped_bank, write_bank
from contract.errors import DataError
from contract.loading import load_params

ECONOMY = {
    "employment_variation_rate",
    "consumer_price_index",
    "consumer_confidence_index",
    "euribor_3_months",
    "employees_thousand",
}
"""The same for all customers on a day, and in the audience later than the moment at which it is scored."""

SOURCE = shipped_bank() / "bank-additional-full.csv.gz"


@pytest.fixture(scope="module")
def raw():
    return pd.read_csv(SOURCE, sep=";")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("bank")


@pytest.fixture(scope="module")
def summary(folder):
    return write_bank(shipped_bank(), folder)


@pytest.fixture(scope="module")
def sends(summary, folder):
    interactions = pd.read_parquet(folder / "interactions.parquet")
    return interactions[interactions["kind"] == "sent"].reset_index(drop=True)


@pytest.fixture(scope="module")
def answers(summary, folder):
    interactions = pd.read_parquet(folder / "interactions.parquet")
    return interactions[interactions["kind"] == "subscribed"].reset_index(drop=True)


def test_the_shipped_file_is_the_unaltered_one():
    digest = hashlib.sha256(gzip.decompress(SOURCE.read_bytes())).hexdigest()
    assert digest == "74adfc578bf77a7ff4bb1ba4a9f8709d9e3c6907342959c2c8416847e0afb4d8"


def test_every_row_is_one_customer(summary, folder, raw):
    customers = pd.read_parquet(folder / "customers.parquet")
    assert len(customers) == len(raw) == summary.customers == 41_188
    assert customers["customer_id"].is_unique
    assert list(customers["age"]) == list(raw["age"])


def test_every_outcome_is_kept_either_in_the_history_or_in_the_truth(summary, answers):
    truth = pd.read_csv(summary.truth_file)
    assert len(answers) == summary.subscriptions
    assert truth["subscribed"].sum() == summary.audience_subscriptions
    assert len(answers) + truth["subscribed"].sum() == 4_640


def test_channels_keep_their_counts(summary, sends):
    truth = pd.read_csv(summary.truth_file)
    counts = pd.concat([sends["channel"], truth["channel"]]).value_counts().to_dict()
    assert counts == {"cellular": 26_144, "telephone": 15_044}


def test_rate_of_answers_by_channel_is_that_of_the_file(summary, sends, answers, raw):
    truth = pd.read_csv(summary.truth_file)
    yes = pd.concat([answers["channel"], truth.loc[truth["subscribed"] == 1, "channel"]]).value_counts()
    assert yes.to_dict() == raw.loc[raw["y"] == "yes", "contact"].value_counts().to_dict()


def test_calls_keep_the_order_months_and_weekdays_of_the_file(sends, raw):
    times = sends["occurred_at"]
    assert times.is_monotonic_increasing
    assert times.is_unique
    assert list(times.dt.strftime("%b").str.lower()) == list(raw["month"][: len(times)])
    assert list(times.dt.strftime("%a").str.lower()) == list(raw["day_of_week"][: len(times)])


def test_no_hour_can_be_learned_from_as_the_file_holds_none(sends):
    assert set(sends["occurred_at"].dt.hour) == {12}


def test_days_run_from_may_2008_to_november_2010(raw):
    days = rebuilt_days(raw["month"], raw["day_of_week"])
    assert (str(days[0]), str(days[-1])) == ("2008-05-05", "2010-11-26")
    assert "2008-05-22" not in set(days.astype(str)), "Corpus Christi 2008, a holiday that the file skips"


def test_each_answer_follows_its_own_call_within_the_horizon(summary, sends, answers):
    params = load_params([summary.params])
    tied = answers.merge(sends, on="send_id", suffixes=("", "_of_call"), validate="one_to_one")
    assert len(tied) == len(answers)
    assert (tied["customer_id"] == tied["customer_id_of_call"]).all()
    assert (tied["channel"] == tied["channel_of_call"]).all()
    assert set(tied["occurred_at"] - tied["occurred_at_of_call"]) == {pd.Timedelta(ANSWER_AFTER)}
    assert pd.Timedelta(ANSWER_AFTER) < timedelta(days=params.target.horizon_days)


def test_nothing_of_the_audience_is_in_the_history(summary, folder):
    interactions = pd.read_parquet(folder / "interactions.parquet")
    audience = set(pd.read_csv(summary.audience_file)["customer_id"])
    assert len(audience) == summary.audience == summary.customers - summary.calls
    assert audience.isdisjoint(interactions["customer_id"])
    assert interactions["occurred_at"].max() < summary.as_of == datetime(2009, 8, 6, tzinfo=UTC)


def test_duration_is_nowhere(summary, folder, tmp_path, raw):
    assert "duration" not in CUSTOMER_COLUMNS
    altered = tmp_path / "source"
    altered.mkdir()
    raw.assign(duration=range(len(raw))).to_csv(altered / SOURCE.name, sep=";", index=False)
    (altered / "bank.yaml").write_bytes((shipped_bank() / "bank.yaml").read_bytes())
    write_bank(altered, tmp_path / "tables")
    for name in ("customers.parquet", "interactions.parquet", "campaigns.parquet", "audience.csv", "truth.csv"):
        assert (tmp_path / "tables" / name).read_bytes() == (folder / name).read_bytes()


def test_never_before_is_null_and_not_999_days(summary, folder, raw):
    since = pd.read_parquet(folder / "customers.parquet")["days_since_previous_campaign"]
    assert since.notna().sum() == (raw["pdays"] != 999).sum() == 1_515
    assert since.max() == 27


def test_parameters_name_the_two_channels_and_the_columns_but_for_the_economy(summary, folder):
    params = load_params([summary.params])
    customers = pd.read_parquet(folder / "customers.parquet")
    left_out = set(customers) - {"customer_id"} - set(params.tables.customers.features)
    assert set(params.tables.customers.features) < set(customers)
    assert left_out == ECONOMY
    assert tuple(params.channels) == params.outbound == ("telephone", "cellular")
    assert params.target.kinds == ["subscribed"]


def test_a_file_out_of_order_is_refused(raw):
    with pytest.raises(
        DataError, match=r"row 41188: no nov fri is left in 2010; keep the rows in the file's own order"
    ):
        rebuilt_days(raw["month"], raw["day_of_week"].mask(raw.index == len(raw) - 2, "mon"))


def _altered(raw: pd.DataFrame, folder: Path) -> Path:
    raw.to_csv(folder / SOURCE.name, sep=";", index=False)
    return folder


def test_a_missing_column_is_named(raw, tmp_path):
    with pytest.raises(DataError, match=r"lacks contact, y; use the unaltered"):
        write_bank(_altered(raw.head(10).drop(columns=["contact", "y"]), tmp_path), tmp_path / "tables")


def test_an_unknown_value_is_named(raw, tmp_path):
    rows = raw.head(10).assign(contact="fax")
    with pytest.raises(DataError, match=r"contact holds fax; expected only telephone, cellular"):
        write_bank(_altered(rows, tmp_path), tmp_path / "tables")
