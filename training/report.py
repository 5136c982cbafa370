"""What a training found, as data: rows and reasons, qualities, policy values, evidence, verdict; computes nothing."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from features.selection import Selection
from models.bundle import Window
from models.evidence import Evidence
from training.appeals import Appealing
from training.credit import Credit
from training.evaluation import Report
from training.findings import Findings
from training.insight import Insight
from training.judging import PreferenceQuality
from training.learners import Contender
from training.policy_value import PolicyValue
from training.promotion import Verdict
from training.search import Tried


@dataclass(frozen=True)
class TrainingReport:
    """All that a training has to tell.

    rows: decisions by what they were for; base_rates: decisions, responses and rate by action in the learning period;
    evaluation: qualities by set of held-out rows; preferences: by head; settings: what was chosen and how; selection:
    columns that were read or left out; insight: what only plots show well; search: trials; contenders: learners and how
    they did where one was taken; credit: to whom responses are owed, and pairs: of customer columns that tell together
    what a contact adds, appeal: of categories, where the learner that was taken says so; window: of the data that
    taught; findings: about the data, `remarks` the same in words.
    """

    objective: str
    model_version: str
    rows: Mapping[str, int]
    left_out: Mapping[str, int]
    split_note: str
    base_rates: Mapping[str, tuple[int, int, float]]
    evaluation: Mapping[str, Report]
    preferences: Mapping[str, PreferenceQuality]
    policies: tuple[PolicyValue, ...]
    evidence: tuple[Evidence, ...]
    settings: Mapping[str, Any]
    insight: Insight
    search: tuple[Tried, ...]
    contenders: tuple[Contender, ...]
    credit: tuple[Credit, ...]
    pairs: tuple[tuple[str, ...], ...]
    appeal: Appealing | None
    window: Window
    fingerprints: Mapping[str, str]
    verdict: Verdict
    selection: Selection = field(default_factory=lambda: Selection(()))
    findings: Findings = field(default_factory=Findings)
    remarks: tuple[str, ...] = ()

    def as_json(self) -> dict[str, Any]:
        """The report as JSON would hold it."""
        plain = {name: value for name, value in vars(self).items() if name != "evidence"}
        plain |= {
            "evaluation": {
                rows: {group: {name: asdict(q) for name, q in found.items()} for group, found in report.items()}
                for rows, report in self.evaluation.items()
            },
            "preferences": {head: asdict(quality) for head, quality in self.preferences.items()},
            "policies": [asdict(each) for each in self.policies],
            "base_rates": {
                name: {"decisions": n, "responses": k, "rate": rate} for name, (n, k, rate) in self.base_rates.items()
            },
            "evidence": [each.model_dump() for each in self.evidence],
            "insight": asdict(self.insight),
            "search": [asdict(each) for each in self.search],
            "contenders": [asdict(each) for each in self.contenders],
            "credit": [asdict(each) for each in self.credit],
            "appeal": None if self.appeal is None else asdict(self.appeal),
            "window": self.window.model_dump(),
            "verdict": asdict(self.verdict),
            "selection": asdict(self.selection),
            "findings": asdict(self.findings),
        }
        return plain

    def metrics(self) -> dict[str, float]:
        """Flat numbers for a tracking server, `set.action.predictor.measure`."""
        named = {**self._qualities(), **self._insights(), **self._values()}
        return {name.replace(" ", "_"): float(value) for name, value in named.items()}

    def _qualities(self) -> dict[str, float]:
        found: dict[str, float] = {}
        for rows, report in self.evaluation.items():
            for group, qualities in report.items():
                for name, quality in qualities.items():
                    measures = {each: value for each, value in asdict(quality).items() if value is not None}
                    found |= {f"{rows}.{group}.{name}.{each}": value for each, value in measures.items()}
        for head, preference in self.preferences.items():
            found |= {f"preference.{head}.{name}": value for name, value in asdict(preference).items()}
        return found

    def _insights(self) -> dict[str, float]:
        shown = {action: each for action, each in self.insight.reliability.items() if each is not None}
        curves = {each.channel: each.qini for each in self.insight.curves if each.qini is not None}
        return {
            **{f"reliability.{action}.error": each.error for action, each in shown.items()},
            **{f"reliability.{action}.by_chance": each.chance for action, each in shown.items()},
            **{f"uplift.{channel}.qini": each.value for channel, each in curves.items()},
        }

    def _values(self) -> dict[str, float]:
        found: dict[str, float] = {}
        for each in self.policies:
            found |= {f"policy.{each.name}.{name}_eur": value.value for name, value in each.estimates.items()}
            if each.lead is not None:
                found[f"policy.{each.name}.lead_of_the_model_eur"] = each.lead.value
        return found
