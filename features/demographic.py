"""What is known of a customer apart from events, as numbers; levels are learned once in training and then only applied.

Only columns named in `tables.customers.features` are read. `birth_year` becomes the age at as_of, a time the days
before as_of, a number stays, a text or flag becomes the index of its level. Columns that the customer history holds
too are as they were at as_of: by the latest row with `valid_from < as_of`, and unknown before the first; only for a
customer without such rows does what the customers table says hold at all times.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Final, Literal

import duckdb
import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from contract.errors import ArtefactError, DataError, UsageError
from contract.params import Params
from contract.tables import CUSTOMER_HISTORY
from features.engines import NUMBERED, Source, number_customers
from features.events import US_PER_DAY, Spine
from features.permission import UNPROFILED, permit
from features.timeline import UNKNOWN_CUSTOMER, Timeline

Reading = Literal["age", "days", "number", "level"]

BIRTH_YEAR: Final = "birth_year"
MAX_AGE_YEARS: Final = 120
"""An age beyond it, or below 0, is a mistake of input and taken as missing."""

BEGINNING_US: Final = np.iinfo(np.int64).min
"""From when a customer's first version holds."""

_EPOCH_YEAR: Final = 1970


@dataclass(frozen=True)
class Column:
    """A column of the customers table and how it is read; levels: of a `level`, most frequent first."""

    source: str
    reading: Reading
    levels: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """Name of the feature."""
        return {"age": "age", "days": f"{self.source}_days"}.get(self.reading, self.source)

    @property
    def categorical(self) -> bool:
        """Whether the number is a code without order."""
        return self.reading == "level"

    @property
    def meaning(self) -> str:
        """One sentence for a reader."""
        return {
            "age": "Age in years: the year of as_of minus the year of birth.",
            "days": f"Days from {self.source} to as_of; missing where it lies after as_of.",
            "number": f"{self.source} as the customers table has it.",
            "level": f"{self.source}: index of its level; {len(self.levels)} stands for every other value.",
        }[self.reading]

    @property
    def unit(self) -> str:
        """What it is measured in."""
        return {"age": "years", "days": "days", "level": "level"}.get(self.reading, "as given")


@dataclass(frozen=True, eq=False)
class Customers:
    """What the columns hold of every customer of a timeline, in as many versions as it changed.

    names: (k,) of the features; values: float64 (n_versions, k), NaN missing. A level is its index, an unknown one the
    index after the last; times are microseconds since 1970 UTC. offsets: int64 (n_customers + 1), customer number i has
    the versions offsets[i]:offsets[i + 1], one at least; from_us: int64 (n_versions,), from when each holds, ascending
    within a customer, the first at the beginning of time.
    """

    names: tuple[str, ...]
    values: npt.NDArray[np.float64]
    offsets: npt.NDArray[np.int64]
    from_us: npt.NDArray[np.int64]

    @classmethod
    def unchanging(cls, names: tuple[str, ...], values: npt.NDArray[np.float64]) -> "Customers":
        """Customers in one version each; values: (n_customers, k)."""
        n = len(values)
        return cls(names, values, np.arange(n + 1), np.broadcast_to(np.int64(BEGINNING_US), n))

    def __len__(self) -> int:
        """How many customers."""
        return len(self.offsets) - 1

    def nobody(self) -> "Customers":
        """A single customer of whom nothing is known."""
        return Customers.unchanging(self.names, np.full((1, len(self.names)), np.nan))

    def versions(self, spine: Spine) -> npt.NDArray[np.int64]:
        """(n_rows,) index of the version in force at each row's as_of; of customer -1 any."""
        if len(self.values) == len(self):
            return spine.customer
        moments, rank = np.unique(self.from_us, return_inverse=True)
        of_customer = np.repeat(np.arange(len(self)), np.diff(self.offsets))
        # Ascends by (customer, from): so does its one number, and a row's place among them tells its version.
        begun = of_customer * (len(moments) + 1) + rank
        asked = spine.customer * (len(moments) + 1) + np.searchsorted(moments, spine.as_of_us)
        return np.searchsorted(begun, asked) - 1


