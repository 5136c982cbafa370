"""Every number a person may turn is explained beside it in params.yaml."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

SHIPPED = (Path(__file__).resolve().parents[2] / "params.yaml").read_text(encoding="utf-8")
Leaf = tuple[str, bool]


def leaves(text: str) -> list[Leaf]:
    """The path of every leaf of a YAML mapping, and whether a comment explains it.

    A comment does so at the end of its line, directly above its line, or above a key that holds it: there it names it,
    or says `HOLDER.NAME` where the names are the reader's own.
    """
    node = yaml.compose(text, yaml.SafeLoader)
    assert isinstance(node, yaml.MappingNode)
    return list(_walk(node, "", "", text.splitlines()))


def _walk(node: yaml.MappingNode, path: str, above: str, lines: list[str]) -> Iterator[Leaf]:
    for key, value in node.value:
        name, number = key.value, key.start_mark.line
        block = comment_above(lines, number)
        if isinstance(value, yaml.MappingNode) and value.value:
            yield from _walk(value, f"{path}{name}.", f"{above}\n{block}", lines)
        else:
            own_line = number == node.start_mark.line or lines[number].lstrip().startswith(f"{name}:")
            beside = own_line and not node.flow_style and (bool(block) or " # " in lines[number])
            names = rf"\b({re.escape(name)}|{re.escape(path)}NAME)\b"
            yield f"{path}{name}", beside or bool(re.search(names, above))


def comment_above(lines: list[str], number: int) -> str:
    """The unbroken comment directly above a line."""
    first = number
    while first and lines[first - 1].lstrip().startswith("#"):
        first -= 1
    return "\n".join(lines[first:number])


def test_every_leaf_is_explained() -> None:
    bare = [path for path, explained in leaves(SHIPPED) if not explained]
    assert not bare, f"params.yaml: say the unit, range and reason of {bare}"


def test_the_walk_sees_every_leaf() -> None:
    paths = [path for path, _ in leaves(SHIPPED)]
    assert {"seed", "planning.holdout_share", "objectives.sell.kinds", "channels.email.unit_cost"} <= set(paths)


@pytest.mark.parametrize(
    ("text", "explained"),
    [
        ("seed: 0 # of every choice", True),
        ("seed: 0", False),
        ("# what it is for\nseed: 0", True),
        ("# a word about another\n\nseed: 0", False),
        ("# NAME: cost  in EUR\nmail: {cost: 1}", True),
        ("# NAME: a price in EUR\nmail: {cost: 1}", False),
        ("plan:\n  share: 1 # of customers", True),
        ("plan: # all of it\n  share: 1", False),
        ("mail: {cost: 1} # a channel", False),
        ("# tables.NAME: where it lies\ntables:\n  sales: {}", True),
        ("# tables: where each lies\ntables:\n  sales: {}", False),
        ("limits: {}", False),
        ("limits: {} # per channel", True),
    ],
)
def test_a_missing_explanation_is_seen(text: str, explained: bool) -> None:
    assert [each for _, each in leaves(text)] == [explained]
