"""The model card as text: what a data scientist asks first, and what the data cannot carry; computes nothing."""

from collections.abc import Iterator, Sequence
from textwrap import wrap

from training.credit import Credit
from training.evaluation import Quality
from training.off_policy import Estimate
from training.policy_value import SHRUNK, PolicyValue
from training.promotion import CHALLENGER
from training.report import TrainingReport

_SETS = {"out_of_time": "later decisions", "out_of_customer": "customers never trained on"}


def card_text(report: TrainingReport) -> str:
    """The card as plain text, lines of at most about 110 characters."""
    parts = [_heading, _rows, _rates, _evaluation, _preferences, _policies, _credit, _evidence, _remarks]
    found = filter(None, ([*part(report)] for part in parts))
    lines = [line for each in found for line in (*each, "")]
    return "\n".join([*lines, f"Verdict: {report.verdict.text}", ""])


def _heading(report: TrainingReport) -> Iterator[str]:
    yield f"Model {report.model_version} for objective '{report.objective}'"
    s = report.settings
    for each in report.contenders:
        if each.loss is None:
            yield f"  learner {each.name}: not used, {each.why_not}"
        else:
            apart = f", worse than the best by {each.worse:.5f} ± {each.error:.5f}" if each.error else ""
            yield f"  learner {each.name}: log loss {each.loss:.5f} where it was chosen{apart}{'; taken' * each.taken}"
    yield (
        f"{s['trees']} trees of {s['leaves']} leaves from {s['trials']} trial(s); calibration: {s['calibration']}; "
        f"at least {s['fewest_customers']} customers behind every leaf"
    )


def _rows(report: TrainingReport) -> Iterator[str]:
    yield "Decisions: " + ", ".join(f"{name.replace('_', ' ')} {count:,}" for name, count in report.rows.items())
    left_out = ", ".join(f"{count:,} {reason}" for reason, count in report.left_out.items() if count)
    yield f"Left out: {left_out or 'none'}"
    yield f"Split: {report.split_note}"
    found = report.selection
    yield (
        f"Columns: {len(found.kept)} read; left out, as they tell nothing on the rows that learn: "
        f"{len(found.constant)} constant, {len(found.duplicate_of)} copies of another"
    )
    yield from _listed("constant", found.constant)
    yield from _listed("copies", [f"{name} (of {other})" for name, other in found.duplicate_of.items()])


def _listed(what: str, names: Sequence[str]) -> Iterator[str]:
    if names:
        yield from wrap(f"{what}: {', '.join(names)}", 110, initial_indent="  ", subsequent_indent="    ")


def _rates(report: TrainingReport) -> Iterator[str]:
    yield f"{'Base rates':24}{'decisions':>11}{'responses':>11}{'rate':>9}"
    for name, (decisions, responses, rate) in report.base_rates.items():
        yield f"  {name:22}{decisions:>11,}{responses:>11,}{rate:>9.2%}"


def _evaluation(report: TrainingReport) -> Iterator[str]:
    for rows, found in report.evaluation.items():
        yield f"On {_SETS.get(rows, rows)} ({rows.replace('_', ' ')})"
        yield f"  {'':14}{'predictor':22}{'rows':>9}{'rate':>8}{'AUC':>8}{'log loss':>10}{'cal. error':>12}"
        for group, qualities in found.items():
            for name, quality in qualities.items():
                yield f"  {group:14}{name:22}{_measures(quality)}"
        yield from (f"  {name} wins here in {won}" for name, won in concessions(found["all"]))


def _measures(q: Quality) -> str:
    auc = "–" if q.auc is None else f"{q.auc:.4f}"
    return f"{q.rows:>9,}{q.base_rate:>8.2%}{auc:>8}{q.log_loss:>10.5f}{q.calibration_error:>12.4f}"


def concessions(qualities: dict[str, Quality]) -> Iterator[tuple[str, str]]:
    """Every plainer predictor that beats the model, and in what."""
    model = qualities[CHALLENGER]
    for name, other in qualities.items():
        if name == CHALLENGER:
            continue
        won = ["log loss"] if other.log_loss < model.log_loss else []
        won += ["AUC"] if other.auc is not None and model.auc is not None and other.auc > model.auc else []
        won += ["calibration error"] if other.calibration_error < model.calibration_error else []
        if won:
            yield name, " and ".join(won)


def _preferences(report: TrainingReport) -> Iterator[str]:
    yield "Preferred channel, held-out rows (answers: where open): log loss and share named first, beside fixed shares"
    for head, q in report.preferences.items():
        losses = f"{q.log_loss:.4f} against {q.log_loss_of_shares:.4f}"
        yield f"  {head:14}{q.rows:>9,} rows   {losses}   {q.top_1:.1%} against {q.top_1_of_shares:.1%}"


def _policies(report: TrainingReport) -> Iterator[str]:
    yield "Value of a policy without limits, on channels that the customer was contacted on before, EUR per decision"
    for each in report.policies:
        yield f"  {each.name:22}{_valued(each)}"


def _valued(value: PolicyValue) -> str:
    robust, shrunk = value.doubly_robust, value.estimates.get(SHRUNK)
    if robust is None or shrunk is None:
        return "not shown: " + "; ".join(value.refused)
    size = f"effective customers {value.effective_size:,.0f}, unsupported {value.unsupported:.0%}"
    lead = f"  this model leads by {_interval(value.lead)}" if value.lead else ""
    return f"doubly robust {_interval(robust)}  {SHRUNK} {shrunk.value:.4f}  {size}{lead}"


def _interval(each: Estimate) -> str:
    return f"{each.value:.4f} [{each.lower:.4f}, {each.upper:.4f}]"


def _credit(report: TrainingReport) -> Iterator[str]:
    if report.credit:
        yield "Responses to contacts: how many bear the message's name, and how many it brought, as the learner has it"
        yield f"  {'':14}{'contacts':>11}{'responses':>11}{'named':>9}{'brought':>9}   named of brought, of others"
    for each in report.credit:
        counts = f"{each.contacts:>11,}{each.responses:>11,}{each.named:>9,}{each.brought:>9,.0f}"
        yield f"  {each.channel:14}{counts}   {_shares(each)}"
    for pair in report.pairs:
        yield f"  what a contact adds depends on {' and '.join(pair)} together"
    if report.appeal is not None:
        yield from wrap(report.appeal.words, 110, initial_indent="  ", subsequent_indent="    ")


def _shares(each: Credit) -> str:
    if each.named_of_brought is None or each.named_of_alone is None:
        return "not told apart"
    return f"{each.named_of_brought:.0%}, {each.named_of_alone:.0%}"


def _evidence(report: TrainingReport) -> Iterator[str]:
    yield "What the log can carry"
    for each in report.evidence:
        yield f"  {each.action:14}{each.verdict:14}{each.reason}"


def _remarks(report: TrainingReport) -> Iterator[str]:
    yield "About the data"
    for each in report.remarks or ("nothing further was found",):
        yield from wrap(each, 110, initial_indent="  ", subsequent_indent="    ")
