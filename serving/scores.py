"""The tables that a scoring writes: their columns, and how predictions become rows; predicts and reads nothing."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa

Floats = npt.NDArray[np.float64]
Columns = Mapping[str, pa.Array | npt.NDArray[Any]]

SCORE_SCHEMA: Final = pa.schema(
    [
        ("customer_id", pa.string()),
        ("channel", pa.string()),
        ("preference", pa.float64()),
        ("preference_rank", pa.int32()),
        ("response", pa.float64()),
        ("response_lower", pa.float64()),
        ("response_upper", pa.float64()),
        ("response_no_contact", pa.float64()),
        ("uplift", pa.float64()),
        ("uplift_lower", pa.float64()),
        ("uplift_upper", pa.float64()),
        ("expected_value", pa.float64()),
        ("cost", pa.float64()),
        ("eligible", pa.bool_()),
        ("reason", pa.string()),
        ("evidence", pa.string()),
        ("campaign_id", pa.string()),
        ("as_of", pa.timestamp("us", tz="UTC")),
        ("model_version", pa.string()),
    ]
)
"""Columns of the scores file: one row per customer and outbound channel."""

ENGAGEMENT_SCHEMA: Final = pa.schema(
    [
        ("customer_id", pa.string()),
        ("channel", pa.string()),
        ("preference", pa.float64()),
        ("preference_rank", pa.int32()),
        ("as_of", pa.timestamp("us", tz="UTC")),
        ("model_version", pa.string()),
    ]
)
"""Columns of the engagement file: one row per customer and channel that carries own steps."""


@dataclass(frozen=True)
class Stamp:
    """What every row of one scoring has in common."""

    campaign_id: str
    as_of_us: int
    model_version: str


@dataclass(frozen=True)
class Predictions:
    """What a block of n customers was predicted, over k outbound and m own-step channels.

    Probabilities in [0, 1], NaN where unmeasured: response, response_lower, response_upper (n, k); no_contact (n,);
    uplift, uplift_lower, uplift_upper (n, k); contact (n, k) and engagement (n, m) sum to one per customer.
    worth: (n,) EUR a response is worth.
    """

    response: Floats
    response_lower: Floats
    response_upper: Floats
    no_contact: Floats
    uplift: Floats
    uplift_lower: Floats
    uplift_upper: Floats
    contact: Floats
    engagement: Floats
    worth: Floats


def joined(parts: Sequence[Predictions]) -> Predictions:
    """Predictions of blocks of customers, one after another."""
    if len(parts) == 1:
        return parts[0]
    return Predictions(**{name: np.concatenate([getattr(part, name) for part in parts]) for name in vars(parts[0])})


def in_order(predictions: Predictions, order: npt.NDArray[np.int64]) -> Predictions:
    """The same predictions with customer `order[i]` at place i."""
    return Predictions(**{name: column[order] for name, column in vars(predictions).items()})


@dataclass(frozen=True)
class Access:
    """Which outbound channels a block of n customers may be contacted on: eligible (n, k), and why not.

    words: texts. word: (n, k) the place among them of what is said of the channel, -1 for nothing.
    """

    eligible: npt.NDArray[np.bool_]
    words: tuple[str, ...]
    word: npt.NDArray[np.int64]

    @property
    def reason(self) -> npt.NDArray[np.object_]:
        """(n, k) what is said of each channel, None for nothing."""
        texts: npt.NDArray[np.object_] = np.array([*self.words, None], dtype=object)
        return texts[self.word]


NOT_PROFILED: Final = "no consent to profiling: scored as the population"
"""Reason of customers whose history may not be used, where no rule closes the channel."""


def marked(access: Access, rows: npt.NDArray[np.bool_], word: str) -> Access:
    """The same access; customers of `rows` (n,) say `word` on open channels."""
    said = np.where(rows[:, None] & access.eligible, len(access.words), access.word)
    return Access(access.eligible, (*access.words, word), said)


@dataclass(frozen=True)
class Standing:
    """`Access` as the scores bear it: eligible (n, k), reason (n * k,) numbered texts, by customer then channel."""

    eligible: npt.NDArray[np.bool_]
    reason: pa.DictionaryArray

    @classmethod
    def of(cls, access: Access) -> "Standing":
        """The access with the words that occur, numbered in the order in which they do; each is there but once."""
        different = list(dict.fromkeys(access.words))
        place = np.array([*map(different.index, access.words), -1], dtype=np.int64)[access.word.ravel()]
        found = pa.array(place, mask=place < 0).dictionary_encode()
        words = pa.array(different, pa.string()).take(found.dictionary)
        return cls(access.eligible, pa.DictionaryArray.from_arrays(found.indices, words))


def over_open_channels(preference: Floats, open_channels: npt.NDArray[np.bool_]) -> Floats:
    """`preference` (n, k) renormalised over each customer's open channels; over all where none is open.

    The question is which of the channels open to the customer would bring the next answer, so a closed one has 0. Open
    ones on which no answer was ever seen are alike.
    """
    asked = open_channels | ~open_channels.any(axis=1, keepdims=True)
    kept = np.where(asked, preference, 0.0)
    total = kept.sum(axis=1, keepdims=True)
    if (total > 0).all():
        return np.asarray(kept / total)
    even = asked / asked.sum(axis=1, keepdims=True)
    return np.asarray(np.divide(kept, total, out=even, where=total > 0))


def ranks(preference: Floats) -> npt.NDArray[np.int32]:
    """Rank of each channel per customer, 1 the most preferred; ties in channel order. Shape as given."""
    order = np.argsort(-preference, axis=1, kind="stable")
    result = np.empty(preference.shape, dtype=np.int32)
    result[np.arange(len(order))[:, None], order] = np.arange(1, preference.shape[1] + 1, dtype=np.int32)
    return result


def score_table(
    ids: pa.Array,
    channels: tuple[str, ...],
    predictions: Predictions,
    standing: Standing,
    costs: Floats,
    evidence: tuple[str, ...],
    stamp: Stamp,
) -> pa.Table:
    """Rows of the scores file for n customers, by customer then channel; costs: (k,) EUR; evidence: one per channel.

    Texts are numbered (Arrow dictionaries), as most rows repeat them.
    """
    n, k = len(ids), len(channels)
    preference = over_open_channels(predictions.contact, standing.eligible)
    columns: Columns = {
        "customer_id": _repeated(ids, k),
        "channel": _tiled(channels, n),
        "preference": preference.ravel(),
        "preference_rank": ranks(preference).ravel(),
        "response": predictions.response.ravel(),
        "response_lower": predictions.response_lower.ravel(),
        "response_upper": predictions.response_upper.ravel(),
        "response_no_contact": np.repeat(predictions.no_contact, k),
        "uplift": predictions.uplift.ravel(),
        "uplift_lower": predictions.uplift_lower.ravel(),
        "uplift_upper": predictions.uplift_upper.ravel(),
        "expected_value": (predictions.uplift * predictions.worth[:, None]).ravel(),
        "cost": np.tile(costs, n),
        "eligible": standing.eligible.ravel(),
        "reason": standing.reason,
        "evidence": _tiled(evidence, n),
        "campaign_id": _tiled((stamp.campaign_id,), n * k),
    }
    return _stamped(columns, SCORE_SCHEMA, stamp)


def engagement_table(ids: pa.Array, channels: tuple[str, ...], engagement: Floats, stamp: Stamp) -> pa.Table:
    """Rows of the engagement file for n customers, by customer then channel; `engagement` (n, m) sums to one."""
    n, m = len(ids), len(channels)
    columns: Columns = {
        "customer_id": _repeated(ids, m),
        "channel": _tiled(channels, n),
        "preference": engagement.ravel(),
        "preference_rank": ranks(engagement).ravel(),
    }
    return _stamped(columns, ENGAGEMENT_SCHEMA, stamp)


def _repeated(texts: pa.Array, times: int) -> pa.DictionaryArray:
    """Each text so many times."""
    numbered = texts.dictionary_encode()
    return pa.DictionaryArray.from_arrays(np.repeat(numbered.indices.to_numpy(), times), numbered.dictionary)


def _tiled(texts: tuple[str, ...], times: int) -> pa.DictionaryArray:
    """All texts, so many times; a dictionary must hold each but once."""
    different = list(dict.fromkeys(texts))
    numbers = np.array([different.index(text) for text in texts], dtype=np.int32)
    return pa.DictionaryArray.from_arrays(np.tile(numbers, times), pa.array(different, pa.string()))


def _stamped(columns: Columns, schema: pa.Schema, stamp: Stamp) -> pa.Table:
    rows = len(columns["customer_id"])
    moment = np.full(rows, stamp.as_of_us, dtype="datetime64[us]")
    every = {**columns, "as_of": moment, "model_version": _tiled((stamp.model_version,), rows)}
    arrays = [
        values if isinstance(values := every[field.name], pa.Array) else pa.array(values, field.type, from_pandas=True)
        for field in schema
    ]
    return pa.table(dict(zip(schema.names, arrays, strict=True)))
