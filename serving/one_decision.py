"""One customer's decision online, in microseconds and consistent with the last plan; holds no limit of its own.

`open_desk` reads the prices, and if wanted the plan, that `channelwise plan` wrote; `decide_one` then answers single
requests from memory:

- A customer of the plan gets what the plan says: same channels, same role, the same logged vector of propensities.
- Any other gets the role that its hash draws (same shares, campaign and seed: it keeps the role when a later plan has
  it in its audience), and then, held out: none; exploring: a channel by the weights of exploration; else the price
  rule, the open channel with a positive net gain and the largest reduced gain above 0,

      value_c − cost_c − Σ prices of the limits that count channel c (budgets: price·cost_c).

  Minimums pay nothing here: the plan has met them. Its vector is exact: P(c) = explore·π(c) + plan·[c is the rule's],
  P(none) = the rest. π is that of the plan's exploration while its quotas last.

What is decided here uses no limit up: the prices say what a unit of each is worth, the plan alone counts. A plan made
anew, with those customers in its audience, does.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import duckdb
import numba
import numpy as np
import numpy.typing as npt
import pyarrow as pa

from contract.errors import DataError, UsageError
from serving.hashing import Hashes, customer_hashes, hash_text, mixed, salt_of
from serving.roles import EXPLORE, HOLDOUT, INELIGIBLE, PLAN, ROLES
from serving.saved_prices import SavedPrices, read_prices
from serving.sets import Counts, Floats
from serving.thompson import draws_of

_mixed: Callable[..., Any] = numba.njit(nogil=True, cache=True)(mixed)


@dataclass(frozen=True)
class OneDecision:
    """What one customer gets.

    channels: the contacts to make now, none for no contact; more than one only as the plan says. role: as in the plan.
    propensity: (k + 1,) of no contact, then of each channel. planned: whether the plan says so.
    """

    channels: tuple[str, ...]
    role: str
    propensity: Floats
    planned: bool


@dataclass(frozen=True)
class Answers:
    """What a plan answered n customers, by ascending hash.

    channels: (n, m) and role: (n,) by index, -1 none; propensity: (n, k + 1).
    """

    hashes: Hashes
    ids: pa.Array
    channels: npt.NDArray[np.int16]
    role: npt.NDArray[np.int8]
    propensity: Floats


class Desk:
    """Prices, and answers of a plan if there is one, ready for single requests about one campaign."""

    def __init__(self, saved: SavedPrices, campaign: str, answers: Answers | None = None) -> None:
        """Gets everything ready that does not depend on the customer.

        Raises:
            UsageError: the prices are of other campaigns.
        """
        if campaign not in saved.randomness.campaigns:
            known = ", ".join(saved.randomness.campaigns)
            raise UsageError(f"campaign '{campaign}' is not in the prices; they are of {known}")
        drawn = saved.randomness
        self.saved, self.campaign, self.answers = saved, campaign, answers
        self.columns = tuple(sorted({column for each in saved.limits for column, _ in each.row.group}))
        self._salts = np.array(
            [
                salt_of("control group", drawn.seed),
                salt_of("role", campaign, drawn.seed),
                salt_of("explore draw", campaign, drawn.seed),
            ]
        )
        self._shares = np.array([drawn.control_share, drawn.holdout_share, drawn.explore_share])
        self._thinning = np.array([saved.thinning[campaign][name] for name in saved.channels])
        self._draws = draws_of(len(saved.channels)) if saved.exploration == "thompson" else np.zeros((0, 0))
        self._tolls: dict[tuple[str | None, ...], tuple[Floats, Floats]] = {}

    def tolls(self, group: Mapping[str, str]) -> tuple[Floats, Floats]:
        """(k,) EUR per EUR of cost, and (k,) EUR a contact, that a customer of these groups is charged."""
        key = tuple(group.get(column) for column in self.columns)
        if (found := self._tolls.get(key)) is None:
            found = self._tolls[key] = self._charged(dict(zip(self.columns, key, strict=True)))
        return found

    def _charged(self, group: Mapping[str, str | None]) -> tuple[Floats, Floats]:
        rate, toll = np.zeros(len(self.saved.channels)), np.zeros(len(self.saved.channels))
        for each in self.saved.limits:
            row = each.row
            there = row.campaign in (None, self.campaign) and all(group[column] == value for column, value in row.group)
            if there and row.kind != "minimum":
                counted = np.array([row.channel in (None, name) for name in self.saved.channels])
                target = rate if row.kind == "budget" else toll
                target[counted] += each.price_eur
        return rate, toll


def open_desk(prices: Path, campaign: str, plan: Path | None = None) -> Desk:
    """The desk of a plan's prices, with the plan's own answers where it is given.

    Args:
        prices: NAME.prices.json.
        campaign: the one that is asked about; "" where the scores had none.
        plan: NAME.parquet or NAME.csv; NAME.propensities.SUFFIX lies beside it.

    Raises:
        DataError: a file is missing or not of that form.
        UsageError: the prices are of other campaigns.
    """
    saved = read_prices(prices)
    desk = Desk(saved, campaign, None if plan is None else read_answers(plan, campaign, saved.channels))
    # The compiled code is loaded here and not with the first request.
    decide_one(desk, "", np.full(len(saved.channels), -np.inf), np.zeros(len(saved.channels)))
    return desk


def decide_one(
    desk: Desk,
    customer_id: str,
    value_eur: Floats,
    cost_eur: Floats,
    group: Mapping[str, str] | None = None,
    error_eur: Floats | None = None,
) -> OneDecision:
    """What a customer gets who asks now.

    Args:
        desk: of the last plan.
        customer_id: whoever asks.
        value_eur: (k,) EUR expected margin of a contact on each channel of the desk's prices; -inf where the customer
            may not be contacted. At the lower end of its interval where the prices are of `risk: lower`.
        cost_eur: (k,) EUR.
        group: of the customer, column to value, where limits of groups were priced; without, those prices are not paid.
        error_eur: (k,) EUR standard error of the value, read where exploration follows the intervals (`thompson`).
    """
    letters = np.frombuffer(customer_id.encode(), dtype=np.uint8)
    number = hash_text(letters)
    if desk.answers is not None and (known := _known(desk, desk.answers, customer_id, number)) is not None:
        return known
    rate, toll = desk.tolls(group or {})
    error = np.zeros(len(value_eur)) if error_eur is None else error_eur
    chance = np.zeros(len(value_eur) + 1)
    args = (desk._salts, desk._shares, desk._thinning, desk._draws)
    choice, role = _decide(number, value_eur, cost_eur, rate, toll, error, *args, chance)
    channels = (desk.saved.channels[choice],) if choice >= 0 else ()
    return OneDecision(channels, ROLES[role], chance, False)


def _known(desk: Desk, answers: Answers, customer_id: str, number: np.uint64) -> OneDecision | None:
    place = int(np.searchsorted(answers.hashes, number))
    if place == len(answers.hashes) or answers.ids[place].as_py() != customer_id:
        return None
    channels = tuple(desk.saved.channels[each] for each in answers.channels[place] if each >= 0)
    return OneDecision(channels, ROLES[answers.role[place]], answers.propensity[place], True)


def _drawn(number: np.uint64, salt: np.uint64) -> float:
    """The uniform number that `uniforms(salted(...))` gives."""
    value = _mixed(_mixed(number ^ salt) + salt)
    return np.float64(value >> np.uint64(11)) * 2.0**-53


_uniform: Callable[..., float] = numba.njit(nogil=True, cache=True)(_drawn)


def _best_by_price(value: Floats, cost: Floats, rate: Floats, toll: Floats) -> int:
    best, choice = 0.0, -1
    for channel in range(len(value)):
        gain = value[channel] - cost[channel]
        reduced = gain - rate[channel] * cost[channel] - toll[channel]
        if gain > 0.0 and reduced > best:
            best, choice = reduced, channel
    return choice


_rule: Callable[..., int] = numba.njit(nogil=True, cache=True, error_model="numpy")(_best_by_price)


def _decide_by_price(
    number: np.uint64,
    value: Floats,
    cost: Floats,
    rate: Floats,
    toll: Floats,
    error: Floats,
    salts: Hashes,
    shares: Floats,
    thinning: Floats,
    draws: Floats,
    chance: Floats,
) -> tuple[int, int]:
    """Channel and role; fills `chance` (k + 1,) with the probability of no contact and of each channel."""
    k = len(value)
    if value.max() == -np.inf:
        chance[0] = 1.0
        return -1, INELIGIBLE
    rule = _rule(value, cost, rate, toll)
    control, holdout, explore = shares
    _weigh(value, cost, error, thinning, draws, chance)
    below, explored = 0.0, -1
    draw = _uniform(number, salts[2])
    for place in range(1, k + 2):
        # No contact comes last, as in the plan's exploration.
        at = place if place <= k else 0
        if chance[at] > 0.0:
            if below <= draw:
                explored = at - 1
            below += chance[at]
    for place in range(k + 1):
        chance[place] *= (1.0 - control) * explore
    chance[0] += control + (1.0 - control) * holdout
    chance[rule + 1] += (1.0 - control) * (1.0 - holdout - explore)
    role_draw = _uniform(number, salts[1])
    if _uniform(number, salts[0]) < control or role_draw < holdout:
        return -1, HOLDOUT
    if role_draw < holdout + explore:
        return explored, EXPLORE
    return rule, PLAN


def _weights_of_one(
    value: Floats, cost: Floats, error: Floats, thinning: Floats, draws: Floats, chance: Floats
) -> None:
    """Fills `chance` (k + 1,) with what exploration draws: uniform, or by `draws` as `serving.thompson` says."""
    k = len(value)
    if len(draws) == 0:
        for channel in range(k):
            chance[channel + 1] = 1.0 if value[channel] > -np.inf else 0.0
    for draw in range(len(draws)):
        best, choice = 0.0, -1
        for channel in range(k):
            if value[channel] > -np.inf:
                drawn = value[channel] - cost[channel] + error[channel] * draws[draw, channel]
                if drawn > best:
                    best, choice = drawn, channel
        chance[choice + 1] += 1.0
    total = chance[0]
    for channel in range(k):
        chance[channel + 1] *= thinning[channel]
        total += chance[channel + 1]
    if total == 0.0:
        chance[0] = 1.0
        total = 1.0
    for place in range(k + 1):
        chance[place] /= total


_weigh: Callable[..., None] = numba.njit(nogil=True, cache=True, error_model="numpy")(_weights_of_one)
_decide: Callable[..., tuple[int, int]] = numba.njit(nogil=True, cache=True, error_model="numpy")(_decide_by_price)


def read_answers(plan: Path, campaign: str, channels: tuple[str, ...]) -> Answers:
    """What a plan on disk answered the customers of a campaign.

    Raises:
        DataError: plan or propensities are missing or not of the form that `channelwise plan` writes.
    """
    vectors = plan.with_suffix(f".propensities{plan.suffix}")
    for path in (plan, vectors):
        if not path.exists():
            raise DataError(f"{path}: is not there; `channelwise plan` writes it")
    try:
        with duckdb.connect() as connection:
            connection.execute("SET enable_progress_bar = false")
            people, contacts, chances = _answer_rows(connection, plan, vectors, campaign, channels)
    except duckdb.Error as error:
        raise DataError(f"{plan}: cannot be read as a plan ({str(error).splitlines()[0]})") from error
    n = people.num_rows
    propensity = np.zeros((n, len(channels) + 1))
    propensity[chances["number"].to_numpy(), chances["action"].to_numpy()] = chances["propensity"].to_numpy()
    slot: Counts = contacts["slot"].to_numpy()
    chosen = np.full((n, int(slot.max(initial=0)) + 1), -1, dtype=np.int16)
    chosen[contacts["number"].to_numpy(), slot] = contacts["channel"].to_numpy()
    ids = people["customer_id"].combine_chunks().cast(pa.string())
    hashes = customer_hashes(ids)
    order = np.argsort(hashes)
    role = people["role"].to_numpy().astype(np.int8)
    return Answers(hashes[order], ids.take(pa.array(order)), chosen[order], role[order], propensity[order])


def _answer_rows(
    connection: duckdb.DuckDBPyConnection, plan: Path, vectors: Path, campaign: str, channels: tuple[str, ...]
) -> tuple[pa.Table, pa.Table, pa.Table]:
    """Customers with role, contacts by place, and propensities, each with the customer's number."""
    for name, path in (("plan", plan), ("vectors", vectors)):
        text = str(path).replace("'", "''")
        csv = f"read_csv('{text}', header = true, types = {{'customer_id': 'VARCHAR', 'campaign_id': 'VARCHAR'}})"
        source = csv if path.suffix == ".csv" else f"read_parquet('{text}')"
        connection.execute(
            f"CREATE TEMP TABLE {name} AS SELECT *, row_number() OVER () AS line FROM {source} "  # noqa: S608
            f"WHERE coalesce(campaign_id, '') = $1",
            [campaign],
        )
    connection.execute("""
        CREATE TEMP TABLE people AS
        SELECT customer_id, row_number() OVER (ORDER BY customer_id) - 1 AS number, any_value(role) AS role
        FROM plan GROUP BY customer_id
    """)
    people = "SELECT customer_id, list_position($1, role) - 1 AS role FROM people ORDER BY number"
    contacts = """
        SELECT number, row_number() OVER (PARTITION BY number ORDER BY line) - 1 AS slot,
            list_position($1, channel) - 1 AS channel
        FROM plan JOIN people USING (customer_id) WHERE channel IS NOT NULL
    """
    chances = """
        SELECT number, coalesce(list_position($1, channel), 0) AS action, propensity
        FROM vectors JOIN people USING (customer_id)
    """
    return (
        connection.sql(people, params=[list(ROLES)]).to_arrow_table(),
        connection.sql(contacts, params=[list(channels)]).to_arrow_table(),
        connection.sql(chances, params=[list(channels)]).to_arrow_table(),
    )
