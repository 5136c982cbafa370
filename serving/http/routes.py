"""What can be asked for: method, path, who may, what comes in and goes out; answers nothing itself."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any, Final, NamedTuple

import msgspec

from serving.http.answers import HttpError
from serving.http.desk import Work
from serving.http.messages import Scope

OPEN: Final = "open"
"""Needs no key."""

ANY_KEY: Final = "any"
"""Needs a key, whatever it may do."""


class Call(NamedTuple):
    """One request, checked: its message (None where it has none), the variable part of its path, and whose key."""

    message: Any
    variable: str
    owner: str


@dataclass(frozen=True)
class Route:
    """One thing to ask for.

    path: with at most one variable part, the last, as `/v1/customers/{id}`; asked, answered: messages, None for none;
    cost: customers that a message concerns; statuses: that may be answered beside 200, with what each means; example:
    of `asked`; content: type of the answer.
    """

    method: str
    path: str
    scope: Scope | str
    summary: str
    handle: Callable[[Call], Work]
    answered: type[msgspec.Struct] | None
    asked: type[msgspec.Struct] | None = None
    cost: Callable[[Any], int] = lambda _: 1
    statuses: Mapping[int, str] = field(default_factory=dict)
    example: Any = None
    content: str = "application/json"

    @property
    def label(self) -> str:
        """The route without what varies, as metrics and logs name it."""
        return f"{self.method} {self.path}"

    @property
    def stem(self) -> str:
        """The path before its variable part."""
        return self.path.partition("{")[0]


@dataclass(frozen=True)
class _Decoded:
    route: Route
    decoder: "msgspec.json.Decoder[Any] | None"


class Routes:
    """Finds the route of a request."""

    def __init__(self, routes: Sequence[Route]) -> None:
        self.all = tuple(routes)
        self._exact: dict[str, dict[str, _Decoded]] = {}
        self._stems: dict[str, dict[str, _Decoded]] = {}
        for route in routes:
            where = self._stems if "{" in route.path else self._exact
            decoder = None if route.asked is None else msgspec.json.Decoder(route.asked)
            where.setdefault(route.stem, {})[route.method] = _Decoded(route, decoder)

    def find(self, method: str, path: str) -> "tuple[Route, msgspec.json.Decoder[Any] | None, str]":
        """The route, the decoder of its message, and the variable part of the path.

        Raises:
            HttpError: 404 for a path, 405 for a method that is none.
        """
        variable = ""
        methods = self._exact.get(path)
        if methods is None:
            stem, slash, variable = path.rpartition("/")
            methods = self._stems.get(stem + slash) if variable else None
        if methods is None:
            raise HttpError(HTTPStatus.NOT_FOUND, "there is no such path; /openapi.json lists them")
        found = methods.get(method)
        if found is None:
            allowed = ", ".join(sorted(methods))
            raise HttpError(
                HTTPStatus.METHOD_NOT_ALLOWED,
                f"found {method}; this path takes {allowed}",
                ((b"allow", allowed.encode()),),
            )
        return found.route, found.decoder, variable
