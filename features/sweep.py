"""Runs a program over events: one pass over each customer's history, for all rows about them; keeps no state.

The same call serves training (each decision at its own as_of), batch (all customers at one as_of) and online (one
customer), so they cannot differ. An event counts for a row if `as_of - lookback <= time < as_of`; events tied in time
are one moment, whose order changes nothing.
"""

from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from contract.errors import UsageError
from features import layout as k
from features.blocks import no_events, read_only, split
from features.compiler import Program, compile_program
from features.events import Codebook, Events, Spine
from features.kernel import run_sweep
from features.narrow import NarrowEvents

CACHED_EVENTS: Final = 40_000
"""Events whose wide columns, 18 bytes each, stay in a core's cache until they are swept."""

ROWS_WORTH_A_THREAD: Final = 2_000
"""Below it, some milliseconds of work, starting another thread costs more than it saves."""

REASONS: Final = {
    k.UNKNOWN_CUSTOMER: "customer {customer} is not among the events given; pass the block that holds it",
    k.UNSORTED_ROWS: "its as_of lies before that of the customer's row above; sort the rows by (customer, as_of)",
    k.UNKNOWN_ACTION: "action {action} is neither 0 (none) nor an outbound channel counted from 1",
    k.UNKNOWN_CATEGORY: "category {category} is not one of the codebook's; compile the program from the same codebook",
    k.UNKNOWN_CODE: "customer {customer} has events whose code the program does not know; compile it from the codebook "
    "that wrote them",
}


def sweep(program: Program, events: Events, spine: Spine, out: npt.NDArray[np.float32], *, threads: int = 1) -> None:
    """Compute the program's features for the rows of the spine.

    Args:
        program: Compiled features.
        events: Whole customers' events; every customer of the spine is among them.
        spine: (n_rows,) rows, ascending by (customer, as_of).
        out: (n_rows, width) C-ordered, width at least the number of features; columns from 0 are written, others kept.
        threads: Threads among which whole customers are split; the result does not depend on it.

    Raises:
        UsageError: The spine is not sorted, names a customer, action or category that is not there, or the events hold
            codes that the program does not know; `out` then holds part of the result.
    """
    rows = len(spine)
    if out.shape[0] != rows or out.shape[1] < len(program.features) or not out.flags.c_contiguous:
        raise UsageError(
            f"sweep: out has shape {out.shape} and strides {out.strides}; expected C order with {rows} rows and at "
            f"least {len(program.features)} columns"
        )
    parts = min(threads, 1 + rows // ROWS_WORTH_A_THREAD)
    if parts == 1:
        _run(program, events, spine, out, 0, rows)
        return
    bounds = split_rows(events, spine, parts)
    with ThreadPoolExecutor(parts) as pool:
        work = [pool.submit(_run, program, events, spine, out, begin, end) for begin, end in pairwise(bounds)]
        for each in work:
            each.result()


def prepare() -> None:
    """Load the compiled kernel, or compile it where no cache holds it, before the first rows.

    Compiling takes about ten seconds, once an installation; loading a quarter of one.
    """
    program = compile_program((), Codebook((), (), (), ()), (1.0, 2.0, 3.0, 4.0))
    rows = np.zeros(0, np.int64)
    spine = Spine(rows, rows, np.zeros(0, np.int16), np.zeros(0, np.int16))
    sweep(program, no_events(0, 1), spine, np.zeros((0, 0), np.float32))


def split_rows(events: Events, spine: Spine, parts: int) -> list[int]:
    """Bounds of `parts` runs of rows, cut between customers so that events and rows are about even."""
    customers, first_rows = np.unique(spine.customer, return_index=True)
    local = np.clip(customers - events.first_customer, 0, len(events.offsets) - 2)
    rows = np.diff(first_rows, append=len(spine))
    work = np.cumsum(events.offsets[local + 1] - events.offsets[local] + 8 * rows)
    cuts = np.searchsorted(work, work[-1] * np.arange(1, parts) / parts)
    return [0, *(int(first_rows[cut]) for cut in cuts), len(spine)]


def _run(program: Program, events: Events, spine: Spine, out: npt.NDArray[np.float32], begin: int, end: int) -> None:
    if not isinstance(events, NarrowEvents) or len(events.code) <= CACHED_EVENTS:
        _run_piece(program, events, spine, out, begin, end)
        return
    # Widened in pieces that stay in the cache, and by the thread that sweeps them.
    customers, at = spine.customer[begin:end], begin
    for piece in split(events, CACHED_EVENTS, customers):
        upto = begin + int(np.searchsorted(customers, piece.first_customer + len(piece.offsets) - 1))
        _run_piece(program, piece, spine, out, at, upto)
        at = upto
    if at < end:
        _run_piece(program, no_events(events.first_customer, 0), spine, out, at, end)


def _run_piece(
    program: Program, events: Events, spine: Spine, out: npt.NDArray[np.float32], begin: int, end: int
) -> None:  # the arguments of `sweep`, and the rows that are about these events
    rows: tuple[npt.NDArray[Any], ...] = (spine.customer, spine.as_of_us, spine.action, spine.category)
    if begin or end < len(spine):
        rows, out = tuple(column[begin:end] for column in rows), out[begin:end]
    inputs = (
        program.words,
        program.reals,
        events.first_customer,
        read_only(events.offsets),
        read_only(events.time_us),
        read_only(events.code),
        read_only(events.cents),
        *map(read_only, rows),
        out,
    )
    status, row = run_sweep(*inputs)
    if status == k.STALE:
        run_sweep.recompile()
        status, row = run_sweep(*inputs)
    if status != k.OK:
        at = begin + row
        reason = REASONS[status].format(
            customer=spine.customer[at], action=spine.action[at], category=spine.category[at]
        )
        raise UsageError(f"spine: row {at}: {reason}")
