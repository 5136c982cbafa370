"""Runs, models and aliases in MLflow; the only module that knows MLflow, and imports it only when it is called.

The bundle is logged as plain files and registered from there: no model is pickled and no environment is inferred. The
alias `champion` names the version that `score` uses, `challenger` the latest that did not replace it. Each change of
champion is a tag of the registered model, `channelwise.history.0001` and so on: when, what, in place of which, and why.
"""

import json
import logging
import os
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from contract.errors import ArtefactError, RefusedError, UsageError
from contract.files import storage_errors
from contract.params import Params
from models.bundle import Bundle, load_bundle
from models.champion import pointer_file, pointing_to

if TYPE_CHECKING:
    from mlflow import MlflowClient

    from training.pipeline import TrainingResult
    from training.provenance import TableUsed

FOLDER: Final = ".channelwise"
EXPERIMENT: Final = "channelwise"
CHAMPION, CHALLENGER = "champion", "challenger"
_PREVIOUS: Final = "channelwise.previous"
HISTORY: Final = "channelwise.history."
UNEXPLAINED: Final = "by hand, without a reason given"
CARD: Final = "card.html"
_BUNDLE: Final = "bundle"
_PREFIX: Final = "channelwise-"


@dataclass(frozen=True)
class Tracked:
    """Where a training went: run, version and its alias, and the address of its card."""

    run_id: str
    name: str
    version: int
    alias: str
    registry: str
    card: str


def default_registry(folder: Path | None = None) -> str:
    """SQLite in `.channelwise/` of the given folder, or of the working directory."""
    return f"sqlite:///{((folder or Path.cwd()) / FOLDER / 'mlflow.db').as_posix()}"


def registered_name(objective: str) -> str:
    """The registered model of an objective: each has its own champion."""
    return f"{_PREFIX}{objective}"


@dataclass(frozen=True)
class Change:
    """Why the champion changes, and when, UTC."""

    reason: str
    moment: datetime


def track(
    result: "TrainingResult",
    folder: Path,
    params: Params,
    profile: str,
    registry: str | None,
    tables: Sequence["TableUsed"] = (),
) -> Tracked:
    """Logs a training whose bundle lies in `folder`, registers it, and moves the alias that its verdict names.

    The model card is put into the folder, and logged with the bundle and beside it; `tables`, the rows that taught it,
    are the run's datasets.

    Raises:
        UsageError: the registry cannot be reached.
    """
    with _client(registry) as (client, uri):
        run = client.create_run(_experiment(client, uri), run_name=result.bundle.model_version)
        run_id = run.info.run_id
        try:
            _log(client, run_id, result, folder, params, profile)
            _log_tables(client, run_id, tables)
            version = _register(client, run_id, params.objective, result)
        except BaseException:
            client.set_terminated(run_id, "FAILED")
            raise
        client.set_terminated(run_id, "FINISHED")
        name = registered_name(params.objective)
        alias = CHAMPION if result.verdict.promoted else CHALLENGER
        if alias == CHAMPION:
            moment = datetime.fromtimestamp(run.info.start_time / 1000, UTC)
            _crown(client, name, version, Change(result.verdict.text, moment))
        else:
            client.set_registered_model_alias(name, CHALLENGER, str(version))
        card = f"{client.get_run(run_id).info.artifact_uri}/{CARD}".removeprefix("file://")
        return Tracked(run_id, name, version, alias, uri, card)


def champion_bundle(registry: str | None, objective: str, threads: int = 1) -> Bundle | None:
    """The bundle of the objective's champion; None where there is none yet.

    Raises:
        ArtefactError: it is damaged.
        UsageError: the registry cannot be reached.
    """
    if registry is None and not Path(default_registry().removeprefix("sqlite:///")).exists():
        return None
    with _client(registry) as (client, _):
        version = _champion_version(client, registered_name(objective))
        if version is None:
            return None
        run_id = client.get_model_version(registered_name(objective), str(version)).run_id
        if run_id is None:
            raise ArtefactError(f"{registered_name(objective)} version {version}: has no run; train again")
        return load_bundle(_downloaded(client, run_id), threads)


def promote_version(registry: str | None, version: int | None, objective: str, change: Change) -> str:
    """Makes a version the champion, by hand; the latest challenger without a number. Returns what was done.

    Raises:
        UsageError: there is no such version, or no registry.
    """
    name = registered_name(objective)
    with _client(registry, must_exist=True) as (client, uri):
        found = version if version is not None else _aliased(client, name, CHALLENGER)
        if found is None:
            raise UsageError(f"{uri}: '{name}' has no challenger; give --version N")
        known = sorted(int(each.version) for each in client.search_model_versions(f"name='{name}'"))
        if found not in known:
            raise UsageError(f"{uri}: '{name}' has no version {found}; it has {', '.join(map(str, known)) or 'none'}")
        former = _champion_version(client, name)
        if former == found:
            return f"{name} version {found} is the champion already"
        _crown(client, name, found, change)
        return f"{name} version {found} is the champion now" + (f"; before it was {former}" if former else "")


