"""The size and shape of the code: what a reader can hold in mind; judges no behaviour."""

import ast
import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = ("contract", "pages", "features", "models", "training", "serving", "simulation", "channelwise")
CODE = (*PACKAGES, "tests", "benchmarks", "examples")
MAX_MODULE_LINES = 400
MAX_BODY_LINES = 50
BANNED_NAMES = {"utils", "util", "helpers", "helper", "common", "misc", "base"}
# Written in halves, so that this file passes its own rule.
BANNED_WORDS = re.compile("|".join(["TO" + "DO", "FIX" + "ME", "X" + "XX", "not implemented " + "yet", "for " + "now"]))
MACHINE_PATHS = re.compile("(?<![\\w.])/(" + "|".join(["wo" + "rk", "tm" + "p", "ho" + "me", "ro" + "ot"]) + ")/")

LONG_BODIES = {
    "features/kernel.py": {"the sweep: its loop keeps every cursor in registers, which a call inside would lose"},
}
"""Files in which a body may be longer, each with the reason."""


def modules(*folders: str) -> list[Path]:
    """All Python files under the folders."""
    return sorted(path for folder in folders for path in (ROOT / folder).rglob("*.py"))


def texts() -> Iterator[Path]:
    """Every file that a person reads: code, documents, set-up."""
    yield from modules(*CODE)
    yield from (path for path in ROOT.iterdir() if path.suffix in {".md", ".toml", ".yaml"} or path.name == "Makefile")
    for folder in ("docs", "examples"):
        yield from (ROOT / folder).rglob("*.md")


def named(path: Path) -> str:
    """The path as it reads from the root."""
    return path.relative_to(ROOT).as_posix()


def body_lines(node: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    """Lines of a function's body without its docstring."""
    body = node.body[1:] if ast.get_docstring(node) is not None else node.body
    return (body[-1].end_lineno or 0) - body[0].lineno + 1 if body else 0


def test_the_packages_are_found() -> None:
    assert all(modules(package) for package in PACKAGES)


def test_no_module_is_longer_than_a_reader_can_hold() -> None:
    long = {named(path): count for path in modules(*CODE) if (count := len(path.read_text().splitlines())) > 400}
    assert not long, f"modules over {MAX_MODULE_LINES} lines: {long}; split them where the work shows it"


def test_no_function_body_is_longer_than_a_screen() -> None:
    long = [
        f"{named(path)}:{node.lineno} {node.name} {body_lines(node)}"
        for path in modules(*CODE)
        if named(path) not in LONG_BODIES
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and body_lines(node) > MAX_BODY_LINES
    ]
    assert not long, f"bodies over {MAX_BODY_LINES} lines: {long}"


def test_every_module_has_a_name_that_says_something() -> None:
    nameless = [named(path) for path in modules(*CODE) if path.stem in BANNED_NAMES]
    assert not nameless, f"name these after what they hold: {nameless}"


def test_every_module_says_what_it_is_for() -> None:
    silent = [
        named(path)
        for path in modules(*PACKAGES, "benchmarks")
        if path.name != "__init__.py" and not ast.get_docstring(ast.parse(path.read_text()))
    ]
    assert not silent, f"modules without a docstring: {silent}"


def test_test_files_have_names_of_their_own() -> None:
    seen = Counter(path.name for path in modules("tests") if path.name != "conftest.py")
    twins = [name for name, count in seen.items() if count > 1]
    assert not twins, f"test files that share a name: {twins}"
    packages = [named(path) for path in (ROOT / "tests").rglob("__init__.py")]
    assert not packages, f"tests are no packages: {packages}"


@pytest.mark.parametrize("pattern", [BANNED_WORDS, MACHINE_PATHS], ids=["promises", "machine paths"])
def test_no_file_holds_words_that_promise_or_leak(pattern: re.Pattern[str]) -> None:
    hits = [
        f"{named(path)}:{number} {line.strip()}"
        for path in texts()
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1)
        if pattern.search(line)
    ]
    assert not hits, "\n".join(hits)
