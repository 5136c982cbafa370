"""Plots as SVG text that stands inside a page: same figures, same bytes; knows nothing of what is plotted.

Drawn by matplotlib's `Figure` itself, without its global state, so that threads and tests do not meet. Axes and texts
take the page's own colour and letters, on light and dark ground.
"""

import io
import re
import warnings
from contextlib import AbstractContextManager
from typing import Any, Final, Protocol

import matplotlib as mpl
from cycler import cycler
from markupsafe import Markup
from matplotlib.figure import Figure

COLOURS: Final = ("#0b6e99", "#d9730d", "#787774", "#d44c47", "#9065b0", "#448361", "#c14c8a", "#cb912f")
"""The first four are told apart by people who do not see red and green alike, and on light and dark ground; use further
ones only where each mark is named beside it."""

ACCENT: Final = COLOURS[0]
QUIET: Final = "#8a9099"
"""What is spoken of, and what stands beside it for comparison; both have a contrast of 3 on light and dark ground."""

INK: Final = "#6b6b6b"
TEXT: Final = "#222222"
"""Stand for the colours of the page's own secondary and primary text, which the SVG names in their place."""

ROOMY_INCHES, NARROW_INCHES = 6.4, 3.7
"""Widths of a plot on a screen or paper, and on a phone, where the same letters need a narrower drawing."""

_STYLE: Final[Any] = {
    "svg.fonttype": "none",
    "text.parse_math": False,
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


class Draw(Protocol):
    """Fills an empty figure; called once for each width, within `drawing()`."""

    def __call__(self, figure: Figure, narrow: bool) -> None:
        """Draws on `figure`, which is as wide as a phone if `narrow`."""


def blank(width_inches: float = ROOMY_INCHES, height_inches: float = 3.2) -> Figure:
    """An empty figure in the looks of the pages; add axes within `drawing()`."""
    with drawing():
        return Figure(figsize=(width_inches, height_inches))


def drawing() -> AbstractContextManager[None]:
    """The context in which axes are added and drawn, so that they take the looks of the pages."""
    return mpl.rc_context(_STYLE)


def plot(draw: Draw, words: str, height_inches: float = 3.2) -> Markup:
    """The same plot for screens and paper and, drawn narrower, for phones; a page shows one of the two.

    Args:
        draw: fills the figure.
        words: what it shows, for those who do not see it.
        height_inches: of both.
    """
    parts = []
    for name, width in (("roomy", ROOMY_INCHES), ("narrow", NARROW_INCHES)):
        figure = blank(width, height_inches)
        with drawing():
            draw(figure, name == "narrow")
        parts.append(Markup('<div class="{}">{}</div>').format(name, svg(figure, words)))
    return Markup('<div class="plot">{}{}</div>').format(*parts)


def svg(figure: Figure, words: str) -> Markup:
    """The figure as an SVG element.

    Args:
        figure: from `blank`.
        words: what it shows, for those who do not see it; also the tooltip.
    """
    text = io.StringIO()
    # Parts that refer to each other are named by a salted hash: two plots of one page must not share a name.
    salt: dict[Any, str] = {"svg.hashsalt": f"{words} {figure.get_figwidth()}"}
    with drawing(), mpl.rc_context(salt), warnings.catch_warnings():
        # The reader's own font draws the letters; matplotlib's need not have them.
        warnings.filterwarnings("ignore", message="Glyph .* missing from font")
        figure.savefig(text, format="svg", transparent=True, metadata={"Date": None, "Creator": None})
    element = text.getvalue()
    element = _lean(element[element.index("<svg") :])
    title = Markup("<title>{}</title>").format(words)
    return Markup(re.sub(r"(<svg[^>]*>)", lambda tag: f'{tag.group(1)[:-1]} role="img">{title}', element, count=1))  # noqa: S704  drawn here, its words escaped


def _lean(element: str) -> str:
    """Without a fixed size, descriptions for other programs, and names that nothing refers to."""
    element = re.sub(r'(<svg[^>]*?) width="[^"]*"', r"\1", element, count=1)
    element = re.sub(r'(<svg[^>]*?) height="[^"]*"', r"\1", element, count=1)
    element = re.sub(r"\s*<metadata>.*?</metadata>", "", element, flags=re.DOTALL)
    referred = set(re.findall(r"#([\w.-]+)", element))
    element = re.sub(r' id="([^"]*)"', lambda each: each.group() if each.group(1) in referred else "", element)
    return element.replace(INK, "var(--soft)").replace(TEXT, "var(--ink)")
