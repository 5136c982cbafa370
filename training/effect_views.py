"""What contact effects and the margin read: steps, answers, purchases, sends and demographics as views of a customer.

Everything follows from the parameters and from which columns there are; the rows that learn give usual rates and
scales, and say which levels of people enough customers share. Looks at no response.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations, groupby, pairwise
from typing import Final

import numpy as np

from contract.params import Params
from features import grammar as g
from features.catalogue import FOLLOW_DAYS, subjects
from features.event_sets import OWN_CATEGORY
from features.matrix import CAMPAIGN_CATEGORY
from models.artefact import Floats, Ints, Matrix
from models.effect_terms import Reader, Term, columns_of, raw, standardised
from models.tables import Rows, column_of, mapped, places_of
from training.study import Study

_PEOPLE, _CELLS, _STEPS = "people: ", "cells: ", "steps"
_STRENGTH: Final = {_STEPS: 6.0, "answers": 6.0, "purchases": 10.0, "category": 4.0}
"""Trials by which a customer's rate of a view is drawn to everybody's."""
_BANDS, _THRESHOLDS = 5, 20
"""Parts of equal count of the values of a number: what is read in bands, and where thresholds lie between."""
_LEVEL_SHARE: Final = 0.002
"""A level or cell that fewer of the rows hold is left to the other terms."""
_MOST_LEVELS: Final = 40
_MOST_FINE_CELLS: Final = 250
"""Cells beyond which a pair stays in bands: a fit takes time by the square of its terms."""


_Stretches = tuple[tuple[float, float], ...]


@dataclass(frozen=True)
class _People:
    """A column that tells people apart and the stretches [lower, upper) in which it is read."""

    column: str
    stretches: _Stretches


def effect_terms(study: Study, contacts: Rows) -> tuple[Term, ...]:
    """The terms that the columns allow, with usual rates, centers and scales of the rows of contacts.

    Args:
        study: what is trained.
        contacts: rows of contacts that learn.
    """
    have = set(contacts.names)
    wanted = [term for term in _views(study.params) if set(term.columns) <= have]
    people = _people(study, contacts, _thresholds)
    enough = _common([*_levels(people), *_categories(contacts)], contacts, study.params.training.min_customers_per_leaf)
    found = (*_usual(wanted, contacts), *enough)
    reader = Reader.of(found, places_of(contacts.names))
    return standardised(found, mapped(contacts, raw(reader).design))


def cell_terms(study: Study, contacts: Rows) -> tuple[Term, ...]:
    """Cells of every pair of people's columns, each pair a group; the arguments are those of `effect_terms`."""
    cells = list(_cells(_people(study, contacts, _bands)))
    return tuple(_common(cells, contacts, study.params.training.min_customers_per_leaf))


def fine_cells(study: Study, contacts: Rows, cells: tuple[Term, ...]) -> tuple[Term, ...]:
    """These cells, all of a pair or none, with numbers read by thresholds, not in bands, unless that makes too many.

    Args:
        study: what is trained.
        contacts: rows of contacts that learn.
        cells: of `cell_terms`.
    """
    found: list[Term] = []
    people = _people(study, contacts, _thresholds)
    for pair, coarse in groupby(cells, key=lambda cell: cell.columns):
        fine = list(_cells([each for each in people if each.column in pair]))
        found += fine if len(fine) <= _MOST_FINE_CELLS else coarse
    return tuple(_common(found, contacts, study.params.training.min_customers_per_leaf))


def people_terms(study: Study, table: Rows) -> tuple[Term, ...]:
    """Levels and bands of who people are, those that enough rows and customers of the table hold.

    Args:
        study: what is trained.
        table: rows that learn, a customer's side by side.
    """
    levels = list(_levels(_people(study, table, _bands)))
    return tuple(_common(levels, table, study.params.training.min_customers_per_leaf))


def of_people(term: Term) -> bool:
    """Whether the term is a level or a cell of people's columns."""
    return term.group.startswith((_PEOPLE, _CELLS))


def of_tastes(term: Term) -> bool:
    """Whether the term tells what a customer likes whatever the channel: a level of who they are, where they move."""
    return term.group.startswith(_PEOPLE) or term.group == _STEPS


def columns_read(study: Study) -> list[int]:
    """Positions of all columns that terms may read."""
    people = (column.name for column in study.source.demographic)
    wanted = columns_of(_views(study.params)) | {CAMPAIGN_CATEGORY, *people}
    return [i for i, name in enumerate(study.source.names) if name in wanted]


def _views(params: Params) -> Iterator[Term]:
    """Terms of a customer's history, with rates still without their usual size."""
    s = subjects(params)
    month, year = params.features.windows_days[1], params.features.windows_days[-1]
    for channel in s.walked:
        columns = (g.Count(s.steps.on(channel), year).name, g.Count(s.steps, year).name)
        term = Term(kind="rate", columns=columns, group=_STEPS, strength=_STRENGTH[_STEPS])
        yield _of(channel, _STEPS, term) if channel in s.outbound else term
    for channel in s.outbound:
        sends = g.Count(s.sends.on(channel), year).name
        columns = (g.Count(s.answers.on(channel), year).name, sends)
        yield _of(channel, "answers", Term(kind="rate", columns=columns, group="answers"))
        followed = g.Followed(s.purchases, s.sends.on(channel), FOLLOW_DAYS, year).name
        yield _of(channel, "purchases", Term(kind="per", columns=(followed, sends), group="purchases"))
        yield _of(channel, "sends", Term(kind="count", columns=(sends,), group="sends"))
        pressure = g.Pressure(s.sends.on(channel), params.features.half_lives_days[-1]).name
        yield _of(channel, "pressure", Term(kind="value", columns=(pressure,), group="pressure"))
    for half_life in params.features.half_lives_days:
        yield Term(kind="value", columns=(g.Pressure(s.sends, half_life).name,), group="pressure")
    for events, trials in ((s.purchases, s.purchases), (s.answers, s.sends.about(OWN_CATEGORY))):
        columns = (g.Count(events.about(OWN_CATEGORY), year).name, g.Count(trials, year).name)
        yield Term(kind="rate", columns=columns, group="category", strength=_STRENGTH["category"])
    for events in (s.purchases, s.steps):
        yield Term(kind="count", columns=(g.Count(events, year).name,), group="activity")
        yield Term(kind="count", columns=(g.Count(events, month).name,), group="activity")


