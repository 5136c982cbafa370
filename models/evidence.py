"""What the log can carry for each action: a measured effect, an adjusted one, an association, or nothing.

randomised    propensities were logged at the time and have overlap: the sender itself chose at random, knowingly
adjusted      propensities are estimated from what is known of the customer and the calendar, and have overlap; assumes
              that nothing else moved both the choice and the response
associational overlap fails, or nobody was deliberately left alone to compare with: no causal claim
unmeasured    the channel cannot record the objective's outcome, or has too few decisions

Never looks at whether the answer is pleasant.
"""

from dataclasses import dataclass
from typing import Final, Literal

import numpy as np
import numpy.typing as npt

from contract.params import Params
from features.events import NO_ACTION
from models.artefact import Artefact, Floats, Ints

Verdict = Literal["randomised", "adjusted", "associational", "unmeasured"]
_STRENGTH: Final[tuple[Verdict, ...]] = ("randomised", "adjusted", "associational", "unmeasured")

# Below this probability one decision would stand for two hundred; the choice is then as good as forbidden.
_LEAST_PROPENSITY = 0.005
# The sender's calendar is read in this many blocks of equal count; in each the action must occur and not be the rule.
_BLOCKS = 20
_LEAST_BLOCK_SHARE = 0.01


class Evidence(Artefact):
    """What the log carries for one action, and why, in words. `overlap` is the share of decisions that have it."""

    action: str
    verdict: Verdict
    reason: str
    decisions: int
    responses: int
    overlap: float


@dataclass(frozen=True)
class Log:
    """Logged decisions, each array (n,).

    action: 0 for none, else 1 + outbound channel; time_us; response 0 or 1; propensity of the action taken, NaN where
    it was not logged; estimated: (n, actions), the probability of every action, NaN where it was not estimated.
    """

    action: Ints
    time_us: Ints
    response: Ints
    propensity: Floats
    estimated: Floats


def judge_evidence(log: Log, params: Params) -> tuple[Evidence, ...]:
    """The evidence of every action, none first, then outbound channels in declared order.

    A channel's effect is measured against no contact, so no claim about it is stronger than that about `none`.
    """
    none = _judged(log, params, NO_ACTION, "none")
    if params.target.counts == "send":
        reason = "a response counts only when it is tied to a send, so without contact it is 0 by definition"
        none = none.model_copy(update={"verdict": "associational", "reason": reason})
    channels = (_judged(log, params, i, name) for i, name in enumerate(params.outbound, start=1))
    if params.target.counts == "send":
        return (none, *channels)
    return (none, *(_capped(each, none) for each in channels))


def is_overlapping(propensity: Floats) -> npt.NDArray[np.bool_]:
    """Whether each probability is large enough for a claim about the action; NaN is not."""
    return np.nan_to_num(propensity) >= _LEAST_PROPENSITY


def _judged(log: Log, params: Params, action: int, name: str) -> Evidence:
    rows = log.action == action
    decisions, responses = int(rows.sum()), int(log.response[rows].sum())
    overlap = 0.0
    verdict: Verdict = "unmeasured"
    reason = _unmeasured(params, action, name, decisions, responses)
    if not reason:
        logged = float(np.isfinite(log.propensity[rows]).mean())
        judge = _by_logged if logged >= params.training.overlap_min_share else _by_estimated
        verdict, overlap, reason = judge(log, params.training.overlap_min_share, action, name)
    return Evidence(
        action=name, verdict=verdict, reason=reason, decisions=decisions, responses=responses, overlap=overlap
    )


def _unmeasured(params: Params, action: int, name: str, decisions: int, responses: int) -> str:
    least = params.training.min_rows_per_channel
    if decisions < least:
        return f"{decisions} decisions; training.min_rows_per_channel asks for {least}"
    if action == NO_ACTION or params.target.counts == "customer":
        return ""
    if not set(params.target.kinds) & set(params.channels[name].records) and responses == 0:
        return (
            f"the channel records no {' or '.join(params.target.kinds)} (channels.{name}.records), and this objective "
            "counts only responses tied to the send"
        )
    if responses == 0:
        return f"none of {decisions} sends was ever tied to a response, so the tie is missing rather than the interest"
    return ""


