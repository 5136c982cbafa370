"""The plots that pages are made of, from plain figures and words; knows nothing of what they mean.

Each shows its figures as text beside the marks, so that no colour and no axis need be read, and tells the rest to those
who do not see it.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from textwrap import fill
from typing import Any, Final

import numpy as np
import numpy.typing as npt
from markupsafe import Markup
from matplotlib.axes import Axes
from matplotlib.colors import to_rgba
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from matplotlib.ticker import FuncFormatter, MaxNLocator

from pages.charts import ACCENT, COLOURS, INK, QUIET, TEXT, plot

ROW_INCHES, LINE_INCHES = 0.34, 0.17
ROOMY_LETTERS, NARROW_LETTERS = 34, 17
_BESIDE: Final[dict[str, Any]] = {"textcoords": "offset points", "va": "center", "ha": "left", "color": TEXT}


@dataclass(frozen=True)
class Bar:
    """A row: its name, its length, the text at its end; bounds of an interval where there is one.

    full: the length of which it is a part, drawn as an empty bar. ours: whether it stands out.
    """

    name: str
    value: float
    text: str
    lower: float | None = None
    upper: float | None = None
    full: float | None = None
    ours: bool = True


@dataclass(frozen=True)
class Mark:
    """A point of a curve with a text beside it."""

    x: float
    y: float
    text: str


@dataclass(frozen=True)
class Axis:
    """What an axis shows, and its unit."""

    x: str
    y: str = ""


def bars(rows: Sequence[Bar], words: str, axis: str = "") -> Markup:
    """Horizontal bars, the first on top, each with its text at its end."""

    def draw(figure: Figure, narrow: bool) -> None:
        axes = _named_rows(figure, [row.name for row in rows], narrow)
        places = np.arange(len(rows))
        whole = [row.full if row.full is not None else row.value for row in rows]
        for place, row, full in zip(places, rows, whole, strict=True):
            if row.full is not None:
                axes.barh(place, full, height=0.62, facecolor="none", edgecolor=QUIET, linewidth=0.8)
            axes.barh(place, row.value, height=0.62, color=ACCENT if row.ours else QUIET)
        _with_room(axes, [*whole, *(row.value for row in rows), 0.0], _room(rows, narrow))
        for place, row, full in zip(places, rows, whole, strict=True):
            axes.annotate(row.text, (max(row.value, full, 0.0), place), (5, 0), **_BESIDE)
        _bottom(axes, axis)

    return plot(draw, words, _height(rows, axis))


def intervals(rows: Sequence[Bar], words: str, axis: str = "") -> Markup:
    """A dot with its interval per row, the first on top, with a line at zero."""

    def draw(figure: Figure, narrow: bool) -> None:
        axes = _named_rows(figure, [row.name for row in rows], narrow)
        axes.axvline(0, color=INK, linewidth=0.8)
        ends = [0.0]
        for place, row in enumerate(rows):
            lower = row.value if row.lower is None else row.lower
            upper = row.value if row.upper is None else row.upper
            colour = ACCENT if row.ours else QUIET
            axes.plot([lower, upper], [place, place], color=colour, linewidth=3.2 if row.ours else 2.2, alpha=0.75)
            axes.plot([row.value], [place], "o", color=colour, markersize=7 if row.ours else 5.5)
            axes.annotate(row.text, (upper, place), (6, 0), **_BESIDE)
            ends += [lower, upper]
        _with_room(axes, ends, _room(rows, narrow))
        _bottom(axes, axis)

    return plot(draw, words, _height(rows, axis))


def curve(x: Sequence[float], y: Sequence[float], marks: Sequence[Mark], words: str, axis: Axis) -> Markup:
    """A line through points in ascending order of x, with some of them marked."""

    def draw(figure: Figure, narrow: bool) -> None:
        axes = figure.add_subplot()
        axes.plot(x, y, color=ACCENT, linewidth=2.2)
        axes.fill_between(x, y, color=ACCENT, alpha=0.10, linewidth=0)
        top, right = max([*y, 1e-9]), max([*x, 1e-9])
        for mark in marks:
            axes.plot([mark.x], [mark.y], "o", color=COLOURS[1], markersize=8)
            axes.plot([mark.x, mark.x], [0, mark.y], color=COLOURS[1], linewidth=1, linestyle=(0, (3, 3)))
            left = mark.x > 0.55 * right
            place: dict[str, Any] = {"ha": "right", "xytext": (-8, -20)} if left else {"ha": "left", "xytext": (8, -20)}
            text = fill(mark.text, 18 if narrow else 30)
            axes.annotate(text, (mark.x, mark.y), textcoords="offset points", va="top", color=TEXT, **place)
        axes.set_xlim(0, right * 1.02)
        axes.set_ylim(min(0.0, *y), top * 1.12)
        axes.set_xlabel(axis.x)
        axes.set_ylabel(axis.y)
        _thousands(axes, 4 if narrow else 7)
        axes.yaxis.set_major_formatter(FuncFormatter(_short))

    return plot(draw, words, 3.1)


def matrix(
    rows: Sequence[str], columns: Sequence[str], counts: npt.NDArray[np.int64], words: str, axis: Axis
) -> Markup:
    """A table of counts (rows, columns) whose cells are the darker the more they hold, grey where both names agree."""
    height = 0.9 + 0.4 * len(rows)

    def draw(figure: Figure, narrow: bool) -> None:
        axes = figure.add_subplot()
        same = np.array(rows)[:, None] == np.array(columns)
        largest = max(1, int(counts[~same].max(initial=0)))
        for row in range(len(rows)):
            for column in range(len(columns)):
                count = int(counts[row, column])
                stayed = bool(same[row, column])
                strength = 0.10 if stayed else 0.5 * float(np.sqrt(count / largest))
                colour = to_rgba(QUIET if stayed else ACCENT, strength if count else 0.0)
                axes.add_patch(_cell(column, row, colour))
                if count:
                    text = _short(count) if narrow else f"{count:,}"
                    axes.annotate(text, (column, row), ha="center", va="center", fontsize=8, color=TEXT)
        axes.set_xlim(-0.5, len(columns) - 0.5)
        axes.set_ylim(len(rows) - 0.5, -0.5)
        axes.set_xticks(range(len(columns)), [_wrapped(name, True) for name in columns], rotation=45 if narrow else 0)
        axes.set_yticks(range(len(rows)), rows)
        axes.xaxis.tick_top()
        axes.xaxis.set_label_position("top")
        axes.set_xlabel(axis.x)
        axes.set_ylabel(axis.y)
        axes.tick_params(length=0)
        axes.spines[:].set_visible(False)

    return plot(draw, words, height)


def shares(parts: Sequence[tuple[str, float]], words: str) -> Markup:
    """One bar cut into parts of a whole, each named with its share under it, in columns where there is room."""

    def draw(figure: Figure, narrow: bool) -> None:
        axes = figure.add_subplot()
        start = 0.0
        columns = 1 if narrow else 2
        for index, (name, share) in enumerate(parts):
            colour = COLOURS[index % len(COLOURS)]
            axes.barh(0, share, left=start, color=colour, height=0.6)
            row, column = divmod(index, columns)
            left, place = column / columns, -1.0 - 0.8 * row
            axes.barh(place, 0.02, left=left, color=colour, height=0.5)
            axes.annotate(f"{share:.0%} {name}", (left + 0.02, place), (6, 0), **_BESIDE)
            start += share
        axes.set_xlim(0, 1)
        axes.axis("off")

    return plot(draw, words, 0.45 + 0.25 * len(parts))


def _cell(column: float, row: float, colour: tuple[float, float, float, float]) -> Rectangle:
    return Rectangle((column - 0.47, row - 0.45), 0.94, 0.9, facecolor=colour, edgecolor="none")


def _named_rows(figure: Figure, names: Sequence[str], narrow: bool) -> Axes:
    """Axes whose rows, from the top, bear names; without frame."""
    axes = figure.add_subplot()
    axes.set_yticks(range(len(names)), [_wrapped(name, narrow) for name in names])
    axes.set_ylim(len(names) - 0.4, -0.6)
    axes.tick_params(axis="y", length=0)
    axes.spines["left"].set_visible(False)
    return axes


def _wrapped(name: str, narrow: bool) -> str:
    return fill(name, NARROW_LETTERS if narrow else ROOMY_LETTERS)


def _room(rows: Sequence[Bar], narrow: bool) -> float:
    """Share of the width of the bars that the longest of their texts needs beside them."""
    letters = max((len(row.text) for row in rows), default=0)
    return max(0.12, letters * (0.026 if narrow else 0.013))


def _with_room(axes: Axes, ends: Sequence[float], share: float) -> None:
    """Limits around `ends`, with a share of the width to the right for texts."""
    low, high = min(ends), max(ends)
    width = max(high - low, 1e-9)
    axes.set_xlim(low - (0.03 * width if low < 0 else 0.0), high + share * width)


def _bottom(axes: Axes, axis: str) -> None:
    """A scale under the rows where the axis has a name, else none: the texts tell the figures."""
    if axis:
        axes.set_xlabel(axis)
        _thousands(axes, 4)
    else:
        axes.spines["bottom"].set_visible(False)
        axes.set_xticks([])


def _thousands(axes: Axes, ticks: int) -> None:
    axes.xaxis.set_major_locator(MaxNLocator(ticks, min_n_ticks=2))
    axes.xaxis.set_major_formatter(FuncFormatter(_short))


def _short(value: float, _: float | None = None) -> str:
    """A number for an axis or a small cell: thousands and millions by letter."""
    for size, letter in ((1e9, "bn"), (1e6, "M"), (1e4, "k")):
        if abs(value) >= size:
            unit = 1e3 if letter == "k" else size
            return f"{value / unit:,.3g}{letter}"
    return f"{value:,.0f}" if abs(value) >= 10 or value == round(value) else f"{value:,.3g}"


def _height(rows: Sequence[Bar], axis: str) -> float:
    """Inches; all rows are as high as the longest name needs on a phone."""
    lines = max((_wrapped(row.name, narrow=True).count("\n") + 1 for row in rows), default=1)
    return max(ROW_INCHES, LINE_INCHES * lines) * max(len(rows), 1) + (0.55 if axis else 0.15)
