"""Which decisions teach, which choose and which only judge: out of time and out of customer; looks at no response.

    customers      learn period | gap | choose period | gap | last days
    trained on        learn             choose              out_of_time
    held out          out_of_customer (both periods)        out_of_time

A gap is one horizon: decisions whose horizon crosses a cut are left out and counted, for their outcome lies beyond it.
Where all decisions lie too close in time, customers alone are split.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

from contract.params import Params
from features.events import US_PER_DAY
from models.artefact import Ints

CROSSES: str = "horizon crosses a cut of the split"
# At most this share of the time may choose and judge; a shorter history keeps the rest to learn from.
_MOST_JUDGING = 0.4


@dataclass(frozen=True)
class Split:
    """Rows of the decisions (ascending indices) by what they are for.

    judged_from_us: the end of what teaches and chooses; held_out: (n_customers,), never learned from before the refit.
    """

    learn: Ints
    choose: Ints
    out_of_time: Ints
    out_of_customer: Ints
    left_out: int
    judged_from_us: int
    held_out: npt.NDArray[np.bool_]
    note: str


def customer_hashes(ids: npt.NDArray[np.object_], seed: int) -> npt.NDArray[np.float64]:
    """A number in [0, 1) for every customer, from the id and the seed alone (SipHash)."""
    keys = pd.util.hash_array(ids.astype(object), hash_key=f"{seed % 10**16:016d}", categorize=False)
    return np.asarray(keys >> np.uint64(11), dtype=np.float64) / 2.0**53


def split_decisions(time_us: Ints, customer: Ints, hashes: npt.NDArray[np.float64], params: Params) -> Split:
    """The split of decisions.

    Args:
        time_us: (n,), when.
        customer: (n,), numbers.
        hashes: (n_customers,), as `customer_hashes` gives them.
        params: days, shares and the horizon.
    """
    training = params.training
    horizon_us = round(params.target.horizon_days * US_PER_DAY)
    start, end = int(time_us.min()), int(time_us.max()) + 1
    asked = training.test_days + training.validation_days
    shrink = min(1.0, _MOST_JUDGING * (end - start) / US_PER_DAY / asked)
    test_us, choose_us = (round(shrink * days * US_PER_DAY) for days in (training.test_days, training.validation_days))
    if choose_us < 2 * horizon_us:
        return _by_customer(time_us, customer, hashes, params)
    test_from = end - test_us
    choose_from = test_from - choose_us
    held_out = hashes < training.holdout_customer_share
    held = held_out[customer]
    known = time_us + horizon_us
    parts = {
        "learn": ~held & (known <= choose_from),
        "choose": ~held & (time_us >= choose_from) & (known <= test_from),
        "out_of_time": time_us >= test_from,
        "out_of_customer": held & (known <= test_from),
    }
    days = f"{choose_us / US_PER_DAY:.0f} days choose, the last {test_us / US_PER_DAY:.0f} judge"
    note = (
        days if shrink == 1 else f"{days}: shorter than asked, as the decisions span {(end - start) / US_PER_DAY:.0f}"
    )
    rows = {name: np.flatnonzero(mask) for name, mask in parts.items()}
    return Split(**rows, left_out=_rest(parts), judged_from_us=test_from, held_out=held_out, note=note)


def _by_customer(time_us: Ints, customer: Ints, hashes: npt.NDArray[np.float64], params: Params) -> Split:
    """Customers only: one part judges, one as large chooses, the rest teach."""
    share = params.training.holdout_customer_share
    held_out = hashes < share
    chooses = ~held_out & (hashes < share + (1 - share) * share)
    parts = {
        "learn": ~(held_out | chooses)[customer],
        "choose": chooses[customer],
        "out_of_time": np.zeros(len(customer), dtype=bool),
        "out_of_customer": held_out[customer],
    }
    span = (int(time_us.max()) - int(time_us.min())) / US_PER_DAY
    note = f"all decisions lie within {span:.0f} days, too few to judge out of time; customers alone are split"
    rows = {name: np.flatnonzero(mask) for name, mask in parts.items()}
    return Split(**rows, left_out=0, judged_from_us=int(time_us.max()) + 1, held_out=held_out, note=note)


def _rest(parts: dict[str, npt.NDArray[np.bool_]]) -> int:
    return int((~np.logical_or.reduce(list(parts.values()))).sum())


def sample_customers(rows: Ints, customer: Ints, hashes: npt.NDArray[np.float64], most: int) -> Ints:
    """At most `most` of the rows, whole customers in an order that only their ids and the seed decide."""
    if len(rows) <= most:
        return rows
    # The order is taken from the hash's low digits: its size already decides who is held out.
    order = (hashes * 2.0**21) % 1.0
    own = np.bincount(customer[rows], minlength=len(hashes))
    ranked = np.argsort(order, kind="stable")
    taken = np.zeros(len(hashes), dtype=bool)
    taken[ranked[np.cumsum(own[ranked]) <= most]] = True
    return rows[taken[customer[rows]]]
