"""`channelwise serve` and `channelwise keys`: scores over HTTP, and who may ask for them."""

import gc
import sys
from pathlib import Path
from typing import Annotated, Final

import typer

from channelwise.console import progress_bars, say
from channelwise.options import Assignments, ParamsFiles, now, read_data, read_params, read_time

STORE: Final = Path(".channelwise/store")
KEYS: Final = Path(".channelwise/keys.json")
CHAMPIONS: Final = Path(".channelwise")

StoreFolder = Annotated[Path, typer.Option("--store", metavar="DIR", help="Where the server keeps what it knows.")]
KeysFile = Annotated[Path, typer.Option("--keys", metavar="FILE", help="The file of keys, as digests only.")]


def serve(
    data: Annotated[
        str | None,
        typer.Option(
            "--data",
            metavar="DIR|URL",
            help="Tables that a new store begins with; an existing one takes customers, consents and campaigns anew.",
        ),
    ] = None,
    host: Annotated[str, typer.Option("--host", help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option("--port", min=1, max=65535, help="Port to listen on.")] = 8080,
    model: Annotated[
        Path | None, typer.Option("--model", metavar="DIR", help="A bundle's folder, instead of the champion.")
    ] = None,
    plan: Annotated[
        list[Path] | None,
        typer.Option(
            "--plan",
            metavar="FILE",
            help="The last plan of a campaign, by whose prices decisions are made; may be repeated.",
        ),
    ] = None,
    monitor: Annotated[
        Path | None,
        typer.Option(
            "--monitor",
            metavar="FILE",
            help="NAME.json of the last `channelwise monitor`, told under /metrics; read again when written anew.",
        ),
    ] = None,
    store: StoreFolder = STORE,
    redis: Annotated[
        str | None,
        typer.Option(
            "--redis",
            metavar="URL",
            help="Keep events and decisions of a new store in Redis, redis://HOST:PORT/DB, where other servers with a "
            "copy of its folder share them; the password is taken from REDISCLI_AUTH.",
        ),
    ] = None,
    keys: KeysFile = KEYS,
    as_of: Annotated[
        str | None,
        typer.Option(
            "--as-of",
            metavar="TIME",
            help="A moment that the server takes as the present, ISO 8601: a rehearsal on old data.",
        ),
    ] = None,
    params: ParamsFiles = None,
    assignments: Assignments = None,
) -> None:
    """Answer over HTTP: scores, decisions, interactions that come in, one customer's view and erasure.

    Example: channelwise keys add campaigns --scope score, then channelwise serve --data shop/
    """
    from channelwise.lean import load_lean

    # Hardly anything of what is loaded now can be thrown away; the server enables it again once it listens.
    gc.disable()
    load_lean()
    from channelwise.jobs.serve import ServeRequest, run_serve
    from models.champion import pointer_file

    settings = read_params(params, assignments)
    fixed = None if as_of is None else read_time(as_of)
    request = ServeRequest(
        data=None if data is None else read_data(data),
        store=store,
        model=model or pointer_file(CHAMPIONS, settings.objective),
        keys=keys,
        host=host,
        port=port,
        plans=tuple(plan or ()),
        monitoring=monitor,
        redis=redis,
    )
    with progress_bars() as progress:
        run_serve(request, settings, progress, clock=now if fixed is None else lambda: fixed, say=sys.stderr)


keys = typer.Typer(help="Who may ask a server: make, list and remove keys.", no_args_is_help=True)


@keys.command("add")
def add(
    name: Annotated[str, typer.Argument(help="Whose key it is.")],
    scope: Annotated[
        list[str], typer.Option("--scope", help="What it may do: score, decide, ingest, erase, admin; may be repeated.")
    ],
    file: KeysFile = KEYS,
) -> None:
    """Make a key. It is shown once, and only its digest is kept.

    Example: channelwise keys add campaigns --scope score --scope decide
    """
    from serving.http.keys import load_keys

    made, key = load_keys(file).with_new(name, scope)
    made.save(file)
    say(key)


@keys.command("list")
def listed(file: KeysFile = KEYS) -> None:
    """Whose keys there are and what they may do."""
    from serving.http.keys import load_keys

    for key in load_keys(file).keys:
        say(f"{key.name}: {', '.join(key.scopes)}")


@keys.command("remove")
def remove(name: Annotated[str, typer.Argument(help="Whose key it is.")], file: KeysFile = KEYS) -> None:
    """Take a key away; a running server refuses it within `serving.watch_seconds`."""
    from serving.http.keys import load_keys

    load_keys(file).without(name).save(file)
    say(f"the key '{name}' is gone")
