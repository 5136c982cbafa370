"""What a training found about its data: overlap, opens by machine, likely leaks."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

import numpy as np

from contract.opens import OpensFound
from contract.params import Params
from models.artefact import Floats
from models.evidence import Evidence
from training.leaks import Leak
from training.study import Study

_TAIL_SHARE: Final = 0.01


@dataclass(frozen=True)
class Overlap:
    """How an action's decisions could stand for all others.

    decisions: with a known propensity; logged: the share of them that the sender wrote down; effective_size: of the
    decisions weighted by 1 / propensity, (Σ w)² / Σ w² (Kish, 1965); in_overlap: share of the decisions that have
    overlap; tail: share of all weight on the heaviest hundredth; least: the smallest propensity.
    """

    action: str
    decisions: int
    logged: float
    effective_size: float
    in_overlap: float
    tail: float
    least: float

    @property
    def text(self) -> str:
        """The figures in one line."""
        return (
            f"{self.decisions:,} decisions stand for {self.effective_size:,.0f} drawn evenly; "
            f"{self.in_overlap:.0%} have overlap; propensities {self._source}, the least {self.least:.4f}; "
            f"the heaviest hundredth bears {self.tail:.0%} of the weight"
        )

    @property
    def _source(self) -> str:
        if self.logged in (0.0, 1.0):
            return "logged" if self.logged else "estimated"
        return f"logged for {self.logged:.0%}, else estimated"


@dataclass(frozen=True)
class Findings:
    """`overlap` by action, `opens` by channel, `leaks` the most suspicious first."""

    overlap: tuple[Overlap, ...] = ()
    opens: tuple[OpensFound, ...] = ()
    leaks: tuple[Leak, ...] = ()

    def lines(self, params: Params) -> Iterator[str]:
        """All of it for a reader, a line each."""
        yield from (f"overlap of {each.action}: {each.text}" for each in self.overlap)
        yield from (f"opened by machine, on {each.text(params)}" for each in self.opens if each.by_machine)
        yield from (f"likely leak: {each.text}" for each in self.leaks)


def overlap_of(study: Study, propensity: Floats, evidence: tuple[Evidence, ...]) -> tuple[Overlap, ...]:
    """The overlap of every action with decisions, none first.

    Args:
        study: its decisions.
        propensity: (n decisions,), of the action taken, logged or estimated; NaN where neither.
        evidence: as `judge_evidence` gives it.
    """
    action = study.decisions.spine.action
    logged = np.isfinite(study.decisions.propensity)
    found = []
    for number, each in enumerate(evidence):
        rows = np.flatnonzero((action == number) & np.isfinite(propensity) & (propensity > 0))
        if len(rows):
            weight = np.sort(1 / propensity[rows])
            tail = weight[-max(1, round(_TAIL_SHARE * len(rows))) :].sum() / weight.sum()
            found.append(
                Overlap(
                    action=each.action,
                    decisions=len(rows),
                    logged=float(logged[rows].mean()),
                    effective_size=float(weight.sum() ** 2 / (weight @ weight)),
                    in_overlap=each.overlap,
                    tail=float(tail),
                    least=float(propensity[rows].min()),
                )
            )
    return tuple(found)
