"""Sees periods of a history as monitoring compares them: columns of decisions, scores, figures; judges nothing.

Training sees the periods before it, monitoring those after it, both by this.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from contract.params import Params
from features.activity import Activity, Periods, activity
from features.engines import Source, Window
from features.events import NO_ACTION
from features.labels import horizon_us
from features.matrix import FeatureSet
from features.spine import Decisions
from features.timeline import Timeline
from models.artefact import Floats, Ints, Matrix
from models.bundle import Bundle
from models.profile import Binning, Seen, Spread, learn_binning, spreads

SCORE: Final = "response of the action taken"
ANSWERED: Final = "responses per predicted one"
ALL: Final = "all"
CERTAIN: Final = 0.9
"""A propensity above it leaves nothing to chance."""


@dataclass(frozen=True, eq=False)
class Sample:
    """Decisions of some periods, at most so many of each, (n,) and their columns (n, p).

    known: whether the horizon was over by the end of the last period.
    """

    decisions: Decisions
    rows: Ints
    period: Ints
    matrix: Matrix
    score: Floats
    known: npt.NDArray[np.bool_]

    @property
    def action(self) -> Ints:
        """The action that each chose."""
        return self.decisions.spine.action[self.rows].astype(np.int64)

    @property
    def customer(self) -> Ints:
        """Whom each concerned, by number."""
        return self.decisions.spine.customer[self.rows]

    @property
    def response(self) -> Floats:
        """Whether each was followed by a response, 0 or 1; so far, where its horizon is not over."""
        return self.decisions.response[self.rows].astype(np.float64)


@dataclass(frozen=True)
class Observer:
    """A history, the model whose inputs and scores are of interest, and how many decisions of a period are seen.

    decided: the decisions of a window, whether or not their horizon is over.
    """

    source: Source
    timeline: Timeline
    bundle: Bundle
    params: Params
    rows: int
    decided: Callable[[Window], Decisions]

    def sample(self, periods: Periods) -> Sample:
        """Decisions of the periods with columns and scores, drawn by the seed where there are more than `rows`."""
        decisions = self.decided(Window(periods.since_us, periods.until_us))
        period = periods.of(decisions.spine.as_of_us)
        rng = np.random.default_rng(self.params.seed)
        drawn = [_drawn(np.flatnonzero(period == each), self.rows, rng) for each in range(periods.count)]
        rows = np.sort(np.concatenate(drawn))
        matrix = self.columns(decisions, rows)
        over = decisions.spine.as_of_us[rows] + horizon_us(self.params) <= self.timeline.window.until_us
        return Sample(decisions, rows, period[rows], matrix, self.bundle.predict_response(matrix), over)

    def columns(self, decisions: Decisions, rows: Ints) -> Matrix:
        """(n, p) what the model reads of the given decisions, which ascend."""
        features = FeatureSet.from_json(self.bundle.manifest.features)
        customers = features.demographic.table(self.source, self.timeline)
        part = decisions.spine.rows(rows)
        return features.matrix(self.timeline, part, customers, threads=self.params.threads)

    def binnings(self, sample: Sample) -> tuple[Binning, ...]:
        """Cuts of every column and of the score, learned from a sample."""
        manifest = self.bundle.manifest
        meanings = FeatureSet.from_json(manifest.features).meanings
        columns = [
            learn_binning(
                name, meanings.get(name, name), sample.matrix[:, at], categorical=name in manifest.categorical
            )
            for at, name in enumerate(manifest.names)
        ]
        score = learn_binning(SCORE, "what the model says of the action taken", sample.score, categorical=False)
        return (*columns, score)

    def seen(self, periods: Periods, sample: Sample, binnings: tuple[Binning, ...]) -> tuple[Seen, ...]:
        """What each period looked like."""
        counted = activity(self.source.connection, self.params, periods)
        counted.figures.update(self._decided(sample, periods))
        whole = np.column_stack([sample.matrix, sample.score])
        return tuple(
            _seen(counted, periods, each, spreads(binnings, whole[sample.period == each]))
            for each in range(periods.count)
        )

    def _decided(self, sample: Sample, periods: Periods) -> dict[str, Floats]:
        """Figures of all decisions: mix of channels, randomness of the sender; of the sample: mean scores."""
        decisions = sample.decisions
        period = periods.of(decisions.spine.as_of_us)
        action, propensity = decisions.spine.action.astype(np.int64), decisions.propensity
        actions = ("no contact", *self.params.outbound)

        def counted(which: npt.NDArray[np.bool_], weight: Floats | None = None) -> Floats:
            chosen = None if weight is None else weight[which]
            return np.bincount(period[which], chosen, periods.count).astype(np.float64)

        every, logged = np.ones(len(period), dtype=bool), np.isfinite(propensity)
        n, weight = counted(every), np.where(logged, 1 / np.where(logged, propensity, 1.0), 0.0)
        squares = counted(logged, weight**2)
        ess = np.divide(counted(logged, weight) ** 2, squares, out=np.zeros(periods.count), where=squares > 0)
        figures = {
            f"decided for {name}": np.column_stack([counted(action == at), n]) for at, name in enumerate(actions)
        }
        figures["held out"] = figures.pop(f"decided for {actions[NO_ACTION]}")
        figures["decisions with a logged propensity"] = np.column_stack([counted(logged), n])
        figures["decisions left to chance"] = np.column_stack([counted(logged & (propensity < CERTAIN)), n])
        figures["effective sample size of the log"] = np.column_stack([ess, counted(logged)])
        for at, name in enumerate(actions):
            rows = sample.action == at
            sums = np.bincount(sample.period[rows], sample.score[rows], periods.count)
            figures[f"mean score for {name}"] = np.column_stack(
                [sums, np.bincount(sample.period[rows], minlength=periods.count)]
            )
        return figures | self._answered(sample, periods)

    def _answered(self, sample: Sample, periods: Periods) -> dict[str, Floats]:
        """Responses and how many were predicted, of the sample's decisions whose horizon is over."""
        actions = ("no contact", *self.params.outbound)
        parts = {ALL: sample.known} | {name: sample.known & (sample.action == at) for at, name in enumerate(actions)}
        figures = {}
        for name, rows in parts.items():
            sums = [
                np.bincount(sample.period[rows], each[rows], periods.count) for each in (sample.response, sample.score)
            ]
            figures[f"{ANSWERED} for {name}"] = np.column_stack(sums).astype(np.float64)
        return figures


def _drawn(rows: Ints, most: int, rng: np.random.Generator) -> Ints:
    return rows if len(rows) <= most else rng.choice(rows, most, replace=False)


def _seen(counted: Activity, periods: Periods, period: int, columns: dict[str, Spread]) -> Seen:
    length = (periods.until_us - periods.since_us) // periods.count
    start = periods.since_us + period * length
    return Seen(
        start_us=start,
        end_us=start + length,
        columns=columns,
        figures={name: _pair(each[period]) for name, each in counted.figures.items()},
        hours={name: _whole(each[period]) for name, each in counted.hours.items()},
        daily={f"{kind} on {channel}": _whole(each[period]) for (channel, kind), each in counted.daily.items()},
    )


def _pair(figure: Sequence[float] | Floats) -> tuple[float, float]:
    return float(figure[0]), float(figure[1])


def _whole(counts: Floats) -> tuple[int, ...]:
    return tuple(int(each) for each in counts)
