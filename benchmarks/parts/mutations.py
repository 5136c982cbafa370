"""Requests that are almost right: bodies and headers as broken tools and curious people send them; sends nothing."""

import copy
import json
import random
from collections.abc import Iterator
from typing import Any, Final, NamedTuple

ODD: Final[tuple[Any, ...]] = (
    None, True, False, 0, -1, 1.5, -0.0, 1e308, -1e308, 2**63, 10**40, "", " ", "\x00", "ü", "\U0001f600", "a" * 201,
    "a" * 5_000,
    "' OR 1=1 --", "../../etc/passwd", "{customer_id}", "NaN", "null", [], {}, [[]], [None], {"": None}, "2026-13-45",
    "0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-14:00", "1969-12-31T23:59:59Z", "2026-10-31T10:00:00",
    "sent", "held_out", "email", "fax",
)  # fmt: skip
ODD_BYTES: Final = (
    b"\xff",
    b"\xed\xa0\x80",
    b"\\ud800",
    b"\x00",
    b"}",
    b"[",
    b'"',
    b"\\",
    b",",
    b"e999",
    b"\xef\xbb\xbf",
)
ODD_HEADERS: Final = (
    ("content-type", "text/xml"), ("content-length", "x"), ("accept", "*/*;q=x"), ("authorization", "Basic ÿ"),
    ("authorization", "Bearer"), ("authorization", "bearer  "), ("authorization", "Bearer " + "a" * 4_000),
    ("content-encoding", "gzip"), ("x-forwarded-for", "ÿ" * 500), ("expect", "200-maybe"), ("transfer-encoding", "x"),
)  # fmt: skip
DEEPEST: Final = 3_000


class Odd(NamedTuple):
    """A request: extra headers, and the body."""

    headers: tuple[tuple[str, str], ...]
    body: bytes


def mutations(example: Any, seed: int) -> Iterator[Odd]:
    """Requests like the example without end, each with some thing wrong; the same for a seed."""
    rng = random.Random(seed)
    while True:
        message = copy.deepcopy(example)
        for _ in range(rng.randint(0, 3)):
            message = _changed(message, rng)
        body = json.dumps(message, ensure_ascii=rng.random() < 0.5).encode("utf-8", "surrogatepass")
        if rng.random() < 0.4:
            body = _damaged(body, rng)
        if rng.random() < 0.01:
            body = b"[" * DEEPEST + body
        headers = (rng.choice(ODD_HEADERS),) if rng.random() < 0.1 else ()
        yield Odd(headers, body)


def _changed(message: Any, rng: random.Random) -> Any:
    """One place of the message with something odd, missing, doubled or added."""
    if isinstance(message, dict) and message and rng.random() < 0.8:
        key = rng.choice(list(message))
        what = rng.random()
        if what < 0.15:
            return {name: value for name, value in message.items() if name != key}
        if what < 0.25:
            return {**message, rng.choice(("", "more", key + "s")): rng.choice(ODD)}
        return {**message, key: _changed(message[key], rng)}
    if isinstance(message, list) and message and rng.random() < 0.8:
        at = rng.randrange(len(message))
        if rng.random() < 0.2:
            return message * rng.choice((0, 2, 1_200))
        return [*message[:at], _changed(message[at], rng), *message[at + 1 :]]
    return rng.choice(ODD)


def _damaged(body: bytes, rng: random.Random) -> bytes:
    """The bytes with some cut, doubled, or foreign ones among them."""
    at, end = sorted((rng.randint(0, len(body)), rng.randint(0, len(body))))
    return rng.choice(
        (body[:at], body[:at] + body[end:], body[:end] + body[at:], body[:at] + rng.choice(ODD_BYTES) + body[at:])
    )
