"""The retailer's tables as Arrow, from the arrays of the simulation; simulates nothing and writes no file."""

from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from contract.params import Params
from simulation.compiled import compiled
from simulation.contact import PURCHASED, RETURNED, SENT
from simulation.outlook import Outlook
from simulation.people import ACQUISITION, GENDERS, REGIONS, People
from simulation.state import Log
from simulation.tastes import NEVER, Traits
from simulation.world import (
    CAMPAIGN_TYPES,
    CATEGORIES,
    CHANNELS,
    GRANTED,
    KINDS,
    OUTBOUND,
    STEP,
    VECTOR,
    WITHDRAWN,
    Campaigns,
    Longs,
)

TIME: Final = pa.timestamp("us", tz="UTC")
_LOYALTY: Final = ("none", "bronze", "silver", "gold")
_SEND_WIDTH: Final = 14
_ID_WIDTH: Final = 9


def customers_table(people: People) -> pa.Table:
    """`customers`, with a column (`loyalty_tier`) that no shipped parameter names as a feature."""
    return pa.table(
        {
            "customer_id": customer_ids(people.number),
            "birth_year": pa.array(people.birth_year, pa.int32(), mask=people.birth_year == 0),
            "gender": words(people.gender, GENDERS),
            "region": words(people.region, REGIONS),
            "signup_at": times(people.signup_s),
            "acquisition_channel": words(people.acquisition, ACQUISITION),
            "loyalty_tier": words(people.loyalty, _LOYALTY),
        }
    )


def interactions_table(
    log: Log, rows: Longs, people: People, campaign_ids: tuple[str, ...], params: Params
) -> pa.Table:
    """`interactions` from the log's `rows`, in their order; `people` are the block's customers."""
    unit_costs = np.array([params.channels[name].unit_cost for name in OUTBOUND])
    kind, channel, campaign = log.kind[rows], log.channel[rows], log.campaign[rows]
    send, cents, propensity = log.send[rows], log.cents[rows], log.propensity[rows]
    sent = kind == SENT
    bought = (kind == PURCHASED) | (kind == RETURNED)
    costs = unit_costs[np.where(sent, channel, 0)]
    return pa.table(
        {
            "customer_id": pa.DictionaryArray.from_arrays(pa.array(log.customer[rows]), customer_ids(people.number)),
            "occurred_at": times(log.time_s[rows]),
            "channel": words(channel, CHANNELS),
            "kind": words(kind, KINDS),
            "campaign_id": words(campaign, campaign_ids),
            "send_id": send_ids(people.number[log.customer[rows]], send.astype(np.int64)),
            "value": pa.array(cents / 100.0, mask=~bought),
            "cost": pa.array(costs, mask=~sent),
            "propensity": pa.array(propensity, mask=propensity < 0.0),
        }
    )


def consents_table(log: Log, rows: Longs, people: People, traits: Traits, params: Params) -> pa.Table:
    """`consents`: first grants and refusals, then the log's withdrawals and new grants, where a channel needs one."""
    needed = np.array([params.channels[name].consent for name in OUTBOUND])
    given = (traits.granted_from_s != NEVER) & needed
    refused = (traits.granted_from_s == NEVER) & needed & ((people.number[:, None] + np.arange(len(OUTBOUND))) % 2 == 0)
    yes, no = np.nonzero(given), np.nonzero(refused)
    number = np.concatenate([people.number[yes[0]], people.number[no[0]], people.number[log.customer[rows]]])
    channel = np.concatenate([yes[1], no[1], log.channel[rows]])
    time_s = np.concatenate([traits.granted_from_s[given], people.signup_s[no[0]], log.time_s[rows]])
    granted = np.concatenate([np.ones(len(yes[0]), bool), np.zeros(len(no[0]), bool), log.kind[rows] == GRANTED])
    return pa.table(
        {
            "customer_id": customer_ids(number),
            "channel": words(channel, CHANNELS),
            "occurred_at": times(time_s),
            "granted": granted,
        }
    )


def campaigns_table(campaigns: Campaigns) -> pa.Table:
    """`campaigns`; the last row is the campaign to score."""
    return pa.table(
        {
            "campaign_id": campaigns.ids,
            "starts_at": times(campaigns.starts_s),
            "name": campaigns.names,
            "objective": pa.array(["sell"] * len(campaigns.ids)),
            "type": words(campaigns.campaign_type, CAMPAIGN_TYPES),
            "category": words(campaigns.category, CATEGORIES),
        }
    )


