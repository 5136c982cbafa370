"""Propensities of all decisions, logged or estimated, and the evidence that they carry; fits no response."""

import numpy as np

from models.artefact import Floats, Ints
from models.evidence import Evidence, Log, judge_evidence
from models.propensity import estimate_propensities
from training.learners import DOUBLY_ROBUST
from training.rows import ComputedTable, counted_propensity
from training.splits import sample_customers
from training.study import Study

_TYPICAL_ROWS = 30_000


def weigh_log(study: Study) -> tuple[Floats, tuple[Evidence, ...]]:
    """The propensity of the action taken, (n,), NaN where unknown, and the evidence of every action."""
    decisions = study.decisions
    logged = float(np.isfinite(decisions.propensity).mean())
    estimated = None
    if logged < study.params.training.overlap_min_share:
        estimated = _estimated(study)
    log = Log(
        action=decisions.spine.action.astype(np.int64),
        time_us=decisions.spine.as_of_us,
        response=decisions.response.astype(np.int64),
        propensity=decisions.propensity,
        estimated=np.full((len(decisions), len(study.actions)), np.nan) if estimated is None else estimated,
    )
    return counted_propensity(decisions, estimated), judge_evidence(log, study.params)


def _estimated(study: Study) -> Floats:
    """Estimates for typical decisions and for answered ones, which weigh the contact preference; NaN elsewhere.

    A learner that weighs decisions of any outcome gets them for all of which it may be fitted.
    """
    decisions, params = study.decisions, study.params
    spine = decisions.spine
    every: Ints = np.arange(len(decisions))
    typical = sample_customers(every, spine.customer, study.hashes, _TYPICAL_ROWS)
    answered = sample_customers(
        np.flatnonzero(decisions.answer_channel >= 0), spine.customer, study.hashes, study.profile.max_decisions
    )
    rows = np.union1d(typical, answered)
    if DOUBLY_ROBUST in study.profile.learners:
        rows = np.union1d(rows, np.union1d(study.rows_of(every), study.rows_of(study.split.learn)))
    keep = study.columns(candidate=False)
    whole = ComputedTable(study.source, spine.rows(rows))
    result = np.full((len(decisions), len(study.actions)), np.nan)
    result[rows] = estimate_propensities(
        whole.columns(keep),
        spine.action[rows].astype(np.int64),
        spine.as_of_us[rows],
        np.isin(rows, typical),
        len(study.actions),
        seed=params.seed,
        threads=params.threads,
    )
    return result
