"""What the model card shows beyond tables of figures: reliability, uplift, groups, importance; fits nothing."""

from dataclasses import dataclass

import numpy as np

from features.demographic import Column
from models.artefact import Floats, Matrix
from training.evaluation import Judged
from training.fitting import Models
from training.groups import GroupRows, Groups, group_quality
from training.importance import Importance, importances
from training.promotion import BASE_RATES, CHALLENGER
from training.reliability import Reliability, reliability
from training.study import Part, Study
from training.uplift_curves import UpliftCurve

_SHAP_ROWS = 1_500
_SHOWN_COLUMNS = 15
_CHANNEL_BINS = 10
ALL = "all"


@dataclass(frozen=True)
class Insight:
    """rows: which held-out rows all of it rests on; reliability: by action, and of all; curves: by channel."""

    rows: str
    reliability: dict[str, Reliability | None]
    curves: tuple[UpliftCurve, ...]
    groups: Groups
    importance: tuple[Importance, ...]


def gather_insight(
    study: Study, models: Models, name: str, part: Part, judged: Judged, curves: tuple[UpliftCurve, ...]
) -> Insight:
    """All that the card shows of a held-out part.

    Args:
        study: what is trained.
        models: fitted without the part.
        name: of the part.
        part: its rows.
        judged: what was predicted for them.
        curves: of the uplift, found on its decisions.
    """
    probability = judged.predictors[CHALLENGER]
    return Insight(
        rows=name,
        reliability=_reliability(study, part, judged, probability),
        curves=curves,
        groups=_groups(study, part, judged, probability),
        importance=_importance(study, models, part),
    )


def _reliability(study: Study, part: Part, judged: Judged, probability: Floats) -> dict[str, Reliability | None]:
    customer, rate = part.table.customer, float(judged.outcome.mean())
    masks = {ALL: np.ones(len(customer), dtype=bool)}
    masks |= {action: judged.action == number for number, action in enumerate(study.actions)}
    return {
        action: reliability(
            probability[mask],
            judged.outcome[mask],
            customer[mask],
            most_bins=_CHANNEL_BINS,
            level=study.params.planning.interval,
            rate=rate,
        )
        for action, mask in masks.items()
        if mask.any()
    }


def group_columns(study: Study, part: Part) -> tuple[list[Column], Matrix]:
    """The columns that tell groups of customers apart, and their values at the part's rows, (n, columns)."""
    columns = [each for each in study.source.demographic if each.name in study.source.names]
    places = [study.source.names.index(each.name) for each in columns]
    values = part.table.columns(sorted(places)).matrix
    return columns, values[:, np.argsort(np.argsort(places))]


def _groups(study: Study, part: Part, judged: Judged, probability: Floats) -> Groups:
    rows = GroupRows(probability, judged.predictors[BASE_RATES], judged.outcome, part.table.customer)
    return group_quality(*group_columns(study, part), rows, study.params.planning.interval)


def _importance(study: Study, models: Models, part: Part) -> tuple[Importance, ...]:
    response = models.response.over(study.source.names)
    every = len(part.rows)
    sample = part.table.rows(np.arange(min(every, _SHAP_ROWS)) * every // min(every, _SHAP_ROWS))
    return importances(response, sample, study.source.meanings, _SHOWN_COLUMNS, study.params.threads)
