"""From decisions to a bundle with a report and a verdict: the order of the work; writes nothing and knows no registry.

split → fit on the learning part, choose on the choosing part → judge on later decisions and on customers held out →
verdict → fit again on everything, with what was chosen kept.
"""

import hashlib
import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import numpy as np
from threadpoolctl import threadpool_limits

from contract.params import Params
from contract.progress import Progress, silent
from features.engines import Source
from features.labels import horizon_us
from features.matrix import FeatureSet, learn_features
from features.spine import Decisions, decision_spine
from features.timeline import Timeline
from models.artefact import Floats
from models.bundle import CONTACT, ENGAGEMENT, JUDGED, RESPONSE, Bundle, Manifest, Preference, Window
from models.evidence import Evidence
from models.forecast_error import ForecastError, HeldOut, fit_forecast_error
from models.intervals import Intervals, fit_intervals
from models.preference import FittedPreference
from models.tables import mapped, places_of
from training import heads, judging
from training.appeals import appealing
from training.columns import select_columns
from training.contest import Champion, Trained, champion_verdict
from training.evaluation import Judged, base_rates, evaluate
from training.findings import Findings, overlap_of
from training.fitting import Models, fit_models, refit_models
from training.held_out import held_out
from training.insight import Insight, gather_insight
from training.leaks import find_leaks
from training.logistic import fit_logistic
from training.policy_value import PolicyValue
from training.profiling import with_profile
from training.promotion import CHALLENGER, Verdict, first_verdict
from training.propensities import weigh_log
from training.report import TrainingReport
from training.rows import FeatureRows, RowSource
from training.splits import Split, customer_hashes, split_decisions
from training.study import Part, Study, require_decisions, usable_rows

ProfileName = Literal["quick", "default", "thorough"]


@dataclass(frozen=True)
class TrainingResult:
    """A bundle, ready to be saved, and all that is to be said about it."""

    bundle: Bundle
    report: TrainingReport
    verdict: Verdict


def train(
    intake: Source,
    timeline: Timeline,
    params: Params,
    profile: ProfileName,
    *,
    champion: Bundle | None = None,
    storage: Path | None = None,
    progress: Progress = silent,
) -> TrainingResult:
    """Trains on all decisions of a timeline.

    Args:
        intake: the accepted rows from which the timeline was built.
        timeline: the history; if there is a champion, its codebook continues the champion's.
        params: parameters.
        profile: which of `training.profiles`.
        champion: the model to beat, if any.
        storage: SQLite file in which a search of several trials survives a kill.
        progress: told of the work.

    Raises:
        DataError: too few decisions or responses.
    """
    # LightGBM and the sweep are told how many threads to take; what multiplies matrices would take every core.
    with threadpool_limits(limits=params.threads, user_api="blas"):
        progress("decisions", 0, 1)
        made = decision_spine(intake, timeline, params, only=timeline.window)
        decisions = made.over(timeline.window.until_us - horizon_us(params))
        require_decisions(decisions, np.arange(len(decisions)), params, "in all")
        hashes = customer_hashes(timeline.customer_ids, params.seed)
        split = split_decisions(decisions.spine.as_of_us, decisions.spine.customer, hashes, params)
        # Nothing that judges may have taught the base rates inside the features either.
        features = learn_features(intake, timeline, params, until_us=split.judged_from_us)
        progress("decisions", 1, 1)

        def rows_of(each: FeatureSet) -> FeatureRows:
            return FeatureRows(each, timeline, each.demographic.table(intake, timeline), params.threads)

        rival = None
        if champion is not None:
            rival = Champion(champion, rows_of(FeatureSet.from_json(champion.manifest.features)))
        result = train_bundle(
            decisions,
            rows_of(features),
            split,
            hashes,
            params,
            profile,
            champion=rival,
            fingerprint=timeline.fingerprint,
            storage=storage,
            progress=progress,
        )
        del decisions
        progress("profile", 0, 1)
        bundle = with_profile(result.bundle, intake, timeline, params, made)
        progress("profile", 1, 1)
        return replace(result, bundle=bundle, report=replace(result.report, model_version=bundle.model_version))