def rollback_version(registry: str | None, objective: str, change: Change) -> str:
    """Makes the champion before this one the champion again. Returns what was done.

    Raises:
        RefusedError: there was none before.
        UsageError: there is no registry.
    """
    name = registered_name(objective)
    with _client(registry, must_exist=True) as (client, uri):
        current = _champion_version(client, name)
        # A change that failed halfway may have left the champion itself among those before.
        before = [each for each in _previous(client, name) if each != current]
        if current is None or not before:
            raise RefusedError(f"{uri}: '{name}' had no champion before {current or 'any'}; nothing to go back to")
        back = before[-1]
        with _champion_moves(client, name, back):
            client.set_model_version_tag(name, str(current), "channelwise.left", change.reason)
            _remember(client, name, change, f"rolled back to version {back} in place of {current}")
        # Last, since what came before must not be forgotten where going back fails.
        client.set_registered_model_tag(name, _PREVIOUS, json.dumps(before[:-1]))
        return f"{name} version {back} is the champion again, in place of {current}"


def _crown(client: "MlflowClient", name: str, version: int, change: Change) -> None:
    former = _champion_version(client, name)
    with _champion_moves(client, name, version):
        if former is not None:
            client.set_registered_model_tag(name, _PREVIOUS, json.dumps([*_previous(client, name), former]))
        client.set_model_version_tag(name, str(version), "channelwise.reason", change.reason)
        _remember(client, name, change, f"promoted version {version}" + (f" in place of {former}" if former else ""))
    if _aliased(client, name, CHALLENGER) == version:
        client.delete_registered_model_alias(name, CHALLENGER)


def _remember(client: "MlflowClient", name: str, change: Change, what: str) -> None:
    """One more line of the history, which nothing takes away."""
    known = [tag for tag in client.get_registered_model(name).tags if tag.startswith(HISTORY)]
    line = f"{change.moment:%Y-%m-%dT%H:%M:%SZ} {what}: {change.reason}"
    client.set_registered_model_tag(name, f"{HISTORY}{len(known) + 1:04d}", line)


@contextmanager
def _champion_moves(client: "MlflowClient", name: str, version: int) -> Iterator[None]:
    """Makes the version the champion once all that the block notes is written: a full disk leaves the former."""
    with _pointer_moves(client, name, version):
        yield
        client.set_registered_model_alias(name, CHAMPION, str(version))


@contextmanager
def _pointer_moves(client: "MlflowClient", name: str, version: int) -> Iterator[None]:
    """Where the registry is a file, a pointer beside it names the champion's bundle, for those without MLflow."""
    uri = client.tracking_uri
    if not uri.startswith("sqlite:///"):
        yield
        return
    found = client.get_model_version(name, str(version))
    if found.run_id is None:
        raise ArtefactError(f"{name} version {version}: has no run; train again")
    pointer = pointer_file(Path(uri.removeprefix("sqlite:///")).absolute().parent, name.removeprefix(_PREFIX))
    with pointing_to(pointer, _downloaded(client, found.run_id), found.tags.get("model_version", "")):
        yield


def _previous(client: "MlflowClient", name: str) -> list[int]:
    found = client.get_registered_model(name).tags.get(_PREVIOUS, "[]")
    return [int(each) for each in json.loads(found)]


def _champion_version(client: "MlflowClient", name: str) -> int | None:
    return _aliased(client, name, CHAMPION)


def _aliased(client: "MlflowClient", name: str, alias: str) -> int | None:
    from mlflow.exceptions import MlflowException

    try:
        return int(client.get_model_version_by_alias(name, alias).version)
    except MlflowException as error:
        if error.error_code in ("RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE"):
            return None
        raise


def _log(
    client: "MlflowClient", run_id: str, result: "TrainingResult", folder: Path, params: Params, profile: str
) -> None:
    from mlflow.entities import Metric, Param, RunTag

    # Who only asks for the champion waits for no plotting library.
    from training.card import card_text
    from training.card_page import card_page

    report = result.report
    flat = {**_flat("", params.model_dump(mode="json")), "profile": profile}
    flat |= {f"fit.{name}": str(value) for name, value in report.settings.items()}
    started = client.get_run(run_id).info.start_time
    metrics = [Metric(_key(name), value, started, 0) for name, value in report.metrics().items()]
    tags = {
        "model_version": report.model_version,
        "verdict": report.verdict.text,
        **{f"fingerprint.{name}": value for name, value in report.fingerprints.items()},
    }
    client.log_batch(run_id, metrics=metrics[:1000], tags=[RunTag(name, value[:5000]) for name, value in tags.items()])
    items = [Param(_key(name), value[:6000]) for name, value in flat.items()]
    for start in range(0, len(items), 100):
        client.log_batch(run_id, params=items[start : start + 100])
    page = card_page(report, params)
    (folder / CARD).write_text(page, encoding="utf-8")
    client.log_artifacts(run_id, str(folder), _BUNDLE)
    client.log_text(run_id, card_text(report), "card.txt")
    client.log_text(run_id, page, CARD)
    client.log_dict(run_id, report.as_json(), "report.json")


