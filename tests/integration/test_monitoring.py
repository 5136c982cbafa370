"""From a trained model to its monitoring through the command: quiet while nothing changes, and faults are named."""

import json
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from benchmarks.parts.planted_faults import FAULTS, plant
from channelwise.jobs.features import timeline_of
from contract.errors import ArtefactError
from contract.intake import open_data
from contract.loading import load_params
from contract.progress import silent
from features.engines import Window
from features.events import US_PER_DAY
from features.labels import horizon_us
from features.spine import Decisions, decision_spine
from models.bundle import PROFILE, Bundle, load_bundle
from models.profile import read_profile
from serving.watching.findings import read_monitoring
from serving.watching.gauges import gauges
from serving.watching.monitoring import trained_profile
from simulation.config import RetailerConfig
from simulation.retailer import write_retailer
from tests.adapters.command_line import Ran, run_command
from tests.adapters.workplace import SMALL_TRAINING, succeeded
from training.pipeline import train

CONFIG = RetailerConfig(2_000, seed=5)
TRAINED = CONFIG.end - timedelta(days=84)


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A simulated retailer, and in `bundle` a model trained three periods before its end."""
    folder = tmp_path_factory.mktemp("monitoring")
    write_retailer(CONFIG, folder / "shop")
    params = load_params(assignments=SMALL_TRAINING[1::2])
    intake = open_data(folder / "shop", params, as_of=TRAINED, quarantine=None)
    with timeline_of(intake, params, silent, None) as timeline:
        train(intake, timeline, params, "quick").bundle.save(folder / "bundle")
    return folder


def monitored(shop: Path, data: Path, periods: int, *more: object) -> tuple[Ran, dict[str, Any]]:
    """What the command says of the period that ends so many periods after training."""
    as_of = TRAINED + timedelta(days=28 * periods)
    out = shop / "monitor.html"
    words = ["monitor", "--data", data, "--model", shop / "bundle", "--as-of", as_of.isoformat(), "--out", out]
    ran = run_command(*words, *more)
    return ran, json.loads(out.with_suffix(".json").read_text(encoding="utf-8"))


@pytest.mark.parametrize("periods", [1, 3])
def test_unchanged_periods_pass_the_gate(shop: Path, periods: int) -> None:
    ran, found = monitored(shop, shop / "shop", periods, "--fail-on", "alarm")
    succeeded(ran)
    assert found["verdict"] != "alarm"
    assert found["periods_since"] == periods
    assert len(found["findings"]) > 200
    text = (shop / "monitor.json").read_text(encoding="utf-8")
    assert read_monitoring(text).as_json() == text
    assert gauges(read_monitoring(text))
    assert "Nothing that matters has changed" in ran.out
    assert "Nothing that matters has changed" in (shop / "monitor.html").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    "name",
    [
        "clicks on e-mail stop after two weeks",
        "amounts on web arrive in cents",
        "the region of customers goes missing",
        "the sender stops exploring",
    ],
)
def test_a_fault_is_named_within_a_period_and_refused(shop: Path, tmp_path: Path, name: str) -> None:
    faulty = plant(name, shop / "shop", tmp_path / "shop", TRAINED, 28)
    ran, found = monitored(shop, faulty, 1, "--fail-on", "alarm")
    assert ran.code == 4
    alarms = [each for each in found["findings"] if each["verdict"] == "alarm"]
    named = [each for each in alarms if each["name"].startswith(FAULTS[name].named)]
    assert named, ran.out
    assert named[0]["name"] in ran.out


def test_without_the_option_an_alarm_is_no_refusal(shop: Path, tmp_path: Path) -> None:
    faulty = plant("consents to sms collapse", shop / "shop", tmp_path / "shop", TRAINED, 28)
    ran, found = monitored(shop, faulty, 1)
    succeeded(ran)
    assert found["verdict"] == "alarm"


def test_the_loss_is_estimated_before_labels_arrive_and_near_what_comes(shop: Path) -> None:
    _, found = monitored(shop, shop / "shop", 1)
    performance = found["performance"]
    for estimate in ("by_confidence", "by_weighting"):
        assert performance[estimate] == pytest.approx(performance["observed"], rel=0.2)
    assert performance["effective"] > 0


def test_a_moment_before_training_and_a_bundle_without_profile_are_refused(shop: Path) -> None:
    out = shop / "early.html"
    words = ["monitor", "--data", shop / "shop", "--model", shop / "bundle", "--out", out]
    ran = run_command(*words, "--as-of", TRAINED.isoformat())
    assert ran.code == 2
    assert "is not a day after the end of the training data" in ran.err
    assert not out.exists()
    bundle = load_bundle(shop / "bundle")
    older = Bundle.assembled(bundle.manifest, {name: text for name, text in bundle.texts.items() if name != PROFILE})
    older.save(shop / "older")
    with pytest.raises(ArtefactError, match="holds no profile to compare with"):
        trained_profile(load_bundle(shop / "older"))


def test_the_profile_covers_the_periods_before_training(shop: Path) -> None:
    profile = read_profile(load_bundle(shop / "bundle").texts[PROFILE])
    assert len(profile.periods) == 13
    assert profile.periods[-1].end_us == int(TRAINED.timestamp() * 1e6)
    assert {each.end_us - each.start_us for each in profile.periods} == {28 * US_PER_DAY}
    for period in profile.periods:
        assert {sum(each.counts) for each in period.columns.values()} == {round(period.figures["held out"][1])}, (
            "few enough that none is left out"
        )


def test_decisions_of_a_window_are_those_of_all_and_the_unfinished(shop: Path) -> None:
    params = load_params()
    intake = open_data(shop / "shop", params, as_of=TRAINED, quarantine=None)
    with timeline_of(intake, params, silent, None) as timeline:
        every = decision_spine(intake, timeline, params)
        until = timeline.window.until_us
        part = decision_spine(intake, timeline, params, only=Window(until - 28 * US_PER_DAY, until))
    horizon = 7 * US_PER_DAY
    inside = every.spine.as_of_us >= until - 28 * US_PER_DAY
    over = part.spine.as_of_us + horizon <= until
    assert 0 < over.sum() < len(part)
    for name in ("response", "delay", "margin_eur", "answer_channel", "own_step_channel"):
        np.testing.assert_array_equal(getattr(part, name)[over], getattr(every, name)[inside])


def same_decisions(found: Decisions, expected: Decisions) -> None:
    assert found.campaign_ids == expected.campaign_ids
    for name in ("propensity", "campaign", "response", "delay", "margin_eur", "answer_channel", "own_step_channel"):
        np.testing.assert_array_equal(getattr(found, name), getattr(expected, name), strict=True)
    for name in ("customer", "as_of_us", "action", "category"):
        np.testing.assert_array_equal(getattr(found.spine, name), getattr(expected.spine, name), strict=True)


def test_all_decisions_hold_those_of_a_window_and_those_whose_horizon_is_over(shop: Path) -> None:
    params = load_params()
    intake = open_data(shop / "shop", params, as_of=TRAINED, quarantine=None)
    with timeline_of(intake, params, silent, None) as timeline:
        until = timeline.window.until_us
        month = Window(until - 28 * US_PER_DAY, until)
        made = decision_spine(intake, timeline, params, only=timeline.window)
        part, over = decision_spine(intake, timeline, params, only=month), decision_spine(intake, timeline, params)
    assert len(part) < len(over) < len(made)
    same_decisions(made.within(month), part)
    found = made.over(until - horizon_us(params))
    same_decisions(found, over)
    assert (found.left_out, found.opens) == (over.left_out, over.opens)
