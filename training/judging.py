"""Judges fitted models on decisions that they never saw, beside base rates and plain rules; fits nothing."""

from dataclasses import dataclass

import numpy as np

from models.artefact import Floats, Ints
from models.boosting import predicted
from models.evidence import Evidence
from models.preference import FittedPreference
from models.tables import Rows, mapped
from training.baselines import fixed_policies, history_policies, open_channels
from training.evaluation import Judged
from training.fitting import Models, held_out_labels
from training.logistic import Logistic
from training.policy_value import LoggedRewards, PolicyValue, policy_values
from training.promotion import BASE_RATES, CHALLENGER
from training.rows import spine_rows, with_each_action
from training.splits import sample_customers
from training.study import Part, Study

LOGISTIC = "logistic regression"
PLAN = "this model"
_POLICY_ROWS = 12_000
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
        CHALLENGER: mapped(part.table, lambda block: models.predict(block, study.params.threads)),
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


def judge_policies(study: Study, models: Models, rows: Ints, evidence: tuple[Evidence, ...]) -> tuple[PolicyValue, ...]:
    """The value per decision of the model's choice and of every baseline, EUR, on held-out decisions.

    The model's policy takes the measured action with the highest expected margin less cost, among channels open to the
    customer; there are no limits here.
    """
    params = study.params
    decisions = study.decisions
    kept = sample_customers(rows[study.usable[rows]], decisions.spine.customer, study.hashes, _POLICY_ROWS)
    spine = spine_rows(decisions.spine, kept)
    n_actions = len(study.actions)
    cost = np.array([0.0, *(params.channels[name].unit_cost for name in params.outbound)])
    expected = _expected(study, models, kept, n_actions) - cost
    action = spine.action.astype(np.int64)
    log = LoggedRewards(
        action=action,
        customer=spine.customer,
        propensity=decisions.propensity[kept],
        reward=decisions.margin_eur[kept] - cost[action],
    )
    is_open = open_channels(params, study.source, spine)
    measured = np.array([each.verdict != "unmeasured" for each in evidence[1:]])
    allowed = np.column_stack([np.ones(len(kept), dtype=bool), is_open & measured])
    best = np.where(allowed, expected, -np.inf).argmax(axis=1)
    policies = {PLAN: best, **fixed_policies(params, is_open)}
    policies |= history_policies(params, study.source, spine, is_open)
    return policy_values(log, policies, expected, params.planning.interval)


def _expected(study: Study, models: Models, rows: Ints, n_actions: int) -> Floats:
    """Expected margin of every action at the decisions `rows`, (n, n_actions), EUR, before cost."""
    result = np.empty((len(rows), n_actions))
    step = max(1, _BLOCK_ROWS // n_actions)
    for start in range(0, len(rows), step):
        block = rows[start : start + step]
        spine = with_each_action(spine_rows(study.decisions.spine, block), n_actions)
        matrix = study.source.matrix(spine)
        margin = models.predict(matrix, study.params.threads) * models.margin.expected(matrix)
        result[start : start + step] = margin.reshape(-1, n_actions)
    return result
