"""What little is known of a customer is said on open channels, and never in place of why a channel is closed."""

import numpy as np

from serving.scores import NOT_PROFILED, Access, marked


def test_a_mark_stands_on_open_channels_of_its_rows_alone():
    eligible = np.array([[True, False], [True, True]])
    access = Access(eligible, ("no consent",), np.array([[-1, 0], [-1, -1]]))
    found = marked(access, np.array([True, False]), NOT_PROFILED)
    assert found.reason.tolist() == [[NOT_PROFILED, "no consent"], [None, None]]
    assert access.reason.tolist() == [[None, "no consent"], [None, None]]
    assert found.eligible is eligible
