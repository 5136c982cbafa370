"""The job that serves: puts store, model and HTTP together, and runs until it is told to end."""

import asyncio
import fcntl
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, nullcontext
from dataclasses import dataclass, replace
from datetime import datetime
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import TextIO

from contract.delivery import Place
from contract.errors import ChannelwiseError, UsageError
from contract.intake import open_data
from contract.params import Params
from contract.progress import Progress
from contract.stored import is_store, shared_of
from features.matrix import FeatureSet
from models.bundle import Bundle, load_bundle
from models.champion import champion_folder
from serving.desks import Desks
from serving.http.api import routes_of
from serving.http.application import Application, Bounds
from serving.http.deciding import Deciding
from serving.http.keys import Keys, load_keys
from serving.http.metrics import Metrics
from serving.http.server import Watched, run_server
from serving.http.service import Served, Service, microseconds
from serving.http.watched_file import WatchedFile
from serving.live import LiveModel, Shop, open_shop
from serving.live_rules import HOUR_US, LiveRules
from serving.shared_overlay import SharedOverlay
from serving.store import SMALL_TABLES, Beginning, Opened, make_store, open_store, remove_erased, renew_tables
from serving.watching.findings import Monitoring, load_monitoring


@dataclass(frozen=True)
class ServeRequest:
    """What to serve, from where, to whom.

    data: tables that a new store begins with, and that an existing one takes its customers, consents and campaigns
    from; store: the folder of the store; model: a bundle's folder, or the file that points to the champion's; keys: the
    file of keys; plans: the last plan of each campaign that has one; monitoring: NAME.json of the last monitoring;
    redis: where a new store is to keep what changes, so that several servers share it.
    """

    data: Place | None
    store: Path
    model: Path
    keys: Path
    host: str
    port: int
    plans: tuple[Path, ...] = ()
    monitoring: Path | None = None
    redis: str | None = None


class ModelWatch:
    """Looks whether another bundle is to be served than the one read last."""

    def __init__(self, model: Path, threads: int) -> None:
        self._model, self._threads = model, threads
        self._seen: tuple[Path, int] | None = None

    def newer(self) -> Bundle | None:
        """The bundle to serve, None where it is the one read last.

        Raises:
            ArtefactError: it is damaged.
            UsageError: nobody was promoted.
        """
        folder = self._model if self._model.is_dir() else champion_folder(self._model)
        if folder is None:
            raise UsageError(
                f"{self._model}: no champion was promoted; run `channelwise train` first, or give --model DIR"
            )
        manifest = folder / "bundle.json"
        seen = (folder, manifest.stat().st_mtime_ns if manifest.exists() else 0)
        if seen == self._seen:
            return None
        # Remembered before it is read: a damaged bundle is refused once, not at every look.
        self._seen = seen
        return load_bundle(folder, self._threads)


@dataclass(frozen=True)
class Watches:
    """What may be written anew while the server runs, beside plans."""

    model: ModelWatch
    keys: WatchedFile[Keys]
    monitoring: WatchedFile[Monitoring] | None


def run_serve(
    request: ServeRequest, params: Params, progress: Progress, *, clock: Callable[[], datetime], say: TextIO
) -> None:
    """Serves until SIGTERM or SIGINT.

    Raises:
        UsageError: there is no key, no model, neither store nor data, or another server has the store.
        DataError: the data that a new store was to begin with cannot be used.
    """
    keys = WatchedFile(request.keys, load_keys, "keys")
    if not keys.value.keys:
        raise UsageError("there is no key, so nobody could ask; make one: channelwise keys add NAME --scope score")
    watch = ModelWatch(request.model, params.threads)
    bundle = watch.newer()
    assert bundle is not None
    _prepare_store(request, bundle, params, progress, clock())
    monitoring = None
    if request.monitoring is not None:
        monitoring = WatchedFile(request.monitoring, load_monitoring, "figures of the monitoring")
    with nullcontext() if shared_of(request.store) else _alone(request.store):
        _serve(request, bundle, Watches(watch, keys, monitoring), params, clock, say)


@contextmanager
def _alone(store: Path) -> Iterator[None]:
    """Has the store to itself; the system takes that back whatever ends the process.

    Raises:
        UsageError: another server has it.
    """
    with (store / "server.lock").open("wb") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise UsageError(
                f"--store {store}: another server answers from it, and each must know of every event; end that one, or "
                "name another store"
            ) from None
        yield


def _serve(
    request: ServeRequest,
    bundle: Bundle,
    watches: Watches,
    params: Params,
    clock: Callable[[], datetime],
    say: TextIO,
) -> None:
    opened = open_store(request.store, params)
    with closing(opened.events), closing(opened.log):
        remove_erased(request.store, opened.log)
        service = _service(request, bundle, params, opened, clock)
        metrics = Metrics()
        if watches.monitoring is not None:
            metrics.follow(watches.monitoring.now)
        desks = Desks(params, request.plans, service.shop.connection)
        tables = TablesWatch(request, opened, service, desks, clock)
        routes = routes_of(service, Deciding(service, desks), metrics, version("channelwise"))
        application = Application(
            routes, watches.keys.value, _bounds(params), metrics, log_all=params.serving.log_requests
        )
        asyncio.run(
            run_server(
                application,
                service,
                Watched(
                    watches.model.newer,
                    partial(_renewed, desks, tables, watches, application),
                    tables.ask,
                    params.serving.watch_seconds,
                ),
                host=request.host,
                port=request.port,
                connections=params.serving.connections,
                say=say,
            )
        )


