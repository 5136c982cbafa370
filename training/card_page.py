"""The model card as one offline HTML page, for those who decide and for those who check; computes no figure.

What was learned from whom, whether it is better than plain rules, what it rests on and what it cannot say. It shows
groups alone, never a customer.
"""

from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime
from typing import Any, Final

from contract.params import Params
from models.evidence import Evidence
from pages.page import percent, render, whole
from training import card_plots as plots
from training.card import concessions
from training.evaluation import Quality
from training.groups import Group
from training.importance import Importance
from training.insight import ALL
from training.judging import PLAN
from training.off_policy import Estimate
from training.policy_value import DM, DR, IPS, SHRUNK, SNIPS, SWITCH, PolicyValue
from training.promotion import BASE_RATES, CHALLENGER
from training.reliability import Reliability
from training.report import TrainingReport
from training.uplift_curves import UpliftCurve

SETS: Final = {"out_of_time": "later decisions", "out_of_customer": "customers that it never learned from"}
_HOLDING: Final = (DR, SNIPS, IPS)
_STEADY: Final = (SHRUNK, SWITCH, DM)
"""Estimators whose intervals hold, and those that may be off by more than theirs, which are not shown."""
_OVERLAP: Final = ("customers in effect", "largest 1 % hold", "unsupported", "decisions alike")
NONE: Final = "none"
_TRIALS_SHOWN: Final = 10
_NEAR_CHANCE: Final = 0.55
_MISSED: Final = 1.5
_WORDS: Final = {
    "raises": "raises the score",
    "lowers": "lowers the score",
    "both ways": "works both ways",
    "by kind": "depends on which",
}


def card_page(report: TrainingReport, params: Params) -> str:
    """The page as text.

    Args:
        report: what a training found.
        params: those that it was trained with.
    """
    left_out = [(f"left out: {name}", count) for name, count in report.left_out.items() if count]
    return render(
        "card.html.j2",
        title=f"What this model knows about “{report.objective}”",
        report=report,
        level=percent(params.planning.interval, 0).replace(" ", "\u00a0"),
        target=_target(params),
        period=_period(report),
        quality=report.evaluation[report.insight.rows]["all"][CHALLENGER],
        rows_words=SETS[report.insight.rows],
        rates=plots.rate_plot([(_action(name), n, rate) for name, (n, _, rate) in report.base_rates.items() if n]),
        gain=_gain(report),
        warnings=list(_warnings(report)),
        evidence=[(_action(each.action), _carried(each)) for each in report.evidence],
        row_counts=[(name.replace("_", " "), whole(count)) for name, count in (*report.rows.items(), *left_out)],
        contenders=_contenders(report),
        settings=[(name.replace("_", " "), str(value)) for name, value in report.settings.items()],
        fingerprints=list(report.fingerprints.items()),
        values=_values(report),
        uplift=_uplift(report),
        credit=_credit(report),
        probabilities=_probabilities(report),
        groups=_groups(report),
        importance=_importance(report),
        measures=list(_measures(report)),
        preferences=_preferences(report),
        trials=_trials(report),
        cannot=list(_cannot(report, params)),
    )


def _target(params: Params) -> str:
    target = params.target
    counted = "whoever gets the credit" if target.counts == "customer" else "tied to the message that was sent"
    worth = f"{target.worth_eur:g} EUR" if target.worth_eur is not None else ""
    worth = worth or f"{percent(target.margin_rate or 0.0, 0)} of its value"
    kinds, days = " or ".join(target.kinds), f"{target.horizon_days:g} day{'' if target.horizon_days == 1 else 's'}"
    return f"{kinds} within {days} of the decision, {counted}; it is worth {worth}"


def _period(report: TrainingReport) -> dict[str, str]:
    window = report.window
    moments = {"start": window.start_us, "judged_from": window.judged_from_us, "end": window.end_us}
    return {name: datetime.fromtimestamp(us / 1e6, UTC).strftime("%-d %B %Y") for name, us in moments.items()}


