"""`channelwise demo bank`: the main job on a bank's real calls, and how the scores did on calls they never saw."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd

from channelwise.bank import CAMPAIGN, shipped_bank, write_bank
from channelwise.console import progress_bars, say
from channelwise.demos.job import Job, run_job
from contract.loading import load_params
from serving.limits import limits_of

Floats = npt.NDArray[np.float64]

CALLS = 500
"""What the call centre can do in the demo: so many calls on each kind of line."""


@dataclass(frozen=True)
class Outcome:
    """How scores of the channel that was really used compare with what the customers answered.

    rate: share who subscribed; auc; log_loss, nats a call, and that of the rate known before.
    """

    calls: int
    rate: float
    auc: float
    log_loss: float
    base_log_loss: float


def judge(scores: Path, truth: Path, rate_before: float) -> Outcome:
    """Compares a scores file with `truth.csv` of the bank's adapter; `rate_before` in (0, 1) is the plain guess."""
    predicted = pd.read_parquet(scores, columns=["customer_id", "channel", "response"])
    joined = predicted.merge(pd.read_csv(truth), on=["customer_id", "channel"], validate="one_to_one")
    answer = joined["subscribed"].to_numpy(dtype=np.float64)
    probability = np.clip(joined["response"].to_numpy(dtype=np.float64), 1e-9, 1 - 1e-9)
    return Outcome(
        calls=len(joined),
        rate=float(answer.mean()),
        auc=rank_auc(answer, probability),
        log_loss=_log_loss(answer, probability),
        base_log_loss=_log_loss(answer, np.full_like(answer, rate_before)),
    )


def rank_auc(answer: Floats, score: Floats) -> float:
    """Area under the ROC curve by ranks, ties shared (Mann & Whitney 1947).

    >>> float(rank_auc(np.array([0.0, 1.0]), np.array([0.2, 0.7])))
    1.0
    """
    ranks = pd.Series(score).rank().to_numpy()
    positives = answer.sum()
    negatives = len(answer) - positives
    return float((ranks[answer == 1].sum() - positives * (positives + 1) / 2) / (positives * negatives))


def _log_loss(answer: Floats, probability: Floats) -> float:
    return float(-np.mean(answer * np.log(probability) + (1 - answer) * np.log1p(-probability)))


def demo_bank(out: Path, files: list[Path], assignments: list[str]) -> None:
    """Runs the job in `out` on the bank's calls and compares the scores with what the customers answered.

    Raises:
        ChannelwiseError: as the commands do.
    """
    say("A bank's 41,188 real telephone calls of 2008 to 2010 (Moro, Cortez, Rita 2014; CC BY 4.0).\n")
    with progress_bars() as progress:
        progress("bank tables", 0, 1)
        bank = write_bank(shipped_bank(), out / "data")
        progress("bank tables", 1, 1)
    params = load_params([bank.params, *files], assignments)
    limits = limits_of(params, None, dict.fromkeys(params.outbound, CALLS))
    done = run_job(Job(out / "data", bank.audience_file, CAMPAIGN, bank.as_of, out), params, limits)
    show_outcome(judge(done.scores, bank.truth_file, bank.subscriptions / bank.calls))


def show_outcome(found: Outcome) -> None:
    """What the scores were worth on the calls that came after, and what this data cannot say."""
    say(
        f"On the {found.calls:,} calls that came after (no model saw them): {found.rate:.1%} subscribed, "
        f"AUC {found.auc:.3f}, log loss {found.log_loss:.4f} against {found.base_log_loss:.4f} of the earlier rate."
    )
    say(
        "What this data can carry: who is likely to say yes when called. What it cannot: whether the kind of line, or "
        "calling at all, changed the answer. The first 12,000 calls all went to telephones, the later ones mostly to "
        "mobiles: channel and time cannot be told apart, nobody was left alone to compare with, and no propensity was "
        "logged. So every score says `associational`, and no causal claim is made."
    )
