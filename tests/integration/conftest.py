"""A small retailer with a model and scores, made once for all tests that break or kill commands."""

import pytest

from tests.adapters.command_line import run_command
from tests.adapters.workplace import Workplace, new_workplace, succeeded, without_card


@pytest.fixture(scope="session")
def workplace(tmp_path_factory: pytest.TempPathFactory) -> Workplace:
    """A simulated retailer's tables."""
    return new_workplace(tmp_path_factory.mktemp("workplace"))


@pytest.fixture(scope="session")
def trained(workplace: Workplace) -> Workplace:
    """The same, with a champion in its registry."""
    with without_card():
        succeeded(run_command(*workplace.train()))
    return workplace


@pytest.fixture(scope="session")
def scored(trained: Workplace) -> Workplace:
    """The same, with its audience scored."""
    succeeded(run_command(*trained.score(trained.scores)))
    return trained
