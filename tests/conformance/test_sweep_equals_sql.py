"""The sweep agrees with the plain SQL reference on every feature, over histories that look for trouble."""

import numpy as np
import numpy.typing as npt
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from contract.loading import load_params
from features import grammar as g
from features.catalogue import default_features
from features.compiler import compile_program, learn_base_rates
from features.event_sets import EventSet
from features.sweep import sweep
from tests.conformance.feature_sql import Reference
from tests.conformance.hostile_histories import World, make_world

PARAMS = load_params()
EXACT = (g.Count, g.Total, g.Streak, g.ActiveDays, g.LatestChannel, g.TopChannel)


def compute(world: World, features: tuple[g.Feature, ...]) -> tuple[npt.NDArray[np.float32], dict[str, float]]:
    counts = np.bincount(world.events.code, minlength=len(world.codebook.entries))
    rates = learn_base_rates(features, world.codebook, counts)
    program = compile_program(
        features,
        world.codebook,
        PARAMS.features.windows_days,
        lookback_days=PARAMS.features.lookback_days,
        base_rates=rates,
    )
    out = np.full((len(world.spine), len(features)), -99, np.float32)
    sweep(program, world.events, world.spine, out)
    return out, rates


def differing(features: tuple[g.Feature, ...], ours: npt.NDArray[np.float32], reference: pd.DataFrame) -> list[str]:
    """Names of features with a cell that differs, with the first such cell."""
    found = []
    for column, feature in enumerate(features):
        left, right = ours[:, column].astype(np.float64), reference[feature.name].to_numpy()
        if isinstance(feature, EXACT):
            equal = (left == right) | (np.isnan(left) & np.isnan(right))
        else:
            equal = np.isclose(left, right, rtol=1e-6, atol=1e-6, equal_nan=True)
        if not equal.all():
            row = int(np.flatnonzero(~equal)[0])
            found.append(f"{feature.name}: row {row}: sweep {left[row]!r}, SQL {right[row]!r}")
    return found


def check(world: World, features: tuple[g.Feature, ...] | None = None) -> None:
    features = features or default_features(PARAMS, world.codebook)
    ours, rates = compute(world, features)
    reference = Reference(world.codebook, world.events, world.spine, PARAMS.features.lookback_days, rates)
    assert not differing(features, ours, reference.compute(features))


@settings(max_examples=12)
@given(seed=st.integers(0, 2**32 - 1), customers=st.integers(1, 4), events=st.integers(0, 150), rows=st.integers(1, 8))
def test_every_default_feature_equals_sql(seed: int, customers: int, events: int, rows: int) -> None:
    check(make_world(PARAMS, seed, customers, events, rows))


def test_a_customer_with_thousands_of_events_equals_sql() -> None:
    world = make_world(PARAMS, seed=5, customers=2, events=6_000, rows=60)
    assert np.diff(world.events.offsets).max() > 3_000
    check(world)


SENDS = EventSet("sends", "messages sent", ("sent",))
STEPS = EventSet("steps", "own steps", ("visited", "purchased", "chatted"))


@pytest.mark.parametrize(
    "features",
    [
        tuple(g.Count(SENDS.on(*channels, called=f"g{i}"), 30.0) for i, channels in enumerate([("email",)] * 7)),
        (
            *(
                g.Count(SENDS.on("email", name, called=f"e_{name}"), 30.0)
                for name in ("sms", "push", "web", "app", "mail")
            ),
            *(g.Recency(SENDS.on("email", name, called=f"e_{name}")) for name in ("sms", "push", "web", "app", "mail")),
            g.LastValue(SENDS.on("email", "mail", called="e_mail")),
            g.Followed(STEPS, SENDS.on("email", "mail", called="e_mail"), 7, 30.0),
        ),
        (
            g.HourMean(STEPS.on("candidate")),
            g.GapMean(STEPS.on("candidate")),
            g.GapSpread(STEPS.about("own_category")),
            g.First(STEPS.on("candidate")),
            g.LastValue(STEPS.about("own_category")),
            g.TypicalValue(STEPS.on("candidate")),
            g.Total(STEPS.about("own_category")),
            g.ActiveDays(STEPS.on("candidate"), 63),
            g.Sum(STEPS.about("own_category"), 90.0),
            g.Mean(STEPS.on("candidate"), 90.0),
            g.WeekendShare(STEPS.on("candidate")),
            g.Pressure(STEPS.about("own_category"), 3.0),
            g.Streak(STEPS, STEPS.about("own_category")),
            g.Followed(STEPS, STEPS.on("candidate"), 7, 90.0),
            g.Rate(STEPS, SENDS, 90.0, pseudo=0.0),
        ),
        (g.Streak(STEPS, EventSet("bought", "purchases", ("purchased",))), g.Followed(STEPS, STEPS, 7, 365.0)),
        (g.Count(EventSet("any", "interactions"), 365.0), g.Tenure(), g.Calendar("hour")),
        tuple(
            feature
            for events in (STEPS, STEPS.on("web"), STEPS.on("web", "app", called="online"))
            for feature in (g.ActiveDays(events, 28), g.HourMean(events), g.GapSpread(events), g.First(events))
        ),
    ],
    ids=[
        "one cell, many names",
        "more than the lanes hold",
        "relative everything",
        "overlapping sets",
        "all events",
        "many days and rhythms",
    ],
)
@pytest.mark.parametrize("seed", [1, 2])
def test_features_beyond_the_default_equal_sql(features: tuple[g.Feature, ...], seed: int) -> None:
    check(make_world(PARAMS, seed, customers=4, events=400, rows=25), features)
