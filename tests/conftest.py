"""What every kind of test shares; holds no fixture that only one of them needs."""

import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

import pytest
from hypothesis import settings

from tests.adapters.registries import begun_registries

if TYPE_CHECKING:
    from features.engines import EngineMaker
    from tests.adapters.postgres_server import Server

ROOT = Path(__file__).resolve().parents[1]
SHARED_DATA = ROOT.parent / "shared" / "data"

# The same examples on every machine and run, and no verdict that depends on its speed.
settings.register_profile("channelwise", derandomize=True, deadline=None, database=None, print_blob=True)
settings.load_profile("channelwise")


def pytest_sessionstart(session: pytest.Session) -> None:
    """Several workers share what is made before them."""
    if session.config.getoption("numprocesses", None):
        from tests.adapters.compiling import compile_first

        shared = TemporaryDirectory()
        session.config.add_cleanup(shared.cleanup)
        compile_first(Path(shared.name))


@pytest.fixture(scope="session", autouse=True)
def _registries_begin_with_tables() -> Iterator[None]:
    """Those that tests make in this process."""
    with begun_registries():
        yield


@pytest.fixture(scope="session")
def checkout() -> Path:
    """The root of the checkout."""
    return ROOT


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of public data sets beside the checkout; tests that need it are skipped where it is absent."""
    if not SHARED_DATA.is_dir():
        pytest.skip("needs the public data sets in ../shared/data, which is absent here")
    return SHARED_DATA


@pytest.fixture(scope="session")
def postgres() -> "Iterator[Server]":
    """A PostgreSQL server of the tests' own."""
    pytest.importorskip("psycopg", reason="needs psycopg, the extra postgres")
    from tests.adapters.postgres_server import missing, running_server

    if reason := missing():
        pytest.skip(reason)
    with running_server() as server:
        yield server


@pytest.fixture(scope="session")
def spark(tmp_path_factory: pytest.TempPathFactory) -> "Iterator[EngineMaker]":
    """Engines on one Spark session, because its start takes seconds."""
    pytest.importorskip("pyspark", reason="needs PySpark, the extra spark")
    if shutil.which("java") is None:
        pytest.skip("needs Java 17 (on Debian the package openjdk-17-jre-headless), which is absent here")
    from contract.loading import load_params
    from features.spark_engine import spark_engine

    scratch = tmp_path_factory.mktemp("spark")
    with spark_engine(load_params(assignments=[f"spark.scratch={scratch}"]).spark, sys.executable) as maker:
        yield maker
