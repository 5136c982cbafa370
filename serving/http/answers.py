"""Answers as status, type and bytes, and errors as RFC 9457 problems; knows no route."""

from dataclasses import dataclass
from http import HTTPStatus
from typing import Final

import msgspec

from contract.errors import ChannelwiseError
from serving.http.messages import Problem

JSON: Final = b"application/json"
PROBLEM: Final = b"application/problem+json"
TEXT: Final = b"text/plain; version=0.0.4; charset=utf-8"

Header = tuple[bytes, bytes]
Encoder: Final = msgspec.json.Encoder()


@dataclass(frozen=True)
class Answer:
    """A response: status, body and its type, and further headers."""

    status: int
    body: bytes
    kind: bytes = JSON
    headers: tuple[Header, ...] = ()


class HttpError(Exception):
    """A request that is answered by a problem."""

    def __init__(self, status: HTTPStatus, detail: str, headers: tuple[Header, ...] = ()) -> None:
        self.status, self.detail, self.headers = status, detail, headers
        super().__init__(detail)


def answer(message: object, status: int = 200) -> Answer:
    """A message as JSON."""
    return Answer(status, Encoder.encode(message))


def problem(status: HTTPStatus, detail: str, headers: tuple[Header, ...] = ()) -> Answer:
    """The problem's answer."""
    body = Encoder.encode(Problem(type="about:blank", title=status.phrase, status=status.value, detail=detail))
    return Answer(status.value, body, PROBLEM, headers)


def problem_of(error: Exception) -> Answer:
    """The answer to an error; one that nobody foresaw says nothing of its inside."""
    if isinstance(error, HttpError):
        return problem(error.status, error.detail, error.headers)
    if isinstance(error, msgspec.ValidationError):
        return problem(HTTPStatus.UNPROCESSABLE_ENTITY, str(error))
    if isinstance(error, msgspec.DecodeError):
        return problem(HTTPStatus.BAD_REQUEST, f"the body is no valid JSON: {error}")
    if isinstance(error, ChannelwiseError):
        return problem(HTTPStatus(error.http_status), str(error))
    return problem(HTTPStatus.INTERNAL_SERVER_ERROR, "the server failed; its log says more")
