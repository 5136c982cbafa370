"""Adds events to a timeline at the cost of those events and not of the history; never changes a file that is there.

What arrives is sorted into a segment of its own; all other files keep their content and get a second name in the new
folder, which takes the old one's place in one step. Once in a while all segments become one base again.
"""

import bisect
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from contract.errors import DataError, UsageError
from contract.files import atomic_folder
from contract.params import Params
from contract.progress import Progress, silent
from features.encoding import US_PER_SECOND, Clock, built_codebook, fitting_clock
from features.engines import DuckdbEngine, Source, Window, bounded, number_customers
from features.permission import standing_digest
from features.row_groups import GROUP_EVENTS
from features.segments import Arrivals, Longs, Segment, carry_over, next_index, write_segment
from features.timeline import Timeline, distinct, fitting_cents, kept_window, open_timeline, write_manifest

ADDED_SHARE: Final = 1 / 16
"""Added events for each of the base, beyond which all become one base again. A sixteenth of two years is 46 days: an
added event has then cost the rewriting of 16 others, whatever the length of the history, and a reader holds one event
in 16 in memory."""

MAX_SEGMENTS: Final = 64
"""Segments beyond which they become one base as well: opening reads a file of each."""


@dataclass(frozen=True)
class Compaction:
    """When segments become one base: by the share of added events, or the number of segments."""

    added_share: float = ADDED_SHARE
    max_segments: int = MAX_SEGMENTS

    def due(self, segments: tuple[Segment, ...]) -> bool:
        """Whether it is time."""
        added = sum(segment.rows for segment in segments[1:])
        return added > self.added_share * segments[0].rows or len(segments) > self.max_segments


@bounded("timeline")
def append_events(
    intake: Source,
    folder: Path,
    params: Params,
    *,
    into: Path | None = None,
    compaction: Compaction | None = None,
    progress: Progress = silent,
) -> Timeline:
    """Add events to a timeline, whole or not at all; it then reads as one built at once with the same codebook.

    Late events count if they lie in the window, which ends at the intake's as_of. An event that is there already is
    added once more: a timeline keeps no ids of events. Codes, and a campaign's category and type, stay as they were.

    Args:
        intake: Its interactions hold the new events only; its customers hold theirs, known or new; its consents are
            whole. Known customers need not be repeated.
        folder: The timeline to add to.
        params: Channels, lookback.
        into: Where to write; in place of `folder` by default.
        compaction: When segments become one base.
        progress: Told how many events are sorted and written.

    Raises:
        ArtefactError: The timeline, or a part of it, is missing or damaged.
        UsageError: The window would reach further back than the timeline's, or end before its end.
        DataError: Consents of known customers have changed; a customer id occurs twice; too many codes.
        StorageError: The folder cannot be written; the old timeline is whole.
    """
    old = open_timeline(folder)
    window = _later_window(old, kept_window(intake.as_of, params))
    engine = DuckdbEngine(intake, window)
    fresh = _fresh_ids(intake, old)
    consents = _unchanged_consents(intake, old, fresh)
    places, ids = _with_fresh(old.ids, fresh)
    _number_touched(intake, ids)
    survey = engine.survey()
    codes = built_codebook(survey.codes, engine.categories(), params, old.codebook)
    clock = fitting_clock(survey.first_us, survey.last_us, survey.whole_seconds)
    arrivals = Arrivals(len(ids), places, fresh, clock, fitting_cents(survey.widest_cents))
    segments = old.segments
    with atomic_folder(into or folder) as target:
        carry_over(folder, target, segments)
        if survey.rows or len(fresh):
            batches = engine.sorted_events(codes.entries, clock)
            added = write_segment(target, next_index(segments), arrivals, batches, GROUP_EVENTS, progress, survey.rows)
            segments = (*segments, added)
        write_manifest(target, segments, codes, window, consents)
        if len(segments) > 1 and (compaction or Compaction()).due(segments):
            _compact(target, progress)
    return open_timeline(into or folder)


def _later_window(old: Timeline, window: Window) -> Window:
    if window.until_us < old.window.until_us or window.since_us < old.window.since_us:
        raise UsageError(
            f"{old.folder}: holds {_shown(old.window)}; asked for {_shown(window)}; a timeline only grows forward; "
            "name a later --as-of and no longer features.lookback_days, or build it again from the whole history"
        )
    return window


