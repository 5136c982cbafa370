"""Coverage is counted over groups of like predictions, channel by channel, against the truth of the same customers."""

import numpy as np
import pyarrow as pa
import pytest

from benchmarks.parts.coverage import interval_coverage
from simulation.truth import Truth

CUSTOMERS, CHANNELS = 2_000, ("email", "sms", "push", "phone", "mail", "social")


def known_truth(ids, response):
    """Of six channels alike; response: (n, 7)."""
    none = response[:, 1:]
    return Truth(ids, CHANNELS, (), response, response, np.zeros(7), none, response[:, :1], none)


def test_over_campaigns_of_all_strengths_an_interval_holds_as_often_as_they_lie_within():
    ids = np.array([f"c{i:06d}" for i in range(CUSTOMERS)], dtype=object)
    base, excess = 0.1, np.linspace(0.02, 0.04, CUSTOMERS)
    response = np.column_stack([np.full(CUSTOMERS, base), *[base + excess] * 6])
    response = -np.expm1(-response)
    # As far as two thirds of the campaigns reach: within one standard deviation of the logs of their strengths.
    bounds = {name: -np.expm1(-base - excess * np.exp(z * 0.15 - 0.5 * 0.15**2))
              for name, z in (("", 0.0), ("_lower", -1.0), ("_upper", 1.0))}  # fmt: skip
    scores = {f"response{name}": each for name, each in bounds.items()}
    scores |= {f"uplift{name}": each - response[:, 0] for name, each in bounds.items()}
    email = pa.table({"customer_id": ids, "channel": ["email"] * CUSTOMERS, **scores})
    found = interval_coverage(email, known_truth(ids, response))["email"]
    for each in (found.response, found.uplift):
        assert each.covered == 1.0
        assert each.covered_any == pytest.approx(0.683, abs=0.03)


def test_a_channel_holds_as_often_as_its_groups_lie_within_their_bounds():
    p = np.linspace(0.05, 0.4, CUSTOMERS)
    truth = np.column_stack([np.full(CUSTOMERS, 0.03), *[p + 0.01 * at for at in range(6)]])
    ids = np.array([f"c{i:06d}" for i in range(CUSTOMERS)], dtype=object)
    known = known_truth(ids, truth)
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
