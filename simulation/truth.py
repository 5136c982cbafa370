"""Reads the truth beside a simulated retailer, and says what a plan is truly worth; simulates nothing."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from contract.errors import DataError
from simulation.world import OUTBOUND, STEP

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Truth:
    """What is true at the scoring date of n customers, in ascending order of `customer_ids`.

    probability, margin_eur: (n, 7) of a response, its expected margin; column 0 without contact, i `channels[i - 1]`.
    cost_eur: (7,) of a contact. answer: (n, 6) probability of an answer. engagement: (n, 5) shares of `steps`, which
    sum to one. opt_out: (n, 6) probability that a contact makes the customer opt out of its channel. gain_eur: (n, 7)
    expected margin over no contact, less the cost: what an action is worth.
    """

    customer_ids: npt.NDArray[np.object_]
    channels: tuple[str, ...]
    steps: tuple[str, ...]
    probability: Floats
    margin_eur: Floats
    cost_eur: Floats
    answer: Floats
    engagement: Floats
    opt_out: Floats

    @property
    def gain_eur(self) -> Floats:
        """(n, 7), EUR; column 0 is zero."""
        return np.asarray(self.margin_eur - self.margin_eur[:, :1] - self.cost_eur)

    @property
    def contact_preference(self) -> Floats:
        """(n, 6): the channel of the next answer, were all contacted alike; sums to one."""
        return np.asarray(self.answer / self.answer.sum(axis=1, keepdims=True))

    def actions(self, plan: pa.Table) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
        """Rows of this truth and their actions (0 none), from a plan's columns `customer_id` and `channel`.

        Raises:
            DataError: if the plan names an unknown customer or channel, or a customer twice.
        """
        wanted = plan.column("customer_id").to_numpy(zero_copy_only=False).astype(object)
        rows = np.minimum(np.searchsorted(self.customer_ids, wanted), len(self.customer_ids) - 1)
        unknown = wanted[self.customer_ids[rows] != wanted]
        if len(unknown):
            raise DataError(f"plan.customer_id: {len(unknown)} rows such as {unknown[0]!r} are not in the truth")
        if len(np.unique(rows)) != len(rows):
            raise DataError("plan.customer_id: a customer stands there twice; expected one row each")
        chosen = plan.column("channel").cast(pa.string())
        actions = pc.index_in(chosen, pa.array([None, *self.channels], pa.string()), skip_nulls=False)
        if actions.null_count:
            raise DataError(f"plan.channel: expected null or one of {', '.join(self.channels)}")
        return rows.astype(np.int64), actions.to_numpy().astype(np.int64)


def read_truth(folder: Path) -> Truth:
    """The truth in the folder `truth/` of a written retailer."""
    response = pq.read_table(folder / "response.parquet")
    actions = 1 + len(OUTBOUND)
    ids = response.column("customer_id").to_numpy(zero_copy_only=False)[::actions].astype(object)
    answer = pq.read_table(folder / "answer.parquet", columns=["probability"])
    engagement = pq.read_table(folder / "engagement.parquet", columns=["share"])
    opt_out = pq.read_table(folder / "opt_out.parquet", columns=["probability"])
    return Truth(
        customer_ids=ids,
        channels=OUTBOUND,
        steps=STEP,
        probability=response.column("probability").to_numpy().reshape(-1, actions),
        margin_eur=response.column("expected_margin_eur").to_numpy().reshape(-1, actions),
        cost_eur=response.column("cost_eur").to_numpy()[:actions],
        answer=answer.column("probability").to_numpy().reshape(-1, len(OUTBOUND)),
        engagement=engagement.column("share").to_numpy().reshape(-1, len(STEP)),
        opt_out=opt_out.column("probability").to_numpy().reshape(-1, len(OUTBOUND)),
    )


def plan_value(truth: Truth, plan: pa.Table) -> float:
    """True worth of a plan in EUR: expected margin over no contact less cost, summed over its rows.

    plan: `customer_id`, `channel` (null: no contact), one row a customer; customers it does not name count nothing.
    """
    rows, actions = truth.actions(plan)
    return float(truth.gain_eur[rows, actions].sum())