def propensities_table(log: Log, rows: Longs, ids: pa.Array, campaign_ids: tuple[str, ...]) -> pa.Table:
    """`propensities`: each bulk decision's whole vector."""
    return pa.table(
        {
            "customer_id": ids.take(pa.array(log.customer[rows])),
            "campaign_id": words(log.campaign[rows], campaign_ids),
            "channel": words(log.channel[rows], CHANNELS),
            "propensity": log.propensity[rows],
        }
    )


def response_table(ids: pa.Array, outlook: Outlook, margin: npt.NDArray[np.float64], params: Params) -> pa.Table:
    """True response and margin: a row per customer and action, channel null for no contact; with the contact's cost.

    margin: (n,) EUR of margin a purchase is expected to bring.
    """
    n = len(ids)
    costs = np.array([0.0] + [params.channels[name].unit_cost for name in OUTBOUND])
    return pa.table(
        {
            "customer_id": ids.take(pa.array(np.repeat(np.arange(n), len(costs)))),
            "channel": words(np.tile(np.arange(-1, len(OUTBOUND)), n), OUTBOUND),
            "probability": outlook.probability.ravel(),
            "expected_margin_eur": (outlook.purchases * margin[:, None]).ravel(),
            "cost_eur": np.tile(costs, n),
        }
    )


def shares_table(ids: pa.Array, values: npt.NDArray[np.float64], channels: tuple[str, ...], column: str) -> pa.Table:
    """One row per customer and channel, with `values` (n_customers, n_channels) in `column`."""
    n, k = values.shape
    return pa.table(
        {
            "customer_id": ids.take(pa.array(np.repeat(np.arange(n), k))),
            "channel": words(np.tile(np.arange(k), n), channels),
            column: values.ravel(),
        }
    )


def answer_table(ids: pa.Array, outlook: Outlook) -> pa.Table:
    """True probability of an answer per outbound channel."""
    return shares_table(ids, outlook.answer, OUTBOUND, "probability")


def opt_out_table(ids: pa.Array, outlook: Outlook) -> pa.Table:
    """True probability per outbound channel that a contact makes the customer opt out of it."""
    return shares_table(ids, outlook.opt_out, OUTBOUND, "probability")


def engagement_table(ids: pa.Array, outlook: Outlook) -> pa.Table:
    """True shares of the channels in each customer's own steps."""
    return shares_table(ids, outlook.share, STEP, "share")


def log_rows(log: Log) -> tuple[Longs, Longs, Longs]:
    """Rows of the log that are interactions, consents, propensity vectors."""
    kind = log.kind[: log.length[0]]
    consents = np.flatnonzero((kind == GRANTED) | (kind == WITHDRAWN))
    return np.flatnonzero(kind < len(KINDS)), consents, np.flatnonzero(kind == VECTOR)


def words(codes: npt.NDArray[Any], names: tuple[str, ...]) -> pa.Array:
    """Names by code, as a dictionary; null for -1."""
    return pa.DictionaryArray.from_arrays(pa.array(codes.astype(np.int32), mask=codes < 0), pa.array(list(names)))


def times(seconds: Longs) -> pa.Array:
    """Timestamps from seconds since 1970-01-01 UTC."""
    return pa.array(seconds * 1_000_000).cast(TIME)


def customer_ids(number: Longs) -> pa.Array:
    """`c` and eight digits."""
    text = np.empty((len(number), _ID_WIDTH), np.uint8)
    text[:, 0] = ord("c")
    _digits(text, 1, 9, number)
    return _strings(text, np.zeros(0, bool))


def send_ids(customer: Longs, send: Longs) -> pa.Array:
    """`s`, the customer's digits, and the number of the send in four more; null for -1."""
    text = np.empty((len(send), _SEND_WIDTH), np.uint8)
    text[:, 0] = ord("s")
    _digits(text, 1, 9, customer)
    text[:, 9] = ord("-")
    _digits(text, 10, _SEND_WIDTH, send)
    return _strings(text, send < 0)


@compiled
def _digits(text: npt.NDArray[np.uint8], start: int, stop: int, number: Longs) -> None:
    """Decimal digits of `number`, padded with zeros, into columns `start` to `stop`."""
    for i in range(len(number)):
        rest = number[i]
        for place in range(stop - 1, start - 1, -1):
            text[i, place] = 48 + rest % 10
            rest //= 10


def _strings(text: npt.NDArray[np.uint8], null: npt.NDArray[np.bool_]) -> pa.Array:
    """Strings of equal length from bytes (n, width), without a Python object each."""
    n, width = text.shape
    offsets = np.arange(n + 1, dtype=np.int32) * width
    missing = pa.py_buffer(np.packbits(~null, bitorder="little")) if len(null) else None
    return pa.StringArray.from_buffers(n, pa.py_buffer(offsets), pa.py_buffer(text), missing)
