"""The input tables: their columns, types and keys; reads no data and knows no file format."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType
from typing import Final


class Type(StrEnum):
    """What a column holds once it is read; the value is its DuckDB type. Times are UTC."""

    TEXT = "VARCHAR"
    TIME = "TIMESTAMP"
    NUMBER = "DOUBLE"
    FLAG = "BOOLEAN"


@dataclass(frozen=True)
class Column:
    """A column of the contract.

    required: the table must have it; nullable: a single row may lack it; default: SQL of the value of a null.
    """

    name: str
    type: Type = Type.TEXT
    required: bool = False
    nullable: bool = True
    default: str | None = None


@dataclass(frozen=True)
class Schema:
    """A table of the contract.

    key: columns that name a row; empty where only an exact copy is a duplicate. keeps_further: whether columns beyond
    the contract stay in the accepted rows. lenient: an optional value that cannot be read is taken as missing and
    counted, instead of costing the row.
    """

    name: str
    columns: tuple[Column, ...]
    key: tuple[str, ...] = ()
    keeps_further: bool = False
    lenient: bool = False
    may_be_empty: bool = True

    def column(self, name: str) -> Column | None:
        """The column of that name, if the contract has it."""
        return next((column for column in self.columns if column.name == name), None)

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the contract's columns in order."""
        return tuple(column.name for column in self.columns)


def _required(name: str, type_: Type = Type.TEXT, *, nullable: bool = False) -> Column:
    return Column(name, type_, required=True, nullable=nullable)


CUSTOMERS: Final = "customers"
CUSTOMER_HISTORY: Final = "customer_history"
INTERACTIONS: Final = "interactions"
CONSENTS: Final = "consents"
CAMPAIGNS: Final = "campaigns"
PROPENSITIES: Final = "propensities"
DECIDED: Final = "decided"
AUDIENCE: Final = "audience"

PURPOSES: Final = ("contact", "profiling", "tracking")
CAMPAIGN_OBJECTIVES: Final = ("inform", "acquire", "sell", "retain")
CAMPAIGN_TYPES: Final = ("bulk", "trigger", "transactional")

_ALL = (
    Schema(
        CUSTOMERS,
        (
            _required("customer_id"),
            Column("birth_year", Type.NUMBER),
            Column("gender"),
            Column("region"),
            Column("signup_at", Type.TIME),
            Column("acquisition_channel"),
        ),
        key=("customer_id",),
        keeps_further=True,
        lenient=True,
        may_be_empty=False,
    ),
    Schema(
        CUSTOMER_HISTORY,
        (_required("customer_id"), _required("valid_from", Type.TIME)),
        key=("customer_id", "valid_from"),
        keeps_further=True,
        lenient=True,
    ),
    Schema(
        CAMPAIGNS,
        (
            _required("campaign_id"),
            _required("starts_at", Type.TIME),
            Column("name"),
            Column("objective"),
            Column("type"),
            Column("category"),
        ),
        key=("campaign_id",),
    ),
    Schema(
        INTERACTIONS,
        (
            _required("customer_id"),
            _required("occurred_at", Type.TIME),
            _required("channel", nullable=True),
            _required("kind"),
            Column("campaign_id"),
            Column("send_id"),
            Column("value", Type.NUMBER),
            Column("cost", Type.NUMBER),
            Column("propensity", Type.NUMBER),
        ),
        may_be_empty=False,
    ),
    Schema(
        CONSENTS,
        (
            _required("customer_id"),
            _required("channel", nullable=True),
            _required("occurred_at", Type.TIME),
            _required("granted", Type.FLAG),
            Column("purpose", default="'contact'"),
        ),
    ),
    Schema(
        PROPENSITIES,
        (
            _required("customer_id"),
            _required("campaign_id"),
            _required("channel", nullable=True),
            _required("propensity", Type.NUMBER),
        ),
        key=("customer_id", "campaign_id", "channel"),
    ),
    Schema(
        DECIDED,
        (
            _required("customer_id"),
            _required("campaign_id"),
            _required("decided_at", Type.TIME),
            _required("channel", nullable=True),
            Column("propensity", Type.NUMBER),
            Column("role"),
            Column("model_version"),
        ),
        key=("customer_id", "campaign_id", "decided_at", "channel"),
    ),
    Schema(
        AUDIENCE,
        (_required("customer_id"), Column("value", Type.NUMBER)),
        key=("customer_id",),
        may_be_empty=False,
    ),
)

SCHEMAS: Final[Mapping[str, Schema]] = MappingProxyType({schema.name: schema for schema in _ALL})
"""Every table, in the order in which they are checked: what others refer to comes first."""

DATA_TABLES: Final = (CUSTOMERS, CUSTOMER_HISTORY, CAMPAIGNS, INTERACTIONS, CONSENTS, PROPENSITIES, DECIDED)
"""The tables of a data directory; the audience is given apart."""
