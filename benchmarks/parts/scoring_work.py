"""What the scoring benchmarks score: bundles over the synthetic history, the tables beside it, an audience.

The models are trained on decisions of the history with a drawn response, so that their trees look at columns as those
of a real bundle do; weights of effects are drawn. What they say is of no use. Made once a folder and size, and used
again.

python -m benchmarks.parts.scoring_work FOLDER CUSTOMERS EVENTS makes a history and the bundle of the whole audiences.
"""

import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import duckdb
import lightgbm as lgb
import numpy as np
import numpy.typing as npt

from benchmarks.features import rows_of
from benchmarks.parts.history import CATEGORIES, WINDOW, Work, prepared, words_of
from contract.loading import load_params
from contract.params import Params
from features.demographic import Customers
from features.matrix import CAMPAIGN_CATEGORY, FeatureSet, learn_features
from features.timeline import Timeline
from models.bundle import CONTACT, ENGAGEMENT, RESPONSE, Bundle, Manifest, Preference, Window, load_bundle
from models.calibration import Platt, Unchanged
from models.effect_terms import Term
from models.effects import Appeal, ContactEffects
from models.evidence import Evidence
from models.forecast_error import ForecastError
from models.intervals import History, Intervals
from models.margin import Margin, fixed_margin
from models.tables import Table
from training.columns import purchases_read
from training.effect_views import effect_terms, of_tastes, people_terms
from training.study import Study

TAUGHT_CUSTOMERS = 12_000
CAMPAIGN = CATEGORIES[0]
AS_OF = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=WINDOW.until_us)


_TOLD = "direction: outbound, medium: digital, consent: true"
_UNTOLD = "direction: outbound, medium: physical, consent: false"
MORE_CHANNELS = {
    "messenger": f"{{{_TOLD}, unit_cost: 0.04, records: [delivered, clicked]}}",
    "flyer": f"{{{_UNTOLD}, unit_cost: 0.20, records: [bounced]}}",
}


def settings(threads: int = 1) -> Params:
    """The shipped parameters with two more channels, eight outbound ones in all."""
    more = [f"channels.{name}={text}" for name, text in MORE_CHANNELS.items()]
    return load_params(assignments=[*more, f"threads={threads}"])


@dataclass(frozen=True)
class Shape:
    """How large the models of a bundle are: trees and leaves of the response, rounds and leaves of the own steps."""

    trees: int
    leaves: int
    rounds: int
    preference_leaves: int


SMALL = Shape(120, 15, 30, 7)
"""As the quick profile trains on 20,000 customers."""
LARGE = Shape(400, 63, 60, 15)
"""As a long search over millions of decisions may find."""
ANSWER_TREES, ANSWER_LEAVES = 120, 15
"""Of the answers behind the contact preference, at most, in every profile."""


@dataclass(frozen=True)
class Tables:
    """What an intake would offer: views of the tables that scoring reads."""

    connection: duckdb.DuckDBPyConnection
    as_of: datetime


def tables(work: Work, params: Params) -> Tables:
    """Customers, consents (four in five granted) and interactions of the history, and an audience of everybody."""
    customers, codebook = work.timeline.n_customers, work.timeline.codebook
    kinds, channels = (", ".join(f"'{word}'" for word in words_of(codebook, name)) for name in ("kind", "channel"))
    needing = ", ".join(f"'{name}'" for name in params.outbound if params.channels[name].consent)
    named = ", ".join(f"('{name}')" for name in CATEGORIES)
    limits: dict[str, str | bool | int | float | list[str]] = {
        "threads": params.threads,
        "memory_limit": "1500MB",
        "temp_directory": str(work.raw.parent / "spill"),
        "max_temp_directory_size": "60GB",
    }
    connection = duckdb.connect(config=limits)
    connection.execute(f"""
        SET TimeZone = 'UTC';
        CREATE VIEW customers AS SELECT printf('%09d', range) AS customer_id, 1940 + range % 60 AS birth_year
            FROM range({customers});
        CREATE VIEW customer_history AS SELECT NULL::VARCHAR AS customer_id, NULL::TIMESTAMP AS valid_from WHERE false;
        CREATE VIEW campaigns AS SELECT name AS campaign_id, name AS category, NULL::VARCHAR AS type
            FROM (VALUES {named}) named(name);
        CREATE VIEW interactions AS SELECT printf('%09d', customer) AS customer_id,
            make_timestamp(ts) AS occurred_at, [{kinds}][kind + 1] AS kind,
            nullif([{channels}][channel + 1], '') AS channel FROM '{work.raw}';
        CREATE VIEW consents AS SELECT printf('%09d', range) AS customer_id, channel,
            make_timestamp({WINDOW.since_us}) AS occurred_at, hash(range, channel) % 5 > 0 AS granted,
            'contact' AS purpose FROM range({customers}), unnest([{needing}]) AS needing(channel);
        CREATE VIEW audience AS SELECT customer_id, NULL::DOUBLE AS value FROM customers""")
    return Tables(connection, AS_OF)


