"""How many connections a server takes: those asked for, as far as the process may open files."""

import io
import resource

import pytest

from serving.http.server import openable

UNLIMITED = resource.RLIM_INFINITY


@pytest.fixture
def limits(monkeypatch):
    """The process's limit of files, soft and hard, as a test sets it."""
    held: dict[str, tuple[int, int]] = {}
    monkeypatch.setattr(resource, "getrlimit", lambda _: held["limits"])
    monkeypatch.setattr(resource, "setrlimit", lambda _, limits: held.update(limits=limits))
    return held


@pytest.mark.parametrize("before", [(20_000, 20_000), (UNLIMITED, UNLIMITED), (20_000, UNLIMITED)])
def test_where_files_are_enough_nothing_is_changed(limits, before):
    limits["limits"] = before
    assert openable(4_000, io.StringIO()) == 4_000
    assert limits["limits"] == before


@pytest.mark.parametrize("hard", [UNLIMITED, 1_000_000])
def test_the_limit_is_raised_as_far_as_is_needed(limits, hard):
    limits["limits"], said = (1_024, hard), io.StringIO()
    assert openable(4_000, said) == 4_000
    assert 4_000 < limits["limits"][0] < 5_000
    assert not said.getvalue()


def test_fewer_connections_than_asked_for_are_told_with_the_remedy(limits):
    limits["limits"], said = (256, 1_024), io.StringIO()
    room = openable(4_000, said)
    assert 0 < room < 1_024 == limits["limits"][0]
    for word in (f"at most {room} connections", "serving.connections", "ulimit -n"):
        assert word in said.getvalue()
