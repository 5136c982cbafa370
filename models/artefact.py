"""The root of everything that a bundle stores as JSON: frozen, typed, and refused when a key is unknown."""

import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, ConfigDict

Floats = npt.NDArray[np.float64]
Matrix = npt.NDArray[np.float32]
Ints = npt.NDArray[np.int64]


class Artefact(BaseModel):
    """Something learned in training and stored as JSON; it never changes afterwards."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)
