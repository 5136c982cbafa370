"""How good the model is where outcomes are not known yet; estimates, and measures nothing but what is over.

By confidence: if scores p are calibrated, a decision's log loss is −p log p − (1 − p) log(1 − p) on average (the
confidence-based estimate of Garg et al. 2022, "Leveraging unlabeled data to predict out-of-distribution performance").
It sees harder customers, and no miscalibration.

By weighting: losses on decisions that the judged model never saw, weighted by w = q / r with the newest share q and the
earlier share r of each stratum of action and score (importance weighting under covariate shift, Shimodaira 2000;
Sugiyama et al. 2007). It sees a changed mix, and no change of what like customers do. Kish's effective number
(Σ w)² / Σ w² says on how many decisions it rests.
"""

from typing import Final

import numpy as np
import numpy.typing as npt

from models.calibration import binary_log_losses
from models.observation import Sample
from models.profile import Profile
from serving.watching.findings import Performance

_LEAST_COVERED: Final = 0.95
Floats = npt.NDArray[np.float64]


def estimate_performance(sample: Sample, profile: Profile) -> Performance:
    """Of the decisions (n, at least 1) of the newest period."""
    p = np.clip(sample.score, 1e-6, 1 - 1e-6)
    over = sample.known
    rows = sum(each.rows for each in profile.strata)
    trained = sum(each.loss for each in profile.strata) / rows if rows else None
    loss, error, effective = _weighted(sample, profile)
    return Performance(
        decisions=len(p),
        trained=trained,
        by_confidence=float(np.mean(-p * np.log(p) - (1 - p) * np.log1p(-p))),
        by_weighting=loss,
        weighting_error=error,
        effective=effective,
        observed=float(binary_log_losses(p[over], sample.response[over]).mean()) if over.any() else None,
        observed_decisions=int(over.sum()),
        response_rate=float(p.mean()),
    )


def _weighted(sample: Sample, profile: Profile) -> tuple[float | None, float | None, float | None]:
    """Weighted loss, its standard error and the effective number; None where too few newest decisions have a like."""
    if not profile.strata:
        return None, None, None
    bins = len(profile.score_cuts) + 1
    place = np.searchsorted(profile.score_cuts, sample.score, side="right") + bins * sample.action
    newest = np.bincount(place, minlength=(int(sample.action.max()) + 1) * bins) / len(place)
    found = [each for each in profile.strata if each.action * bins + each.bin < len(newest)]
    share = np.array([newest[each.action * bins + each.bin] for each in found])
    rows = np.array([float(each.rows) for each in found])
    covered = float(share.sum()) if found else 0.0
    if covered < _LEAST_COVERED:
        return None, None, None
    share = share / covered
    mean = np.array([each.loss / each.rows for each in found])
    variance = np.array([each.squared / each.rows for each in found]) - mean**2
    weight = share / rows
    effective = float((rows @ weight) ** 2 / (rows @ weight**2))
    return float(share @ mean), float(np.sqrt(share**2 @ (variance / rows))), effective
