"""Which columns the models may read: those that tell something on the rows that learn; looks at no other row.

First a sample of whole customers is looked at; what looks constant or copied there is computed for all rows that learn,
and only what holds on all of them is left out. That costs little beside binning a column that no tree can use.
"""

from collections.abc import Collection

import numpy as np

from contract.params import Params
from features.catalogue import subjects
from features.grammar import Count, Total, TypicalValue
from features.matrix import ACTION, CAMPAIGN_CATEGORY
from features.selection import Selection, telling_columns
from models.artefact import Ints
from training.rows import ComputedTable, RowSource
from training.splits import sample_customers
from training.study import Study

_SAMPLE_ROWS = 50_000


def events_read(params: Params) -> tuple[str, ...]:
    """Columns by which the models tell how much is known of a customer: events in the longest window."""
    year = params.features.windows_days[-1]
    s = subjects(params)
    return tuple(Count(events, year).name for events in (s.sends, s.answers, s.steps))


def purchases_read(params: Params) -> tuple[str, str]:
    """Columns from which the margin is learned: typical value and number of all purchases that are known.

    Few buy often, and what somebody spends changes little in a year or two, so all that is known counts.
    """
    purchases = subjects(params).purchases
    return TypicalValue(purchases).name, Total(purchases).name


def select_columns(study: Study, learn: Ints) -> Selection:
    """What the rows `learn` of the decisions tell of every column of the study's source.

    The action, the campaign's category and what is read by name stay, whatever they hold. A copy counts as one only
    among columns that depend on the row's action alike: for another action, the others could differ.
    """
    always = {ACTION, CAMPAIGN_CATEGORY, *events_read(study.params), *purchases_read(study.params)}
    rows = study.rows_of(learn)
    sample = sample_customers(rows, study.decisions.spine.customer, study.hashes, _SAMPLE_ROWS)
    found = _told(study.source, study, sample, always)
    if len(sample) == len(rows) or not found.dropped:
        return found
    exact = _told(study.source.select(found.suspects), study, rows, always)
    out = set(exact.dropped)
    return Selection(
        kept=tuple(name for name in study.source.names if name not in out),
        constant=exact.constant,
        duplicate_of=exact.duplicate_of,
    )


def _told(source: RowSource, study: Study, rows: Ints, always: Collection[str]) -> Selection:
    candidate, codes = set(source.candidate), set(source.categorical)
    groups = {name: (name in candidate, name in codes) for name in source.names}
    table = ComputedTable(source, study.decisions.spine.rows(np.asarray(rows)))
    return telling_columns(source.names, table.blocks(), always=always, groups=groups)
