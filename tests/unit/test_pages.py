"""Pages stand alone: nothing is loaded from elsewhere, values are escaped, plots give the same bytes."""

import re

import pytest
from jinja2 import UndefinedError

from pages.charts import blank, drawing, svg
from pages.page import FRAME, render


def bar(words: str) -> str:
    """A small plot."""
    figure = blank()
    with drawing():
        figure.add_subplot().barh(["e-mail", "sms"], [3, 2])
    return svg(figure, words)


def test_a_page_loads_nothing_and_escapes_values() -> None:
    text = render(FRAME, title="<script>alert(1)</script>")
    assert "<script" not in text
    assert not re.search(r"""(?:src|href)\s*=\s*["']?(?:https?:)?//|@import|url\(""", text)


def test_a_missing_value_is_an_error() -> None:
    with pytest.raises(UndefinedError, match="title"):
        render(FRAME)


def test_a_plot_gives_the_same_bytes_and_says_what_it_shows() -> None:
    first = bar("contacts by <channel>")
    assert first == bar("contacts by <channel>")
    assert "<title>contacts by &lt;channel&gt;</title>" in first
    assert first.startswith("<svg")
