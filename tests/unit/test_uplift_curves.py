"""Qini curves find what contact truly adds and whom it moves, whatever the sender preferred; thin logs have none."""

import numpy as np
import pytest
from scipy.special import expit

from models.evidence import Evidence
from training.uplift_curves import SHARES, UpliftLog, uplift_curves


def evidence(name, verdict="randomised"):
    return Evidence(action=name, verdict=verdict, reason="", decisions=1, responses=1, overlap=1.0)


EVIDENCE = (evidence("none"), evidence("email"), evidence("sms"))


def simulated(seed, customers=6_000, order=1.0, tied=False):
    """Contact on e-mail moves those with a high x, whom the sender prefers to contact; SMS moves nobody."""
    random = np.random.default_rng(seed)
    customer = np.repeat(np.arange(customers), 2)
    x = random.normal(size=customers)[customer]
    likes = np.column_stack([np.zeros(len(x)), x, np.zeros(len(x))])
    chance = np.exp(likes) / np.exp(likes).sum(axis=1, keepdims=True)
    action = (chance.cumsum(axis=1) > random.random(len(x))[:, None]).argmax(axis=1)
    alone = np.zeros(len(x)) if tied else expit(-2 + 0.5 * x)
    truth = np.column_stack([alone, alone + 0.15 * (x > 0), alone + 0.05 * tied])
    response = (random.random(len(x)) < truth[np.arange(len(x)), action]).astype(float)
    predicted = np.column_stack([alone, alone + 0.15 * expit(4 * order * x), alone + 0.01])
    return UpliftLog(
        action=action,
        customer=customer,
        response=response,
        propensity=chance[np.arange(len(x)), action],
        predicted=predicted,
        is_open=np.ones((len(x), 2), bool),
        tied=tied,
    )


def changed(log, **parts):
    return UpliftLog(**{**vars(log), **parts})


@pytest.mark.parametrize("tied", [False, True])
def test_the_curve_is_what_contact_adds_in_the_models_order(tied):
    email, sms = uplift_curves(simulated(0, tied=tied), EVIDENCE, 0.95)
    assert (email.refused, sms.refused) == ("", "")
    assert email.shares[-1] == 1.0
    # Half of the customers are moved by 15 points, and come first.
    half = email.gain[email.shares.index(0.5)]
    assert half.lower < 0.075 < half.upper
    assert email.gain[-1].lower < 0.075 < email.gain[-1].upper
    true_qini = np.mean([min(share, 0.5) * 0.15 - share * 0.075 for share in email.shares])
    assert email.qini is not None
    assert email.qini.lower < true_qini < email.qini.upper
    assert email.qini.lower > 0
    assert sms.gain[-1].lower < 0.05 * tied < sms.gain[-1].upper
    moved = [group.measured.value > 0.1 for group in email.groups]
    assert (moved[:2], moved[3:]) == ([True, True], [False, False])


def test_an_order_turned_round_has_a_negative_coefficient():
    email, _ = uplift_curves(simulated(1, order=-1.0), EVIDENCE, 0.95)
    assert email.qini is not None
    assert email.qini.upper < 0


def test_intervals_hold_as_often_as_they_say():
    held = []
    for seed in range(150):
        email, sms = uplift_curves(simulated(seed, customers=1_500), EVIDENCE, 0.9)
        held.append(email.gain[-1].lower <= 0.075 <= email.gain[-1].upper)
        held.append(sms.gain[-1].lower <= 0 <= sms.gain[-1].upper)
    # 0.9 ± 3 standard errors of 300 trials, of which pairs share a log.
    assert 0.84 <= np.mean(held) <= 0.955


def test_without_weights_the_senders_preference_would_be_taken_for_an_effect():
    log = simulated(2)
    naive = changed(log, propensity=np.full(len(log.action), 1 / 3))
    weighted, plain = (uplift_curves(each, EVIDENCE, 0.95)[0].gain[-1] for each in (log, naive))
    assert plain.lower > 0.075
    assert weighted.lower < 0.075 < weighted.upper


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"propensity": np.full(12_000, np.nan)}, "only 0 customers in effect were contacted; 100 are needed"),
        ({"is_open": np.zeros((12_000, 2), bool)}, "only 0 customers in effect were contacted"),
        ({"response": np.zeros(12_000)}, "only 0 customers contacted responded; 20 are needed"),
        ({"customer": np.repeat(np.arange(60), 200)}, "customers in effect were contacted; 100 are needed"),
    ],
)
def test_a_thin_log_has_no_curve_and_says_why(change, reason):
    for curve in uplift_curves(changed(simulated(3), **change), EVIDENCE, 0.9):
        assert reason in curve.refused
        assert not curve.gain
        assert curve.qini is None


def test_only_what_was_randomised_is_measured():
    found = uplift_curves(simulated(4), (EVIDENCE[0], evidence("email", "adjusted"), EVIDENCE[2]), 0.9)
    assert "adjusted" in found[0].refused
    assert not found[1].refused
    assert set(found[1].shares) <= set(SHARES)
