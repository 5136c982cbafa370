"""Judges fitted models on decisions that they never saw, beside base rates and plain rules; fits nothing."""

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from models.artefact import Floats, Ints, Matrix
from models.boosting import predicted
from models.calibration import among
from models.evidence import Evidence
from models.preference import FittedPreference, restricted
from models.tables import Rows, places_of
from training.baselines import fixed_policies, history_policies, open_channels
from training.contact_preference import answered_rows, contact_shares
from training.evaluation import Judged
from training.fitting import Models
from training.heads import CONTACT, head_channels, labelled_rows
from training.logistic import Logistic
from training.policy_value import LoggedRewards, PolicyValue, policy_values
from training.promotion import BASE_RATES, CHALLENGER, CHAMPION
from training.rows import RowSource, with_each_action
from training.splits import sample_customers
from training.study import Part, Study
from training.uplift_curves import UpliftCurve, UpliftLog, uplift_curves

LOGISTIC = "logistic regression"
PLAN = "this model"
_POLICY_ROWS = 60_000
_BLOCK_ROWS = 50_000


@dataclass(frozen=True)
class PreferenceQuality:
    """A head on held-out rows: nats a row and share of rows whose channel came first, beside shares fixed for all."""

    rows: int
    log_loss: float
    log_loss_of_shares: float
    top_1: float
    top_1_of_shares: float


def judge_response(study: Study, models: Models, part: Part, rates: Floats, logistic: Logistic | None) -> Judged:
    """What model, base rates and regression say about the rows of a held-out part."""
    predictors = {
        CHALLENGER: models.response.predict(study.source.names, part.table, study.params.threads),
        BASE_RATES: rates[part.action],
    }
    if logistic is not None:
        predictors[LOGISTIC] = logistic.predict(part.table)
    return Judged(part.action, part.response, predictors)


def judge_preference(
    study: Study, fitted: FittedPreference, part: Part, head: str, propensity: Floats, shares: Floats
) -> PreferenceQuality | None:
    """The quality of a head on held-out rows; None where too few show an outcome.

    `shares` (n channels,) are those of the learning period, the same for everybody.
    """
    if head == CONTACT:
        answered = answered_rows(study, fitted, part, propensity)
        label, weight, possible = answered.label, answered.weight, answered.possible
        shown = contact_shares(study, fitted, answered.rows)
    else:
        labelled, _ = labelled_rows(study, part, head, propensity)
        rows = restricted(labelled, fitted.classes)
        label, weight = rows.label, rows.weight
        shown = _shares(fitted, rows.table, study.params.threads)
        possible = np.ones_like(shown, dtype=np.bool_)
    if len(label) < 50:
        return None
    shown, fixed = among(shown, possible), among(np.tile(shares[list(fitted.classes)], (len(label), 1)), possible)
    share = weight / weight.sum()

    def loss(p: Floats) -> float:
        return float(-share @ np.log(np.maximum(p[np.arange(len(label)), label], 1e-6)))

    def top_1(p: Floats) -> float:
        return float(share @ (p.argmax(axis=1) == label))

    return PreferenceQuality(len(label), loss(shown), loss(fixed), top_1(shown), top_1(fixed))


def learned_shares(study: Study, part: Part, head: str, propensity: Floats) -> Floats:
    """Weighted shares of a head's channels in a part, drawn to equal ones as if by one more row each."""
    labelled, _ = labelled_rows(study, part, head, propensity)
    channels = head_channels(study, head)
    mass = np.bincount(labelled.label, weights=labelled.weight, minlength=max(channels) + 1) + 1.0
    result: Floats = mass / mass.sum()
    return result


def _shares(fitted: FittedPreference, table: Rows, threads: int) -> Floats:
    if fitted.text is None:
        return np.tile(np.array(fitted.fixed), (len(table.customer), 1))
    return fitted.calibration.apply(predicted(fitted.text, table, threads))


@dataclass(frozen=True, eq=False)
class Alternatives:
    """Some held-out decisions and what the model expects of every action there.

    rows: (n,) of the study's decisions; response: (n, n_actions), probability; margin_eur: (n,), given a response;
    is_open: (n, outbound channels).
    """

    rows: Ints
    response: Floats
    margin_eur: Floats
    is_open: npt.NDArray[np.bool_]

    def among(self, keep: Ints) -> "Alternatives":
        """At some of the decisions."""
        return Alternatives(self.rows[keep], self.response[keep], self.margin_eur[keep], self.is_open[keep])


@dataclass(frozen=True, eq=False)
class Expectation:
    """A model as policies ask it: its columns, and from rows of them the response and the margin of one, EUR, (n,)."""

    source: RowSource
    response: Callable[[Matrix], Floats]
    margin_eur: Callable[[Matrix], Floats]