def _by_logged(log: Log, least_share: float, action: int, name: str) -> tuple[Verdict, float, str]:
    """Verdict, overlap and reason where the sender logged its propensities.

    The sum of 1 / propensity over the action's decisions estimates the number of decisions at which it could be
    chosen: clearly more than there were means that the log contradicts itself.
    """
    taken = (log.action == action) & np.isfinite(log.propensity)
    overlap = float(is_overlapping(log.propensity[taken]).mean())
    if overlap < least_share:
        low = f"{1 - overlap:.0%} of its logged propensities are below {_LEAST_PROPENSITY:g}"
        return "associational", overlap, f"{low}; such decisions stand for too many others"
    weight = np.zeros(len(log.action))
    weight[taken] = 1 / log.propensity[taken]
    reach, error = float(weight.mean()), float(weight.std() / np.sqrt(len(weight)))
    if reach > 1.1 + 4 * error:
        contradiction = f"logged propensities of {name} add up to {reach:.2f} times the decisions there were"
        return "associational", overlap, f"{contradiction}; they are not those by which the sender chose"
    open_share = f"{min(reach, 1):.0%}"
    return (
        "randomised",
        overlap,
        f"the sender logged its propensities; the action was open in {open_share} of decisions",
    )


def _by_estimated(log: Log, least_share: float, action: int, name: str) -> tuple[Verdict, float, str]:
    """Verdict, overlap and reason where the sender's policy must be estimated."""
    in_calendar = _calendar_overlap(log, action)
    if in_calendar.mean() < least_share:
        share = float(in_calendar.mean())
        return (
            "associational",
            share,
            (
                f"the choice of {name} is confounded with the calendar: it was both used and not the rule in only "
                f"{share:.0%} of the time (by decisions), so channel and season cannot be told apart"
            ),
        )
    known = np.isfinite(log.estimated[:, action])
    overlap = float((in_calendar & is_overlapping(log.estimated[:, action]))[known].mean()) if known.any() else 0.0
    if overlap < least_share:
        reason = f"no propensities are logged, and the estimated ones leave overlap in only {overlap:.0%} of decisions"
        return "associational", overlap, reason
    return "adjusted", overlap, f"propensities are estimated, not logged; they overlap in {overlap:.0%} of decisions"


def _calendar_overlap(log: Log, action: int) -> npt.NDArray[np.bool_]:
    """Whether each decision falls into a stretch of time in which the action was used and was not the rule."""
    result = np.zeros(len(log.action), dtype=bool)
    for block in np.array_split(np.argsort(log.time_us, kind="stable"), _BLOCKS):
        if len(block):
            share = float((log.action[block] == action).mean())
            result[block] = _LEAST_BLOCK_SHARE <= share <= 1 - _LEAST_BLOCK_SHARE
    return result


def _capped(channel: Evidence, none: Evidence) -> Evidence:
    """The channel's evidence, no stronger than that of the decisions without contact that it is compared with."""
    if none.verdict == "unmeasured":
        fault = f"nobody was deliberately left without contact to compare with ({none.reason})"
    else:
        fault = f"of those left without contact: {none.reason}"
    limit: Verdict = "associational" if none.verdict == "unmeasured" else none.verdict
    if _STRENGTH.index(channel.verdict) >= _STRENGTH.index(limit):
        if channel.verdict == "associational" and none.verdict in ("unmeasured", "associational"):
            return channel.model_copy(update={"reason": f"{channel.reason}; {fault}"})
        return channel
    return channel.model_copy(update={"verdict": limit, "reason": fault})