def _renewed(desks: Desks, tables: "TablesWatch", watches: Watches, application: Application) -> list[str]:
    """Reads what was written anew but for the model, and says so."""
    said = desks.renew() + tables.renew() + watches.keys.renew()
    application.keys = watches.keys.value
    return said if watches.monitoring is None else said + watches.monitoring.renew()


class TablesWatch:
    """Reads customers, consents and campaigns anew once it is asked to."""

    def __init__(
        self, request: ServeRequest, opened: Opened, service: Service, desks: Desks, clock: Callable[[], datetime]
    ) -> None:
        self._request, self._opened, self._service, self._desks = request, opened, service, desks
        self._clock, self._asked = clock, False

    def ask(self) -> None:
        """Have them read at the next look."""
        self._asked = True

    def renew(self) -> list[str]:
        """Read them if that was asked for, and say so; of tables that cannot be used the old ones stay."""
        if not self._asked:
            return []
        self._asked = False
        if self._request.data is None:
            return ["there are no tables to read anew: start with --data"]
        try:
            self._take(self._request.data)
        except ChannelwiseError as error:
            return [f"the tables offered were refused, the old ones stay: {error}"]
        return ["took customers, consents and campaigns anew"]

    def _take(self, data: Place) -> None:
        service, folder, now = self._service, self._request.store, self._clock()
        params, now_us = service.params, microseconds(now)
        intake = open_data(data, params, as_of=now, quarantine=None, tables=SMALL_TABLES, now=now)
        renew_tables(folder, intake)
        remove_erased(folder, self._opened.log)
        shop = open_shop(folder, params)
        model = LiveModel(service.served.model.bundle, params, self._opened.events, shop, now_us)
        overlay, ids = service.rules.overlay, shop.ids.to_pylist()
        rules = LiveRules(shop.connection, params, ids, shop.transactional, now_us, overlay)
        service.shop, service.rules, self._desks.connection = shop, rules, shop.connection
        service.served = replace(service.served, model=model)


def _prepare_store(request: ServeRequest, bundle: Bundle, params: Params, progress: Progress, now: datetime) -> None:
    """A new store from the data, or an existing one with customers, consents and campaigns as the data have them."""
    exists = is_store(request.store)
    if request.data is None and not exists:
        raise UsageError(f"{request.store}: there is no store yet; give --data DIR, the tables that it begins with")
    shared = shared_of(request.store) if exists else None
    if exists and request.redis is not None and (shared is None or shared.url != request.redis):
        raise UsageError(
            f"--redis {request.redis}: the store {request.store} does not lie there; leave the option out to go on "
            "where it lies, or name a new store"
        )
    if request.data is None:
        return
    if exists:
        intake = open_data(request.data, params, as_of=now, quarantine=None, tables=SMALL_TABLES, now=now)
        renew_tables(request.store, intake)
        return
    intake = open_data(request.data, params, as_of=now, quarantine=None, now=now)
    codebook = FeatureSet.from_json(bundle.manifest.features).codebook
    make_store(request.store, intake, params, Beginning(codebook, request.redis), progress)


def _service(
    request: ServeRequest, bundle: Bundle, params: Params, opened: Opened, clock: Callable[[], datetime]
) -> Service:
    now_us = microseconds(clock())
    shop = open_shop(request.store, params)
    model = LiveModel(bundle, params, opened.events, shop, now_us)
    return Service(
        params=params,
        store=opened.events,
        log=opened.log,
        shop=shop,
        served=Served(model, now_us),
        rules=_rules(shop, params, opened, now_us),
        clock=lambda: microseconds(clock()),
    )


def _rules(shop: Shop, params: Params, opened: Opened, now_us: int) -> LiveRules:
    """The rules with all that came in and was decided before the start."""
    shared = None if opened.shared is None else SharedOverlay(opened.shared, params)
    rules = LiveRules(shop.connection, params, shop.ids.to_pylist(), shop.transactional, now_us, shared)
    if shared is not None:
        return rules
    for event in opened.events.interactions(rules.kinds):
        rules.take(event)
    for contact in opened.log.contacts(now_us - round(params.serving.planned_hours * HOUR_US)):
        rules.expect(*contact)
    return rules


def _bounds(params: Params) -> Bounds:
    serving = params.serving
    return Bounds(
        body_bytes=round(serving.body_mb * 1e6),
        body_seconds=serving.body_seconds,
        waiting_customers=serving.waiting_customers,
        wait_seconds=serving.wait_seconds,
        per_second=serving.requests_per_second,
        burst=serving.burst_requests,
    )
