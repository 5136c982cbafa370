"""A search survives a kill, ends in time with a recipe, and weighs what its splits cost at every score."""

import signal
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

from models.boosting import Recipe
from tests.adapters.dying_search import NAME, PROFILE, task
from training.search import search_recipe

ROOT = Path(__file__).parents[2]


def _told(done: float, total: float) -> None:
    assert 0 <= done <= total


def _killed(storage: Path, trial: int) -> None:
    words = [sys.executable, "-m", "tests.adapters.dying_search", str(storage), str(trial), "3"]
    assert subprocess.run(words, cwd=ROOT, check=False).returncode == -signal.SIGKILL
    with sqlite3.connect(storage) as database:
        # As if the heartbeat had stopped long ago.
        assert database.execute("UPDATE trial_heartbeats SET heartbeat = '2020-01-01 00:00:00'").rowcount > 0


def _trials(storage: Path) -> list[tuple[int, str]]:
    with sqlite3.connect(storage) as database:
        return database.execute("SELECT number, state FROM trials ORDER BY number").fetchall()


def test_a_killed_trial_is_marked_as_failed_and_tried_again(tmp_path):
    storage = tmp_path / "search.db"
    _killed(storage, trial=1)
    assert _trials(storage) == [(0, "COMPLETE"), (1, "RUNNING")]
    found = search_recipe(task(), PROFILE, storage, NAME, _told)
    states = dict(_trials(storage))
    assert states[1] == "FAIL"
    assert len(found.tried) == PROFILE.trials
    with sqlite3.connect(storage) as database:
        rows = database.execute(
            "SELECT number, param_name, param_value FROM trial_params JOIN trials USING (trial_id)"
        ).fetchall()
    values = {number: {name: value for at, name, value in rows if at == number} for number in states}
    assert values[1]
    assert [number for number in states if number > 1 and values[number] == values[1]] == [2], "the same again"
    # The first trial is the usual recipe, and was not run anew.
    assert values[0]["learning_rate"] == Recipe(trees=1).learning_rate


def test_a_search_whose_time_ran_out_after_a_kill_takes_the_usual_recipe(tmp_path):
    storage = tmp_path / "search.db"
    _killed(storage, trial=0)
    late = PROFILE.model_copy(update={"timeout_minutes": 1e-9})
    found = search_recipe(task(), late, storage, NAME, _told)
    assert all(each.given_up for each in found.tried)
    assert found.recipe == Recipe(trees=late.trees)


@pytest.mark.parametrize("price", [0.0, 10.0])
def test_dear_splits_make_the_winner_small(price):
    profile = PROFILE.model_copy(update={"trials": 8})
    found = search_recipe(task(price), profile, None, NAME, _told)
    finished = [each for each in found.tried if not each.given_up]
    assert len(finished) > 2
    costs = [each.loss + price * each.splits / 1_000 for each in finished]
    chosen = [each for each in finished if each.parameters["learning_rate"] == found.recipe.learning_rate]
    assert [each.loss + price * each.splits / 1_000 for each in chosen] == [min(costs)]
    if price:
        assert chosen[0].splits == min(each.splits for each in finished)
        assert chosen[0].loss > min(each.loss for each in finished)
