"""What the commands show: progress bars, tables and errors on a terminal; plain lines elsewhere. Decides nothing."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from rich.console import Console
from rich.progress import (
    BarColumn,
    Progress,
    ProgressColumn,
    SpinnerColumn,
    Task,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.table import Table
from rich.text import Text

from contract.progress import Progress as ProgressHook

PLAIN_WIDTH = 120
"""Columns of text that goes to a file or another program, where no terminal tells its width."""

OUT = Console(highlight=False)
if not OUT.is_terminal:
    OUT = Console(highlight=False, width=PLAIN_WIDTH)
ERR = Console(stderr=True, highlight=False, soft_wrap=True)


class RateColumn(ProgressColumn):
    """Units a second, of stages that count many."""

    def render(self, task: Task) -> Text:
        """The rate so far; nothing where there is none to speak of."""
        rate = task.finished_speed or task.speed
        return Text(f"{rate:,.0f}/s" if rate and rate >= 1 else "", style="progress.data.speed")


@contextmanager
def progress_bars() -> Iterator[ProgressHook]:
    """A hook that draws a bar a stage, with rate and time left; off a terminal each finished stage leaves one line."""
    columns = (
        SpinnerColumn(),
        TextColumn("{task.description}"),
        BarColumn(),
        RateColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(compact=True),
    )
    with Progress(*columns, console=ERR, disable=not ERR.is_terminal) as bars:
        tasks: dict[str, TaskID] = {}
        finished: set[str] = set()

        def hook(stage: str, done: float, total: float) -> None:
            if stage not in tasks:
                tasks[stage] = bars.add_task(stage, total=total)
            bars.update(tasks[stage], completed=done, total=total)
            if done >= total and stage not in finished:
                finished.add(stage)
                if not ERR.is_terminal:
                    ERR.print(f"  {stage}: done", markup=False)

        yield hook


def show_table(title: str, header: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """A table on standard output: columns of figures to the right, the others left."""
    OUT.print(title, style="bold", markup=False, soft_wrap=True)
    table = Table(box=None, pad_edge=False)
    for index, name in enumerate(header):
        figures = all(row[index][-1:].isdigit() or row[index].endswith("%") for row in rows)
        table.add_column(name, justify="right" if index and figures else "left", overflow="fold")
    for row in rows:
        table.add_row(*row)
    OUT.print(table)
    OUT.print()


def say(text: str = "") -> None:
    """One line or paragraph on standard output, as it is."""
    OUT.print(text, markup=False, soft_wrap=True)


def warn(text: str) -> None:
    """One line on standard error."""
    ERR.print(text, markup=False, style="yellow")


def fail(text: str) -> None:
    """An error on standard error."""
    ERR.print(text, markup=False, style="red")