@dataclass(frozen=True)
class DemographicEncoder:
    """The demographic columns with the levels learned in training; applying it learns nothing."""

    columns: tuple[Column, ...] = field(default=())

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the features, in order."""
        return tuple(column.name for column in self.columns)

    def select(self, names: Sequence[str]) -> "DemographicEncoder":
        """Only the columns with these feature names."""
        return DemographicEncoder(tuple(column for column in self.columns if column.name in names))

    def to_tree(self) -> list[dict[str, Any]]:
        """Plain lists and texts, for JSON."""
        return [{**asdict(column), "levels": list(column.levels)} for column in self.columns]

    @classmethod
    def from_tree(cls, tree: list[dict[str, Any]]) -> "DemographicEncoder":
        """The inverse of `to_tree`.

        Raises:
            ArtefactError: The tree has another shape.
        """
        try:
            return cls(tuple(Column(each["source"], each["reading"], tuple(each["levels"])) for each in tree))
        except (KeyError, TypeError) as error:
            raise ArtefactError(f"demographic encoder: is damaged ({error!r}); train again") from error

    def table(self, intake: Source, timeline: Timeline) -> Customers:
        """The columns of every customer of the timeline; missing for those who do not consent to profiling.

        Raises:
            DataError: A column that training had is missing.
        """
        return self.table_of(intake.connection, timeline.ids, timeline.window.until_us)

    def table_of(self, connection: duckdb.DuckDBPyConnection, ids: pa.Array, until_us: int) -> Customers:
        """The columns of these customers, by the consents before `until_us`.

        Args:
            connection: Holds the views of an intake.
            ids: (n_customers,) text, ascending; the position is the customer's number.
            until_us: Microseconds since 1970 UTC.

        Raises:
            DataError: A column that training had is missing.
        """
        _refuse_missing(connection, self.columns)
        number_customers(connection, ids)
        permit(connection, until_us)
        values = np.full((len(ids), len(self.columns)), np.nan)
        if self.columns:
            picked = ", ".join(f"{_read_as(column)} AS c{at}" for at, column in enumerate(self.columns))
            rows = connection.sql(
                f"SELECT number, {picked} FROM customers JOIN {NUMBERED} USING (customer_id) "  # noqa: S608  quoted
                f"ANTI JOIN {UNPROFILED} USING (customer_id)"
            )
            for batch in rows.to_arrow_reader(100_000):
                number = batch["number"].to_numpy()
                for at, column in enumerate(self.columns):
                    values[number, at] = _numbers(batch[f"c{at}"], column)
        return _with_history(connection, self.columns, Customers.unchanging(self.names, values))

    def encode(self, customers: Customers, spine: Spine) -> npt.NDArray[np.float32]:
        """(n_rows, k) the features of each row of the spine at its own as_of.

        Args:
            customers: As `table` gives them, from this encoder or from one with more columns.
            spine: (n_rows,) rows; customer -1 is nobody, and all is missing.

        Raises:
            UsageError: The customers lack a column of this encoder.
        """
        lacking = [name for name in self.names if name not in customers.names]
        if lacking:
            raise UsageError(f"customers: lack {', '.join(lacking)}; read them by the table of this encoder")
        columns = np.array([customers.names.index(name) for name in self.names], np.int64)
        values = customers.values[np.ix_(customers.versions(spine), columns)]
        values[spine.customer == UNKNOWN_CUSTOMER] = np.nan
        for at, column in enumerate(self.columns):
            if column.reading == "age":
                values[:, at] = _age_years(values[:, at], spine.as_of_us)
            elif column.reading == "days":
                values[:, at] = _days_before(values[:, at], spine.as_of_us)
        return values.astype(np.float32)


def fit_demographic(intake: Source, params: Params) -> DemographicEncoder:
    """Learn the columns and levels from the accepted customers.

    A level needs `min_category_customers` customers, so that it names no person; the `max_categories` most frequent
    stay. Columns that the parameters name and the table lacks are left out; `check` reports them.

    Raises:
        UsageError: A named column holds what is no number, time, text or flag.
    """
    types = _column_types(intake.connection)
    named = [name for name in dict.fromkeys(params.tables.customers.features) if name in types]
    columns = [Column(name, _reading(name, types[name])) for name in named]
    return DemographicEncoder(
        tuple(
            Column(column.source, "level", _levels(intake.connection, column.source, params))
            if column.categorical
            else column
            for column in columns
        )
    )


def _column_types(connection: duckdb.DuckDBPyConnection) -> dict[str, str]:
    customers = connection.sql("SELECT * FROM customers LIMIT 0")
    return {name: str(type_) for name, type_ in zip(customers.columns, customers.types, strict=True)}


def _reading(name: str, type_: str) -> Reading:
    if name == BIRTH_YEAR:
        return "age"
    if type_.startswith(("TIMESTAMP", "DATE")):
        return "days"
    if type_ in {"VARCHAR", "BOOLEAN", "UUID"} or type_.startswith("ENUM"):
        return "level"
    if type_.startswith("DECIMAL") or type_.endswith("INT") or type_ in {"INTEGER", "UINTEGER", "FLOAT", "DOUBLE"}:
        return "number"
    raise UsageError(
        f"tables.customers.features: column '{name}' holds {type_}; expected a number, time, text or flag; take it out"
    )


def _levels(connection: duckdb.DuckDBPyConnection, source: str, params: Params) -> tuple[str, ...]:
    """Most frequent first, ties by text."""
    held = "FROM customers"
    if source in connection.table(CUSTOMER_HISTORY).columns:
        held = f"""FROM (SELECT customer_id, CAST({_quoted(source)} AS VARCHAR) AS {_quoted(source)} FROM customers
            UNION ALL SELECT customer_id, CAST({_quoted(source)} AS VARCHAR) FROM {CUSTOMER_HISTORY})"""  # noqa: S608
    rows = connection.execute(
        f"""SELECT CAST({_quoted(source)} AS VARCHAR) AS level, count(DISTINCT customer_id) AS n {held}
        WHERE level IS NOT NULL GROUP BY level HAVING n >= ? ORDER BY n DESC, level LIMIT ?""",
        [params.features.min_category_customers, params.features.max_categories],
    )
    return tuple(level for level, _ in rows.fetchall())


def _refuse_missing(connection: duckdb.DuckDBPyConnection, columns: Sequence[Column]) -> None:
    found = _column_types(connection)
    missing = [column.source for column in columns if column.source not in found]
    if missing:
        raise DataError(
            f"customers: columns {', '.join(missing)} are missing, and the model was trained with them; "
            "provide them, empty where unknown, or train again without them"
        )


def _with_history(connection: duckdb.DuckDBPyConnection, columns: Sequence[Column], customers: Customers) -> Customers:
    """The customers with a version for each row of their history, and one before, when these columns were unknown."""
    held = set(connection.table(CUSTOMER_HISTORY).columns)
    changing = [at for at, column in enumerate(columns) if column.source in held]
    if not changing:
        return customers
    picked = ", ".join(f"{_read_as(columns[at])} AS c{at}" for at in changing)
    rows = connection.sql(
        f"SELECT number, epoch_us(valid_from) AS from_us, {picked} FROM {CUSTOMER_HISTORY} "  # noqa: S608  quoted
        f"JOIN {NUMBERED} USING (customer_id) ANTI JOIN {UNPROFILED} USING (customer_id) ORDER BY number, from_us"
    ).to_arrow_table()
    number, n = rows["number"].to_numpy().astype(np.int64), len(customers)
    offsets = np.arange(n + 1) + np.concatenate([[0], np.cumsum(np.bincount(number, minlength=n))])
    first = np.zeros(offsets[-1], np.bool_)
    first[offsets[:-1]] = True
    values = np.repeat(customers.values, np.diff(offsets), axis=0)
    from_us = np.full(len(values), BEGINNING_US)
    from_us[~first] = rows["from_us"].to_numpy()
    unknown_yet = offsets[:-1][np.diff(offsets) > 1]
    for at in changing:
        values[unknown_yet, at] = np.nan
        values[~first, at] = _numbers(rows[f"c{at}"].combine_chunks(), columns[at])
    return Customers(customers.names, values, offsets, from_us)


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def _read_as(column: Column) -> str:
    """SQL of a column in the type that training read; what cannot be read so is missing."""
    name = _quoted(column.source)
    if column.reading == "level":
        return f"CAST({name} AS VARCHAR)"
    if column.reading == "days":
        return f"CAST(epoch_us(TRY_CAST({name} AS TIMESTAMP)) AS DOUBLE)"
    return f"TRY_CAST({name} AS DOUBLE)"


def _numbers(values: pa.Array, column: Column) -> npt.NDArray[np.float64]:
    if column.categorical:
        known = pc.index_in(values, value_set=pa.array(column.levels, pa.string()))
        levels = pc.if_else(pc.is_valid(values), pc.fill_null(known, len(column.levels)), None)
        values = levels.cast(pa.float64())
    numbers: npt.NDArray[np.float64] = values.to_numpy(zero_copy_only=False)
    return numbers


def _age_years(birth_year: npt.NDArray[np.float64], as_of_us: npt.NDArray[np.int64]) -> npt.NDArray[np.float64]:
    year = as_of_us.astype("datetime64[us]").astype("datetime64[Y]").astype(np.int64) + _EPOCH_YEAR
    age = year - birth_year
    return np.where((age >= 0) & (age <= MAX_AGE_YEARS), age, np.nan)


def _days_before(time_us: npt.NDArray[np.float64], as_of_us: npt.NDArray[np.int64]) -> npt.NDArray[np.float64]:
    """Days in [0, ∞); a time at or after as_of is not known yet, and missing."""
    days = (as_of_us - time_us) / US_PER_DAY
    return np.where(days > 0, days, np.nan)
