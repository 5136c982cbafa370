"""From features to predictions, the same for a batch of millions and for one customer; touches no file."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

from features.candidates import CandidateFeatures
from features.events import NO_ACTION
from features.matrix import FeatureSet, Matrix
from models.bundle import Bundle
from models.joint import Joint
from serving.scores import Floats, Predictions


@dataclass(frozen=True)
class Scorer:
    """A bundle and its features, ready to predict for any customers at any moment.

    features: the bundle's own; candidates: those of them that a model reads, in two, for no contact and each outbound
    channel; interval: coverage of the bounds, in (0.5, 1).
    """

    bundle: Bundle
    features: FeatureSet
    candidates: CandidateFeatures
    joint: Joint
    interval: float

    @classmethod
    def of(cls, bundle: Bundle, interval: float, *, threads: int = 1) -> "Scorer":
        """The scorer of a loaded bundle; threads: of the models."""
        features = FeatureSet.from_json(bundle.manifest.features)
        actions = range(NO_ACTION, len(bundle.manifest.outbound) + 1)
        read = features.select([name for name in features.names if name in bundle.read])
        candidates = CandidateFeatures.of(read, actions)
        joint = bundle.joint(candidates.shared.names, candidates.own.names, threads=threads)
        return cls(bundle, features, candidates, joint, interval)

    def predict(self, shared: Matrix, own: Matrix) -> Predictions:
        """What n customers will do, if contacted on each outbound channel and if not.

        Args:
            shared: (n, p) the columns of `candidates` that all actions of a customer share.
            own: (n * actions, q) those of each action, a customer's rows side by side.
        """
        response = self.joint.response(shared, own)
        alone = np.zeros((len(response), 1)) if self._tied else response[:, :1]
        stratum = self.joint.stratum(shared)[:, None]
        contacted, action = response[:, 1:], np.arange(1, response.shape[1])
        intervals = self.bundle.manifest.intervals
        bounds = intervals.response(contacted, action, stratum, self.interval)
        uplift = bounds if self._tied else intervals.uplift(contacted, alone, action, stratum, self.interval)

        def measured(values: Floats) -> Floats:
            return np.where(self._unmeasured, np.nan, values) if self._unmeasured.any() else values

        return Predictions(
            response=measured(contacted),
            response_lower=measured(bounds[0]),
            response_upper=measured(bounds[1]),
            no_contact=alone[:, 0],
            uplift=measured(contacted - alone),
            uplift_lower=measured(uplift[0]),
            uplift_upper=measured(uplift[1]),
            contact=self.joint.contact(shared, own),
            engagement=self.joint.engagement(shared),
            worth=self.joint.worth(shared),
        )

    def nothing(self) -> Predictions:
        """Predictions of no customers."""
        manifest = self.bundle.manifest
        one, channels = np.zeros(0), np.zeros((0, len(manifest.outbound)))
        steps = np.zeros((0, len(manifest.engagement.channels)))
        return Predictions(channels, channels, channels, one, channels, channels, channels, channels, steps, one)

    @cached_property
    def _unmeasured(self) -> npt.NDArray[np.bool_]:
        return np.array([each.verdict == "unmeasured" for each in self.bundle.manifest.evidence[1:]])

    @property
    def _tied(self) -> bool:
        """Whether a response is tied to the send, and so zero by definition without one."""
        return self.bundle.manifest.objective.counts == "send"
