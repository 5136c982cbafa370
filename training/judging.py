"""Judges fitted models on decisions that they never saw, beside base rates and plain rules; fits nothing."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from models.artefact import Floats, Ints
from models.boosting import predicted
from models.evidence import Evidence
from models.preference import FittedPreference
from models.tables import Rows
from training.baselines import fixed_policies, history_policies, open_channels
from training.evaluation import Judged
from training.fitting import Models, held_out_labels
from training.logistic import Logistic
from training.policy_value import LoggedRewards, PolicyValue, policy_values
from training.promotion import BASE_RATES, CHALLENGER
from training.rows import spine_rows, with_each_action
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
    labelled, _ = held_out_labels(study, part, head, propensity)
    keep = np.flatnonzero(np.isin(labelled.label, fitted.classes) & (labelled.weight > 0))
    if len(keep) < 50:
        return None
    rows = labelled.rows(keep)
    label = np.searchsorted(np.array(fitted.classes), rows.label)
    shown = _shares(fitted, rows.table, study.params.threads)
    fixed = np.tile(shares[list(fitted.classes)] / shares[list(fitted.classes)].sum(), (len(keep), 1))
    share = rows.weight / rows.weight.sum()

    def loss(p: Floats) -> float:
        return float(-share @ np.log(np.maximum(p[np.arange(len(label)), label], 1e-6)))

    def top_1(p: Floats) -> float:
        return float(share @ (p.argmax(axis=1) == label))

    return PreferenceQuality(len(keep), loss(shown), loss(fixed), top_1(shown), top_1(fixed))


def learned_shares(study: Study, part: Part, head: str, propensity: Floats) -> Floats:
    """Weighted shares of a head's channels in a part, drawn to equal ones as if by one more row each."""
    labelled, channels = held_out_labels(study, part, head, propensity)
    mass = np.bincount(labelled.label, weights=labelled.weight, minlength=int(channels.max()) + 1) + 1.0
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


def weigh_alternatives(study: Study, models: Models, rows: Ints) -> Alternatives:
    """What the model expects of every action, at a sample of the decisions `rows`: whole customers."""
    kept = sample_customers(rows[study.usable[rows]], study.decisions.spine.customer, study.hashes, _POLICY_ROWS)
    response, margin = _expected(study, models, kept)
    is_open = open_channels(study.params, study.source, spine_rows(study.decisions.spine, kept))
    return Alternatives(kept, response, margin, is_open)


def judge_uplift(study: Study, found: Alternatives, evidence: tuple[Evidence, ...]) -> tuple[UpliftCurve, ...]:
    """What contact on each channel truly added, by what the model expected, on the same decisions."""
    spine = spine_rows(study.decisions.spine, found.rows)
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
    params = study.params
    decisions = study.decisions
    kept, is_open = found.rows, found.is_open
    spine = spine_rows(decisions.spine, kept)
    cost = np.array([0.0, *(params.channels[name].unit_cost for name in params.outbound)])
    expected = found.response * found.margin_eur[:, None] - cost
    action = spine.action.astype(np.int64)
    log = LoggedRewards(
        action=action,
        customer=spine.customer,
        propensity=decisions.propensity[kept],
        reward=decisions.margin_eur[kept] - cost[action],
    )
    measured = np.array([each.verdict != "unmeasured" for each in evidence[1:]])
    allowed = np.column_stack([np.ones(len(kept), dtype=bool), is_open & measured])
    best = np.where(allowed, expected, -np.inf).argmax(axis=1)
    policies = {PLAN: best, **fixed_policies(params, is_open)}
    policies |= history_policies(params, study.source, spine, is_open)
    return policy_values(log, policies, expected, params.planning.interval)


def _expected(study: Study, models: Models, rows: Ints) -> tuple[Floats, Floats]:
    """Response to every action at the decisions `rows`, (n, n_actions), and the margin of one, (n,), EUR."""
    n_actions = len(study.actions)
    response, worth = np.empty((len(rows), n_actions)), np.empty(len(rows))
    model = models.response.over(study.source.names)
    margin = models.margin.over({name: i for i, name in enumerate(study.source.names)})
    step = max(1, _BLOCK_ROWS // n_actions)
    for start in range(0, len(rows), step):
        block = rows[start : start + step]
        spine = with_each_action(spine_rows(study.decisions.spine, block), n_actions)
        matrix = study.source.matrix(spine)
        found = model.probability(matrix, threads=study.params.threads)
        response[start : start + step] = found.reshape(-1, n_actions)
        worth[start : start + step] = margin.expected(matrix[::n_actions])
    return response, worth
