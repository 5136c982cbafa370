"""Compares the newest period with those before training: columns, hours and figures; reads no file.

A column is compared by how far its distribution has moved (`serving.watching.distances`), relative to its usual moves,
a figure by the logarithm of its ratio; both are held against the moves between reference periods that lie as far apart
(`serving.watching.moderated`).
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

import numpy as np
import numpy.typing as npt

from contract.params import Monitor
from features.activity import HOURS, REPEATED
from models.observation import ANSWERED, SCORE
from models.profile import Profile, Seen, Spread
from serving.watching.distances import chance, divergence, moved
from serving.watching.findings import GROUPS, Finding, Group, Verdict
from serving.watching.moderated import Moderated, discoveries, holm, moderated

Floats = npt.NDArray[np.float64]

TESTED_GROUPS: Final = len(GROUPS)
"""Groups that share the level of a false alarm; the distribution of the score is tested with the inputs."""

_WATCHED_LEVEL: Final = 0.05
_LEAST_PAIRS: Final = 3
_NOISE: Final = 0.05
"""Relative spread of a figure between periods, beyond counting, below which no difference is taken to be sure."""


@dataclass(frozen=True)
class Past:
    """Reference periods, the newest one, and how many periods lie between the last of them and the newest."""

    profile: Profile
    newest: Seen
    lag: int
    settings: Monitor

    @property
    def pairs(self) -> list[tuple[int, int]]:
        """Reference periods as far apart as the newest and the last, or as far as leaves three pairs."""
        count = len(self.profile.periods)
        lag = min(self.lag, count - _LEAST_PAIRS)
        return [(first, first + lag) for first in range(count - lag)]

    @property
    def level(self) -> float:
        """The level of one group."""
        return self.settings.level / TESTED_GROUPS


def judged(past: Past, adjusted: float, discovered: float, effect: float, least: float) -> Verdict:
    """What a comparison amounts to: surely changed, perhaps changed, or not to any size that matters."""
    if abs(effect) < least:
        return "quiet"
    return "alarm" if adjusted < past.level else "watch" if discovered < _WATCHED_LEVEL else "quiet"


def compare_columns(past: Past) -> list[Finding]:
    """Every column of the model, and its score."""
    words = {each.name: each.words for each in past.profile.binnings}
    every = (*past.profile.periods, past.newest)
    found = _compare_spreads(past, "inputs", {name: [each.columns[name] for each in every] for name in words}, words)
    return [replace(each, group="scores") if each.name == SCORE else each for each in found]


def compare_hours(past: Past) -> list[Finding]:
    """At which hours own events happen, by channel."""
    found: dict[str, list[Spread]] = {}
    for channel in past.newest.hours:
        every = [period.hours.get(channel, (0,) * HOURS) for period in (*past.profile.periods, past.newest)]
        if min(map(sum, every)) >= past.settings.min_events:
            # No hour is ever missing, so the last bin stays empty.
            spreads = [Spread(counts=(*each, 0), mean=_mean_hour(each)) for each in every]
            found[f"hour of own events on {channel}"] = spreads
    return _compare_spreads(past, "hours", found, dict.fromkeys(found, "UTC; where all move, another time zone"))


def _mean_hour(counts: Sequence[int]) -> float:
    """The mean direction on the clock (Mardia, Jupp 2000), an event in the middle of its hour.

    >>> round(_mean_hour([1] + [0] * 22 + [1]), 3) % 24
    0.0
    """
    angle = (np.arange(HOURS) + 0.5) * 2 * np.pi / HOURS
    east, north = float(np.dot(counts, np.cos(angle))), float(np.dot(counts, np.sin(angle)))
    return float(np.arctan2(north, east) * HOURS / (2 * np.pi)) % HOURS


def _compare_spreads(
    past: Past, group: Group, spreads: dict[str, list[Spread]], words: dict[str, str]
) -> list[Finding]:
    if not spreads:
        return []
    names = list(spreads)
    bins = max(len(each[0].counts) for each in spreads.values())
    counts = np.zeros((len(names), len(past.profile.periods) + 1, bins))
    for row, every in enumerate(spreads.values()):
        for period, each in enumerate(every):
            # The bin of missing values is the last of each column: it keeps that place.
            counts[row, period, : len(each.counts) - 1] = each.counts[:-1]
            counts[row, period, -1] = each.counts[-1]
    tested = _moved_more(counts, past)
    p = tested.p_larger
    adjusted, discovered = holm(p), discoveries(p)
    effects = moved(counts[:, -2], counts[:, -1])
    return [
        Finding(
            group=group,
            name=name,
            verdict=judged(past, adjusted[row], discovered[row], effects[row], past.settings.min_moved_share),
            before=spreads[name][-2].mean,
            now=spreads[name][-1].mean,
            effect=float(effects[row]),
            p=float(p[row]),
            adjusted=float(adjusted[row]),
            words=_moved_words(spreads[name][-2], spreads[name][-1], float(effects[row]), words[name]),
        )
        for row, name in enumerate(names)
    ]


def _moved_more(counts: Floats, past: Past) -> Moderated:
    """Tests distances relative to their reference mean; unequal sizes of samples are allowed for."""
    first, second = (np.array(each) for each in zip(*past.pairs, strict=True))
    before, after = counts[:, first], counts[:, second]
    by_chance = chance(before, after)
    floor = by_chance.mean(axis=1)
    usual = _distance(divergence(before, after), by_chance, floor[:, None])
    newest = _distance(divergence(counts[:, -2], counts[:, -1]), chance(counts[:, -2], counts[:, -1]), floor)
    mean = np.maximum(usual.mean(axis=1), np.sqrt(floor))
    return moderated(newest / mean, usual / mean[:, None], past.lag)


def _distance(found: Floats, by_chance: Floats, floor: Floats) -> Floats:
    """The root of a divergence, which is a metric (Endres, Schindelin 2003), as samples of the usual size have it."""
    return np.asarray(np.sqrt(np.maximum(found - (by_chance - floor), 0.0)))


def _moved_words(before: Spread, now: Spread, effect: float, words: str) -> str:
    missing = [each.counts[-1] / max(1, sum(each.counts)) for each in (before, now)]
    said = [f"{effect:.0%} of rows lie elsewhere"]
    if before.mean is not None and now.mean is not None:
        said.append(f"mean {figure(before.mean)} → {figure(now.mean)}")
    if abs(missing[1] - missing[0]) >= 0.01:
        said.append(f"missing {missing[0]:.0%} → {missing[1]:.0%}")
    return f"{', '.join(said)} ({words.rstrip('.')})"


def compare_figures(past: Past, groups: dict[Group, list[str]]) -> list[Finding]:
    """Figures by group; left out are those too rare in a reference period, or without a basis in the newest."""
    return [finding for group, names in groups.items() for finding in _compare_group(past, group, names)]


def figure_groups(past: Past) -> dict[Group, list[str]]:
    """Which figures of the newest or the last reference period belong to which group; some are compared elsewhere."""
    groups: dict[Group, list[str]] = {"scores": [], "decisions": [], "activity": [], "consent": []}
    decided = ("decided for", "held out", "decisions with", "decisions left", "effective sample")
    for name in past.profile.periods[-1].figures | past.newest.figures:
        if name.startswith((ANSWERED, REPEATED)):
            continue
        if name.startswith("mean score"):
            groups["scores"].append(name)
        elif name.startswith(decided):
            groups["decisions"].append(name)
        elif name.startswith("consented"):
            groups["consent"].append(name)
        else:
            groups["activity"].append(name)
    return groups


def _compare_group(past: Past, group: Group, names: Sequence[str]) -> list[Finding]:
    periods = (*past.profile.periods, past.newest)
    every = {name: np.array([each.figures.get(name, (0.0, 0.0)) for each in periods]) for name in names}
    least = past.settings.min_events
    kept = {
        name: pairs
        for name, pairs in every.items()
        if (pairs[:, 1] > 0).all() and _rows(name, pairs)[:-1].min() >= least
    }
    if not kept:
        return []
    pairs = np.stack(list(kept.values()))
    rows = np.stack([_rows(name, each) for name, each in kept.items()])
    rate = np.log((pairs[..., 0] + 0.5 * _unit(pairs)) / np.maximum(pairs[..., 1], 1e-9))
    error = 1 / np.maximum(rows, 1.0)
    first, second = (np.array(each) for each in zip(*past.pairs, strict=True))
    usual = _standard(rate[:, second] - rate[:, first], error[:, second] + error[:, first])
    change = rate[:, -1] - rate[:, -2]
    tested = moderated(_standard(change, error[:, -1] + error[:, -2]), usual, past.lag)
    expected = (rate[:, second] - rate[:, first]).mean(axis=1)
    effects = np.expm1(change - expected)
    p = tested.p_two_sided
    adjusted, discovered = holm(p), discoveries(p)
    found = []
    for row, (name, each) in enumerate(kept.items()):
        before, now = (_ratio(each[at]) for at in (-2, -1))
        # A fall to half is as much as a rise to double.
        size = float(np.expm1(abs(change[row] - expected[row])))
        verdict = judged(past, adjusted[row], discovered[row], size, past.settings.min_change)
        words = f"{figure(before)} → {figure(now)}, {effects[row]:+.0%} against what was expected"
        found.append(
            Finding(group, name, verdict, before, now, float(effects[row]), float(p[row]), float(adjusted[row]), words)
        )
    return found


def _rows(name: str, pairs: Floats) -> Floats:
    """How many events or decisions stand behind each figure: those counted; of a mean, those averaged."""
    averaged = name.startswith(("value of", "mean score"))
    return np.asarray(pairs[:, 1] if averaged else pairs[:, 0])


def _unit(pairs: Floats) -> Floats:
    """What half a count adds to a figure that may be zero."""
    return np.asarray(np.where((pairs[..., 0] == np.round(pairs[..., 0])).all(axis=-1), 1.0, 1e-6))[..., None]


def _standard(difference: Floats, variance: Floats) -> Floats:
    return np.asarray(difference / np.sqrt(variance + _NOISE**2))


def _ratio(pair: Floats) -> float:
    return float(pair[0] / pair[1]) if pair[1] else 0.0


def figure(value: float) -> str:
    """A figure in three digits.

    >>> figure(12345.6), figure(0.01234), figure(0.0)
    ('12,346', '0.0123', '0')
    """
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}"
