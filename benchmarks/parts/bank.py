"""The bank's real calls, out of time: log loss and calibration of ours, a logistic regression and base rates."""

import tempfile
from dataclasses import asdict
from pathlib import Path
from typing import Final

from benchmarks.parts.kept_results import Figures, KeptResults
from channelwise.bank import CAMPAIGN, shipped_bank, write_bank
from channelwise.demos.bank import judge
from channelwise.jobs.features import timeline_of
from channelwise.jobs.score import ScoreRequest, run_score
from contract.intake import open_data
from contract.loading import load_params
from contract.progress import silent
from training.pipeline import ProfileName, train

SOURCES: Final = (
    *(
        "params.yaml",
        "contract",
        "features",
        "models",
        "training",
        "serving",
        "channelwise/jobs",
        "channelwise/bank.py",
    ),
    *("channelwise/demos/bank.py", "benchmarks/parts/bank.py"),
)


def judge_bank(profile: ProfileName, kept: KeptResults, threads: int) -> Figures:
    """By set of held-out rows and predictor: AUC, log loss, calibration error; and the outcome of later calls."""
    return kept.found(f"bank-{profile}", SOURCES, lambda: _judged(profile, threads))


def _judged(profile: ProfileName, threads: int) -> Figures:
    with tempfile.TemporaryDirectory(prefix="channelwise-") as temporary:
        folder = Path(temporary)
        bank = write_bank(shipped_bank(), folder / "data")
        params = load_params([bank.params], [f"threads={threads}"])
        intake = open_data(folder / "data", params, as_of=bank.as_of, quarantine=None)
        with timeline_of(intake, params, silent, None) as timeline:
            training = train(intake, timeline, params, profile)
        scores = folder / "scores.parquet"
        request = ScoreRequest(folder / "data", bank.audience_file, CAMPAIGN, bank.as_of, scores, None)
        run_score(request, training.bundle, params, silent)
        later = judge(scores, bank.truth_file, bank.subscriptions / bank.calls)
    report = training.report
    held_out = {
        rows: {name: asdict(q) for name, q in found["all"].items()} for rows, found in report.evaluation.items()
    }
    evidence = sorted({each.verdict for each in report.evidence})
    return {"held_out": held_out, "later_calls": asdict(later), "evidence": evidence}
