"""The parameters: what may be turned, in which range; reads no data and no environment.

`params.yaml` at the root of the distribution holds every key with its unit and reason; this module holds their types
and ranges. `load_params` merges over it and reports every fault of all sources together.
"""

from collections.abc import Mapping
from typing import Annotated, Any, Literal, Self

from pydantic import Field, field_validator, model_validator

from contract.contact_rules import Eligibility, undeclared_names
from contract.kinds import SHIPPED_KINDS, Role
from contract.sections import Count, Name, NonNegative, Positive, Section, Share
from contract.tables import SCHEMAS


class Objective(Section):
    """What counts as a response, within how many days, and what it is worth."""

    kinds: Annotated[list[str], Field(min_length=1)]
    horizon_days: Annotated[float, Field(gt=0, le=366)]
    counts: Literal["customer", "send"] = "customer"
    margin_rate: Share | None = None
    worth_eur: NonNegative | None = None

    @model_validator(mode="after")
    def _one_worth(self) -> Self:
        if (self.margin_rate is None) == (self.worth_eur is None):
            raise ValueError("needs exactly one of margin_rate (share of value) and worth_eur (EUR a response)")
        return self


class Channel(Section):
    """A way between customer and brand."""

    direction: Literal["outbound", "inbound", "both"]
    medium: Literal["digital", "physical"]
    unit_cost: NonNegative = 0.0
    consent: bool
    records: list[str] = []
    machine_open_seconds: NonNegative | None = None

    @property
    def outbound(self) -> bool:
        """Whether the brand can contact a customer here."""
        return self.direction != "inbound"


class Table(Section):
    """Where an input table lies and how its words map to ours."""

    path: str | None = None
    rename: dict[str, str] = {}
    values: dict[str, dict[str, str]] = {}


class CustomersTable(Table):
    """The customers table; only columns named in `features` are ever features."""

    features: list[str] = []


class Tables(Section):
    """All input tables."""

    customers: CustomersTable = CustomersTable()
    customer_history: Table = Table()
    interactions: Table = Table()
    consents: Table = Table()
    campaigns: Table = Table()
    propensities: Table = Table()
    decided: Table = Table()
    audience: Table = Table()


class Check(Section):
    """When bad rows stop the job."""

    max_quarantine_share: Share
    allow_quarantine: list[str]
    first_values: Annotated[int, Field(ge=0, le=100)]
    late_days: NonNegative


class EventsNamed(Section):
    """A set of events that `features.add` may name; an empty list stands for all."""

    words: str
    kinds: list[str] = []
    channels: list[str] = []
    categories: list[str] = []
    transactional: bool | None = None


class Answers(Section):
    """By which habits opens count as a machine's and not as a person's."""

    machine_open_sends: Count
    machine_open_share: Share
    machine_open_spread: Share


class Features(Section):
    """What the features look back on, and what is added to or taken from the default ones."""

    lookback_days: Annotated[float, Field(gt=0, le=36_500)]
    windows_days: Annotated[list[Positive], Field(min_length=4, max_length=4)]
    half_lives_days: Annotated[list[Positive], Field(min_length=2, max_length=2)]
    smoothing_sends: NonNegative
    max_categories: Annotated[int, Field(ge=2, le=65_535)]
    min_category_customers: Count
    sets: dict[Name, EventsNamed] = {}
    add: list[dict[str, Any]] = []
    leave_out: list[str] = []

    @model_validator(mode="after")
    def _ascending(self) -> Self:
        if sorted(set(self.windows_days)) != self.windows_days:
            raise ValueError("windows_days must ascend without repeats")
        return self


LearnerName = Literal["joint", "additive", "doubly robust"]


class Profile(Section):
    """How much effort a training spends, and which learners of the response contend."""

    trials: Count
    max_decisions: Annotated[int, Field(ge=1_000)]
    trees: Count
    learners: list[LearnerName]
    refit: bool
    timeout_minutes: Positive | None = None

    @field_validator("learners")
    @classmethod
    def _joint_among_them(cls, learners: list[LearnerName]) -> list[LearnerName]:
        if "joint" not in learners:
            raise ValueError("needs joint, which remains where the others cannot be used")
        if len(set(learners)) < len(learners):
            raise ValueError("names a learner twice")
        return learners


