"""The rules of thumb that a plan must beat: who gets which channel by what was visible before; learns nothing.

Each rule is a channel preference with a strength for every customer and channel, filled strongest first until a limit
is reached. All read the interactions before as-of only, those that customers allow to be used and without opens by
machine, and obey the same eligibility and limits as the plan.
"""

from collections.abc import Sequence
from typing import Final

import duckdb
import numpy as np
import numpy.typing as npt

from contract.intake import Intake
from contract.params import Params
from features.engines import Window
from features.machine_opens import BY_PEOPLE, find_machine_opens
from features.permission import permit
from features.timeline import kept_window
from serving.limits import Limits

Matrix = npt.NDArray[np.float64]
Actions = npt.NDArray[np.int16]

RULES: Final[dict[str, str]] = {
    "most clicked": "countif(kind = 'clicked')",
    "most engaged": "countif(kind IN ('opened', 'clicked', 'replied'))",
    "last channel": "epoch(max(CASE WHEN kind IN ('opened', 'clicked', 'replied') THEN occurred_at END))",
}


def rule_strengths(
    intake: Intake, params: Params, rule: str, customers: Sequence[str], channels: Sequence[str]
) -> Matrix:
    """Strength of `rule` per customer and channel, (n_customers, n_channels); 0 where nothing was seen."""
    wanted = {name: index for index, name in enumerate(channels)}
    position = {customer: index for index, customer in enumerate(customers)}
    strengths = np.zeros((len(customers), len(channels)))
    window = kept_window(intake.as_of, params)
    permit(intake.connection, window.until_us)
    find_machine_opens(intake.connection, window, params)
    for customer, channel, strength in _rows(intake.connection, RULES[rule], window):
        if channel in wanted and customer in position:
            strengths[position[customer], wanted[channel]] = strength or 0.0
    return strengths


def _rows(connection: duckdb.DuckDBPyConnection, measure: str, window: Window) -> list[tuple[str, str, float | None]]:
    query = f"""
        SELECT customer_id, channel, {measure} FROM {BY_PEOPLE} WHERE {window.sql} AND channel IS NOT NULL
        GROUP BY customer_id, channel
    """  # noqa: S608  the measure is one of RULES
    return connection.execute(query).fetchall()


def fill(strengths: Matrix, allowed: npt.NDArray[np.bool_], unit_costs: Matrix, limits: Limits) -> Actions:
    """Each customer's strongest allowed channel, customers by strength, until capacity or budget ends; -1 is none.

    A rule of thumb contacts those who were seen to react first; where its channel is full, the customer gets none.
    Ties go to the earlier customer and the earlier channel. Shapes: strengths, allowed (n, k); unit_costs (k,) EUR.
    """
    masked = np.where(allowed & (strengths > 0), strengths, -np.inf)
    choice, best = masked.argmax(axis=1), masked.max(axis=1)
    left, money = limits.capacity.copy(), limits.spendable_eur
    actions = np.full(len(strengths), -1, dtype=np.int16)
    for row in np.argsort(-best, kind="stable"):
        channel = choice[row]
        if np.isfinite(best[row]) and left[channel] >= 1 and money >= unit_costs[channel]:
            actions[row] = channel
            left[channel] -= 1
            money -= unit_costs[channel]
    return actions
