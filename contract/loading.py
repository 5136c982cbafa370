"""Reads and merges parameter files and `--set` assignments; every fault of all of them is reported at once."""

import difflib
from collections.abc import Collection, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml
from pydantic import BaseModel, ValidationError

from contract.errors import ParameterError
from contract.params import Params

Tree = dict[str, Any]


def shipped_path() -> Path:
    """The `params.yaml` of this distribution: inside the wheel, or at the root of a checkout."""
    here = Path(__file__).parent
    inside = here / "params.yaml"
    return inside if inside.exists() else here.parent / "params.yaml"


def load_params(files: Sequence[Path] = (), assignments: Sequence[str] = ()) -> Params:
    """The shipped parameters with `files`, then `assignments` (`path.to.key=value`), merged over them.

    Raises:
        ParameterError: with every fault of every file and key.
    """
    faults: list[str] = []
    tree = _read(shipped_path(), faults)
    for file in files:
        tree = merge(tree, _read(file, faults))
    for assignment in assignments:
        tree = merge(tree, _assigned(assignment, faults))
    return _validated(tree, faults)


def merge(under: Tree, over: Mapping[str, Any]) -> Tree:
    """`over` merged over `under`: mappings key by key, anything else replaced, `None` removes a mapping's entry.

    >>> merge({"a": {"b": 1, "c": 2}}, {"a": {"c": 3}})
    {'a': {'b': 1, 'c': 3}}
    """
    result = dict(under)
    for key, value in over.items():
        below = result.get(key)
        if value is None and isinstance(below, Mapping):
            del result[key]
        elif isinstance(value, Mapping) and isinstance(below, Mapping):
            result[key] = merge(dict(below), value)
        else:
            result[key] = value
    return result


class _NoRepeats(yaml.SafeLoader):
    """YAML in which a key given twice is a fault instead of a silent loss."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen = set()
        for key_node, _ in node.value:
            key = self.construct_object(key_node, deep=True)
            if isinstance(key, list | dict):
                raise yaml.constructor.ConstructorError(None, None, "a key must be a single value", key_node.start_mark)
            if key in seen:
                raise yaml.constructor.ConstructorError(
                    None, None, f"the key '{key}' is given twice", key_node.start_mark
                )
            seen.add(key)
        return super().construct_mapping(node, deep)


def _read(path: Path, faults: list[str]) -> Tree:
    try:
        tree = yaml.load(path.read_text(encoding="utf-8"), _NoRepeats)  # noqa: S506  a SafeLoader
    except OSError as error:
        faults.append(f"{path}: cannot be read ({error.strerror}); give the path of a YAML file")
        return {}
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        faults.append(f"{path}: is no valid YAML: {' '.join(str(error).split())}")
        return {}
    if tree is None:
        return {}
    if not isinstance(tree, dict):
        faults.append(f"{path}: holds a {type(tree).__name__}; expected keys and values")
        return {}
    return tree


def _assigned(assignment: str, faults: list[str]) -> Tree:
    path, equals, text = assignment.partition("=")
    if not equals or not path.strip():
        faults.append(f"--set {assignment}: expected path.to.key=value")
        return {}
    try:
        value = yaml.load(text, _NoRepeats)  # noqa: S506  a SafeLoader
    except yaml.YAMLError as error:
        faults.append(f"--set {path}: the value is no valid YAML: {' '.join(str(error).split())}")
        return {}
    for key in reversed(path.strip().split(".")):
        value = {key: value}
    return dict(value)


def _validated(tree: Tree, faults: list[str]) -> Params:
    """Rules over several values are checked only once each value is right, so wrong ones give way to the shipped."""
    shipped = _read(shipped_path(), [])
    repaired = tree
    taken_out: set[str] = set()
    while True:
        try:
            params = Params.model_validate(repaired)
            break
        except ValidationError as error:
            found = [fault for fault in _described(error, taken_out) if fault not in faults]
            faults.extend(found)
            before = repaired
            for each in error.errors(include_url=False):
                path = [str(part) for part in each["loc"] if part != "[key]"]
                taken_out.add(".".join(path))
                mended = _with_shipped(repaired, path, shipped)
                # What lacks a value that is not shipped either goes as a whole.
                repaired = _with_shipped(repaired, path[:-1], shipped) if mended == repaired else mended
            if repaired in (before, shipped):
                break
    if faults:
        raise ParameterError(faults)
    return params


def _with_shipped(tree: Tree, path: Sequence[str], shipped: Any) -> Tree:
    """The tree with the value at `path` as shipped; without it where none is shipped."""
    if not path or not isinstance(tree, dict):
        return tree
    key, *rest = path
    below = shipped.get(key) if isinstance(shipped, dict) else None
    result = dict(tree)
    if rest and isinstance(result.get(key), dict):
        result[key] = _with_shipped(result[key], rest, below)
    elif below is None:
        result.pop(key, None)
    else:
        result[key] = below
    return result


def _described(error: ValidationError, taken_out: Collection[str]) -> Iterable[str]:
    """Each fault once: a value is not missing that was `taken_out` because it is wrong."""
    for each in error.errors(include_url=False):
        path = ".".join(str(part) for part in each["loc"] if part != "[key]")
        if each["type"] == "missing" and path in taken_out:
            continue
        message = each["msg"].removeprefix("Value error, ")
        if each["type"] == "extra_forbidden":
            yield f"{path}: unknown key{_nearest(each['loc'])}"
        elif each["type"] == "missing":
            yield f"{path}: is missing; the shipped params.yaml shows it with its range"
        elif isinstance(each["input"], dict):
            yield from [f"{path}: {message}"] if path else message.split("; ")
        else:
            yield f"{path}: found {each['input']!r}; {message}"


def _nearest(loc: tuple[int | str, ...]) -> str:
    names = difflib.get_close_matches(str(loc[-1]), sorted(_known_keys(Params)), n=2)
    return f"; did you mean {' or '.join(names)}?" if names else "; remove it or see the shipped params.yaml"


def _known_keys(model: type[BaseModel]) -> set[str]:
    from_subclasses = (_known_keys(each) for each in model.__subclasses__())
    keys = set(model.model_fields).union(*from_subclasses)
    for field in model.model_fields.values():
        for candidate in (field.annotation, *getattr(field.annotation, "__args__", ())):
            if isinstance(candidate, type) and issubclass(candidate, BaseModel):
                keys |= _known_keys(candidate)
    return keys