def _gain(report: TrainingReport) -> tuple[str, str]:
    """How much of the base rates' log loss the model saves, and what that figure is."""
    quality = report.evaluation[report.insight.rows]["all"]
    saved = 1 - quality[CHALLENGER].log_loss / quality[BASE_RATES].log_loss
    words = "less" if saved >= 0 else "more"
    return percent(abs(saved)), f"{words} log loss than base rates, on {SETS[report.insight.rows]}"


def _warnings(report: TrainingReport) -> Iterator[str]:
    """What must not be overlooked, found on the rows that judge."""
    where = SETS[report.insight.rows]
    quality = report.evaluation[report.insight.rows]["all"]
    for name, won in concessions(quality):
        yield f"better than it on {where}: {name}, in {won}."
    auc = quality[CHALLENGER].auc
    if auc is not None and auc < _NEAR_CHANCE:
        yield f"with an AUC of {auc:.3f}, it hardly tells who responds from who does not."
    overall = report.insight.reliability.get(ALL)
    if overall is not None and overall.error > _MISSED * overall.chance:
        seen, chance = _points(overall.error), _points(overall.chance)
        yield f"its probabilities are off by {seen} on average; chance would show {chance}."


def _by_reason(named: Iterable[tuple[str, str]]) -> list[tuple[str, str]]:
    """Names that share a reason, together."""
    found: dict[str, list[str]] = {}
    for name, reason in named:
        found.setdefault(reason, []).append(name)
    return [(_listed(names), reason) for reason, names in found.items()]


def _values(report: TrainingReport) -> dict[str, Any]:
    shown = [(each.name, each.doubly_robust) for each in report.policies if each.doubly_robust is not None]
    leads = [(each.name, each.lead) for each in report.policies if each.lead is not None]
    clear = [name for name, lead in leads if lead.lower > 0]
    behind = [name for name, lead in leads if lead.upper < 0]
    words = "; ".join(f"{name} {_thousand(each)}" for name, each in shown)
    ahead = "; ".join(f"over {name} {_thousand(lead)}" for name, lead in leads)
    told = f"EUR per 1,000 decisions: {words}", f"Lead of the model, EUR per 1,000 decisions: {ahead}"
    return {
        "value_plot": plots.value_plot(shown, PLAN, told[0]) if shown else None,
        "lead_plot": plots.lead_plot(leads, told[1]) if leads else None,
        "ahead": clear,
        "behind": behind,
        "undecided": [name for name, _ in leads if name not in clear and name not in behind],
        "refused": _by_reason((each.name, "; ".join(each.refused)) for each in report.policies if each.refused),
        "rows": [_policy_row(each) for each in report.policies if each.estimates],
        "header": (
            "policy",
            *_HOLDING,
            *_STEADY,
            *_OVERLAP,
        ),
        "tuned": any(each.tuned for each in report.policies),
    }


def _policy_row(each: PolicyValue) -> tuple[str, ...]:
    estimates = tuple(_thousand(each.estimates[name]) for name in _HOLDING)
    estimates += tuple(whole(plots.THOUSAND * each.estimates[name].value) for name in _STEADY)
    overlap = (whole(each.effective_size), percent(each.tail_share, 0), percent(each.unsupported, 0))
    return (each.name, *estimates, *overlap, whole(each.matching))


def _thousand(each: Estimate, digits: int = 0) -> str:
    return plots.ranged(each, plots.THOUSAND, digits)


def _uplift(report: TrainingReport) -> dict[str, Any]:
    curves = [each for each in report.insight.curves if not each.refused]
    return {
        "channels": [
            (each.channel, plots.qini_panel(each), plots.uplift_panel(each), _qini_words(each)) for each in curves
        ],
        "rows": [
            (each.channel, _thousand(each.gain[-1]), _thousand(each.qini, 1), whole(each.contacted), whole(each.alone))
            for each in curves
            if each.qini is not None
        ],
        "refused": _by_reason((each.channel, each.refused) for each in report.insight.curves if each.refused),
    }


