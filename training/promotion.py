"""The written rule by which a trained model becomes the champion; reads no registry and moves no alias.

The first champion must beat the base rates. Each later one is held against the champion on decisions that neither saw
before its last fit, by the bounds of `promotion` in the parameters: log loss; the value of its policy, where the log
carries one, with the stated confidence; the calibration error of every channel; the log loss of every group of
customers. A bound that cannot be judged is named as such and decides nothing.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from scipy.stats import norm

from contract.params import Promotion
from training.evaluation import Judged, evaluate
from training.off_policy import Estimate

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


@dataclass(frozen=True)
class Growth:
    """How much larger the challenger's log loss is than the champion's, nats a decision, and its standard error."""

    mean: float
    error: float


@dataclass(frozen=True)
class Contest:
    """Challenger and champion on decisions that neither saw.

    judged: with predictors `CHALLENGER` and `CHAMPION`; lead: EUR a decision by which the challenger's policy earns
    more, None where the log does not carry it, for the reasons `no_lead`; groups: by name.
    """

    judged: Judged
    lead: Estimate | None = None
    no_lead: tuple[str, ...] = ()
    groups: Mapping[str, Growth] = field(default_factory=dict)


def first_verdict(judged: Judged, actions: Sequence[str], bins: int) -> Verdict:
    """The verdict where there is no champion yet."""
    quality = evaluate(judged, actions, bins)["all"]
    model, base = quality[CHALLENGER].log_loss, quality[BASE_RATES].log_loss
    words = (
        f"log loss {model:.5f} against {base:.5f} of the base rates on {quality[CHALLENGER].rows} held-out decisions"
    )
    return Verdict(model < base, (f"first model; {words}",))


def later_verdict(contest: Contest, actions: Sequence[str], bins: int, rule: Promotion) -> Verdict:
    """The verdict against a champion.

    Args:
        contest: both on the same rows.
        actions: names of the actions.
        bins: of the calibration error.
        rule: the bounds.
    """
    rows = len(contest.judged.action)
    if rows < LEAST_ROWS:
        return Verdict(False, (f"only {rows} decisions were seen by neither model; {LEAST_ROWS} needed",))
    found = [
        _log_loss(contest, rule),
        _value(contest, rule),
        *_calibration(contest, actions, bins, rule),
        *_groups(contest, rule),
    ]
    return Verdict(all(kept for kept, _ in found), tuple(reason for _, reason in found))


_Found = tuple[bool, str]
"""Whether a bound is kept, and the words for it."""


def _log_loss(contest: Contest, rule: Promotion) -> _Found:
    quality = evaluate(contest.judged, (), 1)["all"]
    gain = quality[CHAMPION].log_loss - quality[CHALLENGER].log_loss
    words = f"log loss gains {gain:.5f} on {len(contest.judged.action)} decisions"
    return gain > rule.min_log_loss_gain, f"{words}; more than {rule.min_log_loss_gain:g} asked"


def _value(contest: Contest, rule: Promotion) -> _Found:
    if contest.lead is None:
        return True, f"policy values are not compared: {'; '.join(contest.no_lead)}"
    sure = contest.lead.value - float(norm.ppf(rule.confidence)) * contest.lead.error
    words = (
        f"its policy earns {contest.lead.value:+.5f} EUR a decision more, with {rule.confidence:.0%} confidence at "
        f"least {sure:+.5f}; more than {rule.min_value_gain_eur:g} asked"
    )
    return sure > rule.min_value_gain_eur, words


def _calibration(contest: Contest, actions: Sequence[str], bins: int, rule: Promotion) -> Iterator[_Found]:
    """Only the channels that break the bound."""
    for action, quality in evaluate(contest.judged, actions, bins).items():
        growth = quality[CHALLENGER].calibration_error - quality[CHAMPION].calibration_error
        if action != "all" and quality[CHALLENGER].rows >= LEAST_ROWS and growth > rule.max_calibration_loss:
            words = f"calibration error of {action} grows by {growth:.4f}"
            yield False, f"{words}; at most {rule.max_calibration_loss:g} allowed"


def _groups(contest: Contest, rule: Promotion) -> Iterator[_Found]:
    """Only the groups whose loss grows beyond the bound, and by more than chance would have it."""
    reach = float(norm.ppf(rule.confidence))
    for name, growth in contest.groups.items():
        if growth.mean > rule.max_group_loss and growth.mean > reach * growth.error:
            words = f"log loss of {name} grows by {growth.mean:.4f}, more than chance shows"
            yield False, f"{words}; at most {rule.max_group_loss:g} allowed"
