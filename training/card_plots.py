"""The plots of the model card, from what a training found; computes nothing that the report does not hold."""

from collections.abc import Callable, Sequence
from textwrap import fill
from typing import Any

from markupsafe import Markup
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MaxNLocator, PercentFormatter

from pages.charts import ACCENT, COLOURS, INK, NARROW_INCHES, QUIET, TEXT, blank, drawing, plot, svg
from pages.plots import Bar, bars, intervals
from training.credit import Credit
from training.importance import Importance
from training.off_policy import Estimate
from training.reliability import Reliability
from training.uplift_curves import UpliftCurve

PANEL_INCHES = 2.6
THOUSAND = 1_000


def panel(draw: Callable[[Axes], None], words: str) -> Markup:
    """A small plot, two of which stand side by side where there is room."""
    figure = blank(NARROW_INCHES, PANEL_INCHES)
    with drawing():
        axes = figure.add_subplot()
        draw(axes)
        axes.xaxis.set_major_locator(MaxNLocator(5))
        axes.yaxis.set_major_locator(MaxNLocator(5))
    return svg(figure, words)


def reliability_panel(action: str, found: Reliability) -> Markup:
    """Seen rates with intervals against predicted ones, and the line on which both are equal."""
    bins = found.bins

    def draw(axes: Axes) -> None:
        end = 1.08 * max(max(each.upper, each.predicted) for each in bins)
        axes.plot([0, end], [0, end], color=INK, linewidth=0.8, linestyle=(0, (3, 3)))
        for each in bins:
            axes.plot([each.predicted] * 2, [each.lower, each.upper], color=ACCENT, linewidth=1.6, alpha=0.6)
        axes.plot([each.predicted for each in bins], [each.seen for each in bins], "o", color=ACCENT, markersize=5)
        axes.set_xlim(0, end)
        axes.set_ylim(0, end)
        axes.set_xlabel("predicted")
        axes.set_ylabel("seen")
        for axis in (axes.xaxis, axes.yaxis):
            axis.set_major_formatter(FuncFormatter(lambda value, _: f"{100 * value:g}%"))

    pairs = "; ".join(f"{each.predicted:.1%} predicted, {each.seen:.1%} seen" for each in bins)
    return panel(draw, f"Reliability of {action}: {pairs}")


def qini_panel(curve: UpliftCurve) -> Markup:
    """Extra responses per thousand decisions by the share contacted, in the model's order and at random."""
    shares = [0.0, *curve.shares]
    gain, lower, upper = (
        [0.0, *(THOUSAND * getattr(each, name) for each in curve.gain)] for name in ("value", "lower", "upper")
    )

    def draw(axes: Axes) -> None:
        axes.axhline(0, color=INK, linewidth=0.8)
        axes.fill_between(shares, lower, upper, color=ACCENT, alpha=0.15, linewidth=0)
        axes.plot(shares, gain, color=ACCENT, linewidth=2.2)
        axes.plot([0, 1], [0, gain[-1]], color=QUIET, linewidth=1.4, linestyle=(0, (4, 3)))
        axes.set_xlim(0, 1)
        axes.set_xlabel("share contacted, highest predicted uplift first")
        axes.set_ylabel("extra responses per 1,000")
        axes.xaxis.set_major_formatter(PercentFormatter(1, decimals=0))

    steps = "; ".join(
        f"{share:.0%} contacted: {value:.0f}" for share, value in zip(shares, gain, strict=True) if share * 4 % 1 == 0
    )
    return panel(draw, f"Qini curve of {curve.channel}, extra responses per 1,000 decisions: {steps}")


def uplift_panel(curve: UpliftCurve) -> Markup:
    """Measured uplift with intervals beside predicted uplift, by fifth of the decisions."""

    def draw(axes: Axes) -> None:
        axes.axhline(0, color=INK, linewidth=0.8)
        for place, each in enumerate(curve.groups, start=1):
            ends = [THOUSAND * each.measured.lower, THOUSAND * each.measured.upper]
            axes.plot([place, place], ends, color=ACCENT, linewidth=2.4, alpha=0.6)
            axes.plot([place], [THOUSAND * each.measured.value], "o", color=ACCENT, markersize=6)
            axes.plot([place], [THOUSAND * each.predicted], "D", color=COLOURS[1], markersize=6, fillstyle="none")
        axes.set_xlim(0.5, len(curve.groups) + 0.5)
        axes.set_xlabel("fifth of the decisions, highest predicted uplift first")
        axes.set_ylabel("extra responses per 1,000")

    fifths = "; ".join(
        f"{THOUSAND * each.predicted:.0f} predicted, {THOUSAND * each.measured.value:.0f} measured"
        for each in curve.groups
    )
    return panel(draw, f"Uplift of {curve.channel} by fifth, extra responses per 1,000 decisions: {fifths}")