def joint_bundle(folder: Path, work: Work, params: Params, shape: Shape) -> Bundle:
    """A bundle whose response and answers are trees over customer × action, kept in the folder."""
    return _kept(folder / f"joint-{shape.trees}-{shape.leaves}", lambda: _joint(work, params, shape))


def additive_bundle(folder: Path, work: Work, params: Params) -> Bundle:
    """A bundle of the shape that training takes in every simulated retailer: small trees that never see the action, and
    effects of contacts on responses and answers; kept in the folder.
    """
    return _kept(folder / "additive", lambda: _additive(work, params))


def _kept(place: Path, trained: Callable[[], Bundle]) -> Bundle:
    if not place.exists():
        trained().save(place)
    return load_bundle(place)


def customers_of(features: FeatureSet, source: Tables, timeline: Timeline) -> Customers:
    """The demographic columns."""
    return features.demographic.table(source, timeline)


def channel_models(folder: Path, work: Work, params: Params, shape: Shape) -> list[lgb.Booster]:
    """A binary model for each action, trained on that action's decisions; kept in the folder."""
    place = folder / f"channels-{shape.trees}-{shape.leaves}"
    if not place.exists():
        taught = _taught(work, params)
        every = range(len(taught.features.names))
        place.mkdir()
        for action in range(len(params.outbound) + 1):
            own = np.flatnonzero(taught.action == action) if action else np.arange(0, len(taught.rows), 9)
            text = _fit(taught.rows[own], taught.score[own] > 1, taught.features, every, shape.trees, shape.leaves, 1)
            (place / f"{action}.txt").write_text(text, encoding="utf-8")
    return [lgb.Booster(model_file=str(place / f"{action}.txt")) for action in range(len(params.outbound) + 1)]


@dataclass(frozen=True)
class _Taught:
    """Decisions to learn from: rows (n, p), action and customer (n,), and a drawn score (n,)."""

    features: FeatureSet
    rows: npt.NDArray[np.float32]
    action: npt.NDArray[np.int16]
    customer: npt.NDArray[np.int64]
    score: npt.NDArray[np.float64]


def _taught(work: Work, params: Params) -> _Taught:
    source = tables(work, params)
    features = learn_features(source, work.timeline, params)
    few = int(np.searchsorted(work.spine.customer, TAUGHT_CUSTOMERS))
    spine = rows_of(work.spine, 0, few)
    rows = features.matrix(work.timeline, spine, customers_of(features, source, work.timeline))
    random = np.random.default_rng(0)
    chosen = random.choice(len(features.names), 40, replace=False)
    score = np.nan_to_num(rows[:, chosen]).argsort(axis=0).argsort(axis=0).mean(axis=1) / few
    score = (score - score.mean()) / score.std() + 0.4 * np.sin(spine.action) + random.normal(size=few)
    return _Taught(features, rows, spine.action, spine.customer, score)


def _joint(work: Work, params: Params, shape: Shape) -> Bundle:
    taught = _taught(work, params)
    features, rows, score = taught.features, taught.rows, taught.score
    every = range(len(features.names))
    texts = {
        RESPONSE: _fit(rows, score > 1, features, every, shape.trees, shape.leaves, 1),
        CONTACT: _fit(rows, score > 0.5, features, every, ANSWER_TREES, ANSWER_LEAVES, 1),
        ENGAGEMENT: _steps(taught, params, shape),
    }
    return Bundle.assembled(_manifest(params, features), texts)


def _additive(work: Work, params: Params) -> Bundle:
    taught = _taught(work, params)
    features, names = taught.features, taught.features.names
    table = Table(taught.rows, names, features.categorical, taught.customer)
    told = cast(Study, SimpleNamespace(params=params, source=SimpleNamespace(demographic=features.demographic.columns)))
    terms, people = effect_terms(told, table), people_terms(told, table)
    typical, count = purchases_read(params)
    margin = Margin(
        kind="shrunk",
        prior=3.0,
        scale=0.3,
        strength=2.0,
        highest=400.0,
        typical_column=typical,
        count_column=count,
        terms=people,
        weights=(0.1,) * len(people),
    )
    effects = [_drawn(terms, len(params.outbound), seed) for seed in (1, 2)]
    effects[0] = effects[0].model_copy(update={"appeal": _appeal(terms, features, len(params.outbound))})
    manifest = _manifest(params, features).model_copy(
        update={
            "effects": effects[0],
            "contact": Preference(channels=params.outbound, columns=(), calibration=Unchanged(), effects=effects[1]),
            "margin": margin,
        }
    )
    alike = taught.rows.copy()
    alike[:, [names.index(name) for name in features.per_action]] = 0.0  # no split can tell actions apart
    response = _fit(alike, taught.score > 1, features, range(len(names)), SMALL.trees, SMALL.leaves, 1, "poisson")
    return Bundle.assembled(manifest, {RESPONSE: response, ENGAGEMENT: _steps(taught, params, SMALL)})


