"""What a joint plan of all campaigns uses of each limit and what one more is worth, in the user's terms."""

from dataclasses import dataclass

import numpy as np

from contract.params import Planning
from serving.choosing import Certified
from serving.demand import Offers
from serving.limit_table import Kind, LimitRow, LimitTable
from serving.roles import NO_STATE
from serving.rounding import tally
from serving.sets import Actions, Floats


@dataclass(frozen=True)
class LimitFigure:
    """One limit: what it counts, how much is used, what one unit more (of a minimum: one less) is worth.

    limit, used: EUR of a budget, else contacts; of a minimum only those that the plan decides. price_eur: EUR a
    contact, or EUR per EUR of a budget.
    """

    kind: Kind
    channel: str | None
    campaign: str | None
    group: dict[str, str]
    limit: float
    used: float
    price_eur: float
    name: str
    text: str

    @property
    def binds(self) -> bool:
        """Whether more of it would earn more."""
        return self.price_eur > 0


@dataclass(frozen=True)
class JointFigures:
    """The plan of all campaigns together: its certificate, its limits and what it assumes; money in EUR."""

    campaigns: tuple[str, ...]
    customers: int
    contacted: int
    contacts: int
    control_group: int
    contacts_per_customer: int
    gap_hours: float
    further_contact_worth: float
    risk: str
    exploration: str
    value_eur: float
    bound_eur: float
    gap: float
    method: str
    exact_propensities: bool
    limits: tuple[LimitFigure, ...]
    assumptions: tuple[str, ...]


def joint_figures(
    campaigns: tuple[str, ...], offers: Offers, limits: LimitTable, chosen: Certified, planning: Planning
) -> JointFigures:
    """The figures of a certified choice within `limits`, those of plan and exploration together."""
    picks = chosen.drawing.picks
    return JointFigures(
        campaigns=campaigns,
        customers=len(offers),
        contacted=int((picks[:, 0] >= 0).sum()),
        contacts=int((picks >= 0).sum()),
        control_group=int(chosen.drawing.drawn.control.sum()),
        contacts_per_customer=planning.contacts_per_customer,
        gap_hours=planning.gap_hours,
        further_contact_worth=planning.further_contact_worth,
        risk=planning.risk,
        exploration=planning.exploration,
        value_eur=chosen.value_eur,
        bound_eur=chosen.bound_eur,
        gap=chosen.gap,
        method=chosen.method,
        exact_propensities=chosen.exact_propensities,
        limits=_figures(offers, limits, chosen),
        assumptions=_assumptions(planning, len(campaigns)),
    )


def _figures(offers: Offers, limits: LimitTable, chosen: Certified) -> tuple[LimitFigure, ...]:
    drawing = chosen.drawing
    planned = np.where((drawing.actual > NO_STATE)[:, None], drawing.picks, np.int16(-1))
    use = np.where(limits.sign < 0, _use(offers, limits, planned), _use(offers, limits, drawing.picks))
    values = zip(limits.rows, use, chosen.prices.each, strict=True)
    return tuple(
        LimitFigure(
            row.kind,
            row.channel,
            row.campaign,
            dict(row.group),
            row.bound,
            float(used),
            float(price),
            row.name,
            _text(row, price),
        )
        for row, used, price in values
    )


def _use(offers: Offers, limits: LimitTable, picks: Actions) -> Floats:
    count, spent, _ = tally(offers, picks, limits.shape)
    return limits.use(count, spent)


def _text(row: LimitRow, price: float) -> str:
    """The price of a limit in the user's terms."""
    return price_text(row.kind, row.where, price)


def price_text(kind: Kind, where: str, price: float) -> str:
    """What one unit more of a limit is worth (of a minimum: one less), in the user's terms.

    >>> price_text("capacity", "phone", 1.84)
    'one more contact by phone is worth 1.84 EUR'
    >>> price_text("budget", "", 3.1)
    'the last euro of the budget earns 3.10 EUR net'
    >>> price_text("minimum", "email", 0.0)
    'costs nothing'
    """
    if price == 0:
        return "costs nothing" if kind == "minimum" else "has no price: more of it would change nothing"
    by = "" if not where else f" {where}" if where.startswith("(") else f" by {where}"
    if kind == "budget":
        return f"the last euro of the budget{by} earns {_amount(price)} EUR net"
    if kind == "capacity":
        return f"one more contact{by} is worth {_amount(price)} EUR"
    return f"one contact fewer demanded{by} is worth {_amount(price)} EUR"


def _amount(eur: float) -> str:
    """Cents, or two digits of what is less than ten of them."""
    return f"{eur:,.2f}" if eur >= 0.1 else f"{eur:.2g}"


def _assumptions(planning: Planning, campaigns: int) -> tuple[str, ...]:
    lines = ["baselines know no limits of groups and campaigns; each campaign's may use all others alone"]
    if planning.contacts_per_customer > 1:
        lines.append(
            f"the j-th contact of one campaign with a customer keeps {planning.further_contact_worth:g}^(j-1) of its "
            f"value and follows {planning.gap_hours:g} h after the one before; contacts of different campaigns add up"
        )
    if campaigns > 1:
        lines.append("roles are drawn for each campaign on its own; who explores in one is planned in none")
    if planning.risk == "lower":
        lines.append("options are chosen by the lower end of the interval of their uplift, reported by their mean")
    return tuple(lines)