def _qini_words(each: UpliftCurve) -> str:
    if each.qini is None or each.qini.lower <= 0 <= each.qini.upper:
        return "The order cannot be told from a random one."
    return "The order is better than a random one." if each.qini.lower > 0 else "The order is worse than a random one."


def _credit(report: TrainingReport) -> dict[str, Any]:
    found = report.credit
    return {
        "plot": plots.credit_plot(found) if found else None,
        "rows": [
            (
                each.channel,
                *map(whole, (each.contacts, each.responses, each.named, each.brought)),
                *map(_share, (each.named_of_brought, each.named_of_alone)),
            )
            for each in found
        ],
        "pairs": [" and ".join(pair) for pair in report.pairs],
        "appeal": None if report.appeal is None else report.appeal.words,
    }


def _share(value: float | None) -> str:
    return "–" if value is None else percent(value, 0)


def _probabilities(report: TrainingReport) -> dict[str, Any]:
    named = {_action(name): each for name, each in report.insight.reliability.items()}
    shown = {name: each for name, each in named.items() if each is not None}
    return {
        "panels": [(name, plots.reliability_panel(name, each), _calibrated(each)) for name, each in shown.items()],
        "rows": [(name, *_reliability_row(each), f"{each.log_loss:.4f}") for name, each in shown.items()],
        "refused": [name for name, each in named.items() if each is None],
    }


def _action(name: str) -> str:
    return {NONE: "no contact", ALL: "all decisions"}.get(name, name)


def _carried(each: Evidence) -> str:
    return f"{each.verdict}: {each.reason}. {whole(each.decisions)} decisions, {whole(each.responses)} responses."


def _calibrated(each: Reliability) -> str:
    beyond = "more than chance would show" if each.error > _MISSED * each.chance else "no more than chance would show"
    return f"{whole(each.rows)} decisions; off by {_points(each.error)} on average, {beyond} ({_points(each.chance)})"


def _points(value: float) -> str:
    return f"{100 * value:.1f} points"


def _reliability_row(each: Reliability) -> tuple[str, ...]:
    off = (_points(each.error), _points(each.chance))
    return (whole(each.rows), whole(each.customers), percent(each.rate, 2), percent(each.predicted, 2), *off)


def _groups(report: TrainingReport) -> dict[str, Any]:
    found = report.insight.groups
    gaps = [(f"{each.column}: {each.name}", each.quality.gap) for each in found.found]
    words = "; ".join(f"{name} {plots.signed(100 * gap.value)}" for name, gap in gaps)
    return {
        "plot": plots.gap_plot(gaps, f"Points predicted above seen: {words}") if gaps else None,
        "rows": [
            (f"{each.column}: {each.name}", *_reliability_row(each.quality), *_losses(each)) for each in found.found
        ],
        "worse": [
            f"{each.column}: {each.name}" for each in found.found if each.quality.log_loss > each.log_loss_of_base_rates
        ],
        "least": whole(found.least_rows),
        "too_small": found.too_small,
    }


def _losses(each: Group) -> tuple[str, str]:
    return f"{each.quality.log_loss:.4f}", f"{each.log_loss_of_base_rates:.4f}"


def _importance(report: TrainingReport) -> dict[str, Any]:
    rows = report.insight.importance
    names = [_short(each) for each in rows]
    return {
        "plot": plots.importance_plot(rows, names) if rows else None,
        "rows": [
            (name, _WORDS[each.direction], f"{each.contribution:.3f}", each.name)
            for name, each in zip(names, rows, strict=True)
        ],
    }


def _short(each: Importance) -> str:
    """The meaning without its full stop and without what it is drawn to."""
    meaning = each.meaning.removesuffix(".").removesuffix(", drawn to the base rate")
    return meaning.replace("the candidate channel", "this channel")