def _drawn(terms: Sequence[Term], channels: int, seed: int) -> ContactEffects:
    weights = np.random.default_rng(seed).normal(0.0, 0.1, (len(terms), channels))
    intercept = (-3.0,) * channels
    return ContactEffects(terms=tuple(terms), intercept=intercept, weights=tuple(map(tuple, weights.tolist())))


def _appeal(terms: Sequence[Term], features: FeatureSet, channels: int) -> Appeal:
    read = tuple(at for at, term in enumerate(terms) if of_tastes(term))
    categories = tuple(range(len(features.codebook.categories)))
    weights = np.random.default_rng(3).normal(0.0, 0.5, (len(read), len(categories)))
    return Appeal(
        column=CAMPAIGN_CATEGORY,
        categories=categories,
        terms=read,
        weights=tuple(map(tuple, weights.tolist())),
        pull=(0.2,) * channels,
    )


def _steps(taught: _Taught, params: Params, shape: Shape) -> str:
    score, steps = taught.score, len(params.channels)
    stepped = np.digitize(score, np.quantile(score, np.arange(1, steps) / steps))
    shared = _shared(taught.features)
    return _fit(taught.rows, stepped, taught.features, shared, shape.rounds, shape.preference_leaves, steps)


def _shared(features: FeatureSet) -> list[int]:
    return [at for at, name in enumerate(features.names) if name not in features.candidate]


def _fit(
    rows: npt.NDArray[np.float32],
    label: npt.NDArray[Any],
    features: FeatureSet,
    columns: Sequence[int],
    rounds: int,
    leaves: int,
    classes: int,
    objective: str = "binary",
) -> str:
    kind = {"objective": objective} if classes == 1 else {"objective": "multiclass", "num_class": classes}
    options = {
        **kind,
        "num_leaves": leaves,
        "learning_rate": 0.05,
        "feature_fraction": 0.3,
        "min_data_in_leaf": 50,
        "max_cat_to_onehot": 32,
        "seed": 0,
        "num_threads": 1,
        "verbosity": -1,
    }
    names = [features.names[column] for column in columns]
    codes = [at for at, name in enumerate(names) if name in features.categorical]
    data = lgb.Dataset(np.ascontiguousarray(rows[:, list(columns)]), label, categorical_feature=codes, params=options)
    return lgb.train(options, data, rounds).model_to_string()


def _manifest(params: Params, features: FeatureSet) -> Manifest:
    outbound, steps = params.outbound, tuple(params.channels)
    evidence = [
        Evidence(action=name, verdict="adjusted", reason="drawn", decisions=1, responses=1, overlap=1.0)
        for name in ("none", *outbound)
    ]
    counts = tuple(at for at, name in enumerate(features.names) if name in ("sends_count_365d", "steps_count_365d"))
    errors = tuple((0.3, 0.2, 0.1) for _ in range(len(outbound) + 1))
    return Manifest(
        objective_name=params.objective,
        objective=params.target,
        channels=tuple(params.channels),
        outbound=outbound,
        names=features.names,
        categorical=features.categorical,
        candidate=features.candidate,
        features=features.to_json(),
        history=History(columns=counts, long_from=10.0),
        response_calibration=Platt(slope=0.9, intercept=-0.1),
        forecast_error=ForecastError(common=0.05, action=0.04, worth=0.03, spread=1.1),
        intervals=Intervals(tau=errors, own=errors, shared=0.1),
        contact=Preference(channels=outbound, columns=tuple(range(len(features.names))), calibration=Unchanged()),
        engagement=Preference(channels=steps, columns=tuple(_shared(features)), calibration=Unchanged()),
        margin=fixed_margin(3.0),
        evidence=tuple(evidence),
        base_rates=(0.1,) * (len(outbound) + 1),
        window=Window(start_us=0, end_us=1, judged_from_us=1, decisions=1, customers=1, seed=0),
    )


def main(folder: Path, customers: int, events: int) -> None:
    """Makes what a scoring of that many customers with that many events each, at the median, needs."""
    params = settings()
    additive_bundle(folder, prepared(folder, customers, params, median_events=events), params)


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]))
