"""Credit: what contacts brought, told from what bears their name; the truth is in potential outcomes."""

import numpy as np
import pytest

from models.marks import Came, unmarked
from training.additive import Rates, Seen
from training.credit import credits_of

NAMED_OF_BROUGHT, NAMED_OF_ALONE = 0.7, 0.1
CHANNELS = ("email", "post", "phone")


@pytest.fixture(scope="module")
def shop():
    """Contacts on the first two channels, with and without which each customer's response is known."""
    random = np.random.default_rng(5)
    n = 300_000
    action = random.integers(0, 3, n)
    base = 0.05 * np.exp(0.3 * random.normal(size=n))
    excess = np.array([0.0, 0.03, 0.01])[action]
    alone = random.random(n) < -np.expm1(-base)
    helped = random.random(n) < -np.expm1(-excess)
    # What a contact brings comes soon, what comes by itself at any time; the first one is the response.
    times = [np.where(alone, random.random(n), np.inf), np.where(helped, 0.2 * random.random(n), np.inf)]
    first = np.minimum(*times)
    share = np.where(times[1] < times[0], NAMED_OF_BROUGHT, NAMED_OF_ALONE)
    came = np.isfinite(first)
    named = came & (action > 0) & (random.random(n) < share)
    delay = np.where(came, first, np.nan).astype(np.float32)
    seen = Seen(action, came.astype(np.int8), Came(delay, named))
    return seen, Rates(base, excess), alone


def test_brought_are_those_who_would_not_have_come(shop):
    seen, rates, alone = shop
    email, post = credits_of(CHANNELS, seen, rates, rates.marks(seen, 3))
    for action, each in ((1, email), (2, post)):
        own = seen.action == action
        assert each.contacts == own.sum()
        assert each.responses == seen.response[own].sum()
        assert each.named == seen.came.tied[own].sum()
        brought = (seen.response[own] - alone[own]).sum()
        assert each.brought == pytest.approx(brought, abs=3 * np.sqrt(each.responses))


def test_names_are_told_apart_where_responses_are_many(shop):
    seen, rates, _ = shop
    email, _ = credits_of(CHANNELS, seen, rates, rates.marks(seen, 3))
    assert email.named_of_brought == pytest.approx(NAMED_OF_BROUGHT, abs=0.06)
    assert email.named_of_alone == pytest.approx(NAMED_OF_ALONE, abs=0.03)
    email, _ = credits_of(CHANNELS, seen, rates, unmarked(3))
    assert (email.named_of_brought, email.named_of_alone) == (None, None)


def test_a_channel_that_nobody_responded_on_has_none(shop):
    seen, rates, _ = shop
    assert [each.channel for each in credits_of(CHANNELS, seen, rates, unmarked(3))] == ["email", "post"]
