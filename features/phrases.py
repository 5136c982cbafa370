"""Features declared as data, one line each, as `features.add` in params.yaml has them, and back; computes nothing.

A line names the operation and, in words, the events that it looks at:

    {count: answers on sms, days: 30}
    {rate: answers on candidate, per: sends on candidate, days: 90}
    {followed: answers on store+web, after: sends on email, within_days: 3, days: 90}
    {share: purchases about garden, whole: purchases, days: 365}

Events are one of the sets of `Subjects` or of `features.sets`, then `on CHANNEL` (several joined by +; `candidate` is
the channel at hand), then `about CATEGORY` (`own_category` is that of the campaign at hand). The result is the same
`Feature` that Python declares, so a line works in training, batch and online alike.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import MISSING, Field, fields
from difflib import get_close_matches
from typing import Any, Final, get_args

from contract.errors import ParameterError
from contract.params import EventsNamed, Params
from features.catalogue import Subjects, subjects
from features.event_sets import CANDIDATE, EventSet
from features.grammar import Feature

WINDOW: Final = "days"
"""What `window_days` is called in a line."""

_PHRASE: Final = re.compile(r"(?P<name>\S+)(?: on (?P<channels>\S+))?(?: about (?P<categories>\S+))?")


class LineError(ValueError):
    """What is wrong with one line; never leaves this module."""


def operations() -> dict[str, type[Feature]]:
    """Every operation of the grammar by its name in a line."""
    return {_snake(each.__name__): each for each in Feature.__subclasses__()}


def added_features(params: Params) -> tuple[Feature, ...]:
    """The features of `features.add`, in order.

    Raises:
        ParameterError: With every fault of every line, each with its place and the nearest names.
    """
    sets, found, faults = named_sets(params), [], []
    for at, line in enumerate(params.features.add):
        try:
            found.append(feature_of(line, sets, params))
        except LineError as fault:
            faults.append(f"features.add[{at}]: {fault}")
    if faults:
        raise ParameterError(faults)
    return tuple(found)


def named_sets(params: Params) -> dict[str, EventSet]:
    """Sets that a line may name: those of the default features and those of `features.sets`."""
    shipped: Subjects = subjects(params)
    found = {name: value for name, value in vars(shipped).items() if isinstance(value, EventSet)}
    return found | {name: _declared(name, each) for name, each in params.features.sets.items()}


def feature_of(line: Mapping[str, Any], sets: Mapping[str, EventSet], params: Params) -> Feature:
    """The feature that a line declares.

    Raises:
        LineError: Its operation, a set, a channel or an operand is not known, is missing or has the wrong type.
    """
    known = operations()
    named = [name for name in line if name in known]
    if len(named) != 1:
        words = ", ".join(str(name) for name in line)
        found = f"found {len(named)} ({', '.join(named)})" if named else f"found none among {words}"
        raise LineError(f"expected one operation, {found}{_nearest([str(name) for name in line], known)}")
    operation = known[named[0]]
    slots = _slots(operation)
    unknown = [name for name in line if name != named[0] and name not in slots]
    if unknown:
        raise LineError(f"{named[0]}: '{unknown[0]}' is no operand; it takes {', '.join(slots) or 'none'}")
    first = _first(operation)
    given = {name: value for name, value in line.items() if name != named[0]}
    if first is not None:
        given[first.name] = line[named[0]]
    return operation(**{slot.name: _value(key, slot, given, sets, params) for key, slot in _all(operation)})


def line_of(feature: Feature, sets: Mapping[str, EventSet]) -> dict[str, Any] | None:
    """The line that declares the feature; None where it looks at a set that no words name."""
    line: dict[str, Any] = {}
    first = _first(type(feature))
    if first is None:
        line[_snake(type(feature).__name__)] = None
    for key, slot in _all(type(feature)):
        value = getattr(feature, slot.name)
        if isinstance(value, EventSet):
            value = _phrase_of(value, sets)
            if value is None:
                return None
        elif isinstance(value, tuple):
            value = list(value)
        line[_snake(type(feature).__name__) if first is not None and slot.name == first.name else key] = value
    return line


def _value(key: str, slot: Field[Any], given: Mapping[str, Any], sets: Mapping[str, EventSet], params: Params) -> Any:
    """An operand as the operation takes it."""
    if key not in given and slot.name not in given:
        return _default(key, slot, params)
    value = given.get(key, given.get(slot.name))
    if slot.type is EventSet:
        return _set_of(value, sets, params)
    if slot.name == "over":
        return tuple(_known_channels([value] if isinstance(value, str) else value, params))
    choices = get_args(slot.type)
    if choices:
        if value not in choices:
            raise LineError(f"{key}: found {value!r}; expected one of {', '.join(map(str, choices))}")
        return value
    if isinstance(value, bool) or not isinstance(value, int | float) or value < 0:
        raise LineError(f"{key}: found {value!r}; expected a number of at least 0")
    return int(value) if slot.type is int else float(value)


def _default(key: str, slot: Field[Any], params: Params) -> Any:
    if slot.name == "pseudo":
        return params.features.smoothing_sends
    if slot.name == "over":
        return tuple(params.channels)
    if slot.default is not MISSING and "window" not in slot.metadata:
        return slot.default
    raise LineError(f"'{key}' is missing")


def _set_of(words: Any, sets: Mapping[str, EventSet], params: Params) -> EventSet:
    match = _PHRASE.fullmatch(words) if isinstance(words, str) else None
    if match is None:
        raise LineError(f"found {words!r}; expected events such as 'answers on sms' or 'purchases about own_category'")
    name, channels, categories = match.group("name", "channels", "categories")
    if name not in sets:
        raise LineError(f"'{name}' is no set of events{_nearest([name], sets)}; declare it under features.sets")
    found = sets[name]
    if channels is not None:
        found = found.on(*([CANDIDATE] if channels == CANDIDATE else _known_channels(channels.split("+"), params)))
    return found if categories is None else found.about(*categories.split("+"))


def _known_channels(names: Sequence[Any], params: Params) -> list[str]:
    unknown = [str(name) for name in names if name not in params.channels]
    if unknown:
        near = _nearest(unknown, params.channels)
        raise LineError(f"'{unknown[0]}' is no declared channel{near}; declare it under channels:")
    return [str(name) for name in names]


def _phrase_of(events: EventSet, sets: Mapping[str, EventSet]) -> str | None:
    for name, each in sets.items():
        same = (each.kinds, each.transactional) == (events.kinds, events.transactional)
        if same and not each.channels and not each.categories:
            placed = each.on(*events.channels) if events.channels else each
            placed = placed.about(*events.categories) if events.categories else placed
            on = f" on {'+'.join(events.channels)}" if events.channels else ""
            about = f" about {'+'.join(events.categories)}" if events.categories else ""
            if placed == events:
                return f"{name}{on}{about}"
    return None


def _declared(name: str, each: EventsNamed) -> EventSet:
    return EventSet(
        name, each.words, tuple(each.kinds), tuple(each.channels), tuple(each.categories), each.transactional
    )


def _first(operation: type[Feature]) -> Field[Any] | None:
    """The operand that stands beside the operation's name."""
    return next(iter(fields(operation)), None)


def _all(operation: type[Feature]) -> list[tuple[str, Field[Any]]]:
    return [(WINDOW if each.name == "window_days" else each.name, each) for each in fields(operation)]


def _slots(operation: type[Feature]) -> list[str]:
    """Names of the operands beyond the first."""
    first = _first(operation)
    return [key for key, each in _all(operation) if first is None or each.name != first.name]


def _snake(name: str) -> str:
    """The name of an operation in a line.

    >>> _snake("LastValue")
    'last_value'
    """
    return re.sub(r"(?<!^)(?=[A-Z])", "_", name).lower()


def _nearest(asked: Sequence[str], known: Mapping[str, object]) -> str:
    near = [name for each in asked for name in get_close_matches(each, known, n=3)]
    return f" (nearest: {', '.join(near)})" if near else f" (there are {', '.join(known)})"
