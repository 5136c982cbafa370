"""causalml's DR learner on rows on disk, run by an environment of its own: needs nothing of this project.

`python causalml_peer.py FOLDER` reads rows.npz (matrix (n, p); action, response, customer (n,); scored (m, p)) and
writes uplift.npy, (m, k), of each action against action 0; figures.json has its version.
"""

import json
import sys
import warnings
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
from causalml.inference.meta import BaseDRLearner
from lightgbm import LGBMClassifier, LGBMRegressor
from sklearn.model_selection import GroupKFold, cross_val_predict

FOLDS, LEAST_PROPENSITY = 3, 0.01
SHAPE: dict[str, Any] = {
    "n_estimators": 100,
    "num_leaves": 15,
    "learning_rate": 0.05,
    "max_bin": 63,
    "n_jobs": 2,
    "verbosity": -1,
}
SENDER: dict[str, Any] = {"n_estimators": 30, "learning_rate": 0.1, "min_child_samples": 200}
"""It has a tree per action and round, and so fewer rounds."""


def pairwise(shares: np.ndarray) -> dict[int, np.ndarray]:
    """By action: its propensity among rows of it and of action 0, as causalml takes it; shares (n, k + 1)."""
    share = np.maximum(shares, LEAST_PROPENSITY)
    return {action: share[:, action] / (share[:, action] + share[:, 0]) for action in range(1, share.shape[1])}


def main(folder: Path) -> None:
    with np.load(folder / "rows.npz") as rows:
        matrix, action, response = rows["matrix"], rows["action"], rows["response"]
        customer, scored = rows["customer"], rows["scored"]
    shared = {**SHAPE, "colsample_bytree": 0.5, "random_state": 0}
    sender = LGBMClassifier(**{**shared, **SENDER})
    folds = GroupKFold(FOLDS)
    shares = cross_val_predict(sender, matrix, action, groups=customer, cv=folds, method="predict_proba")
    outcome = LGBMRegressor(**shared, min_child_samples=100)
    learner = BaseDRLearner(
        control_outcome_learner=outcome,
        treatment_outcome_learner=outcome,
        treatment_effect_learner=LGBMRegressor(**shared, min_child_samples=500),
        control_name=0,
    )
    learner.fit(matrix, action, response.astype(float), p=pairwise(shares), seed=0)
    uplift = np.asarray(learner.predict(scored))
    np.save(folder / "uplift.npy", uplift)
    (folder / "figures.json").write_text(json.dumps({"version": version("causalml")}))


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    main(Path(sys.argv[1]))
