"""How good the model is for each group of customers that the demographic columns tell apart; fits nothing.

A level is a group; numbers, ages and days are cut at the quartiles of the rows, so that no bound is anybody's own. A
group too small to say anything (see `reliability`) is counted and not shown.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from features.demographic import Column
from models.artefact import Floats, Ints
from models.calibration import binary_log_losses
from models.calibration_fit import clustered_mean
from training.promotion import Growth
from training.reliability import LEAST_CUSTOMERS, Reliability, least_rows, reliability

_MOST_BINS = 5


@dataclass(frozen=True)
class Group:
    """A group's quality beside the log loss that base rates have on it."""

    column: str
    name: str
    quality: Reliability
    log_loss_of_base_rates: float


@dataclass(frozen=True)
class Groups:
    """All groups of at least `least_rows` decisions; too_small: how many others there were, by column."""

    least_rows: int
    found: tuple[Group, ...]
    too_small: dict[str, int]


@dataclass(frozen=True)
class GroupRows:
    """n rows: probability of the model and of the base rates, outcome 0 or 1, customer; each (n,)."""

    probability: Floats
    base_rates: Floats
    outcome: npt.NDArray[np.generic]
    customer: Ints


def group_quality(columns: Sequence[Column], values: npt.NDArray[np.floating], rows: GroupRows, level: float) -> Groups:
    """The quality of every group of every column.

    Args:
        columns: of the customers table.
        values: (n, len(columns)), as the model reads them.
        rows: what was predicted and what happened.
        level: of the intervals.
    """
    rate = float(rows.outcome.mean())
    found: list[Group] = []
    too_small: dict[str, int] = {}
    for column, own in zip(columns, values.T, strict=True):
        title = _title(column)
        for name, mask in _parts(column, own.astype(np.float64)):
            inside = np.flatnonzero(mask)
            outcome = rows.outcome[inside]
            quality = reliability(
                rows.probability[inside], outcome, rows.customer[inside], most_bins=_MOST_BINS, level=level, rate=rate
            )
            if quality is None:
                too_small[title] = too_small.get(title, 0) + 1
                continue
            base = float(binary_log_losses(rows.base_rates[inside], outcome).mean())
            found.append(Group(title, name, quality, base))
    return Groups(least_rows(rate), tuple(found), too_small)


def group_growth(columns: Sequence[Column], values: npt.NDArray[np.floating], rows: GroupRows) -> dict[str, Growth]:
    """How much larger the model's log loss is than the other's (`base_rates`) in every group large enough, by name.

    The standard error is clustered by customer.

    Args:
        columns: of the customers table.
        values: (n, len(columns)), as the model reads them.
        rows: what both predicted and what happened.
    """
    outcome = rows.outcome
    least = least_rows(float(outcome.mean())) if len(outcome) else 0
    growth = binary_log_losses(rows.probability, outcome) - binary_log_losses(rows.base_rates, outcome)
    found = {}
    for column, own in zip(columns, values.T, strict=True):
        for name, mask in _parts(column, own.astype(np.float64)):
            people, dense = np.unique(rows.customer[mask], return_inverse=True)
            if mask.sum() >= least and len(people) >= LEAST_CUSTOMERS:
                mean, error = clustered_mean(growth[mask], np.ones(len(dense)), dense)
                found[f"{_title(column)}: {name}"] = Growth(mean, error)
    return found


def _title(column: Column) -> str:
    return "age" if column.reading == "age" else column.source


def _parts(column: Column, values: Floats) -> Iterator[tuple[str, npt.NDArray[np.bool_]]]:
    """Names and rows of the groups that have any row."""
    missing = np.isnan(values)
    if column.categorical:
        names = [*column.levels, "other"]
        masks = [(name, values == code) for code, name in enumerate(names)]
    else:
        masks = _quarters(column, values, missing)
    yield from ((name, mask) for name, mask in [*masks, ("unknown", missing)] if mask.any())


def _quarters(
    column: Column, values: Floats, missing: npt.NDArray[np.bool_]
) -> list[tuple[str, npt.NDArray[np.bool_]]]:
    """Up to four parts of about equal count, by whole numbers."""
    if missing.all():
        return []
    cuts = np.unique(np.round(np.quantile(values[~missing], (0.25, 0.5, 0.75))))
    part = np.searchsorted(cuts, np.where(missing, 0.0, values), side="left")
    unit = {"age": " years", "days": " days"}.get(column.reading, "")
    names = [f"up to {cuts[0]:,.0f}{unit}"]
    names += [f"above {low:,.0f} to {high:,.0f}{unit}" for low, high in pairwise(cuts)]
    names.append(f"above {cuts[-1]:,.0f}{unit}")
    return [(name, ~missing & (part == at)) for at, name in enumerate(names)]
