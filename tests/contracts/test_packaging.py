"""What is installed: pins with hashes and no address, a wheel that holds the parameters and nothing of the tests."""

import re
import subprocess
import sys
import tomllib
import zipfile
from email.parser import HeaderParser
from importlib.metadata import distribution, distributions
from pathlib import Path
from typing import Any

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parents[2]
LOCK = (ROOT / "requirements.lock").read_text()
PACKAGES = {"contract", "pages", "features", "models", "training", "serving", "simulation", "channelwise"}
LOCKED_EXTRAS = ("train", "serving", "dev")
PYTHONS = ("3.11.0", "3.11.2", "3.12.0", "3.13.0")
ADDRESS = re.compile(r"https?:|file:|--(extra-)?index-url|--find-links|--trusted-host| @ |^-[a-z]", re.MULTILINE)


def project() -> dict[str, Any]:
    """The whole of pyproject.toml."""
    return tomllib.loads((ROOT / "pyproject.toml").read_text())


def pins() -> dict[str, tuple[str, int]]:
    """Version and number of hashes of each pinned package."""
    entries = re.split(r"\n(?=[A-Za-z0-9])", re.sub(r"^\s*#.*\n", "", LOCK, flags=re.MULTILINE))
    found = (re.match(r"([A-Za-z0-9._-]+)==([^ ;\\]+)", entry.strip()) for entry in entries)
    return {
        canonicalize_name(match[1]): (match[2], len(re.findall(r"--hash=sha256:[0-9a-f]{64}\b", entry)))
        for match, entry in zip(found, entries, strict=True)
        if match
    }


def declared() -> list[Requirement]:
    """Every requirement that the lock must meet, the build backend's among them."""
    table = project()
    extras = table["project"]["optional-dependencies"]
    texts = [*table["project"]["dependencies"], *table["build-system"]["requires"]]
    return [Requirement(text) for text in texts + [each for extra in LOCKED_EXTRAS for each in extras[extra]]]


def installed_pins() -> list[str]:
    """Names of the pinned packages that this Python on this system has."""
    return [name for name in pins() if any(distributions(name=name))]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> zipfile.ZipFile:
    """The built wheel, opened."""
    folder = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "hatchling", "build", "--target", "wheel", "--directory", str(folder)]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True)
    return zipfile.ZipFile(next(folder.glob("*.whl")))


def test_every_pin_has_hashes() -> None:
    bare = [name for name, (_, hashes) in pins().items() if not hashes]
    assert len(pins()) == len(re.findall(r"^[A-Za-z0-9]\S*==", LOCK, re.MULTILINE)) > 50
    assert not bare, f"pinned without a hash: {bare}"


def test_the_lock_names_no_place_to_install_from() -> None:
    assert not ADDRESS.search(LOCK)


@pytest.mark.parametrize("requirement", declared(), ids=str)
def test_the_lock_meets_every_declared_requirement(requirement: Requirement) -> None:
    version, _ = pins()[canonicalize_name(requirement.name)]
    assert requirement.specifier.contains(version), f"{requirement} is locked at {version}; run: make lock"


@pytest.mark.parametrize("python", PYTHONS)
def test_the_lock_holds_what_its_packages_need_on_every_python(python: str) -> None:
    environment = {"python_version": python.rpartition(".")[0], "python_full_version": python, "extra": ""}
    needed = {
        canonicalize_name(requirement.name)
        for name in installed_pins()
        for requirement in map(Requirement, distribution(name).requires or [])
        if requirement.marker is None or requirement.marker.evaluate(environment)
    }
    assert len(needed) > 50
    assert needed <= {*pins()}, f"needed on Python {python} and not pinned; run: make lock"


def test_serving_needs_nothing_of_training() -> None:
    table = project()["project"]
    lean = {Requirement(text).name for text in table["dependencies"] + table["optional-dependencies"]["serving"]}
    training = {Requirement(text).name for text in table["optional-dependencies"]["train"]}
    assert {"mlflow", "optuna"} <= training
    assert not lean & training


def test_the_wheel_holds_the_bank_data_with_their_licence(wheel: zipfile.ZipFile) -> None:
    shipped = {path.relative_to(ROOT).as_posix() for path in (ROOT / "examples" / "bank").iterdir()}
    assert {"examples/bank/LICENCE-DATA.md", "examples/bank/README.md"} <= shipped
    assert {f"channelwise/{path}" for path in shipped} <= set(wheel.namelist())


def test_the_wheel_holds_every_package_and_the_parameters(wheel: zipfile.ZipFile) -> None:
    names = set(wheel.namelist())
    code = {path.relative_to(ROOT).as_posix() for package in PACKAGES for path in (ROOT / package).rglob("*.py")}
    assert code <= names
    assert wheel.read("contract/params.yaml") == (ROOT / "params.yaml").read_bytes()


def test_the_wheel_holds_nothing_else(wheel: zipfile.ZipFile) -> None:
    tops = {name.split("/")[0] for name in wheel.namelist()}
    assert {top for top in tops if not top.endswith(".dist-info")} == PACKAGES


def test_the_wheel_names_its_command_and_licence(wheel: zipfile.ZipFile) -> None:
    entry_points = next(name for name in wheel.namelist() if name.endswith("entry_points.txt"))
    metadata = next(name for name in wheel.namelist() if name.endswith("METADATA"))
    assert "channelwise = channelwise.command:main" in wheel.read(entry_points).decode()
    headers = HeaderParser().parsestr(wheel.read(metadata).decode())
    assert headers["License-Expression"] == "Apache-2.0"
    assert any(name.endswith("licenses/LICENSE") for name in wheel.namelist())
