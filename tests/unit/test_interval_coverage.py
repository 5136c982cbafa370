"""Coverage is counted over groups of like predictions, channel by channel, against the truth of the same customers."""

import numpy as np
import pyarrow as pa
import pytest

from benchmarks.parts.coverage import interval_coverage
from simulation.truth import Truth

CUSTOMERS, CHANNELS = 2_000, ("email", "sms", "push", "phone", "mail", "social")


def test_a_channel_holds_as_often_as_its_groups_lie_within_their_bounds():
    p = np.linspace(0.05, 0.4, CUSTOMERS)
    truth = np.column_stack([np.full(CUSTOMERS, 0.03), *[p + 0.01 * at for at in range(6)]])
    ids = np.array([f"c{i:06d}" for i in range(CUSTOMERS)], dtype=object)
    none = truth[:, 1:]
    known = Truth(ids, CHANNELS, (), truth, truth, np.zeros(7), answer=none, engagement=truth[:, :1], opt_out=none)
    shuffled = np.random.default_rng(0).permutation(CUSTOMERS)
    scores = pa.table(
        {
            "customer_id": np.repeat(ids[shuffled], 2),
            "channel": np.tile(["email", "sms"], CUSTOMERS),
            **{
                f"{what}{bound}": np.column_stack([p[shuffled], p[shuffled]]).ravel() - less + reach
                for what, less in (("response", 0.0), ("uplift", 0.03))
                for bound, reach in (("", 0.0), ("_lower", -0.005), ("_upper", 0.005))
            },
        }
    )
    found = interval_coverage(scores, known)
    assert set(found) == {"email", "sms"}
    assert (found["email"].response.covered, found["sms"].response.covered) == (1.0, 0.0)
    assert (found["email"].uplift.covered, found["sms"].uplift.covered) == (1.0, 0.0)
    assert found["email"].response.groups == 10
    assert found["sms"].response.half_width == pytest.approx(0.005)
    assert found["sms"].uplift.error == pytest.approx(0.01)
