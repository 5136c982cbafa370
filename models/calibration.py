"""Maps that make probabilities mean what they say, as data; `models.calibration_fit` learns and chooses them.

Binary: none, Platt (1999) scaling of the logit, beta calibration (Kull, Silva Filho & Flach, 2017), isotonic regression
(Zadrozny & Elkan, 2002). Multiclass: none, temperature, vector and matrix scaling (Guo et al., 2017).
"""

from functools import cached_property
from typing import Annotated, Final, Literal

import numpy as np
import numpy.typing as npt
from pydantic import Field

from models.artefact import Artefact, Floats

FLOOR: Final = 1e-6
"""Nothing is said to be more certain than this."""


class Unchanged(Artefact):
    """Leaves probabilities as they are."""

    kind: Literal["none"] = "none"

    def apply(self, probability: Floats) -> Floats:
        """The probabilities, unchanged."""
        return probability


class Platt(Artefact):
    """expit(slope · logit(p) + intercept)."""

    kind: Literal["platt"] = "platt"
    slope: float
    intercept: float

    def apply(self, probability: Floats) -> Floats:
        """Calibrated probabilities, shape as given."""
        return expit(self.slope * logit(probability) + self.intercept)


class Beta(Artefact):
    """expit(a · log p − b · log(1 − p) + c): unlike Platt's, it can bend near 0 otherwise than near 1; a, b ≥ 0."""

    kind: Literal["beta"] = "beta"
    a: float
    b: float
    c: float

    def apply(self, probability: Floats) -> Floats:
        """Calibrated probabilities, shape as given."""
        p = np.clip(probability, FLOOR, 1 - FLOOR)
        return expit(self.a * np.log(p) - self.b * np.log1p(-p) + self.c)


class Isotonic(Artefact):
    """Monotone and piecewise linear between knots; each knot stands for at least 50 rows."""

    kind: Literal["isotonic"] = "isotonic"
    score: tuple[float, ...]
    probability: tuple[float, ...]

    def apply(self, probability: Floats) -> Floats:
        """Calibrated probabilities, shape as given."""
        return np.interp(probability, self.score, self.probability)


class Temperature(Artefact):
    """softmax(log p / temperature)."""

    kind: Literal["temperature"] = "temperature"
    temperature: float

    def apply(self, probability: Floats) -> Floats:
        """Calibrated probabilities (n, k)."""
        return softmax(logs(probability) / self.temperature)


class VectorScaling(Artefact):
    """softmax(slope ⊙ log p + intercept), one slope and intercept per class."""

    kind: Literal["vector"] = "vector"
    slope: tuple[float, ...]
    intercept: tuple[float, ...]

    def apply(self, probability: Floats) -> Floats:
        """Calibrated probabilities (n, k)."""
        slope, intercept = self._numbers
        return softmax(logs(probability) * slope + intercept)

    @cached_property
    def _numbers(self) -> tuple[Floats, Floats]:
        return np.array(self.slope), np.array(self.intercept)


class MatrixScaling(Artefact):
    """softmax(weight · log p + intercept): each class may draw on the scores of all; weight (k, k), rows by class."""

    kind: Literal["matrix"] = "matrix"
    weight: tuple[tuple[float, ...], ...]
    intercept: tuple[float, ...]

    def apply(self, probability: Floats) -> Floats:
        """Calibrated probabilities (n, k)."""
        weight, intercept = self._numbers
        return softmax(logs(probability) @ weight + intercept)

    @cached_property
    def _numbers(self) -> tuple[Floats, Floats]:
        return np.array(self.weight).T, np.array(self.intercept)


BinaryMap = Annotated[Unchanged | Platt | Beta | Isotonic, Field(discriminator="kind")]
MulticlassMap = Annotated[Unchanged | Temperature | VectorScaling | MatrixScaling, Field(discriminator="kind")]


def expit(score: Floats) -> Floats:
    """1 / (1 + exp(−score)); SciPy's gives the same, and a server would load for it what takes a third of a second."""
    power = np.exp(-np.abs(score))
    return np.asarray(np.where(score >= 0, 1.0, power) / (1.0 + power))


def softmax(score: Floats) -> Floats:
    """exp(score) over its sum along the last axis; SciPy's gives the same and takes twice as long for one row."""
    powers = np.exp(score - score.max(axis=-1, keepdims=True))
    return np.asarray(powers / powers.sum(axis=-1, keepdims=True))


def among(shares: Floats, possible: npt.NDArray[np.bool_]) -> Floats:
    """Shares (n, k) renormalised over what is possible (n, k) in each row, which is not nothing."""
    kept = np.where(possible, shares, 0.0)
    return np.asarray(kept / kept.sum(axis=1, keepdims=True))


def logit(probability: Floats) -> Floats:
    """log(p / (1 − p)), with p kept 1e-6 away from 0 and 1."""
    p = np.clip(probability, FLOOR, 1 - FLOOR)
    result: Floats = np.log(p) - np.log1p(-p)
    return result


def binary_log_losses(probability: Floats, outcome: npt.NDArray[np.generic]) -> Floats:
    """−log of the probability given to what happened, nats, per row; probabilities are kept 1e-6 from 0 and 1."""
    p = np.clip(probability, FLOOR, 1 - FLOOR)
    return -np.where(outcome.astype(bool), np.log(p), np.log1p(-p))


def logs(probability: Floats) -> Floats:
    """Log p, with p at least 1e-6."""
    result: Floats = np.log(np.clip(probability, FLOOR, 1.0))
    return result
