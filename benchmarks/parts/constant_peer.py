"""A server of our kind that always answers the same: what HTTP and the machine cost whoever answers.

python constant_peer.py PORT BYTES
"""

import asyncio
import sys
from collections.abc import Awaitable, Callable
from typing import Any

from granian.constants import HTTPModes, Interfaces
from granian.server.embed import Server

Event = dict[str, Any]


class Constant:
    """Reads the body and answers so many bytes."""

    def __init__(self, size: int) -> None:
        self._body = b" " * size
        self._headers = [(b"content-type", b"application/json"), (b"content-length", str(size).encode())]

    async def __call__(
        self, scope: Event, receive: Callable[[], Awaitable[Event]], send: Callable[[Event], Awaitable[None]]
    ) -> None:
        """One ASGI connection."""
        if scope["type"] != "http":
            return
        await receive()
        await send({"type": "http.response.start", "status": 200, "headers": self._headers})
        await send({"type": "http.response.body", "body": self._body})


async def serve(port: int, size: int) -> None:
    """Until it is told to end."""
    server = Server(
        Constant(size), address="127.0.0.1", port=port, interface=Interfaces.ASGI, http=HTTPModes.http1,
        websockets=False, log_enabled=False,
    )  # fmt: skip
    await server.serve()


if __name__ == "__main__":
    asyncio.run(serve(*map(int, sys.argv[1:3])))
