"""What the periods before a training looked like, kept with the bundle: what monitoring compares with; judges nothing.

Of each column only counts within bins are kept, the bins being quantiles of thousands of decisions, and of each figure
an amount with its basis: nothing of any one customer.
"""

from typing import Final

import numpy as np
import numpy.typing as npt
from pydantic import ValidationError

from contract.errors import ArtefactError
from models.artefact import Artefact, Floats, Matrix

FORMAT: Final = 1
BINS: Final = 10
LEVELS: Final = 24
"""Codes of a categorical column that get a bin of their own, the most frequent; the others share one."""


class Binning(Artefact):
    """How a column is cut: at `cuts`, ascending, or into the codes `levels` and the rest; missing is the last bin.

    words: what the column says, for readers.
    """

    name: str
    words: str
    cuts: tuple[float, ...] = ()
    levels: tuple[float, ...] | None = None

    @property
    def bins(self) -> int:
        """How many, the one of missing values included."""
        return (len(self.cuts) if self.levels is None else len(self.levels)) + 2

    def counts(self, values: npt.NDArray[np.floating]) -> npt.NDArray[np.int64]:
        """Values (n,) in each bin."""
        known = values[np.isfinite(values)]
        if self.levels is None:
            index = np.searchsorted(self.cuts, known, side="right")
        else:
            place = {level: at for at, level in enumerate(self.levels)}
            index = np.array([place.get(float(each), len(place)) for each in known], dtype=np.int64)
        found = np.bincount(index, minlength=self.bins)
        found[-1] = len(values) - len(known)
        return found.astype(np.int64)


class Spread(Artefact):
    """A column in one period: rows by bin, and the mean of those that are known, None where none is."""

    counts: tuple[int, ...]
    mean: float | None


class Seen(Artefact):
    """One period [start_us, end_us), microseconds since 1970 UTC.

    columns: of the decisions of the period, by name. figures: amount and basis, by name. hours: events by channel and
    hour. daily: events of each day by "kind on channel".
    """

    start_us: int
    end_us: int
    columns: dict[str, Spread]
    figures: dict[str, tuple[float, float]]
    hours: dict[str, tuple[int, ...]]
    daily: dict[str, tuple[int, ...]]


class Stratum(Artefact):
    """Held-out decisions of one action with like scores: how many, and the sum of their losses and of their squares."""

    action: int
    bin: int
    rows: int
    loss: float
    squared: float


class Profile(Artefact):
    """The periods before training, the earliest first; how columns are cut; the judged model's losses by stratum.

    set_aside: share of each table's rows that the check set aside.
    """

    format: int = FORMAT
    period_days: int
    binnings: tuple[Binning, ...]
    score_cuts: tuple[float, ...]
    periods: tuple[Seen, ...]
    strata: tuple[Stratum, ...]
    set_aside: dict[str, float]


def read_profile(text: str) -> Profile:
    """The profile of a bundle.

    Raises:
        ArtefactError: it is of another version.
    """
    try:
        found = Profile.model_validate_json(text)
    except ValidationError as error:
        raise ArtefactError(
            f"profile.json: is none of this version ({error.error_count()} faults); train again"
        ) from error
    if found.format != FORMAT:
        raise ArtefactError(f"profile.json: format {found.format}; this version reads format {FORMAT}; train again")
    return found


def learn_binning(name: str, words: str, values: npt.NDArray[np.floating], *, categorical: bool) -> Binning:
    """Cuts at the deciles of the known values (n,), or the most frequent codes of a categorical column."""
    known = values[np.isfinite(values)].astype(np.float64)
    if categorical:
        codes, counts = np.unique(known, return_counts=True)
        kept = np.sort(codes[np.argsort(-counts, kind="stable")[:LEVELS]])
        return Binning(name=name, words=words, levels=tuple(kept.tolist()))
    if not len(known):
        return Binning(name=name, words=words)
    cuts = np.unique(np.quantile(known, np.arange(1, BINS) / BINS))
    return Binning(name=name, words=words, cuts=tuple(cuts.tolist()))


def spreads(binnings: tuple[Binning, ...], matrix: Matrix | Floats) -> dict[str, Spread]:
    """Each column of (n, p), in the order of `binnings`."""
    found = {}
    for column, binning in enumerate(binnings):
        values = matrix[:, column]
        known = values[np.isfinite(values)]
        mean = float(known.astype(np.float64).mean()) if len(known) else None
        found[binning.name] = Spread(counts=tuple(binning.counts(values).tolist()), mean=mean)
    return found
