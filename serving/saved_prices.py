"""The prices of a plan as a file: for a what-if with other bounds, and for single requests online; plans nothing."""

import json
from dataclasses import asdict, dataclass
from hashlib import blake2b
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from contract.errors import DataError
from contract.params import Params
from serving.limit_table import LimitRow, LimitTable
from serving.roles import Randomness
from serving.sets import Floats

if TYPE_CHECKING:
    from serving.choosing import Certified

FORMAT = 1


@dataclass(frozen=True)
class PricedLimit:
    """A limit, and what one more unit of it is worth: EUR a contact, or EUR per EUR of a budget."""

    row: LimitRow
    price_eur: float


@dataclass(frozen=True)
class SavedPrices:
    """What single decisions and later plans need of a plan.

    limits: with their prices. randomness: shares, campaigns and seed of the draws. thinning: for each campaign and
    channel, of exploration where it is thinned most. exploration, risk, contacts_per_customer: as in the parameters.
    """

    format: int
    channels: tuple[str, ...]
    limits: tuple[PricedLimit, ...]
    randomness: Randomness
    thinning: dict[str, dict[str, float]]
    exploration: str
    risk: str
    contacts_per_customer: int
    interval: float
    params_digest: str

    @classmethod
    def of(cls, limits: LimitTable, chosen: "Certified", randomness: Randomness, params: Params) -> "SavedPrices":
        """Those of a certified plan within `limits`."""
        each = zip(limits.rows, chosen.prices.each, strict=True)
        k = len(limits.channels)
        return cls(
            format=FORMAT,
            channels=limits.channels,
            limits=tuple(PricedLimit(row, float(price)) for row, price in each),
            randomness=randomness,
            thinning={
                campaign: dict(
                    zip(limits.channels, map(float, chosen.thinning.min(axis=0)[at * k : (at + 1) * k]), strict=True)
                )
                for at, campaign in enumerate(randomness.campaigns)
            },
            exploration=params.planning.exploration,
            risk=params.planning.risk,
            contacts_per_customer=params.planning.contacts_per_customer,
            interval=params.planning.interval,
            params_digest=digest(params),
        )

    def as_json(self) -> str:
        """The prices as JSON with a stable order of keys."""
        return json.dumps(asdict(self), indent=2, ensure_ascii=False, allow_nan=False) + "\n"


def digest(params: Params) -> str:
    """A short fingerprint of all parameters, to see whether prices are of the same ones."""
    return blake2b(params.model_dump_json().encode(), digest_size=16).hexdigest()


def read_prices(path: Path) -> SavedPrices:
    """The prices that a plan wrote beside it.

    Raises:
        DataError: the file is missing or not of that form.
    """
    if not path.exists():
        raise DataError(f"{path}: is not there; `channelwise plan` writes NAME.prices.json beside its plan")
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
        if found["format"] != FORMAT:
            raise DataError(f"{path}: has format {found['format']}; expected {FORMAT}; plan again")
        return _restored(found)
    except (KeyError, TypeError, ValueError) as error:
        raise DataError(f"{path}: cannot be read as prices ({error}); plan again") from error


def _restored(found: dict[str, Any]) -> SavedPrices:
    limits = tuple(
        PricedLimit(LimitRow(**{**each["row"], "group": tuple(map(tuple, each["row"]["group"]))}), each["price_eur"])
        for each in found["limits"]
    )
    drawn = found["randomness"]
    randomness = Randomness(**{**drawn, "campaigns": tuple(drawn["campaigns"])})
    rest = {name: value for name, value in found.items() if name not in ("limits", "randomness", "channels")}
    return SavedPrices(limits=limits, randomness=randomness, channels=tuple(found["channels"]), **rest)


def start_from(saved: SavedPrices, limits: LimitTable) -> Floats:
    """(l,) the saved price of each limit that was there before, whatever its bound was; 0 of a new one."""
    known = {
        (each.row.kind, each.row.channel, each.row.campaign, each.row.group): each.price_eur for each in saved.limits
    }
    return np.array([known.get((row.kind, row.channel, row.campaign, row.group), 0.0) for row in limits.rows])
