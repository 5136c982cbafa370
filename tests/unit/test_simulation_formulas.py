"""The formulas behind history and truth, the draws, and what the configuration refuses."""

import os
import shutil
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest

import simulation
from contract.errors import UsageError
from contract.loading import load_params
from simulation.config import HORIZON_DAYS, RetailerConfig
from simulation.draws import normal, pick, poisson, seed_stream, uniform
from simulation.effects import answer_probability, delay_s, expected_extra, remaining, remaining_delay_s
from simulation.retailer import build_retailer
from simulation.state import calm_on, consent_open, mood_epoch, turn_day
from simulation.tastes import MOOD_DAYS, epochs

HORIZON_S = HORIZON_DAYS * 86_400
N = 20_000
PRESSURE = """
from simulation.state import new_state, pressure_at
state = new_state()
state.pressure[0] = 1.0
print(pressure_at(state, 864_000))
"""


@pytest.fixture
def stream():
    stream = np.zeros(1, np.uint64)
    seed_stream(stream, 7, 11, 0)
    return stream


def within(sample, mean, sd, n=N, sigmas=5.0):
    return abs(np.mean(sample) - mean) < sigmas * sd / np.sqrt(n)


def test_draws_have_their_moments(stream):
    assert within([uniform(stream) for _ in range(N)], 0.5, np.sqrt(1 / 12))
    normals = [normal(stream) for _ in range(N)]
    assert within(normals, 0.0, 1.0)
    assert within(np.square(normals), 1.0, np.sqrt(2))
    counts = [poisson(stream, 1.7) for _ in range(N)]
    assert within(counts, 1.7, np.sqrt(1.7))
    assert within(np.square(np.array(counts) - 1.7), 1.7, np.sqrt(1.7 + 2 * 1.7**2))
    shares = np.array([0.5, 0.0, 0.3, 0.2])
    seen = np.bincount([pick(stream, shares) for _ in range(N)], minlength=4) / N
    assert seen[1] == 0
    assert np.abs(seen - shares).max() < 5 * 0.5 / np.sqrt(N)


def test_streams_of_customers_seeds_and_replays_differ():
    seen = set()
    for seed, customer, replay in [(0, 0, 0), (1, 0, 0), (0, 1, 0), (0, 0, 1), (1, 1, 1), (0, 1, 1)]:
        one = np.zeros(1, np.uint64)
        seed_stream(one, seed, customer, replay)
        seen.add(int(one[0]))
    assert len(seen) == 6


def test_extra_purchases_fall_within_the_horizon_and_split_where_told(stream):
    delays = np.array([delay_s(uniform(stream)) for _ in range(N)])
    assert delays.min() >= 0
    assert delays.max() < HORIZON_S
    assert remaining(0.0) == pytest.approx(1.0)
    assert remaining(HORIZON_S) == 0.0
    for days in (0.5, 2.0, 5.0):
        share = remaining(days * 86_400)
        assert within(delays > days * 86_400, share, np.sqrt(share * (1 - share)))
        later = np.array([remaining_delay_s(uniform(stream), days * 86_400) for _ in range(N)])
        assert later.min() >= days * 86_400 - 1e-6
        assert within(later, delays[delays > days * 86_400].mean(), later.std(), n=min(N, int(N * share) // 2))


def test_fatigue_lowers_effect_and_answers_and_affinity_raises_them():
    assert expected_extra(0.03, 0.4, 2.0, 1.0) < expected_extra(0.03, 0.4, 0.5, 1.0) < 0.03
    assert expected_extra(0.03, 0.4, 0.0, 1.5) == pytest.approx(0.045)
    assert answer_probability(0.2, 0.4, 2.0, 1.0) < 0.2 < answer_probability(0.2, 0.4, 0.0, 1.5)
    assert answer_probability(0.9, 0.0, 0.0, 4.0) == 0.95


def test_annoyance_lasts_seven_days_from_the_day_after():
    calm, next_calm = np.ones(7), np.ones(1)
    left = []
    for day in range(20, 32):
        turn_day(calm, next_calm, day)
        left.append(calm_on(calm, day, 0))
        if day == 21:
            next_calm[0] *= 0.8
        if day == 23:
            ahead = [calm_on(calm, day, k) for k in range(7)]
    assert left == pytest.approx([1, 1] + [0.8] * 7 + [1] * 3)
    assert ahead == pytest.approx(left[3:10])


def test_consent_is_what_the_latest_word_before_says():
    assert not consent_open(100, 10**9, 10**9, 100)
    assert consent_open(100, 10**9, 10**9, 101)
    assert consent_open(100, 200, 300, 200)
    assert not consent_open(100, 200, 300, 201)
    assert not consent_open(100, 200, 300, 300)
    assert consent_open(100, 200, 300, 301)


@pytest.mark.parametrize("years", [1, 2, 3, 5])
def test_one_mood_covers_the_whole_horizon(years):
    days = 365 * years
    indices = [mood_epoch(epochs(days), days, day) for day in range(days + HORIZON_DAYS)]
    assert indices[0] == 0
    assert set(indices[days:]) == {epochs(days) - 1}
    assert max(np.bincount(indices)) == MOOD_DAYS


def test_all_faults_of_a_configuration_are_told_at_once():
    with pytest.raises(UsageError, match=r"newcomer_share: found 1\.2.*customers: found 0.*end: found 2026-11-01T06"):
        RetailerConfig(0, newcomer_share=1.2, end=datetime(2026, 11, 1, 6, tzinfo=UTC))


def test_a_retailer_without_one_of_its_channels_is_refused():
    with pytest.raises(UsageError, match="needs mail; use the shipped"):
        build_retailer(RetailerConfig(10), load_params(assignments=["channels.mail=null"]))


def test_a_change_anywhere_in_the_package_makes_the_compiled_functions_stale(tmp_path):
    """Numba alone would go on using a caller compiled with a formula that has changed in another file."""
    shutil.copytree(Path(simulation.__path__[0]), tmp_path / "simulation", ignore=shutil.ignore_patterns("__pycache__"))
    formula = tmp_path / "simulation" / "effects.py"
    printed = []
    for text in (formula.read_text(), formula.read_text().replace("PRESSURE_DAYS = 10.0", "PRESSURE_DAYS = 20.0")):
        formula.write_text(text)
        ran = subprocess.run(
            [sys.executable, "-c", PRESSURE],
            cwd=tmp_path,
            env={**os.environ, "PYTHONPATH": f"{tmp_path}:{Path(simulation.__path__[0]).parent}"},
            capture_output=True,
            text=True,
            check=True,
        )
        printed.append(float(ran.stdout))
    assert printed == pytest.approx([np.exp(-1.0), np.exp(-0.5)])
