"""From rows of features to predictions, the same for a batch of millions and for one customer; touches no file."""

from dataclasses import dataclass

import numpy as np

from contract.params import Params
from features.events import NO_ACTION, Spine
from features.matrix import FeatureSet, Matrix
from features.spine import candidates
from models.bundle import Bundle
from serving.scores import Floats, Predictions


@dataclass(frozen=True)
class Scorer:
    """A bundle and its features, ready to predict for any customers at any moment.

    interval: coverage of the bounds, in (0.5, 1).
    """

    bundle: Bundle
    features: FeatureSet
    interval: float

    @classmethod
    def of(cls, bundle: Bundle, params: Params) -> "Scorer":
        """The scorer of a loaded bundle."""
        return cls(bundle, FeatureSet.from_json(bundle.manifest.features), params.planning.interval)

    @property
    def actions(self) -> range:
        """No contact, then the outbound channels the bundle was trained on."""
        return range(NO_ACTION, len(self.bundle.manifest.outbound) + 1)

    def rows(self, customers: np.ndarray[tuple[int], np.dtype[np.int64]], as_of_us: int, category: int) -> Spine:
        """The rows whose features `predict` needs: each customer with each action, at one moment."""
        return candidates(customers, as_of_us, category, self.actions)

    def predict(self, matrix: Matrix) -> Predictions:
        """What n customers will do, if contacted on each outbound channel and if not.

        Args:
            matrix: (n x actions, p) features of `rows`.
        """
        actions = len(self.actions)
        probability = self.bundle.predict_response(matrix)
        alone = self._alone(probability)
        response = self.bundle.response_bounds(probability, matrix, self.interval)
        uplift = self._uplift_bounds(probability, alone, response, matrix)
        unmeasured = np.array([each.verdict == "unmeasured" for each in self.bundle.manifest.evidence[1:]])
        first = np.ascontiguousarray(matrix[::actions])

        def per_channel(values: Floats) -> Floats:
            return np.where(unmeasured, np.nan, values.reshape(-1, actions)[:, 1:])

        return Predictions(
            response=per_channel(probability),
            response_lower=per_channel(response[0]),
            response_upper=per_channel(response[1]),
            no_contact=alone[::actions],
            uplift=per_channel(probability - alone),
            uplift_lower=per_channel(uplift[0]),
            uplift_upper=per_channel(uplift[1]),
            contact=self.bundle.contact_preference(first),
            engagement=self.bundle.engagement_preference(first),
            worth=self.bundle.expected_margin(first),
        )

    def _alone(self, probability: Floats) -> Floats:
        """Response without contact, repeated for each action: zero by definition where it is tied to the send."""
        if self._tied:
            return np.zeros_like(probability)
        return np.repeat(probability[:: len(self.actions)], len(self.actions))

    def _uplift_bounds(
        self, probability: Floats, alone: Floats, response: tuple[Floats, Floats], matrix: Matrix
    ) -> tuple[Floats, Floats]:
        return response if self._tied else self.bundle.uplift_bounds(probability, alone, matrix, self.interval)

    @property
    def _tied(self) -> bool:
        return self.bundle.manifest.objective.counts == "send"
