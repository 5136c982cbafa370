"""Registries that begin with the tables that MLflow takes seconds to make; one is made before all tests."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final
from unittest.mock import patch

EMPTY: Final = "CHANNELWISE_TESTS_EMPTY_REGISTRY"
"""Environment variable: a registry's file with tables and nothing in them; without it every test has its own made."""


def make_empty(file: Path) -> None:
    """A registry in which nothing was kept yet."""
    from training import tracking

    with tracking._client(f"sqlite:///{file}") as (client, _):
        client.search_registered_models()


@contextmanager
def begun_registries() -> Iterator[None]:
    """A registry that is not there yet begins as a copy of the empty one."""
    empty = os.environ.get(EMPTY)
    if empty is None:
        yield
        return
    from training import tracking

    client = tracking._client

    @contextmanager
    def begun(registry: str | None, **told: bool) -> Iterator[Any]:
        file = Path((registry or tracking.default_registry()).removeprefix("sqlite:///"))
        if "://" not in str(file) and not file.exists() and not told.get("must_exist"):
            file.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(empty, file)
        with client(registry, **told) as found:
            yield found

    with patch("training.tracking._client", begun):
        yield
