"""Simulated retailers for judging models: what is true, who may be contacted, and the rows that peers learn from.

Everything is made once per world and shared by all who choose. Fits and judges nothing.
"""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from channelwise.demos.retailer import demo_limits
from channelwise.jobs.features import timeline_of
from contract.intake import Intake, open_data
from contract.params import Params
from contract.progress import silent
from features import grammar as g
from features.catalogue import subjects
from features.events import NO_ACTION, Spine
from features.matrix import ACTION, CAMPAIGN_CATEGORY, FeatureSet, learn_features
from features.spine import Decisions, candidates, category_of, decision_spine
from features.timeline import Timeline, kept_window
from serving.allocation import allocate, offers_of
from serving.eligibility import Eligibility
from serving.hashing import customer_hashes
from serving.limit_table import limit_table
from serving.limits import Limits
from simulation.config import RetailerConfig
from simulation.retailer import write_retailer
from simulation.truth import Truth, read_truth
from training.pipeline import ProfileName
from training.rows import FeatureRows
from training.splits import customer_hashes as sampling_hashes
from training.splits import sample_customers
from training.study import usable_rows

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Matrix = npt.NDArray[np.float32]
Actions = npt.NDArray[np.int16]

WORLDS: Final[dict[str, dict[str, Any]]] = {
    "low_rank": {},
    "cells": {"mechanism": "cells"},
    "confounded": {"log_propensities": False, "confounded_sender": True},
    "newcomers": {"newcomer_share": 0.5},
    "claimed": {"claimed_share": 0.8},
}
"""What differs from the simulation's defaults in each kind of world."""

SOURCES: Final = (
    *("simulation", "features", "serving/allocation.py", "training/splits.py", "training/study.py"),
    *("channelwise/demos", "benchmarks/parts/retail_world.py"),
)
"""What the world and every way of choosing in it depend on, beside `settings_of`."""

_SETTINGS: Final = {
    "objective",
    "objectives",
    "channels",
    "kinds",
    "tables",
    "answers",
    "features",
    "eligibility",
    "seed",
}

ROW_COLUMNS: Final = (ACTION, CAMPAIGN_CATEGORY)
"""The last of the plain columns: the action and what it is about."""

_PLAIN = (g.Count, g.Recency, g.Tenure, g.First, g.Sum, g.Mean, g.LastValue)


@dataclass(frozen=True, eq=False)
class PlainRows:
    """Rows for peers: columns (n, p) with their names, those of `categorical` hold codes without order.

    action, customer (n,); response (n,) 0 or 1; margin_eur (n,); answer_channel (n,) the outbound channel of an
    answered message, else -1; basket_eur (n,) mean of a year's, NaN without one.
    """

    matrix: Matrix
    names: tuple[str, ...]
    categorical: tuple[int, ...]
    action: Ints
    customer: Ints
    response: npt.NDArray[np.int8]
    margin_eur: Floats
    answer_channel: Ints
    basket_eur: Floats


