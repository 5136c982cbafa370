"""Plots as SVG text that stands inside a page: same figures, same bytes; knows nothing of what is plotted.

Drawn by matplotlib's `Figure` itself, without its global state, so that threads and tests do not meet.
"""

import io
import re
from contextlib import AbstractContextManager
from typing import Any, Final

import matplotlib as mpl
from cycler import cycler
from markupsafe import Markup
from matplotlib.figure import Figure

COLOURS: Final = ("#0b6e99", "#d9730d", "#448361", "#9065b0", "#c14c8a", "#787774", "#cb912f", "#d44c47")
"""Told apart by people who do not see red and green alike, and on light and dark ground."""

INK: Final = "#6b6b6b"
"""Axes and texts: readable on light and dark ground."""

_STYLE: Final[Any] = {
    "svg.hashsalt": "channelwise",
    "svg.fonttype": "none",
    "font.family": "sans-serif",
    "font.size": 9.0,
    "axes.edgecolor": INK,
    "axes.labelcolor": INK,
    "text.color": INK,
    "xtick.color": INK,
    "ytick.color": INK,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.prop_cycle": cycler(color=COLOURS),
    "legend.frameon": False,
    "figure.constrained_layout.use": True,
}


def blank(width_inches: float = 6.4, height_inches: float = 3.2) -> Figure:
    """An empty figure in the looks of the pages; add axes within `drawing()`."""
    with drawing():
        return Figure(figsize=(width_inches, height_inches))


def drawing() -> AbstractContextManager[None]:
    """The context in which axes are added and drawn, so that they take the looks of the pages."""
    return mpl.rc_context(_STYLE)


def svg(figure: Figure, words: str) -> Markup:
    """The figure as an SVG element.

    Args:
        figure: from `blank`.
        words: what it shows, for those who do not see it; also the tooltip.
    """
    text = io.StringIO()
    with drawing():
        figure.savefig(text, format="svg", transparent=True, metadata={"Date": None, "Creator": None})
    element = text.getvalue()
    element = element[element.index("<svg") :]
    element = re.sub(r'(<svg[^>]*?) width="[^"]*"', r"\1", element, count=1)
    element = re.sub(r'(<svg[^>]*?) height="[^"]*"', r"\1", element, count=1)
    title = Markup("<title>{}</title>").format(words)
    return Markup(re.sub(r"(<svg[^>]*>)", lambda tag: f'{tag.group(1)[:-1]} role="img">{title}', element, count=1))  # noqa: S704  drawn here, its words escaped