def train_bundle(
    decisions: Decisions,
    source: RowSource,
    split: Split,
    hashes: Floats,
    params: Params,
    profile: ProfileName,
    *,
    champion: Champion | None = None,
    fingerprint: str = "",
    storage: Path | None = None,
    progress: Progress = silent,
) -> TrainingResult:
    """Trains on given decisions and columns: the part of `train` that needs no tables.

    Args:
        decisions: what was decided and what followed.
        source: columns of any rows.
        split: who teaches, chooses and judges.
        hashes: (n_customers,), in [0, 1), the order of sampling.
        params: parameters.
        profile: which of `training.profiles`.
        champion: the model to beat.
        fingerprint: of the data, kept in the bundle.
        storage: of the search.
        progress: told of the work.

    Raises:
        DataError: too few decisions or responses.
    """
    chosen = params.training.profiles[profile]
    study = Study(decisions, source, split, hashes, params, chosen, usable_rows(decisions, params))
    for what, rows in (("to learn from", split.learn), ("to choose on", split.choose)):
        require_decisions(decisions, rows[study.usable[rows]], params, what)
    selection = select_columns(study, split.learn)
    source = source.select(selection.kept)
    study = replace(study, source=source)
    propensity, evidence = weigh_log(study)
    found = Findings(
        overlap_of(study, propensity, evidence), decisions.opens, find_leaks(study, study.rows_of(split.learn))
    )
    learn, choose = study.part(split.learn), study.judging_part(split.choose)
    fingerprints = {"data": fingerprint, "params": _digest(params.model_dump_json())}
    name = f"{params.objective}-{profile}-{_digest(json.dumps(fingerprints) + source.to_json())[:16]}"

    def told(done: float, total: float) -> None:
        progress("models", done, total)

    models = fit_models(study, learn, choose, propensity, storage, name, told)
    progress("judging", 0, 3)
    findings = _judge(study, models, learn, propensity, evidence, champion, progress)
    final, refitted = models, None
    del learn, choose
    if chosen.refit:
        progress("last fit", 0, 1)
        refitted = study.part(np.arange(len(decisions)))
        final = refit_models(study, models, refitted, propensity)
        progress("last fit", 1, 1)
    bundle = _bundle(study, models, final, findings, evidence, fingerprints)
    report = _report(study, models, final, bundle, findings, evidence)
    report = replace(report, selection=selection, findings=found, remarks=tuple(found.lines(params)))
    return TrainingResult(bundle, report, findings.verdict)


@dataclass(frozen=True)
class _Findings:
    """What judging found; `parts` counts rows by what they were for."""

    parts: dict[str, int]
    rates: Floats
    judged: dict[str, Judged]
    intervals: Intervals
    forecast_error: ForecastError
    preferences: dict[str, judging.PreferenceQuality]
    policies: tuple[PolicyValue, ...]
    insight: Insight
    verdict: Verdict


def _judge(
    study: Study,
    models: Models,
    learn: Part,
    propensity: Floats,
    evidence: tuple[Evidence, ...],
    champion: Champion | None,
    progress: Progress,
) -> _Findings:
    n_actions = len(study.actions)
    rates = base_rates(learn.action, learn.response, n_actions)
    logistic = fit_logistic(learn.table, learn.response, study.params.seed)
    progress("judging", 1, 3)
    split = study.split
    rows = {"out_of_time": split.out_of_time, "out_of_customer": split.out_of_customer}
    parts = {name: study.judging_part(each) for name, each in rows.items() if study.usable[each].any()}
    judged = {name: judging.judge_response(study, models, part, rates, logistic) for name, part in parts.items()}
    first = next(iter(parts))
    parts_held = (study.judging_part(split.choose), parts[first])
    held = held_out(study, models, parts_held, (None, judged[first].predictors[CHALLENGER]))
    intervals = fit_intervals(held, n_actions, _taught(study, learn))
    error = fit_forecast_error([_held_out(models, part, judged[name]) for name, part in parts.items()])
    progress("judging", 2, 3)
    preferences = {}
    for head, fitted in ((heads.CONTACT, models.contact), (heads.ENGAGEMENT, models.engagement)):
        shares = judging.learned_shares(study, learn, head, propensity)
        if quality := judging.judge_preference(study, fitted, parts[first], head, propensity, shares):
            preferences[head] = quality
    considered = judging.weigh_alternatives(study, models, rows[first])
    policies = judging.judge_policies(study, considered, evidence)
    curves = judging.judge_uplift(study, considered, evidence)
    insight = gather_insight(study, models, first, parts[first], judged[first], curves)
    progress("judging", 3, 3)
    counts = {"learn": len(split.learn), "choose": len(split.choose)} | {name: len(each) for name, each in rows.items()}
    if champion is None:
        verdict = first_verdict(judged[first], study.actions, study.params.training.calibration_bins)
    else:
        verdict = champion_verdict(Trained(study, parts[first], judged[first], considered, evidence), champion)
    return _Findings(counts, rates, judged, intervals, error, preferences, policies, insight, verdict)


def _taught(study: Study, learn: Part) -> float:
    """Of the decisions on which the last fit is made, the share that taught the models which are judged."""
    if not study.profile.refit:
        return 1.0
    return min(1.0, len(learn.rows) / len(study.rows_of(np.arange(len(study.decisions)))))