def weigh_alternatives(study: Study, models: Models, rows: Ints) -> Alternatives:
    """What the model expects of every action, at a sample of the decisions `rows`: whole customers."""
    kept = sample_customers(rows[study.usable[rows]], study.decisions.spine.customer, study.hashes, _POLICY_ROWS)
    is_open = open_channels(study.params, study.source, study.decisions.spine.rows(kept))
    names, threads = study.source.names, study.params.threads
    model, margin = models.response.over(names), models.margin.over(places_of(names))
    ours = Expectation(study.source, lambda block: model.probability(block, threads=threads)[:, 0], margin.expected)
    return alternatives(study, ours, kept, is_open)


def alternatives(study: Study, model: Expectation, rows: Ints, is_open: npt.NDArray[np.bool_]) -> Alternatives:
    """What a model expects of every action at the decisions `rows`, whose open channels are known."""
    n_actions = len(study.actions)
    response, margin = np.empty((len(rows), n_actions)), np.empty(len(rows))
    step = max(1, _BLOCK_ROWS // n_actions)
    for start in range(0, len(rows), step):
        block = rows[start : start + step]
        matrix = model.source.matrix(with_each_action(study.decisions.spine.rows(block), n_actions))
        response[start : start + step] = model.response(matrix).reshape(-1, n_actions)
        margin[start : start + step] = model.margin_eur(matrix[::n_actions])
    return Alternatives(rows, response, margin, is_open)


def judge_uplift(study: Study, found: Alternatives, evidence: tuple[Evidence, ...]) -> tuple[UpliftCurve, ...]:
    """What contact on each channel truly added, by what the model expected, on the same decisions."""
    spine = study.decisions.spine.rows(found.rows)
    log = UpliftLog(
        action=spine.action.astype(np.int64),
        customer=spine.customer,
        response=study.decisions.response[found.rows].astype(np.float64),
        propensity=study.decisions.propensity[found.rows],
        predicted=found.response,
        is_open=found.is_open,
        tied=study.params.target.counts == "send",
    )
    return uplift_curves(log, evidence, study.params.planning.interval)


def judge_policies(study: Study, found: Alternatives, evidence: tuple[Evidence, ...]) -> tuple[PolicyValue, ...]:
    """The value per decision of the model's choice and of every baseline, EUR, on held-out decisions.

    The model's policy takes the measured action with the highest expected margin less cost, among channels open to the
    customer; there are no limits here.
    """
    best, expected = _choice(study, found, evidence)
    spine = study.decisions.spine.rows(found.rows)
    policies = {PLAN: best, **fixed_policies(study.params, found.is_open)}
    policies |= history_policies(study.params, study.source, spine, found.is_open)
    return policy_values(_rewards(study, found.rows), policies, expected, study.params.planning.interval)


def judge_lead(study: Study, ours: Alternatives, theirs: Alternatives, evidence: tuple[Evidence, ...]) -> PolicyValue:
    """The policy of another model with what `ours` earns more, per decision, on the same decisions.

    Either policy chooses as in `judge_policies`; the doubly robust estimate leans on the mean of what both expect. Its
    `refused` says why there is no lead.
    """
    if len(ours.rows) == 0:
        return PolicyValue(PLAN, ("no decision was seen by neither model",), 0.0, 1.0, 1.0, 0)
    (best, expected), (other, others) = (_choice(study, each, evidence) for each in (ours, theirs))
    level = study.params.planning.interval
    first, second = policy_values(
        _rewards(study, ours.rows), {PLAN: best, CHAMPION: other}, (expected + others) / 2, level
    )
    return second if second.refused or second.lead is not None else replace(second, refused=first.refused)


def _choice(study: Study, found: Alternatives, evidence: tuple[Evidence, ...]) -> tuple[Ints, Floats]:
    """(n,) the action to take, and (n, n_actions) the EUR that every action is expected to bring."""
    expected = found.response * found.margin_eur[:, None] - _cost(study)
    measured = np.array([each.verdict != "unmeasured" for each in evidence[1:]])
    allowed = np.column_stack([np.ones(len(found.rows), dtype=bool), found.is_open & measured])
    best: Ints = np.where(allowed, expected, -np.inf).argmax(axis=1)
    return best, expected


def _rewards(study: Study, rows: Ints) -> LoggedRewards:
    decisions = study.decisions
    action = decisions.spine.action[rows].astype(np.int64)
    return LoggedRewards(
        action=action,
        customer=decisions.spine.customer[rows],
        propensity=decisions.propensity[rows],
        reward=decisions.margin_eur[rows] - _cost(study)[action],
    )


def _cost(study: Study) -> Floats:
    """(n_actions,) EUR."""
    return np.array([0.0, *(study.params.channels[name].unit_cost for name in study.params.outbound)])
