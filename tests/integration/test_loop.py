"""Five rounds of plan, send, outcomes and training: exploring finds what the history hides, and the log stays honest.

The retailer's history misleads: its sender hardly tried letters, which cost most, sold nothing then and sell well since
(`channelwise.demos.loop.habitual_retailer`). Where a history tells all that there is, exploring only costs. That it is
worth its cost here, holdout and exploration included, is the claim; it is made on one retailer that was chosen for it.
`python -m benchmarks.loop` plays larger and more of them.
"""

from concurrent.futures import ProcessPoolExecutor
from contextlib import chdir
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from channelwise.demos.logged_values import NOBODY, Logged, LoggedValue, logged_rounds, logged_values
from channelwise.demos.loop import Round, habitual_retailer, play_rounds
from contract.loading import load_params
from contract.params import Params
from serving.limits import limits_of
from tests.adapters.registries import begun_registries
from tests.adapters.workplace import without_card

CUSTOMERS, SEED, ROUNDS = 2_000, 1, 5
FEW = ("*_email_*", "*_sms_*", "*_push_*", "*_phone_*", "*_mail_*", "*_social_*", "*_store_*", "*_web_*", "*_app_*",
       "*_own_category_*", "*_7d", "*_90d", "*_gap_*", "*_hour_*", "*_entropy_*", "*_latest_channel_*", "*_trend_*",
       "*_candidate_per_*")  # fmt: skip
SMALL = (
    f"features.leave_out={list(FEW)}",
    "training.profiles.quick.trees=60",
    "training.min_rows_per_channel=100",
    "promotion.confidence=0.5",
    "monitor.periods=4",
    "monitor.rows=500",
    "threads=1",
)
"""A fifth of the features: enough to tell who and which channel, at a third of the time. What 2,000 customers say of a
policy's value is hardly ever sure, so a challenger need only be as likely as not to earn more.
"""
EXPLORES = ("planning.holdout_share=0.1", "planning.explore_share=0.2")
NEVER = ("planning.holdout_share=0", "planning.explore_share=0")


@dataclass(frozen=True)
class Played:
    """The rounds of one retailer, the plan after the last one among them, and where its tables are."""

    data: Path
    params: Params
    rounds: list[Round]


def played(folder: Path, shares: tuple[str, ...]) -> Played:
    params = load_params(assignments=[*SMALL, *shares, f"seed={SEED}"])
    retailer = habitual_retailer(CUSTOMERS, SEED, ROUNDS)
    with chdir(folder), without_card(), begun_registries():
        rounds = play_rounds(retailer, folder, params, limits_of(params, None, {}, {}), ROUNDS + 1)
        return Played(folder / "data", params, list(rounds))


@pytest.fixture(scope="module")
def both(tmp_path_factory: pytest.TempPathFactory) -> list[Played]:
    """With and without exploring, each in a process of its own, since they share nothing."""
    folders = [tmp_path_factory.mktemp(name) for name in ("exploring", "never")]
    with ProcessPoolExecutor(2, mp_context=get_context("spawn")) as processes:
        return list(processes.map(played, folders, (EXPLORES, NEVER)))


@pytest.fixture(scope="module")
def exploring(both: list[Played]) -> Played:
    return both[0]


@pytest.fixture(scope="module")
def logged(exploring: Played) -> list[Logged]:
    """The decisions of the five rounds that were sent, as the next training reads them."""
    return logged_rounds(exploring.data, exploring.params, exploring.rounds)


@pytest.fixture(scope="module")
def values(exploring: Played, logged: list[Logged]) -> list[LoggedValue]:
    return list(logged_values(logged, exploring.params.outbound))


def test_every_decision_of_every_round_is_in_the_log_with_the_propensity_of_its_plan(
    exploring: Played, logged: list[Logged]
) -> None:
    assert len(logged) == ROUNDS
    for each, round_ in zip(logged, exploring.rounds, strict=False):
        plan = pq.read_table(round_.plan).to_pandas()
        decided = plan[plan.role != "ineligible"]
        assert sorted(round_.truth.customer_ids[each.row]) == decided.customer_id.tolist()
        taken = each.vector[np.arange(len(each.row)), each.action]
        np.testing.assert_allclose(each.propensity, taken, rtol=1e-9)
        np.testing.assert_allclose(each.vector.sum(axis=1), 1.0, rtol=1e-9)


def test_what_the_log_says_by_its_propensities_is_true_where_plain_means_are_not(values: list[LoggedValue]) -> None:
    assert len(values) == 7
    assert max(abs(each.z) for each in values) < 3, values
    assert max(abs(each.naive_bias) for each in values) > 0.1, values
    assert next(each for each in values if each.policy == NOBODY).decisions > 4 * CUSTOMERS


def test_exploring_ends_above_a_policy_that_never_explores_although_it_pays_for_it(both: list[Played]) -> None:
    ours, never = (each.rounds for each in both)
    assert ours[-1].value_eur > 1.2 * never[-1].value_eur
    # The last two plans against the first two: a single one moves with who is held out and who explores.
    assert sum(each.share_of_best for each in ours[-2:]) > 1.3 * sum(each.share_of_best for each in ours[:2])
