"""What every kind of test shares; holds no fixture that only one of them needs."""

from pathlib import Path

import pytest
from hypothesis import settings

ROOT = Path(__file__).resolve().parents[1]
SHARED_DATA = ROOT.parent / "shared" / "data"

# The same examples on every machine and run, and no verdict that depends on its speed.
settings.register_profile("channelwise", derandomize=True, deadline=None, database=None, print_blob=True)
settings.load_profile("channelwise")


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
