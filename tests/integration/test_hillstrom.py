"""The job on a real randomised experiment: base rates per arm are the published ones to the last digit."""

from dataclasses import dataclass

import numpy as np
import pytest

from benchmarks.parts.hillstrom import read_experiment
from benchmarks.parts.hillstrom_tables import COST_EUR, write_hillstrom
from contract.intake import open_data
from contract.loading import load_params
from features.spine import decision_spine
from features.timeline import build_timeline
from training.pipeline import train
from training.policy_value import SNIPS

PUBLISHED = {
    "mens_email": (21_307, "18.276", "1.253", "1.4226"),
    "womens_email": (21_387, "15.140", "0.884", "1.0772"),
    "none": (21_306, "10.617", "0.573", "0.6528"),
}
"""Per arm: customers, visits in %, conversions in %, mean spend."""


@dataclass(frozen=True)
class Labels:
    """What the spine says of every decision."""

    arm: np.ndarray
    response: np.ndarray
    margin_eur: np.ndarray
    propensity: np.ndarray
    left_out: dict[str, int]


@pytest.fixture(scope="module")
def hillstrom(shared_data, tmp_path_factory):
    return write_hillstrom(shared_data / "hillstrom" / "hillstrom.csv.gz", tmp_path_factory.mktemp("hillstrom"))


def labels(hillstrom, objective, folder):
    params = load_params([hillstrom.params], [f"objective={objective}"])
    intake = open_data(hillstrom.folder, params, as_of=hillstrom.as_of, quarantine=None)
    timeline = build_timeline(intake, params, folder)
    decisions = decision_spine(intake, timeline, params)
    arms = np.array(["none", *params.outbound])
    return Labels(
        arms[decisions.spine.action],
        decisions.response,
        decisions.margin_eur,
        decisions.propensity,
        decisions.left_out,
    )


@pytest.fixture(scope="module")
def visits(hillstrom, tmp_path_factory):
    return labels(hillstrom, "visit", tmp_path_factory.mktemp("timeline_visit") / "timeline")


@pytest.fixture(scope="module")
def purchases(hillstrom, tmp_path_factory):
    return labels(hillstrom, "buy", tmp_path_factory.mktemp("timeline_buy") / "timeline")


@pytest.mark.parametrize("arm", PUBLISHED)
def test_base_rates_are_the_published_ones(visits, purchases, arm):
    customers, visit, conversion, spend = PUBLISHED[arm]
    assert (visits.arm == arm).sum() == (purchases.arm == arm).sum() == customers
    assert f"{100 * visits.response[visits.arm == arm].mean():.3f}" == visit
    assert f"{100 * purchases.response[purchases.arm == arm].mean():.3f}" == conversion
    assert f"{purchases.margin_eur[purchases.arm == arm].mean():.4f}" == spend


def test_no_decision_is_left_out_and_each_was_drawn_with_one_third(visits):
    assert len(visits.arm) == 64_000
    assert sum(visits.left_out.values()) == 0
    assert np.unique(visits.propensity).tolist() == [1 / 3]


SMALL = ("max_decisions=6000", "trees=20", "refit=false")
"""A training just large enough to judge what the log can carry."""


@pytest.fixture(scope="module")
def result(hillstrom, tmp_path_factory):
    params = load_params([hillstrom.params], [f"training.profiles.quick.{each}" for each in SMALL])
    intake = open_data(hillstrom.folder, params, as_of=hillstrom.as_of, quarantine=None)
    timeline = build_timeline(intake, params, tmp_path_factory.mktemp("timeline") / "timeline")
    return train(intake, timeline, params, "quick")


def test_a_training_knows_that_every_action_was_randomised(result):
    evidence = {each.action: (each.verdict, each.decisions) for each in result.bundle.manifest.evidence}
    assert evidence == {arm: ("randomised", customers) for arm, (customers, *_) in PUBLISHED.items()}


def test_the_value_of_a_policy_is_that_of_its_arm(result):
    values = {each.name: each.estimates[SNIPS] for each in result.report.policies}
    policies = {
        "nobody": ("none", 0.0),
        "all on mens_email": ("mens_email", COST_EUR),
        "all on womens_email": ("womens_email", COST_EUR),
    }
    for policy, (arm, cost) in policies.items():
        published = float(PUBLISHED[arm][1]) / 100 - cost  # a visit is worth 1 EUR
        # A fifth of the customers judge: the rate of all lies within twice the interval's half width of theirs.
        assert abs(values[policy].value - published) < values[policy].upper - values[policy].lower
    assert values["nobody"].value < values["all on womens_email"].value < values["all on mens_email"].value


def test_the_benchmark_of_models_reads_the_same_experiment(shared_data):
    found = read_experiment(shared_data / "hillstrom" / "hillstrom.csv.gz")
    for number, arm in enumerate(("none", "mens_email", "womens_email")):
        customers, visit, conversion, spend = PUBLISHED[arm]
        own = found.arm == number
        assert own.sum() == customers
        assert f"{100 * found.visit[own].mean():.3f}" == visit
        assert f"{100 * found.conversion[own].mean():.3f}" == conversion
        assert f"{found.spend[own].mean():.4f}" == spend
    assert np.isfinite(found.columns).all()
