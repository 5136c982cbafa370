"""The options that several verbs share, and how their text is read; knows no stage."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Final

import typer

from contract.delivery import Place, place_of
from contract.errors import UsageError
from contract.loading import load_params
from contract.params import Params

ParamsFiles = Annotated[
    list[Path] | None,
    typer.Option("--params", metavar="FILE", help="YAML merged over the shipped params.yaml; may be repeated."),
]
Assignments = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="path.to.key=value", help="One parameter, over all files; may be repeated."),
]
DataPlace = Annotated[
    str,
    typer.Option(
        "--data", metavar="DIR|URL", help="Folder, DuckDB file or postgresql:// address that holds the input tables."
    ),
]
AsOf = Annotated[
    str | None,
    typer.Option("--as-of", metavar="TIME", help="ISO 8601, UTC unless it names a zone. Default: the end of the data."),
]
Registry = Annotated[
    str | None,
    typer.Option(
        "--registry", metavar="URI", help="MLflow tracking and registry URI. Default: SQLite in .channelwise/ here."
    ),
]

DEFAULT_QUARANTINE: Final = Path(".channelwise/quarantine")
Quarantine = Annotated[
    Path, typer.Option("--quarantine", metavar="DIR", help="Where rows that are set aside are written, by table.")
]


def read_params(files: list[Path] | None, assignments: list[str] | None) -> Params:
    """The shipped parameters with the caller's files and assignments over them."""
    return load_params(files or (), assignments or ())


def read_data(text: str) -> Place:
    """The folder, file or database of the option --data."""
    return place_of(text)


def read_time(text: str) -> datetime:
    """An ISO 8601 time in UTC.

    Raises:
        UsageError: where the text is no such time.
    """
    try:
        time = datetime.fromisoformat(text)
    except ValueError:
        raise UsageError(f"--as-of: found '{text}'; expected an ISO 8601 time, e.g. 2026-11-01T00:00:00Z") from None
    return time.replace(tzinfo=UTC) if time.tzinfo is None else time.astimezone(UTC)


def read_as_of(text: str | None) -> datetime | None:
    """`read_time` of the option --as-of where it was given."""
    return None if text is None else read_time(text)


def now() -> datetime:
    """The clock's time, UTC; read here and nowhere below the commands."""
    return datetime.now(UTC)


def read_limits(option: str, texts: list[str] | None) -> dict[str, int]:
    """`channel=count` pairs as a mapping.

    Raises:
        UsageError: where a pair does not read so.
    """
    limits: dict[str, int] = {}
    for text in texts or ():
        channel, _, count = text.partition("=")
        if not channel or not count.isdecimal():
            raise UsageError(f"{option}: found '{text}'; expected CHANNEL=CONTACTS, e.g. sms=1000")
        if channel in limits:
            raise UsageError(f"{option}: channel '{channel}' is given twice; give it once")
        limits[channel] = int(count)
    return limits
