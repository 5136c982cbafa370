"""The plain rules that a model must beat: one channel for all, last, most engaged, most clicked; learns nothing.

Each is a policy: for every decision the action that the rule would have taken, from what was known then. What a sender
never sends to a customer, it has no chance to try: rules choose among channels on which the customer was contacted
within the longest window, and contact nobody else. Where the log holds no customer's second contact, every channel is
open to all: there is no history to tell.
"""

import numpy as np
import numpy.typing as npt

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


def open_channels(params: Params, source: RowSource, spine: Spine) -> npt.NDArray[np.bool_]:
    """(n, outbound channels): whether the customer was contacted there within the longest window.

    In a log of single decisions (an experiment without a history) nobody was; there, every channel is open.
    """
    sends = subjects(params).sends
    year = params.features.windows_days[-1]
    counts = source.further([Count(sends.on(channel), year) for channel in params.outbound], spine)
    contacted = counts > 0
    return contacted if contacted.any() else np.ones_like(contacted)


def fixed_policies(params: Params, is_open: npt.NDArray[np.bool_]) -> dict[str, Ints]:
    """Contact nobody, or everybody on one channel where it is open: (n,) actions by name."""
    nobody = {NOBODY: np.full(len(is_open), NO_ACTION, dtype=np.int64)}
    return nobody | {
        f"all on {name}": np.where(is_open[:, i], i + 1, NO_ACTION).astype(np.int64)
        for i, name in enumerate(params.outbound)
    }


def history_policies(
    params: Params, source: RowSource, spine: Spine, is_open: npt.NDArray[np.bool_]
) -> dict[str, Ints]:
    """The rules that follow the customer's own history, (n,) actions by name.

    Args:
        params: channels and windows.
        source: computes the history.
        spine: (n,) the decisions; their own action is not looked at.
        is_open: (n, outbound channels), as `open_channels` gives it.
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
        LAST_CHANNEL: _best(-np.where(np.isnan(values[:, 0]), np.inf, values[:, 0]), is_open),
        MOST_ENGAGED: _best(_counted(values[:, 1] + values[:, 2]), is_open),
        MOST_CLICKED: _best(_counted(values[:, 3]), is_open),
    }


def _counted(values: Floats) -> Floats:
    """Counts, with none at all as −∞: it says nothing about a preference."""
    return np.where(values > 0, values, -np.inf)


def _best(score: Floats, is_open: npt.NDArray[np.bool_]) -> Ints:
    """1 + the best open channel of each row; where a row says nothing, the one that most others have, if it is open."""
    allowed = np.where(is_open, score, -np.inf)
    says = np.isfinite(allowed).any(axis=1)
    best = allowed.argmax(axis=1)
    usual = int(np.bincount(best[says], minlength=1).argmax()) if says.any() else 0
    return np.where(says, best + 1, np.where(is_open[:, usual], usual + 1, NO_ACTION)).astype(np.int64)
