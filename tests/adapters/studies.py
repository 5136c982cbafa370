"""What a training begins with, made from tables on disk; fits nothing."""

from pathlib import Path

from contract.intake import open_data
from contract.params import Params
from features.matrix import learn_features
from features.spine import decision_spine
from features.timeline import build_timeline
from training.rows import FeatureRows
from training.splits import customer_hashes, split_decisions
from training.study import Study, usable_rows


def study_of(data: Path, params: Params, folder: Path) -> Study:
    """The study of a data directory, its timeline in `folder`, as `train` makes it."""
    intake = open_data(data, params, as_of=None, quarantine=None)
    timeline = build_timeline(intake, params, folder)
    decisions = decision_spine(intake, timeline, params)
    hashes = customer_hashes(timeline.customer_ids, params.seed)
    split = split_decisions(decisions.spine.as_of_us, decisions.spine.customer, hashes, params)
    features = learn_features(intake, timeline, params, until_us=split.judged_from_us)
    source = FeatureRows(features, timeline, features.demographic.table(intake, timeline), params.threads)
    profile = params.training.profiles["quick"]
    return Study(decisions, source, split, hashes, params, profile, usable_rows(decisions, params))
