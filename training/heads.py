"""What the two preferences are learned from: which channels may be named, and the decisions after which one was."""

from typing import Final

import numpy as np

from contract.kinds import Role
from models.artefact import Floats, Ints
from models.preference import Labelled, exposure_weights
from training.splits import sample_customers
from training.study import Part, Study

CONTACT, ENGAGEMENT = "contact", "engagement"

_SHARE: Final = 8
"""Preferences are learned and judged on fewer rows; engagement costs as many trees a round as there are channels."""


def head_channels(study: Study, head: str) -> list[int]:
    """Indices of the channels that a head may name: outbound ones, or those that record own steps."""
    if head == CONTACT:
        return list(range(len(study.params.outbound)))
    steps = set(study.params.kinds_of(Role.OWN_STEP))
    recording = [i for i, channel in enumerate(study.params.channels.values()) if steps & set(channel.records)]
    return recording or list(range(len(study.params.channels)))


def labelled_rows(study: Study, part: Part, head: str, propensity: Floats) -> tuple[Labelled, Ints]:
    """The rows of a part that show a head's outcome, without columns that depend on the action taken, and which.

    Answers are weighted by the inverse of the propensity of the send.
    """
    decisions = study.decisions
    label = (decisions.answer_channel if head == CONTACT else decisions.own_step_channel)[part.rows].astype(np.int64)
    answered = np.flatnonzero(label >= 0)
    most = max(10_000, study.profile.max_decisions // _SHARE)
    kept = sample_customers(answered, part.table.customer, study.hashes, most)
    weight = exposure_weights(propensity[part.rows[kept]]) if head == CONTACT else np.ones(len(kept))
    table = part.table.rows(kept).columns(study.columns(candidate=False))
    return Labelled(table, label[kept], weight), part.rows[kept]