def _held_out(models: Models, part: Part, judged: Judged) -> HeldOut:
    margin = models.margin.over(places_of(part.table.names))
    return HeldOut(
        probability=judged.predictors[CHALLENGER],
        response=part.response,
        action=part.action,
        campaign=part.decisions.campaign[part.rows].astype(np.int64),
        customer=part.table.customer,
        worth_eur=mapped(part.table, margin.expected),
        margin_eur=part.margin_eur,
    )


def _bundle(
    study: Study,
    models: Models,
    final: Models,
    findings: _Findings,
    evidence: tuple[Evidence, ...],
    fingerprints: dict[str, str],
) -> Bundle:
    params, source, spine = study.params, study.source, study.decisions.spine
    manifest = Manifest(
        objective_name=params.objective,
        objective=params.target,
        channels=tuple(params.channels),
        outbound=params.outbound,
        names=source.names,
        categorical=source.categorical,
        candidate=source.candidate,
        features=source.to_json(),
        history=final.history,
        response_calibration=final.response.learned.calibration,
        effects=final.response.learned.effects,
        judged_effects=models.response.learned.effects,
        intervals=findings.intervals,
        forecast_error=findings.forecast_error,
        contact=_preference(study, final.contact, params.outbound, candidate=True),
        engagement=_preference(study, final.engagement, tuple(params.channels), candidate=False),
        margin=final.margin,
        evidence=evidence,
        base_rates=tuple(findings.rates.tolist()),
        window=Window(
            start_us=int(spine.as_of_us.min()),
            end_us=int(spine.as_of_us.max()) + 1,
            judged_from_us=study.split.judged_from_us,
            decisions=len(spine),
            customers=len(np.unique(spine.customer)),
            seed=params.seed,
        ),
        fingerprints=fingerprints,
    )
    texts = {RESPONSE: final.response.trees.text, JUDGED: models.response.trees.text}
    texts |= {CONTACT: final.contact.text} if final.contact.text is not None else {}
    texts |= {ENGAGEMENT: final.engagement.text} if final.engagement.text is not None else {}
    return Bundle.assembled(manifest, texts, params.threads)


def _preference(study: Study, head: FittedPreference, channels: tuple[str, ...], *, candidate: bool) -> Preference:
    return Preference(
        channels=tuple(channels[c] for c in head.classes),
        columns=tuple(study.columns(candidate=candidate)),
        calibration=head.calibration,
        fixed=head.fixed,
        effects=head.effects,
    )


def _report(
    study: Study, models: Models, final: Models, bundle: Bundle, findings: _Findings, evidence: tuple[Evidence, ...]
) -> TrainingReport:
    decisions = study.decisions
    n_actions = len(study.actions)
    counts = np.bincount(decisions.spine.action, minlength=n_actions)
    responses = np.bincount(decisions.spine.action, weights=decisions.response, minlength=n_actions)
    bins = study.params.training.calibration_bins
    trees = (models.response.trees, final.response.trees, final.contact, final.engagement)
    effects = final.response.learned.effects
    return TrainingReport(
        objective=study.params.objective,
        model_version=bundle.model_version,
        rows={"in_all": len(decisions), **findings.parts},
        left_out=study.left_out,
        split_note=study.split.note,
        base_rates={
            name: (int(counts[a]), int(responses[a]), float(responses[a] / max(1, counts[a])))
            for a, name in enumerate(study.actions)
        },
        evaluation={name: evaluate(judged, study.actions, bins) for name, judged in findings.judged.items()},
        preferences=findings.preferences,
        policies=findings.policies,
        insight=findings.insight,
        search=models.tried,
        contenders=models.contenders,
        credit=models.response.credit,
        pairs=() if effects is None else effects.pairs,
        appeal=None if effects is None else appealing(effects, bundle),
        window=bundle.manifest.window,
        evidence=evidence,
        settings={
            **models.recipe.model_dump(),
            "learner": models.response.name,
            "trees": models.response.rounds,
            "trials": len(models.tried),
            "calibration": models.response.learned.calibration.kind,
            "contact_learner": models.contact.learner,
            "contact_trees": models.contact.trees,
            "engagement_trees": models.engagement.trees,
            "undone_splits": sum(each.undone_splits for each in trees),
            "fewest_customers": min(each.fewest_customers for each in trees if each.fewest_customers is not None),
            "seed": study.params.seed,
            "max_decisions": study.profile.max_decisions,
        },
        fingerprints=bundle.manifest.fingerprints,
        verdict=findings.verdict,
    )


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
