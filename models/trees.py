"""One trained LightGBM model behind whichever engine evaluates it: the forest, or LightGBM where that refuses."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Final

import numpy as np

from contract.errors import ArtefactError
from models.artefact import Floats, Matrix
from models.calibration import expit, softmax
from models.forest import Forest, UnreadableError

if TYPE_CHECKING:
    import lightgbm as lgb


UNREAD: Final = 2**31 - 1
"""The place of a column that no split reads: beyond every matrix."""


def read_columns(text: str) -> frozenset[int]:
    """Which of its columns any split of a model text reads; none of an empty text."""
    lines = re.findall(r"^split_feature=(.*)$", text, flags=re.MULTILINE)
    return frozenset(int(column) for line in lines for column in line.split())


@dataclass(frozen=True)
class Trees:
    """A model text and where its columns lie, as `Forest.parsed` has it; `UNREAD` where none has to lie.

    forest: None where LightGBM evaluates; refused: then, why.
    """

    text: str
    places: tuple[int, ...]
    forest: Forest | None
    refused: str = ""

    @classmethod
    def of(cls, text: str, places: Sequence[int]) -> "Trees":
        """The trees of a binary, multiclass or Poisson model.

        Raises:
            ArtefactError: it is no model, was trained for another objective, or reads another number of columns.
        """
        try:
            return cls._read(text, tuple(places))
        except (ValueError, LookupError) as error:
            raise ArtefactError(f"model: is no text that LightGBM writes ({error!r}); train again") from error

    @classmethod
    def _read(cls, text: str, places: tuple[int, ...]) -> "Trees":
        facts = dict(line.split("=", 1) for line in text[: text.index("\n\n")].splitlines() if "=" in line)
        objective = facts.get("objective", "")
        if objective not in ("binary sigmoid:1", "poisson") and not objective.startswith("multiclass "):
            raise ArtefactError(f"model: objective '{objective}'; read are binary, multiclass, poisson; train again")
        if int(facts["max_feature_idx"]) + 1 != len(places):
            raise ArtefactError(
                f"model: reads {int(facts['max_feature_idx']) + 1} columns, the bundle names {len(places)}; train again"
            )
        try:
            return cls(text, places, Forest.parsed(text, places))
        except UnreadableError as reason:
            return cls(text, places, None, str(reason))

    def raw(self, shared: Matrix, own: Matrix | None = None, *, threads: int = 1) -> Floats:
        """(n, actions, classes) raw scores; the arguments are those of `Forest.raw`."""
        if self.forest is not None:
            return self.forest.raw(shared, own, threads=threads)
        actions = 1 if own is None or len(shared) == 0 else len(own) // len(shared)
        if len(shared) == 0:
            return np.empty((0, actions, self.booster.num_model_per_iteration()))
        rows = np.full((len(shared) * actions, len(self.places)), np.nan, np.float32)
        for column, place in enumerate(self.places):
            if place == UNREAD:
                continue
            if place >= 0:
                rows[:, column] = np.repeat(shared[:, place], actions)
            elif own is not None:
                rows[:, column] = own[:, ~place]
        raw = np.asarray(self.booster.predict(rows, raw_score=True, num_threads=threads), dtype=np.float64)
        return raw.reshape(len(shared), actions, -1)

    @cached_property
    def booster(self) -> "lgb.Booster":
        """LightGBM's own model of the text.

        Raises:
            ArtefactError: LightGBM cannot read it.
        """
        # Two seconds of imports that scoring does without.
        import lightgbm as lgb

        try:
            return lgb.Booster(model_str=self.text)
        except lgb.basic.LightGBMError as error:
            raise ArtefactError(f"model: LightGBM {lgb.__version__} cannot read it: {error}; train again") from error


def probabilities(raw: Floats) -> Floats:
    """(..., classes) of raw scores: the logistic function where there is one class, else the softmax."""
    if raw.shape[-1] == 1:
        return expit(raw)
    return softmax(raw)


def shares_of(answer: Floats) -> Floats:
    """(n, k) shares, summing to one, of the probabilities (n, k) that a contact on each channel is answered."""
    some = np.maximum(answer, 1e-6)
    return np.asarray(some / some.sum(axis=1, keepdims=True))
