"""The plain rules that a model must beat: one channel for all, last, most engaged, most clicked; learns nothing.

Each is a policy: for every decision the action that the rule would have taken, from what was known then.
"""

import numpy as np

from contract.kinds import OPENED, Role
from contract.params import Params
from features.catalogue import subjects
from features.event_sets import EventSet
from features.events import NO_ACTION, Spine
from features.grammar import Count, Feature, Recency
from models.artefact import Floats, Ints
from training.rows import RowSource

NOBODY = "nobody"
LAST_CHANNEL, MOST_ENGAGED, MOST_CLICKED = "last channel", "most engaged", "most clicked"


def fixed_policies(params: Params, rows: int) -> dict[str, Ints]:
    """Contact nobody, or everybody on one channel: (n,) actions by name."""
    names = {NOBODY: NO_ACTION} | {f"all on {name}": i for i, name in enumerate(params.outbound, start=1)}
    return {name: np.full(rows, action, dtype=np.int64) for name, action in names.items()}


def history_policies(params: Params, source: RowSource, spine: Spine) -> dict[str, Ints]:
    """The rules that follow the customer's own history, (n,) actions by name.

    Args:
        params: channels and windows.
        source: computes the history.
        spine: (n,) the decisions; their own action is not looked at.
    """
    outbound = params.outbound
    answers = subjects(params).answers
    steps = subjects(params).steps
    clicked = tuple(kind for kind in params.kinds_of(Role.ANSWER) if kind != OPENED)
    clicks = EventSet("clicks", "clicks and replies", clicked, transactional=False)
    year = params.features.windows_days[-1]
    features: list[Feature] = [
        *(Recency(answers.on(channel)) for channel in outbound),
        *(Count(answers.on(channel), year) for channel in outbound),
        *(Count(steps.on(channel), year) for channel in outbound),
        *(Count(clicks.on(channel), year) for channel in outbound),
    ]
    values = source.further(features, spine).astype(np.float64).reshape(len(spine), 4, len(outbound))
    return {
        LAST_CHANNEL: _best(-np.where(np.isnan(values[:, 0]), np.inf, values[:, 0])),
        MOST_ENGAGED: _best(_counted(values[:, 1] + values[:, 2])),
        MOST_CLICKED: _best(_counted(values[:, 3])),
    }


def _counted(values: Floats) -> Floats:
    """Counts, with none at all as −∞: it says nothing about a preference."""
    return np.where(values > 0, values, -np.inf)


def _best(score: Floats) -> Ints:
    """1 + the best channel of each row; where a row says nothing, the one that most others have."""
    says = np.isfinite(score).any(axis=1)
    best = score.argmax(axis=1)
    usual = int(np.bincount(best[says], minlength=1).argmax()) if says.any() else 0
    return np.where(says, best, usual) + 1
