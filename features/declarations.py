"""Declared features as plain lists and texts and back, so that a bundle keeps its own; computes nothing."""

from collections.abc import Iterator
from dataclasses import asdict, fields
from typing import Any

from contract.errors import ArtefactError
from features.event_sets import EventSet
from features.grammar import Feature


def feature_to_tree(feature: Feature) -> dict[str, Any]:
    """The operation's name and its operands, for JSON."""
    return {"operation": type(feature).__name__, **{name: _plain(value) for name, value in vars(feature).items()}}


def feature_from_tree(tree: dict[str, Any]) -> Feature:
    """The inverse of `feature_to_tree`.

    Raises:
        ArtefactError: The operation is not of this version, or its operands are others.
    """
    operations = {operation.__name__: operation for operation in _operations(Feature)}
    operands = {name: _read(value) for name, value in tree.items() if name != "operation"}
    operation = operations.get(tree.get("operation", ""))
    if operation is None or {each.name for each in fields(operation)} != set(operands):
        raise ArtefactError(
            f"feature set: operation {tree.get('operation')!r} with {', '.join(operands) or 'nothing'} is not known; "
            "it was trained with another version of channelwise: install that one or train again"
        )
    return operation(**operands)


def _operations(parent: type[Feature]) -> Iterator[type[Feature]]:
    for child in parent.__subclasses__():
        yield child
        yield from _operations(child)


def _plain(value: Any) -> Any:
    if isinstance(value, EventSet):
        return {name: _plain(each) for name, each in asdict(value).items()}
    return list(value) if isinstance(value, tuple) else value


def _read(value: Any) -> Any:
    if isinstance(value, dict):
        return EventSet(**{name: _read(each) for name, each in value.items()})
    return tuple(value) if isinstance(value, list) else value