class Training(Section):
    """Splits, search and guards of a training."""

    test_days: Positive
    validation_days: Positive
    holdout_customer_share: Annotated[float, Field(gt=0, lt=1)]
    min_customers_per_leaf: Annotated[int, Field(ge=10)]
    min_rows_per_channel: Count
    overlap_min_share: Share
    leak_auc: Annotated[float, Field(ge=0.5, le=1)]
    leak_gain_share: Share
    calibration_bins: Annotated[int, Field(ge=2, le=1_000)]
    nats_per_1000_splits: NonNegative
    profiles: dict[Literal["quick", "default", "thorough"], Profile]


class Promotion(Section):
    """When a challenger replaces the champion."""

    min_log_loss_gain: NonNegative
    min_value_gain_eur: float
    confidence: Annotated[float, Field(ge=0.5, lt=1)]
    max_calibration_loss: NonNegative
    max_group_loss: NonNegative


class PlanLimit(Section):
    """A limit of a group of customers, of a channel, of a campaign, or of any of these together.

    group: column of the customers → value; all must hold. What is left out means all.
    """

    channel: str | None = None
    campaign: str | None = None
    group: dict[str, str] = {}
    at_most: Annotated[int, Field(ge=0)] | None = None
    at_least: Annotated[int, Field(ge=0)] | None = None
    budget_eur: NonNegative | None = None

    @field_validator("group", mode="before")
    @classmethod
    def _as_text(cls, group: Any) -> Any:
        return {str(column): str(value) for column, value in group.items()} if isinstance(group, Mapping) else group

    @model_validator(mode="after")
    def _bounded(self) -> Self:
        if self.at_most is None and self.at_least is None and self.budget_eur is None:
            raise ValueError("needs at_most (contacts), at_least (contacts) or budget_eur")
        return self


class Planning(Section):
    """Limits and randomness of a plan."""

    contacts_per_customer: Annotated[int, Field(ge=1, le=4)]
    gap_hours: NonNegative
    further_contact_worth: Share
    risk: Literal["mean", "lower"]
    exploration: Literal["uniform", "thompson"]
    control_share: Annotated[float, Field(ge=0, lt=1)]
    limits: list[PlanLimit]
    holdout_share: Annotated[float, Field(ge=0, lt=1)]
    explore_share: Annotated[float, Field(ge=0, lt=1)]
    explore_limit_share: Share
    budget_eur: NonNegative | None
    capacities: dict[str, Annotated[int, Field(ge=0)]]
    minimums: dict[str, Annotated[int, Field(ge=0)]]
    exact_below_customers: Annotated[int, Field(ge=0, le=100_000)]
    interval: Annotated[float, Field(gt=0.5, lt=1)]

    @model_validator(mode="after")
    def _shares(self) -> Self:
        if self.holdout_share + self.explore_share >= 1:
            raise ValueError("holdout_share + explore_share must stay below 1")
        return self


class Resources(Section):
    """What the machine may give."""

    duckdb_memory_gb: Positive
    duckdb_spill_gb: Positive
    block_customers: Count


class Serving(Section):
    """How `channelwise serve` answers: bounds of requests, and how durable an acknowledged event is."""

    body_mb: Positive
    body_seconds: Positive
    connections: Count
    waiting_customers: Count
    wait_seconds: Positive
    requests_per_second: Positive
    burst_requests: Positive
    watch_seconds: Positive
    planned_hours: Positive
    durability: Literal["process", "power"]
    log_requests: bool


class Monitor(Section):
    """What monitoring compares, and from which size on it speaks up."""

    period_days: Annotated[int, Field(ge=7, le=366)]
    periods: Annotated[int, Field(ge=4, le=60)]
    rows: Annotated[int, Field(ge=500)]
    level: Annotated[float, Field(gt=0, lt=0.5)]
    min_moved_share: Share
    min_change: Positive
    min_events: Count


