"""What a training has before anything is fitted: its decisions, who does what in the split, and rows on demand."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from contract.errors import DataError
from contract.params import Params, Profile
from features.spine import Decisions
from models.artefact import Floats, Ints
from models.marks import Came
from models.tables import Rows
from training.rows import ComputedTable, RowSource
from training.splits import CROSSES, Split, sample_customers

LEAST_DECISIONS = 500
# Parts that choose and judge need fewer rows than the part that teaches.
_JUDGING_SHARE = 3


@dataclass(frozen=True, eq=False)
class Study:
    """Decisions, their columns and their split; hashes: (n_customers,), order of sampling; params and profile.

    usable: (n,), decisions for actions that are common enough to be modelled.
    """

    decisions: Decisions
    source: RowSource
    split: Split
    hashes: Floats
    params: Params
    profile: Profile
    usable: npt.NDArray[np.bool_]

    @property
    def actions(self) -> tuple[str, ...]:
        """Names of the actions in order of their numbers."""
        return ("none", *self.params.outbound)

    @property
    def scarce(self) -> tuple[int, ...]:
        """Actions with too few decisions to be modelled."""
        return scarce_actions(self.decisions, self.params)

    @property
    def left_out(self) -> dict[str, int]:
        """Decisions that were left out, by reason."""
        counts = np.bincount(self.decisions.spine.action, minlength=len(self.actions))
        least = self.params.training.min_rows_per_channel
        scarce = {f"{self.actions[a]}: fewer than {least} decisions": int(counts[a]) for a in self.scarce if counts[a]}
        return {**self.decisions.left_out, **scarce, CROSSES: self.split.left_out}

    def columns(self, *, candidate: bool) -> list[int]:
        """Positions of all columns, or of those only that do not depend on the row's action or campaign."""
        dropped = set() if candidate else set(self.source.candidate)
        return [i for i, name in enumerate(self.source.names) if name not in dropped]

    def rows_of(self, rows: Ints, share: int = 1) -> Ints:
        """The usable ones among the rows, at most the profile's number divided by `share`, whole customers."""
        usable = rows[self.usable[rows]]
        return sample_customers(usable, self.decisions.spine.customer, self.hashes, self.profile.max_decisions // share)

    def part(self, rows: Ints, share: int = 1) -> "Part":
        """`rows_of`, with their columns."""
        kept = self.rows_of(rows, share)
        return Part(kept, ComputedTable(self.source, self.decisions.spine.rows(kept)), self.decisions)

    def judging_part(self, rows: Ints) -> "Part":
        """`part` with fewer rows, for those that choose or judge."""
        return self.part(rows, _JUDGING_SHARE)


@dataclass(frozen=True, eq=False)
class Part:
    """Some decisions with their columns; `rows` are their indices, ascending."""

    rows: Ints
    table: Rows
    decisions: Decisions

    @property
    def response(self) -> npt.NDArray[np.int8]:
        """(n,), 0 or 1."""
        return self.decisions.response[self.rows]

    @property
    def came(self) -> Came:
        """How the first responses came."""
        return Came(self.decisions.delay[self.rows], self.decisions.tied[self.rows])

    @property
    def answered(self) -> npt.NDArray[np.bool_]:
        """(n,), whether the row's own send was answered."""
        return self.decisions.answer_channel[self.rows] >= 0

    @property
    def action(self) -> Ints:
        """(n,), the action taken."""
        return self.decisions.spine.action[self.rows].astype(np.int64)

    @property
    def margin_eur(self) -> Floats:
        """(n,), the margin that followed."""
        return self.decisions.margin_eur[self.rows]


def scarce_actions(decisions: Decisions, params: Params) -> tuple[int, ...]:
    """Outbound channels with fewer decisions than training.min_rows_per_channel."""
    counts = np.bincount(decisions.spine.action, minlength=len(params.outbound) + 1)
    return tuple(a for a in range(1, len(counts)) if counts[a] < params.training.min_rows_per_channel)


def usable_rows(decisions: Decisions, params: Params) -> npt.NDArray[np.bool_]:
    """Whether each decision's action is common enough to be modelled."""
    return ~np.isin(decisions.spine.action, np.array(scarce_actions(decisions, params), dtype=np.int16))


def require_decisions(decisions: Decisions, rows: Ints, params: Params, what: str) -> None:
    """Refuses rows from which no model can be learned.

    Raises:
        DataError: too few decisions, or responses of too few customers.
    """
    responders = len(np.unique(decisions.spine.customer[rows[decisions.response[rows] > 0]]))
    least = params.training.min_customers_per_leaf
    alike = responders > 0 and bool(decisions.response[rows].all())
    if len(rows) >= LEAST_DECISIONS and responders >= least and not alike:
        return
    raise DataError(
        f"decisions {what}: found {len(rows)} with responses of {responders} customers to objective "
        f"'{params.objective}' ({', '.join(params.target.kinds)} within {params.target.horizon_days:g} days); at least "
        f"{LEAST_DECISIONS} decisions, {least} responding customers and both outcomes are needed; left out before: "
        f"{_counts(decisions.left_out)}; give a longer history, a shorter horizon or shorter training.test_days"
    )


def _counts(left_out: dict[str, int]) -> str:
    parts: Sequence[str] = [f"{count} {reason}" for reason, count in left_out.items() if count]
    return ", ".join(parts) or "none"
