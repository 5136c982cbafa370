"""The tables of a program under construction: gives each accumulator its cells and each code its work; runs nothing.

One accumulator serves all features that need it. A relative set (the row's own action or category) gets cells of its
own into which the kernel copies, at each row, those of the set that it stands for there.
"""

import math
from collections import defaultdict
from collections.abc import Callable, Sequence
from itertools import accumulate, chain
from typing import Any, Final, Literal

import numpy as np
import numpy.typing as npt

from contract.errors import UsageError
from features import layout as k
from features.elementary import decay_table
from features.event_sets import EventSet
from features.events import Codebook
from features.packing import (
    Instruction,
    arrays,
    in_fours,
    long_runs,
    n_log_n,
    padded,
    paired,
    quarters,
    together,
)

State = Literal["counts", "wide", "real"]

MAX_FLAGS: Final = 64
MAX_RHYTHMS: Final = 32
VIEWS: Final[dict[State, int]] = {"counts": k.COUNT_VIEWS, "wide": k.WIDE_VIEWS, "real": k.REAL_VIEWS}


class Tables:
    """Cells, instructions and outputs, collected feature by feature and written once by `words` and `reals`."""

    def __init__(self, codebook: Codebook, spans_us: Sequence[float]) -> None:
        self.codebook = codebook
        self.spans_us = tuple(spans_us)
        self.sections: defaultdict[int, list[int]] = defaultdict(list)
        self.factors: list[float] = []
        self._ratios: list[float] = []
        self._views: defaultdict[int, list[tuple[int, ...]]] = defaultdict(list)
        self._changing_priors: set[int] = set()
        self.template = [float("nan")] * k.FIRST_FREE_REAL
        self.template[k.ZERO_REAL : k.ZERO_REAL + k.DECAY_CELLS] = [0.0, -math.inf]
        # The empty list comes first: what the kernel reads of its first entry, and does not show, is then there.
        self.sections[k.LISTS] = [0, 0]
        self._free = {"counts": k.FIRST_FREE_COUNT, "wide": k.FIRST_FREE_WIDE}
        self._known: dict[tuple[object, ...], int] = {("list",): 0}
        self._counters: list[list[int]] = [[] for _ in codebook.entries]
        self._lasts: list[list[int]] = [[] for _ in codebook.entries]
        self._days: list[list[int]] = [[] for _ in codebook.entries]
        self._admit: list[list[Instruction]] = [[] for _ in codebook.entries]
        self._leave: list[list[Instruction]] = [[] for _ in codebook.entries]
        self._lapse: list[list[Instruction]] = [[] for _ in codebook.entries]
        self._rhythm_cells: list[list[int]] = [[] for _ in codebook.entries]
        self._gap_masks = [0] * len(codebook.entries)
        self._flags = self._rhythms = 0
        self._by_kind: defaultdict[str, list[int]] = defaultdict(list)
        for code, entry in enumerate(codebook.entries):
            self._by_kind[entry.kind].append(code)

    def codes(self, events: EventSet) -> list[int]:
        """Codes of a (not relative) set."""
        kinds = events.kinds or tuple(self._by_kind)
        entries = self.codebook.entries
        return [code for kind in kinds for code in self._by_kind.get(kind, ()) if events.matches(entries[code])]

    def factor(self, *values: float) -> int:
        """Index at which these real operands of an output or instruction stand one after the other."""
        known = self._known.setdefault(("factor", *values), len(self.factors))
        if known == len(self.factors):
            self.factors.extend(values)
        return known

    def listed(self, values: Sequence[int]) -> tuple[int, int]:
        """Begin and end of these values among the lists; equal lists are one."""
        if len(values) >= k.PLACES:
            raise UsageError(
                f"features: a list of {len(values) // 2} channels; one feature compares at most {k.PLACES // 2 - 1}"
            )
        lists = self.sections[k.LISTS]
        begin = self._known.setdefault(("list", *values), len(lists))
        if begin == len(lists):
            lists += values
        return begin, begin + len(values)

    def ratio(
        self, column: int, above: int, below: int, prior: int = k.ZERO_REAL, *, pseudo: float = 0.0, pace: float = 1.0
    ) -> None:  # the cells and numbers of one output
        """Add the output (above + pseudo * prior) / (below * pace + pseudo)."""
        if prior in self._changing_priors:
            self.sections[k.EMIT_PRIOR] += [len(self._ratios) // 3, prior]
        self.sections[k.EMIT_QUOTIENTS] += [column, len(self._ratios) // 3]
        self.sections[k.EMIT_RATIO] += [above, below]
        self._ratios += [pseudo, pace, pseudo * self.template[prior]]

    def constant(self, value: float) -> int:
        """A real cell that always holds this value."""
        return self._remember(("constant", value), lambda: self._real_cells(value))

    def prior(self, sets: tuple[EventSet, ...], rate: Callable[[tuple[EventSet, ...]], float]) -> int:
        """A real cell with the base rate of the sets; NaN where a relative set has no action or category."""
        return self.shared("prior", "real", 1, k.NEVER, sets, lambda concrete: self.constant(rate(concrete)))

    def counter(self, events: EventSet) -> int:
        """Four counters, one a window."""

        def build(sets: tuple[EventSet, ...]) -> int:
            cell = self._cells("counts", k.WINDOWS)
            for code in self.codes(sets[0]):
                self._counters[code].append(cell)
            return cell

        return self.shared("counter", "counts", 1, k.ZERO_COUNT, (events,), build)

    def last(self, events: EventSet) -> int:
        """Time of the last event, microseconds; NaN if never."""

        def build(sets: tuple[EventSet, ...]) -> int:
            cell = self._real_cells(float("nan"))
            for code in self.codes(sets[0]):
                self._lasts[code].append(cell)
            return cell

        return self.shared("last", "real", 1, k.NEVER, (events,), build)

    def cents(self, events: EventSet) -> int:
        """Four sums of cents, one a window."""

        def build(sets: tuple[EventSet, ...]) -> int:
            return self._instruct(k.ADD_CENTS, sets[0], self._cells("wide", k.WINDOWS), undone=self._leave)

        return self.shared("cents", "wide", k.WINDOWS, k.ZERO_WIDE, (events,), build)

    def last_cents(self, events: EventSet) -> int:
        """Cents of the latest event."""

        def build(sets: tuple[EventSet, ...]) -> int:
            return self._instruct(k.KEEP_VALUE, sets[0], self._cells("wide", 1), self.last(sets[0]))

        return self.shared("last cents", "wide", 1, k.ZERO_WIDE, (events,), build)

    def amounts(self, events: EventSet) -> int:
        """Logarithms of amounts over the lookback, and how many, as `layout` orders the cells."""

        def build(sets: tuple[EventSet, ...]) -> int:
            return self._instruct(k.ADD_LOG, sets[0], self._cells("wide", k.AMOUNT_CELLS), undone=self._lapse)

        return self.shared("amounts", "wide", k.AMOUNT_CELLS, k.ZERO_WIDE, (events,), build)

    def rhythm(self, events: EventSet) -> int:
        """Hours, weekends and gaps over the lookback, as `layout` orders the cells."""

        def build(sets: tuple[EventSet, ...]) -> int:
            self._rhythms = self._counted("sets of events whose hours or gaps are measured", self._rhythms, MAX_RHYTHMS)
            cell = self._cells("wide", k.RHYTHM_CELLS)
            for code in self.codes(sets[0]):
                self._gap_masks[code] |= 1 << (self._rhythms - 1)
                self._rhythm_cells[code].append(cell)
                self._lapse[code].append((k.ADD_RHYTHM, cell, self._rhythms - 1))
            return cell

        return self.shared("rhythm", "wide", k.RHYTHM_CELLS, k.ZERO_WIDE, (events,), build)

    def marked_days(self, events: EventSet) -> int:
        """A bit for each of the 64 days up to the last event's, and that day."""

        def build(sets: tuple[EventSet, ...]) -> int:
            cell = self._cells("wide", k.DAY_CELLS)
            for code in self.codes(sets[0]):
                self._days[code].append(cell)
            return cell

        return self.shared("days", "wide", k.DAY_CELLS, k.ZERO_WIDE, (events,), build)

    def decayed(self, events: EventSet, per_us: float) -> int:
        """Sum of exp(-age * per_us) as of the last event, and that event's time."""

        def build(sets: tuple[EventSet, ...]) -> int:
            cell = self._real_cells(0.0, -math.inf)
            return self._instruct(k.ADD_DECAYED, sets[0], cell, self.factor(per_us))

        return self.shared(f"decayed {per_us!r}", "real", k.DECAY_CELLS, k.ZERO_REAL, (events,), build)

    def streak(self, events: EventSet, since: EventSet) -> int:
        """Events since the last of `since`, and the latest's time: if that is not after `since`, there are none."""

        def build(sets: tuple[EventSet, ...]) -> int:
            cell = self._cells("wide", k.STREAK_CELLS)
            return self._instruct(k.ADD_STREAK, sets[0], cell, self.last(sets[1]), undone=self._lapse)

        return self.shared("streak", "wide", k.STREAK_CELLS, k.ZERO_WIDE, (events, since), build)

    def followed(self, events: EventSet, after: EventSet, within_us: float) -> int:
        """Four counters of the events that follow one of `after` within a time."""

        def build(sets: tuple[EventSet, ...]) -> int:
            self._flags = self._counted("events that follow others", self._flags, MAX_FLAGS)
            last, previous = self.last(sets[1]), self._previous(sets[1])
            cell = self._cells("counts", k.WINDOWS)
            self.sections[k.FOLLOWS] += [cell, last, previous, self.factor(within_us)]
            self._instruct(k.ADD_FOLLOWED, sets[0], self._flags - 1, 1, undone=self._leave)
            return cell

        return self.shared(f"followed {within_us!r}", "counts", 1, k.ZERO_COUNT, (events, after), build)

    def shared(
        self,
        what: str,
        state: State,
        width: int,
        nothing: int,
        sets: tuple[EventSet, ...],
        build: Callable[[tuple[EventSet, ...]], int],
    ) -> int:  # the five describe one accumulator, `build` fills it
        """First cell of an accumulator over sets: built once, and shown through a view where the sets are relative."""

        def make() -> int:
            if not any(each.relative for each in sets):
                return build(sets)
            sources = [self.shared(what, state, width, nothing, each, build) for each in self.levels(sets)]
            return self._view(state, width, [nothing, *sources], any(each.per_category for each in sets))

        identity = tuple((each.kinds, each.channels, each.categories, each.transactional) for each in sets)
        return self._remember((what, identity), make)

    def packed(self, columns: int) -> tuple[npt.NDArray[np.uint32], npt.NDArray[np.float64]]:
        """All tables as the kernel reads them, with the sections' bounds in front."""
        self._finish_codes()
        divided = self.sections[k.EMIT_QUOTIENTS]
        fours, rest = in_fours(divided, range(columns))
        self.sections[k.EMIT_QUOTIENTS], self.sections[k.EMIT_QUOTIENT] = fours, rest
        self.sections[k.EMIT_COUNT], others = long_runs(self.sections[k.EMIT_COUNT])
        fours, rest = in_fours(others, set(range(columns)).difference(divided[::2]))
        self.sections[k.EMIT_FOUR], self.sections[k.EMIT_CELL] = fours, rest
        self.sections[k.EMIT_AGE], self.sections[k.EMIT_MOMENT] = long_runs(self.sections[k.EMIT_AGE])
        self.sections[k.EMIT_RATIO] = arrays(self.sections[k.EMIT_RATIO], 2)
        self.sections[k.EMIT_LATEST] = paired(self.sections[k.EMIT_LATEST])
        self.sections[k.GAP_MASKS] = self._gap_masks
        for section in (first + per for first in VIEWS.values() for per in range(2)):
            views = self._views[section]
            self.sections[section] = [len(views), *chain.from_iterable(zip(*views, strict=True))]
        self.sections[k.QUARTERS] = quarters()
        self.sections[k.SIZES] = [
            k.FINGERPRINT,
            self._free["counts"],
            self._free["wide"],
            len(self.template),
            len(self.codebook.entries),
            len(self.codebook.outbound) + 1,
            len(self.codebook.categories) + 1,
            max(map(len, self._rhythm_cells), default=0),
        ]
        real_sections = {
            k.SPANS: self.spans_us,
            k.TEMPLATE: self.template,
            k.FACTORS: self.factors,
            k.LOGS: n_log_n(k.LOGS_UP_TO),
            k.DECAYS: decay_table(),
            k.RATIOS: arrays(self._ratios, 3),
        }
        words: list[int] = [0] * (2 * k.SECTIONS)
        reals: list[float] = []
        for section in range(k.SECTIONS):
            into: list[Any] = reals if section in real_sections else words
            words[2 * section] = len(into)
            into.extend(real_sections.get(section, self.sections[section]))
            words[2 * section + 1] = len(into)
        return np.asarray(words, np.int64).astype(np.uint32), np.asarray(reals, np.float64)

    def _finish_codes(self) -> None:
        """What each code does: lanes first, instructions for the rest."""
        for code in range(len(self.codebook.entries)):
            counters, lasts = self._counters[code], self._lasts[code]
            days, rhythms = self._days[code], self._rhythm_cells[code]
            for cell in counters[k.LANES :]:
                self._admit[code].append((k.ADD_COUNT, cell, 0))
                self._leave[code].append((k.ADD_COUNT, cell, 0))
            self._admit[code] += [(k.KEEP_LAST, cell, 0) for cell in lasts[k.LANES :]]
            self._admit[code] += [(k.MARK_DAY, cell, 0) for cell in days[1:]]
            self._admit[code] += [(k.ADD_RHYTHM, cell, 0) for cell in rhythms[1:]]
            keys = padded(counters, k.DUMMY_COUNTS) + padded(lasts, (k.DUMMY_REAL,) * k.LANES)
            keys += self._written((self._admit[code], self._leave[code], self._lapse[code]))
            keys += [days[0] if days else k.DUMMY_DAYS, rhythms[0] if rhythms else k.NO_RHYTHM, 0, 0]
            place = self._known.setdefault(("keys", *keys), len(self.sections[k.KEYS]))
            if place == len(self.sections[k.KEYS]):
                self.sections[k.KEYS] += keys
            self.sections[k.PLACES_OF_CODES].append(place)

    def _written(self, work: tuple[list[Instruction], ...]) -> tuple[int, ...]:
        """Where the instructions of each begin and the last ones end; equal ones are written once."""
        lists = [together(sorted(instructions)) for instructions in work]
        instructions = self.sections[k.INSTRUCTIONS]
        lengths = [len(instructions) // k.INSTRUCTION_WORDS, *map(len, lists)]
        begin = self._known.setdefault(("instructions", repr(lists)), lengths[0])
        if begin == lengths[0]:
            instructions += chain.from_iterable(chain.from_iterable(lists))
        return tuple(accumulate([begin, *lengths[1:]]))

    def _remember(self, key: tuple[object, ...], make: Callable[[], int]) -> int:
        if key not in self._known:
            self._known[key] = make()
        return self._known[key]

    def _previous(self, events: EventSet) -> int:
        """Time of the last event that lies strictly before the last one's time."""

        def build(sets: tuple[EventSet, ...]) -> int:
            return self._instruct(k.KEEP_PREVIOUS, sets[0], self._real_cells(float("nan")), self.last(sets[0]))

        return self.shared("previous", "real", 1, k.NEVER, (events,), build)

    def levels(self, sets: tuple[EventSet, ...]) -> list[tuple[EventSet, ...]]:
        """The tuples of sets that relative ones stand for, by action or category; without relative ones, themselves.

        Raises:
            UsageError: Some are relative to the action and others to the category.
        """
        if not any(each.relative for each in sets):
            return [sets]
        if any(each.per_action for each in sets) and any(each.per_category for each in sets):
            names = ", ".join(each.name for each in sets)
            raise UsageError(
                f"features: {names}: one feature cannot be relative to both the action and the category; declare two"
            )
        levels = [each.levels(self.codebook) if each.relative else None for each in sets]
        count = max(len(each) for each in levels if each is not None)
        return [
            tuple(events if found is None else found[level] for events, found in zip(sets, levels, strict=True))
            for level in range(count)
        ]

    def _view(self, state: State, width: int, sources: Sequence[int], per_category: bool) -> int:
        if state == "real":
            cell = self._real_cells(*[float("nan")] * width)
            self._changing_priors.add(cell)
        else:
            cell = self._cells(state, k.WINDOWS if state == "counts" else width)
        for offset in range(width):
            shown = tuple(each + offset for each in (cell, *sources))
            self._views[VIEWS[state] + int(per_category)].append(shown)
        return cell

    def _cells(self, state: Literal["counts", "wide"], count: int) -> int:
        cell = self._free[state]
        self._free[state] += count
        return cell

    def _real_cells(self, *initial: float) -> int:
        self.template.extend(initial)
        return len(self.template) - len(initial)

    def _instruct(
        self,
        operation: int,
        events: EventSet,
        cell: int,
        operand: int = 0,
        undone: list[list[Instruction]] | None = None,
    ) -> int:
        for code in self.codes(events):
            self._admit[code].append((operation, cell, operand))
            if undone is not None:
                undone[code].append((operation, cell, operand))
        return cell

    @staticmethod
    def _counted(what: str, used: int, most: int) -> int:
        if used == most:
            raise UsageError(f"features: more than {most} {what}; {most} is the most in one program, so select fewer")
        return used + 1
