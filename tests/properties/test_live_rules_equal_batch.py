"""What single requests are told of eligibility is what a batch says over the same rows, read anew at that moment."""

from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from contract.loading import load_params
from features.event_store import Interaction
from serving.eligibility import Eligibility
from serving.live_rules import LiveRules
from tests.properties.contact_reference import DAY, EPOCH
from tests.properties.test_eligibility_equals_reference import (
    CAMPAIGNS,
    CHANNELS,
    IDS,
    TRANSACTIONAL,
    asked,
    params_in,
    shown,
    world_of,
)

# A contact planned counts for as long as the hostile worlds plan ahead of as-of.
WAITING = {"serving": {"planned_hours": 24 * 60.0}}


def waiting(params):
    return params.model_copy(update={"serving": params.serving.model_copy(update=WAITING["serving"])})


def served(seed, campaign):
    """A world as a server may have it: a decision replaces an earlier one about the same customer and campaign, and
    those asked for are decided anew. Nothing but what was delivered is known of somebody who is no customer.
    """
    world = world_of(seed)
    latest = {(row[0], row[2]): row for row in world.planned if row[2] != campaign}
    consents = [row for row in world.consents if row[0] in world.customers]
    return replace(world, planned=list(latest.values()), consents=consents)


def started(world, params, start, rng):
    """The rules as they know the world at its as-of: some of it read at the start, the rest told since in any order."""
    known: list[tuple[Any, ...]] = []
    told: list[tuple[Any, ...]] = []
    for row in world.interactions:
        (rng.choice((known, told)) if row[0] in world.customers else told).append(row)
    before = replace(world, interactions=known)
    with shown(before) as connection:
        live = LiveRules(connection, params, sorted(world.customers), TRANSACTIONAL, start)
    rng.shuffle(told)
    for one, channel, time, kind, campaign in told:
        live.take(Interaction(one, time, kind, channel, campaign_id=campaign))
    for one, channel, campaign, moment, plan in world.planned:
        live.expect(one, campaign, channel, moment, plan)
    return live


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 2**32), st.sampled_from(CAMPAIGNS))
def test_live_is_batch_with_every_rule(seed, campaign):
    rng = Random(seed)
    world = served(seed, campaign)
    with TemporaryDirectory() as folder:
        _, batch, params = asked(world, campaign, Path(folder))
        live = started(world, waiting(params), world.as_of - rng.choice((0, 1, DAY, 9 * DAY)), rng)
    found = live.judged(IDS, world.as_of, campaign)
    assert found.refused.tolist() == batch.refused.tolist()
    assert found.earliest_us.tolist() == batch.earliest_us.tolist()


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 2**32), st.sampled_from(CAMPAIGNS))
def test_live_is_batch_with_the_rules_that_always_hold(seed, campaign):
    rng, world = Random(seed), served(seed, campaign)
    params = load_params([], [f"channels.{name}=null" for name in ("push", "phone", "social")])
    with shown(world) as connection:
        batch = Eligibility(connection, params, EPOCH + timedelta(microseconds=world.as_of), campaign)
        access = batch.access(np.array(IDS, dtype=object))
    live = started(replace(world, planned=[]), params, world.as_of - rng.choice((0, DAY)), rng)
    found = live.access(IDS, world.as_of, campaign)
    assert found.eligible.tolist() == access.eligible.tolist()
    assert found.reason.tolist() == access.reason.tolist()


def test_a_contact_decided_counts_until_it_is_late_and_one_that_is_forgotten_not_at_all():
    world = replace(
        world_of(1), interactions=[], planned=[], consents=[(one, c, 0, True) for one in IDS for c in CHANNELS]
    )
    with TemporaryDirectory() as folder:
        (Path(folder) / "robinson.csv").write_text("customer_id,channel\n")
        params = params_in(Path(folder))
        with shown(world) as connection:
            live = LiveRules(connection, params, sorted(world.customers), TRANSACTIONAL, world.as_of)
    bit = live.book.bit("windows.sms")

    def closed(moment, campaign="SPRING_1"):
        return bool(int(live.judged(["d"], moment, campaign).refused[0, CHANNELS.index("sms")]) >> bit & 1)

    live.expect("d", "CLEARANCE", "sms", world.as_of, world.as_of)
    late = world.as_of + round(params.serving.planned_hours / 24 * DAY)
    assert [closed(world.as_of), closed(late), closed(late + 1)] == [True, True, False]
    assert not closed(world.as_of, "CLEARANCE")
    earlier = live.expect("d", "CLEARANCE", None, world.as_of, world.as_of)
    assert earlier == (CHANNELS.index("sms"), world.as_of, world.as_of)
    assert not closed(world.as_of)
    live.expect("d", "CLEARANCE", "sms", world.as_of, world.as_of)
    live.forget("d")
    assert not closed(world.as_of)
