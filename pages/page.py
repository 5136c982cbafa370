"""One offline HTML page from a template of this package: no script, no font and no picture from elsewhere; no figures.

A template extends `page.html.j2`, which brings the looks on screen, phone and paper, light and dark, and blocks to
fill: `eyebrow` (what it belongs to), `lead` (the answer in a sentence), `figures`, `nav`, `body`, `foot`. Sections,
captioned plots, tables, warnings and glossaries are macros of `parts.html.j2`. Every value is escaped unless it is
`Markup` from here.
"""

from functools import cache
from typing import Any, Final

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

FRAME: Final = "page.html.j2"


def render(template: str, **values: Any) -> str:
    """The page as text.

    Args:
        template: name of a file in `pages/templates`.
        values: what it names; one that is missing is an error.
    """
    return _environment().get_template(template).render(**values)


@cache
def _environment() -> Environment:
    made = Environment(
        loader=PackageLoader("pages", "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    made.filters |= {"eur": eur, "percent": percent, "whole": whole}
    return made


def eur(value: float, digits: int = 2) -> str:
    """Money for a reader.

    >>> eur(1234.5), eur(-3, 0)
    ('1,234.50 EUR', '−3 EUR')
    """
    return f"{_signed(value, digits)} EUR"


def percent(value: float, digits: int = 1) -> str:
    """A share for a reader.

    >>> percent(0.0123)
    '1.2 %'
    """
    return f"{100 * value:.{digits}f} %"


def whole(value: float) -> str:
    """A count for a reader.

    >>> whole(1234567)
    '1,234,567'
    """
    return _signed(value, 0)


def _signed(value: float, digits: int) -> str:
    """With the sign of print; nothing is less than zero by rounding."""
    text = f"{value:,.{digits}f}"
    return f"−{text[1:]}" if text.startswith("-") and text.strip("-0.,") else text.lstrip("-")


__all__ = ["FRAME", "Markup", "eur", "percent", "render", "whole"]