def _of(channel: str, view: str, term: Term) -> Term:
    return term.model_copy(update={"channel": channel, "view": view, "strength": _STRENGTH.get(view, 0.0)})


def _usual(terms: Sequence[Term], contacts: Rows) -> Iterator[Term]:
    """The terms, rates and means with their usual size; those of which nothing was ever seen are left out."""
    rates = [term for term in terms if term.kind in ("rate", "per")]
    places = sorted({contacts.names.index(name) for term in rates for name in term.columns})
    read = contacts.columns(places)
    at = places_of(read.names)

    def sums(block: Matrix) -> Floats:
        known = np.nan_to_num(block.astype(np.float64))
        pairs = [(known[:, at[term.columns[0]]], known[:, at[term.columns[1]]]) for term in rates]
        happened = [k * n if term.kind == "per" else k for term, (k, n) in zip(rates, pairs, strict=True)]
        return np.array([[each.sum() for each in happened], [n.sum() for _, n in pairs]])[None]

    totals = mapped(read, sums).sum(axis=0) if rates else np.zeros((2, 0))
    usual = {term: k / n for term, k, n in zip(rates, *totals, strict=True) if k > 0 and n > 0}
    for term in terms:
        if term in usual:
            yield term.model_copy(update={"usual": float(usual[term])})
        elif term not in rates:
            yield term


def _people(study: Study, contacts: Rows, numbers: Callable[[Floats], _Stretches]) -> list[_People]:
    """Demographic columns: codes one by one, numbers in the stretches that their known values give."""
    found = []
    for column in study.source.demographic:
        if column.name not in contacts.names:
            continue
        values = column_of(contacts, column.name).astype(np.float64)
        known = values[np.isfinite(values)]
        if len(known) == 0:
            continue
        found.append(_People(column.name, _codes(known) if column.categorical else numbers(known)))
    return found


def _codes(known: Floats) -> _Stretches:
    codes, counts = np.unique(known, return_counts=True)
    often = np.sort(codes[np.argsort(-counts, kind="stable")][:_MOST_LEVELS])
    return tuple((float(code) - 0.5, float(code) + 0.5) for code in often)


def _bands(known: Floats) -> _Stretches:
    return tuple(pairwise([-1e30, *_edges(known, _BANDS), 1e30]))


def _thresholds(known: Floats) -> _Stretches:
    """Whether the number is known, and whether it lies at a threshold or above, for each of them.

    What each adds is the step there. Drawn to zero, steps make a curve that jumps only where the data say so (a random
    walk: Rue and Held 2005, ch. 3).
    """
    return tuple((edge, 1e30) for edge in (-1e30, *_edges(known, _THRESHOLDS)))


def _edges(known: Floats, parts: int) -> list[float]:
    return [float(edge) for edge in np.unique(np.quantile(known, np.arange(1, parts) / parts))]


def _levels(people: Sequence[_People]) -> Iterator[Term]:
    for each in people:
        for stretch in each.stretches:
            yield Term(kind="level", columns=(each.column,), group=f"{_PEOPLE}{each.column}", bounds=(stretch,))


def _categories(contacts: Rows) -> Iterator[Term]:
    if CAMPAIGN_CATEGORY not in contacts.names:
        return
    values = column_of(contacts, CAMPAIGN_CATEGORY).astype(np.float64)
    for stretch in _codes(values[np.isfinite(values)]):
        yield Term(kind="level", columns=(CAMPAIGN_CATEGORY,), group="campaign", bounds=(stretch,))


def _cells(people: Sequence[_People]) -> Iterator[Term]:
    for one, other in combinations(people, 2):
        group = f"{_CELLS}{one.column} by {other.column}"
        for first in one.stretches:
            for second in other.stretches:
                yield Term(kind="cell", columns=(one.column, other.column), group=group, bounds=(first, second))


def _common(terms: Sequence[Term], contacts: Rows, least_customers: int) -> list[Term]:
    """Levels and cells that enough rows and at least so many distinct customers hold."""
    if not terms:
        return []
    places = sorted({contacts.names.index(name) for term in terms for name in term.columns})
    read = contacts.columns(places)
    design = mapped(read, Reader.of(terms, places_of(read.names)).design)
    rows = design.sum(axis=0)
    customers = _distinct(design, contacts.customer)
    most = max(1, len(design))
    return [
        term
        for term, n, own in zip(terms, rows, customers, strict=True)
        if n >= _LEVEL_SHARE * most and own >= least_customers and n < most
    ]


def _distinct(design: Matrix, customer: Ints) -> Ints:
    """(T,) distinct customers with a 1 in each column."""
    firsts = np.flatnonzero(np.diff(customer, prepend=-1) != 0)
    held = np.maximum.reduceat(design, firsts, axis=0)
    return np.asarray(held.sum(axis=0), dtype=np.int64)
