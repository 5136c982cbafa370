"""Imports go one way: the contract of pyproject.toml holds, and would say so if it did not."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = ("contract", "pages", "features", "models", "training", "serving", "simulation", "channelwise")
LEAN_PACKAGES = ("contract", "features", "models", "serving")
TRAINING_ONLY = ("joblib", "mlflow", "optuna", "sklearn")
SLOW = ("mlflow", "optuna", "pyspark")

FORBIDDEN = [
    ("contract", "features"),
    ("features", "models"),
    ("features", "pages"),
    ("serving", "pages"),
    ("models", "serving"),
    ("models", "mlflow"),
    ("serving", "training"),
    ("serving", "mlflow"),
    ("serving", "sklearn"),
    ("training", "serving"),
    ("training", "simulation"),
    ("training", "channelwise"),
    ("simulation", "features"),
    ("simulation", "serving"),
    ("channelwise", "mlflow"),
]

IMPORT_ALL = """
import importlib, pkgutil, sys
blocked, packages = sys.argv[1].split(","), sys.argv[2].split(",")
for name in blocked:
    sys.modules[name] = None  # an import of it fails as where it is not installed
for package in packages:
    for module in pkgutil.walk_packages([f"{sys.argv[3]}/{package}"], f"{package}."):
        importlib.import_module(module.name)
"""
LOADED = """
print(*sorted(name for name in sys.modules if sys.modules[name] is not None and "." not in name))
"""
SERVING = """
import sys
from channelwise.lean import load_lean
load_lean()
import channelwise.jobs.serve, pyarrow
from models.forest import prepare
prepare()
pyarrow.array(["a"])
print(*sys.modules)
"""
NEVER_SERVED = {"cffi", "lightgbm", "pandas", "scipy.linalg", "scipy.sparse", "scipy.special"}
COMPILED = """
ours = [module for name, module in sorted(sys.modules.items()) if name.split(".")[0] in packages]
print(*{f"{value.__module__}.{value.__name__}" for each in ours for value in vars(each).values()
        if type(value).__name__ == "CPUDispatcher" and value.signatures})
"""


def lint(folder: Path) -> subprocess.CompletedProcess[str]:
    """The import contract over the packages in `folder`."""
    command = [sys.executable, "-c", "from importlinter.cli import lint_imports_command; lint_imports_command()"]
    return subprocess.run([*command, "--no-cache"], cwd=folder, capture_output=True, text=True, check=False)


def tree(folder: Path, importer: str, imported: str) -> Path:
    """Empty packages under this project's contract, one import among them."""
    shutil.copy(ROOT / "pyproject.toml", folder)
    for package in PACKAGES:
        (folder / package).mkdir()
        (folder / package / "__init__.py").touch()
    (folder / importer / "part.py").write_text(f"import {imported}\n")
    return folder


def probed(question: str, packages: tuple[str, ...], blocked: tuple[str, ...], folder: Path) -> set[str]:
    """What a fresh process answers once it has imported every module of the packages, with some others missing."""
    command = [sys.executable, "-c", IMPORT_ALL + question, ",".join(blocked), ",".join(packages), str(ROOT)]
    done = subprocess.run(
        command, cwd=folder, env={"PYTHONPATH": str(ROOT)}, capture_output=True, text=True, check=False
    )
    assert not done.returncode, done.stderr
    return set(done.stdout.split())


def test_an_allowed_import_passes(tmp_path: Path) -> None:
    done = lint(tree(tmp_path, "serving", "models"))
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize(("importer", "imported"), FORBIDDEN)
def test_a_forbidden_import_is_refused(tmp_path: Path, importer: str, imported: str) -> None:
    done = lint(tree(tmp_path, importer, imported))
    assert done.returncode == 1, done.stdout + done.stderr
    assert importer in done.stdout
    assert imported in done.stdout


def test_serving_imports_without_what_only_training_needs(tmp_path: Path) -> None:
    loaded = probed(LOADED, LEAN_PACKAGES, TRAINING_ONLY, tmp_path)
    assert {"contract", "serving"} <= loaded
    assert not loaded & {"training", "simulation", *TRAINING_ONLY}


def test_the_command_imports_without_the_training_extra(tmp_path: Path) -> None:
    assert "channelwise" in probed(LOADED, ("channelwise",), TRAINING_ONLY, tmp_path)


def test_an_import_loads_nothing_slow_and_leaves_no_file(tmp_path: Path) -> None:
    loaded = probed(LOADED, PACKAGES, (), tmp_path)
    assert not loaded & set(SLOW), "import these where they are used"
    assert not list(tmp_path.iterdir())


def test_a_server_loads_nothing_that_it_never_uses(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", SERVING], cwd=tmp_path, env={"PYTHONPATH": str(ROOT)}, capture_output=True, text=True,
        check=True,
    )  # fmt: skip
    loaded = set(done.stdout.split())
    assert {"channelwise.jobs.serve", "numba.np.arraymath"} <= loaded
    assert not loaded & NEVER_SERVED


def test_an_import_compiles_nothing(tmp_path: Path) -> None:
    done = probed(COMPILED, PACKAGES, (), tmp_path)
    assert not done, f"compiled at import, because a signature is given: {done}"
