"""A model that answers about single customers now, from the event store; keeps nothing and chooses nobody."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import nan
from pathlib import Path
from typing import Final, NamedTuple

import duckdb
import pyarrow as pa

from contract.errors import ArtefactError, DataError
from contract.params import Params
from contract.sources import literal, quoted
from contract.stored import base_file
from contract.tables import DATA_TABLES, SCHEMAS
from features.demographic import Customers
from features.event_store import EventStore, Interaction
from features.events import NO_CATEGORY
from features.histories import EMPTY, inserted
from features.matrix import Matrix
from features.online import NO_CANDIDATE, Asked, OnlineFeatures
from features.permission import Use, Uses, uses
from features.spine import category_of
from models.bundle import Bundle
from serving.live_reasons import LiveReasons
from serving.scorer import Scorer
from serving.scores import Predictions

TRANSACTIONAL: Final = "transactional"


@dataclass(frozen=True)
class Campaign:
    """A campaign as events know it."""

    category: str | None
    transactional: bool


@dataclass(frozen=True)
class Shop:
    """What a store knows beside events: views of its small tables, customers' ids, and campaigns by id.

    ids: (n_customers,) text, ascending.
    """

    connection: duckdb.DuckDBPyConnection
    ids: pa.Array
    campaigns: Mapping[str, Campaign]

    @property
    def transactional(self) -> frozenset[str]:
        """Ids of the campaigns of that type."""
        return frozenset(name for name, each in self.campaigns.items() if each.transactional)

    def campaign(self, campaign_id: str | None) -> Campaign:
        """The campaign; one of which nothing is known where the store has none of that id."""
        return self.campaigns.get(campaign_id or "", NO_CAMPAIGN)


NO_CAMPAIGN: Final = Campaign(None, False)


class Person(NamedTuple):
    """A customer to be predicted. history: as `features.histories` has it; replaced: columns of the model by name, with
    numbers as the model has them.
    """

    customer_id: str
    history: bytes
    replaced: Mapping[str, float] = {}


def open_shop(folder: Path, params: Params) -> Shop:
    """The small tables of a store, which hold accepted rows only and need no check.

    Raises:
        ArtefactError: a file is damaged or missing.
    """
    connection = duckdb.connect(config={"threads": params.threads})
    connection.execute("SET TimeZone = 'UTC'")
    try:
        for table in DATA_TABLES:
            connection.execute(f"CREATE VIEW {table} AS {_rows(folder, table)}")
        ids = connection.sql("SELECT CAST(customer_id AS VARCHAR) AS id FROM customers ORDER BY 1").to_arrow_table()
        rows = connection.sql("SELECT campaign_id, category, type FROM campaigns").fetchall()
    except duckdb.Error as error:
        raise ArtefactError(f"{folder}: the store's tables cannot be read ({error}); restore it from a copy") from error
    campaigns = {name: Campaign(category, kind == TRANSACTIONAL) for name, category, kind in rows}
    return Shop(connection, ids["id"].combine_chunks(), campaigns)


def _rows(folder: Path, table: str) -> str:
    """SQL of a base table as an intake shows it: times without a zone, in UTC; empty where the store has none."""
    schema, path = SCHEMAS[table], base_file(folder, table)
    if not path.exists():
        return f"SELECT {', '.join(f'CAST(NULL AS {c.type}) AS {quoted(c.name)}' for c in schema.columns)} WHERE false"
    times = ", ".join(
        f"{quoted(c.name)} AT TIME ZONE 'UTC' AS {quoted(c.name)}" for c in schema.columns if c.type == "TIMESTAMP"
    )
    return f"SELECT * {f'REPLACE ({times})' if times else ''} FROM read_parquet({literal(str(path))})"  # noqa: S608


class LiveModel:
    """A bundle over a store and a shop. Making one computes what every request shares; answering changes nothing."""

    def __init__(self, bundle: Bundle, params: Params, store: EventStore, shop: Shop, now_us: int) -> None:
        """Make ready; compiles, so that no request waits for it.

        Args:
            bundle: what predicts.
            params: those of its training.
            store: where the events are; its codebook continues the bundle's.
            shop: what is known beside events.
            now_us: by when consents to profiling and tracking count, microseconds since 1970 UTC.

        Raises:
            ArtefactError: the bundle was trained on other channels than the parameters declare.
            UsageError: the store's codebook does not continue the bundle's.
        """
        if bundle.manifest.outbound != params.outbound:
            raise ArtefactError(
                f"model {bundle.model_version}: was trained to choose among {', '.join(bundle.manifest.outbound)}; the "
                f"parameters declare {', '.join(params.outbound)} as outbound; give the --params of its training"
            )
        self.bundle, self.scorer = bundle, Scorer.of(bundle, params.planning.interval)
        customers: Customers = self.scorer.features.demographic.table_of(shop.connection, shop.ids, now_us)
        self._uses: Uses = uses(shop.connection, list(params.channels))
        ids = shop.ids.to_pylist()
        self._store = store
        self.shared = OnlineFeatures(self.scorer.candidates.shared, store, customers, ids)
        self.own = OnlineFeatures(self.scorer.candidates.own, store, customers, ids)
        self.reasons = LiveReasons(self.scorer, store, customers, ids)
        features = self.scorer.features
        self._replaceable = {*features.names} - {*features.row_columns}
        self._levels = {
            column.name: {level: float(at) for at, level in enumerate(column.levels)}
            for column in features.demographic.columns
            if column.categorical
        }
        # Once for one row and once for several, which are compiled apart.
        for count in (1, 2):
            self.predict([Person("", EMPTY)] * count, now_us, NO_CAMPAIGN)

    @property
    def replaceable(self) -> list[str]:
        """Names of the columns that a request may give, in the model's order."""
        return [name for name in self.scorer.features.names if name in self._replaceable]

    @property
    def model_version(self) -> str:
        """Of the bundle."""
        return self.bundle.model_version

    def use(self, customer_id: str) -> Use:
        """What of the customer's history may be used."""
        return self._uses.of(customer_id)

    def knows(self, customer_id: str) -> bool:
        """Whether the shop has the customer."""
        return self.shared.knows(customer_id)

    def forget(self, customer_id: str) -> None:
        """Hold nothing of the customer any more."""
        self.shared.forget(customer_id)
        self.reasons.forget(customer_id)

    def history(self, customer_id: str) -> bytes:
        """The customer's events, as the store has them now."""
        return self._store.history(customer_id)

    def histories(self, customer_ids: Sequence[str]) -> list[bytes]:
        """`history` of each, asked for at once."""
        return self._store.histories(customer_ids)

    def history_with(self, history: bytes, events: Sequence[Interaction]) -> bytes:
        """The history as it would be if these events of the customer had been delivered too.

        Raises:
            DataError: an event breaks the contract.
        """
        for event in events:
            code, cents = self._store.encoded(event)
            history = inserted(history, event.occurred_at_us, code, cents)
        return history

    def columns(self, features: Mapping[str, float | str | None]) -> dict[str, float]:
        """Columns by name as numbers, levels given by their text.

        Raises:
            DataError: the model has no such column, or it takes no text or no number.
        """
        return {name: self._column(name, value) for name, value in features.items()}

    def _column(self, name: str, value: float | str | None) -> float:
        levels = self._levels.get(name)
        if name not in self._replaceable:
            raise DataError(
                f"features.{name}: the model has no such column that can be given; GET /v1/models lists them"
            )
        if value is None:
            return nan
        if isinstance(value, str) != (levels is not None):
            expected = "a number" if levels is None else f"a text, such as {', '.join(sorted(levels)[:3])}"
            raise DataError(f"features.{name}: found {value!r}; expected {expected}")
        if levels is None:
            return float(value)
        return float(levels.get(str(value), len(levels)))

    def predict(self, people: Sequence[Person], as_of_us: int, campaign: Campaign) -> Predictions:
        """What n customers will do, in their order."""
        category = NO_CATEGORY
        if campaign.category is not None:
            category = category_of(self.shared.codebook, campaign.category)
        ids = [each.customer_id for each in people]
        uses = [self._uses.of(each) for each in ids]
        events = self.shared.together([each.history for each in people], uses, as_of_us)
        shared = self.shared.rows(events, ids, uses, Asked(as_of_us, NO_CANDIDATE, category))
        actions = self.scorer.candidates.actions
        own = self.own.rows(events, ids, uses, Asked(as_of_us, actions, category))
        for at, each in enumerate(people):
            if each.replaced and uses[at].profiling:
                _replace(shared[at : at + 1], self.shared.names, each.replaced)
                _replace(own[at * len(actions) : (at + 1) * len(actions)], self.own.names, each.replaced)
        return self.scorer.predict(shared, own)


def _replace(rows: Matrix, names: Sequence[str], replaced: Mapping[str, float]) -> None:
    for at, name in enumerate(names):
        if name in replaced:
            rows[:, at] = replaced[name]
