"""econml's DR learner on rows on disk, run by an environment of its own: needs nothing of this project.

`python econml_peer.py FOLDER` reads rows.npz (matrix (n, p); action, response, customer (n,); scored (m, p)) and
writes uplift.npy, (m, k), of each action against action 0; figures.json has its version.
"""

import json
import sys
import warnings
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
from econml.dr import DRLearner
from lightgbm import LGBMClassifier, LGBMRegressor

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


def main(folder: Path) -> None:
    with np.load(folder / "rows.npz") as rows:
        matrix, action, response = rows["matrix"], rows["action"], rows["response"]
        customer, scored = rows["customer"], rows["scored"]
    shared = {**SHAPE, "colsample_bytree": 0.5, "random_state": 0}
    learner = DRLearner(
        model_propensity=LGBMClassifier(**{**shared, **SENDER}),
        model_regression=LGBMClassifier(**shared, min_child_samples=100),
        model_final=LGBMRegressor(**shared, min_child_samples=1000),
        discrete_outcome=True,
        min_propensity=LEAST_PROPENSITY,
        categories=sorted(set(action.tolist())),
        cv=FOLDS,
        random_state=0,
    )
    learner.fit(response.astype(int), action.astype(int), X=matrix, groups=customer)
    uplift = np.asarray(learner.const_marginal_effect(scored)).reshape(len(scored), -1)
    np.save(folder / "uplift.npy", uplift)
    (folder / "figures.json").write_text(json.dumps({"version": version("econml")}))


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    main(Path(sys.argv[1]))
