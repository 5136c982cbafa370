"""Every customer is in one cell of the flows, and each who moved has the first reason that holds."""

import pandas as pd
import pyarrow as pa
import pytest

from contract.errors import DataError
from serving.moves import moves, read_last_plan
from serving.outcome import Decision
from serving.roles import EXPLORE, HOLDOUT, INELIGIBLE, PLAN
from tests.adapters.boards import board_of

EMAIL, PHONE, NONE = 0, 1, -1

CASES = [
    # customer, last channel, last role, gain (None: closed) by email and phone, channel now, role now, reason
    ("a", "email", "plan", (5.0, 9.0), PHONE, PLAN, "worth more on the new channel"),
    ("b", "phone", "plan", (5.0, 9.0), EMAIL, PLAN, "limits: the old channel is worth more to others"),
    ("c", "phone", "plan", (5.0, None), EMAIL, PLAN, "the old channel is closed now"),
    ("d", "email", "plan", (-1.0, -2.0), NONE, PLAN, "no longer worth its cost"),
    ("e", "email", "plan", (4.0, None), NONE, PLAN, "limits: the old channel is worth more to others"),
    ("f", None, "plan", (4.0, None), EMAIL, PLAN, "worth its cost now, or room for it"),
    ("g", None, "ineligible", (4.0, None), EMAIL, PLAN, "may be contacted now"),
    ("h", "email", "plan", (None, None), NONE, INELIGIBLE, "the old channel is closed now"),
    ("i", "email", "plan", (4.0, 1.0), NONE, HOLDOUT, "held out this time, to measure"),
    ("j", "email", "plan", (4.0, 1.0), PHONE, EXPLORE, "explores this time: channel drawn at random"),
    ("k", None, "holdout", (4.0, 1.0), EMAIL, PLAN, "held out or explored last time"),
    ("l", "email", "plan", (4.0, 1.0), EMAIL, PLAN, None),
    ("m", "new", "plan", (4.0, 1.0), EMAIL, PLAN, None),
]


def scores_and_plan(tmp_path, suffix=".parquet"):
    board = board_of([case[0] for case in CASES], ("email", "phone"), [case[3] for case in CASES])
    action = pa.array([case[4] for case in CASES], pa.int16()).to_numpy()
    role = pa.array([case[5] for case in CASES], pa.int8()).to_numpy()
    rows = [case[:3] for case in CASES if case[1] != "new"] + [("z", "email", "plan")]
    frame = pd.DataFrame(rows, columns=["customer_id", "channel", "role"])
    path = tmp_path / f"last{suffix}"
    frame.to_parquet(path) if suffix == ".parquet" else frame.to_csv(path, index=False)
    return board, Decision(action, role, board.gain, action), path


@pytest.mark.parametrize("suffix", [".parquet", ".csv"])
def test_each_who_moved_has_its_reason(tmp_path, suffix):
    board, decision, path = scores_and_plan(tmp_path, suffix)
    found = moves(board, decision, read_last_plan(path, board))
    expected: dict[str, int] = {}
    for case in CASES:
        if case[6] is not None:
            expected[case[6]] = expected.get(case[6], 0) + 1
    assert found.reasons == expected
    assert (found.moved, found.stayed, found.new, found.gone) == (11, 1, 1, 1)
    assert sum(map(sum, found.counts)) == len(CASES)
    assert found.counts[0] == (1, 2, 4)
    assert found.counts[found.was.index("not in that plan")] == (1, 0, 0)


def test_a_file_that_is_no_plan_of_these_channels_is_refused(tmp_path):
    board, _, path = scores_and_plan(tmp_path)
    with pytest.raises(DataError, match="is not there"):
        read_last_plan(tmp_path / "none.parquet", board)
    pd.DataFrame({"customer_id": ["a"], "channel": ["email"]}).to_parquet(path)
    with pytest.raises(DataError, match=r"cannot be read as a plan .* expected the columns customer_id, channel, role"):
        read_last_plan(path, board)
    pd.DataFrame({"customer_id": ["a"], "channel": ["pigeon"], "role": ["plan"]}).to_parquet(path)
    with pytest.raises(DataError, match="channel 'pigeon' is none of the outbound channels email, phone"):
        read_last_plan(path, board)


def test_an_empty_plan_knows_nobody(tmp_path):
    board, decision, path = scores_and_plan(tmp_path)
    pd.DataFrame({"customer_id": [], "channel": [], "role": []}, dtype=str).to_parquet(path)
    found = moves(board, decision, read_last_plan(path, board))
    assert (found.moved, found.new, found.reasons) == (0, len(CASES), {})
