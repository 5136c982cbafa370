"""Sums up what `benchmarks.models` found: means over seeds, distances, tables; finds nothing out by itself."""

from collections.abc import Iterator
from typing import Any

import numpy as np

from benchmarks.intervals import means
from benchmarks.parts import worlds as w
from benchmarks.parts.coverage import Coverage, Covered
from benchmarks.parts.dr_learners import DR_LEARNERS
from benchmarks.parts.kept_results import Figures
from benchmarks.parts.preferences import judged_as

MAIN, SECOND = "low_rank", "cells"
"""The kind of world that the figures speak of, and the one of another mechanism."""

PEERS = (w.RESPONSE, w.S_LEARNER, w.T_LEARNER, *DR_LEARNERS, w.MOST_CLICKED, w.MOST_ENGAGED)

Found = dict[str, list[Figures]]
"""By kind of world, for each seed: figures by who or what was looked at."""


def mean_of(seeds: list[Figures], who: str, *path: str) -> float:
    """The mean over seeds of a figure of somebody's; `path` leads to it."""
    values = []
    for each in seeds:
        figure: Any = each[who]
        for name in path:
            figure = figure[name]
        values.append(float(figure))
    return float(np.mean(values))


def planning(seeds: list[Figures]) -> list[str]:
    """Who made a plan in every seed."""
    return [who for who in seeds[0] if all("share" in each[who] for each in seeds)]


def distance_closed(seeds: list[Figures]) -> float:
    """Part of the way from the most-clicked rule to the reference that the product goes, by means over seeds."""
    ours, start, end = (mean_of(seeds, who, "share") for who in (w.OURS, w.MOST_CLICKED, w.REFERENCE))
    return (ours - start) / (end - start)


def share_lines(found: Found) -> Iterator[str]:
    """True value as a share of the best possible: mean over seeds, and the least and the most."""
    whos = list(dict.fromkeys(who for seeds in found.values() for who in planning(seeds)))
    if not whos:
        return
    yield f"\n{'share of the best':<22}" + "".join(f"{kind:>22}" for kind in found)
    for who in whos:
        cells = []
        for seeds in found.values():
            values = [each[who]["share"] for each in seeds if "share" in each[who]]
            cells.append(f"{np.mean(values):.3f} ({min(values):.3f} {max(values):.3f})" if values else "refused")
        yield f"{who:<22}" + "".join(f"{cell:>22}" for cell in cells)


def value_summary(found: Found) -> Figures:
    """Values of the plans in the main world, the distance closed in each kind, and what refused to run."""
    summary: Figures = {}
    whole = {kind: seeds for kind, seeds in found.items() if {w.OURS, w.MOST_CLICKED, w.REFERENCE} <= seeds[0].keys()}
    if MAIN in whole:
        seeds = whole[MAIN]
        best = max((who for who in planning(seeds) if who in PEERS), key=lambda who: mean_of(seeds, who, "share"))
        summary |= {
            "ours": mean_of(seeds, w.OURS, "share"),
            "best_peer": mean_of(seeds, best, "share"),
            "best_peer_name": best,
            "most_clicked": mean_of(seeds, w.MOST_CLICKED, "share"),
            "reference": mean_of(seeds, w.REFERENCE, "share"),
            "distance_closed": distance_closed(seeds),
        }
    if SECOND in whole:
        summary["distance_closed_second_mechanism"] = distance_closed(whole[SECOND])
    summary["distances_closed"] = {kind: distance_closed(seeds) for kind, seeds in whole.items()}
    summary["shares"] = {
        kind: {who: mean_of(seeds, who, "share") for who in planning(seeds)} for kind, seeds in found.items()
    }
    refused = {who: figures["refused"] for who, figures in _all(found) if "refused" in figures}
    return summary | ({"refused": refused} if refused else {})


def preference_summary(found: Found) -> Figures:
    """Top-1 accuracy and log loss of the contact preference by kind of world: ours and the plain ways."""
    summary: Figures = {}
    for kind, seeds in found.items():
        ours = {w.OURS: (w.OURS, "preference")} if w.OURS in seeds[0] else {}
        rivals = {name: (w.PLAIN_PREFERENCES, name) for name in judged_as() if w.PLAIN_PREFERENCES in seeds[0]}
        summary[kind] = {
            name: {what: mean_of(seeds, *path, what) for what in ("top1", "log_loss")}
            for name, path in {**ours, **rivals}.items()
        }
    figures: Figures = {"preferences": summary} if any(summary.values()) else {}
    main = summary.get(MAIN, {})
    if w.OURS in main and len(main) > 1:
        best = max((name for name in main if name != w.OURS), key=lambda name: main[name]["top1"])
        figures |= {"preference_top1": main[w.OURS]["top1"], "preference_top1_baseline": main[best]["top1"]}
        figures["preference_top1_baseline_name"] = best
    return figures


def coverage_summary(found: Found) -> Figures:
    """How often nominal 90 % intervals hold: over all channels and kinds of world, and by channel."""
    worlds = [
        {name: _covered(each) for name, each in seed[w.OURS]["coverage"].items()}
        for seeds in found.values()
        for seed in seeds
        if w.OURS in seed
    ]
    if not worlds:
        return {}
    averaged = means(worlds)
    figures: Figures = {}
    for figure, measure in (("interval_coverage", "covered"), ("interval_coverage_any_campaign", "covered_any")):
        by_channel = {what: {name: row[measure] for name, row in rows.items()} for what, rows in averaged.items()}
        every = [value for channels in by_channel.values() for value in channels.values()]
        figures |= {figure: float(np.mean(every)), f"{figure}_by_channel": by_channel}
    return figures


def _covered(kept: Figures) -> Covered:
    return Covered(**{what: Coverage(**each) for what, each in kept.items()})


def _all(found: Found) -> Iterator[tuple[str, Figures]]:
    return ((who, figures) for seeds in found.values() for seed in seeds for who, figures in seed.items())


def hillstrom_lines(found: dict[str, Figures]) -> Iterator[str]:
    """Doubly robust values on customers held out: means over the splits of value, bounds, lead and its bounds."""
    for outcome, policies in found.items():
        heads = f"{'a customer':>12}{'interval':>20}{'over Mens to all':>18}{'interval':>20}"
        yield f"\n{outcome:<22}{heads}  none, mens, womens"
        for name, each in sorted(policies.items(), key=lambda item: -item[1]["value"][0]):
            (value, low, high), (lead, least, most) = each["value"], each["lead"]
            arms = " ".join(f"{share:.0%}" for share in each["arms"])
            bounds, reach = f"{low:.4f} to {high:.4f}", f"{least:+.4f} to {most:+.4f}"
            yield f"{name:<22}{value:>12.4f}{bounds:>20}{lead:>+18.4f}{reach:>20}  {arms}"


def bank_lines(found: Figures) -> Iterator[str]:
    """AUC, log loss and calibration error by set of held-out rows and predictor."""
    for rows, predictors in found["held_out"].items():
        yield f"\n{'bank, ' + rows:<24}{'AUC':>8}{'log loss':>10}{'calibration error':>19}"
        for name, each in predictors.items():
            auc = "–" if each["auc"] is None else f"{each['auc']:.3f}"
            yield f"{name:<24}{auc:>8}{each['log_loss']:>10.4f}{each['calibration_error']:>19.4f}"
    later = found["later_calls"]
    losses = f"log loss {later['log_loss']:.3f}, of the rate before {later['base_log_loss']:.3f}"
    yield f"later calls: AUC {later['auc']:.3f}, {losses}"
    yield f"evidence: {', '.join(found['evidence'])}"
