"""Whether answers are what an OpenAPI document says, by the part of JSON Schema that its schemas use."""

import re
from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any

KNOWN = {
    "$ref", "anyOf", "enum", "const", "type", "properties", "required", "additionalProperties", "items", "minItems",
    "maxItems", "minLength", "maxLength", "minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "format",
    "title", "description", "default",
}  # fmt: skip
TYPES: dict[str, tuple[type, ...]] = {
    "object": (dict,), "array": (list,), "string": (str,), "integer": (int,), "number": (int, float),
    "boolean": (bool,), "null": (type(None),),
}  # fmt: skip


class Document:
    """An OpenAPI document that can be held against what a server does."""

    def __init__(self, tree: Mapping[str, Any]) -> None:
        self.tree = tree

    def operations(self) -> Iterator[tuple[str, str, Mapping[str, Any]]]:
        """(method, path, operation) of every operation."""
        for path, methods in self.tree["paths"].items():
            for method, operation in methods.items():
                yield method.upper(), path, operation

    def fault(self, operation: Mapping[str, Any], status: int, kind: str, body: Any) -> str | None:
        """What is not as it is written; None where all is."""
        told = operation["responses"].get(str(status))
        if told is None:
            return f"status {status} is not in the document"
        content = {name.partition(";")[0]: each for name, each in told["content"].items()}
        media = kind.partition(";")[0]
        if media not in content:
            return f"status {status} with {media}; the document has {', '.join(content)}"
        return next(self.faults(content[media]["schema"], body, "$"), None)

    def faults(self, schema: Mapping[str, Any], value: Any, at: str) -> Iterator[str]:
        """Every place where the value breaks the schema."""
        unknown = set(schema) - KNOWN
        assert not unknown, f"the checker does not know {unknown}"
        if "$ref" in schema:
            name = schema["$ref"].rpartition("/")[2]
            yield from self.faults(self.tree["components"]["schemas"][name], value, at)
            return
        if "anyOf" in schema:
            if not any(not list(self.faults(each, value, at)) for each in schema["anyOf"]):
                yield f"{at}: {value!r} fits none of {len(schema['anyOf'])} forms"
            return
        yield from self._plain_faults(schema, value, at)

    def _plain_faults(self, schema: Mapping[str, Any], value: Any, at: str) -> Iterator[str]:
        if "enum" in schema and value not in schema["enum"]:
            yield f"{at}: {value!r} is none of {schema['enum']}"
        if "type" in schema and not _is(schema["type"], value):
            yield f"{at}: {value!r} is no {schema['type']}"
            return
        if isinstance(value, dict):
            yield from self._object_faults(schema, value, at)
        elif isinstance(value, list):
            if not schema.get("minItems", 0) <= len(value) <= schema.get("maxItems", len(value)):
                yield f"{at}: {len(value)} items"
            for number, item in enumerate(value):
                yield from self.faults(schema.get("items", {}), item, f"{at}[{number}]")
        elif isinstance(value, str):
            if not schema.get("minLength", 0) <= len(value) <= schema.get("maxLength", len(value)):
                yield f"{at}: {len(value)} letters"
            if schema.get("format") == "date-time" and not _is_time(value):
                yield f"{at}: {value!r} is no time"
        elif isinstance(value, int | float) and not isinstance(value, bool) and not _within(schema, value):
            yield f"{at}: {value} is out of range"

    def _object_faults(self, schema: Mapping[str, Any], value: Mapping[str, Any], at: str) -> Iterator[str]:
        own = schema.get("properties", {})
        yield from (f"{at}: lacks {name}" for name in schema.get("required", ()) if name not in value)
        for name, each in value.items():
            further = schema.get("additionalProperties", {})
            if name in own:
                yield from self.faults(own[name], each, f"{at}.{name}")
            elif further is False:
                yield f"{at}: has {name}"
            elif further is not True:
                yield from self.faults(further, each, f"{at}.{name}")


def _is(name: str, value: Any) -> bool:
    return isinstance(value, TYPES[name]) and (name == "boolean" or not isinstance(value, bool))


def _is_time(text: str) -> bool:
    return bool(re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z", text)) and bool(datetime.fromisoformat(text))


def _within(schema: Mapping[str, Any], value: float) -> bool:
    return (
        value >= schema.get("minimum", value)
        and value <= schema.get("maximum", value)
        and ("exclusiveMinimum" not in schema or value > schema["exclusiveMinimum"])
        and ("exclusiveMaximum" not in schema or value < schema["exclusiveMaximum"])
    )
