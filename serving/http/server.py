"""Runs the application on a socket until it is told to end, and takes up a model that was promoted meanwhile.

One process answers on one event loop, and has its store to itself.
"""

import asyncio
import gc
import resource
import signal
import socket
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, TextIO

from granian.constants import HTTPModes, Interfaces
from granian.server.embed import Server

from contract.errors import ChannelwiseError, UsageError
from models.bundle import Bundle
from serving.http.application import Application
from serving.http.service import Service

DRAIN_SECONDS: Final = 10.0
"""How long requests that were taken may go on once the server was told to end."""

_STEP_SECONDS: Final = 0.02
_BACKLOG: Final = 4_096
"""Connections that wait to be taken, where the system allows as many: a burst of more tries again a second later."""
_OWN_FILES: Final = 256
"""What the process may have open beside connections."""

Newer = Callable[[], "Bundle | None"]
"""The bundle to serve, where it is another than when last asked. Called in a thread of its own."""

Renew = Callable[[], list[str]]
"""Reads what else was written anew, such as plans and keys, and says what it did. Called in a thread of its own."""


@dataclass(frozen=True)
class Watched:
    """What may change under a server: newer: the bundle; renew: all else; hung_up: told of a SIGHUP; seconds: between
    two looks.
    """

    newer: Newer
    renew: Renew
    hung_up: Callable[[], None]
    seconds: float


async def run_server(
    application: Application,
    service: Service,
    watched: Watched,
    *,
    host: str,
    port: int,
    connections: int,
    say: TextIO,
) -> None:
    """Serve until SIGTERM or SIGINT, then let the requests that were taken end; SIGHUP has tables read anew.

    Args:
        application: what answers.
        service: what its routes ask; it takes up newer models.
        watched: looked at again and again.
        host: where to listen.
        port: where to listen.
        connections: how many may be open at once, idle ones among them.
        say: told, on a line of its own, where the server listens, and each change of what is watched.

    Raises:
        UsageError: the place to listen is taken, or not this machine's.
    """
    _refuse_taken(host, port)
    # What Granian calls backpressure counts open connections, not requests: by itself it takes no more than 128.
    server = Server(
        application, address=host, port=port, interface=Interfaces.ASGI, http=HTTPModes.http1, websockets=False,
        backlog=_BACKLOG, backpressure=openable(connections, say), log_enabled=False,
    )  # fmt: skip
    ended = asyncio.Event()
    loop = asyncio.get_running_loop()
    for each in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(each, ended.set)
    loop.add_signal_handler(signal.SIGHUP, watched.hung_up)
    serving = loop.create_task(server.serve())
    watching = loop.create_task(_watch(service, watched, say))
    if await _listens(serving, host, port):
        say.write(f"channelwise: serving {service.served.model.model_version} on http://{host}:{port}\n")
        say.flush()
    # What lives as long as the server is not to be looked through again and again while requests wait.
    gc.collect()
    gc.freeze()
    gc.enable()
    waiting = loop.create_task(ended.wait())
    await asyncio.wait((serving, waiting), return_when=asyncio.FIRST_COMPLETED)
    application.closing = True
    watching.cancel()
    waiting.cancel()
    if not serving.done():
        await _drained(application)
        server.stop()  # type: ignore[no-untyped-call]
    await serving
    # DuckDB complains of what is still there when the process ends.
    gc.unfreeze()


async def _watch(service: Service, watched: Watched, say: TextIO) -> None:
    while True:
        await asyncio.sleep(watched.seconds)
        for line in await asyncio.to_thread(watched.renew):
            say.write(f"channelwise: {line}\n")
            say.flush()
        try:
            bundle = await asyncio.to_thread(watched.newer)
        except ChannelwiseError as error:
            service.served.refused = str(error)
            say.write(f"channelwise: the model offered was refused, the old one stays: {error}\n")
            say.flush()
            continue
        if bundle is None or bundle.model_version == service.served.model.model_version:
            continue
        await asyncio.to_thread(service.take, bundle)
        taken = service.served.refused is None
        word = "now serving" if taken else "refused, the old one stays:"
        say.write(f"channelwise: {word} {bundle.model_version if taken else service.served.refused}\n")
        say.flush()


def _refuse_taken(host: str, port: int) -> None:
    try:
        with socket.create_server((host, port)):
            pass
    except OSError as error:
        raise UsageError(
            f"--host {host} --port {port}: cannot be listened on ({error.strerror}); name another, or end who listens"
        ) from error


def openable(connections: int, say: TextIO) -> int:
    """How many of the connections this process may open, once its limit of files is raised as far as it may be."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    unlimited = resource.RLIM_INFINITY
    wanted = connections + _OWN_FILES
    if soft == unlimited or soft >= wanted:
        return connections
    most = wanted if hard == unlimited else min(hard, wanted)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))
    room = max(1, most - _OWN_FILES)
    if room < connections:
        say.write(
            f"channelwise: at most {room} connections at once, not {connections} (serving.connections): this process "
            f"may open {most} files; raise its limit (ulimit -n)\n"
        )
    return min(room, connections)


async def _listens(serving: "asyncio.Task[None]", host: str, port: int) -> bool:
    """Waits until the server lets somebody in; False where it ended before."""
    while not serving.done():
        try:
            _, writer = await asyncio.open_connection(host, port)
        except OSError:
            await asyncio.sleep(_STEP_SECONDS)
        else:
            writer.close()
            return True
    return False


async def _drained(application: Application) -> None:
    loop = asyncio.get_running_loop()
    until = loop.time() + DRAIN_SECONDS
    while application.desk.waiting and loop.time() < until:
        await asyncio.sleep(_STEP_SECONDS)
