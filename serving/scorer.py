"""From customers to predictions: one path for a batch of millions and for one customer; reads and writes no file."""

from dataclasses import dataclass

import numpy as np

from contract.params import Params
from features.events import NO_ACTION, Events
from features.matrix import Customers, FeatureSet, candidates
from models.bundle import Bundle
from serving.scores import Floats, Predictions


@dataclass(frozen=True)
class Scorer:
    """A bundle, its features compiled, ready to predict for any customers at any moment.

    interval: the coverage of the bounds, in (0.5, 1).
    """

    bundle: Bundle
    features: FeatureSet
    interval: float

    @classmethod
    def of(cls, bundle: Bundle, params: Params) -> "Scorer":
        """The scorer of a bundle; compiles its features once."""
        return cls(bundle, FeatureSet.from_json(bundle.manifest.features), params.planning.interval)

    def predict(self, events: Events, customers: Customers, as_of_us: int, category: int) -> Predictions:
        """What each of the n customers of `events` will do, if contacted on each outbound channel and if not.

        Args:
            events: all events of the customers; those at or after `as_of_us` are not looked at.
            customers: what is known of the same customers besides.
            as_of_us: the moment of the decision, µs since 1970 UTC.
            category: the campaign's, as an index into the codebook's, or `NO_CATEGORY`.
        """
        actions = len(self.bundle.manifest.outbound) + 1
        numbers = events.first_customer + np.arange(len(events.offsets) - 1)
        spine = candidates(numbers, as_of_us, category, actions)
        matrix = self.features.compute(events, spine, customers)
        probability = self.bundle.predict_response(matrix)
        lower, upper = self.bundle.response_bounds(probability, matrix, self.interval)
        by_action = probability.reshape(-1, actions)
        alone = np.repeat(by_action[:, NO_ACTION], actions)
        uplift_lower, uplift_upper = self.bundle.uplift_bounds(probability, alone, matrix, self.interval)
        first = np.ascontiguousarray(matrix[NO_ACTION::actions])
        measured = self._measured()

        def per_channel(values: Floats) -> Floats:
            return np.where(measured, values.reshape(-1, actions)[:, 1:], np.nan)

        return Predictions(
            response=per_channel(probability),
            response_lower=per_channel(lower),
            response_upper=per_channel(upper),
            no_contact=by_action[:, NO_ACTION],
            uplift=per_channel(probability - alone),
            uplift_lower=per_channel(uplift_lower),
            uplift_upper=per_channel(uplift_upper),
            contact=self.bundle.contact_preference(first),
            engagement=self.bundle.engagement_preference(first),
            worth=self.bundle.expected_margin(first),
        )
