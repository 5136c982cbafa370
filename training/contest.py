"""Holds a trained model against the champion on decisions that neither saw; decides nothing (see `promotion`)."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from models.bundle import Bundle
from models.evidence import Evidence
from models.tables import mapped
from training.evaluation import Judged
from training.groups import GroupRows, group_growth
from training.insight import group_columns
from training.judging import Alternatives, Expectation, alternatives, judge_lead
from training.promotion import CHALLENGER, CHAMPION, Contest, Verdict, later_verdict
from training.rows import ComputedTable, RowSource
from training.study import Part, Study


@dataclass(frozen=True)
class Champion:
    """The model to beat and the columns that it reads, over the same decisions."""

    bundle: Bundle
    source: RowSource


@dataclass(frozen=True, eq=False)
class Trained:
    """What a training knows of its model before the verdict.

    part: held-out rows; judged: what the model said of them; considered: what it expects of every action at decisions
    of the same period; evidence: of every action.
    """

    study: Study
    part: Part
    judged: Judged
    considered: Alternatives
    evidence: tuple[Evidence, ...]


def champion_verdict(trained: Trained, champion: Champion) -> Verdict:
    """The verdict of a model against the champion; one that chooses otherwise, or for another end, is not compared."""
    manifest, params = champion.bundle.manifest, trained.study.params
    if manifest.outbound != params.outbound:
        return Verdict(False, ("the champion chooses among other channels; promote by hand if that is meant",))
    if manifest.objective_name != params.objective:
        return Verdict(False, ("the champion serves another objective; promote by hand if that is meant",))
    contest = _contest(trained, champion)
    return later_verdict(contest, trained.study.actions, params.training.calibration_bins, params.promotion)


def _contest(trained: Trained, champion: Champion) -> Contest:
    study, part, judged = trained.study, trained.part, trained.judged
    rows = np.flatnonzero(_unseen(study, part.rows, champion))
    spine = study.decisions.spine.rows(part.rows[rows])
    theirs = mapped(ComputedTable(champion.source, spine), champion.bundle.judged_response)
    predictors = {CHALLENGER: judged.predictors[CHALLENGER][rows], CHAMPION: theirs}
    shared = Judged(judged.action[rows], judged.outcome[rows], predictors)
    lead = judge_lead(study, *_alternatives(study, trained.considered, champion), trained.evidence)
    columns, values = group_columns(study, part)
    compared = GroupRows(predictors[CHALLENGER], theirs, shared.outcome, spine.customer)
    return Contest(shared, lead.lead, lead.refused, group_growth(columns, values[rows], compared))


def _alternatives(study: Study, considered: Alternatives, champion: Champion) -> tuple[Alternatives, Alternatives]:
    """What either model expects of every action, at decisions that neither saw."""
    ours = considered.among(np.flatnonzero(_unseen(study, considered.rows, champion)))
    bundle = champion.bundle
    expectation = Expectation(champion.source, bundle.judged_response, bundle.expected_margin)
    return ours, alternatives(study, expectation, ours.rows, ours.is_open)


def _unseen(study: Study, rows: npt.NDArray[np.int64], champion: Champion) -> npt.NDArray[np.bool_]:
    """Whether the champion's judged model saw none of it: its own test days on, and customers held out by its seed."""
    window, spine = champion.bundle.manifest.window, study.decisions.spine
    unseen: npt.NDArray[np.bool_] = spine.as_of_us[rows] >= window.judged_from_us
    if window.seed == study.params.seed:
        unseen = unseen | study.split.held_out[spine.customer[rows]]
    return unseen