def _shown(window: Window) -> str:
    since, until = (datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=us) for us in vars(window).values())
    return f"{since:%Y-%m-%dT%H:%M:%SZ} to {until:%Y-%m-%dT%H:%M:%SZ}"


def _fresh_ids(intake: Source, old: Timeline) -> pa.Array:
    """Ids that the timeline does not know, ascending."""
    rows = intake.connection.sql("SELECT CAST(customer_id AS VARCHAR) AS customer_id FROM customers")
    found = rows.to_arrow_table()["customer_id"].combine_chunks().cast(pa.large_string())
    numbers = pc.index_in(found, value_set=old.ids)
    if np.bincount(numbers.drop_null().to_numpy(), minlength=1).max() > 1:
        distinct(found.sort())
    return distinct(found.filter(numbers.is_null()).sort())


def _unchanged_consents(intake: Source, old: Timeline, fresh: pa.Array) -> str:
    if standing_digest(intake.connection, fresh) != old.consents:
        raise DataError(
            f"consents: to profiling or tracking, those of customers in {old.folder} are not the ones it was built "
            "with; events cannot be added then, since earlier ones would have to go or to come back; build it again "
            "from the whole history, without --update"
        )
    return standing_digest(intake.connection)


def _with_fresh(ids: pa.Array, fresh: pa.Array) -> tuple[Longs, pa.Array]:
    """The places of fresh ids among all, ascending, and all ids."""
    before = [bisect.bisect_left(range(len(ids)), each, key=lambda at: ids[at].as_py()) for each in fresh.to_pylist()]
    places = np.array(before, np.int64) + np.arange(len(before))
    if not len(fresh):
        return places, ids
    order = np.zeros(len(ids) + len(fresh), np.int64)
    order[places] = len(ids) + np.arange(len(fresh))
    order[np.delete(np.arange(len(order)), places)] = np.arange(len(ids))
    return places, pa.concat_arrays([ids, fresh]).take(pa.array(order))


def _number_touched(intake: Source, ids: pa.Array) -> None:
    """Make the table of numbers for the customers of the new events alone."""
    rows = intake.connection.sql("SELECT DISTINCT CAST(customer_id AS VARCHAR) AS customer_id FROM interactions")
    touched = rows.to_arrow_table()["customer_id"].combine_chunks().cast(pa.large_string())
    numbers = pc.index_in(touched, value_set=ids)
    number_customers(intake.connection, touched.filter(numbers.is_valid()), numbers.drop_null().cast(pa.uint32()))


def _compact(target: Path, progress: Progress) -> None:
    """Make one base of all segments in a folder that nobody reads yet."""
    grown = open_timeline(target)
    clock = _common_clock(grown)
    cents = max((np.dtype(segment.cents) for segment in grown.segments), key=lambda type_: type_.itemsize)
    numbers = np.arange(grown.n_customers)
    arrivals = Arrivals(grown.n_customers, numbers, grown.ids, clock, cents)
    batches, index = _batches(grown, clock), next_index(grown.segments)
    base = write_segment(target, index, arrivals, batches, GROUP_EVENTS, progress, grown.n_events)
    write_manifest(target, (base,), grown.codebook, grown.window, grown.consents)
    for segment in grown.segments:
        for file in segment.files:
            (target / file).unlink()
        (target / segment.folder).rmdir()


def _batches(timeline: Timeline, clock: Clock) -> Iterator[pa.RecordBatch]:
    for events in timeline.blocks(GROUP_EVENTS):
        counts = np.diff(events.offsets)
        number = np.repeat(np.arange(events.first_customer, events.first_customer + len(counts)), counts)
        columns = [number, clock.ticks(events.time_us), events.code, events.cents]
        yield pa.record_batch(columns, names=["number", "tick", "code", "cents"])


def _common_clock(timeline: Timeline) -> Clock:
    """The coarsest clock on which the times of every segment lie."""
    held = [segment for segment in timeline.segments if segment.parts]
    whole = all(segment.clock.tick_us == US_PER_SECOND for segment in held)
    first = max(timeline.window.since_us, min((part.first_us for each in held for part in each.parts), default=0))
    return fitting_clock(
        -(-first // US_PER_SECOND) * US_PER_SECOND if whole else first, timeline.window.until_us, whole
    )
