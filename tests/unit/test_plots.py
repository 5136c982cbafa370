"""Plots say their figures in words, hold in any width, and take whatever a name is made of."""

import re
from collections.abc import Callable

import numpy as np
import pytest
from markupsafe import Markup

from pages.charts import ACCENT, COLOURS, QUIET
from pages.plots import Axis, Bar, Mark, bars, curve, intervals, matrix, shares

NAME = "<b>50 $ & 数 $x_1$"
ESCAPED = "&lt;b&gt;50 $ &amp; 数 $x_1$"

PLOTS: dict[str, Callable[[str], Markup]] = {
    "bars": lambda name: bars([Bar(name, 3.0, "3 of 5", full=5.0), Bar("sms", 0.0, "0", ours=False)], name),
    "intervals": lambda name: intervals([Bar(name, 3.0, "3 EUR", -1.0, 7.0), Bar("sms", 1.0, "1")], name, "EUR"),
    "curve": lambda name: curve([0.0, 1.0, 4.0], [0.0, 5.0, 9.0], [Mark(1.0, 5.0, name)], name, Axis("EUR", "net")),
    "matrix": lambda name: matrix([name, "sms"], [name, "sms"], np.array([[3, 0], [12_345, 1]]), name, Axis("to")),
    "shares": lambda name: shares([(name, 0.75), ("sms", 0.25)], name),
}


@pytest.mark.parametrize("kind", PLOTS)
def test_a_plot_escapes_names_and_is_drawn_for_both_widths(kind: str) -> None:
    text = PLOTS[kind](NAME)
    assert text == PLOTS[kind](NAME)
    assert "<b>" not in text
    assert text.count(f"<title>{ESCAPED}</title>") == 2
    drawn = re.sub(r"<title>.*?</title>", "", re.sub(r"\s+", " ", text))
    assert ESCAPED in drawn or all(word in drawn for word in ESCAPED.split())
    assert [text.count(f'<div class="{width}">') for width in ("roomy", "narrow")] == [1, 1]


@pytest.mark.parametrize("kind", PLOTS)
def test_names_within_a_plot_are_its_own_and_all_that_is_referred_to_is_there(kind: str) -> None:
    one, other = PLOTS[kind]("one"), PLOTS[kind]("other")
    halves = [*one.split('<div class="narrow">'), *other.split('<div class="narrow">')]
    names = [set(re.findall(r' id="([^"]*)"', half)) for half in halves]
    for half, own in zip(halves, names, strict=True):
        assert set(re.findall(r'(?:url\(#|href="#)([\w.-]+)', half)) <= own
    assert sum(map(len, names)) == len(set().union(*names))
    assert not re.search(r"https?://(?!www\.w3\.org/)", one)


def luminance(colour: str) -> float:
    """Relative luminance of WCAG 2.2."""
    return float(linear_rgb(colour) @ [0.2126, 0.7152, 0.0722])


@pytest.mark.parametrize("ground", ["#ffffff", "#16181b"])
def test_what_is_drawn_has_the_contrast_that_graphics_need(ground: str) -> None:
    """WCAG 2.2, success criterion 1.4.11: 3 to 1."""
    for colour in {ACCENT, QUIET, *COLOURS[:4]}:
        low, high = sorted([luminance(colour), luminance(ground)])
        assert (high + 0.05) / (low + 0.05) >= 3.0, colour


MACHADO = {
    "protanopia": [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]],
    "deuteranopia": [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.011820, 0.042940, 0.968881]],
}
"""Machado, Oliveira & Fernandes (2009), severity 1, over linear RGB."""


@pytest.mark.parametrize("kind", MACHADO)
def test_colours_side_by_side_differ_to_those_who_do_not_see_red_and_green_alike(kind: str) -> None:
    """The first four colours, the most that a plot puts side by side, in CIE Lab (D65): 15 is told at a glance."""
    seen = [lab(np.array(MACHADO[kind]) @ linear_rgb(colour)) for colour in COLOURS[:4]]
    distances = {(a, b): float(np.linalg.norm(seen[a] - seen[b])) for a in range(4) for b in range(a)}
    assert min(distances.values()) >= 15, distances


def linear_rgb(colour: str) -> np.ndarray:
    """Linear RGB in [0, 1] of a hexadecimal colour."""
    channel = np.array([int(colour[i : i + 2], 16) for i in (1, 3, 5)]) / 255
    return np.where(channel <= 0.04045, channel / 12.92, ((channel + 0.055) / 1.055) ** 2.4)


def lab(rgb: np.ndarray) -> np.ndarray:
    """CIE 1976 L*a*b* of linear sRGB."""
    to_xyz = [[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]]
    x, y, z = np.cbrt(np.clip(np.array(to_xyz) @ rgb, 1e-6, None) / [0.9505, 1.0, 1.089])
    return np.array([116 * y - 16, 500 * (x - y), 200 * (y - z)])
