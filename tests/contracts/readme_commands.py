"""Runs the README's commands in an empty folder, as a reader would, with the command of this environment.

A fenced `sh` block is run where the line before it is `<!-- run -->`. All of them run in order in one shell, outside
the checkout, and stop at the first that fails. A README without such a block is a fault. Edits no file.

    python tests/contracts/readme_commands.py README.md
"""

import os
import subprocess
import sys
import tempfile
from pathlib import Path

MARK = "<!-- run -->"
FENCE = "```"
SHELLS = ("sh", "bash", "shell", "console")


class ReadmeError(Exception):
    """The README holds no command to run, or a marked block that cannot be run."""


def marked_blocks(text: str) -> list[tuple[int, str]]:
    """The marked blocks of a Markdown text, each with the number of its first line.

    Raises:
        ReadmeError: where a mark has no `sh` block under it, a block does not end, or nothing is marked.
    """
    blocks: list[tuple[int, str]] = []
    lines = text.splitlines()
    number = 0
    while number < len(lines):
        if lines[number].strip() == MARK:
            start, end = _fences(lines, number)
            blocks.append((start + 2, "\n".join(lines[start + 1 : end])))
            number = end
        elif lines[number].strip().startswith(FENCE):
            number = _closing(lines, number)
        number += 1
    if not blocks:
        raise ReadmeError(f"no sh block is marked with {MARK}; mark those that a reader can run in an empty folder")
    return blocks


def _fences(lines: list[str], mark: int) -> tuple[int, int]:
    """Index of the opening and of the closing fence of the block under a mark."""
    start = mark + 1
    while start < len(lines) and not lines[start].strip():
        start += 1
    if start == len(lines) or lines[start].strip() != f"{FENCE}sh":
        found = lines[start].strip() if start < len(lines) else "the end of the file"
        raise ReadmeError(f"line {mark + 1}: {MARK} is followed by '{found}'; expected {FENCE}sh")
    end = _closing(lines, start)
    if not any(line.strip() for line in lines[start + 1 : end]):
        raise ReadmeError(f"line {start + 1}: the marked block is empty")
    return start, end


def _closing(lines: list[str], start: int) -> int:
    for end in range(start + 1, len(lines)):
        if lines[end].strip() == FENCE:
            return end
    raise ReadmeError(f"line {start + 1}: the block does not end with {FENCE}")


def unmarked_shell_blocks(text: str) -> int:
    """How many shell blocks the text holds that nothing runs."""
    opened = sum(line.strip().removeprefix(FENCE) in SHELLS for line in text.splitlines() if FENCE in line)
    return opened - len(marked_blocks(text))


def run(blocks: list[tuple[int, str]], folder: Path) -> int:
    """Exit code of the blocks run in order by one shell in `folder`; each is named before it starts."""
    script = "\n".join(f"echo '== README.md line {line}'\n{block}" for line, block in blocks)
    commands = Path(sys.executable).parent
    environment = {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "VIRTUAL_ENV")}
    environment["PATH"] = f"{commands}{os.pathsep}{environment.get('PATH', os.defpath)}"
    shell = ["bash", "-euo", "pipefail", "-c", script]
    return subprocess.run(shell, cwd=folder, env=environment, stdin=subprocess.DEVNULL, check=False).returncode


def main(readme: Path) -> int:
    """Exit code: 0 where every marked command ran, 1 where one failed, 2 where the README cannot be run."""
    try:
        text = readme.read_text(encoding="utf-8")
        blocks, unmarked = marked_blocks(text), unmarked_shell_blocks(text)
    except (OSError, ReadmeError) as error:
        print(f"{readme}: {error}", file=sys.stderr)
        return 2
    with tempfile.TemporaryDirectory(prefix="readme-") as folder:
        code = run(blocks, Path(folder))
    if code:
        print(f"{readme}: a command failed with exit code {code}; it is the last one shown above", file=sys.stderr)
        return 1
    print(f"{readme}: {len(blocks)} blocks ran outside the checkout; {unmarked} sh blocks are not marked for running")
    return 0


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit("usage: readme_commands.py README.md")
    sys.exit(main(Path(sys.argv[1])))