def _measures(report: TrainingReport) -> Iterator[tuple[str, list[tuple[str, ...]]]]:
    """Every quality that was measured, by set of rows."""
    for rows, found in report.evaluation.items():
        yield (
            SETS[rows],
            [
                (
                    f"{group}, {name}",
                    whole(q.rows),
                    percent(q.base_rate, 2),
                    _auc(q),
                    f"{q.log_loss:.5f}",
                    f"{q.calibration_error:.4f}",
                )
                for group, qualities in found.items()
                for name, q in qualities.items()
            ],
        )


def _auc(quality: Quality) -> str:
    return "–" if quality.auc is None else f"{quality.auc:.3f}"


def _preferences(report: TrainingReport) -> list[tuple[str, ...]]:
    words: Mapping[str, str] = {"contact": "next answer", "engagement": "next own step"}
    return [
        (
            words.get(head, head),
            whole(q.rows),
            percent(q.top_1),
            percent(q.top_1_of_shares),
            f"{q.log_loss:.3f}",
            f"{q.log_loss_of_shares:.3f}",
        )
        for head, q in report.preferences.items()
    ]


def _trials(report: TrainingReport) -> dict[str, Any]:
    ordered = sorted(report.search, key=lambda each: each.loss)
    names = list(dict.fromkeys(name for each in ordered for name in each.parameters))
    return {
        "count": len(ordered),
        "given_up": sum(each.given_up for each in ordered),
        "header": ("place", "log loss", "splits", *(name.replace("_", " ") for name in names), "given up"),
        "rows": [
            (
                str(place),
                f"{each.loss:.5f}",
                whole(each.splits) if each.splits else "–",
                *(f"{each.parameters.get(name, float('nan')):.3g}" for name in names),
                "yes" if each.given_up else "",
            )
            for place, each in enumerate(ordered[:_TRIALS_SHOWN], start=1)
        ],
    }


def _contenders(report: TrainingReport) -> dict[str, Any]:
    """The learners that contended, and what of the taken one a reader must know."""
    return {
        "taken": next(each.name for each in report.contenders if each.taken),
        "rows": [
            (
                each.name,
                "—" if each.loss is None else f"{each.loss:.5f}",
                "—" if not each.error else f"{each.worse:.5f} ± {each.error:.5f}",
                "taken" if each.taken else each.why_not,
            )
            for each in report.contenders
        ],
    }


def _cannot(report: TrainingReport, params: Params) -> Iterator[str]:
    """What must not be read into the model, from what was found."""
    by_verdict: dict[str, list[str]] = {}
    for each in report.evidence:
        by_verdict.setdefault(each.verdict, []).append(each.action)
    if found := by_verdict.get("unmeasured"):
        yield f"Nothing about {_listed(found)}: not measured, which is not the same as no effect."
    if found := [each for each in by_verdict.get("associational", []) if each != "none"]:
        yield f"What contact by {_listed(found)} changes: its scores describe who responds, not what a contact causes."
    if found := by_verdict.get("adjusted"):
        yield (
            f"Whether something unseen moved both the choice and the response to {_listed(found)}: its effects assume "
            "that nothing did."
        )
    refused = [each.channel for each in report.insight.curves if each.refused]
    if refused:
        yield f"How well uplift is ranked for {_listed(refused)}: too little of it was measured."
    if any(each.refused for each in report.policies):
        yield "What the policies named above without a value are worth: the log holds too little that is like them."
    yield (
        f"What one customer will do. Probabilities and intervals are for many like customers, over "
        f"{params.target.horizon_days:g} days; what comes later, or from others, is not in them."
    )
    yield "What holds in a season, a price or an assortment that the period above did not contain."
    yield "What would happen if a feature were changed: features tell who responds, not why."
    yield (
        "What a plan with budget and capacities is worth: the values above have no limits; a plan's own report has "
        "them."
    )


def _listed(names: list[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"
