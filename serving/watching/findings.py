"""What a monitoring found, as data: every comparison with its verdict, and what is told beside; compares nothing."""

import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

from contract.errors import DataError

FORMAT = 1

Verdict = Literal["quiet", "watch", "alarm"]
Group = Literal["tracking", "decisions", "consent", "activity", "hours", "inputs", "scores", "calibration", "plans"]

GROUPS: dict[Group, str] = {
    "tracking": "Tracking: events that stopped, or came twice",
    "decisions": "Decisions: channel mix and randomness of the sender",
    "consent": "Consents: whom a channel may reach",
    "activity": "Activity: events, answers and amounts",
    "hours": "Hours of the day",
    "inputs": "Inputs: columns that the model reads",
    "scores": "Scores: what the model says",
    "calibration": "Calibration: responses against predictions",
    "plans": "Plans: prices of limits and mix",
}
"""Groups of comparisons, causes before what follows from them."""


@dataclass(frozen=True)
class Finding:
    """One comparison.

    before, now: figures of the last reference period (calibration: the prediction) and of the newest. effect: share of
    decisions or events that lie elsewhere, for columns and hours; else the relative change beyond what was expected.
    p: chance of as large a change where nothing changed; adjusted: allowing for all comparisons of the group.
    words: what changed, for readers.
    """

    group: Group
    name: str
    verdict: Verdict
    before: float | None
    now: float | None
    effect: float
    p: float
    adjusted: float
    words: str


@dataclass(frozen=True)
class Calibrated:
    """Decisions of one action in the newest period whose horizon is over, or of "all" together.

    predicted, observed: responses a decision; lower, upper: between which the observed should lie.
    """

    action: str
    decisions: int
    predicted: float
    observed: float
    lower: float
    upper: float


@dataclass(frozen=True)
class Performance:
    """What is known of the model's log loss, nats a decision, in the newest period; None where it cannot be told.

    trained: on decisions that the judged model never saw, before training. by_confidence: the mean of
    −p log p − (1 − p) log(1 − p) of the newest scores, which is the loss to come if they are calibrated. by_weighting:
    the losses before training, weighted to the newest mix of actions and scores, with its standard error and the
    effective number of decisions behind it. observed: of the newest period's decisions whose horizon is over.
    """

    decisions: int
    trained: float | None
    by_confidence: float
    by_weighting: float | None
    weighting_error: float | None
    effective: float | None
    observed: float | None
    observed_decisions: int
    response_rate: float


@dataclass(frozen=True)
class PlanFigures:
    """Of one plan: what it says of its limits and contacts."""

    file: str
    campaign_id: str | None
    as_of: str | None
    contacts: int
    net_eur: float
    prices: dict[str, float]
    mix: dict[str, int]


@dataclass(frozen=True)
class Monitoring:
    """All of one monitoring; times in ISO 8601 UTC. periods_since: whole periods since training, at least 1.

    rare: figures that are not compared, since they rest on too few events in some period.
    """

    format: int
    model_version: str
    trained_until: str
    period_from: str
    as_of: str
    period_days: int
    periods_since: int
    reference_periods: int
    level: float
    decisions: int
    findings: tuple[Finding, ...]
    calibration: tuple[Calibrated, ...]
    performance: Performance | None
    plans: tuple[PlanFigures, ...]
    rare: tuple[str, ...]
    notes: tuple[str, ...]

    def of(self, verdict: Verdict) -> tuple[Finding, ...]:
        """Findings of one verdict, tracking first, then by how sure and how large they are."""
        order = list(GROUPS)
        found = [each for each in self.findings if each.verdict == verdict]
        return tuple(sorted(found, key=lambda each: (order.index(each.group), each.adjusted, -abs(each.effect))))

    @property
    def verdict(self) -> Verdict:
        """The gravest verdict of all."""
        return "alarm" if self.of("alarm") else "watch" if self.of("watch") else "quiet"

    def as_json(self) -> str:
        """Everything, with a stable order of keys."""
        tree: dict[str, Any] = {"verdict": self.verdict, **asdict(self)}
        return json.dumps(tree, indent=1, ensure_ascii=False, allow_nan=False) + "\n"

    def answer(self) -> str:
        """The answer in a sentence."""
        alarms, watched = self.of("alarm"), self.of("watch")
        compared = f"{len(self.findings):,} comparisons with {self.reference_periods} periods before training"
        if not alarms:
            more = f"; {len(watched)} worth a look" if watched else ""
            return f"Nothing that matters has changed since training ({compared}{more})."
        broken = [each for each in alarms if each.group == "tracking"]
        said = f"Tracking broke: {enumerated(each.name for each in broken)}. " if broken else ""
        groups = enumerated(GROUPS[group].split(":")[0].lower() for group in GROUPS if _any(alarms, group))
        return f"{said}{len(alarms)} of {compared} alarm: {groups}."


def read_monitoring(text: str) -> Monitoring:
    """What `Monitoring.as_json` wrote.

    Raises:
        DataError: it is none of this version.
    """
    try:
        tree: dict[str, Any] = json.loads(text)
        del tree["verdict"]
        if tree["format"] != FORMAT:
            raise DataError(f"monitoring: format {tree['format']}; this version reads format {FORMAT}; monitor again")
        performance = tree["performance"]
        return Monitoring(
            **tree
            | {
                "findings": tuple(Finding(**each) for each in tree["findings"]),
                "calibration": tuple(Calibrated(**each) for each in tree["calibration"]),
                "performance": None if performance is None else Performance(**performance),
                "plans": tuple(PlanFigures(**each) for each in tree["plans"]),
                "rare": tuple(tree["rare"]),
                "notes": tuple(tree["notes"]),
            }
        )
    except (ValueError, KeyError, TypeError) as error:
        raise DataError(f"monitoring: is no report of `monitor` ({error!r}); monitor again") from error


def load_monitoring(path: Path) -> Monitoring:
    """The monitoring of a file NAME.json.

    Raises:
        DataError: it is missing, or none of this version.
    """
    try:
        return read_monitoring(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{path}: cannot be read ({error}); expected NAME.json that `monitor` wrote") from error


def _any(findings: Iterable[Finding], group: Group) -> bool:
    return any(each.group == group for each in findings)


def enumerated(words: Iterable[str]) -> str:
    """Words in a row.

    >>> enumerated(["a", "b", "c"])
    'a, b and c'
    """
    every = list(words)
    return every[0] if len(every) == 1 else ", ".join(every[:-1]) + f" and {every[-1]}" if every else "none"
