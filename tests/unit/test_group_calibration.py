"""Calibration of groups: what chance makes of a perfect model is known, and a group is judged only where it can be."""

import numpy as np
import pytest
from scipy.special import expit, logit

from contract.loading import load_params
from models.intervals import History
from models.tables import Table
from training.evaluation import Judged
from training.findings import Findings
from training.group_calibration import calibrated_group, group_calibrations, groupings

BINS, TOLERANCE = 15, 0.01


def drawn(seed, rows, shift=0.0):
    random = np.random.default_rng(seed)
    p = expit(random.normal(-2.5, 0.6, rows))
    return p, (random.random(rows) < expit(logit(p) + shift)).astype(np.int8)


@pytest.mark.parametrize("rows", [400, 6_000])
def test_a_perfect_model_errs_as_much_as_chance_says(rows):
    worlds = [drawn(seed, rows) for seed in range(60)]
    found = [calibrated_group("all", p, outcome, np.arange(rows), BINS, TOLERANCE) for p, outcome in worlds]
    chance = np.mean([each.by_chance for each in found])
    assert np.mean([each.error for each in found]) == pytest.approx(chance, rel=0.1)


def test_the_least_rows_are_those_at_which_chance_makes_the_tolerance():
    p, outcome = drawn(0, 200_000)
    least = calibrated_group("all", p, outcome, np.arange(len(p)), BINS, TOLERANCE).least_rows
    enough = calibrated_group("all", p[:least], outcome[:least], np.arange(least), BINS, TOLERANCE)
    assert enough.tells
    assert enough.by_chance == pytest.approx(TOLERANCE, rel=0.1)
    few = calibrated_group("all", p[: least - 50], outcome[: least - 50], np.arange(least - 50), BINS, TOLERANCE)
    assert not few.tells


def test_a_group_that_is_off_is_named_and_others_are_not():
    off, right = drawn(1, 20_000, shift=0.5), drawn(2, 20_000)
    small = drawn(3, 300)
    p, outcome = (np.concatenate(parts) for parts in zip(off, right, small, strict=True))
    region = np.repeat([0.0, 1.0, 2.0], [20_000, 20_000, 300])
    matrix = np.column_stack([np.full(len(p), 5.0), region]).astype(np.float32)
    matrix[-10:, 1] = np.nan
    table = Table(matrix, ["events", "region"], ["region"], np.arange(len(p)))
    judged = Judged(np.ones(len(p), np.int64), outcome, {"model": p})
    levels = {"region": ("north", "south", "islands"), "gender": ("f", "m")}
    ways = list(groupings(table, judged.action, ("none", "email"), History(columns=(0,), long_from=3), levels))
    found = group_calibrations(judged, "model", ways, table.customer, BINS, TOLERANCE)
    by_name = {each.group: each for each in found}
    assert set(by_name) == {
        "channel: email", "history: long history", "region: north", "region: south", "region: islands"
    }  # fmt: skip
    assert by_name["region: islands"].rows == 290
    lines = "\n".join(Findings(groups=found).lines(load_params()))
    assert "calibration of region: north: predicted" in lines
    assert "region: south:" not in lines
    assert "calibration of 1 of 5 groups cannot be told" in lines
