"""The written rule by which a trained model becomes the champion; reads no registry and moves no alias.

The first champion must beat the base rates. Each later one must beat the champion's log loss on held-out decisions that
neither model saw before its last fit, by `promotion.min_log_loss_gain`, and in no channel may its calibration error
exceed the champion's by more than `promotion.max_calibration_loss`.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from contract.params import Promotion
from training.evaluation import Judged, evaluate

CHALLENGER, CHAMPION, BASE_RATES = "model", "champion", "base rates"
LEAST_ROWS = 500


@dataclass(frozen=True)
class Verdict:
    """Whether the model becomes champion, and every reason in words."""

    promoted: bool
    reasons: tuple[str, ...]

    @property
    def text(self) -> str:
        """One line for a reader."""
        return ("promoted: " if self.promoted else "refused: ") + "; ".join(self.reasons)


def first_verdict(judged: Judged, actions: Sequence[str], bins: int) -> Verdict:
    """The verdict where there is no champion yet."""
    quality = evaluate(judged, actions, bins)["all"]
    model, base = quality[CHALLENGER].log_loss, quality[BASE_RATES].log_loss
    words = (
        f"log loss {model:.5f} against {base:.5f} of the base rates on {quality[CHALLENGER].rows} held-out decisions"
    )
    return Verdict(model < base, (f"first model; {words}",))


def later_verdict(judged: Judged, actions: Sequence[str], bins: int, rule: Promotion) -> Verdict:
    """The verdict against a champion, on rows that neither saw.

    Args:
        judged: with predictors `CHALLENGER` and `CHAMPION`.
        actions: names of the actions.
        bins: of the calibration error.
        rule: the bounds.
    """
    if len(judged.action) < LEAST_ROWS:
        return Verdict(False, (f"only {len(judged.action)} decisions were seen by neither model; {LEAST_ROWS} needed",))
    report = evaluate(judged, actions, bins)
    gain = report["all"][CHAMPION].log_loss - report["all"][CHALLENGER].log_loss
    reasons = [
        f"log loss gains {gain:.5f} on {len(judged.action)} decisions; more than {rule.min_log_loss_gain:g} asked"
    ]
    promoted = gain > rule.min_log_loss_gain
    for action, quality in report.items():
        growth = quality[CHALLENGER].calibration_error - quality[CHAMPION].calibration_error
        if action != "all" and quality[CHALLENGER].rows >= LEAST_ROWS and growth > rule.max_calibration_loss:
            promoted = False
            reasons.append(
                f"calibration error of {action} grows by {growth:.4f}; at most {rule.max_calibration_loss:g} allowed"
            )
    return Verdict(promoted, tuple(reasons))
