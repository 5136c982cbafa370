"""Where single decisions are made: a desk for each campaign, with the prices of its last plan where there is one.

A plan that was written anew is read when looked at next. A campaign that no plan was given for is decided by net value,
with the shares of holdout and exploration of the parameters, as if every limit were wide.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import NormalDist
from typing import Final, NamedTuple

import duckdb
import numpy as np

from contract.errors import ChannelwiseError, UsageError
from contract.params import Params
from contract.sources import quoted
from serving.one_decision import Desk, decide_one, open_desk
from serving.roles import EXPLORE, HOLDOUT, INELIGIBLE, PLAN, ROLES, Randomness
from serving.saved_prices import FORMAT, SavedPrices, digest, read_prices
from serving.scores import Floats

MOST_CAMPAIGNS: Final = 1_000
"""Campaigns without a plan whose desks are remembered."""

_REASONS: Final = {
    ROLES[HOLDOUT]: "held out, to measure what contact brings",
    ROLES[EXPLORE]: "drawn at random, so that the next training is unbiased",
}


class Offer(NamedTuple):
    """What one customer may be offered on k channels.

    open: (k,) may be contacted and is measured. uplift, lower, upper: (k,), read where open. worth: EUR a response.
    reason: (k,) why a channel is closed.
    """

    customer_id: str
    open: Sequence[bool]
    uplift: Floats
    lower: Floats
    upper: Floats
    worth: float
    reason: Sequence[str | None]


class Made(NamedTuple):
    """A decision. channel: None is no contact; chance: of each action that could have been taken, all above 0."""

    channel: str | None
    role: str
    reason: str
    chance: Mapping[str | None, float]


@dataclass(frozen=True)
class CampaignDesk:
    """A desk with what it needs of customers.

    priced: whether there is a plan. groups: customer → column → value, of the columns that its limits name.
    """

    desk: Desk
    costs: Floats
    priced: bool
    groups: Mapping[str, Mapping[str, str]]

    def decide(self, offer: Offer) -> Made:
        """What the customer gets; no channel that is closed now, whatever the plan says.

        Where the plan's channel has closed since, the probability of that channel goes to no contact, so the vector
        is that of what is done.
        """
        channels, saved = self.desk.saved.channels, self.desk.saved
        value = offer.uplift * offer.worth
        if saved.risk == "lower":
            value = value - np.maximum(offer.worth * (offer.uplift - offer.lower), 0.0)
        z = NormalDist().inv_cdf(0.5 + saved.interval / 2)
        error = abs(offer.worth) * np.maximum(offer.upper - offer.lower, 0.0) / (2.0 * z)
        value = np.where(offer.open, value, -np.inf)
        group = self.groups.get(offer.customer_id)
        made = decide_one(self.desk, offer.customer_id, value, self.costs, group, np.where(offer.open, error, 0.0))
        wanted = made.channels[0] if made.channels else None
        closed = {name for name, is_open in zip(channels, offer.open, strict=True) if not is_open}
        chance: dict[str | None, float] = {None: float(made.propensity[0])}
        for name, each in zip(channels, made.propensity[1:].tolist(), strict=True):
            chance[None if name in closed else name] = each + chance.get(None if name in closed else name, 0.0)
        channel = None if wanted in closed else wanted
        return Made(
            channel,
            made.role,
            self._reason(offer, made.role, wanted, planned=made.planned),
            {action: min(each, 1.0) for action, each in chance.items() if each > 0},  # rounding may exceed one
        )

    def _reason(self, offer: Offer, role: str, wanted: str | None, *, planned: bool) -> str:
        closed = dict(zip(self.desk.saved.channels, offer.reason, strict=True))
        if role == ROLES[INELIGIBLE]:
            return "; ".join(dict.fromkeys(filter(None, offer.reason))) or "not eligible when the plan was made"
        if wanted is not None and not offer.open[self.desk.saved.channels.index(wanted)]:
            return f"meant for {wanted}, which has closed since the plan: {closed[wanted]}"
        if role != ROLES[PLAN]:
            return _REASONS[role]
        if planned:
            return "as planned"
        by = "the plan's prices" if self.priced else "net value, since no plan of the campaign was given"
        return f"by {by}" if wanted is not None else f"no channel is worth its cost, by {by}"


@dataclass(frozen=True)
class _Stamps:
    """When the files of a plan were written."""

    plan: int
    prices: int


class Desks:
    """The desks of all campaigns."""

    def __init__(self, params: Params, plans: Sequence[Path], connection: duckdb.DuckDBPyConnection) -> None:
        """Reads every plan.

        Args:
            params: shares, seed and costs, where there is no plan.
            plans: files that `channelwise plan` wrote, their prices beside them.
            connection: holds the view `customers`, for the columns that limits of groups name.

        Raises:
            DataError: a plan or its prices are missing or damaged.
            UsageError: a plan is of other channels, or of several contacts a customer.
        """
        self._params, self.connection = params, connection
        self._costs = np.array([params.channels[name].unit_cost for name in params.outbound])
        self._plain: dict[str, CampaignDesk] = {}
        self._planned: dict[Path, dict[str, CampaignDesk]] = {}
        self._seen: dict[Path, _Stamps | None] = {}
        for plan in plans:
            self._seen[plan] = _stamps(plan)
            self._planned[plan] = dict(self._opened(plan))

    def of(self, campaign_id: str) -> CampaignDesk:
        """The campaign's desk."""
        for desks in self._planned.values():
            if campaign_id in desks:
                return desks[campaign_id]
        if campaign_id not in self._plain:
            if len(self._plain) >= MOST_CAMPAIGNS:
                self._plain.clear()
            desk = Desk(self._wide(campaign_id), campaign_id)
            self._plain[campaign_id] = CampaignDesk(desk, self._costs, priced=False, groups={})
        return self._plain[campaign_id]

    def renew(self) -> list[str]:
        """Read what was written anew, and say what was taken or refused; of a damaged plan the old one stays."""
        said = []
        for plan, seen in list(self._seen.items()):
            stamps = _stamps(plan)
            if stamps in (seen, None):
                continue
            self._seen[plan] = stamps
            try:
                self._planned[plan] = dict(self._opened(plan))
            except ChannelwiseError as error:
                said.append(f"the plan offered was refused, the old one stays: {error}")
            else:
                said.append(f"now deciding by {plan.name}")
        return said

    def _opened(self, plan: Path) -> Iterator[tuple[str, CampaignDesk]]:
        prices = plan.with_name(f"{plan.stem}.prices.json")
        saved = read_prices(prices)
        if saved.channels != self._params.outbound:
            raise UsageError(
                f"{prices}: is of the channels {', '.join(saved.channels)}; the parameters declare "
                f"{', '.join(self._params.outbound)} as outbound; plan again"
            )
        if saved.contacts_per_customer != 1:
            raise UsageError(
                f"{prices}: is of a plan with {saved.contacts_per_customer} contacts a customer; a decision makes one; "
                "plan with planning.contacts_per_customer: 1"
            )
        for campaign in saved.randomness.campaigns:
            desk = open_desk(prices, campaign, plan)
            yield campaign, CampaignDesk(desk, self._costs, priced=True, groups=self._groups(desk.columns))

    def _groups(self, columns: Sequence[str]) -> dict[str, dict[str, str]]:
        """What the customers table says of these columns; prices of others are not paid."""
        with self.connection.cursor() as cursor:
            there = [name for name in columns if name in cursor.sql("SELECT * FROM customers LIMIT 0").columns]
            if not there:
                return {}
            picked = ", ".join(f"CAST({quoted(name)} AS VARCHAR)" for name in there)
            rows = cursor.sql(f"SELECT customer_id, {picked} FROM customers").fetchall()  # noqa: S608  quoted
        return {
            customer_id: {name: value for name, value in zip(there, values, strict=True) if value is not None}
            for customer_id, *values in rows
        }

    def _wide(self, campaign_id: str) -> SavedPrices:
        """Prices of a campaign without limits."""
        params, planning = self._params, self._params.planning
        return SavedPrices(
            format=FORMAT,
            channels=params.outbound,
            limits=(),
            randomness=Randomness.of(planning, (campaign_id,), params.seed),
            thinning={campaign_id: dict.fromkeys(params.outbound, 1.0)},
            exploration=planning.exploration,
            risk=planning.risk,
            contacts_per_customer=1,
            interval=planning.interval,
            params_digest=digest(params),
        )


def _stamps(plan: Path) -> _Stamps | None:
    """None while a file is missing."""
    try:
        return _Stamps(plan.stat().st_mtime_ns, plan.with_name(f"{plan.stem}.prices.json").stat().st_mtime_ns)
    except OSError:
        return None