def value_plot(rows: Sequence[tuple[str, Estimate]], ours: str, words: str) -> Markup:
    """EUR per thousand decisions with intervals, the best first."""
    ordered = sorted(rows, key=lambda each: -each[1].value)
    return intervals([_eur_bar(name, each, name == ours) for name, each in ordered], words, "EUR per 1,000 decisions")


def lead_plot(rows: Sequence[tuple[str, Estimate]], words: str) -> Markup:
    """EUR per thousand decisions by which the model leads, the largest first; those that are clear stand out."""
    ordered = sorted(rows, key=lambda each: -each[1].value)
    marked = [_eur_bar(f"over {name}", each, each.lower > 0 or each.upper < 0) for name, each in ordered]
    return intervals(marked, words, "EUR more per 1,000 decisions")


def gap_plot(rows: Sequence[tuple[str, Estimate]], words: str) -> Markup:
    """Percentage points by which predictions exceed what was seen, with intervals; those that are clear stand out."""
    shown = [
        Bar(
            name,
            100 * each.value,
            signed(100 * each.value),
            100 * each.lower,
            100 * each.upper,
            ours=each.lower > 0 or each.upper < 0,
        )
        for name, each in rows
    ]
    return intervals(shown, words, "points predicted above seen")


def importance_plot(rows: Sequence[Importance], names: Sequence[str]) -> Markup:
    """How far each column moves scores on average: what it says above its bar, since that is long."""
    largest = max(each.contribution for each in rows)

    def fill_in(figure: Figure, narrow: bool) -> None:
        axes = figure.add_subplot()
        for place, (name, each) in enumerate(zip(names, rows, strict=True)):
            axes.barh(place, each.contribution, height=0.3, color=ACCENT)
            over: dict[str, Any] = {"textcoords": "offset points", "va": "bottom", "ha": "left", "color": TEXT}
            axes.annotate(fill(name, 54 if narrow else 96), (0, place - 0.2), (0, 1), **over)
            beside = {**over, "va": "center"}
            axes.annotate(f"{each.contribution:.3f}", (each.contribution, place), (5, 0), **beside)
        axes.set_ylim(len(rows) - 0.6, -0.85)
        axes.set_xlim(0, largest * (1.2 if narrow else 1.1))
        axes.axis("off")

    words = "; ".join(f"{name}: {each.contribution:.3f}" for name, each in zip(names, rows, strict=True))
    return plot(fill_in, f"Mean size of the contribution to the score, log-odds. {words}", 0.56 * len(rows))


def rate_plot(rates: Sequence[tuple[str, int, float]]) -> Markup:
    """Share of decisions that were answered, by action."""
    shown = [Bar(name, rate, f"{100 * rate:.1f} % of {count:,}") for name, count, rate in rates]
    return bars(shown, "; ".join(f"{each.name}: {each.text} decisions" for each in shown))


def credit_plot(found: Sequence[Credit]) -> Markup:
    """Of a thousand contacts on each channel, responses that bear the message's name beside those that it brought."""
    shown = []
    for each in found:
        brought, named = THOUSAND * each.brought / each.contacts, THOUSAND * each.named / each.contacts
        shown.append(Bar(f"{each.channel}: brought", brought, _plain(brought, 1)))
        shown.append(Bar(f"{each.channel}: named", named, _plain(named, 1), ours=False))
    told = "; ".join(f"{each.name}: {each.text}" for each in shown)
    return bars(shown, f"Responses to 1,000 contacts: {told}", "responses to 1,000 contacts")


def _eur_bar(name: str, each: Estimate, ours: bool) -> Bar:
    value, lower, upper = (THOUSAND * every for every in (each.value, each.lower, each.upper))
    return Bar(name, value, f"{_plain(value, 0)} ± {_plain((upper - lower) / 2, 0)}", lower, upper, ours=ours)


def ranged(each: Estimate, scale: float, digits: int) -> str:
    """A value and its interval, times `scale`.

    >>> ranged(Estimate(0.0102, 0.004, -0.0001, 0.02), 1000, 0)
    '10 (0 to 20)'
    """
    value, lower, upper = (_plain(scale * every, digits) for every in (each.value, each.lower, each.upper))
    return f"{value} ({lower} to {upper})"


def signed(value: float) -> str:
    """A number with its sign, to one digit.

    >>> signed(0.31), signed(-0.31), signed(-0.01)
    ('+0.3', '−0.3', '0.0')
    """
    return ("+" if round(value, 1) > 0 else "") + _plain(value, 1)


def _plain(value: float, digits: int) -> str:
    """A number without a negative zero, with a minus sign in place of a hyphen."""
    return f"{round(value, digits) + 0.0:,.{digits}f}".replace("-", "−")
