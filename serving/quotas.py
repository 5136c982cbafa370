"""Exploration's part of every limit, fixed before anybody is drawn; draws nobody.

A limit is granted the expected use and three standard deviations, but no more than the declared share of it, nor what
the minimums within it need. Where that is too little, the options that it counts are thinned for all customers alike;
of EUR, dear options are cut to an equal amount each until all fit. With several campaigns each has its own part, so
that what one explores tells the other's propensities nothing.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from serving.clashes import least_eur
from serving.demand import Offers
from serving.limit_table import LimitTable
from serving.limits import BUDGET_SLACK
from serving.sets import Floats

QUOTA_DEVIATIONS = 3.0
"""Standard deviations above the expected draws that an unhindered exploration may use, so that it rarely ends early."""


@dataclass(frozen=True)
class Quota:
    """use: (campaigns, l) contacts or EUR that each campaign's exploration may use; inf of a minimum.

    weight: (S, k) thinning in [0, 1] that keeps it.
    """

    use: Floats
    weight: Floats

    @property
    def total(self) -> Floats:
        """(l,) of all campaigns, 0 of minimums."""
        total = self.use.sum(axis=0)
        return np.where(np.isfinite(total), total, 0.0)


def no_quota(limits: LimitTable, campaigns: int) -> Quota:
    """Where nobody explores."""
    nothing = np.where(limits.sign > 0, 0.0, np.inf)
    return Quota(np.tile(nothing, (campaigns, 1)), np.ones(limits.shape))


def exploration_quota(
    weights: npt.NDArray[np.float32], chance: Floats, offers: Offers, limits: LimitTable, limit_share: float
) -> Quota:
    """The quotas of all campaigns.

    Args:
        weights: (n, k + campaigns) how often each option is drawn, then no contact in each campaign; in any unit.
        chance: (n, campaigns) probability that a customer explores in it.
        offers: who may be contacted, at which cost.
        limits: of plan and exploration together.
        limit_share: in [0, 1], of each limit that exploration may use at most.
    """
    expected, cost = _expected(weights, chance, offers, limits)
    kinds = np.where(limits.money[:, None], cost.reshape(-1), 1.0)
    needs = limits.cells.multiply(kinds) @ expected.reshape(-1)
    squares = limits.cells.multiply(kinds**2) @ expected.reshape(-1)
    wanted = needs + QUOTA_DEVIATIONS * np.sqrt(squares)
    wanted = np.where(limits.money, wanted, np.ceil(wanted))
    most = limit_share * limits.bound
    spare = limits.bound - _kept_for_minimums(offers, limits)
    granted = np.minimum(np.minimum(wanted, np.where(limits.money, most, np.floor(most + BUDGET_SLACK))), spare)
    granted = np.maximum(0.0, np.where(limits.money, granted, np.floor(granted)))
    weight = _thinned(granted, expected, cost, limits)
    return Quota(_shared_out(granted, expected, kinds, offers, limits), weight)


def _expected(
    weights: npt.NDArray[np.float32], chance: Floats, offers: Offers, limits: LimitTable
) -> tuple[Floats, Floats]:
    """(S, k) contacts that unhindered exploration draws on average, and their mean cost, EUR."""
    k = limits.shape[1]
    draws = np.zeros((len(offers), k))
    for campaign in range(chance.shape[1]):
        inside = offers.rules.campaign == campaign
        total = weights[:, :k][:, inside].sum(axis=1, dtype=np.float64) + weights[:, k + campaign]
        share = np.divide(chance[:, campaign], total, out=np.zeros(len(total)), where=total > 0)
        draws[:, inside] = weights[:, :k][:, inside] * share[:, None]
    count, spent = _per_segment(draws, offers, limits), _per_segment(draws * offers.cost, offers, limits)
    mean = np.divide(spent, count, out=np.zeros_like(spent), where=count > 0)
    return count, mean


def _per_segment(values: Floats, offers: Offers, limits: LimitTable) -> Floats:
    if len(offers.segment) == 1:
        total: Floats = values.sum(axis=0, keepdims=True)
        return total
    return np.stack([np.bincount(offers.segment, each, limits.shape[0]) for each in values.T], axis=1)


def _kept_for_minimums(offers: Offers, limits: LimitTable) -> Floats:
    """(l,) contacts, or EUR at least, that the minimums within each limit need."""
    minimums = np.flatnonzero(limits.least)
    result = np.zeros(len(limits.rows))
    if not len(minimums):
        return result
    shared = (limits.cells @ limits.cells[minimums].T).toarray()
    inside = shared >= np.asarray(limits.cells[minimums].sum(axis=1)).reshape(1, -1)
    for limit in np.flatnonzero((limits.sign > 0) & inside.any(axis=1)):
        within = minimums[inside[limit]]
        if limits.money[limit]:
            result[limit] = least_eur(offers, limits, [int(each) for each in within], int(limit))
        else:
            result[limit] = limits.least[within].sum()
    return result


def _thinned(granted: Floats, expected: Floats, cost: Floats, limits: LimitTable) -> Floats:
    """(S, k) by how much each cell is thinned, so that no limit is used beyond what it is granted on average."""
    weight = np.ones(expected.size)
    for limit in np.flatnonzero((limits.sign > 0) & ~limits.money):
        cells = limits.cells.indices[limits.cells.indptr[limit] : limits.cells.indptr[limit + 1]]
        use = float(expected.reshape(-1)[cells].sum())
        if use > granted[limit]:
            weight[cells] = np.minimum(weight[cells], granted[limit] / use)
    for limit in np.flatnonzero(limits.money):
        cells = limits.cells.indices[limits.cells.indptr[limit] : limits.cells.indptr[limit + 1]]
        eur = (expected * cost).reshape(-1)[cells] * weight[cells]
        per_option: Floats = np.bincount(cells % limits.shape[1], eur, limits.shape[1]).astype(np.float64)
        cut = np.divide(
            _level(per_option, granted[limit]), per_option, out=np.ones(len(per_option)), where=per_option > 0
        )
        weight[cells] *= cut[cells % limits.shape[1]]
    return weight.reshape(limits.shape)


def _shared_out(
    granted: Floats, expected: Floats, kinds: npt.NDArray[np.float64], offers: Offers, limits: LimitTable
) -> Floats:
    """(campaigns, l): each limit's grant by what each campaign is expected to use of it."""
    campaigns = len(offers.rules.moment)
    use = np.zeros((campaigns, len(limits.rows)))
    for campaign in range(campaigns):
        own = expected * (offers.rules.campaign == campaign)
        use[campaign] = limits.cells.multiply(kinds) @ own.reshape(-1)
    total = use.sum(axis=0)
    part = np.divide(use, total, out=np.full(use.shape, 1.0 / campaigns), where=total > 0) * granted
    part = np.where(limits.money, part, np.floor(part + BUDGET_SLACK))
    return np.where(limits.sign > 0, part, np.inf)


def _level(amounts: Floats, total: float) -> Floats:
    """`amounts`, the largest cut to one level so that their sum is at most `total`."""
    if amounts.sum() <= total:
        return amounts
    rising = np.sort(amounts)
    below = np.concatenate([[0.0], np.cumsum(rising)[:-1]])
    levels = (total - below) / np.arange(len(amounts), 0, -1)
    first = int(np.argmax(levels <= rising))
    return np.minimum(amounts, max(0.0, levels[first]))