@dataclass(frozen=True, eq=False)
class RetailWorld:
    """A retailer on disk, opened.

    eligible: (n, k) by the product's rules, in the order of the truth; learned_from, by profile, and responses, by
    learner, are filled as they are asked for.
    """

    folder: Path
    config: RetailerConfig
    params: Params
    campaign_id: str
    intake: Intake
    timeline: Timeline
    truth: Truth
    limits: Limits
    eligible: npt.NDArray[np.bool_]
    learned_from: dict[str, PlainRows] = field(default_factory=dict)
    responses: dict[str, Floats] = field(default_factory=dict)

    @cached_property
    def decisions(self) -> Decisions:
        """Every decision that teaches something."""
        return decision_spine(self.intake, self.timeline, self.params)

    @cached_property
    def features(self) -> FeatureSet:
        """All columns that the product has."""
        return learn_features(self.intake, self.timeline, self.params)

    def learning_decisions(self, profile: ProfileName) -> Ints:
        """The decisions from which a training of this profile makes its last fit."""
        decisions, params = self.decisions, self.params
        hashes = sampling_hashes(self.timeline.customer_ids, params.seed)
        rows = np.flatnonzero(usable_rows(decisions, params))
        return sample_customers(rows, decisions.spine.customer, hashes, params.training.profiles[profile].max_decisions)

    def learning(self, profile: ProfileName) -> PlainRows:
        """Those decisions with plain columns; made once."""
        if profile not in self.learned_from:
            rows = self.learning_decisions(profile)
            self.learned_from[profile] = self._plain(self.decisions.spine.rows(rows), rows)
        return self.learned_from[profile]

    @cached_property
    def scored(self) -> PlainRows:
        """Every customer at the moment of scoring, with plain columns and no action; outcomes are empty."""
        everybody = np.arange(self.timeline.n_customers, dtype=np.int64)
        window = kept_window(self.config.end, self.params)
        return self._plain(candidates(everybody, window.until_us, self._category, [NO_ACTION]), None)

    @cached_property
    def _category(self) -> int:
        query = "SELECT category FROM campaigns WHERE campaign_id = ?"
        ((name,),) = self.intake.connection.execute(query, [self.campaign_id]).fetchall()
        return category_of(self.timeline.codebook, name)

    def _plain(self, spine: Spine, rows: Ints | None) -> PlainRows:
        chosen = self.features.select(plain_columns(self.features))
        customers = self.features.demographic.table(self.intake, self.timeline)
        matrix = FeatureRows(chosen, self.timeline, customers, self.params.threads).matrix(spine)
        none, decisions = np.zeros(0), self.decisions
        return PlainRows(
            matrix=matrix,
            names=chosen.names,
            categorical=tuple(chosen.names.index(name) for name in chosen.categorical),
            action=spine.action.astype(np.int64),
            customer=spine.customer,
            response=none.astype(np.int8) if rows is None else decisions.response[rows],
            margin_eur=none if rows is None else decisions.margin_eur[rows],
            answer_channel=none.astype(np.int64) if rows is None else decisions.answer_channel[rows].astype(np.int64),
            basket_eur=self._basket(matrix, chosen.names),
        )

    def _basket(self, matrix: Matrix, names: tuple[str, ...]) -> Floats:
        mean = g.Mean(subjects(self.params).purchases, self.params.features.windows_days[-1])
        return matrix[:, names.index(mean.name)].astype(np.float64)

    def allocated(self, gain_eur: Floats) -> Actions:
        """The best plan by gains (n, k), net of cost, under the world's limits; -1 is no contact."""
        gain = np.where(self.eligible, gain_eur, -np.inf)
        table, segment = limit_table(self.limits)
        offers = offers_of(gain, self.truth.cost_eur[None, 1:], segment)
        return allocate(offers, table, customer_hashes(pa.array(self.truth.customer_ids))).action

    def value_eur(self, actions: Actions) -> float:
        """What a plan (n,) is truly worth: expected margin over no contact, less cost."""
        return float(self.truth.gain_eur[np.arange(len(actions)), actions + 1].sum())

    @cached_property
    def best_eur(self) -> float:
        """The true value of the best plan there is."""
        return self.value_eur(self.allocated(self.truth.gain_eur[:, 1:]))


def plain_columns(features: FeatureSet) -> tuple[str, ...]:
    """What a plain piece of work has: counts, recencies, money and demographics of the customer, action and category.

    No rates, shares, trends or streaks, and nothing of the candidate channel's or the campaign category's own history.
    """
    swept = (each.name for each in features.features if isinstance(each, _PLAIN) and not each.candidate)
    return (*swept, *features.demographic.names, *ROW_COLUMNS)


def settings_of(params: Params) -> str:
    """The parameters on which the world and plain work in it depend, as text."""
    return params.model_dump_json(include=_SETTINGS)


@contextmanager
def opened(kind: str, customers: int, seed: int, params: Params) -> Iterator[RetailWorld]:
    """A world of one of `WORLDS`, simulated into a folder that goes with it."""
    config = RetailerConfig(customers, seed=seed, **WORLDS[kind])
    with tempfile.TemporaryDirectory(prefix="channelwise-") as temporary:
        folder = Path(temporary)
        summary = write_retailer(config, folder / "data", silent, params=params, threads=params.threads)
        intake = open_data(folder / "data", params, as_of=config.end, quarantine=None)
        truth = read_truth(folder / "data" / "truth")
        with timeline_of(intake, params, silent, None) as timeline:
            if not np.array_equal(timeline.customer_ids, truth.customer_ids):
                raise SystemExit("the timeline numbers customers otherwise than the truth; expected ids to ascend")
            rule = Eligibility(
                intake.connection, params, config.end, summary.campaign_id, audience=list(truth.customer_ids)
            )
            yield RetailWorld(
                folder=folder,
                config=config,
                params=params,
                campaign_id=summary.campaign_id,
                intake=intake,
                timeline=timeline,
                truth=truth,
                limits=demo_limits(params, customers),
                eligible=rule.access(truth.customer_ids).eligible,
            )
