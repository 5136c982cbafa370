"""The runner of the README's commands: runs what is marked, where a reader would, and fails where it must."""

import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).with_name("readme_commands.py")


def ran(readme: Path) -> subprocess.CompletedProcess[str]:
    """The runner over one README."""
    return subprocess.run([sys.executable, SCRIPT, readme], capture_output=True, text=True, check=False)


@pytest.fixture
def readme(tmp_path: Path) -> Path:
    """Where a test writes its README."""
    return tmp_path / "README.md"


def test_marked_blocks_run_in_order_in_one_shell_in_an_empty_folder(readme: Path) -> None:
    readme.write_text(
        "<!-- run -->\n```sh\nls -A | wc -l\nword=first\n```\ntext\n```sh\nexit 9\n```\n"
        "<!-- run -->\n\n```sh\necho $word second\n```\n"
    )
    done = ran(readme)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[:4] == ["== README.md line 3", "0", "== README.md line 13", "first second"]
    assert "2 blocks ran outside the checkout; 1 sh blocks are not marked" in done.stdout


def test_the_commands_of_this_environment_come_first(readme: Path) -> None:
    readme.write_text("<!-- run -->\n```sh\ncommand -v python\npwd\n```\n")
    _, python, folder, _ = ran(readme).stdout.splitlines()
    assert Path(python).parent == Path(sys.executable).parent
    assert Path(__file__).parents[2] not in Path(folder).parents


@pytest.mark.parametrize(
    ("block", "why"),
    [
        ("false\necho never", "exit code 1"),
        ("echo $unset_name", "exit code 1"),
        ("exit 3 | cat", "exit code 3"),
        ("no-such-command-at-all", "exit code 127"),
    ],
)
def test_a_failing_command_fails_the_run(readme: Path, block: str, why: str) -> None:
    readme.write_text(f"<!-- run -->\n```sh\n{block}\n```\n<!-- run -->\n```sh\necho later\n```\n")
    done = ran(readme)
    assert done.returncode == 1
    assert why in done.stderr
    assert "never" not in done.stdout
    assert "later" not in done.stdout


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("# nothing to run\n", "no sh block is marked"),
        ("```sh\nls\n```\n", "no sh block is marked"),
        ("````\n<!-- run -->\n````\n", "does not end"),
        ("```md\n<!-- run -->\n```\n", "no sh block is marked"),
        ("<!-- run -->\n```yaml\na: 1\n```\n", "followed by '```yaml'"),
        ("<!-- run -->\n", "followed by 'the end of the file'"),
        ("<!-- run -->\n```sh\nls\n", "does not end"),
        ("<!-- run -->\n```sh\n\n```\n", "is empty"),
    ],
)
def test_a_readme_that_cannot_be_run_is_a_fault(readme: Path, text: str, why: str) -> None:
    readme.write_text(text)
    done = ran(readme)
    assert done.returncode == 2
    assert why in done.stderr


def test_a_missing_readme_is_a_fault(readme: Path) -> None:
    assert ran(readme).returncode == 2
