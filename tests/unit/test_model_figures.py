"""The models' benchmark sums up what it found as it says, and keeps a finding until the code behind it changes."""

from itertools import count

import numpy as np
import pytest

from benchmarks.parts import kept_results
from benchmarks.parts.hillstrom import ALL_MENS, verdict
from benchmarks.parts.kept_results import KeptResults, source_digest
from benchmarks.parts.model_figures import MAIN, SECOND, distance_closed, value_summary
from benchmarks.parts.plain_learners import fold_of
from benchmarks.parts.worlds import MOST_CLICKED, OURS, REFERENCE, S_LEARNER


def seed(ours, start, end, peer):
    shares = {OURS: ours, MOST_CLICKED: start, REFERENCE: end, S_LEARNER: peer}
    return {who: {"share": share} for who, share in shares.items()}


def test_the_distance_is_that_of_the_means_over_seeds():
    seeds = [seed(0.5, 0.2, 0.6, 0.4), seed(0.7, 0.4, 0.8, 0.6)]
    assert distance_closed(seeds) == pytest.approx((0.6 - 0.3) / (0.7 - 0.3))
    assert distance_closed([seed(0.8, 0.2, 0.6, 0.4)]) == pytest.approx(1.5), "past the reference"


def test_the_best_peer_is_best_in_the_mean_and_never_the_product_itself():
    summary = value_summary({MAIN: [seed(0.9, 0.2, 0.6, 0.4)], SECOND: [seed(0.3, 0.2, 0.4, 0.3)]})
    assert (summary["best_peer_name"], summary["best_peer"]) == (S_LEARNER, 0.4)
    assert summary["distance_closed_second_mechanism"] == pytest.approx(0.5)


def test_what_refused_to_run_is_named_and_stands_in_no_mean():
    found = seed(0.5, 0.2, 0.6, 0.4) | {"econml DR learner": {"refused": "no wheel"}}
    summary = value_summary({MAIN: [found]})
    assert summary["refused"] == {"econml DR learner": "no wheel"}
    assert "econml DR learner" not in summary["shares"][MAIN]


@pytest.mark.parametrize(("low", "said"), [(-0.1, "nothing beats"), (0.1, "ahead of")])
def test_a_policy_is_ahead_only_where_its_lead_exceeds_the_noise(low, said):
    found = {ALL_MENS: {"lead": [0.0, 0.0, 0.0]}, "ours": {"lead": [0.2, low, 0.4]}}
    assert said in verdict("spend", found)


def test_all_rows_of_a_customer_are_in_one_fold():
    customer = np.repeat(np.arange(50), 3)
    folds = fold_of(customer, 0).reshape(50, 3)
    assert (folds == folds[:, :1]).all()
    assert len(np.unique(folds)) == 5


def test_a_finding_is_kept_until_its_code_changes(tmp_path, monkeypatch):
    source = tmp_path / "project" / "models"
    source.mkdir(parents=True)
    (source / "trees.py").write_text("ONE = 1\n")
    monkeypatch.setattr(kept_results, "ROOT", tmp_path / "project")
    kept, turns = KeptResults(tmp_path / "kept"), count(1)

    def find():
        source_digest.cache_clear()
        return kept.found("ours", ("models",), lambda: {"share": next(turns)})

    assert [find(), find()] == [{"share": 1}, {"share": 1}]
    (source / "trees.py").write_text("ONE = 2\n")
    assert find() == {"share": 2}
    source_digest.cache_clear()
