"""Histories that look for trouble: ties, duplicates, events at the very edge of a window, nobody's events, thousands.

Everything is built from a seed, so that a failing example shrinks to a seed and sizes and can be built again.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from contract.params import Params
from features.events import Codebook, EventCode, Events, Spine

DAY = 86_400_000_000
START = 19_700 * DAY + 1
HISTORY_DAYS = 900


@dataclass(frozen=True)
class World:
    """Events of a few customers and rows about them."""

    codebook: Codebook
    events: Events
    spine: Spine


def make_codebook(params: Params, rng: np.random.Generator, entries: int = 120) -> Codebook:
    """A codebook in arbitrary order that covers every kind, every channel, and no category as well as some."""
    categories = ("garden", "sport")
    kinds = list(params.all_kinds)
    channels = [*params.channels]
    found = [EventCode("held_out", None, None, False)]
    for i in range(entries):
        kind = "sent" if i % 4 == 0 else kinds[i % len(kinds)]
        channel = channels[int(rng.integers(len(channels)))]
        category = (None, *categories)[int(rng.integers(3))]
        found.append(EventCode(kind, channel, category, bool(rng.random() < 0.1)))
    unique = list(dict.fromkeys(found))
    order = rng.permutation(len(unique))
    return Codebook(tuple(unique[i] for i in order), categories, tuple(channels), params.outbound)


def make_world(params: Params, seed: int, customers: int, events: int, rows: int) -> World:
    """Some customers with up to `events` events and up to `rows` rows each; times collide on purpose."""
    rng = np.random.default_rng(seed)
    codebook = make_codebook(params, rng)
    times = [hostile_times(rng, params, int(rng.integers(0, events + 1))) for _ in range(customers)]
    as_ofs = [hostile_rows(rng, params, known, int(rng.integers(0, rows + 1))) for known in times]
    customer = np.repeat(np.arange(customers), [len(each) for each in times])
    moment = np.concatenate([np.empty(0, np.int64), *times])
    code = rng.integers(len(codebook.entries), size=len(moment)).astype(np.uint16)
    cents = np.where(rng.random(len(moment)) < 0.5, 0, rng.integers(0, 50_000, size=len(moment)))
    row_customer = np.repeat(np.arange(customers), [len(each) for each in as_ofs])
    as_of = np.concatenate([np.empty(0, np.int64), *as_ofs])
    action = rng.integers(len(codebook.outbound) + 1, size=len(as_of)).astype(np.int16)
    category = rng.integers(-1, len(codebook.categories), size=len(as_of)).astype(np.int16)
    events_sorted = sorted_events(100, customers, customer, moment, code, cents)
    return World(codebook, events_sorted, Spine(row_customer + 100, as_of, action, category))


def hostile_times(rng: np.random.Generator, params: Params, count: int) -> npt.NDArray[np.int64]:
    """Times on a coarse grid (ties), on the same day, and just beside each other."""
    days = rng.integers(0, HISTORY_DAYS, size=count)
    hours = rng.choice(np.array([0, 6, 12, 23]), size=count)
    jitter = rng.choice(np.array([0, 0, 0, 1, -1, 60_000_000, 1_234_567_891]), size=count)
    moments = START + days * DAY + hours * 3_600_000_000 + jitter
    window = int(rng.choice(np.array(params.features.windows_days)) * DAY)
    again = rng.random(count) < 0.25
    if count:
        moments[again] = moments[rng.integers(count, size=int(again.sum()))] + rng.choice(
            np.array([0, 0, window, window - 1, window + 1]), size=int(again.sum())
        )
    return np.asarray(moments, np.int64)


def hostile_rows(
    rng: np.random.Generator, params: Params, times: npt.NDArray[np.int64], count: int
) -> npt.NDArray[np.int64]:
    """Moments at an event to the microsecond, a window or the lookback after it, one beside that, or anywhere."""
    features = params.features
    spans = [0, 0, *(int(days * DAY) for days in (*features.windows_days, features.lookback_days))]
    anywhere = START + rng.integers(0, (HISTORY_DAYS + 100) * DAY, size=count)
    beside = rng.choice(np.array(spans), size=count) + rng.choice(np.array([-1, 0, 0, 1]), size=count)
    at_events = rng.choice(times, size=count) + beside if len(times) else anywhere
    return np.sort(np.where(rng.random(count) < 0.7, at_events, anywhere))


def sorted_events(
    first_customer: int,
    customers: int,
    customer: npt.NDArray[np.int64],
    moment: npt.NDArray[np.int64],
    code: npt.NDArray[np.uint16],
    cents: npt.NDArray[np.int64],
) -> Events:
    """Events in the order of the contract: customer, time, code, cents."""
    order = np.lexsort((cents, code, moment, customer))
    offsets = np.concatenate([[0], np.cumsum(np.bincount(customer, minlength=customers))]).astype(np.int64)
    return Events(first_customer, offsets, moment[order], code[order], cents[order])
