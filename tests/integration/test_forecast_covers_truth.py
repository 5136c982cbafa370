"""From trained model to forecast: the intervals hold in the futures of a small simulated retailer.

One world is one draw of the model's errors, so its rate of coverage scatters; `python -m benchmarks.forecast` measures
it over many.
"""

import json
from collections import defaultdict

import numpy as np

from benchmarks.forecast import judge
from contract.loading import load_params
from serving.outlook import Outlook, outlook_file
from simulation.truth import read_truth
from tests.adapters.workplace import Workplace


def test_intervals_of_plan_and_plain_rules_hold_in_what_then_happens(scored: Workplace) -> None:
    outlook = Outlook.model_validate_json(outlook_file(scored.scores).read_bytes())
    assert set(outlook.opt_outs) == {"email", "sms", "push", "phone"}, "post and social media record no opt-outs"
    hits: dict[str, list[float]] = defaultdict(list)
    judge(scored.scores, read_truth(scored.data / "truth"), load_params(), 100, hits)
    rates = {name: float(np.mean(each)) for name, each in hits.items() if ":" in name}
    assert len(rates) == 16
    assert 0.85 <= np.mean(list(rates.values())) <= 1.0, json.dumps(rates)
    assert min(rates.values()) >= 0.5, json.dumps(rates)


def test_opt_outs_are_foretold_near_the_truth(scored: Workplace) -> None:
    """Contacts of the last year stand for those to come: on email, the busiest channel, within a third of the truth."""
    outlook = Outlook.model_validate_json(outlook_file(scored.scores).read_bytes())
    truth = read_truth(scored.data / "truth")
    true = float(truth.opt_out[:, truth.channels.index("email")].mean())
    assert outlook.opt_outs["email"].rate == np.clip(outlook.opt_outs["email"].rate, true / 1.5, true * 1.5)
