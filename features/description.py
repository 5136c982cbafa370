"""What each declared feature says, looks at and is measured in, for readers and other programs; computes no feature."""

import json
from collections.abc import Sequence
from dataclasses import dataclass

from contract.params import Params
from features.declared import declared_features
from features.events import Codebook
from features.grammar import Feature
from features.phrases import line_of, named_sets


@dataclass(frozen=True)
class FeatureWords:
    """A feature in words.

    inputs: the events that it looks at; window: of time; line: as `features.add` would declare it, empty where no
    words do.
    """

    name: str
    operation: str
    meaning: str
    unit: str
    inputs: str
    window: str
    line: str


def describe_features(params: Params) -> tuple[FeatureWords, ...]:
    """Every feature that the parameters declare, as over a history that has categories."""
    codebook = Codebook((), ("category",), tuple(params.channels), params.outbound)
    sets = named_sets(params)
    return tuple(
        FeatureWords(
            name=each.name,
            operation=type(each).__name__,
            meaning=each.meaning,
            unit=each.unit,
            inputs="; ".join(found.words for found in each.sets) or "the moment itself",
            window=_window(each),
            line=_text(line_of(each, sets)),
        )
        for each in declared_features(params, codebook)
    )


def _window(feature: Feature) -> str:
    days = [f"{each:g}" for each in feature.windows]
    spans = {"span_days": "{} calendar days", "half_life_days": "half-life of {} days"}
    found = [words.format(f"{vars(feature)[name]:g}") for name, words in spans.items() if name in vars(feature)]
    if days:
        found.append(f"{' and '.join(days)} days")
    return ", ".join(found) or ("lookback" if feature.sets or not vars(feature) else "none")


def _text(line: dict[str, object] | None) -> str:
    """A line in YAML's flow style.

    >>> _text({"count": "answers on sms", "days": 30.0})
    '{count: answers on sms, days: 30}'
    """
    if line is None:
        return ""
    return "{" + ", ".join(f"{name}: {_plain(value)}" for name, value in line.items()) + "}"


def _plain(value: object) -> str:
    if isinstance(value, float):
        return f"{value:g}"
    if isinstance(value, Sequence) and not isinstance(value, str):
        return "[" + ", ".join(map(str, value)) + "]"
    return "null" if value is None else str(value)


def as_json(words: Sequence[FeatureWords]) -> str:
    """The same for programs: a list of objects."""
    return json.dumps([vars(each) for each in words], indent=1, ensure_ascii=False)
