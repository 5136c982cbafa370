"""What a simulated retailer's log says its rounds' policies were worth, beside what was true; plans nothing.

With π_i the action of a policy for customer i, a_i the action taken, p_i its logged propensity and y_i the margin that
followed, the inverse-propensity estimate (Horvitz & Thompson 1952) is Σ_i [a_i = π_i] y_i / p_i. With propensities that
are right, its expectation is Σ_i E[y_i | π_i] and its variance Σ_i (E[y_i² | π_i] / p_i - E[y_i | π_i]²). Purchases are
Poisson and baskets log-normal, so both are known here.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from channelwise.demos.loop import Round
from channelwise.jobs.features import timeline_of
from contract.intake import open_data
from contract.params import Params
from contract.progress import silent
from features.spine import Decisions, decision_spine
from simulation.contact import BASKET_SPREAD
from simulation.truth import Truth

Floats = npt.NDArray[np.float64]
NOBODY: Final = "nobody is contacted"
PLANNED: Final = "all as most likely"


@dataclass(frozen=True)
class LoggedValue:
    """EUR of margin that one policy brings the customers decided about, in all rounds.

    true_eur: by the truth; estimated_eur: from the log by inverse propensities, error_eur its standard deviation;
    naive_eur: what those who got the policy's action had on average, times all; naive_expected_eur: the ratio of what
    that can be expected to be, Σ_i p_i E[y_i | π_i] / Σ_i p_i, times all.
    """

    policy: str
    decisions: int
    true_eur: float
    estimated_eur: float
    error_eur: float
    naive_eur: float
    naive_expected_eur: float

    @property
    def z(self) -> float:
        """Standard deviations by which the estimate is off."""
        return (self.estimated_eur - self.true_eur) / self.error_eur

    @property
    def naive_bias(self) -> float:
        """By which share of the truth the naive mean is off when chance has averaged out."""
        return self.naive_expected_eur / self.true_eur - 1.0


@dataclass(frozen=True)
class Logged:
    """A round's decisions as trainings read them. row: (n,) in the truth; action: (n,) 0 none; margin_eur: (n,) that
    followed; propensity: (n,) logged of the action; vector: (n, actions) what the plan wrote.
    """

    truth: Truth
    row: npt.NDArray[np.int64]
    action: npt.NDArray[np.int64]
    margin_eur: Floats
    propensity: Floats
    vector: Floats


def logged_rounds(data: Path, params: Params, rounds: Sequence[Round]) -> list[Logged]:
    """The decisions of each round whose horizon is over, from the retailer's tables by the way of a training."""
    intake = open_data(data, params, as_of=None, quarantine=None)
    with timeline_of(intake, params, silent, None) as timeline:
        decisions = decision_spine(intake, timeline, params)
        ids = timeline.ids.to_numpy(zero_copy_only=False).astype(object)
    return [_logged(each, decisions, ids) for each in rounds if each.campaign_id in decisions.campaign_ids]


def _logged(played: Round, decisions: Decisions, ids: npt.NDArray[np.object_]) -> Logged:
    rows = np.flatnonzero(decisions.campaign == decisions.campaign_ids.index(played.campaign_id))
    row = np.searchsorted(played.truth.customer_ids, ids[decisions.spine.customer[rows]])
    return Logged(
        truth=played.truth,
        row=row,
        action=decisions.spine.action[rows].astype(np.int64),
        margin_eur=decisions.margin_eur[rows],
        propensity=decisions.propensity[rows],
        vector=_vectors(played.plan, played.truth)[row],
    )


def _vectors(plan: Path, truth: Truth) -> Floats:
    """(n, actions) the probabilities that a plan wrote, by the truth's customers and actions."""
    table = pq.read_table(plan.with_suffix(".propensities.parquet"))
    row = np.searchsorted(truth.customer_ids, table["customer_id"].to_numpy(zero_copy_only=False).astype(object))
    names = pa.array([None, *truth.channels], pa.string())
    action = pc.index_in(table["channel"].cast(pa.string()), value_set=names, skip_nulls=False).to_numpy()
    vectors = np.zeros(truth.probability.shape)
    vectors[row, action] = table["propensity"].to_numpy()
    return vectors


def logged_values(rounds: Sequence[Logged], channels: Sequence[str]) -> Iterator[LoggedValue]:
    """The value of contacting nobody, of each plan's most likely action, and of each channel for whom it was open."""
    yield _value(NOBODY, [(each, np.zeros(len(each.row), np.int64)) for each in rounds])
    yield _value(PLANNED, [(each, each.vector.argmax(axis=1)) for each in rounds])
    for action, name in enumerate(channels, start=1):
        found = [_value_of(each, np.full(len(each.row), action)) for each in rounds]
        if sum(each.decisions for each in found):
            yield _summed(f"all who can by {name}", found)


def _value(policy: str, parts: Sequence[tuple[Logged, npt.NDArray[np.int64]]]) -> LoggedValue:
    return _summed(policy, [_value_of(logged, wanted) for logged, wanted in parts])


def _value_of(logged: Logged, wanted: npt.NDArray[np.int64]) -> LoggedValue:
    """One round; of the customers whom the policy's action was open to."""
    chance = logged.vector[np.arange(len(wanted)), wanted]
    rows = np.flatnonzero(chance > 0)
    row, action = logged.row[rows], wanted[rows]
    mean = logged.truth.margin_eur[row, action]
    purchases = -np.log1p(-logged.truth.probability[row, action])
    basket = np.divide(mean, purchases, out=np.zeros(len(rows)), where=purchases > 0)
    square = purchases * basket**2 * np.exp(BASKET_SPREAD**2) + mean**2
    taken = logged.action[rows] == action
    margin = logged.margin_eur[rows]
    among = margin[taken] if taken.any() else np.zeros(1)
    return LoggedValue(
        policy="",
        decisions=len(rows),
        true_eur=float(mean.sum()),
        estimated_eur=float((margin[taken] / logged.propensity[rows][taken]).sum()),
        error_eur=float(np.sqrt((square / chance[rows] - mean**2).sum())),
        naive_eur=float(among.mean() * len(rows)),
        naive_expected_eur=float(mean @ chance[rows] / max(chance[rows].sum(), 1e-12) * len(rows)),
    )


def _summed(policy: str, parts: Sequence[LoggedValue]) -> LoggedValue:
    return LoggedValue(
        policy=policy,
        decisions=sum(each.decisions for each in parts),
        true_eur=sum(each.true_eur for each in parts),
        estimated_eur=sum(each.estimated_eur for each in parts),
        error_eur=float(np.sqrt(sum(each.error_eur**2 for each in parts))),
        naive_eur=sum(each.naive_eur for each in parts),
        naive_expected_eur=sum(each.naive_expected_eur for each in parts),
    )
