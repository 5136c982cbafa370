"""True value of plans in simulated retailers as a share of the best possible: ours, plain learners, rules, a reference.

Every way of choosing is held to the same limits and the same eligibility, and learns from the same decisions.
"""

import hashlib
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from typing import Final

import numpy as np

from benchmarks.parts import plain_learners as plain
from benchmarks.parts.coverage import interval_coverage
from benchmarks.parts.kept_results import Figures, KeptResults
from benchmarks.parts.our_plan import our_plan
from benchmarks.parts.preferences import judge_contact, judge_plain
from benchmarks.parts.retail_world import SOURCES, Actions, Floats, PlainRows, RetailWorld, opened, settings_of
from channelwise.demos.rules import fill, rule_strengths
from contract.params import Params
from training.pipeline import ProfileName

OURS, REFERENCE = "ours", "reference"
S_LEARNER, T_LEARNER, RESPONSE = "S-learner", "T-learner", "response argmax"
MOST_CLICKED, MOST_ENGAGED = "most clicked", "most engaged"
PLAIN_SOURCES: Final = (*SOURCES, "benchmarks/parts/plain_learners.py")
PREFERENCE_SOURCES: Final = (*PLAIN_SOURCES, "benchmarks/parts/preferences.py")
OUR_SOURCES: Final = (
    *PREFERENCE_SOURCES,
    *("params.yaml", "contract", "models", "training", "serving", "benchmarks/parts/our_plan.py"),
)
PLAIN_PREFERENCES: Final = "plain preferences"


@dataclass(frozen=True)
class Asked:
    """Which worlds: kinds of `retail_world.WORLDS`, seeds from 0, customers, and how hard a training tries."""

    kinds: tuple[str, ...]
    seeds: int
    customers: int
    profile: ProfileName
    params: Params
    kept: KeptResults


@dataclass(frozen=True)
class Finding:
    """Something to find out in a world, and the folders and files whose text it depends on."""

    find: Callable[[RetailWorld, Asked], Figures]
    sources: tuple[str, ...]


def judge_worlds(asked: Asked, findings: Mapping[str, Finding]) -> dict[str, list[Figures]]:
    """By kind of world, for each seed: the figures by finding; what is kept is not found again."""
    return {kind: [_judge_world(asked, findings, kind, seed) for seed in range(asked.seeds)] for kind in asked.kinds}


def _judge_world(asked: Asked, findings: Mapping[str, Finding], kind: str, seed: int) -> Figures:
    settings = hashlib.sha256(settings_of(asked.params).encode()).hexdigest()[:8]
    place = f"{kind}-{asked.customers}-{seed}-{asked.profile}-{asked.params.threads}-{settings}"
    names = {who: f"{place}-{who.replace(' ', '_')}" for who in findings}
    found = {who: asked.kept.find(names[who], each.sources) for who, each in findings.items()}
    missing = [who for who, figures in found.items() if figures is None]
    if missing:
        with opened(kind, asked.customers, seed, asked.params) as world:
            for who in missing:
                start = time.process_time()
                figures = findings[who].find(world, asked)
                figures["cpu_s"] = time.process_time() - start
                found[who] = figures
                if "refused" not in figures:
                    asked.kept.keep(names[who], findings[who].sources, figures)
                share = figures.get("share")
                shown = "" if share is None else f"{share:.3f}"
                print(f"  {kind} {seed}: {who:20}{shown:8}{figures['cpu_s']:6.0f} CPU-s", flush=True)
    return found


def figures_of(world: RetailWorld, actions: Actions) -> Figures:
    """True value, the best there is, their ratio, contacts by channel."""
    value = world.value_eur(actions)
    contacts = np.bincount(actions + 1, minlength=1 + len(world.truth.channels))[1:]
    return {
        "value_eur": value,
        "best_eur": world.best_eur,
        "share": value / world.best_eur,
        "contacts": dict(zip(world.truth.channels, contacts.tolist(), strict=True)),
    }


def _ours(world: RetailWorld, asked: Asked) -> Figures:
    found = our_plan(world, asked.profile, asked.kept.folder / "search.db")
    coverage = {name: asdict(each) for name, each in interval_coverage(found.scores, world.truth).items()}
    figures = figures_of(world, found.actions)
    settings = found.training.report.settings
    return {
        **figures,
        "train_cpu_s": found.train_cpu_s,
        "settings": settings,
        "coverage": coverage,
        "preference": judge_contact(world, found.scores),
    }


def _by_rule(name: str) -> Finding:
    def find(world: RetailWorld, _asked: Asked) -> Figures:
        truth = world.truth
        strengths = rule_strengths(world.intake, world.params, name, list(truth.customer_ids), truth.channels)
        return figures_of(world, fill(strengths, world.eligible, truth.cost_eur[1:], world.limits))

    return Finding(find, PLAIN_SOURCES)


def _by_learner(
    responses: Callable[[RetailWorld, PlainRows], Floats],
    gains: Callable[[RetailWorld, PlainRows, Floats], Floats],
) -> Finding:
    def find(world: RetailWorld, asked: Asked) -> Figures:
        learn, name = world.learning(asked.profile), responses.__name__
        if name not in world.responses:
            world.responses[name] = responses(world, learn)
        return figures_of(world, world.allocated(gains(world, learn, world.responses[name])))

    return Finding(find, PLAIN_SOURCES)


def _by_truth(world: RetailWorld, _asked: Asked) -> Figures:
    return figures_of(world, world.allocated(plain.taught_by_truth(world)))


def _plain_preferences(world: RetailWorld, asked: Asked) -> Figures:
    return judge_plain(world, world.learning(asked.profile))


VALUES: Final[dict[str, Finding]] = {
    OURS: Finding(_ours, OUR_SOURCES),
    REFERENCE: Finding(_by_truth, PLAIN_SOURCES),
    S_LEARNER: _by_learner(plain.s_responses, plain.uplift_gains),
    T_LEARNER: _by_learner(plain.t_responses, plain.uplift_gains),
    RESPONSE: _by_learner(plain.t_responses, plain.response_gains),
    **{name: _by_rule(name) for name in (MOST_CLICKED, MOST_ENGAGED)},
}
PREFERENCES: Final[dict[str, Finding]] = {PLAIN_PREFERENCES: Finding(_plain_preferences, PREFERENCE_SOURCES)}