def _log_tables(client: "MlflowClient", run_id: str, tables: Sequence["TableUsed"]) -> None:
    from mlflow.entities import Dataset, DatasetInput

    if tables:
        inputs = [
            DatasetInput(
                Dataset(
                    name=each.name,
                    digest=each.digest,
                    source_type="local" if "://" not in each.source else "external",
                    source=json.dumps({"uri": each.source}),
                    schema=json.dumps(each.columns),
                    profile=json.dumps({"num_rows": each.rows}),
                )
            )
            for each in tables
        ]
        client.log_inputs(run_id, inputs)


def _key(name: str) -> str:
    """A name that MLflow takes."""
    return "".join(letter if letter.isalnum() or letter in "_-. /" else "_" for letter in name)[:250]


def _flat(prefix: str, tree: Any) -> dict[str, str]:
    if isinstance(tree, dict) and tree:
        found: dict[str, str] = {}
        for key, value in tree.items():
            found |= _flat(f"{prefix}.{key}" if prefix else str(key), value)
        return found
    return {prefix: json.dumps(tree)}


def _register(client: "MlflowClient", run_id: str, objective: str, result: "TrainingResult") -> int:
    from mlflow.exceptions import MlflowException

    name = registered_name(objective)
    try:
        client.create_registered_model(name, description="channelwise bundles: LightGBM text and JSON, no pickles")
    except MlflowException as error:
        if error.error_code != "RESOURCE_ALREADY_EXISTS":
            raise
    source = client.get_run(run_id).info.artifact_uri
    made = client.create_model_version(
        name,
        f"{source}/{_BUNDLE}",
        run_id,
        tags={"model_version": result.bundle.model_version, "verdict": result.verdict.text[:5000]},
    )
    return int(made.version)


def _experiment(client: "MlflowClient", uri: str) -> str:
    found = client.get_experiment_by_name(EXPERIMENT)
    if found is not None:
        return str(found.experiment_id)
    artefacts = None
    if uri.startswith("sqlite:///"):
        artefacts = (Path(uri.removeprefix("sqlite:///")).absolute().parent / "artifacts").as_uri()
    return str(client.create_experiment(EXPERIMENT, artefacts))


def _downloaded(client: "MlflowClient", run_id: str) -> Path:
    """The bundle's folder: in place where artefacts are local files, else a copy under a temporary folder."""
    import mlflow

    uri = str(client.get_run(run_id).info.artifact_uri)
    if uri.startswith("file://"):
        return Path(uri.removeprefix("file://")) / _BUNDLE
    tracking = client.tracking_uri
    return Path(mlflow.artifacts.download_artifacts(run_id=run_id, artifact_path=_BUNDLE, tracking_uri=tracking))


@contextmanager
def _client(registry: str | None, *, must_exist: bool = False) -> Iterator[tuple["MlflowClient", str]]:
    """A client of the registry; MLflow's own chatter is kept off the terminal.

    Raises:
        UsageError: MLflow is not installed, or the registry cannot be reached.
        StorageError: the disk of the registry is full.
    """
    uri = registry or default_registry()
    file = Path(uri.removeprefix("sqlite:///"))
    if uri.startswith("sqlite:///"):
        if must_exist and not file.exists():
            raise UsageError(f"{file}: there is no registry yet; train first, or give --registry URI")
        file.parent.mkdir(parents=True, exist_ok=True)
    os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
    with warnings.catch_warnings():
        # MLflow warns of its own dependencies' deprecations; they are not the reader's.
        warnings.simplefilter("ignore")
        try:
            from mlflow import MlflowClient
            from mlflow.exceptions import MlflowException

            for name in ("alembic", "mlflow"):
                logging.getLogger(name).setLevel(logging.WARNING)
            # What fails in the store is raised as well, and told once.
            logging.getLogger("mlflow.store").setLevel(logging.CRITICAL)
        except ImportError as error:
            raise UsageError(f"MLflow cannot be imported ({error}); pip install 'channelwise[train]'") from error
        try:
            with storage_errors(file):
                yield MlflowClient(tracking_uri=uri, registry_uri=uri), uri
        except MlflowException as error:
            raise UsageError(f"registry {uri}: {error.message}; check --registry") from error
