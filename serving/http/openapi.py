"""The OpenAPI 3.1 document of the routes, made from the types that check the requests; nothing is written twice."""

from collections.abc import Iterator
from http import HTTPStatus
from typing import Any, Final

import msgspec

from serving.http.messages import Problem
from serving.http.routes import ANY_KEY, OPEN, Route, Routes

_REFUSALS: Final = {
    400: "The body is no valid JSON.",
    401: "No key, or none that is known.",
    403: "The key may not do this.",
    408: "The body did not arrive in time.",
    413: "The body is too large.",
    422: "The message does not keep its form; `detail` names the place.",
    429: "The key asks too often; `Retry-After` says when to come again.",
    503: "The server has all the work it can take; `Retry-After` says when to come again.",
}
_WITH_BODY: Final = {400, 408, 413, 422}
_REF: Final = "#/components/schemas/{name}"


def document(routes: Routes, version: str) -> dict[str, Any]:
    """The whole document."""
    types = list(dict.fromkeys(_types(routes)))
    schemas, components = msgspec.json.schema_components(types, ref_template=_REF)
    named = dict(zip(types, schemas, strict=True))
    paths: dict[str, Any] = {}
    for route in routes.all:
        paths.setdefault(route.path, {})[route.method.lower()] = _operation(route, named)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "channelwise",
            "version": version,
            "description": "Which channel each customer should hear from now, or none.",
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "security": [{"key": []}],
        "paths": paths,
        "components": {
            "schemas": dict(sorted(components.items())),
            "securitySchemes": {"key": {"type": "http", "scheme": "bearer"}},
        },
    }


def _types(routes: Routes) -> Iterator[type[msgspec.Struct]]:
    yield Problem
    for route in routes.all:
        if route.asked is not None:
            yield route.asked
        if route.answered is not None:
            yield route.answered


def _operation(route: Route, named: dict[type[msgspec.Struct], dict[str, Any]]) -> dict[str, Any]:
    scope = {OPEN: "Needs no key.", ANY_KEY: "Any key will do."}.get(route.scope, f"Takes a key of '{route.scope}'.")
    free = {"type": "object"} if route.content == "application/json" else {"type": "string"}
    schema = named[route.answered] if route.answered is not None else free
    operation: dict[str, Any] = {
        "operationId": f"{route.method.lower()}{route.path.replace('/', '_').replace('{', '').replace('}', '')}",
        "summary": route.summary,
        "description": scope,
        "responses": {
            "200": {"description": "The answer.", "content": {route.content: {"schema": schema}}},
            **{str(status): _refusal(status, text, named) for status, text in _refusals(route).items()},
        },
    }
    if route.scope == OPEN:
        operation["security"] = []
    if "{" in route.path:
        name = route.path.partition("{")[2].rstrip("}")
        operation["parameters"] = [
            {"name": name, "in": "path", "required": True, "schema": {"type": "string", "minLength": 1}}
        ]
    if route.asked is not None:
        body: dict[str, Any] = {"schema": named[route.asked]}
        if route.example is not None:
            body["example"] = msgspec.to_builtins(route.example)
        operation["requestBody"] = {"required": True, "content": {"application/json": body}}
    return operation


def _refusals(route: Route) -> dict[int, str]:
    general = {
        status: text
        for status, text in _REFUSALS.items()
        if (route.asked is not None or status not in _WITH_BODY)
        and (route.scope != OPEN or status not in {401, 403, 429})
        and (route.scope not in {OPEN, ANY_KEY} or status != HTTPStatus.FORBIDDEN)
    }
    return dict(sorted({**general, **route.statuses}.items()))


def _refusal(status: int, text: str, named: dict[type[msgspec.Struct], dict[str, Any]]) -> dict[str, Any]:
    found: dict[str, Any] = {
        "description": text,
        "content": {"application/problem+json": {"schema": named[Problem]}},
    }
    if status in {429, 503}:
        found["headers"] = {"Retry-After": {"schema": {"type": "integer"}, "description": "Seconds."}}
    return found