class Spark(Section):
    """Where `--engine spark` runs and with which settings."""

    master: Annotated[str, Field(pattern=r"^(local(\[[^\]]+\])?|yarn|spark://.+|k8s://.+)$")]
    scratch: str | None
    settings: dict[str, str | bool | int | float]

    @model_validator(mode="after")
    def _settable(self) -> Self:
        foreign = [name for name in self.settings if not name.startswith("spark.")]
        if foreign:
            raise ValueError(f"settings: {', '.join(foreign)}: a setting of Spark begins with 'spark.'")
        ours = {"spark.master": "give it as spark.master", "spark.sql.session.timeZone": "times are UTC; remove it"}
        taken = [f"settings: {name}: {remedy}" for name, remedy in ours.items() if name in self.settings]
        if taken:
            raise ValueError("; ".join(taken))
        return self

    @property
    def texts(self) -> dict[str, str]:
        """The settings as Spark reads them."""
        return {
            name: str(value).lower() if isinstance(value, bool) else str(value) for name, value in self.settings.items()
        }


class Params(Section):
    """Every parameter, validated."""

    objective: str
    objectives: dict[str, Objective]
    channels: Annotated[dict[str, Channel], Field(min_length=1)]
    kinds: dict[str, Role]
    tables: Tables
    check: Check
    answers: Answers
    features: Features
    training: Training
    promotion: Promotion
    eligibility: Eligibility
    planning: Planning
    resources: Resources
    serving: Serving
    monitor: Monitor
    spark: Spark
    seed: Annotated[int, Field(ge=0, lt=2**31)]
    threads: Annotated[int, Field(ge=1, le=256)]

    @model_validator(mode="after")
    def _names_agree(self) -> Self:
        faults = [*_undeclared(self), *_redeclared(self)]
        if faults:
            raise ValueError("; ".join(faults))
        return self

    @property
    def all_kinds(self) -> dict[str, Role]:
        """Shipped and declared kinds."""
        return {**SHIPPED_KINDS, **self.kinds}

    @property
    def target(self) -> Objective:
        """The objective to train and score for."""
        return self.objectives[self.objective]

    @property
    def outbound(self) -> tuple[str, ...]:
        """Outbound channels in declared order; the order of actions, after none."""
        return tuple(name for name, channel in self.channels.items() if channel.outbound)

    def kinds_of(self, *roles: Role) -> tuple[str, ...]:
        """Kinds that have one of the roles, in declared order."""
        return tuple(kind for kind, role in self.all_kinds.items() if role in roles)


def _undeclared(params: Params) -> list[str]:
    """Names that are used and declared nowhere."""
    faults = []
    if params.objective not in params.objectives:
        faults.append(f"objective: '{params.objective}' is not under objectives: ({', '.join(params.objectives)})")
    kinds = params.all_kinds
    used = {f"objectives.{name}.kinds": each.kinds for name, each in params.objectives.items()}
    used |= {f"channels.{name}.records": each.records for name, each in params.channels.items()}
    used |= {f"features.sets.{name}.kinds": each.kinds for name, each in params.features.sets.items()}
    for path, names in used.items():
        faults += [f"{path}: '{kind}' is no declared kind" for kind in names if kind not in kinds]
    limits: dict[str, Mapping[str, int]] = {
        "planning.capacities": params.planning.capacities,
        "planning.minimums": params.planning.minimums,
    }
    for path, limit in limits.items():
        faults += [f"{path}.{name}: no declared outbound channel" for name in limit if name not in params.outbound]
    for name, each in params.features.sets.items():
        found = [channel for channel in each.channels if channel not in params.channels]
        faults += [f"features.sets.{name}.channels: '{channel}' is no declared channel" for channel in found]
    allowed = params.check.allow_quarantine
    faults += [f"check.allow_quarantine: '{name}' is no table" for name in allowed if name not in SCHEMAS]
    faults += undeclared_names(params.eligibility, params.outbound, kinds)
    if not params.outbound:
        faults.append("channels: none is outbound, so there is nothing to choose")
    return faults


def _redeclared(params: Params) -> list[str]:
    faults = [f"kinds.{kind}: is shipped and cannot be redeclared" for kind in params.kinds if kind in SHIPPED_KINDS]
    return faults + [
        f"kinds.{kind}: only sent and held_out are decisions, so its role may be delivery, answer, opt_out or own_step"
        for kind, role in params.kinds.items()
        if role == Role.DECISION
    ]
