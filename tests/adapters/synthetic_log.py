"""A small log of decisions with a known truth, as training sees it: columns, labels and propensities."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from scipy.special import expit, softmax

from contract.params import Params
from features.demographic import Column
from features.events import US_PER_DAY, Spine
from features.grammar import Feature
from features.spine import Decisions
from models.artefact import Floats, Matrix
from training.rows import RowSource

NAMES = ("purchases_sum_365d", "purchases_count_365d", "taste", "candidate_taste", "action", "campaign_category")


@dataclass(frozen=True)
class SyntheticLog(RowSource):
    """Three columns about the customer, one about the candidate channel, and the row's own action and category."""

    decisions: Decisions
    about: Matrix
    ids: "np.ndarray[tuple[int], np.dtype[np.object_]]"
    kept: tuple[str, ...] = NAMES

    @property
    def names(self) -> tuple[str, ...]:
        return self.kept

    @property
    def categorical(self) -> tuple[str, ...]:
        return tuple(name for name in ("action", "campaign_category") if name in self.kept)

    @property
    def candidate(self) -> tuple[str, ...]:
        return tuple(name for name in ("candidate_taste", "action", "campaign_category") if name in self.kept)

    @property
    def per_action(self) -> tuple[str, ...]:
        return tuple(name for name in ("candidate_taste", "action") if name in self.kept)

    @property
    def meanings(self) -> Mapping[str, str]:
        return {"taste": "How much the customer likes the first channel."}

    @property
    def demographic(self) -> Sequence[Column]:
        return (Column("taste", "number"),)

    def matrix(self, spine: Spine) -> Matrix:
        about = self.about[spine.customer]
        whole = np.column_stack(
            [about, about[:, 2] * (spine.action == 1), spine.action, np.full(len(spine), np.nan)]
        ).astype(np.float32)
        return np.ascontiguousarray(whole[:, [NAMES.index(name) for name in self.kept]])

    def blocks(self, spine: Spine) -> Iterator[Matrix]:
        yield self.matrix(spine)

    def select(self, names: Sequence[str]) -> "SyntheticLog":
        return replace(self, kept=tuple(name for name in self.kept if name in set(names)))

    def further(self, features: Sequence[Feature], spine: Spine) -> Matrix:
        return np.ones((len(spine), len(features)), np.float32)

    def to_json(self) -> str:
        return '{"synthetic": true}'


def synthetic_log(params: Params, customers: int = 1500, per_customer: int = 6, *, logged: bool = True) -> SyntheticLog:
    """Decisions over 300 days; the sender and the response both follow a known taste."""
    random = np.random.default_rng(7)
    n_actions = len(params.outbound) + 1
    count = random.poisson(2.0, customers)
    taste = random.normal(size=customers)
    about = np.column_stack([count * 50.0, count, taste])
    customer = np.repeat(np.arange(customers), per_customer)
    rows = len(customer)
    day = np.sort(random.uniform(0, 300, (customers, per_customer)), axis=1).ravel()
    score = np.zeros((rows, n_actions))
    score[:, 1] = 0.8 * taste[customer]
    chance = softmax(score, axis=1)
    action = (chance.cumsum(axis=1) > random.random(rows)[:, None]).argmax(axis=1)
    truth = true_response(taste[customer], action)
    response = (random.random(rows) < truth).astype(np.int8)
    delay = np.where(response > 0, np.random.default_rng(8).random(rows), np.nan)
    answered = np.where((action > 0) & (random.random(rows) < 0.3), action - 1, -1)
    steps = random.choice(len(params.channels), rows)
    decisions = Decisions(
        spine=Spine(
            customer=customer.astype(np.int64),
            as_of_us=(1.7e15 + day * US_PER_DAY).astype(np.int64),
            action=action.astype(np.int16),
            category=np.full(rows, -1, np.int16),
        ),
        propensity=chance[np.arange(rows), action] if logged else np.full(rows, np.nan),
        campaign=np.full(rows, -1, np.int32),
        response=response,
        delay=delay.astype(np.float32),
        tied=np.zeros(rows, np.bool_),
        margin_eur=response * random.lognormal(2.0, 0.8, rows),
        answer_channel=answered.astype(np.int16),
        own_step_channel=np.where(random.random(rows) < 0.5, steps, -1).astype(np.int16),
        campaign_ids=(),
        left_out={},
    )
    ids = np.array([f"c{i:05d}" for i in range(customers)], dtype=object)
    return SyntheticLog(decisions, about.astype(np.float32), ids)


def true_response(taste: Floats, action: "np.ndarray[tuple[int], np.dtype[np.int64]]") -> Floats:
    """Contact on the first channel helps those with the taste; the others help nobody."""
    result: Floats = expit(-1.5 + 0.3 * taste + 1.2 * (action == 1) * taste)
    return result
